//! `mpirun -n 4 sae train …`: one training by several processes, of which rank 0 speaks and writes.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use sae::{TrainerBuilder, ranks::Ranks};

use crate::failure::{Failure, Result};
#[cfg(not(feature = "mpi"))]
use none::Mpi;
#[cfg(feature = "mpi")]
use sae::ranks::Mpi;

/// The first of these variables that is set, as a number.
fn number(variables: &[&str]) -> Option<usize> {
    variables.iter().find_map(|name| env::var(name).ok()?.parse().ok())
}

/// Whether a launcher of MPI has started several processes together, or may have.
fn launched() -> bool {
    // Open MPI's mpirun; MPICH's, Intel's and Slurm's with pmi2.
    match number(&["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"]) {
        Some(count) => count > 1,
        // Slurm with pmix tells no number before MPI begins.
        None => cfg!(feature = "mpi") && number(&["PMIX_RANK"]).is_some(),
    }
}

/// Whether a launcher has started this process beside the one that speaks, as far as can be told
/// before MPI begins.
pub fn is_silent() -> bool {
    number(&["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"]).is_some_and(|rank| rank > 0)
}

/// How a rank has failed.
const SILENT: f64 = 1.0;
const SPEAKS: f64 = 2.0;

/// The processes of a training: this one alone, or the ranks of an MPI job.
pub struct Job {
    mpi: Option<Mpi>,
    /// No process waits for another any more.
    over: bool,
}

impl Job {
    /// Runs a training in all processes that were started together for it. Its `agree` tells each
    /// what has failed in another; what fails besides ends them all.
    pub fn run(train: impl FnOnce(&mut Job) -> Result<()>) -> Result<()> {
        let begin = || match Mpi::start() {
            // Once is enough.
            Err(_) if is_silent() => Err(Failure::silent(0)),
            started => Ok(Some(started?)),
        };
        let mpi = if launched() { begin()? } else { None };
        let mut job = Job { mpi, over: false };
        let outcome = catch_unwind(AssertUnwindSafe(|| train(&mut job)));
        let Some(mpi) = &job.mpi else {
            return outcome.unwrap_or_else(|panic| resume_unwind(panic));
        };
        match outcome {
            // The panic was told already.
            Err(_) => mpi.abort(101),
            Ok(Err(failure)) if !failure.is_agreed() && !job.over => {
                let code = failure.code();
                failure.of_rank(mpi.rank(), mpi.count()).report();
                mpi.abort(code.into())
            }
            Ok(outcome) => outcome,
        }
    }

    /// Whether this process speaks and writes.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// This process's number.
    pub fn rank(&self) -> usize {
        self.mpi.as_ref().map_or(0, Ranks::rank)
    }

    /// How many processes there are.
    pub fn count(&self) -> usize {
        self.mpi.as_ref().map_or(1, Ranks::count)
    }

    /// Lets a trainer be one of the ranks.
    pub fn join(&self, builder: TrainerBuilder) -> TrainerBuilder {
        match &self.mpi {
            Some(mpi) => builder.ranks(mpi.clone()),
            None => builder,
        }
    }

    /// Fails in every process where one has failed, which says why.
    pub fn agree<T>(&mut self, own: Result<T>) -> Result<T> {
        let Some(mpi) = &mut self.mpi else { return own };
        let (rank, count) = (mpi.rank(), mpi.count());
        // Of each rank: whether it failed, and with something to say.
        let all = mpi.gather(match &own {
            Ok(_) => 0.0,
            Err(failure) if failure.problem.is_empty() => SILENT,
            Err(_) => SPEAKS,
        });
        let speaker = all.iter().position(|&fault| fault == SPEAKS);
        match own {
            Ok(value) if all.iter().all(|&fault| fault == 0.0) => Ok(value),
            Err(failure) if speaker.unwrap_or(rank) == rank => {
                Err(failure.of_rank(rank, count).agreed())
            }
            // The one that speaks has the exit code, too: mpirun ends the others at the first.
            _ => Err(Failure::silent(0).agreed()),
        }
    }

    /// Calls `open` at rank 0 before the others, for whom it may make files.
    pub fn in_turn<T>(&mut self, open: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.leads() {
            let opened = self.agree(open())?;
            self.agree(Ok(opened))
        } else {
            self.agree(Ok(()))?;
            self.agree(open())
        }
    }

    /// The text of rank 0, in every process.
    pub fn share(&mut self, text: String) -> Result<String> {
        let Some(mpi) = &mut self.mpi else { return Ok(text) };
        let mut length = (text.len() as u64).to_le_bytes();
        mpi.broadcast(&mut length);
        let mut bytes = text.into_bytes();
        bytes.resize(u64::from_le_bytes(length) as usize, 0);
        mpi.broadcast(&mut bytes);
        String::from_utf8(bytes).map_err(|e| Failure::other(format!("rank 0 sent no text: {e}")))
    }

    /// The signal that has asked any process for an end. The last thing that they tell each other.
    pub fn end(&mut self, own: Option<u8>) -> Option<u8> {
        self.over = true;
        let Some(mpi) = &mut self.mpi else { return own };
        let all = mpi.gather(own.map_or(0.0, f64::from));
        all.into_iter().find(|&signal| signal > 0.0).map(|signal| signal as u8)
    }
}

/// Where the command is built without MPI.
#[cfg(not(feature = "mpi"))]
mod none {
    use std::convert::Infallible;

    use sae::ranks::{Ranks, Sums};

    use crate::failure::{Failure, Result};

    /// There is none of it.
    #[derive(Clone, Debug)]
    pub struct Mpi(Infallible);

    impl Mpi {
        pub fn start() -> Result<Self> {
            let problem = "started as one of several processes, and this sae trains with one alone";
            Err(Failure::input(problem).hint("build it with --features mpi, or leave mpirun out"))
        }

        pub fn abort(&self, _: i32) -> ! {
            match self.0 {}
        }
    }

    impl Ranks for Mpi {
        fn rank(&self) -> usize {
            match self.0 {}
        }

        fn count(&self) -> usize {
            match self.0 {}
        }

        fn beside<'a>(&'a mut self, _: &mut dyn FnMut(&mut dyn Sums<'a>)) {
            match self.0 {}
        }

        fn sum(&mut self, _: &[f64], _: &mut [f64]) {
            match self.0 {}
        }

        fn broadcast(&mut self, _: &mut [u8]) {
            match self.0 {}
        }
    }
}
