//! Ranks: processes, on one machine or many, that train one network together. Each has its part of
//! every batch; what is a sum over the batch is summed over all of them.

mod local;
#[cfg(feature = "mpi")]
mod mpi;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

pub(crate) use local::Local;
#[cfg(feature = "mpi")]
pub use mpi::Mpi;

/// What a message-passing system does for the ranks of a training.
///
/// Every rank makes the same calls in the same order, one at a time, but not always from the same
/// thread. A rank that dies must not leave the others waiting: the system ends them.
pub trait Ranks: Send + std::fmt::Debug {
    /// This process's number, from 0.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn count(&self) -> usize;

    /// Calls `work` with what makes sums over the ranks beside it, and returns when `work` has and all
    /// sums are made.
    fn beside<'a>(&'a mut self, work: &mut dyn FnMut(&mut dyn Sums<'a>));

    /// The sum of each number over all ranks, the same bits at every rank. Both slices are of one
    /// length, the same at every rank.
    fn sum(&mut self, part: &[f64], sum: &mut [f64]);

    /// Gives every rank the bytes of rank 0.
    fn broadcast(&mut self, bytes: &mut [u8]);

    /// One number of each rank, by rank, at all.
    fn gather(&mut self, own: f64) -> Vec<f64> {
        let mut part = vec![0.0; self.count()];
        part[self.rank()] = own;
        let mut all = part.clone();
        self.sum(&part, &mut all);
        all
    }
}

/// Sums over the ranks, made beside the work of each.
pub trait Sums<'a> {
    /// Begins the sum of each number over all ranks, the same bits at every rank and every time, and
    /// moves those on that were begun before. Both slices are of one length, the same at every rank.
    fn begin(&mut self, part: &'a [f32], sum: &'a mut [f32]);

    /// Waits for the sum that was begun first of those that it has not returned yet.
    ///
    /// # Panics
    /// There is none.
    fn next(&mut self) -> &'a [f32];
}

/// Ranks, as the trainers of one process share them.
pub(crate) type SharedRanks = Arc<Mutex<Box<dyn Ranks>>>;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many ranks there are.
pub(crate) fn count(ranks: &SharedRanks) -> usize {
    lock(ranks).count()
}

/// Whether any rank says so.
pub(crate) fn any(ranks: &SharedRanks, own: bool) -> bool {
    lock(ranks).gather(f64::from(u8::from(own))).contains(&1.0)
}

/// The samples of a batch that are a rank's, as many for all as can be.
///
/// # Errors
/// A rank would have none.
pub(crate) fn part_of(batch: usize, ranks: &SharedRanks) -> Result<Range<usize>> {
    let ranks = lock(ranks);
    let (rank, count) = (ranks.rank(), ranks.count());
    if batch < count {
        let problem = format!("{batch} samples for {count} ranks; each needs one at least");
        return Err(Error::setting("batch", problem));
    }
    Ok(batch * rank / count..batch * (rank + 1) / count)
}

/// What this rank has, where every rank has something and `what` of it is the same text for all. A rank
/// that failed has an error instead.
///
/// # Errors
/// Its own where this rank has one; [`Error::OtherRank`] where another has; [`Error::Setting`] where
/// one has something else.
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
    // What is wrong with each rank.
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
