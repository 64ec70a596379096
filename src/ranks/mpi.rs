//! The ranks of an MPI job: `mpirun -n 4 my-program`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use ::mpi::Threading;
use ::mpi::collective::SystemOperation;
use ::mpi::environment::Universe;
use ::mpi::request::{LocalScope, Request, scope};
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator, CommunicatorCollectives, Root};

use crate::compute::lock;
use crate::error::{Error, Result};
use crate::ranks::{Ranks, Sums};

/// The processes that `mpirun`, or another MPI launcher, started together. Clones stand for the same
/// processes; MPI is finalized with the last of them.
///
/// A failure within MPI, such as a rank that is gone, ends all ranks at once.
///
/// ```no_run
/// use sae::{Samples, Settings, Trainer, ranks::{Mpi, Ranks}};
///
/// # fn main() -> sae::Result<()> {
/// // Before MPI starts: a rank that ends without the others must `abort`, or they wait for it.
/// let samples = Samples::open("train-images-idx3-ubyte")?;
/// let ranks = Mpi::start()?;
/// let is_first = ranks.rank() == 0;
/// let settings = Settings { batch: 600, ..Settings::default() };
/// let mut trainer = Trainer::builder(settings).ranks(ranks).build(&samples)?;
/// for _ in 0..2000 {
///     trainer.step()?;
/// }
/// if is_first {
///     trainer.autoencoder().save("sae.safetensors")?;
/// }
/// # Ok(())
/// # }
/// ```
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
    /// Initializes MPI, once in a process.
    ///
    /// # Errors
    /// [`Error::Setting`] if MPI was initialized before, or lets only the main thread call it.
    pub fn start() -> Result<Self> {
        let wrong = |problem| Error::setting("ranks", problem);
        let (universe, threading) = ::mpi::initialize_with_threading(Threading::Serialized)
            .ok_or_else(|| wrong("MPI was initialized before in this process"))?;
        if threading < Threading::Serialized {
            return Err(wrong(
                "this MPI lets only the main thread call it (MPI_THREAD_SERIALIZED)",
            ));
        }
        let (rank, count) = (universe.world().rank() as usize, universe.world().size() as usize);
        Ok(Mpi { _universe: Arc::new(universe), rank, count })
    }

    /// Ends all ranks at once, with this exit code: for a rank that cannot continue while the others
    /// wait for it.
    pub fn abort(&self, code: i32) -> ! {
        world().abort(code)
    }
}

/// Held during a call: MPI was promised one call at a time, and clones may be in several threads.
static CALL: Mutex<()> = Mutex::new(());

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

    fn beside<'a>(&'a mut self, work: &mut dyn FnMut(&mut dyn Sums<'a>)) {
        let _call = lock(&CALL);
        scope(|scope| {
            let mut begun = Begun { scope, complete: VecDeque::new(), requests: VecDeque::new() };
            work(&mut begun);
            begun.requests.into_iter().for_each(Request::wait_without_status);
        });
    }

    fn sum(&mut self, part: &[f64], sum: &mut [f64]) {
        let _call = lock(&CALL);
        world().all_reduce_into(part, sum, SystemOperation::sum());
    }

    fn broadcast(&mut self, bytes: &mut [u8]) {
        let _call = lock(&CALL);
        world().process_at_rank(0).broadcast_into(bytes);
    }
}

/// Sums in the order in which they were begun: the complete ones, then the others.
struct Begun<'a, 's> {
    scope: &'s LocalScope<'a>,
    complete: VecDeque<&'a [f32]>,
    requests: VecDeque<Request<'a, [f32], &'s LocalScope<'a>>>,
}

impl<'a> Sums<'a> for Begun<'a, '_> {
    fn begin(&mut self, part: &'a [f32], sum: &'a mut [f32]) {
        let operation = SystemOperation::sum();
        let request = world().immediate_all_reduce_into(self.scope, part, sum, operation);
        self.requests.push_back(request);
        // MPI advances all of them while it tests one.
        while let Some(request) = self.requests.pop_front() {
            match request.test_with_data() {
                Ok((_, sum)) => self.complete.push_back(sum),
                Err(request) => {
                    self.requests.push_front(request);
                    break;
                }
            }
        }
    }

    fn next(&mut self) -> &'a [f32] {
        if let Some(sum) = self.complete.pop_front() {
            return sum;
        }
        self.requests.pop_front().expect("a sum that was begun").wait_for_data()
    }
}
