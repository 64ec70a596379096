//! What a training prints at its end.

use std::time::Duration;

use sae::{Samples, Trainer};
use serde_json::{Value, json};

use super::args::Args;
use super::paths::Paths;
use crate::drawing::picture;
use crate::failure::{Failure, Result};
use crate::output::{evaluation_json, evaluation_text, print, settings_json};

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
    pub ranks: usize,
}

impl Done<'_> {
    /// Evaluates the model on the test or training samples, draws its picture and prints.
    pub fn report(self, mut trainer: Trainer, samples: &Samples, name: &str) -> Result<()> {
        let (args, Paths { model, picture, history, .. }) = (self.args, &self.paths);
        let mut value = json!({
            "model": model,
            "picture": Value::Null,
            "history": history,
            "steps": trainer.steps(),
            "seconds": self.time.as_secs_f64(),
            "interrupted": self.interrupted.is_some(),
            "isa": trainer.parts().0.isa().name(),
            "threads": trainer.parts().0.threads(),
            "ranks": self.ranks,
            "communication_seconds": trainer.communication_time().as_secs_f64(),
            "settings": settings_json(trainer.autoencoder().settings()),
        });
        let model = model.display();
        let stopped = format!("stopped after step {}\n", trainer.steps());
        let evaluation = trainer.evaluate(samples)?;
        let net = trainer.autoencoder().clone();
        let drawn = picture::reconstructions(picture, &net, trainer.parts().0, samples, SHOWN)?;
        if drawn {
            value["picture"] = json!(picture);
        }
        value[name] = evaluation_json(&net, &evaluation);
        let mut text = if self.interrupted.is_some() { stopped } else { String::new() };
        if !args.quiet && self.interrupted.is_none() {
            text += &self.speed(&trainer);
        }
        text += &evaluation_text(&format!("{name} objective"), &net, &evaluation, false);
        text += &format!("model: {model}\nhistory: {}\n", history.display());
        text += &match drawn {
            true => format!("picture: {}", picture.display()),
            false => format!("no picture: {} features are not a square image", samples.features()),
        };
        print(args.json, &value, &text)?;
        self.interrupted.map_or(Ok(()), |signal| Err(Failure::interrupted(signal)))
    }

    /// A line of text.
    fn speed(&self, trainer: &Trainer) -> String {
        let (steps, seconds) = (self.steps, self.time.as_secs_f64());
        let rate = if seconds > 0.0 { steps as f64 / seconds } else { 0.0 };
        let mut text = format!("{steps} steps in {seconds:.1} s, {rate:.0} steps/s");
        if self.ranks > 1 && seconds > 0.0 {
            let share = 100.0 * trainer.communication_time().as_secs_f64() / seconds;
            text += &format!(", {share:.0} % of the time in communication");
        }
        text + "\n"
    }
}
