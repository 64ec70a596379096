//! The outcomes of a sweep so far, one line of JSON each, from which it is resumed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::failure::{Failure, Result, io_error};

/// The result of a trial at one rung.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    pub error: f64,
    pub sparsity: f64,
    pub explained_variance: f64,
    pub objective: f64,
    pub dead: usize,
    /// Whether these are dead, and not only inactive in the few samples that are measured.
    pub tells_dead: bool,
}

impl Outcome {
    pub const DIVERGED: Outcome = Outcome {
        error: f64::INFINITY,
        sparsity: f64::INFINITY,
        explained_variance: f64::NAN,
        objective: f64::INFINITY,
        dead: 0,
        tells_dead: true,
    };

    pub fn is_diverged(&self) -> bool {
        !self.error.is_finite()
    }
}

/// An outcome with its trial, its rung and its steps.
#[derive(Clone, Copy)]
pub struct Entry {
    pub trial: usize,
    pub rung: u8,
    pub steps: u64,
    pub outcome: Outcome,
}

pub struct Journal {
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
}

impl Journal {
    /// Begins a journal, or opens one of the same sweep.
    pub fn open(path: &Path, definition: &Value) -> Result<Self> {
        let text = match path.exists() {
            true => fs::read_to_string(path).map_err(io_error("read", path))?,
            false => String::new(),
        };
        // The last line may be incomplete.
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..complete].lines();
        let mut entries = Vec::new();
        if let Some(first) = lines.next() {
            if serde_json::from_str::<Value>(first).ok().as_ref() != Some(definition) {
                let problem = "this is the journal of a sweep with other options or other data, or of \
                               another version of sae";
                let hint = "give another --out, or --overwrite without --resume to begin anew";
                return Err(Failure::at(path, problem).hint(hint));
            }
            for (at, line) in lines.enumerate() {
                let entry = serde_json::from_str(line).ok().as_ref().and_then(entry);
                let problem = || Failure::at(path, format!("line {}: expected an outcome", at + 2));
                entries.push(entry.ok_or_else(problem)?);
            }
        }
        let write_error = io_error("write", path);
        let file = File::options().create(true).append(true).open(path).map_err(&write_error)?;
        file.set_len(complete as u64).map_err(&write_error)?;
        if complete == 0 {
            writeln!(&file, "{definition}").map_err(&write_error)?;
        }
        Ok(Journal { path: path.to_owned(), file, entries })
    }

    pub fn add(&mut self, trial: usize, rung: u8, steps: u64, outcome: Outcome) -> Result<()> {
        let Outcome { error, sparsity, explained_variance, objective, dead, tells_dead } = outcome;
        // Numbers that are not finite become null.
        let line = json!({
            "trial": trial, "rung": rung, "steps": steps, "error": error, "sparsity": sparsity,
            "explained_variance": explained_variance, "objective": objective, "dead": dead,
            "tells_dead": tells_dead,
        });
        let written = writeln!(self.file, "{line}").and_then(|()| self.file.sync_data());
        written.map_err(io_error("write", &self.path))?;
        self.entries.push(Entry { trial, rung, steps, outcome });
        Ok(())
    }

    pub fn get(&self, trial: usize, rung: u8) -> Option<Outcome> {
        let same = |entry: &&Entry| (entry.trial, entry.rung) == (trial, rung);
        self.entries.iter().find(same).map(|entry| entry.outcome)
    }

    /// The outcomes of these trials at a rung.
    pub fn at(&self, rung: u8, trials: &[usize]) -> Vec<(usize, Outcome)> {
        let of = |&trial: &usize| Some((trial, self.get(trial, rung)?));
        trials.iter().filter_map(of).collect()
    }

    /// The last outcome of each trial that has one, in the order of the trials.
    pub fn last(&self, trials: usize) -> Vec<Entry> {
        let last = |trial| {
            let entries = self.entries.iter().filter(move |entry| entry.trial == trial);
            entries.max_by_key(|entry| entry.rung).copied()
        };
        (0..trials).filter_map(last).collect()
    }
}

fn entry(value: &Value) -> Option<Entry> {
    let number = |name: &str, missing: f64| match &value[name] {
        Value::Null => Some(missing),
        value => value.as_f64(),
    };
    let count = |name: &str| value[name].as_u64();
    let outcome = Outcome {
        error: number("error", f64::INFINITY)?,
        sparsity: number("sparsity", f64::INFINITY)?,
        explained_variance: number("explained_variance", f64::NAN)?,
        objective: number("objective", f64::INFINITY)?,
        dead: count("dead")? as usize,
        tells_dead: value["tells_dead"].as_bool().unwrap_or(true),
    };
    let (trial, rung) = (count("trial")? as usize, u8::try_from(count("rung")?).ok()?);
    Some(Entry { trial, rung, steps: count("steps")?, outcome })
}
