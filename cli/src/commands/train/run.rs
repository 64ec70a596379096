//! What a training does between its steps.

use std::ops::ControlFlow;

use sae::{Samples, StepReport, Trainer, files::Checkpoints};
use serde_json::{Value, json};

use super::args::Args;
use super::course::{Curves, Log, Pace, Sums};
use super::paths::Paths;
use super::progress::Progress;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::output::{self, counted, short};
use crate::ranks::Job;

/// What happens between the steps of a training; most of it only in rank 0.
pub struct Run<'a> {
    args: &'a Args,
    /// In rank 0.
    paths: Option<Paths>,
    train: &'a Samples,
    test: Option<&'a Samples>,
    is_rank_0: bool,
    progress: Progress,
    pace: Pace,
    curves: Option<Curves>,
    checkpoints: Option<Checkpoints>,
}

impl<'a> Run<'a> {
    pub fn new(
        (args, paths): (&'a Args, Option<Paths>),
        job: &mut Job,
        (train, test): (&'a Samples, Option<&'a Samples>),
        trainer: &mut Trainer,
    ) -> Result<Self> {
        let is_rank_0 = job.is_rank_0();
        // Checkpoints have room for one of this length.
        trainer.set_note(Sums::of(trainer).note());
        let path = paths.as_ref().and_then(|paths| paths.checkpoint.as_ref());
        let checkpoints = path.map(|path| Checkpoints::new(path, args.keep().into(), trainer));
        let checkpoints = job.agree(checkpoints.transpose().map_err(Failure::from))?;
        let mut progress = Progress::new(args.steps(), is_rank_0, !args.quiet, !args.json);
        let of_rank = if args.sharded && job.count() > 1 { " of rank 0" } else { "" };
        let data = format!("{}{of_rank}", counted(train.len(), "sample"));
        progress.begin(trainer, &data, job.count());
        if let (Some(_), Some(target)) = (args.patience, trainer.autoencoder().settings().target) {
            progress.note(&format!(
                "early stopping counts from step {}, where the penalties' weights are frozen",
                target.steps
            ));
        }
        let (pace, curves) = (Pace::of(args), None);
        Ok(Run { args, paths, train, test, is_rank_0, progress, pace, curves, checkpoints })
    }

    pub fn pretrain(&self, trainer: &mut Trainer, steps: u64) -> Result<()> {
        let each = |_: &mut Trainer, _| interrupt::control_flow();
        Ok(trainer.pretrain(self.train, steps, each, |layer, shallow, inputs| {
            if self.is_rank_0 {
                let loss = short(shallow.evaluate(inputs)?.loss);
                self.progress.note(&format!("pretrained layer {}: loss {loss}", layer + 1));
            }
            Ok(())
        })?)
    }

    /// Begins the history, and the log with what `start` says unless there is no step to take.
    pub fn begin_curves(&mut self, trainer: &Trainer, left: u64, start: Value) -> Result<()> {
        let Some(paths) = &self.paths else { return Ok(()) };
        let step = trainer.steps();
        let log = paths.log.as_ref().filter(|_| left > 0 || step == 0);
        let log = log.map(|path| Log::begin(path, step, start)).transpose()?;
        let files = (&*paths.history, log);
        self.curves = Some(Curves::begin(files, self.pace, trainer, self.test)?);
        Ok(())
    }

    /// Writes the end of the log, once.
    pub fn log_end(&mut self, step: u64, end: Value) {
        let log = self.curves.as_mut().and_then(|curves| curves.log.as_mut());
        if let Some(problem) = log.and_then(|log| log.end(step, end)) {
            self.progress.note(&format!("warning: {problem}"));
        }
    }

    /// Writes that the training has failed, unless the log has its end.
    pub fn log_failure(&mut self, step: u64, failure: &Failure) {
        self.log_end(step, json!({"reason": "failed", "error": failure.problem}));
    }

    /// Takes `steps` steps, or fewer if a signal or early stopping ends the training.
    pub fn train(&mut self, trainer: &mut Trainer, steps: u64) -> Result<()> {
        let mut failed = Ok(());
        self.pace.ask(trainer);
        let trained =
            trainer.run(steps, |trainer, report| match self.after_step(trainer, report) {
                Ok(true) => interrupt::control_flow(),
                Ok(false) => ControlFlow::Break(()),
                Err(failure) => {
                    failed = Err(failure);
                    ControlFlow::Break(())
                }
            });
        self.progress.end();
        trained.map_err(Failure::from).and(failed)
    }

    /// Reports, records and saves a step. Returns whether to continue.
    fn after_step(&mut self, trainer: &mut Trainer, report: StepReport) -> Result<bool> {
        self.progress.step(trainer, report);
        if let Some(curves) = &mut self.curves {
            for problem in curves.step(trainer, report) {
                self.progress.note(&format!("warning: {problem}"));
            }
        }
        let continues = self.revive_and_evaluate(trainer);
        // Afterwards, so that revived units are in the checkpoint.
        if trainer.steps().is_multiple_of(self.args.checkpoint_every())
            && let Err(error) = self.save(trainer)
        {
            self.progress.note(&format!("warning: {error}; the training continues"));
        }
        self.pace.ask(trainer);
        continues
    }

    /// Saves a checkpoint, with what the history has of the steps since its last row.
    fn save(&mut self, trainer: &mut Trainer) -> sae::Result<()> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
        if let Some(curves) = &self.curves {
            trainer.set_note(curves.sums.note());
        }
        checkpoints.save(trainer)
    }

    /// Revives dead units and evaluates for early stopping, at the steps for that.
    ///
    /// Returns whether to continue.
    fn revive_and_evaluate(&mut self, trainer: &mut Trainer) -> Result<bool> {
        let (args, step) = (self.args, trainer.steps());
        if args.revive.is_some_and(|every| step.is_multiple_of(every)) && step < args.steps() {
            let count = trainer.revive(self.train)?;
            if let Some(curves) = &mut self.curves {
                curves.sums.revived += count as u64;
            }
            if count > 0 {
                self.progress
                    .note(&format!("step {step}: {} revived", output::counted(count, "dead unit")));
            }
        }
        let evaluates = args.patience.is_some() && self.is_rank_0 && !trainer.is_over();
        if evaluates && step.is_multiple_of(args.evaluate_every) {
            let objective = trainer.evaluate(self.test.unwrap_or(self.train))?.objective;
            if trainer.observe(objective) {
                self.report_early_stop(step);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Says that a resumed training takes no step.
    pub fn report_no_steps(&self, step: u64) {
        self.progress.note(&format!("already at step {step}"));
    }

    pub fn report_early_stop(&self, step: u64) {
        let evaluations = counted(self.args.patience.unwrap_or(0) as usize, "evaluation");
        self.progress.note(&format!("step {step}: no improvement in {evaluations}"));
    }

    /// Writes the last checkpoint, whose failure is returned, and takes the best network.
    pub fn end(&mut self, trainer: &mut Trainer) -> Result<()> {
        if !trainer.steps().is_multiple_of(self.args.checkpoint_every()) {
            // Returns the failure of an earlier one, which was reported; `finish` returns its own.
            let _ = self.save(trainer);
        }
        let checkpoints = self.checkpoints.take();
        let last_checkpoint = checkpoints.map_or(Ok(()), |mut checkpoints| checkpoints.finish());
        if let Some((objective, step)) = trainer.restore_best() {
            self.progress.note(&format!("best: step {step}, objective {}", short(objective)));
        }
        Ok(last_checkpoint?)
    }
}
