//! Gathering the samples of a batch.

use std::sync::Mutex;

use sae_kernels::{Isa, MatrixMut, Parts};

use crate::compute::{Engine, lock};
use crate::data::samples::SamplesOf;
use crate::error::{Error, Result};

/// How many samples ahead of the one that is gathered memory is asked for.
const AHEAD: usize = 4;

impl SamplesOf<'_> {
    /// Copies samples, scaled, to `out`, row-major `[rows.len(), features]`, on all threads of an engine.
    ///
    /// # Errors
    /// As for [`SamplesOf::gather`], of the first such sample of `rows`.
    ///
    /// # Panics
    /// There is no such sample, or `out` has another length.
    pub fn gather_batch(&self, engine: &mut Engine, rows: &[usize], out: &mut [f32]) -> Result<()> {
        gather(engine, self, rows, out)
    }
}

/// Gathers samples, scaled, to `out` `[rows.len(), features]`; rows are divided among the threads.
///
/// # Errors
/// A feature is not finite: the error is that of the first such sample of `rows`.
///
/// # Panics
/// There is no such sample, or `out` has another length.
pub(crate) fn gather(
    engine: &mut Engine,
    samples: &SamplesOf<'_>,
    rows: &[usize],
    out: &mut [f32],
) -> Result<()> {
    let (n, d) = (rows.len(), samples.features());
    let division = engine.divide(n, 8 * d);
    let parts = Parts::rows(MatrixMut::new(out, n, d), division);
    let first: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let Engine { isa, pool, .. } = engine;
    pool.run(division.parts(), |part, _| {
        let (range, out) = (division.range(part), parts.take(part));
        let gathered = gather_rows(*isa, samples, &rows[range.clone()], out, &mut Vec::new());
        if let Err((at, error)) = gathered {
            let (mut first, row) = (lock(&first), range.start + at);
            if first.as_ref().is_none_or(|&(before, _)| row < before) {
                *first = Some((row, error));
            }
        }
    });
    match lock(&first).take() {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Gathers samples on one thread; `memory` is for sources that have no numbers in memory.
///
/// # Errors
/// Of the first sample that cannot be gathered, and its place in `rows`.
pub(crate) fn gather_rows(
    isa: Isa,
    samples: &SamplesOf<'_>,
    rows: &[usize],
    mut out: MatrixMut<'_>,
    memory: &mut Vec<f32>,
) -> std::result::Result<(), (usize, Error)> {
    for (at, &sample) in rows.iter().enumerate() {
        // Samples lie anywhere in the file: the next ones are on their way meanwhile.
        if let Some(&later) = rows.get(at + AHEAD) {
            samples.prefetch(later);
        }
        let gathered = samples.gather_on(isa, sample, out.row_mut(at), memory);
        gathered.map_err(|error| (at, error))?;
    }
    Ok(())
}
