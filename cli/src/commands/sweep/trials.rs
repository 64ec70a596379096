//! The trials of a sweep, and their training.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use sae::{
    Error, Measure, Samples, Settings, Trainer,
    data::TrainingData,
    files::{Checkpoint, Checkpoints, Course},
};
use serde_json::{Value, json};

use super::journal::{Journal, Outcome};
use super::remains::{checkpoint_of, remove_checkpoints};
use crate::commands::train::{Curves, Pace};
use crate::data::Place;
use crate::failure::Result;
use crate::history;
use crate::interrupt;
use crate::output::{counted, note, settings_json, short};
use crate::recipe;
use crate::sweeps;

/// One combination of settings.
pub struct Trial {
    /// The names of the varied settings, and their texts.
    pub fields: Vec<String>,
    pub varied: Vec<String>,
    pub settings: Settings,
    /// The hidden layer whose sparsity is measured, from 0.
    pub layer: usize,
}

/// The samples of all trials.
pub struct Data {
    pub train: Samples,
    pub test: Option<Samples>,
    pub place: Place,
    /// Those that the scaling is fitted to, if not all.
    pub scaling_samples: Option<u64>,
}

impl Data {
    /// The samples that trials are measured on.
    fn measured(&self) -> &Samples {
        self.test.as_ref().unwrap_or(&self.train)
    }
}

/// All trials, and how they are trained and measured.
pub struct Trials {
    pub list: Vec<Trial>,
    pub data: Data,
    /// The number of the hidden layer whose sparsity is measured, from 1, if it is given.
    pub layer: Option<usize>,
    pub measure: Measure,
    /// Of those that are trained to the end.
    pub steps: u64,
    /// Trials that are trained at the same time.
    pub jobs: usize,
    /// The file of the table, beside which are the models.
    pub table: PathBuf,
    pub quiet: bool,
}

/// What tells samples from others: a checksum, which are held out, and how they are scaled.
fn identity(samples: &Samples) -> Result<Value> {
    let scalings = [Some(samples), samples.targets()].map(|it| it.map(Samples::scaling));
    let data = TrainingData::of(samples)?;
    Ok(json!({"data": data, "scalings": scalings.map(|it| it.map(|it| format!("{it:?}")))}))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Trials {
    /// What identifies a sweep: with another definition it cannot be resumed.
    ///
    /// # Errors
    /// A sample cannot be read.
    pub fn definition(&self, halvings: u8) -> Result<Value> {
        let settings: Vec<_> =
            self.list.iter().map(|trial| settings_json(&trial.settings)).collect();
        let Data { train, test, .. } = &self.data;
        Ok(json!({
            "version": 3,
            "settings": settings,
            "steps": self.steps,
            "halvings": halvings,
            "sparsity": self.measure.to_string(),
            "layer": self.layer,
            "training": identity(train)?,
            "test": test.as_ref().map(identity).transpose()?,
        }))
    }

    /// Trains these trials up to `steps`, the last ones or not, except those that the journal has.
    pub fn train(
        &self,
        these: &[usize],
        (rung, steps, is_end): (u8, u64, bool),
        journal: &mut Journal,
    ) -> Result<()> {
        let (next, journal) = (AtomicUsize::new(0), Mutex::new(journal));
        let work = || -> Result<()> {
            while let Some(&trial) = these.get(next.fetch_add(1, Ordering::Relaxed)) {
                let known = lock(&journal).get(trial, rung);
                if interrupt::requested()
                    || known.is_some_and(|it| self.has_model(trial, &it, is_end))
                {
                    continue;
                }
                if let Some(outcome) = self.train_one(trial, steps, is_end)? {
                    // One that has lost its model alone is there already.
                    if known.is_none() {
                        lock(&journal).add(trial, rung, steps, outcome)?;
                    }
                    if is_end {
                        // Its model is all that is needed from now on.
                        remove_checkpoints(&self.table, [trial].into_iter());
                    }
                    self.report(trial, steps, &outcome);
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let jobs = (0..self.jobs.min(these.len())).map(|_| {
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

    /// Whether a trial's model is there, or is not needed.
    fn has_model(&self, trial: usize, outcome: &Outcome, is_end: bool) -> bool {
        !is_end || outcome.is_diverged() || sweeps::model_of(&self.table, trial).is_file()
    }

    /// Trains one trial up to `steps`, from its checkpoint if it has one.
    ///
    /// Saves its model at the end. `None` after a signal.
    fn train_one(&self, trial: usize, steps: u64, is_end: bool) -> Result<Option<Outcome>> {
        let path = checkpoint_of(&self.table, trial);
        let mut builder = Trainer::builder(self.list[trial].settings.clone());
        if path.exists() {
            let checkpoint = Checkpoint::load(&path)?;
            // One with more steps belongs to a rung that was lost from the journal.
            if checkpoint.steps() <= steps {
                builder = builder.resume(checkpoint);
            }
        }
        let mut trainer = builder.threads(1).build(&self.data.train)?;
        let history = history::path_of(&sweeps::model_of(&self.table, trial));
        let pace = Pace::of_steps(self.steps);
        let mut curves = Curves::begin((&history, None), pace, &trainer, self.data.test.as_ref())?;
        // All checkpoints have room for as long a note as the first.
        trainer.set_note(curves.sums.note());
        let mut checkpoints = Checkpoints::new(&path, 1, &trainer)?;
        let left = steps.saturating_sub(trainer.steps());
        let step = |trainer: &mut Trainer, report| {
            for problem in curves.step(trainer, report) {
                note(&format!("warning: {problem}"));
            }
            pace.ask(trainer);
            interrupt::control_flow()
        };
        pace.ask(&mut trainer);
        match trainer.run(left, step) {
            Err(Error::Diverged { .. }) => return Ok(Some(Outcome::DIVERGED)),
            done => done?,
        }
        trainer.set_note(curves.sums.note());
        checkpoints.save(&mut trainer)?;
        checkpoints.finish()?;
        if trainer.steps() < steps {
            return Ok(None);
        }
        if is_end {
            self.save(trial, &mut trainer)?;
        }
        let evaluation = trainer.evaluate(self.data.measured())?;
        let layer = self.list[trial].layer;
        let activity = &evaluation.layers[layer];
        let sparsity = match self.measure {
            Measure::L0 => activity.l0,
            _ => evaluation.mean_activations()[layer],
        };
        Ok(Some(Outcome {
            error: evaluation.squared_error,
            sparsity,
            explained_variance: evaluation.explained_variance,
            objective: evaluation.objective,
            dead: activity.dead_units().count(),
            tells_dead: activity.tells_dead_units(),
        }))
    }

    /// Saves a trial's model, with the record of a training that gives the same.
    fn save(&self, trial: usize, trainer: &mut Trainer) -> Result<()> {
        let model = sweeps::model_of(&self.table, trial);
        let Trial { fields, varied, .. } = &self.list[trial];
        let held_out = trainer.autoencoder().training_data().and_then(|data| data.held_out());
        let values = fields.iter().map(String::as_str).zip(varied.iter().map(String::as_str));
        let values: Vec<_> = values.collect();
        // The split is by one seed for all trials: a training with another seed has others.
        let is_own_split = held_out.is_none() || !fields.iter().any(|field| field == "seed");
        let options = recipe::json_of_trial(&values, self.steps).filter(|_| is_own_split);
        let mut run = options.unwrap_or_else(|| json!({}));
        run["steps"] = json!(self.steps);
        let test = self.data.test.as_ref().filter(|_| held_out.is_none());
        self.data.place.save(&model, test, Some(run))?;
        let mut course = Course::new(self.steps);
        course.scaling_samples = self.data.scaling_samples;
        course.keep_in(trainer.autoencoder_mut());
        Ok(trainer.autoencoder().save(&model)?)
    }

    fn report(&self, trial: usize, steps: u64, outcome: &Outcome) {
        if self.quiet {
            return;
        }
        let Trial { fields, varied, .. } = &self.list[trial];
        let names: Vec<String> = fields.iter().map(|field| field.replace('_', "-")).collect();
        let pairs = names.iter().map(String::as_str).zip(varied.iter().map(String::as_str));
        let varied = sweeps::described(&pairs.collect::<Vec<_>>());
        let (error, sparsity) = (short(outcome.error), short(outcome.sparsity));
        let measure = self.measure.name();
        note(&format!(
            "trial {trial}, {}: {varied}  squared error {error}  {measure} {sparsity}",
            counted(steps as usize, "step")
        ));
    }
}
