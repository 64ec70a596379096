//! The encoder's product, of which only what is active leaves it.
//!
//! The product is `weights input^T`: rows are units, whose weights are read in place, and the lanes
//! of a vector are samples. Units come in their order, so a sample's list is made from its lowest
//! unit on. Each finished sum is compared with a floor; what is not below it is handed on.

use super::keys::{from_order_key, order_key};
use super::pool::Pool;
use crate::activation::Activation;
use crate::gemm::{At, Epilogue, Operands, Place, Product, Scratch, chunks};
use crate::lists::ListsMut;
use crate::matrix::Matrix;
use crate::simd::{Isa, Simd};

/// A layer whose activations `f(input weights^T + biases)` are a sparse code.
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

/// Memory in which [`Encode::largest`] keeps each sample's candidates.
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
    pub fn width(k: usize, units: usize) -> usize {
        (3 * k + 64).min(units)
    }

    /// Begins a selection of activations of this function, with no candidates; `counts` has their number for
    /// each sample.
    ///
    /// # Panics
    /// There is another number of counts than of floors.
    pub fn begin(&mut self, activation: Activation, counts: &mut [u32]) {
        assert_eq!(counts.len(), self.floors.len(), "a count for each sample");
        self.floors.fill(lowest(activation));
        counts.fill(0);
    }

    /// Ends a selection: lists the `k` largest candidates of each sample. Rows of the lists are `k` wide; units
    /// rise in them.
    ///
    /// # Panics
    /// The shapes do not fit.
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
fn lowest(activation: Activation) -> f32 {
    if activation.is_signed() { f32::NEG_INFINITY } else { f32::from_bits(1) }
}

impl Encode<'_> {
    /// Lists the `k` largest activations of each sample, of equal ones those of the lowest units;
    /// zeros are left out. Rows of the lists are `k` wide; units rise in them.
    ///
    /// # Panics
    /// The shapes do not fit, or `k` is not from 1 to the number of units.
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
    /// # Panics
    /// The shapes do not fit, or there is room for less than `k + 1` candidates of a sample and for less than
    /// there are units up to these.
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
    /// # Panics
    /// The shapes do not fit.
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
    /// # Panics
    /// The shapes do not fit.
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
    fn run<R: Receiver>(self, isa: Isa, first: usize, receiver: &mut R, scratch: &mut Scratch<'_>) {
        let Encode { input, weights, biases, activation } = self;
        let ((samples, inputs), units) = (input.shape(), weights.rows);
        assert_eq!(weights.cols, inputs, "as many weights as inputs for each unit");
        assert!(weights.col_stride == 1 || weights.cols <= 1, "the weights' rows are contiguous");
        assert_eq!(biases.len(), units, "a bias for each unit");
        let (mut scratch, partial) = scratch.split_partial(isa.block_k(), inputs);
        let (samples_at_once, units_at_once) = match partial.len() {
            // One block of k: no sum waits.
            0 => (samples, units),
            len => (PARTIAL_SAMPLES, len / PARTIAL_SAMPLES),
        };
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
                    partial: Place { data: partial.as_mut_ptr(), stride: samples.len() },
                };
                isa.run(Product::new(isa, operands, &mut select, &mut scratch));
            }
        }
    }
}

/// Samples of a piece where sums have to wait.
const PARTIAL_SAMPLES: usize = 256;

/// What takes activations that are not below a floor.
trait Receiver {
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

/// Keeps the largest of each sample.
struct Largest<'a> {
    k: usize,
    width: usize,
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
    fn new(k: usize, samples: usize, candidates: Candidates<'a>, counts: &'a mut [u32]) -> Self {
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
