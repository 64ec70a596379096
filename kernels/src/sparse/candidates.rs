//! Candidates for the largest activations of each sample.

use super::keys::{from_order_key, order_key};
use super::receiver::Receiver;
use crate::activation::Activation;
use crate::lists::ListsMut;
use crate::simd::Simd;

/// Memory in which [`Encode::largest`](super::Encode::largest) keeps each sample's candidates.
///
/// ```
/// use sae_kernels::sparse::{Candidates, Encode};
/// use sae_kernels::{Activation, ListsMut, Matrix};
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
/// let (mut counts, mut indices, mut values) = ([0], [0; 2], [0.0; 2]);
/// let lists = ListsMut { counts: &mut counts, indices: &mut indices, values: &mut values };
/// let (mut keys, mut floors) = (vec![0; Candidates::width(2, 3)], [0.0]);
/// let mut candidates = Candidates { keys: &mut keys, floors: &mut floors };
/// candidates.begin(Activation::Relu, lists.counts);
/// // The units in two calls.
/// for units in [0..1, 1..3] {
///     let Candidates { keys, floors } = &mut candidates;
///     let some = Encode {
///         weights: layer.weights.rows(units.clone()),
///         biases: &layer.biases[units.clone()],
///         ..layer
///     };
///     let candidates = Candidates { keys, floors };
///     some.add_largest(isa, 2, units.start, candidates, lists.counts, &mut scratch);
/// }
/// candidates.list(2, lists);
/// assert_eq!((indices, values), ([1, 2], [6.0, 3.0]));
/// ```
#[derive(Debug)]
pub struct Candidates<'a> {
    /// [`Candidates::width`] for each sample.
    pub keys: &'a mut [u64],
    /// What a candidate has to reach, `[samples]`.
    pub floors: &'a mut [f32],
}

impl Candidates<'_> {
    /// Candidates of a sample that are kept while its `k` largest are being looked for: with more
    /// room they are sorted out less often.
    ///
    /// ```
    /// assert_eq!(sae_kernels::sparse::Candidates::width(2, 30), 30);
    /// ```
    pub fn width(k: usize, units: usize) -> usize {
        (3 * k + 64).min(units)
    }

    /// Begins a selection of activations of this function, with no candidates; `counts` has their number for
    /// each sample.
    ///
    /// ```
    /// use sae_kernels::Activation;
    /// use sae_kernels::sparse::Candidates;
    ///
    /// let (mut keys, mut floors, mut counts) = ([0; 8], [0.5; 2], [3, 4]);
    /// let mut candidates = Candidates { keys: &mut keys, floors: &mut floors };
    /// candidates.begin(Activation::Tanh, &mut counts);
    /// assert_eq!((counts, floors), ([0, 0], [f32::NEG_INFINITY; 2]));
    /// ```
    ///
    /// # Panics
    /// There is another number of counts than of floors.
    #[track_caller]
    pub fn begin(&mut self, activation: Activation, counts: &mut [u32]) {
        assert_eq!(counts.len(), self.floors.len(), "a count for each sample");
        self.floors.fill(lowest(activation));
        counts.fill(0);
    }

    /// Ends a selection: lists the `k` largest candidates of each sample. Rows of the lists are `k` wide; units
    /// rise in them.
    ///
    /// ```
    /// use sae_kernels::sparse::Candidates;
    /// use sae_kernels::{Activation, ListsMut};
    ///
    /// let (mut keys, mut floors) = ([0; 4], [0.0]);
    /// let mut candidates = Candidates { keys: &mut keys, floors: &mut floors };
    /// let (mut counts, mut indices, mut values) = ([3], [0; 2], [0.0; 2]);
    /// candidates.begin(Activation::Relu, &mut counts);
    /// // Nothing was added.
    /// let lists = ListsMut { counts: &mut counts, indices: &mut indices, values: &mut values };
    /// candidates.list(2, lists);
    /// assert_eq!(counts, [0]);
    /// ```
    ///
    /// # Panics
    /// The shapes do not fit.
    #[track_caller]
    pub fn list(self, k: usize, lists: ListsMut<'_>) {
        let samples = lists.counts.len();
        lists.check(samples, k);
        let mut largest = Largest::new(k, samples, self, lists.counts);
        for sample in 0..samples {
            let kept = largest.finish(sample);
            let row = sample * k..sample * k + kept.len();
            let to = lists.indices[row.clone()].iter_mut().zip(&mut lists.values[row]);
            for ((index, value), key) in to.zip(kept) {
                (*index, *value) = ((*key >> 32) as u32, from_order_key(*key as u32));
            }
        }
    }
}

/// The smallest activation that may be part of a code: zeros are not.
pub(super) fn lowest(activation: Activation) -> f32 {
    if activation.is_signed() { f32::NEG_INFINITY } else { f32::from_bits(1) }
}

/// Keeps the largest of each sample.
pub(super) struct Largest<'a> {
    k: usize,
    pub width: usize,
    /// Of each candidate the order's key, then its unit; `[samples, width]`.
    keys: &'a mut [u64],
    floors: &'a mut [f32],
    counts: &'a mut [u32],
}

impl<'a> Largest<'a> {
    /// Of some samples, whose candidates have room in equal parts.
    ///
    /// # Panics
    /// There is not a floor and a count for each sample.
    #[track_caller]
    pub fn new(
        k: usize,
        samples: usize,
        candidates: Candidates<'a>,
        counts: &'a mut [u32],
    ) -> Self {
        let Candidates { keys, floors } = candidates;
        assert_eq!(
            [floors.len(), counts.len()],
            [samples; 2],
            "a floor and a count for each sample"
        );
        let width = keys.len().checked_div(samples).unwrap_or(0);
        assert_eq!(keys.len(), samples * width, "room for candidates");
        assert!(counts.iter().all(|&count| count as usize <= width), "more candidates than room");
        Largest { k, width, keys, floors, counts }
    }

    /// Keeps a sample's `k` largest candidates.
    #[inline(never)]
    fn sort_out(&mut self, sample: usize) {
        let count = self.counts[sample] as usize;
        let keys = &mut self.keys[sample * self.width..][..count];
        let (_, last, _) = keys.select_nth_unstable(self.k - 1);
        self.counts[sample] = self.k as u32;
        // Of what equals the last, units to come are not among the lowest.
        self.floors[sample] = from_order_key((*last >> 32) as u32).next_up();
    }

    /// The sample's list: of each entry the unit, then the order's key, in the units' order.
    fn finish(&mut self, sample: usize) -> &[u64] {
        if self.counts[sample] as usize > self.k {
            self.sort_out(sample);
        }
        let count = self.counts[sample] as usize;
        let keys = &mut self.keys[sample * self.width..][..count];
        keys.iter_mut().for_each(|key| *key = key.rotate_left(32));
        keys.sort_unstable();
        keys
    }
}

impl Receiver for Largest<'_> {
    #[inline(always)]
    unsafe fn floors<S: Simd>(&self, s: S, sample: usize, lanes: usize) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { s.load_upto(self.floors.as_ptr().add(sample), lanes) }
    }
    #[inline(always)]
    fn take(&mut self, sample: usize, unit: usize, activation: f32) {
        let count = self.counts[sample] as usize;
        let key = u64::from(order_key(activation)) << 32 | unit as u64;
        self.keys[sample * self.width + count] = key;
        self.counts[sample] = count as u32 + 1;
        if count + 1 == self.width && self.width > self.k {
            self.sort_out(sample);
        }
    }
}
