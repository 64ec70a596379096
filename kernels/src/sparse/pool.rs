//! The largest activations of a batch, whatever sample they are of.

use super::keys::{from_order_key, order_key};

/// Candidates for the largest activations of a batch: those of some of its samples.
///
/// A candidate is one number: from the highest bits down, the [`order_key`] of its activation, its
/// sample and its unit, the latter two of 32 bits. Smaller ones come first in the selection, and
/// their order does not depend on who has found them.
///
/// ```
/// use sae_kernels::sparse::{Encode, Pool};
/// use sae_kernels::{Activation, Matrix};
///
/// # let isa = sae_kernels::Isa::detect();
/// # let (floats, indices) = sae_kernels::Scratch::LENGTHS;
/// # let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
/// # let mut scratch = sae_kernels::Scratch::new(&mut floats, &mut indices);
/// // One sample with two inputs, and three units.
/// let layer = Encode {
///     input: Matrix::from_row(&[1.0, 2.0]),
///     weights: Matrix::new(&[1.0, 0.0, 0.0, 3.0, 1.0, 1.0], 3, 2),
///     biases: &[0.0; 3],
///     activation: Activation::Relu,
/// };
/// // The two largest of a batch of one sample.
/// let (mut candidates, mut spare) = ([0; 3], [0; 3]);
/// let mut pool = Pool::new(&mut candidates, &mut spare, 2, f32::NEG_INFINITY);
/// layer.candidates(isa, 0, &mut pool, &mut scratch);
/// let mut largest = pool.candidates().to_vec();
/// largest.sort();
/// let units: Vec<u32> = largest[..2].iter().map(|&candidate| candidate as u32).collect();
/// assert_eq!(units, [1, 2]);
/// ```
#[derive(Debug)]
pub struct Pool<'a> {
    candidates: &'a mut [u128],
    spare: &'a mut [u128],
    count: usize,
    /// How many of the batch are selected.
    kept: usize,
    floor: f32,
}

impl<'a> Pool<'a> {
    /// Candidates that are held for a selection of `kept`, of samples that have `activations` in
    /// all.
    ///
    /// ```
    /// assert_eq!(sae_kernels::sparse::Pool::len_for(64, 1_000_000), 1088);
    /// ```
    pub fn len_for(kept: usize, activations: usize) -> usize {
        (2 * kept).max(kept + 1024).min(activations)
    }

    /// An empty pool for a selection of `kept` activations, of which none is below `floor`: a number
    /// that at least `kept` activations of the batch reach, or the lowest of all.
    ///
    /// ```
    /// let pool = sae_kernels::sparse::Pool::new(&mut [], &mut [], 2, 0.5);
    /// assert_eq!((pool.count(), pool.floor()), (0, 0.5));
    /// ```
    ///
    /// # Panics
    /// The slices have two lengths, or no room for more than `kept` candidates and not for all
    /// activations of their samples either (which the caller vouches for).
    #[track_caller]
    pub fn new(candidates: &'a mut [u128], spare: &'a mut [u128], kept: usize, floor: f32) -> Self {
        assert_eq!(candidates.len(), spare.len(), "room to sort candidates out");
        Pool { candidates, spare, count: 0, kept, floor }
    }

    /// What an activation has to reach.
    ///
    /// ```
    /// assert_eq!(sae_kernels::sparse::Pool::new(&mut [], &mut [], 2, 0.5).floor(), 0.5);
    /// ```
    #[inline(always)]
    pub fn floor(&self) -> f32 {
        self.floor
    }

    /// Raises the floor to this number, if it is lower.
    pub(super) fn raise_floor(&mut self, floor: f32) {
        if self.floor < floor {
            self.floor = floor;
        }
    }

    /// The candidates, in no order: among them is what of their samples the batch's selection has.
    ///
    /// ```
    /// use sae_kernels::sparse::{Encode, Pool};
    /// use sae_kernels::{Activation, Matrix};
    ///
    /// # let isa = sae_kernels::Isa::detect();
    /// # let (floats, indices) = sae_kernels::Scratch::LENGTHS;
    /// # let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    /// # let mut scratch = sae_kernels::Scratch::new(&mut floats, &mut indices);
    /// // One sample with two inputs, and three units.
    /// let layer = Encode {
    ///     input: Matrix::from_row(&[1.0, 2.0]),
    ///     weights: Matrix::new(&[1.0, 0.0, 0.0, 3.0, 1.0, 1.0], 3, 2),
    ///     biases: &[0.0; 3],
    ///     activation: Activation::Relu,
    /// };
    /// // The two largest of a batch of one sample.
    /// let (mut candidates, mut spare) = ([0; 3], [0; 3]);
    /// let mut pool = Pool::new(&mut candidates, &mut spare, 2, f32::NEG_INFINITY);
    /// layer.candidates(isa, 0, &mut pool, &mut scratch);
    /// let mut largest = pool.candidates().to_vec();
    /// largest.sort();
    /// let units: Vec<u32> = largest[..2].iter().map(|&candidate| candidate as u32).collect();
    /// assert_eq!(units, [1, 2]);
    /// ```
    pub fn candidates(&self) -> &[u128] {
        &self.candidates[..self.count]
    }

    /// How many candidates there are.
    ///
    /// ```
    /// use sae_kernels::sparse::{Encode, Pool};
    /// use sae_kernels::{Activation, Matrix};
    ///
    /// # let isa = sae_kernels::Isa::detect();
    /// # let (floats, indices) = sae_kernels::Scratch::LENGTHS;
    /// # let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    /// # let mut scratch = sae_kernels::Scratch::new(&mut floats, &mut indices);
    /// // One sample with two inputs, and three units.
    /// let layer = Encode {
    ///     input: Matrix::from_row(&[1.0, 2.0]),
    ///     weights: Matrix::new(&[1.0, 0.0, 0.0, 3.0, 1.0, 1.0], 3, 2),
    ///     biases: &[0.0; 3],
    ///     activation: Activation::Relu,
    /// };
    /// // The two largest of a batch of one sample.
    /// let (mut candidates, mut spare) = ([0; 3], [0; 3]);
    /// let mut pool = Pool::new(&mut candidates, &mut spare, 2, f32::NEG_INFINITY);
    /// layer.candidates(isa, 0, &mut pool, &mut scratch);
    /// assert_eq!(pool.count(), 3);
    /// ```
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds a candidate.
    ///
    /// # Panics
    /// There is no room, although candidates that cannot be kept were left out.
    #[inline(always)]
    pub(super) fn push(&mut self, sample: usize, unit: usize, activation: f32) {
        if self.count == self.candidates.len() {
            self.sort_out();
        }
        let key = u128::from(order_key(activation)) << 64;
        self.candidates[self.count] = key | (sample as u128) << 32 | unit as u128;
        self.count += 1;
    }

    /// Leaves out all but the `kept` first, the others in the order in which they came.
    #[inline(never)]
    fn sort_out(&mut self) {
        assert!(self.count > self.kept, "a pool without room for its samples' activations");
        let (candidates, spare) =
            (&mut self.candidates[..self.count], &mut self.spare[..self.count]);
        spare.copy_from_slice(candidates);
        let (_, &mut last, _) = spare.select_nth_unstable(self.kept - 1);
        let mut count = 0;
        for at in 0..candidates.len() {
            candidates[count] = candidates[at];
            count += usize::from(candidates[at] <= last);
        }
        self.count = count;
        // What equals the last one passes: it may be of an earlier sample.
        self.floor = from_order_key((last >> 64) as u32);
    }
}
