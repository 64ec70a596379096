//! How a training went, as a CSV file beside the model: what the report draws.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sae::{StepReport, Trainer};

use crate::failure::{Failure, Result};
use crate::output::write_error;

/// Columns before those of the hidden layers' mean activations. The three terms, with their weights,
/// sum to the objective.
const COLUMNS: [&str; 6] =
    ["step", "objective", "loss", "sparsity_penalty", "weight_decay", "penalty_factor"];
const MEAN_ACTIVATION: &str = "mean_activation_";

/// Rows of a whole training, about.
const ROWS: u64 = 250;

fn header(hidden_layers: usize) -> String {
    let mut header = COLUMNS.join(",");
    for layer in 1..=hidden_layers {
        header += &format!(",{MEAN_ACTIVATION}{layer}");
    }
    header
}

/// The file of a model.
pub fn path_of(model: &Path) -> PathBuf {
    model.with_extension("history.csv")
}

/// Writes a row now and then: means over the steps since the row before.
pub struct Recorder {
    path: PathBuf,
    /// None once it could not be written.
    file: Option<File>,
    every: u64,
    steps: u64,
    loss: f64,
    penalty: f64,
    activations: Vec<f64>,
}

impl Recorder {
    /// Begins a file for a training of so many steps; of one that is resumed, what was before.
    pub fn begin(path: PathBuf, trainer: &Trainer, steps: u64) -> Result<Self> {
        let hidden_layers = trainer.autoencoder().settings().layers.len() - 2;
        let header = header(hidden_layers) + "\n";
        let earlier =
            if trainer.steps() > 0 { fs::read_to_string(&path) } else { Ok(String::new()) };
        let earlier = earlier.unwrap_or_default();
        let mut kept = 0;
        if earlier.starts_with(&header) {
            // A run that was killed may have been further than its checkpoint, or within a line.
            let step = |line: &str| line.split(',').next().and_then(|step| step.parse().ok());
            let lines = earlier[header.len()..].split_inclusive('\n');
            let before = |line: &&str| {
                line.ends_with('\n') && step(line).is_some_and(|step: u64| step <= trainer.steps())
            };
            kept = header.len() + lines.take_while(before).map(str::len).sum::<usize>();
        }
        let wrong = |e| write_error(&path, e);
        let file = File::options().create(true).append(true).open(&path).map_err(wrong)?;
        // A device has no length.
        let _ = file.set_len(kept as u64);
        if kept == 0 {
            (&file).write_all(header.as_bytes()).map_err(wrong)?;
        }
        Ok(Recorder {
            path,
            file: Some(file),
            every: (steps / ROWS).clamp(1, 100),
            steps: 0,
            loss: 0.0,
            penalty: 0.0,
            activations: vec![0.0; hidden_layers],
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// After a step. That it cannot be written ends the file, and is told once.
    pub fn step(&mut self, trainer: &Trainer, report: StepReport) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        self.steps += 1;
        self.loss += report.loss;
        self.penalty += report.penalty;
        self.activations.iter_mut().zip(trainer.mean_activations()).for_each(|(sum, a)| *sum += a);
        if !trainer.steps().is_multiple_of(self.every) {
            return Ok(());
        }
        let net = trainer.autoencoder();
        let mean = |sum: f64| sum / self.steps as f64;
        let (loss, penalty) = (mean(self.loss), mean(self.penalty));
        // Without the other terms the objective is the weight decay's.
        let decay = trainer.objective(StepReport::default());
        let objective = loss + penalty + decay;
        let factor = net.penalty_factor();
        let mut line = format!("{},{objective},{loss},{penalty},{decay},{factor}", trainer.steps());
        for &sum in &self.activations {
            line += &format!(",{}", mean(sum));
        }
        (self.steps, self.loss, self.penalty) = (0, 0.0, 0.0);
        self.activations.fill(0.0);
        let written = file.write_all(format!("{line}\n").as_bytes());
        if written.is_err() {
            self.file = None;
        }
        written
    }
}

/// Rows that are read of a file, at most.
const MOST_ROWS: usize = 1000;

/// A history that was read, thinned out where it is long.
pub struct History {
    /// `[rows]`
    pub steps: Vec<f64>,
    pub objective: Vec<f64>,
    pub loss: Vec<f64>,
    pub penalty: Vec<f64>,
    pub decay: Vec<f64>,
    pub factor: Vec<f64>,
    /// `[hidden layers][rows]`
    pub activations: Vec<Vec<f64>>,
}

impl History {
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|source| sae::Error::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text)
            .map_err(|problem| Failure::input(format!("{}: {problem}", path.display())))
    }

    fn parse(text: &str) -> std::result::Result<Self, String> {
        // A disk that is full cuts the last line.
        let mut lines = text[..text.rfind('\n').map_or(0, |end| end + 1)].lines();
        let first = lines.next().unwrap_or_default();
        let hidden_layers = first.split(',').count().saturating_sub(COLUMNS.len());
        if first != header(hidden_layers) {
            let wanted = COLUMNS.join(",");
            return Err(format!("no history of a training; its first line begins with {wanted}"));
        }
        let mut columns = vec![Vec::new(); COLUMNS.len() + hidden_layers];
        for (at, line) in lines.enumerate() {
            let numbers: Option<Vec<f64>> = line.split(',').map(|n| n.parse().ok()).collect();
            let numbers = numbers.filter(|numbers| numbers.len() == columns.len());
            let wrong = || format!("line {}: {} numbers were expected", at + 2, columns.len());
            let numbers = numbers.ok_or_else(wrong)?;
            columns.iter_mut().zip(numbers).for_each(|(column, number)| column.push(number));
        }
        // More points than pixels help nobody; the last one stays.
        let rows = columns[0].len();
        let stride = rows.div_ceil(MOST_ROWS).max(1);
        for column in &mut columns {
            let kept = (0..rows).filter(|row| (rows - 1 - row).is_multiple_of(stride));
            *column = kept.map(|row| column[row]).collect();
        }
        let activations = columns.split_off(COLUMNS.len());
        let mut columns = columns.into_iter();
        let mut next = || columns.next().unwrap_or_default();
        Ok(History {
            steps: next(),
            objective: next(),
            loss: next(),
            penalty: next(),
            decay: next(),
            factor: next(),
            activations,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_are_read_or_refused() {
        let good =
            format!("{}\n2,1,0.5,0.25,0.25,1,0.1\n4,0.5,0.25,0.125,0.125,1,0.2\n", header(1));
        let history = History::parse(&good).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((history.steps, history.objective), (vec![2.0, 4.0], vec![1.0, 0.5]));
        assert_eq!((history.decay, history.factor), (vec![0.25, 0.125], vec![1.0, 1.0]));
        assert_eq!(history.activations, [[0.1, 0.2]]);
        let long =
            (1..=3500).fold(header(0) + "\n", |text, row| text + &format!("{row},1,1,0,0,1\n"));
        let steps = History::parse(&long).unwrap_or_else(|e| panic!("{e}")).steps;
        assert_eq!((steps.len(), steps[0], steps[874]), (875, 4.0, 3500.0));
        for (text, sentence) in [
            ("", "no history"),
            ("a,b\n1,2\n", "no history"),
            (&good.replace("0.125", "much"), "line 3: 7 numbers"),
            (&good.replace(",0.2\n", "\n"), "line 3: 7 numbers"),
        ] {
            let problem = History::parse(text).err().unwrap_or_default();
            assert!(problem.contains(sentence), "{problem}");
        }
    }
}
