//! What a sweep has done so far, a line of JSON each, so that it can go on.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use sae::Error;
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::output::write_error;

/// What a training came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    pub error: f64,
    pub sparsity: f64,
    pub explained_variance: f64,
    pub objective: f64,
    pub dead: usize,
}

impl Outcome {
    pub const DIVERGED: Outcome = Outcome {
        error: f64::INFINITY,
        sparsity: f64::INFINITY,
        explained_variance: f64::NAN,
        objective: f64::INFINITY,
        dead: 0,
    };
}

/// An outcome with its trial, its rung and the steps.
type Entry = (usize, u8, u64, Outcome);

pub struct Journal {
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
}

impl Journal {
    /// A new journal, or one of the same sweep.
    pub fn open(path: &Path, definition: &Value) -> Result<Self> {
        let read = |source| Error::Io { action: "read", path: path.to_owned(), source };
        let text = match path.exists() {
            true => std::fs::read_to_string(path).map_err(read)?,
            false => String::new(),
        };
        // A last line that was cut off is not whole.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].lines();
        let mut entries = Vec::new();
        if let Some(first) = lines.next() {
            if serde_json::from_str::<Value>(first).ok().as_ref() != Some(definition) {
                let problem =
                    format!("{}: of a sweep with other words or other data", path.display());
                let hint = "give another --out, or remove the folder to begin anew";
                return Err(Failure::input(problem).hint(hint));
            }
            for (at, line) in lines.enumerate() {
                let entry = serde_json::from_str(line).ok().as_ref().and_then(entry);
                entries.push(entry.ok_or_else(|| {
                    let nth = at + 2;
                    Failure::input(format!("{}: line {nth} is no outcome", path.display()))
                })?);
            }
        }
        let wrong = |source| write_error(path, source);
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let mut file = open.map_err(wrong)?;
        file.set_len(whole as u64).map_err(wrong)?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map_err(wrong)?;
        if whole == 0 {
            writeln!(file, "{definition}").map_err(wrong)?;
        }
        Ok(Journal { path: path.to_owned(), file, entries })
    }

    pub fn add(&mut self, trial: usize, rung: u8, steps: u64, outcome: Outcome) -> Result<()> {
        let Outcome { error, sparsity, explained_variance, objective, dead } = outcome;
        // Numbers that are not finite become null.
        let line = json!({
            "trial": trial, "rung": rung, "steps": steps, "error": error, "sparsity": sparsity,
            "explained_variance": explained_variance, "objective": objective, "dead": dead,
        });
        let written = writeln!(self.file, "{line}").and_then(|()| self.file.sync_data());
        written.map_err(|e| write_error(&self.path, e))?;
        self.entries.push((trial, rung, steps, outcome));
        Ok(())
    }

    pub fn get(&self, trial: usize, rung: u8) -> Option<Outcome> {
        let same = |entry: &&Entry| (entry.0, entry.1) == (trial, rung);
        self.entries.iter().find(same).map(|entry| entry.3)
    }

    /// The outcomes of these trials at a rung.
    pub fn at(&self, rung: u8, trials: &[usize]) -> Vec<(usize, Outcome)> {
        let of = |&trial: &usize| Some((trial, self.get(trial, rung)?));
        trials.iter().filter_map(of).collect()
    }

    /// Each trial's last outcome, in the order of the trials.
    pub fn last(&self, trials: usize) -> Vec<Entry> {
        let of = |trial| {
            let its = self.entries.iter().filter(move |entry| entry.0 == trial);
            its.max_by_key(|entry| entry.1).copied()
        };
        (0..trials).filter_map(of).collect()
    }
}

fn entry(value: &Value) -> Option<Entry> {
    let number = |name: &str, missing: f64| match &value[name] {
        Value::Null => Some(missing),
        value => value.as_f64(),
    };
    let whole = |name: &str| value[name].as_u64();
    let outcome = Outcome {
        error: number("error", f64::INFINITY)?,
        sparsity: number("sparsity", f64::INFINITY)?,
        explained_variance: number("explained_variance", f64::NAN)?,
        objective: number("objective", f64::INFINITY)?,
        dead: whole("dead")? as usize,
    };
    Some((whole("trial")? as usize, u8::try_from(whole("rung")?).ok()?, whole("steps")?, outcome))
}
