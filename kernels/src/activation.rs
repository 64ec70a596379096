//! Activation functions and their derivatives.

use crate::math;
use crate::simd::{Isa, Kernel, Simd};

/// A layer's activation f, applied to z = a W + b.
///
/// ```
/// use sae_kernels::Activation;
///
/// assert_eq!(Activation::ALL.len(), 6);
/// assert_eq!(Activation::LeakyRelu.name(), "leaky-relu");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activation {
    /// 1 / (1 + e^-z), in (0, 1).
    Sigmoid,
    /// tanh z, in (-1, 1).
    Tanh,
    /// max(0, z).
    Relu,
    /// z above 0, 0.01 z below.
    LeakyRelu,
    /// z.
    Linear,
    /// z clamped to [0, 1], MATLAB's `satlin`.
    SaturatingLinear,
}

/// Derivative of the leaky ReLU below 0.
pub const LEAK: f32 = 0.01;

impl Activation {
    /// All of them.
    pub const ALL: [Activation; 6] = [
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Relu,
        Activation::LeakyRelu,
        Activation::Linear,
        Activation::SaturatingLinear,
    ];

    /// The name used in settings and files, for example `leaky-relu`.
    ///
    /// ```
    /// assert_eq!(sae_kernels::Activation::SaturatingLinear.name(), "saturating-linear");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Activation::Sigmoid => "sigmoid",
            Activation::Tanh => "tanh",
            Activation::Relu => "relu",
            Activation::LeakyRelu => "leaky-relu",
            Activation::Linear => "linear",
            Activation::SaturatingLinear => "saturating-linear",
        }
    }

    /// Whether it has values below 0.
    ///
    /// ```
    /// use sae_kernels::Activation;
    ///
    /// assert!(Activation::Tanh.is_signed() && !Activation::Relu.is_signed());
    /// ```
    pub fn is_signed(self) -> bool {
        matches!(self, Activation::Tanh | Activation::LeakyRelu | Activation::Linear)
    }

    /// f(z).
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, s: S, z: S::V) -> S::V {
        let zero = s.splat(0.0);
        match self {
            Activation::Sigmoid => math::sigmoid(s, z),
            Activation::Tanh => math::tanh(s, z),
            Activation::Relu => s.max(zero, z),
            Activation::LeakyRelu => s.select(s.lt(zero, z), z, s.mul(z, s.splat(LEAK))),
            Activation::Linear => z,
            Activation::SaturatingLinear => s.min(s.splat(1.0), s.max(zero, z)),
        }
    }

    /// `gradient` * f'(z), with f' from the activation a = f(z).
    #[inline(always)]
    pub(crate) fn chain<S: Simd>(self, s: S, a: S::V, gradient: S::V) -> S::V {
        let (zero, one) = (s.splat(0.0), s.splat(1.0));
        match self {
            Activation::Sigmoid => s.mul(gradient, s.mul(a, s.sub(one, a))),
            Activation::Tanh => s.mul(gradient, s.mul_add(s.sub(zero, a), a, one)),
            Activation::Relu => s.select(s.lt(zero, a), gradient, zero),
            Activation::LeakyRelu => {
                s.select(s.lt(zero, a), gradient, s.mul(gradient, s.splat(LEAK)))
            }
            Activation::Linear => gradient,
            Activation::SaturatingLinear => {
                let inside = s.select(s.lt(zero, a), gradient, zero);
                s.select(s.lt(a, one), inside, zero)
            }
        }
    }
}

/// Multiplies a gradient by f'(z), taken from the activations a = f(z): `gradient[i] *= f'(z[i])`.
///
/// ```
/// use sae_kernels::{Activation, Isa, apply_derivative};
///
/// let mut gradient = [2.0, 2.0];
/// apply_derivative(Isa::detect(), Activation::Relu, &[0.0, 3.0], &mut gradient);
/// assert_eq!(gradient, [0.0, 2.0]);
/// ```
///
/// # Panics
/// The lengths differ.
#[track_caller]
pub fn apply_derivative(
    isa: Isa,
    activation: Activation,
    activations: &[f32],
    gradient: &mut [f32],
) {
    struct Chain<'a>(Activation, &'a [f32], &'a mut [f32]);
    impl Kernel for Chain<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Chain(activation, activations, gradient) = self;
            for (a, g) in activations.chunks(S::LANES).zip(gradient.chunks_mut(S::LANES)) {
                // SAFETY: both chunks have `g.len()` floats, for the slices have one length.
                unsafe {
                    let a = s.load_upto(a.as_ptr(), g.len());
                    let gradient = s.load_upto(g.as_ptr(), g.len());
                    s.store_upto(g.as_mut_ptr(), g.len(), activation.chain(s, a, gradient));
                }
            }
        }
    }
    assert_eq!(activations.len(), gradient.len(), "a gradient for each activation");
    isa.run(Chain(activation, activations, gradient));
}
