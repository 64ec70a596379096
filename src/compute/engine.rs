//! The engine that computes: an instruction set, a pool of threads, and for each thread the memory
//! that a product works in.

use std::mem;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use sae_kernels::{Activation, Division, Forward, Isa, Matrix, MatrixMut, Parts, Scratch};

use crate::compute::pool::ThreadPool;

/// The minimum of multiply-adds that is worth the hand-over to a thread (some 0.3 us, the time of
/// 5 000 multiply-adds; a tenth of that is lost at most).
const MIN_PART: usize = 50_000;

/// An instruction set and the threads that use it.
#[derive(Debug)]
pub struct Engine {
    pub(crate) isa: Isa,
    pub(crate) pool: ThreadPool,
    pub(crate) scratch: Scratches,
}

/// One scratch for each thread.
#[derive(Debug)]
pub(crate) struct Scratches(Vec<Mutex<(Vec<f32>, Vec<u32>)>>);

impl Scratches {
    /// Calls `f` with the scratch of a thread.
    pub fn with<T>(&self, thread: usize, f: impl FnOnce(&mut Scratch<'_>) -> T) -> T {
        // A scratch holds nothing between products, so one whose user panicked serves too.
        let mut memory = self.0[thread].lock().unwrap_or_else(PoisonError::into_inner);
        let (floats, indices) = &mut *memory;
        f(&mut Scratch::new(floats, indices))
    }
}

impl Engine {
    /// Makes an engine of an instruction set and the threads of a pool.
    pub fn new(isa: Isa, pool: ThreadPool) -> Self {
        let (floats, indices) = Scratch::LENGTHS;
        let scratch = || Mutex::new((vec![0.0; floats], vec![0; indices]));
        let scratch = Scratches((0..pool.threads()).map(|_| scratch()).collect());
        Engine { isa, pool, scratch }
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Number of threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Divides `units` columns or rows, each worth `work` multiply-adds, among the threads, in
    /// whole vectors.
    pub(crate) fn divide(&self, units: usize, work: usize) -> Division {
        let worth = (units * work / MIN_PART).max(1);
        Division::new(units, self.isa.lanes().max(8), self.pool.threads().min(worth))
    }
}

/// Divides a slice that has `width` elements for each of the divided rows or columns.
pub(crate) fn divided<T>(
    slice: &mut [T],
    width: usize,
    division: Division,
) -> Vec<Mutex<&mut [T]>> {
    let mut rest = slice;
    let part = |part| {
        let length = division.range(part).len() * width;
        let (own, others) = mem::take(&mut rest).split_at_mut(length);
        rest = others;
        Mutex::new(own)
    };
    (0..division.parts()).map(part).collect()
}

/// Divides one row of numbers, as the columns of a matrix are divided.
pub(crate) fn row_parts(row: &mut [f32], division: Division) -> Parts<'_> {
    let cols = row.len();
    Parts::columns(MatrixMut::new(row, 1, cols), division)
}

/// A layer's parameters, to read them.
#[derive(Clone, Copy)]
pub(crate) struct LayerView<'a> {
    pub weights: Matrix<'a>,
    pub biases: &'a [f32],
    pub activation: Activation,
}

impl<'a> LayerView<'a> {
    /// The parameters of some of the units.
    pub fn units(self, units: Range<usize>) -> Self {
        let biases = &self.biases[units.clone()];
        LayerView { weights: self.weights.columns(units), biases, ..self }
    }
}

/// Computes a layer's activations `[samples, units]`, units divided among the threads, and adds the
/// sum of each unit's activations to `sums[units]`.
pub(crate) fn forward(
    engine: &mut Engine,
    input: Matrix<'_>,
    skip_zeros: bool,
    layer: LayerView<'_>,
    output: MatrixMut<'_>,
    sums: &mut [f32],
) {
    let (samples, units) = output.shape();
    let division = engine.divide(units, samples * layer.weights.shape().0);
    let outputs = Parts::columns(output, division);
    let sums = row_parts(sums, division);
    let Engine { isa, pool, scratch } = engine;
    pool.run(division.parts(), |part, thread| {
        let layer = layer.units(division.range(part));
        let (output, mut sums) = (outputs.take(part), sums.take(part));
        scratch.with(thread, |scratch| {
            let forward = Forward {
                input,
                skip_zeros,
                weights: layer.weights,
                biases: layer.biases,
                activation: layer.activation,
                output,
                sums: sums.row_mut(0),
            };
            forward.run(*isa, scratch);
        });
    });
}
