//! `mpirun -n 4 sae train …`: one training by several processes, of which rank 0 prints and writes.

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

/// Whether an MPI launcher has started several processes together, or may have.
fn launched() -> bool {
    // Open MPI's mpirun; MPICH's, Intel's and Slurm's with pmi2.
    match number(&["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"]) {
        Some(count) => count > 1,
        // Slurm with pmix sets no count before MPI is initialized.
        None => cfg!(feature = "mpi") && number(&["PMIX_RANK"]).is_some(),
    }
}

/// Whether a launcher has started this process as a rank other than 0, as far as the environment
/// tells before MPI is initialized.
pub fn is_other_rank() -> bool {
    number(&["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"]).is_some_and(|rank| rank > 0)
}

/// What a rank gathers from the others when it asks whether all succeeded: 0 for success, or one of
/// these.
const FAILED: f64 = 1.0;
const FAILED_WITH_MESSAGE: f64 = 2.0;

/// The processes of a training: this one alone, or the ranks of an MPI job.
pub struct Job {
    mpi: Option<Mpi>,
    /// All ranks know that the job ends: none waits for another any more.
    over: bool,
}

impl Job {
    /// Runs a training in all ranks. A failure that they do not [`agree`](Job::agree) on ends all
    /// of them.
    pub fn run(train: impl FnOnce(&mut Job) -> Result<()>) -> Result<()> {
        let begin = || match Mpi::start() {
            // Rank 0 prints the same failure.
            Err(_) if is_other_rank() => Err(Failure::silent(0)),
            started => Ok(Some(started?)),
        };
        let mpi = if launched() { begin()? } else { None };
        let mut job = Job { mpi, over: false };
        let outcome = catch_unwind(AssertUnwindSafe(|| train(&mut job)));
        let Some(mpi) = &job.mpi else {
            return outcome.unwrap_or_else(|panic| resume_unwind(panic));
        };
        match outcome {
            // The panic is printed already.
            Err(_) => mpi.abort(101),
            Ok(Err(failure)) if !job.over => {
                let code = failure.code();
                failure.of_rank(mpi.rank(), mpi.count()).report();
                mpi.abort(code.into())
            }
            Ok(outcome) => outcome,
        }
    }

    /// This process's rank, from 0.
    pub fn rank(&self) -> usize {
        self.mpi.as_ref().map_or(0, Ranks::rank)
    }

    /// Whether this is rank 0, which prints and writes.
    pub fn is_rank_0(&self) -> bool {
        self.rank() == 0
    }

    /// The number of ranks.
    pub fn count(&self) -> usize {
        self.mpi.as_ref().map_or(1, Ranks::count)
    }

    /// Makes a trainer one of the ranks.
    pub fn join(&self, builder: TrainerBuilder) -> TrainerBuilder {
        match &self.mpi {
            Some(mpi) => builder.ranks(mpi.clone()),
            None => builder,
        }
    }

    /// Fails in every rank if one has failed; that one returns its message, the others none.
    pub fn agree<T>(&mut self, own: Result<T>) -> Result<T> {
        let Some(mpi) = &mut self.mpi else { return own };
        let (rank, count) = (mpi.rank(), mpi.count());
        let all = mpi.gather(match &own {
            Ok(_) => 0.0,
            Err(failure) if failure.problem.is_empty() => FAILED,
            Err(_) => FAILED_WITH_MESSAGE,
        });
        self.over |= all.iter().any(|&status| status != 0.0);
        let reporter = all.iter().position(|&status| status == FAILED_WITH_MESSAGE);
        match own {
            Ok(value) if !self.over => Ok(value),
            Err(failure) if reporter.unwrap_or(rank) == rank => Err(failure.of_rank(rank, count)),
            // The exit code is the reporter's: mpirun ends the others at the first that is not 0.
            _ => Err(Failure::silent(0)),
        }
    }

    /// Calls `open` in rank 0 first, because it may make files that the others read.
    pub fn rank_0_first<T>(&mut self, open: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.is_rank_0() {
            let opened = self.agree(open())?;
            self.agree(Ok(opened))
        } else {
            self.agree(Ok(()))?;
            self.agree(open())
        }
    }

    /// The text of rank 0, in every rank.
    pub fn broadcast(&mut self, text: String) -> Result<String> {
        let Some(mpi) = &mut self.mpi else { return Ok(text) };
        let mut length = (text.len() as u64).to_le_bytes();
        mpi.broadcast(&mut length);
        let mut bytes = text.into_bytes();
        bytes.resize(u64::from_le_bytes(length) as usize, 0);
        mpi.broadcast(&mut bytes);
        String::from_utf8(bytes).map_err(|e| Failure::other(format!("rank 0 sent no text: {e}")))
    }

    /// The signal that has requested an end in any rank. The last communication of the job.
    pub fn last_signal(&mut self, own: Option<u8>) -> Option<u8> {
        self.over = true;
        let Some(mpi) = &mut self.mpi else { return own };
        let all = mpi.gather(own.map_or(0.0, f64::from));
        all.into_iter().find(|&signal| signal > 0.0).map(|signal| signal as u8)
    }
}

/// The type `Mpi` of a build without MPI, which has no values.
#[cfg(not(feature = "mpi"))]
mod none {
    use std::convert::Infallible;

    use sae::ranks::{Ranks, Sums};

    use crate::failure::{Failure, Result};

    #[derive(Clone, Debug)]
    pub struct Mpi(Infallible);

    impl Mpi {
        pub fn start() -> Result<Self> {
            let problem = "MPI started several processes, but this build of sae has no MPI support";
            Err(Failure::input(problem)
                .hint("build it with --features mpi, or start one process without mpirun"))
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
