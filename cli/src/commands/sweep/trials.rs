//! The trials of a sweep, and their training.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use sae::{
    Error, Measure, Samples, Settings, Trainer,
    files::{Checkpoint, Checkpoints},
};
use serde_json::{Value, json};

use super::journal::{Journal, Outcome};
use crate::failure::Result;
use crate::interrupt;
use crate::output::{note, settings_json, short};

/// One combination of settings.
pub struct Trial {
    /// The texts of the varied settings.
    pub varied: Vec<String>,
    pub settings: Settings,
}

/// All trials, and how they are trained and measured.
pub struct Trials {
    pub list: Vec<Trial>,
    pub train: Samples,
    pub test: Samples,
    /// The hidden layer whose sparsity is measured, from 0.
    pub layer: usize,
    pub measure: Measure,
    /// For the checkpoints.
    pub folder: PathBuf,
    pub quiet: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Trials {
    /// What identifies a sweep: with another definition it cannot be resumed.
    pub fn definition(&self, steps: u64, halvings: u8) -> Value {
        let settings: Vec<_> =
            self.list.iter().map(|trial| settings_json(&trial.settings)).collect();
        json!({
            "version": 2,
            "settings": settings,
            "steps": steps,
            "halvings": halvings,
            "sparsity": self.measure.to_string(),
            "layer": self.layer + 1,
            "samples": self.train.len(),
            "features": self.train.features(),
        })
    }

    /// Trains these trials up to `steps` in `jobs` threads, except those that the journal has.
    pub fn train(
        &self,
        these: &[usize],
        (rung, steps): (u8, u64),
        jobs: usize,
        journal: &mut Journal,
    ) -> Result<()> {
        let (next, journal) = (AtomicUsize::new(0), Mutex::new(journal));
        let work = || -> Result<()> {
            while let Some(&trial) = these.get(next.fetch_add(1, Ordering::Relaxed)) {
                if interrupt::requested() || lock(&journal).get(trial, rung).is_some() {
                    continue;
                }
                if let Some(outcome) = self.train_one(trial, steps)? {
                    lock(&journal).add(trial, rung, steps, outcome)?;
                    self.report(trial, steps, &outcome);
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let jobs = (0..jobs.min(these.len())).map(|_| {
                scope.spawn(|| {
                    // After a failure no trial begins.
                    work().inspect_err(|_| next.store(these.len(), Ordering::Relaxed))
                })
            });
            let jobs: Vec<_> = jobs.collect();
            let results =
                jobs.into_iter().map(|job| job.join().unwrap_or_else(|p| resume_unwind(p)));
            // Waits for all before it reports the first failure.
            results.collect::<Vec<_>>().into_iter().collect()
        })
    }

    /// Trains one trial up to `steps`, from its checkpoint if it has one. `None` after a signal.
    fn train_one(&self, trial: usize, steps: u64) -> Result<Option<Outcome>> {
        let path = self.folder.join(format!("{trial:04}.ckpt"));
        let mut builder = Trainer::builder(self.list[trial].settings.clone());
        if path.exists() {
            let checkpoint = Checkpoint::load(&path)?;
            // One with more steps belongs to a rung that was lost from the journal.
            if checkpoint.steps() <= steps {
                builder = builder.resume(checkpoint);
            }
        }
        let mut trainer = builder.threads(1).build(&self.train)?;
        let mut checkpoints = Checkpoints::new(&path, 1, &trainer)?;
        let left = steps.saturating_sub(trainer.steps());
        match trainer.run(left, |_, _| interrupt::control_flow()) {
            Err(Error::Diverged { .. }) => return Ok(Some(Outcome::DIVERGED)),
            done => done?,
        }
        checkpoints.save(&mut trainer)?;
        checkpoints.finish()?;
        if trainer.steps() < steps {
            return Ok(None);
        }
        let evaluation = trainer.evaluate(&self.test)?;
        let activity = &evaluation.layers[self.layer];
        let sparsity = match self.measure {
            Measure::L0 => activity.l0,
            _ => evaluation.mean_activations()[self.layer],
        };
        Ok(Some(Outcome {
            error: evaluation.squared_error,
            sparsity,
            explained_variance: evaluation.explained_variance,
            objective: evaluation.objective,
            dead: activity.dead_units().count(),
        }))
    }

    fn report(&self, trial: usize, steps: u64, outcome: &Outcome) {
        if self.quiet {
            return;
        }
        let varied = self.list[trial].varied.join(" ");
        let (error, sparsity) = (short(outcome.error), short(outcome.sparsity));
        let measure = self.measure.name();
        note(&format!(
            "trial {trial}, {steps} steps: {varied}  squared error {error}  {measure} {sparsity}"
        ));
    }
}
