//! The data term of the objective.

use crate::activation::Activation;
use crate::math;
use crate::simd::Simd;

/// The data term of the objective, a mean over samples and features.
///
/// ```
/// use sae_kernels::Loss;
///
/// assert_eq!(Loss::default(), Loss::SquaredError);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// (a - x)^2.
    #[default]
    SquaredError,
    /// -x ln a - (1 - x) ln(1 - a), for features in [0, 1] and a sigmoid at the output.
    CrossEntropy,
    /// (a - x)^2 divided by the variance of the training data: the fraction of variance unexplained.
    ///
    /// To the kernels it is the squared error; who calls them divides its sum and the gradient's scale by
    /// the variance.
    Fvu,
}

impl Loss {
    /// All of them.
    pub const ALL: [Loss; 3] = [Loss::SquaredError, Loss::CrossEntropy, Loss::Fvu];

    /// The name used in settings and files.
    ///
    /// ```
    /// assert_eq!(sae_kernels::Loss::CrossEntropy.name(), "cross-entropy");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Loss::SquaredError => "squared-error",
            Loss::CrossEntropy => "cross-entropy",
            Loss::Fvu => "fvu",
        }
    }

    /// Whether it can be used with this activation of the output layer.
    ///
    /// ```
    /// use sae_kernels::{Activation, Loss};
    ///
    /// assert!(!Loss::CrossEntropy.fits(Activation::Linear));
    /// ```
    pub fn fits(self, activation: Activation) -> bool {
        self != Loss::CrossEntropy || activation == Activation::Sigmoid
    }

    /// The factor of `a - x` in the gradient: of (a - x)^2 by a, and of the cross-entropy by z.
    ///
    /// ```
    /// assert_eq!(sae_kernels::Loss::SquaredError.gradient_factor(), 2.0);
    /// ```
    pub fn gradient_factor(self) -> f64 {
        match self {
            Loss::SquaredError | Loss::Fvu => 2.0,
            Loss::CrossEntropy => 1.0,
        }
    }
}

/// The cross-entropy of a = sigmoid(z) against x: max(z, 0) - x z + ln(1 + e^-|z|), from z, so that
/// no digits cancel.
#[inline(always)]
pub(crate) fn cross_entropy<S: Simd>(s: S, z: S::V, x: S::V) -> S::V {
    let (zero, one) = (s.splat(0.0), s.splat(1.0));
    let small = math::exp(s, s.sub(zero, s.abs(z)));
    // ln(1 + u), corrected by what the addition rounded away.
    let sum = s.add(one, small);
    let lost = s.sub(small, s.sub(sum, one));
    let softplus = s.add(math::ln(s, sum), s.div(lost, sum));
    s.add(s.sub(s.max(zero, z), s.mul(x, z)), softplus)
}
