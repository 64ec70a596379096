//! A rank that ends while others wait for it ends them, too. (Without an MPI library there is no feature `mpi`:
//! scripts/mpi.sh installs one and runs this.)

use std::env;
use std::ops::ControlFlow;
use std::process::{Command, Output};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use sae::ranks::{Mpi, Ranks};
use sae::{Result, Samples, Settings, Trainer};

/// Where rank 1 ends in [`program`], and how.
const PLACE: &str = "SAE_TEST_PLACE";
const PANICS: &str = "SAE_TEST_PANICS";

/// The places at which rank 1 ends before rank 0 does.
const PLACES: [&str; 5] = ["start", "build", "step", "run", "gather"];

/// What each rank does; run by the tests below.
#[test]
#[ignore = "the program of the other tests"]
fn program() {
    let done = train();
    if let Err(problem) = done {
        // As an error that `main` returns, after its values were dropped.
        eprintln!("{problem}");
        std::process::exit(1);
    }
}

fn train() -> Result<()> {
    let place = env::var(PLACE).unwrap();
    let mut ranks = Mpi::start()?;
    let is_rank_1 = ranks.rank() == 1;
    let leave = |at: &str| {
        if !is_rank_1 || at != place {
            return Ok(());
        }
        assert!(env::var(PANICS).is_err(), "a bug at {at}");
        Err(sae::Error::Shape(format!("an error at {at}")))
    };
    leave("start")?;
    let samples = Samples::from_values((0..800).map(|at| (at % 11) as f32 / 11.0).collect(), 8)?;
    let settings = Settings { layers: vec![8, 5, 8], batch: 20, ..Settings::default() };
    leave("build")?;
    let mut trainer = Trainer::builder(settings).ranks(ranks.clone()).build(&samples)?;
    trainer.step()?;
    leave("step")?;
    let mut failed = Ok(());
    // (Rank 0 alone ends a run.)
    trainer.run(5, |trainer, _| {
        if trainer.steps() == 3 {
            failed = leave("run");
        }
        ControlFlow::Continue(())
    })?;
    failed?;
    leave("gather")?;
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
            let cases: Vec<_> = PLACES.map(|place| scope.spawn(move || check(place))).into();
            cases.into_iter().for_each(|case| case.join().unwrap());
        });
    }
}

#[test]
fn a_rank_may_end_before_another() {
    let (output, time) = run("nowhere", false);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("rank 0 has saved"), "{output:?}");
    assert!(time >= Duration::from_secs(5), "{time:?}");
}
