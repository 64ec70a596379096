//! The engine that computes: an instruction set, a pool of threads, and for each thread the memory
//! that a product works in.

use std::any::Any;
use std::mem;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use sae_kernels::math::largest_magnitude;
use sae_kernels::matrix::MAX_PARTS;
use sae_kernels::{Division, Gemm, Isa, Matrix, MatrixMut, Operand, Parts, Scratch};

use crate::compute::lock;
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
    /// Memory of the last pass, for the next: see [`Engine::take`].
    kept: Option<Box<dyn Any + Send>>,
}

/// One scratch for each thread.
#[derive(Debug)]
pub(crate) struct Scratches(Vec<Mutex<(Vec<f32>, Vec<u32>)>>);

impl Scratches {
    /// Calls `f` with the scratch of a thread.
    pub fn with<T>(&self, thread: usize, f: impl FnOnce(&mut Scratch<'_>) -> T) -> T {
        // A scratch holds nothing between products, so one whose user panicked serves too.
        let mut memory = lock(&self.0[thread]);
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
        Engine { isa, pool, scratch, kept: None }
    }

    /// The instruction set.
    #[doc(hidden)]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Number of threads, the caller's included.
    #[doc(hidden)]
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// What [`Engine::keep`] has kept, if it is a `T` that fits.
    pub(crate) fn take<T: Any>(&mut self, fits: impl FnOnce(&T) -> bool) -> Option<Box<T>> {
        let kept: Box<T> = self.kept.take()?.downcast().ok()?;
        fits(&kept).then_some(kept)
    }

    /// Keeps the memory of a pass, so that the next one allocates nothing.
    pub(crate) fn keep<T: Any + Send>(&mut self, memory: Box<T>) {
        self.kept = Some(memory);
    }

    /// Divides `units` columns or rows, each worth `work` multiply-adds, among the threads, in
    /// whole vectors.
    pub(crate) fn divide(&self, units: usize, work: usize) -> Division {
        let worth = (units * work / MIN_PART).max(1);
        Division::new(units, self.isa.lanes().max(8), self.pool.threads().min(worth))
    }

    /// The sum of `f` over blocks of `0..len`, computed by all threads and added in order: the same
    /// bits for any number of threads.
    pub(crate) fn sum(&mut self, len: usize, f: impl Fn(Range<usize>) -> f64 + Sync) -> f64 {
        /// Numbers of a block at least: some 4 us, against 0.3 for the hand-over of work.
        const MIN_BLOCK: usize = 1 << 14;
        let blocks = Division::new(len, 16, (len / MIN_BLOCK).clamp(1, MAX_PARTS));
        self.sum_parts(blocks.parts(), |block| f(blocks.range(block)))
    }

    /// The sum of `f` over parts, computed by all threads and added in order. Their number must not depend
    /// on that of the threads.
    pub(crate) fn sum_parts(&mut self, parts: usize, f: impl Fn(usize) -> f64 + Sync) -> f64 {
        let sums = [const { AtomicU64::new(0) }; MAX_PARTS];
        self.pool.run(parts, |part, _| {
            sums[part].store(f(part).to_bits(), Ordering::Relaxed);
        });
        sums[..parts].iter().map(|sum| f64::from_bits(sum.load(Ordering::Relaxed))).sum()
    }

    /// Computes `to = a b + beta to`, row-major; rows divided among the threads.
    pub(crate) fn multiply(&mut self, a: Operand<'_>, b: Matrix<'_>, to: &mut [f32], beta: f32) {
        let (n, width) = b.shape();
        let work = match a {
            // As many multiply-adds as an update of a row is worth.
            Operand::Sparse(_) => 16 * width,
            _ => n * width,
        };
        let division = self.divide(a.len(), work);
        let to = Parts::rows(MatrixMut::new(to, a.len(), width), division);
        let Engine { isa, pool, scratch, .. } = self;
        pool.run(division.parts(), |part, thread| {
            let product = Gemm::new(a.rows(division.range(part)), b, to.take(part)).beta(beta);
            scratch.with(thread, |scratch| product.run(*isa, scratch));
        });
    }

    /// The largest magnitude among these numbers; infinity if one is NaN or infinite.
    pub(crate) fn largest_magnitude(&mut self, values: &[f32]) -> f32 {
        // Some 16 numbers a cycle.
        let (isa, division, largest) = (self.isa, self.divide(values.len(), 1), Largest::default());
        self.pool.run(division.parts(), |part, _| {
            largest.raise(largest_magnitude(isa, &values[division.range(part)]));
        });
        largest.get()
    }
}

/// The largest of numbers from several threads, none of them negative.
#[derive(Debug, Default)]
pub(crate) struct Largest(AtomicU32);

impl Largest {
    pub fn get(&self) -> f32 {
        f32::from_bits(self.0.load(Ordering::Relaxed))
    }

    pub fn set(&mut self, value: f32) {
        *self.0.get_mut() = value.to_bits();
    }

    /// Replaces it by a larger number.
    pub fn raise(&self, value: f32) {
        // The bits of numbers that are not negative have the numbers' order.
        self.0.fetch_max(value.to_bits(), Ordering::Relaxed);
    }
}

/// Samples whose numbers are added in `f32`; sums over more add such blocks in `f64`.
const SUM_BLOCK: usize = 256;

/// Number of blocks of samples over which sums are taken in `f32`; at least 1.
pub(crate) fn sum_blocks(samples: usize) -> usize {
    samples.div_ceil(SUM_BLOCK).max(1)
}

/// The blocks of samples whose sums are the rows of `sums`; all samples are one block where there is one
/// row, also of sums over more samples that are not needed.
pub(crate) fn blocks_of(
    sums: &MatrixMut<'_>,
    samples: usize,
) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
    let (blocks, _) = sums.shape();
    let length = if blocks == 1 { samples } else { SUM_BLOCK };
    (0..blocks).map(move |block| (block, block * length..samples.min((block + 1) * length)))
}

/// Calls `run` with zeros, `[blocks, units]`, to which it adds a sum over each block of the samples, and
/// stores their sums over the blocks. `partial` has room for them if there is more than one block.
pub(crate) fn add_blocks(
    samples: usize,
    partial: &mut [f32],
    sums: &mut [f32],
    run: impl FnOnce(MatrixMut<'_>),
) {
    let (blocks, units) = (sum_blocks(samples), sums.len());
    if blocks == 1 {
        sums.fill(0.0);
        run(MatrixMut::new(sums, 1, units));
        return;
    }
    let partial = &mut partial[..blocks * units];
    partial.fill(0.0);
    run(MatrixMut::new(partial, blocks, units));
    for (unit, sum) in sums.iter_mut().enumerate() {
        let parts = partial[unit..].iter().step_by(units);
        *sum = parts.map(|&part| f64::from(part)).sum::<f64>() as f32;
    }
}

/// Sums up numbers of rising samples as [`add_blocks`] does: in `f32` within a block of samples, in `f64`
/// over the blocks.
pub(crate) fn sum_by_blocks(samples: &[u32], numbers: impl Iterator<Item = f32>) -> f32 {
    let (mut sum, mut of_block, mut block) = (0.0, 0f32, 0);
    for (&sample, number) in samples.iter().zip(numbers) {
        let its_block = sample as usize / SUM_BLOCK;
        if its_block != block {
            sum += f64::from(of_block);
            (of_block, block) = (0.0, its_block);
        }
        of_block += number;
    }
    (sum + f64::from(of_block)) as f32
}

/// The division of samples in whole blocks, among at most `parts` threads.
pub(crate) fn divide_blocks(samples: usize, parts: usize) -> Division {
    Division::new(samples, SUM_BLOCK, parts)
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
