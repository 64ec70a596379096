//! What takes the activations of a code.

use crate::simd::Simd;

/// What takes activations that are not below a floor.
pub(super) trait Receiver {
    /// The floors of some samples, before any unit.
    ///
    /// # Safety
    /// There are these samples.
    unsafe fn floors<S: Simd>(&self, s: S, sample: usize, lanes: usize) -> S::V;

    /// The floors of a unit.
    ///
    /// # Safety
    /// There is this unit.
    #[inline(always)]
    unsafe fn floor_of<S: Simd>(&self, _: S, floors: S::V, _unit: usize) -> S::V {
        floors
    }

    /// Takes an activation; for each sample, units come in their order.
    fn take(&mut self, sample: usize, unit: usize, activation: f32);
}
