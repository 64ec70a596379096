//! The files that a training writes.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf, absolute};

use sae::{Autoencoder, Trainer, files::Checkpoint};

use super::args::Args;
use super::course::is_log;
use super::recorded::{Run, checkpoint_to_resume};
use crate::data::{Place, place};
use crate::drawing::picture::is_own_png;
use crate::endings::{check_ending, ending_of};
use crate::failure::{Failure, Result, io_error};
use crate::history;
use crate::output::tell;
use crate::outputs::{Lock, check_distinct, check_writable, make_folders};
use crate::runs;
use crate::sweeps;

/// The files of a training; of a new run with the name of a folder that is not made, until it is.
#[derive(Clone)]
pub struct Paths {
    pub model: PathBuf,
    pub picture: PathBuf,
    pub history: PathBuf,
    pub log: Option<PathBuf>,
    pub checkpoint: Option<PathBuf>,
    /// Checkpoints that are kept, with the newest.
    keep: usize,
    is_new_run: bool,
}

impl Paths {
    /// What the options name, and the defaults. Fails if two are one.
    pub fn of(args: &Args) -> Result<Self> {
        let given = args.checkpoint.as_ref().and_then(Option::as_deref);
        let resumed = match args.out {
            None if args.resume => resumed_folder(given)?,
            _ => None,
        };
        if let Some(folder) = &resumed {
            tell(&format!("resuming the run in {}", folder.display()));
        }
        let is_new_run = args.out.is_none() && resumed.is_none();
        let folder = resumed.unwrap_or_else(runs::unmade);
        let model = args.out.clone().unwrap_or_else(|| runs::model_in(&folder));
        let paths = Self::beside(args, model, is_new_run);
        let named = paths.named();
        let named: Vec<_> = named.iter().map(|(name, path)| (*name, path.as_path())).collect();
        check_distinct(&named)?;
        Ok(paths)
    }

    fn beside(args: &Args, model: PathBuf, is_new_run: bool) -> Self {
        let picture = args.picture.clone().unwrap_or_else(|| picture_of(&model));
        let history = args.history.clone().unwrap_or_else(|| history::path_of(&model));
        let log = args.log.clone().or_else(|| log_of(&model));
        let checkpoint = args.checkpoint.clone().flatten();
        let checkpoint = checkpoint.unwrap_or_else(|| match args.resume {
            true => checkpoint_to_resume(&model),
            false => runs::checkpoint_of(&model),
        });
        let checkpoint = args.has_checkpoints().then_some(checkpoint);
        let keep = args.keep().into();
        Paths { model, picture, history, log, checkpoint, keep, is_new_run }
    }

    /// All files that the training writes, with what they are.
    fn named(&self) -> Vec<(&str, PathBuf)> {
        let mut named = vec![
            ("model", self.model.clone()),
            ("picture", self.picture.clone()),
            ("history", self.history.clone()),
            ("record of the data and options", place::path_of(&self.model)),
        ];
        named.extend(self.log.iter().map(|path| ("log", path.clone())));
        named.extend(self.checkpoint.iter().map(|path| ("checkpoint", path.clone())));
        named.extend(self.earlier().into_iter().map(|path| ("earlier checkpoint", path)));
        named
    }

    /// The checkpoints before the newest, as far as they are kept.
    fn earlier(&self) -> Vec<PathBuf> {
        let of = |path| (1..self.keep).map(move |n| Checkpoint::earlier(path, n));
        self.checkpoint.iter().flat_map(of).collect()
    }

    /// The files that options can put elsewhere than beside the model.
    ///
    /// The option, the path, and the path beside the model.
    fn optional(&self) -> Vec<(&'static str, PathBuf, Option<PathBuf>)> {
        let [picture, history] = [picture_of(&self.model), history::path_of(&self.model)];
        let mut all = vec![
            ("picture", self.picture.clone(), Some(picture)),
            ("history", self.history.clone(), Some(history)),
        ];
        all.extend(self.log.iter().map(|path| ("log", path.clone(), log_of(&self.model))));
        all
    }

    /// The files that options have put elsewhere than beside the model: the option, and the whole path.
    pub fn elsewhere(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        let all = self.optional().into_iter();
        all.filter_map(|(option, path, beside)| {
            let whole = absolute(&path).ok()?;
            let is_beside = beside.and_then(|path| absolute(path).ok()).as_ref() == Some(&whole);
            (!is_beside).then_some((option, whole))
        })
    }

    /// Whether a file that is there is one of the training that is resumed, by the record beside its model.
    fn is_own(
        &self,
        (option, path, beside): &(&str, PathBuf, Option<PathBuf>),
        checkpoint: Option<&Path>,
    ) -> bool {
        let whole = |path: &Path| absolute(path).ok();
        let is_beside = beside.as_deref().and_then(whole) == whole(path);
        match Run::of(&self.model).ok().flatten() {
            Some(run) => match run.elsewhere.iter().find(|(own, _)| own == option) {
                Some((_, own)) => Some(own) == whole(path).as_ref(),
                None => is_beside,
            },
            // Other files tell by their first line.
            None => *option != "picture" || is_beside && checkpoint.is_some(),
        }
    }

    pub fn outputs(&self) -> Vec<PathBuf> {
        self.named().into_iter().map(|(_, path)| path).collect()
    }

    /// The checkpoint to resume from, if it is there.
    pub fn resumed(&self, args: &Args) -> Option<&Path> {
        self.checkpoint.as_deref().filter(|path| args.resume && path.exists())
    }

    /// Says that there is no checkpoint to resume from.
    pub fn note_missing(&self, args: &Args) {
        if let (Some(path), true, None) = (&self.checkpoint, args.resume, self.resumed(args)) {
            let missing = match self.is_new_run && args.checkpoint.iter().flatten().next().is_none()
            {
                true => "no run to resume".to_owned(),
                false => format!("no checkpoint {}", path.display()),
            };
            tell(&format!("{missing}: starting anew"));
        }
    }

    /// Fails if a file is there that would be replaced, or has another ending.
    ///
    /// `--overwrite` replaces any, `--resume` those of the training that is resumed.
    pub fn check_existing(&self, args: &Args) -> Result<()> {
        let checkpoint = self.checkpoint.as_deref().filter(|path| path.is_file());
        if let (Some(path), false, false) = (checkpoint, args.resume, args.overwrite.overwrite) {
            return Err(Failure::at(path, "this checkpoint exists")
                .hint("--resume continues its training, --overwrite begins another"));
        }
        let earlier = self.earlier();
        let earlier: Vec<&Path> = earlier.iter().map(PathBuf::as_path).collect();
        // That of a checkpoint to resume from is checked once that is loaded.
        if !args.resume || checkpoint.is_none() {
            args.overwrite.check(&[&[&*self.model], &earlier[..]].concat())?;
        }
        if args.resume && !args.overwrite.overwrite {
            check_own(&self.history, |start| begins(start, history::is_header), "history")?;
            self.log
                .as_deref()
                .map_or(Ok(()), |log| check_own(log, |start| begins(start, is_log), "log"))?;
            check_own(&self.picture, is_own_png, "picture")?;
        }
        let files = self.optional();
        let foreign = files.iter().filter(|file| !args.resume || !self.is_own(file, checkpoint));
        args.overwrite.check(&foreign.map(|(_, path, _)| &**path).collect::<Vec<_>>())?;
        let record = place::path_of(&self.model);
        // That of a training without its model, which was killed or whose model was removed, is replaced.
        if !matches!(Place::of_model(&self.model), Ok(Some(_))) {
            args.overwrite.check(&[&record])?;
        }
        self.check_model_ending(args)?;
        let endings = [(&args.picture, "png"), (&args.history, "csv"), (&args.log, "jsonl")];
        let mut given = endings.iter().filter_map(|(path, ending)| Some((path.as_ref()?, *ending)));
        given.try_for_each(|(path, ending)| check_ending(path, &[ending]))
    }

    /// Fails if the model's name is that of another kind of file.
    fn check_model_ending(&self, args: &Args) -> Result<()> {
        const OTHERS: [&str; 16] = [
            "png", "jpg", "svg", "npy", "npz", "csv", "json", "jsonl", "html", "ckpt", "idx",
            "ubyte", "txt", "gz", "onnx", "pt",
        ];
        match &args.out {
            Some(out) if OTHERS.contains(&ending_of(out).as_str()) => {
                let problem = "expected a name ending in .safetensors, or without an ending of \
                               another kind of file";
                Err(Failure::at(out, problem))
            }
            _ => Ok(()),
        }
    }

    /// Makes the folders, and locks the files until the end.
    ///
    /// Of a resumed training fails if the model's file is that of another one.
    pub fn made(self, trainer: &Trainer, args: &Args) -> Result<(Self, Vec<Lock>)> {
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
        let outputs = paths.outputs();
        let outputs: Vec<&Path> = outputs.iter().map(PathBuf::as_path).collect();
        make_folders(&outputs)?;
        check_writable(&outputs)?;
        let locked = [Some(&paths.model), paths.checkpoint.as_ref()].into_iter().flatten();
        let locks: Vec<_> = locked.map(|path| Lock::of(path)).collect::<Result<_>>()?;
        // Another training may have ended since.
        paths.check_existing(args)?;
        Ok((paths, locks.into_iter().flatten().collect()))
    }
}

/// The picture of a model without a name for it.
fn picture_of(model: &Path) -> PathBuf {
    runs::beside(model, "picture.png", "png")
}

/// The log of a model without a name for it, if it has one.
fn log_of(model: &Path) -> Option<PathBuf> {
    runs::is_of_run(model).then(|| model.with_file_name("log.jsonl"))
}

/// Fails if a file to which a resumed training would add, or which it would replace, does not begin as one of its
/// kind.
fn check_own(path: &Path, is_own: impl Fn(&[u8]) -> bool, kind: &str) -> Result<()> {
    /// More than the columns that every history begins with. The first line of a log may have any length, because
    /// it names all files of the data.
    const LENGTH: u64 = 1 << 10;
    if !path.is_file() {
        return Ok(());
    }
    let file = File::open(path).map_err(io_error("open", path))?;
    let mut start = Vec::new();
    file.take(LENGTH).read_to_end(&mut start).map_err(io_error("read", path))?;
    // A training that was killed at once may have written nothing.
    if start.is_empty() || is_own(&start) {
        return Ok(());
    }
    Err(Failure::at(path, format!("this file exists, and is no {kind} of a training"))
        .hint("give another name, or --overwrite to replace it"))
}

/// Whether a text begins with a line of this kind.
fn begins(start: &[u8], is_own: fn(&str) -> bool) -> bool {
    String::from_utf8_lossy(start).lines().next().is_some_and(is_own)
}

/// The folder of the run that is resumed without a name for its model; None if there is none.
///
/// It is that of the checkpoint, or the one whose record names it, or else the latest.
pub fn resumed_folder(checkpoint: Option<&Path>) -> Result<Option<PathBuf>> {
    if let Some(path) = checkpoint {
        let folder = path.parent().unwrap_or(path);
        if runs::is_of_run(&runs::model_in(folder)) {
            return Ok(Some(folder.to_owned()));
        }
        let whole = absolute(path).ok();
        let names_it = |folder: &PathBuf| {
            let run = Run::of(&runs::model_in(folder)).ok().flatten();
            run.is_some_and(|run| run.checkpoint.is_some() && run.checkpoint == whole)
        };
        return Ok(runs::all()?.into_iter().rev().map(|(_, folder)| folder).find(names_it));
    }
    let Some(folder) = runs::latest()? else { return Ok(None) };
    if sweeps::in_run(&folder).is_some() {
        return Err(Failure::at(&folder, "the latest run is a sweep, not a training").hint(
            "sae sweep --resume continues it; --out and --checkpoint name a training's files",
        ));
    }
    let checkpoint = checkpoint_to_resume(&runs::model_in(&folder));
    if !checkpoint.is_file() && runs::model_in(&folder).is_file() {
        let problem = "the latest run has no checkpoint to resume from";
        return Err(Failure::at(&folder, problem)
            .hint("name one, with --checkpoint FILE; or leave out --resume for a new run"));
    }
    Ok(Some(folder))
}
