//! Ranks: processes, on one machine or many, that train one network together.
//!
//! Each computes its share of every batch, and sums over the batch are summed over the ranks.

mod local;
#[cfg(feature = "mpi")]
mod mpi;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::compute::lock;
use crate::error::{Error, Result, counted};

pub(crate) use local::Local;
#[cfg(feature = "mpi")]
pub use mpi::Mpi;

/// The message-passing system of the ranks of a training.
///
/// Every rank makes the same calls in the same order, one at a time, but not always from the same
/// thread. If a rank dies, the system has to end the others, which would wait for it.
pub trait Ranks: Send + std::fmt::Debug {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn count(&self) -> usize;

    /// Calls `work` with a handle for sums over the ranks that are computed in the background, and
    /// returns when `work` has returned and all sums are complete.
    fn beside<'a>(&'a mut self, work: &mut dyn FnMut(&mut dyn Sums<'a>));

    /// Sums each number over all ranks (all-reduce), with the same bits at every rank. Both slices have
    /// the same length, at every rank.
    fn sum(&mut self, part: &[f64], sum: &mut [f64]);

    /// Copies the bytes of rank 0 to every rank.
    fn broadcast(&mut self, bytes: &mut [u8]);

    /// Collects one number of each rank, in the order of the ranks, at every rank.
    #[doc(hidden)]
    fn gather(&mut self, own: f64) -> Vec<f64> {
        let mut part = vec![0.0; self.count()];
        part[self.rank()] = own;
        let mut all = part.clone();
        self.sum(&part, &mut all);
        all
    }
}

/// Sums over the ranks that are computed in the background of other work.
pub trait Sums<'a> {
    /// Begins to sum each number over all ranks, with the same bits at every rank and every time, and
    /// advances the sums that were begun before. Both slices have the same length, at every rank.
    fn begin(&mut self, part: &'a [f32], sum: &'a mut [f32]);

    /// Waits for the sum that was begun first among those not returned yet.
    ///
    /// # Panics
    /// If there is none.
    fn next(&mut self) -> &'a [f32];
}

/// The ranks, shared by the trainers of one process.
pub(crate) type SharedRanks = Arc<Mutex<Box<dyn Ranks>>>;

/// Number of ranks.
pub(crate) fn count(ranks: &SharedRanks) -> usize {
    lock(ranks).count()
}

/// Whether the condition holds at any rank.
pub(crate) fn any(ranks: &SharedRanks, own: bool) -> bool {
    lock(ranks).gather(f64::from(u8::from(own))).contains(&1.0)
}

/// The samples of a batch that this rank computes; ranks have the same number, or one more or less.
///
/// # Errors
/// [`Error::Setting`] if a rank would have none.
pub(crate) fn part_of(batch: usize, ranks: &SharedRanks) -> Result<Range<usize>> {
    let ranks = lock(ranks);
    let (rank, count) = (ranks.rank(), ranks.count());
    if batch < count {
        let problem =
            format!("{} for {count} ranks; each needs one at least", counted(batch, "sample"));
        return Err(Error::setting("batch", problem));
    }
    Ok(batch * rank / count..batch * (rank + 1) / count)
}

/// Returns this rank's value, if no rank has an error and `what` gives the same text for all values.
///
/// # Errors
/// This rank's error; [`Error::OtherRank`] if another rank has one; [`Error::Setting`] if the texts
/// differ.
pub(crate) fn agree<T>(
    ranks: &SharedRanks,
    own: Result<T>,
    what: impl FnOnce(&T) -> String,
) -> Result<T> {
    let mut ranks = lock(ranks);
    let mut hasher = DefaultHasher::new();
    own.as_ref().map_or(String::new(), what).hash(&mut hasher);
    let digest = hasher.finish().to_le_bytes();
    let mut first = digest;
    ranks.broadcast(&mut first);
    const FAILED: f64 = 1.0;
    const DIFFERS: f64 = 2.0;
    let fault = match &own {
        Err(_) => FAILED,
        Ok(_) if digest != first => DIFFERS,
        Ok(_) => 0.0,
    };
    let all = ranks.gather(fault);
    let own = own?;
    if all.contains(&FAILED) {
        return Err(Error::OtherRank);
    }
    match all.iter().position(|&fault| fault == DIFFERS) {
        None => Ok(own),
        Some(rank) => {
            let problem = format!("rank {rank} has other settings or other data than rank 0");
            Err(Error::setting("ranks", problem))
        }
    }
}
