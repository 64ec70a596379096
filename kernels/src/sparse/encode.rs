//! The encoder's product, of which only what is active leaves it.
//!
//! The product is `weights input^T`: rows are units, whose weights are read in place, and the lanes
//! of a vector are samples. Units come in their order, so a sample's list is made from its lowest
//! unit on. Each finished sum is compared with a floor; what is not below it is handed on.

use super::candidates::{Candidates, Largest, lowest};
use super::pool::Pool;
use super::receiver::Receiver;
use crate::activation::Activation;
use crate::gemm::{
    At, Epilogue, Operands, PARTIAL_COLS, PARTIAL_ROWS, Place, Product, Scratch, chunks,
};
use crate::lists::ListsMut;
use crate::matrix::Matrix;
use crate::simd::{Isa, Simd};

/// A layer whose activations `f(input weights^T + biases)` are a sparse code.
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
/// let candidates = Candidates { keys: &mut keys, floors: &mut floors };
/// layer.largest(isa, 2, candidates, lists, &mut scratch);
/// assert_eq!((indices, values), ([1, 2], [6.0, 3.0]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Encode<'a> {
    /// `[samples, inputs]`
    pub input: Matrix<'a>,
    /// `[units, inputs]`, rows contiguous.
    pub weights: Matrix<'a>,
    /// `[units]`
    pub biases: &'a [f32],
    /// f
    pub activation: Activation,
}

impl Encode<'_> {
    /// Lists the `k` largest activations of each sample, of equal ones those of the lowest units;
    /// zeros are left out. Rows of the lists are `k` wide; units rise in them.
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
    /// let candidates = Candidates { keys: &mut keys, floors: &mut floors };
    /// layer.largest(isa, 2, candidates, lists, &mut scratch);
    /// assert_eq!((indices, values), ([1, 2], [6.0, 3.0]));
    /// ```
    ///
    /// # Panics
    /// The shapes do not fit, or `k` is not from 1 to the number of units.
    #[track_caller]
    pub fn largest(
        self,
        isa: Isa,
        k: usize,
        candidates: Candidates<'_>,
        lists: ListsMut<'_>,
        scratch: &mut Scratch<'_>,
    ) {
        let (samples, units) = (self.input.rows, self.weights.rows);
        assert!((1..=units).contains(&k), "k is from 1 to the number of units");
        let mut candidates = candidates;
        lists.check(samples, k);
        candidates.begin(self.activation, lists.counts);
        let Candidates { keys, floors } = &mut candidates;
        let again = Candidates { keys, floors };
        self.add_largest(isa, k, 0, again, lists.counts, scratch);
        candidates.list(k, lists);
    }

    /// Adds to the candidates of each sample what may be among its `k` largest activations, of units that
    /// come after those that were added before; the first of these has number `first`. `counts` are the
    /// candidates of each sample, as [`Candidates::begin`] and this leave them.
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
    ///
    /// # Panics
    /// The shapes do not fit, or there is room for less than `k + 1` candidates of a sample and for less than
    /// there are units up to these.
    #[track_caller]
    pub fn add_largest(
        self,
        isa: Isa,
        k: usize,
        first: usize,
        candidates: Candidates<'_>,
        counts: &mut [u32],
        scratch: &mut Scratch<'_>,
    ) {
        let (samples, units) = (self.input.rows, self.weights.rows);
        let mut largest = Largest::new(k, samples, candidates, counts);
        let has_room = largest.width > k || first + units <= largest.width;
        assert!(has_room || samples == 0, "room for candidates");
        self.run(isa, first, &mut largest, scratch);
    }

    /// Lists the activations that are at least their unit's floor, `[units]`, and not 0. Rows of the
    /// lists are as wide as there are units; units rise in them.
    ///
    /// ```
    /// use sae_kernels::sparse::Encode;
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
    /// let (mut counts, mut indices, mut values) = ([0], [0; 3], [0.0; 3]);
    /// let lists = ListsMut { counts: &mut counts, indices: &mut indices, values: &mut values };
    /// layer.above(isa, &[0.5, 7.0, 3.0], lists, &mut scratch);
    /// assert_eq!((counts, indices, values), ([2], [0, 2, 0], [1.0, 3.0, 0.0]));
    /// ```
    ///
    /// # Panics
    /// The shapes do not fit.
    #[track_caller]
    pub fn above(self, isa: Isa, floors: &[f32], lists: ListsMut<'_>, scratch: &mut Scratch<'_>) {
        let (samples, units) = (self.input.rows, self.weights.rows);
        assert_eq!(floors.len(), units, "a floor for each unit");
        lists.check(samples, units);
        lists.counts.fill(0);
        self.run(isa, 0, &mut Above { units, floors, lists }, scratch);
    }

    /// Adds to a pool what may be among the largest activations of a batch, of which these samples
    /// begin with number `first`.
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
    ///
    /// # Panics
    /// The shapes do not fit.
    #[track_caller]
    pub fn candidates(
        self,
        isa: Isa,
        first: usize,
        pool: &mut Pool<'_>,
        scratch: &mut Scratch<'_>,
    ) {
        pool.raise_floor(lowest(self.activation));
        self.run(isa, 0, &mut Pooled { first, pool }, scratch);
    }

    /// The product, in pieces whose unfinished sums the scratch holds; its first unit has number `first`.
    #[track_caller]
    fn run<R: Receiver>(self, isa: Isa, first: usize, receiver: &mut R, scratch: &mut Scratch<'_>) {
        let Encode { input, weights, biases, activation } = self;
        let ((samples, inputs), units) = (input.shape(), weights.rows);
        assert_eq!(weights.cols, inputs, "as many weights as inputs for each unit");
        assert!(weights.has_contiguous_rows(), "the weights' rows are not contiguous");
        assert_eq!(biases.len(), units, "a bias for each unit");
        scratch.check(isa, (units, inputs, samples));
        // With one block of k no sum waits.
        let waits = inputs > isa.block_k();
        let samples_at_once = if waits { samples.min(PARTIAL_COLS) } else { samples };
        let units_at_once = if waits { units.min(PARTIAL_ROWS) } else { units };
        let waiting = if waits { samples_at_once * units_at_once } else { 0 };
        let (partial, mut scratch) = scratch.split(waiting);
        for samples in chunks(samples, samples_at_once) {
            for units in chunks(units, units_at_once) {
                let mut select = Select {
                    weights: weights.rows(units.clone()),
                    biases: &biases[units.clone()],
                    activation,
                    first: (samples.start, first + units.start),
                    samples: samples.len(),
                    receiver: &mut *receiver,
                };
                let operands = Operands {
                    a: select.weights,
                    b: input.rows(samples.clone()).transposed(),
                    skip_zeros: false,
                    partial: Place::rows(partial, samples.len()),
                };
                isa.run(Product::new(isa, operands, &mut select, &mut scratch));
            }
        }
    }
}

/// The epilogue of the product: rows are units, columns samples.
struct Select<'a, R> {
    /// Of this piece, `[units, inputs]`.
    weights: Matrix<'a>,
    /// `[units]`
    biases: &'a [f32],
    activation: Activation,
    /// The first sample and unit of the piece.
    first: (usize, usize),
    samples: usize,
    receiver: &'a mut R,
}

/// Units ahead of the one at work whose weights are asked for: those of the next row block.
const AHEAD: usize = 192;

impl<R> Select<'_, R> {
    /// Asks for weights of the next row block, whose first tiles would wait for them otherwise. The
    /// last quarter of the strips asks for all of them, so that the present block stays in the L2
    /// cache.
    #[inline(always)]
    fn prefetch<S: Simd>(&self, s: S, at: At) {
        let (strip, strips) = (at.col / S::LANES, self.samples.div_ceil(S::LANES));
        let asking = strips.div_ceil(4);
        let Some(asked) = strip.checked_sub(strips - asking) else { return };
        let (inputs, share) = (self.weights.cols, self.weights.cols.div_ceil(asking));
        for input in (asked * share..inputs.min((asked + 1) * share)).step_by(16) {
            s.prefetch_far(self.weights.at(at.row + AHEAD, input));
        }
    }
}

impl<R: Receiver> Epilogue for Select<'_, R> {
    /// The floors of the samples.
    type Column<S: Simd> = S::V;
    #[inline(always)]
    unsafe fn begin<S: Simd>(&self, s: S, col: usize, lanes: usize) -> Self::Column<S> {
        // SAFETY: the product has these columns, and the receiver as many samples.
        unsafe { self.receiver.floors(s, self.first.0 + col, lanes) }
    }
    #[inline(always)]
    unsafe fn apply<S: Simd>(&mut self, s: S, floors: &mut S::V, at: At, sum: S::V) {
        self.prefetch(s, at);
        // SAFETY: the product has this row, and as many biases.
        let bias = unsafe { *self.biases.get_unchecked(at.row) };
        let a = self.activation.apply(s, s.add(sum, s.splat(bias)));
        let unit = self.first.1 + at.row;
        // SAFETY: the receiver has as many units.
        let floors = unsafe { self.receiver.floor_of(s, *floors, unit) };
        // A NaN is below nothing, so it passes.
        let all = (1u64 << at.lanes) - 1;
        let mut passed = !s.mask_bits(s.lt(a, floors)) & all as u32;
        if passed == 0 {
            return;
        }
        let mut activations = [0.0; 32];
        const { assert!(S::LANES <= 32) };
        // SAFETY: there is room for a vector.
        unsafe { s.store(activations.as_mut_ptr(), a) };
        while passed != 0 {
            let lane = passed.trailing_zeros() as usize;
            passed &= passed - 1;
            if activations[lane] != 0.0 {
                self.receiver.take(self.first.0 + at.col + lane, unit, activations[lane]);
            }
        }
    }
    #[inline(always)]
    unsafe fn end<S: Simd>(&mut self, _: S, _: S::V, _: usize, _: usize) {}
}

/// Lists all that reach their unit's floor.
struct Above<'a> {
    units: usize,
    floors: &'a [f32],
    lists: ListsMut<'a>,
}

impl Receiver for Above<'_> {
    #[inline(always)]
    unsafe fn floors<S: Simd>(&self, s: S, _: usize, _: usize) -> S::V {
        s.splat(0.0)
    }
    #[inline(always)]
    unsafe fn floor_of<S: Simd>(&self, s: S, _: S::V, unit: usize) -> S::V {
        // SAFETY: the caller's promise.
        s.splat(unsafe { *self.floors.get_unchecked(unit) })
    }
    #[inline(always)]
    fn take(&mut self, sample: usize, unit: usize, activation: f32) {
        let count = self.lists.counts[sample] as usize;
        let at = sample * self.units + count;
        (self.lists.indices[at], self.lists.values[at]) = (unit as u32, activation);
        self.lists.counts[sample] = count as u32 + 1;
    }
}

/// Adds to a pool of candidates.
struct Pooled<'a, 'p> {
    first: usize,
    pool: &'a mut Pool<'p>,
}

impl Receiver for Pooled<'_, '_> {
    #[inline(always)]
    unsafe fn floors<S: Simd>(&self, s: S, _: usize, _: usize) -> S::V {
        s.splat(self.pool.floor())
    }
    #[inline(always)]
    fn take(&mut self, sample: usize, unit: usize, activation: f32) {
        self.pool.push(self.first + sample, unit, activation);
    }
}
