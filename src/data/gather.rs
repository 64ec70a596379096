//! Gathering samples on all threads.

use std::sync::{Mutex, PoisonError};

use sae_kernels::{MatrixMut, Parts};

use crate::compute::Engine;
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
            if let Err(error) = samples.gather_on(*isa, sample as usize, out.row_mut(at)) {
                let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                let row = range.start + at;
                if first.as_ref().is_none_or(|&(before, _)| row < before) {
                    *first = Some((row, error));
                }
                return;
            }
        }
    });
    match first.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use sae_kernels::Isa;

    use super::*;
    use crate::compute::ThreadPool;
    use crate::data::array::Array;
    use crate::data::samples::Scaling;

    /// Any set and any number of threads gather what one sample at a time gives.
    #[test]
    fn threads_and_sets_do_not_matter() {
        let (count, d) = (500, 1000);
        let bytes: Vec<u8> = (0..count * d).map(|i| (i * i % 251) as u8).collect();
        let array = Array::from_values(bytes, d).unwrap();
        let samples = Samples::new(array, Scaling::MinMax { min: 3.0, max: 250.0 });
        let rows: Vec<u32> = (0..300).map(|i| i * 77 % 500).collect();
        let mut expected = vec![0.0; rows.len() * d];
        for (&row, out) in rows.iter().zip(expected.chunks_mut(d)) {
            samples.gather(row as usize, out).unwrap();
        }
        for isa in Isa::all() {
            for threads in [1, 2, 3, 7] {
                let mut engine = Engine::new(isa, ThreadPool::exactly(threads));
                let mut out = vec![0.0; rows.len() * d];
                gather(&mut engine, &samples, &rows, &mut out).unwrap();
                assert!(out == expected, "{isa:?} with {threads} threads");
            }
        }
    }

    #[test]
    fn the_first_bad_sample_is_named() {
        let (count, d) = (200, 2000);
        let mut values = vec![0.5f32; count * d];
        for row in [30, 110, 190] {
            values[row * d + 7] = f32::NAN;
        }
        let samples = Samples::from_values(values, d).unwrap();
        let rows: Vec<u32> = (0..count as u32).collect();
        for threads in [1, 2, 3, 7] {
            let mut engine = Engine::new(Isa::detect(), ThreadPool::exactly(threads));
            let mut out = vec![0.0; count * d];
            let problem = gather(&mut engine, &samples, &rows, &mut out).unwrap_err().to_string();
            assert!(problem.starts_with("sample 30, feature 7 is NaN"), "{problem}");
        }
    }
}
