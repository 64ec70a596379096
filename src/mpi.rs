//! Ranks of an MPI job: `mpirun -n 4 my-program`.

use std::sync::Arc;

use ::mpi::Threading;
use ::mpi::collective::SystemOperation;
use ::mpi::environment::Universe;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator, CommunicatorCollectives, Root};

use crate::error::{Error, Result};
use crate::ranks::Ranks;

/// The processes that `mpirun`, or another launcher of MPI, has started together. Clones are the same
/// processes; MPI ends with the last of them.
///
/// What goes wrong within MPI, a rank that is gone for one, ends all ranks at once.
#[derive(Clone)]
pub struct Mpi {
    _universe: Arc<Universe>,
    rank: usize,
    count: usize,
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mpi(rank {} of {})", self.rank, self.count)
    }
}

impl Mpi {
    /// Begins MPI, once in a process.
    ///
    /// # Errors
    /// [`Error::Setting`] if MPI runs or has ended already, or lets only one thread call it.
    pub fn start() -> Result<Self> {
        let wrong = |problem| Error::setting("ranks", problem);
        let (universe, threading) = ::mpi::initialize_with_threading(Threading::Serialized)
            .ok_or_else(|| wrong("MPI was started before in this process"))?;
        if threading < Threading::Serialized {
            return Err(wrong(
                "this MPI lets only the main thread call it (MPI_THREAD_SERIALIZED)",
            ));
        }
        let (rank, count) = (universe.world().rank() as usize, universe.world().size() as usize);
        Ok(Mpi { _universe: Arc::new(universe), rank, count })
    }

    /// Ends all ranks at once, with this exit code: for a rank that cannot go on, and whose others
    /// wait for it.
    pub fn abort(&self, code: i32) -> ! {
        world().abort(code)
    }
}

fn world() -> SimpleCommunicator {
    SimpleCommunicator::world()
}

impl Ranks for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn sum(&mut self, part: &[f32], sum: &mut [f32]) {
        world().all_reduce_into(part, sum, SystemOperation::sum());
    }

    fn sum_f64(&mut self, part: &[f64], sum: &mut [f64]) {
        world().all_reduce_into(part, sum, SystemOperation::sum());
    }

    fn broadcast(&mut self, bytes: &mut [u8]) {
        world().process_at_rank(0).broadcast_into(bytes);
    }
}
