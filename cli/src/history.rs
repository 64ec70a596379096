//! The course of a training, as a CSV file beside the model, which the report draws.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sae::{StepReport, Trainer};

use crate::failure::{Failure, Result, io_error};
use crate::runs;

/// The columns before the hidden layers' mean activations. Loss, penalty and decay, with their
/// weights, sum to the objective; but a loss over prefixes takes the loss's place in it, and an auxiliary
/// loss is added.
pub const COLUMNS: [&str; 6] =
    ["step", "objective", "loss", "sparsity_penalty", "weight_decay", "penalty_factor"];

/// What the training of a sparse code has behind them.
pub const OF_SPARSE_CODES: [&str; 2] = ["auxiliary", "dead_units"];

/// Rows of a whole training, about.
const ROWS: u64 = 250;

fn header(of_code: &[&str], hidden_layers: usize) -> String {
    let layers = (1..=hidden_layers).map(|layer| format!("mean_activation_{layer}"));
    let names = COLUMNS.iter().chain(of_code).map(|&name| name.to_owned());
    names.chain(layers).collect::<Vec<_>>().join(",")
}

/// The history's file of a model's file.
pub fn path_of(model: &Path) -> PathBuf {
    runs::beside(model, "history.csv", "history.csv")
}

/// Writes the history: each row has the means over the steps since the row before.
pub struct Recorder {
    path: PathBuf,
    /// None once a row could not be written.
    file: Option<File>,
    /// Steps per row.
    every: u64,
    /// Whether it has the columns of sparse codes.
    is_sparse: bool,
    /// Steps since the last row, and sums over them: loss, objective without decay, penalty, auxiliary loss, mean
    /// activations.
    steps: u64,
    sums: Vec<f64>,
}

impl Recorder {
    /// Begins the file of a training of `steps` steps. For a resumed training, keeps the rows up to
    /// the checkpoint.
    pub fn begin(path: PathBuf, trainer: &Trainer, steps: u64) -> Result<Self> {
        let hidden_layers = trainer.autoencoder().settings().layers.len() - 2;
        let is_sparse = !trainer.inactive_samples().is_empty();
        let of_code = if is_sparse { &OF_SPARSE_CODES[..] } else { &[] };
        let header = header(of_code, hidden_layers) + "\n";
        let earlier = match trainer.steps() {
            0 => String::new(),
            _ => fs::read_to_string(&path).unwrap_or_default(),
        };
        let kept = earlier.strip_prefix(&header).map_or(0, |rows| {
            // A killed run may have been ahead of its checkpoint, or in the middle of a line.
            let step = |line: &str| line.split(',').next().and_then(|step| step.parse().ok());
            let is_before = |line: &&str| {
                line.ends_with('\n') && step(line).is_some_and(|step: u64| step <= trainer.steps())
            };
            let rows = rows.split_inclusive('\n').take_while(is_before);
            header.len() + rows.map(str::len).sum::<usize>()
        });
        let write_error = io_error("write", &path);
        let file = File::options().create(true).append(true).open(&path).map_err(&write_error)?;
        // Fails for a device, which has no length.
        let _ = file.set_len(kept as u64);
        if kept == 0 {
            (&file).write_all(header.as_bytes()).map_err(&write_error)?;
        }
        drop(write_error);
        let (every, sums) = ((steps / ROWS).clamp(1, 100), vec![0.0; 4 + hidden_layers]);
        Ok(Recorder { path, file: Some(file), every, is_sparse, steps: 0, sums })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes a step. The first row that cannot be written is an error and ends the file.
    pub fn step(&mut self, trainer: &Trainer, report: StepReport) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        self.steps += 1;
        let terms = [report.loss, report.without_decay(), report.penalty, report.auxiliary];
        let terms = terms.into_iter().chain(trainer.mean_activations());
        self.sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        if !trainer.steps().is_multiple_of(self.every) {
            return Ok(());
        }
        let mut means = self.sums.iter().map(|sum| sum / self.steps as f64);
        let mut next = || means.next().unwrap_or(f64::NAN);
        let (loss, without_decay, penalty, auxiliary) = (next(), next(), next(), next());
        // The objective of a report without its other terms is the weight decay.
        let decay = trainer.objective(StepReport::default());
        let (objective, factor) = (without_decay + decay, trainer.penalty_factor());
        let mut line = format!("{},{objective},{loss},{penalty},{decay},{factor}", trainer.steps());
        if self.is_sparse {
            line += &format!(",{auxiliary},{}", trainer.dead_units().count());
        }
        for mean in means {
            line += &format!(",{mean}");
        }
        self.steps = 0;
        self.sums.fill(0.0);
        let written = file.write_all(format!("{line}\n").as_bytes());
        if written.is_err() {
            self.file = None;
        }
        written
    }
}

/// Rows that are read from a file, at most.
const MAX_ROWS: usize = 1000;

/// A history that was read; of a long one every n-th row.
pub struct History {
    /// Those of [`COLUMNS`], of sparse codes [`OF_SPARSE_CODES`], and the hidden layers' mean activations.
    names: Vec<String>,
    /// `[columns][rows]`
    columns: Vec<Vec<f64>>,
}

impl History {
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(io_error("read", path))?;
        Self::parse(&text).map_err(|problem| Failure::at(path, problem))
    }

    fn parse(text: &str) -> std::result::Result<Self, String> {
        // A full disk cuts the last line.
        let mut lines = text[..text.rfind('\n').map_or(0, |end| end + 1)].lines();
        let first = lines.next().unwrap_or_default();
        let names: Vec<String> = first.split(',').map(str::to_owned).collect();
        let hidden_layers =
            names.iter().filter(|name| name.starts_with("mean_activation_")).count();
        let headers = [&[][..], &OF_SPARSE_CODES].map(|of_code| header(of_code, hidden_layers));
        if !headers.contains(&first.to_owned()) {
            let expected = COLUMNS.join(",");
            return Err(format!("not a training history; its first line begins with {expected}"));
        }
        let mut columns = vec![Vec::new(); names.len()];
        for (at, line) in lines.enumerate() {
            let numbers: Option<Vec<f64>> = line.split(',').map(|n| n.parse().ok()).collect();
            let numbers = numbers.filter(|numbers| numbers.len() == columns.len());
            let problem = || format!("line {}: expected {} numbers", at + 2, columns.len());
            let numbers = numbers.ok_or_else(problem)?;
            columns.iter_mut().zip(numbers).for_each(|(column, number)| column.push(number));
        }
        // More points than pixels are of no use. The last row stays.
        let rows = columns[0].len();
        let stride = rows.div_ceil(MAX_ROWS).max(1);
        for column in &mut columns {
            let kept = (0..rows).filter(|row| (rows - 1 - row).is_multiple_of(stride));
            *column = kept.map(|row| column[row]).collect();
        }
        Ok(History { names, columns })
    }

    /// The rows of a column.
    ///
    /// # Panics
    /// There is no such column.
    #[cfg(test)]
    fn column(&self, name: &str) -> &[f64] {
        let at = self.names.iter().position(|column| *column == name);
        &self.columns[at.unwrap_or_else(|| panic!("no column {name}"))]
    }

    /// Names and rows of all columns.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &[f64])> {
        self.names.iter().map(String::as_str).zip(self.columns.iter().map(Vec::as_slice))
    }

    /// Mean activations, `[hidden layers][rows]`.
    #[cfg(test)]
    pub fn mean_activations(&self) -> &[Vec<f64>] {
        let first = self.names.iter().position(|name| name.starts_with("mean_activation_"));
        &self.columns[first.unwrap_or(self.names.len())..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_are_read_or_refused() {
        let good =
            format!("{}\n2,1,0.5,0.25,0.25,1,0.1\n4,0.5,0.25,0.125,0.125,1,0.2\n", header(&[], 1));
        let history = History::parse(&good).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            (history.column("step"), history.column("objective")),
            (&[2.0, 4.0][..], &[1.0, 0.5][..])
        );
        assert_eq!(history.column("weight_decay"), [0.25, 0.125]);
        assert_eq!(history.column("penalty_factor"), [1.0, 1.0]);
        assert_eq!(history.mean_activations(), [[0.1, 0.2]]);
        let sparse = format!("{}\n2,1,0.5,0.25,0.25,1,0.125,17,0.1\n", header(&OF_SPARSE_CODES, 1));
        let history = History::parse(&sparse).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(history.column("dead_units"), [17.0]);
        assert_eq!(history.mean_activations(), [[0.1]]);
        let long = (1..=3500)
            .fold(header(&[], 0) + "\n", |text, row| text + &format!("{row},1,1,0,0,1\n"));
        let history = History::parse(&long).unwrap_or_else(|e| panic!("{e}"));
        let steps = history.column("step");
        assert_eq!((steps.len(), steps[0], steps[874]), (875, 4.0, 3500.0));
        for (text, sentence) in [
            ("", "not a training history"),
            ("a,b\n1,2\n", "not a training history"),
            (&good.replace("0.125", "much"), "line 3: expected 7 numbers"),
            (&good.replace(",0.2\n", "\n"), "line 3: expected 7 numbers"),
        ] {
            let problem = History::parse(text).err().unwrap_or_default();
            assert!(problem.contains(sentence), "{problem}");
        }
    }
}
