//! The batch's samples, from their file to the workspace.

use std::sync::Mutex;

use sae_kernels::{MatrixMut, Parts};

use crate::compute::Engine;
use crate::data::samples::Samples;
use crate::error::{Error, Result};
use crate::training::workspace::Workspace;

/// Gathers the batch's samples, those of this rank, rows divided among the threads.
pub(crate) fn gather(engine: &mut Engine, samples: &Samples, work: &mut Workspace) -> Result<()> {
    let rows = &work.rows[work.part.clone()];
    let (n, d) = (rows.len(), samples.features());
    let division = engine.divide(n, 8 * d);
    let parts = Parts::rows(MatrixMut::new(&mut work.batch, n, d), division);
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    engine.pool.run(division.parts(), |part, _| {
        let mut batch = parts.take(part);
        let rows = &rows[division.range(part)];
        for (row, &sample) in rows.iter().enumerate() {
            // Samples lie anywhere in the file: the next ones are on their way meanwhile.
            if let Some(&later) = rows.get(row + 4) {
                samples.prefetch(later as usize);
            }
            if let Err(error) = samples.gather(sample as usize, batch.row_mut(row)) {
                failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).replace(error);
            }
        }
    });
    failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).map_or(Ok(()), Err)
}
