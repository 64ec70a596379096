//! The files of a sweep, and how it is resumed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::args::Args;
use crate::endings::check_ending;
use crate::failure::{Failure, Result, io_error};
use crate::output::{note, write_file};
use crate::outputs::{check_distinct, check_unread, check_writable, make_folders};
use crate::recipe;
use crate::runs;
use crate::sweeps;

/// The files of a sweep; of a new run with the name of a folder that is not made, until it is.
pub struct Paths {
    pub table: PathBuf,
    pub picture: PathBuf,
    is_new_run: bool,
}

impl Paths {
    /// What the options name, and the defaults. Fails if two are one.
    pub fn of(args: &Args) -> Result<Self> {
        let resumed = if args.resume { resumed_table(args.out.as_deref())? } else { None };
        let is_new_run = args.out.is_none() && resumed.is_none();
        match &resumed {
            Some(table) => note(&format!("resuming the sweep of {}", table.display())),
            None if args.vary.is_empty() => {
                let problem = "resume: there is no sweep to resume";
                return Err(Failure::input(problem).hint(
                    "--vary SETTING=RANGE begins one; --out FILE names the table of another",
                ));
            }
            None if args.resume => note("no sweep to resume: starting anew"),
            None => (),
        }
        let table = args.out.clone().or(resumed);
        let paths = Self::beside(args, table.unwrap_or(runs::unmade().join(sweeps::TABLE)));
        check_distinct(&[("table", &paths.table), ("picture", &paths.picture)])?;
        Ok(Paths { is_new_run, ..paths })
    }

    fn beside(args: &Args, table: PathBuf) -> Self {
        let picture = args.picture.clone().unwrap_or_else(|| table.with_extension("svg"));
        Paths { table, picture, is_new_run: false }
    }

    /// The folder of its models, of the journal and of the checkpoints.
    pub fn folder(&self) -> PathBuf {
        sweeps::folder_of(&self.table)
    }

    /// Fails if a file is one of the data, has another ending, or is there and would be replaced without
    /// `--overwrite` or `--resume`.
    pub fn check(&self, args: &Args, inputs: &[PathBuf]) -> Result<()> {
        let outputs = [&*self.table, &*self.picture];
        check_unread(&outputs, inputs)?;
        let is_resumed = args.resume && sweeps::journal_of(&self.table).is_file();
        if !is_resumed {
            args.overwrite.check(&outputs)?;
        }
        check_ending(&self.table, &["csv"])?;
        check_ending(&self.picture, &["svg"])
    }

    /// Makes the folders.
    pub fn made(self, args: &Args) -> Result<Self> {
        let paths = match self.is_new_run {
            true => Self::beside(args, runs::make()?.join(sweeps::TABLE)),
            false => self,
        };
        make_folders(&[&paths.table, &paths.picture])?;
        check_writable(&[&paths.table, &paths.picture])?;
        let folder = paths.folder();
        fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        Ok(paths)
    }

    /// Notes the options, for `--resume`.
    pub fn save_options(&self) -> Result<()> {
        let path = options_of(&self.table);
        match recipe::json() {
            Some(options) => write_file(&path, format!("{options:#}\n")),
            None => Ok(()),
        }
    }

    /// The command that continues an interrupted sweep.
    pub fn continuation(&self) -> String {
        let mut options = vec!["--resume".to_owned()];
        let is_latest = latest_table().ok().flatten().is_some_and(|table| table == self.table);
        if !is_latest {
            options.extend(["--out".to_owned(), self.table.display().to_string()]);
        }
        recipe::command_of("sweep", &options)
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

fn options_of(table: &Path) -> PathBuf {
    sweeps::folder_of(table).join("options.json")
}

/// The options of the sweep that `--resume` continues, by the value of `--out`; None if they are not known.
pub fn options_of_resumed(out: Option<&Path>) -> Result<Option<Vec<String>>> {
    let Some(table) = resumed_table(out)? else { return Ok(None) };
    let path = options_of(&table);
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
    let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let texts = value["arguments"].as_array().and_then(|texts| {
        texts.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    let damaged = || {
        Failure::at(&path, "damaged: it does not have the options of the sweep")
            .hint("remove it, and give the options again")
    };
    texts.ok_or_else(damaged).map(Some)
}
