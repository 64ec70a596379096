//! What a training says of itself: in the first line of its log, and at its end.

use std::path::absolute;
use std::time::Duration;

use sae::{Samples, Trainer};
use serde_json::{Value, json};

use super::args::Args;
use super::fit::Fit;
use super::paths::Paths;
use super::record::Record;
use super::recorded::Run as RunRecord;
use super::run::Run;
use crate::data::place;
use crate::drawing::picture;
use crate::failure::{Failure, Result};
use crate::output::{counted, evaluation_json, evaluation_text, print, readable, settings_json};
use crate::ranks::Job;
use crate::recipe;
use crate::runs;

/// Test samples in the picture.
const SHOWN: usize = 20;

/// A training that has ended.
pub struct Done<'a> {
    pub args: &'a Args,
    pub paths: Paths,
    pub time: Duration,
    /// Steps of this run, without those before a checkpoint.
    pub steps: u64,
    /// The signal that ended it.
    pub interrupted: Option<u8>,
    /// Early stopping has ended it.
    pub is_over: bool,
    pub ranks: usize,
}

impl Done<'_> {
    /// Evaluates the model on the test or training samples, draws its picture and prints.
    pub fn report(
        self,
        mut trainer: Trainer,
        (train, test): (&Samples, Option<&Samples>),
        run: &mut Run<'_>,
    ) -> Result<()> {
        let (args, Paths { model, picture, history, .. }) = (self.args, &self.paths);
        let mut value = self.summary(&mut trainer);
        let model = model.display();
        let stopped = format!("stopped after step {}\n", trainer.steps());
        let (samples, name) = test.map_or((train, "training"), |test| (test, "test"));
        let evaluation = trainer.evaluate(samples)?;
        let fit = test.map(|_| Fit::of(&mut trainer, train, &evaluation, args)).transpose()?;
        let net = trainer.autoencoder().clone();
        value[name] = evaluation_json(&net, &evaluation);
        if let Some(Fit { explained_variance, warnings }) = &fit {
            value["training_explained_variance"] = json!(explained_variance);
            let all = value[name]["warnings"].as_array_mut().into_iter();
            all.for_each(|all| all.extend(warnings.iter().map(|warning| json!(warning))));
        }
        run.log_end(trainer.steps(), self.end(name, &value[name]));
        let drawn =
            picture::reconstructions(picture, &net, trainer.parts().0, samples, (SHOWN, None))?;
        if drawn {
            value["picture"] = json!(readable(picture));
        }
        let mut text = if self.interrupted.is_some() { stopped } else { String::new() };
        if !args.quiet && self.interrupted.is_none() {
            text += &self.speed(&trainer);
        }
        text += &evaluation_text(&format!("{name} objective"), &net, &evaluation, false);
        for warning in fit.iter().flat_map(|fit| &fit.warnings) {
            text += &format!("warning: {warning}\n");
        }
        text += &format!("model: {model}\nhistory: {}\n", history.display());
        if let Some(log) = &self.paths.log {
            text += &format!("log: {}\n", log.display());
        }
        text += &match drawn {
            true => format!("picture: {}", picture.display()),
            false => "no picture: the samples are not images".to_owned(),
        };
        text += &self.last_lines(trainer.steps());
        match print(args.json, &value, &text) {
            // Whoever closed the pipe has the model.
            Err(failure) if failure.is_closed_pipe() => {}
            printed => printed?,
        }
        self.interrupted.map_or(Ok(()), |signal| Err(Failure::interrupted(signal)))
    }

    /// What the JSON of a training has besides its evaluation.
    fn summary(&self, trainer: &mut Trainer) -> Value {
        let Paths { model, history, .. } = &self.paths;
        json!({
            "model": readable(model),
            "picture": Value::Null,
            "history": readable(history),
            "log": self.paths.log.as_ref().map(readable),
            "record": Some(place::path_of(model)).filter(|record| record.is_file()).map(readable),
            "steps": trainer.steps(),
            "seconds": self.time.as_secs_f64(),
            "interrupted": self.interrupted.is_some(),
            "isa": trainer.parts().0.isa().name(),
            "threads": trainer.parts().0.threads(),
            "ranks": self.ranks,
            "communication_seconds": trainer.communication_time().as_secs_f64(),
            "settings": settings_json(trainer.autoencoder().settings()),
        })
    }

    /// The record, and how an interrupted training goes on.
    fn last_lines(&self, step: u64) -> String {
        let (model, mut text) = (&self.paths.model, String::new());
        let record = place::path_of(model);
        if record.is_file() {
            let what = "where the data are and how to repeat the training, for later commands";
            text += &format!("\nrecord: {} ({what})", record.display());
        }
        let left = self.args.steps().saturating_sub(step);
        if self.interrupted.is_none() || left == 0 || runs::is_device(model) {
            return text;
        }
        let continuation =
            RunRecord::of(model).ok().flatten().and_then(|it| it.continuation(model));
        text + &match continuation {
            Some(command) => format!("\nto continue: {command}"),
            None => {
                let model = model.display().to_string();
                let options = ["--from".to_owned(), model, "--steps".to_owned(), left.to_string()];
                let command = recipe::command(&options);
                format!(
                    "\nno checkpoint: {command} trains this model further, --checkpoint keeps one"
                )
            }
        }
    }

    /// The last line of the log.
    fn end(&self, name: &str, evaluation: &Value) -> Value {
        let reason = match (self.interrupted, self.is_over) {
            (Some(_), _) => "interrupted",
            (None, true) => "early-stopping",
            (None, false) => "completed",
        };
        let mut evaluation = evaluation.clone();
        for layer in evaluation["hidden_layers"].as_array_mut().into_iter().flatten() {
            if let Some(layer) = layer.as_object_mut() {
                layer.retain(|name, _| !name.ends_with("histogram"));
            }
        }
        let seconds = self.time.as_secs_f64();
        json!({"reason": reason, "seconds": seconds, "steps_taken": self.steps, name: evaluation})
    }

    /// A line of text.
    fn speed(&self, trainer: &Trainer) -> String {
        let (steps, seconds) = (self.steps, self.time.as_secs_f64());
        let rate = if seconds > 0.0 { steps as f64 / seconds } else { 0.0 };
        let mut text =
            format!("{} in {seconds:.1} s, {rate:.0} steps/s", counted(steps as usize, "step"));
        if self.ranks > 1 && seconds > 0.0 {
            let share = 100.0 * trainer.communication_time().as_secs_f64() / seconds;
            text += &format!(", {share:.0} % of the time in communication");
        }
        text + "\n"
    }
}

/// The first line of the log: what is trained, how and on what. Only rank 0 has a record.
pub fn start(
    (args, job): (&Args, &Job),
    trainer: &mut Trainer,
    (train, test): (&Samples, Option<&Samples>),
    record: Option<&Record<'_>>,
) -> Result<Value> {
    let Some(record) = record else { return Ok(Value::Null) };
    let settings = settings_json(trainer.autoencoder().settings());
    let engine = trainer.parts().0;
    let files = record.paths()?.into_iter().map(|path| absolute(&path).unwrap_or(path));
    let files: Vec<_> = files.map(readable).collect();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "arguments": recipe::json().map(|recipe| recipe["arguments"].clone()),
        "settings": settings,
        "steps": args.steps(),
        "data": {
            "files": files,
            "samples": train.len(),
            "features": train.features(),
            "test_samples": test.map_or(0, Samples::len),
        },
        "ranks": job.count(),
        "threads": engine.threads(),
        "isa": engine.isa().name(),
    }))
}
