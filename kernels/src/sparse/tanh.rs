//! The tanh penalty of a JumpReLU code: the sum of tanh(scale a) over active units, which is L0 where
//! scale a is large and L1 where it is small (Conerly et al., *Dictionary learning optimization
//! techniques*, Transformer Circuits Thread, January 2025).

use crate::lists::Lists;
use crate::math;
use crate::simd::{Isa, Kernel, Simd};

/// The sum of tanh(scale a), terms added in their order in `f64`.
///
/// ```
/// use sae_kernels::{Isa, sparse};
///
/// // A large scale counts the active units.
/// assert_eq!(sparse::tanh_value(Isa::detect(), 1e6, &[0.5, 0.0, 2.0]), 2.0);
/// ```
pub fn tanh_value(isa: Isa, scale: f32, activations: &[f32]) -> f64 {
    struct Value<'a>(f32, &'a [f32]);
    impl Kernel for Value<'_> {
        type Output = f64;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> f64 {
            let Value(scale, activations) = self;
            let mut sum = 0.0;
            for some in activations.chunks(S::LANES) {
                let mut terms = [0.0f32; 16];
                // SAFETY: the chunk has `some.len()` floats, `terms` as many as any vector.
                unsafe {
                    let a = s.load_upto(some.as_ptr(), some.len());
                    s.store(terms.as_mut_ptr(), math::tanh(s, s.mul(a, s.splat(scale))));
                }
                sum += terms[..some.len()].iter().fold(0.0, |sum, &term| sum + f64::from(term));
            }
            sum
        }
    }
    isa.run(Value(scale, activations))
}

/// Adds the derivative of weight tanh(scale a) to the gradient of each activation of a code: weight scale
/// (1 - t) (1 + t) with t = tanh(scale a).
///
/// `gradients` begins with that of the first sample's first entry.
///
/// ```
/// use sae_kernels::{Isa, Lists, sparse};
///
/// let codes = Lists::new(&[0], &[1], &[0], &[0.0]);
/// let mut gradients = [1.0];
/// sparse::add_tanh_gradient(Isa::detect(), codes, 2.0, 0.5, &mut gradients);
/// assert_eq!(gradients, [2.0]);
/// ```
///
/// # Panics
/// There are fewer gradients than entries.
#[track_caller]
pub fn add_tanh_gradient(
    isa: Isa,
    codes: Lists<'_>,
    scale: f32,
    weight: f32,
    gradients: &mut [f32],
) {
    codes.check_gradients(gradients.len());
    isa.run(Gradient { codes, scale, weight, gradients });
}

/// [`add_tanh_gradient`] as a kernel.
struct Gradient<'a> {
    codes: Lists<'a>,
    scale: f32,
    weight: f32,
    gradients: &'a mut [f32],
}

impl Kernel for Gradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Gradient { codes, scale, weight, gradients } = self;
        if codes.rows() == 0 {
            return;
        }
        let first = codes.entries(0).start;
        let one = s.splat(1.0);
        for row in 0..codes.rows() {
            let places = codes.entries(row);
            let gradients = &mut gradients[places.start - first..places.end - first];
            let (_, activations) = codes.row(row);
            for (a, gradients) in activations.chunks(S::LANES).zip(gradients.chunks_mut(S::LANES)) {
                // SAFETY: both chunks have as many floats.
                unsafe {
                    let a = s.load_upto(a.as_ptr(), a.len());
                    let t = math::tanh(s, s.mul(a, s.splat(scale)));
                    let slope = s.mul(s.sub(one, t), s.add(one, t));
                    let before = s.load_upto(gradients.as_ptr(), gradients.len());
                    let sum = s.mul_add(s.splat(weight * scale), slope, before);
                    s.store_upto(gradients.as_mut_ptr(), gradients.len(), sum);
                }
            }
        }
    }
}
