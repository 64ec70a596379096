//! Gathering samples on all threads.

use std::sync::Mutex;

use sae_kernels::{MatrixMut, Parts};

use crate::compute::{Engine, lock};
use crate::data::samples::Samples;
use crate::error::{Error, Result};

/// How many samples ahead of the one that is gathered memory is asked for.
const AHEAD: usize = 4;

/// Gathers samples, scaled, to `out` `[rows.len(), features]`; rows are divided among the threads.
///
/// # Errors
/// A feature is not finite: the error is that of the first such sample of `rows`.
///
/// # Panics
/// There is no such sample, or `out` has another length.
pub(crate) fn gather(
    engine: &mut Engine,
    samples: &Samples,
    rows: &[u32],
    out: &mut [f32],
) -> Result<()> {
    let (n, d) = (rows.len(), samples.features());
    let division = engine.divide(n, 8 * d);
    let parts = Parts::rows(MatrixMut::new(out, n, d), division);
    let first: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    let Engine { isa, pool, .. } = engine;
    pool.run(division.parts(), |part, _| {
        let (range, mut out) = (division.range(part), parts.take(part));
        let rows = &rows[range.clone()];
        for (at, &sample) in rows.iter().enumerate() {
            // Samples lie anywhere in the file: the next ones are on their way meanwhile.
            if let Some(&later) = rows.get(at + AHEAD) {
                samples.prefetch(later as usize);
            }
            if let Err(error) = samples.gather_on(|| Ok(*isa), sample as usize, out.row_mut(at)) {
                let mut first = lock(&first);
                let row = range.start + at;
                if first.as_ref().is_none_or(|&(before, _)| row < before) {
                    *first = Some((row, error));
                }
                return;
            }
        }
    });
    match lock(&first).take() {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}
