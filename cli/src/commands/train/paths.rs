//! The files that a training writes.

use std::path::{Path, PathBuf};

use sae::{Autoencoder, Trainer};

use super::args::Args;
use crate::data::place;
use crate::endings::check_ending;
use crate::failure::{Failure, Result};
use crate::history;
use crate::output::note;
use crate::outputs::{check_distinct, check_writable, make_folders};
use crate::runs;

/// The files of a training; of a new run with the name of a folder that is not made, until it is.
#[derive(Clone)]
pub struct Paths {
    pub model: PathBuf,
    pub picture: PathBuf,
    pub history: PathBuf,
    pub checkpoint: Option<PathBuf>,
    is_new_run: bool,
}

impl Paths {
    /// What the options name, and the defaults. Fails if two are one.
    pub fn of(args: &Args) -> Result<Self> {
        let resumed = match (&args.out, &args.checkpoint) {
            (None, None | Some(None)) if args.resume => latest()?,
            (None, Some(Some(path))) if args.resume => {
                let folder = path.parent().unwrap_or(path);
                Some(folder.to_owned()).filter(|folder| runs::is_of_run(&runs::model_in(folder)))
            }
            _ => None,
        };
        let is_new_run = args.out.is_none() && resumed.is_none();
        let folder = resumed.unwrap_or_else(runs::unmade);
        let model = args.out.clone().unwrap_or_else(|| runs::model_in(&folder));
        let paths = Self::beside(args, model, is_new_run);
        check_distinct(&paths.named())?;
        Ok(paths)
    }

    fn beside(args: &Args, model: PathBuf, is_new_run: bool) -> Self {
        let beside = |name: &str, ending: &str| match runs::is_of_run(&model) {
            true => runs::beside(&model, name, ending),
            false => model.with_extension(ending),
        };
        let picture = args.picture.clone().unwrap_or_else(|| beside("picture.png", "png"));
        let history = args.history.clone().unwrap_or_else(|| history::path_of(&model));
        let checkpoint = args.checkpoint.clone().flatten();
        let checkpoint = checkpoint.unwrap_or_else(|| beside(runs::CHECKPOINT, "ckpt"));
        let checkpoint = args.has_checkpoints().then_some(checkpoint);
        Paths { model, picture, history, checkpoint, is_new_run }
    }

    /// All of them, with what they are.
    fn named(&self) -> Vec<(&str, &Path)> {
        let mut named: Vec<(&str, &Path)> =
            vec![("model", &self.model), ("picture", &self.picture), ("history", &self.history)];
        named.extend(self.checkpoint.iter().map(|path| ("checkpoint", path.as_path())));
        named
    }

    pub fn outputs(&self) -> Vec<&Path> {
        self.named().into_iter().map(|(_, path)| path).collect()
    }

    /// Fails if one is there that would be replaced without `--overwrite` or `--resume`, or has another ending.
    pub fn check_existing(&self, args: &Args) -> Result<()> {
        let checkpoint = self.checkpoint.as_deref().filter(|path| path.is_file());
        if let (Some(path), false, false) = (checkpoint, args.resume, args.overwrite.overwrite) {
            return Err(Failure::at(path, "this checkpoint exists")
                .hint("--resume continues its training, --overwrite begins another"));
        }
        match (args.resume, checkpoint) {
            // A run that was killed before its first checkpoint has begun a history.
            (true, None) => args.overwrite.check(&[&self.model]),
            (true, Some(_)) => Ok(()),
            (false, _) => args.overwrite.check(&[&self.model, &self.picture, &self.history]),
        }?;
        let endings = [(&args.picture, "png"), (&args.history, "csv")];
        let mut given = endings.iter().filter_map(|(path, ending)| Some((path.as_ref()?, *ending)));
        given.try_for_each(|(path, ending)| check_ending(path, &[ending]))
    }

    /// Makes the folders. Of a resumed training fails if the model's file is that of another one.
    pub fn made(self, trainer: &Trainer, args: &Args) -> Result<Self> {
        if !args.overwrite.overwrite && self.model.is_file() {
            let own = trainer.autoencoder().settings();
            let is_own = Autoencoder::load(&self.model).is_ok_and(|net| net.settings() == own);
            if !is_own {
                let problem = "this file exists, and is no model of the training that is resumed";
                return Err(Failure::at(&self.model, problem)
                    .hint("give another name, or --overwrite to replace it"));
            }
        }
        let paths = match self.is_new_run {
            true => Self::beside(args, runs::model_in(&runs::make()?), true),
            false => self,
        };
        make_folders(&paths.outputs())?;
        check_writable(&paths.outputs())?;
        check_writable(&[&place::path_of(&paths.model)])?;
        Ok(paths)
    }
}

/// The folder of the latest run, to resume; None if there are no runs.
fn latest() -> Result<Option<PathBuf>> {
    let Some(folder) = runs::latest()? else { return Ok(None) };
    let checkpoint = folder.join(runs::CHECKPOINT);
    if !checkpoint.is_file() && runs::model_in(&folder).is_file() {
        let problem = "the latest run has no checkpoint to resume from";
        return Err(Failure::at(&folder, problem)
            .hint("name one, with --checkpoint FILE; or leave out --resume for a new run"));
    }
    note(&format!("resuming the run in {}", folder.display()));
    Ok(Some(folder))
}
