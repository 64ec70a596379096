//! A rank that ends while others wait for it ends them, too. (Without an MPI library there is no feature `mpi`:
//! scripts/mpi.sh installs one and runs this.)

use std::env;
use std::ops::ControlFlow;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use sae::data::{Row, Source};
use sae::ranks::{Mpi, Ranks};
use sae::training::Batch;
use sae::{Error, Result, Samples, Scaling, Settings, Trainer};

/// Where rank 1 ends in [`program`], and how.
const PLACE: &str = "SAE_TEST_PLACE";
const PANICS: &str = "SAE_TEST_PANICS";

/// The places at which rank 1 ends before rank 0 does.
const PLACES: [&str; 5] = ["start", "build", "step", "run", "gather"];
/// The places within a step: the source of the samples, a penalty of the caller's, and what it does with the
/// gradient.
const WITHIN: [&str; 3] = ["source", "penalty", "change"];

/// What each rank does; run by the tests below.
#[test]
#[ignore = "the program of the other tests"]
fn program() {
    let done = train();
    if let Err(problem) = done {
        // As an error that `main` returns, after its values were dropped.
        eprintln!("{problem}");
        // mpirun ends the others at once, which may have something to say.
        sleep(Duration::from_secs(1));
        std::process::exit(1);
    }
}

/// Ends rank 1 at its place, by an error or a panic.
fn leave(is_rank_1: bool, at: &str) -> Result<()> {
    if !is_rank_1 || env::var(PLACE).unwrap() != at {
        return Ok(());
    }
    assert!(env::var(PANICS).is_err(), "a bug at {at}");
    Err(Error::Shape(format!("an error at {at}")))
}

/// Samples whose rows can be read some times.
#[derive(Debug)]
struct Numbers {
    is_rank_1: bool,
    reads: AtomicUsize,
}

impl Source for Numbers {
    fn samples(&self) -> usize {
        100
    }

    fn features(&self) -> usize {
        8
    }

    fn row<'a>(&'a self, row: usize, memory: &'a mut Vec<f32>) -> Result<Row<'a>> {
        if self.reads.fetch_add(1, Ordering::Relaxed) > 200 {
            leave(self.is_rank_1, "source")?;
        }
        memory.clear();
        memory.extend((0..8).map(|at| ((8 * row + at) % 11) as f32 / 11.0));
        Ok(Row::new(&memory[..]))
    }
}

fn train() -> Result<()> {
    let mut ranks = Mpi::start()?;
    let is_rank_1 = ranks.rank() == 1;
    leave(is_rank_1, "start")?;
    let numbers = Numbers { is_rank_1, reads: AtomicUsize::new(0) };
    let samples = Samples::new(numbers, Scaling::AsIs);
    let settings = Settings { layers: vec![8, 5, 8], batch: 20, ..Settings::default() };
    leave(is_rank_1, "build")?;
    let mut calls = 0;
    let mut trainer = Trainer::builder(settings)
        .ranks(ranks.clone())
        .penalty(0, move |_| {
            calls += 1;
            if calls == 3 {
                leave(is_rank_1, "penalty").unwrap();
            }
            0.0
        })
        .build(&samples)?;
    trainer.step()?;
    leave(is_rank_1, "step")?;
    trainer.step_with(Batch::Next, |_, _| leave(is_rank_1, "change"))?;
    let mut failed = Ok(());
    // (Rank 0 alone ends a run.)
    trainer.run(30, |trainer, _| {
        if trainer.steps() == 4 {
            failed = leave(is_rank_1, "run");
        }
        ControlFlow::Continue(())
    })?;
    failed?;
    leave(is_rank_1, "gather")?;
    let mut sum = [0.0];
    ranks.sum(&[1.0], &mut sum);
    assert_eq!(sum, [2.0]);
    if !is_rank_1 {
        // Rank 1 has long ended; rank 0 may still save a model.
        sleep(Duration::from_secs(5));
        trainer.evaluate(&samples)?;
        println!("rank 0 has saved");
    }
    Ok(())
}

/// Two ranks, one of which ends at a place.
fn run(place: &str, panics: bool) -> (Output, Duration) {
    let mut command = Command::new("mpirun");
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command.env(PLACE, place).env("RUST_BACKTRACE", "0");
    if panics {
        command.env(PANICS, "1");
    }
    command.args(["--oversubscribe", "-n", "2"]).arg(env::current_exe().unwrap());
    let start = Instant::now();
    let arguments = ["program", "--exact", "--ignored", "--nocapture", "--test-threads=1"];
    (command.args(arguments).output().expect("mpirun"), start.elapsed())
}

#[test]
fn a_rank_that_ends_ends_the_others() {
    for panics in [false, true] {
        thread::scope(|scope| {
            let check = |place: &'static str| {
                let (output, time) = run(place, panics);
                let stderr = String::from_utf8_lossy(&output.stderr);
                let what = format!("{place}, panics: {panics}: {stderr}");
                assert!(!output.status.success(), "{what}");
                assert!(stderr.contains(&format!("at {place}")), "{what}");
                assert!(stderr.contains("rank 1 has ended, and rank 0 waits for it"), "{what}");
                // Some 3 seconds, and the start of the processes; a hang would have no end.
                assert!(time < Duration::from_secs(60), "{what}");
            };
            // (An error within a step is one of all ranks: see below. A penalty has none.)
            let within = WITHIN.iter().filter(|_| panics);
            let places = PLACES.iter().chain(within);
            let cases: Vec<_> = places.map(|place| scope.spawn(move || check(place))).collect();
            cases.into_iter().for_each(|case| case.join().unwrap());
        });
    }
}

/// An error within a step ends the step at all ranks, each of which may go on or end.
#[test]
fn an_error_within_a_step_is_one_of_all_ranks() {
    for place in ["source", "change"] {
        let (output, time) = run(place, false);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{place}: {stderr}");
        assert!(stderr.contains(&format!("an error at {place}")), "{place}: {stderr}");
        assert!(stderr.contains(&Error::OtherRank.to_string()), "{place}: {stderr}");
        assert!(time < Duration::from_secs(60), "{place}: {time:?}");
    }
}

#[test]
fn a_rank_may_end_before_another() {
    let (output, time) = run("nowhere", false);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("rank 0 has saved"), "{output:?}");
    assert!(time >= Duration::from_secs(5), "{time:?}");
}
