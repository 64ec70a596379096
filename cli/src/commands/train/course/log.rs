//! The log of a training: a line of JSON for its beginning, each row of the history, and its end.

use std::path::Path;

use serde_json::{Value, json};

use super::lines::{Lines, earlier};
use crate::failure::Result;

/// Columns of whole numbers.
const COUNTS: [&str; 3] = ["step", "dead_units", "revived_units"];

/// Writes the log.
pub struct Log {
    lines: Lines,
    has_ended: bool,
}

/// Whether the first line of a log begins as this text does.
pub fn is_log(start: &str) -> bool {
    start.starts_with(&prefix("start"))
}

/// How the line of an event begins, up to the number of its step.
fn prefix(event: &str) -> String {
    format!("{{\"event\":\"{event}\",\"step\":")
}

/// The step of the event of a line.
fn step_of(line: &str) -> Option<u64> {
    let value: Value = serde_json::from_str(line).ok()?;
    value["step"].as_u64().filter(|_| value["event"].is_string())
}

impl Log {
    /// Begins a log after this step with what `start` says.
    ///
    /// Of a resumed training it continues after what there is up to that step.
    pub fn begin(path: &Path, step: u64, start: Value) -> Result<Self> {
        let earlier = earlier(path, step);
        // A killed run may have been ahead of its checkpoint, or in the middle of a line.
        let is_before =
            |line: &&str| line.ends_with('\n') && step_of(line).is_some_and(|own| own <= step);
        let kept: String = earlier.split_inclusive('\n').take_while(is_before).collect();
        let lines = Lines::begin(path, &format!("{kept}{}\n", line("start", step, &start)))?;
        Ok(Log { lines, has_ended: false })
    }

    /// Writes a row of the history. Returns what went wrong.
    pub fn row(&mut self, names: &[String], row: &[Option<f64>]) -> Option<String> {
        let cells = names.iter().zip(row).filter_map(|(name, cell)| Some((name, (*cell)?)));
        let number = |(name, number): (&String, f64)| {
            let is_count = COUNTS.contains(&name.as_str());
            let number = if is_count { json!(number as u64) } else { json!(number) };
            format!(",\"{name}\":{number}")
        };
        // (An object of `Value` would have its names in the order of the alphabet.)
        self.write(format!("{{\"event\":\"row\"{}}}", cells.map(number).collect::<String>()))
    }

    /// Writes how the training ended, once. Returns what went wrong.
    pub fn end(&mut self, step: u64, end: Value) -> Option<String> {
        if std::mem::replace(&mut self.has_ended, true) {
            return None;
        }
        self.write(line("end", step, &end))
    }

    fn write(&mut self, line: String) -> Option<String> {
        let written = self.lines.write(&(line + "\n"));
        written.err().map(|problem| format!("{problem}; the log ends here"))
    }
}

/// A line with what an object says.
fn line(event: &str, step: u64, value: &Value) -> String {
    let values = value.as_object().into_iter().flatten();
    let values: String = values.map(|(name, value)| format!(",{}:{value}", json!(name))).collect();
    format!("{}{step}{values}}}", prefix(event))
}
