//! The files of a sweep, and how it is resumed.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::Args;
use super::noted::Noted;
use crate::endings::check_ending;
use crate::failure::{Failure, Result, io_error};
use crate::output::{tell, write_file};
use crate::outputs::{Lock, check_distinct, check_unread, check_writable, make_folders};
use crate::recipe;
use crate::runs;
use crate::sweeps;

/// The files of a sweep; of a new run with the name of a folder that is not made, until it is.
pub struct Paths {
    pub table: PathBuf,
    pub picture: PathBuf,
    is_new_run: bool,
    /// Whether the sweep has written the table, and the picture.
    written: [bool; 2],
}

impl Paths {
    /// What the options name, and the defaults. Fails if two are one.
    pub fn of(args: &Args) -> Result<Self> {
        let resumed = if args.resume { resumed_table(args.out.as_deref())? } else { None };
        let is_new_run = args.out.is_none() && resumed.is_none();
        match &resumed {
            Some(table) => tell(&format!("resuming the sweep of {}", table.display())),
            None if args.vary.is_empty() => {
                let problem = "resume: there is no sweep to resume";
                return Err(Failure::input(problem).hint(
                    "--vary SETTING=RANGE begins one; --out FILE names the table of another",
                ));
            }
            None if args.resume => tell("no sweep to resume: starting anew"),
            None => (),
        }
        let table = args.out.clone().or(resumed);
        let mut paths = Self::beside(args, table.unwrap_or(runs::unmade().join(sweeps::TABLE)));
        if args.resume {
            let noted = Noted::of(&paths.table)?;
            let is_own = noted.is_picture(&paths.table, &paths.picture);
            paths.written = [noted.has_table, noted.has_picture && is_own];
        }
        if args.overwrite.overwrite {
            // So that an interrupted sweep is resumed without --overwrite, too.
            let are_there = [&paths.table, &paths.picture].map(|path| path.is_file());
            paths.written = [0, 1].map(|at| paths.written[at] || are_there[at]);
        }
        check_distinct(&[("table", &paths.table), ("picture", &paths.picture)])?;
        Ok(Paths { is_new_run, ..paths })
    }

    fn beside(args: &Args, table: PathBuf) -> Self {
        let picture = args.picture.clone().unwrap_or_else(|| sweeps::picture_of(&table));
        Paths { table, picture, is_new_run: false, written: [false; 2] }
    }

    /// The folder of its models, of the journal and of the checkpoints.
    pub fn folder(&self) -> PathBuf {
        sweeps::folder_of(&self.table)
    }

    /// Fails if a file cannot be the output of this sweep.
    ///
    /// It is one of the data, has another ending, or is there, was not written by the sweep that is resumed, and
    /// would be replaced without `--overwrite`.
    pub fn check(&self, args: &Args, inputs: &[PathBuf]) -> Result<()> {
        let outputs = [&*self.table, &*self.picture];
        check_unread(&outputs, inputs)?;
        let foreign = outputs.into_iter().zip(self.written).filter(|(_, is_own)| !is_own);
        args.overwrite.check(&foreign.map(|(path, _)| path).collect::<Vec<_>>())?;
        if !args.overwrite.overwrite {
            self.check_folder()?;
        }
        check_ending(&self.table, &["csv"])?;
        check_ending(&self.picture, &["svg"])
    }

    /// Fails if the folder of the models is there, has files and no journal of a sweep.
    fn check_folder(&self) -> Result<()> {
        let (folder, journal) = (self.folder(), sweeps::journal_of(&self.table));
        if !folder.is_dir() || journal.is_file() {
            return Ok(());
        }
        // The lock stays after a kill.
        let lock = Lock::path_of(&journal);
        for entry in fs::read_dir(&folder).map_err(io_error("read", &folder))? {
            if entry.map_err(io_error("read", &folder))?.path() != lock {
                let problem = "this folder has files, and is not that of a sweep";
                return Err(Failure::at(&folder, problem).hint(
                    "give another --out, or --overwrite to replace files of the same names",
                ));
            }
        }
        Ok(())
    }

    /// Makes the folders.
    pub fn made(self, args: &Args) -> Result<Self> {
        let paths = match self.is_new_run {
            true => {
                let made = Self::beside(args, runs::make()?.join(sweeps::TABLE));
                Paths { written: self.written, ..made }
            }
            false => self,
        };
        make_folders(&[&paths.table, &paths.picture])?;
        check_writable(&[&paths.table, &paths.picture])?;
        let folder = paths.folder();
        fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        Ok(paths)
    }

    /// Notes the options and the picture, for `--resume`.
    pub fn note(&self) -> Result<()> {
        Noted::save(&self.table, &self.picture, self.written)
    }

    /// Writes the table and the picture.
    ///
    /// Notes it before that, so that a kill leaves none that is not noted.
    pub fn write(&mut self, table: Vec<u8>, picture: String) -> Result<()> {
        self.written = [true; 2];
        self.note()?;
        write_file(&self.table, table)?;
        write_file(&self.picture, picture)
    }

    /// The command that continues an interrupted sweep.
    pub fn continuation(&self) -> String {
        let is_beside = self.picture == sweeps::picture_of(&self.table);
        continuation_of(&self.table, Some(&*self.picture).filter(|_| !is_beside))
    }
}

/// The latest run that is a sweep.
fn latest_table() -> Result<Option<PathBuf>> {
    Ok(runs::all()?.into_iter().rev().find_map(|(_, folder)| sweeps::in_run(&folder)))
}

/// The table of the sweep that `--resume` continues, by the value of `--out`; None if there is none.
fn resumed_table(out: Option<&Path>) -> Result<Option<PathBuf>> {
    match out {
        Some(out) => Ok(sweeps::journal_of(out).is_file().then(|| out.to_owned())),
        None => latest_table(),
    }
}

/// The options of the sweep that `--resume` continues, by the value of `--out`.
///
/// None if they are not known.
pub fn options_of_resumed(out: Option<&Path>) -> Result<Option<Vec<String>>> {
    let Some(table) = resumed_table(out)? else { return Ok(None) };
    Ok(Noted::of(&table)?.arguments())
}

/// The command that continues the sweep with this table, and this picture if it is elsewhere.
pub fn continuation_of(table: &Path, picture: Option<&Path>) -> String {
    let mut options = vec!["--resume".to_owned()];
    let is_latest = latest_table().ok().flatten().is_some_and(|latest| latest == table);
    if !is_latest {
        options.extend(["--out".to_owned(), table.display().to_string()]);
    }
    if let Some(picture) = picture {
        options.extend(["--picture".to_owned(), picture.display().to_string()]);
    }
    recipe::command_of("sweep", &options)
}
