//! The files of sweeps, whose models other commands read.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ::csv::StringRecord;

use crate::failure::{Failure, Result, io_error};
use crate::output::note;
use crate::recipe;

/// The table's name in a run's folder.
pub const TABLE: &str = "sweep.csv";
/// The columns that every table begins with.
pub const FIRST_COLUMNS: [&str; 2] = ["trial", "steps"];
/// The columns after those of the varied settings.
pub const FIGURES: [&str; 6] =
    ["squared_error", "sparsity", "explained_variance", "objective", "dead_units", "front"];
/// The last column: the model's file, from the table's folder.
pub const MODEL: &str = "model";

/// Characters of the values in a model's name, at most.
const MAX_NAME: usize = 40;

/// The folder beside a sweep's table with its models, and what is needed to resume it.
pub fn folder_of(table: &Path) -> PathBuf {
    table.with_extension("trials")
}

/// The picture of a sweep without a name for it.
pub fn picture_of(table: &Path) -> PathBuf {
    table.with_extension("svg")
}

/// The journal in that folder.
pub fn journal_of(table: &Path) -> PathBuf {
    folder_of(table).join("journal.jsonl")
}

/// The model of a trial that was trained to the end.
pub fn model_of(table: &Path, trial: usize) -> PathBuf {
    folder_of(table).join(format!("trial-{trial}.safetensors"))
}

/// The table of the sweep in a run's folder, if there is one, whether it has ended or not.
pub fn in_run(folder: &Path) -> Option<PathBuf> {
    let table = folder.join(TABLE);
    journal_of(&table).is_file().then_some(table)
}

/// The table that a path names: the file itself, or that of a run's or a sweep's folder.
pub fn table_of(path: &Path) -> Result<Option<PathBuf>> {
    let table = match path {
        path if path.is_dir() && path.extension() == Some(OsStr::new("trials")) => {
            path.with_extension("csv")
        }
        path if path.is_dir() && in_run(path).is_some() => path.join(TABLE),
        path if path.is_file() && path.extension() == Some(OsStr::new("csv")) => {
            return Ok(Some(path.to_owned()));
        }
        _ => return Ok(None),
    };
    if !table.is_file() {
        let problem = "the sweep in this folder has not ended";
        let options = ["--resume", "--out"].map(str::to_owned).into_iter();
        let options: Vec<_> = options.chain([table.display().to_string()]).collect();
        let command = recipe::command_of("sweep", &options);
        return Err(Failure::at(path, problem).hint(format!("{command} continues it")));
    }
    Ok(Some(table))
}

/// Whether a file is the table of a sweep.
pub fn is_table(path: &Path) -> bool {
    let file = fs::File::open(path).ok();
    let mut reader = file.map(::csv::Reader::from_reader);
    let header = reader.as_mut().and_then(|reader| reader.headers().ok());
    header.is_some_and(|header| values_of(header).is_some())
}

/// The columns of the varied settings in a table with this header; None if it is no table of a sweep.
fn values_of(header: &StringRecord) -> Option<Range<usize>> {
    let mut names: Vec<&str> = header.iter().collect();
    let is_table = names.pop() == Some(MODEL) && names.ends_with(&FIGURES);
    let values = FIRST_COLUMNS.len()..names.len().checked_sub(FIGURES.len())?;
    (is_table && names.starts_with(&FIRST_COLUMNS) && !values.is_empty()).then_some(values)
}

/// The values of settings, each with its name: `code=top-k:8 lr=0.001`; of one setting the value alone.
pub fn described(pairs: &[(&str, &str)]) -> String {
    let each = pairs.iter().map(|(name, value)| match pairs.len() {
        1 => (*value).to_owned(),
        _ => format!("{name}={value}"),
    });
    each.collect::<Vec<_>>().join(" ")
}

/// A trial that was trained to the end.
struct Row {
    /// The values of the varied settings, as [`described`].
    values: String,
    is_best: bool,
    model: PathBuf,
}

/// The model that a table names: from its folder or, where it is not there, in the sweep's own.
///
/// (The text of the table may not have the whole name, or table and folder may have another one now.)
fn model_at(table: &Path, model: &Path) -> PathBuf {
    let named = table.with_file_name("").join(model);
    let beside = model.file_name().map(|name| folder_of(table).join(name));
    match beside.filter(|beside| !named.is_file() && beside.is_file()) {
        Some(beside) => beside,
        None => named,
    }
}

/// The trials of a table that have models.
fn rows(table: &Path) -> Result<Vec<Row>> {
    let text = fs::read(table).map_err(io_error("read", table))?;
    let mut reader = ::csv::Reader::from_reader(&text[..]);
    let header = reader.headers().cloned().unwrap_or_default();
    let Some(values) = values_of(&header) else {
        let names: Vec<&str> = header.iter().collect();
        let is_old = names.starts_with(&FIRST_COLUMNS) && names.ends_with(&FIGURES);
        return Err(match is_old {
            true => Failure::at(table, "this sweep has kept no models").hint(
                "a sweep of this version of sae keeps them: run it again, with another --out",
            ),
            false => Failure::at(table, "expected a model or the table of a sweep")
                .hint("data are given with --samples"),
        });
    };
    let mut rows = Vec::new();
    for (at, record) in reader.records().enumerate() {
        let damaged = || Failure::at(table, format!("line {}: expected a trial", at + 2));
        let record = record.map_err(|_| damaged())?;
        let fields: Vec<&str> = record.iter().collect();
        let [.., best, model] = fields[..] else { return Err(damaged()) };
        if !model.is_empty() {
            let pairs = header.iter().zip(&fields).map(|(name, text)| (name, *text));
            let pairs: Vec<_> = pairs.take(values.end).skip(values.start).collect();
            let (values, is_best) = (described(&pairs), best == "1");
            let model = model_at(table, Path::new(model));
            rows.push(Row { values, is_best, model });
        }
    }
    Ok(rows)
}

/// The models of a sweep with their names, at most `limit`, in the order of its trials.
///
/// Of more than `limit` that were trained to the end, those of the best trials come first; says so on stderr.
pub fn models(table: &Path, limit: usize) -> Result<Vec<(PathBuf, String)>> {
    let mut rows = rows(table)?;
    if rows.is_empty() {
        let problem = "no trial of this sweep was trained to the end";
        return Err(Failure::at(table, problem).hint("all have diverged; try smaller values"));
    }
    let count = rows.len();
    if count > limit {
        let bests = rows.iter().filter(|row| row.is_best).count();
        let mut left = limit.saturating_sub(bests);
        let mut best_left = limit;
        rows.retain(|row| {
            let room = if row.is_best { &mut best_left } else { &mut left };
            let is_kept = *room > 0;
            *room = room.saturating_sub(1);
            is_kept
        });
        note(&format!(
            "{}: {limit} of {count} models are taken, those of the best trials first; others can be named",
            table.display()
        ));
    }
    Ok(rows.into_iter().map(|row| (row.name(), row.model)).map(|(name, it)| (it, name)).collect())
}

impl Row {
    /// What the model is called: its trial, with the values of the varied settings if they are short.
    fn name(&self) -> String {
        let stem = self.model.file_stem().unwrap_or_default().display();
        let values = &self.values;
        match values.chars().count() {
            1..=MAX_NAME => format!("{stem}: {values}"),
            _ => stem.to_string(),
        }
    }
}

/// The names of models of sweeps, from the tables beside them, each of which is read once.
#[derive(Default)]
pub struct Names {
    /// By the folder of the models, then by the file's name.
    of_folders: HashMap<PathBuf, HashMap<OsString, String>>,
}

impl Names {
    /// What a model is called, if it is one of a sweep.
    pub fn of(&mut self, model: &Path) -> Option<String> {
        let folder = model.parent().filter(|it| it.extension() == Some(OsStr::new("trials")))?;
        let read = || {
            let rows = rows(&folder.with_extension("csv")).unwrap_or_default();
            let names = rows.iter().filter_map(|row| {
                let file = row.model.file_name()?.to_owned();
                Some((file, row.name()))
            });
            names.collect()
        };
        let names = self.of_folders.entry(folder.to_owned()).or_insert_with(read);
        names.get(model.file_name()?).cloned()
    }
}
