//! The record that a training writes beside its model: its options, and how it ended.

use std::fs;
use std::path::{Path, PathBuf, absolute};

use sae::{Autoencoder, Samples, Trainer, files::Course};
use serde_json::{Value, json};

use super::args::Args;
use super::paths::{Paths, resumed_folder};
use super::recorded::{Run, checkpoint_to_resume};
use crate::data::{Place, place};
use crate::failure::{Result, io_error};
use crate::output::{warn, write_file};
use crate::recipe;
use crate::runs;

/// The options of the training that `--resume` continues, with those that name its files.
///
/// It is found by the values of `--out` and `--checkpoint`. None if the options are not known.
pub fn options_of_resumed(
    out: Option<&Path>,
    checkpoint: Option<&Path>,
) -> Result<Option<Vec<String>>> {
    let model = match out {
        Some(out) => out.to_owned(),
        None => match resumed_folder(checkpoint)? {
            Some(folder) => runs::model_in(&folder),
            None => return Ok(None),
        },
    };
    let beside = checkpoint_to_resume(&model);
    let checkpoint = checkpoint.unwrap_or(&beside);
    let Some(run) = Run::of(&model)? else { return Ok(None) };
    let is_own = match checkpoint.is_file() {
        true => run.is_of(checkpoint),
        // The record of a model that is there is of a training that has ended.
        false => run.is_replaced || !model.is_file(),
    };
    // A training that was moved has its files beside the model.
    let is_there = |path: &Path| path.parent().is_some_and(Path::is_dir);
    let files = run.elsewhere.iter().filter(|(_, path)| is_there(path));
    let files = files.filter_map(|(option, path)| Some(format!("--{option}={}", path.to_str()?)));
    let arguments = run.arguments.filter(|_| is_own);
    Ok(arguments.map(|arguments| arguments.into_iter().chain(files).collect()))
}

/// The record that a training writes.
pub struct Record<'a> {
    args: &'a Args,
    paths: &'a Paths,
    place: Place,
    test: Option<&'a Samples>,
    /// What the model's own file says.
    course: Course,
    /// None if the options do not give the whole training.
    options: Option<Value>,
    /// The steps of the whole training.
    steps: u64,
    earlier: Option<Run>,
    /// The content of the file before.
    before: Option<Vec<u8>>,
}

impl<'a> Record<'a> {
    /// The record of a training with these options, files and data.
    ///
    /// `is_own` is whether the options of this process give the whole training, `decays` whether the learning rate
    /// of the training that is resumed follows a schedule of its own number of steps.
    pub fn new(
        (args, paths, course): (&'a Args, &'a Paths, Course),
        (place, test): (Place, Option<&'a Samples>),
        (is_own, decays): (bool, bool),
    ) -> Self {
        // What is damaged there is replaced.
        let earlier = Run::of(&paths.model).ok().flatten();
        let options = if is_own { recipe::json() } else { None };
        let before = if runs::is_device(&paths.model) {
            None
        } else {
            fs::read(place::path_of(&paths.model)).ok()
        };
        let steps = args.steps();
        let mut record =
            Record { args, paths, place, test, course, options, steps, earlier, before };
        // Fewer steps are then a part of the training.
        if let (Some(run), true) = (&record.earlier, decays && recipe::is_recorded())
            && let Some(steps) = run.steps.filter(|&steps| steps > args.steps())
        {
            record.steps = steps;
            if let Some(options) = &mut record.options {
                options["arguments"] = json!(run.arguments);
            }
        }
        record
    }

    /// Writes it when the training begins, so that it is there whenever it ends.
    pub fn begin(&self, trainer: &Trainer, resumes: bool) -> Result<()> {
        if resumes && !self.args.sharded && !recipe::is_recorded() {
            warn(
                "the options of the training that is resumed are not recorded beside its model: those \
                 given now are taken, also --revive, --patience and --evaluate-every",
            );
        }
        let is_replaced = self.earlier.as_ref().is_some_and(|run| run.is_replaced);
        let replaces = (!resumes || is_replaced) && self.paths.model.is_file();
        // Without a checkpoint nothing can be resumed, and the old model keeps its record until it is replaced.
        if self.args.sharded || resumes && self.is_over(trainer) {
            return Ok(());
        }
        if replaces && self.paths.checkpoint.is_none() {
            return Ok(());
        }
        let interrupted = self.earlier.as_ref().and_then(|run| run.interrupted);
        let interrupted = interrupted.map(|(step, _)| step).filter(|_| resumes);
        self.write(trainer, interrupted, replaces)
    }

    /// Takes back what [`Record::begin`] has written, of a training that failed before its first step.
    pub fn withdraw(&self) {
        let path = place::path_of(&self.paths.model);
        if runs::is_device(&self.paths.model) {
            return;
        }
        // The failure itself is what the person is told.
        let _ = match &self.before {
            Some(before) => write_file(&path, before),
            None => fs::remove_file(&path).map_err(|e| io_error("remove", &path)(e).into()),
        };
    }

    /// Writes into the model what its file says of the training.
    ///
    /// A training that has taken all its steps already keeps what the file says.
    pub fn keep_in(&mut self, trainer: &mut Trainer, interrupted: bool, took_steps: bool) {
        if self.args.sharded {
            return;
        }
        let before = (!took_steps).then(|| Autoencoder::load(&self.paths.model).ok()).flatten();
        if let Some(before) = before.filter(|before| !before.notes().is_empty()) {
            trainer.autoencoder_mut().notes_mut().clone_from(before.notes());
            return;
        }
        self.course.steps = self.steps;
        self.course.interrupted = self.step_of_end(trainer, interrupted);
        self.course.keep_in(trainer.autoencoder_mut());
    }

    /// The step after which the training ends, if these are not all.
    fn step_of_end(&self, trainer: &Trainer, interrupted: bool) -> Option<u64> {
        let ends_early = interrupted || self.steps > self.args.steps();
        ends_early.then(|| trainer.steps()).filter(|&step| step < self.steps)
    }

    /// Writes it with the model. A training that has taken all its steps already keeps the record it has.
    pub fn end(&self, trainer: &Trainer, interrupted: bool, took_steps: bool) -> Result<()> {
        let is_other = self.earlier.as_ref().is_some_and(|run| {
            let options = self.options.as_ref().map(|options| json!(options["arguments"]));
            run.arguments.is_some() && options != Some(json!(run.arguments))
        });
        if self.args.sharded || !took_steps && is_other {
            return Ok(());
        }
        self.write(trainer, self.step_of_end(trainer, interrupted), false)
    }

    /// The files of the data, and folders of PNGs.
    pub fn paths(&self) -> Result<Vec<PathBuf>> {
        self.place.paths()
    }

    fn is_over(&self, trainer: &Trainer) -> bool {
        trainer.is_over() || trainer.steps() >= self.args.steps()
    }

    fn write(&self, trainer: &Trainer, interrupted: Option<u64>, replaces: bool) -> Result<()> {
        let mut run = self.options.clone().unwrap_or_else(|| json!({}));
        run["steps"] = json!(self.steps);
        if let Some(step) = interrupted {
            run["interrupted"] = json!(step);
        }
        if replaces {
            run["replaces"] = json!(true);
        }
        let checkpoint = self.paths.checkpoint.as_ref();
        if let Some(path) = checkpoint.and_then(|path| absolute(path).ok()) {
            run["checkpoint"] = json!(path.to_str());
        }
        for (option, path) in self.paths.elsewhere() {
            run[option] = json!(path.to_str());
        }
        let data = trainer.autoencoder().training_data();
        let is_split = data.is_some_and(|data| data.held_out().is_some());
        self.place.save(&self.paths.model, self.test.filter(|_| !is_split), Some(run))
    }
}
