//! The ranks of an MPI job: `mpirun -n 4 my-program`.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ::mpi::Threading;
use ::mpi::collective::SystemOperation;
use ::mpi::environment::Universe;
use ::mpi::request::{LocalScope, Request, Scope, scope};
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::{Communicator, CommunicatorCollectives, Destination, Root, Source};

use crate::compute::lock;
use crate::error::{Error, Result};
use crate::ranks::{Ranks, Sums};

/// The processes that `mpirun`, or another MPI launcher, started together. Clones stand for the same
/// processes; MPI is finalized with the last of them.
///
/// A failure within MPI, such as a process that is gone, ends all ranks at once. A rank that leaves while others wait for
/// it, because its program has returned an error or panicked, ends them within 10 seconds: its last clone tells
/// them when it is dropped.
///
/// ```no_run
/// use sae::{Samples, Settings, Trainer, ranks::{Mpi, Ranks}};
///
/// # fn main() -> sae::Result<()> {
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
    _job: Arc<Job>,
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
        Ok(Mpi { _job: Arc::new(Job { universe: Some(universe) }), rank, count })
    }

    /// Ends all ranks at once, with this exit code: for a rank that cannot continue while the others
    /// wait for it.
    pub fn abort(&self, code: i32) -> ! {
        world().abort(code)
    }
}

/// The job, until the last clone of [`Mpi`] is dropped.
struct Job {
    /// Taken where MPI must not be finalized.
    universe: Option<Universe>,
}

/// The tag of the message of a rank that takes part in nothing more.
const LEAVING: i32 = 22_017;
/// That of the answer of a rank that waits for it.
const WAITING: i32 = 22_018;

/// Time in which what a rank had a part in before it left is complete at the others.
const GRACE: Duration = Duration::from_secs(2);
/// Time in which a rank that others wait for has ended.
const END: Duration = Duration::from_secs(5);

impl Drop for Job {
    /// Tells the other ranks that this one leaves, and waits until they leave, too: they may still save a model. If one
    /// waits for this one, MPI is not finalized, which would wait for ever: the program can say its error, and the
    /// launcher ends the others when it exits.
    fn drop(&mut self) {
        let _call = lock(&CALL);
        let (world, own) = (world(), world().rank());
        let mut others: Vec<i32> = (0..world.size()).filter(|&rank| rank != own).collect();
        for &rank in &others {
            // (So short a message does not wait for its receiver.)
            world.process_at_rank(rank).send_with_tag(&own, LEAVING);
        }
        while !others.is_empty() {
            others.retain(|&rank| {
                let other = world.process_at_rank(rank);
                let has_left = other.immediate_probe_with_tag(LEAVING).is_some();
                if has_left {
                    other.receive_with_tag::<i32>(LEAVING);
                }
                !has_left
            });
            if world.any_process().immediate_probe_with_tag(WAITING).is_some() {
                mem::forget(self.universe.take());
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Waits for a request, to which all ranks have to contribute. Ends the job if one of them has left without that.
fn complete<'a, D: ?Sized, S: Scope<'a>>(mut request: Request<'a, D, S>) -> &'a D {
    /// Polls between looks at the messages.
    const POLLS: u32 = 256;
    let mut gone: Option<Gone> = None;
    loop {
        for _ in 0..POLLS {
            match request.test_with_data() {
                Ok((_, data)) => return data,
                Err(waiting) => request = waiting,
            }
        }
        gone = gone.or_else(Gone::look);
        if let Some(gone) = &mut gone {
            gone.end();
        }
        // There may be more ranks than cores.
        thread::yield_now();
    }
}

/// A rank that has left while this one waits.
struct Gone {
    rank: i32,
    since: Instant,
    is_told: bool,
}

impl Gone {
    fn look() -> Option<Self> {
        let status = world().any_process().immediate_probe_with_tag(LEAVING)?;
        Some(Gone { rank: status.source_rank(), since: Instant::now(), is_told: false })
    }

    /// Tells it after the grace that this rank waits for it, and ends the job if that does not.
    fn end(&mut self) {
        let (world, waited) = (world(), self.since.elapsed());
        if waited > GRACE && !self.is_told {
            let (rank, own) = (self.rank, world.rank());
            eprintln!("rank {rank} has ended, and rank {own} waits for it: the job is ended");
            world.process_at_rank(rank).send_with_tag(&own, WAITING);
            self.is_told = true;
        }
        if waited > GRACE + END {
            world.abort(1);
        }
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
            begun.requests.into_iter().for_each(|request| {
                complete(request);
            });
        });
    }

    fn sum(&mut self, part: &[f64], sum: &mut [f64]) {
        let _call = lock(&CALL);
        scope(|scope| {
            let operation = SystemOperation::sum();
            complete(world().immediate_all_reduce_into(scope, part, sum, operation));
        });
    }

    fn broadcast(&mut self, bytes: &mut [u8]) {
        let _call = lock(&CALL);
        scope(|scope| {
            complete(world().process_at_rank(0).immediate_broadcast_into(scope, bytes));
        });
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
        complete(self.requests.pop_front().expect("a sum that was begun"))
    }
}
