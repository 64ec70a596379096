//! What the file beside a model says of its training.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf, absolute};

use serde_json::{Value, json};

use crate::data::place;
use crate::failure::{Failure, Result, io_error};
use crate::recipe;
use crate::runs;

/// What the file beside a model says of its training.
pub struct Run {
    /// The options that repeat it, if it has them.
    pub arguments: Option<Vec<String>>,
    /// The step after which it was interrupted, of how many.
    pub interrupted: Option<(u64, u64)>,
    /// Another training that was to replace the model has begun.
    pub is_replaced: bool,
    pub checkpoint: Option<PathBuf>,
    /// The options that put files elsewhere than beside the model, and their whole paths.
    pub elsewhere: Vec<(&'static str, PathBuf)>,
    /// The steps of the whole training; older ones have the options alone.
    pub steps: Option<u64>,
}

impl Run {
    /// Of a model; None if there is no such file. Fails if it is damaged.
    pub fn of(model: &Path) -> Result<Option<Self>> {
        if runs::is_device(model) {
            return Ok(None);
        }
        let path = place::path_of(model);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read", &path)(error).into()),
        };
        let damaged = || {
            Failure::at(&path, "damaged: it is no record of a training")
                .hint("copy it again from where the model was trained, or remove it")
        };
        let value: Value = serde_json::from_slice(&text).map_err(|_| damaged())?;
        if !value.is_object() {
            return Err(damaged());
        }
        let run = &value["run"];
        let arguments = match &run["arguments"] {
            Value::Null => None,
            Value::Array(texts) => {
                let texts = texts.iter().map(|text| text.as_str().map(str::to_owned));
                Some(texts.collect::<Option<_>>().ok_or_else(damaged)?)
            }
            _ => return Err(damaged()),
        };
        let steps = run["interrupted"].as_u64().zip(run["steps"].as_u64());
        Ok(Some(Run {
            arguments,
            interrupted: steps,
            is_replaced: run["replaces"] == json!(true),
            checkpoint: run["checkpoint"].as_str().map(PathBuf::from),
            elsewhere: ["picture", "history", "log"]
                .into_iter()
                .filter_map(|option| Some((option, run[option].as_str()?.into())))
                .collect(),
            steps: run["steps"].as_u64(),
        }))
    }

    /// The options that repeat the training of the model as it is.
    pub fn into_arguments(self) -> Option<Vec<String>> {
        self.arguments.filter(|_| !self.is_replaced)
    }

    /// `interrupted after step 130 of 300`, if it was.
    pub fn interruption(&self) -> Option<String> {
        let (step, steps) = self.interrupted?;
        Some(format!("interrupted after step {step} of {steps}"))
    }

    /// Whether the training wrote this checkpoint, as far as that is known: the files may have been moved.
    pub fn is_of(&self, checkpoint: &Path) -> bool {
        let own = self.checkpoint.as_ref();
        let is_other =
            |own: &PathBuf| own.is_file() && absolute(checkpoint).ok().as_ref() != Some(own);
        if self.steps.is_some() { own.is_some_and(|own| !is_other(own)) } else { true }
    }

    /// The command that continues it, if there is its checkpoint.
    pub fn continuation(&self, model: &Path) -> Option<String> {
        let moved = runs::checkpoint_of(model);
        let mut all = [self.checkpoint.as_ref()?, &moved].into_iter();
        let checkpoint = all.find(|path| path.is_file())?;
        let latest = runs::latest().ok().flatten().map(|folder| runs::model_in(&folder));
        let whole = |path: &Path| absolute(path).ok();
        let is_latest = latest.is_some_and(|latest| whole(&latest) == whole(model));
        if is_latest && checkpoint.file_name() == Some(runs::CHECKPOINT.as_ref()) {
            return Some(recipe::command(&["--resume".to_owned()]));
        }
        let mut options = vec!["--resume".to_owned(), "--out".to_owned()];
        options.push(model.display().to_string());
        if whole(checkpoint) != whole(&checkpoint_to_resume(model)) {
            options.extend(["--checkpoint".to_owned(), checkpoint.display().to_string()]);
        }
        Some(recipe::command(&options))
    }
}

/// The checkpoint to resume from without a name for it.
///
/// It is that beside the model, or else the recorded one if it is there.
pub fn checkpoint_to_resume(model: &Path) -> PathBuf {
    let beside = runs::checkpoint_of(model);
    let run = if beside.is_file() { None } else { Run::of(model).ok().flatten() };
    run.and_then(|run| run.checkpoint).filter(|path| path.is_file()).unwrap_or(beside)
}
