//! Sparsity penalties of a layer: KL of its mean activations, and L1 of its activations.

use crate::math;
use crate::simd::{Isa, Kernel, Simd};

/// Mean activations are clamped to [`EPSILON`, 1 - `EPSILON`], for the value and the gradient alike.
pub const EPSILON: f32 = 1e-6;

/// What the sparsity penalties of a layer add to the gradient of each sample's activation.
///
/// ```
/// use sae_kernels::Penalty;
///
/// let kl = [0.1, -0.2];
/// let penalty = Penalty { units: Some(&kl), ..Penalty::default() };
/// assert_eq!(penalty.l1, 0.0);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Penalty<'a> {
    /// What is added to the gradient of each unit, `[units]`; see [`kl_gradient`].
    pub units: Option<&'a [f32]>,
    /// What is added times the activation's sign, which is 0 at 0: the weight of L1 divided by the
    /// number of samples.
    pub l1: f32,
}

impl Penalty<'_> {
    /// Adds the penalties to the gradient of the activations `a`; `units` is what [`Penalty::load`]
    /// gives.
    #[inline(always)]
    pub(crate) fn add<S: Simd>(&self, s: S, gradient: S::V, units: S::V, a: S::V) -> S::V {
        let gradient = s.add(gradient, units);
        if self.l1 == 0.0 {
            return gradient;
        }
        let zero = s.splat(0.0);
        let below = s.select(s.lt(a, zero), s.splat(-self.l1), zero);
        s.add(gradient, s.select(s.lt(zero, a), s.splat(self.l1), below))
    }

    /// Loads what is added to the gradient of some units.
    ///
    /// # Safety
    /// `lanes` units begin at `unit`.
    #[inline(always)]
    pub(crate) unsafe fn load<S: Simd>(&self, s: S, unit: usize, lanes: usize) -> S::V {
        match self.units {
            // SAFETY: the caller's promise.
            Some(units) => unsafe { s.load_upto(units.as_ptr().add(unit), lanes) },
            None => s.splat(0.0),
        }
    }
}

/// The sum of |a|, in eight interleaved `f64` accumulators.
///
/// ```
/// assert_eq!(sae_kernels::sparsity::l1_value(&[0.5, -1.5]), 2.0);
/// ```
pub fn l1_value(activations: &[f32]) -> f64 {
    let (eights, rest) = activations.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        for (sum, a) in sums.iter_mut().zip(eight) {
            *sum += f64::from(a.abs());
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|a| f64::from(a.abs())).sum::<f64>()
}

/// Divides column sums by the number of samples, at least 1: `sums[j] /= samples`.
///
/// ```
/// use sae_kernels::{Isa, sparsity};
///
/// let mut sums = [6.0, 3.0];
/// sparsity::mean(Isa::detect(), 3, &mut sums);
/// assert_eq!(sums, [2.0, 1.0]);
/// ```
pub fn mean(isa: Isa, samples: usize, sums: &mut [f32]) {
    struct Mean<'a>(f32, &'a mut [f32]);
    impl Kernel for Mean<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for chunk in self.1.chunks_mut(S::LANES) {
                // SAFETY: the chunk has `chunk.len()` floats.
                unsafe {
                    let v = s.load_upto(chunk.as_ptr(), chunk.len());
                    s.store_upto(chunk.as_mut_ptr(), chunk.len(), s.div(v, s.splat(self.0)));
                }
            }
        }
    }
    isa.run(Mean(samples as f32, sums));
}

/// The gradient of KL for each unit: `weight * (-rho / rho_hat + (1 - rho) / (1 - rho_hat))`.
///
/// With `weight = beta / n` it is the gradient of each of the n activations of which rho_hat is the
/// mean. Shapes: `rho_hat` and `gradient` `[units]`; rho in (0, 1).
///
/// ```
/// use sae_kernels::{Isa, sparsity};
///
/// // At its target a mean has no gradient; above it, a positive one.
/// let mut gradient = [9.0; 2];
/// sparsity::kl_gradient(Isa::detect(), 0.25, 1.0, &[0.25, 0.5], &mut gradient);
/// assert_eq!(gradient, [0.0, 1.0]);
/// ```
///
/// # Panics
/// The lengths differ.
#[track_caller]
pub fn kl_gradient(isa: Isa, rho: f32, weight: f32, rho_hat: &[f32], gradient: &mut [f32]) {
    struct Gradient<'a>(f32, f32, &'a [f32], &'a mut [f32]);
    impl Kernel for Gradient<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Gradient(rho, weight, rho_hat, gradient) = self;
            let one = s.splat(1.0);
            for (from, to) in rho_hat.chunks(S::LANES).zip(gradient.chunks_mut(S::LANES)) {
                // SAFETY: both chunks have as many floats.
                unsafe {
                    let mean = clamp(s, s.load_upto(from.as_ptr(), from.len()));
                    let off = s.div(s.splat(1.0 - rho), s.sub(one, mean));
                    let on = s.div(s.splat(rho), mean);
                    let g = s.mul(s.splat(weight), s.sub(off, on));
                    s.store_upto(to.as_mut_ptr(), to.len(), g);
                }
            }
        }
    }
    assert_eq!(rho_hat.len(), gradient.len(), "a gradient for each unit");
    isa.run(Gradient(rho, weight, rho_hat, gradient));
}

/// The sum over units of KL(rho || rho_hat), for rho in (0, 1) and `rho_hat[units]`.
///
/// KL(rho || rho_hat) = rho ln(rho / rho_hat) + (1 - rho) ln((1 - rho) / (1 - rho_hat)) (Ng, CS294A
/// lecture notes, 2011). Terms are added in the units' order, in `f64`.
///
/// ```
/// use sae_kernels::{Isa, sparsity};
///
/// let isa = Isa::detect();
/// assert!(sparsity::kl_value(isa, 0.02, &[0.02]).abs() < 1e-6);
/// assert!((sparsity::kl_value(isa, 0.5, &[0.25]) - 0.143_841).abs() < 1e-5);
/// ```
pub fn kl_value(isa: Isa, rho: f32, rho_hat: &[f32]) -> f64 {
    struct Value<'a>(f32, &'a [f32]);
    impl Kernel for Value<'_> {
        type Output = f64;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> f64 {
            let Value(rho, rho_hat) = self;
            let one = s.splat(1.0);
            let mut sum = 0.0;
            for from in rho_hat.chunks(S::LANES) {
                let mut terms = [0.0f32; 16];
                // SAFETY: the chunk has `from.len()` floats, `terms` as many as any vector.
                unsafe {
                    let mean = clamp(s, s.load_upto(from.as_ptr(), from.len()));
                    let on = math::ln(s, s.div(s.splat(rho), mean));
                    let off = math::ln(s, s.div(s.splat(1.0 - rho), s.sub(one, mean)));
                    let term = s.mul_add(s.splat(rho), on, s.mul(s.splat(1.0 - rho), off));
                    s.store(terms.as_mut_ptr(), term);
                }
                for term in &terms[..from.len()] {
                    sum += f64::from(*term);
                }
            }
            sum
        }
    }
    isa.run(Value(rho, rho_hat))
}

#[inline(always)]
fn clamp<S: Simd>(s: S, mean: S::V) -> S::V {
    s.min(s.splat(1.0 - EPSILON), s.max(s.splat(EPSILON), mean))
}
