//! The log of a training: a line of JSON for its beginning, each row of the history, and its end.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::lines::Lines;
use crate::failure::Result;

/// Columns of whole numbers.
const COUNTS: [&str; 3] = ["step", "dead_units", "revived_units"];

/// Writes the log.
pub struct Log {
    lines: Lines,
    has_ended: bool,
}

/// Whether this is the first line of a log.
pub fn is_log(line: &str) -> bool {
    event_of(line).is_some_and(|(event, _)| event == "start")
}

/// The event of a line, and its step.
fn event_of(line: &str) -> Option<(String, u64)> {
    let value: Value = serde_json::from_str(line).ok()?;
    Some((value["event"].as_str()?.to_owned(), value["step"].as_u64()?))
}

impl Log {
    /// Begins a log after this step with what `start` says. Of a resumed training it goes on behind what there is
    /// up to that step.
    pub fn begin(path: &Path, step: u64, start: Value) -> Result<Self> {
        let earlier = match step {
            0 => String::new(),
            // (What is read from a pipe is gone.)
            _ if path.is_file() => fs::read_to_string(path).unwrap_or_default(),
            _ => String::new(),
        };
        // A killed run may have been ahead of its checkpoint, or in the middle of a line.
        let is_before = |line: &&str| {
            line.ends_with('\n') && event_of(line).is_some_and(|(_, own)| own <= step)
        };
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
    format!("{{\"event\":\"{event}\",\"step\":{step}{values}}}")
}
