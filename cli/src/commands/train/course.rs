//! The course of a training, row by row: as CSV for the report, and as JSON lines.

mod lines;
mod log;
mod sums;

use std::path::Path;

use sae::{Samples, StepReport, Trainer};

use super::args::Args;
use crate::failure::Result;
use crate::history;
use crate::output::exact;
use lines::Lines;
pub use log::{Log, is_log};
pub use sums::Sums;

/// Rows of a whole training, about.
const ROWS: u64 = 250;
/// Of these, about as many with what is measured now and then.
const MEASURED: u64 = 25;
/// Test samples that are measured, at most.
const TEST_SAMPLES: usize = 2048;

/// At which steps there are rows, and at which something is measured; the same in all ranks.
#[derive(Clone, Copy)]
pub struct Pace {
    every: u64,
    /// 0 for never.
    test_every: u64,
}

impl Pace {
    pub fn of(args: &Args) -> Self {
        let usual = Self::of_steps(args.steps());
        Pace { test_every: args.test_every.unwrap_or(usual.test_every), ..usual }
    }

    /// The default of a training with this number of steps.
    pub fn of_steps(steps: u64) -> Self {
        let every = (steps / ROWS).clamp(1, 100);
        Pace { every, test_every: (steps / MEASURED / every * every).max(every) }
    }

    fn measures(self, step: u64) -> bool {
        self.test_every > 0 && step.is_multiple_of(self.test_every)
    }

    /// Asks the next step for what is measured after it; in all ranks.
    pub fn ask(self, trainer: &mut Trainer) {
        if self.measures(trainer.steps() + 1) {
            trainer.measure_gradient_norm();
        }
    }

    /// Those of the test samples that are measured.
    ///
    /// About a 100th of the samples that are trained on meanwhile, because each takes longer.
    fn samples(self, test: &Samples, batch: usize) -> Samples {
        let trained = self.test_every.saturating_mul(batch as u64);
        let count = usize::try_from(trained / 100).unwrap_or(TEST_SAMPLES);
        test.thinned(count.clamp(256, TEST_SAMPLES))
    }
}

/// The figures of test samples.
struct Tested {
    objective: f64,
    squared_error: f64,
    explained_variance: f64,
    l0: f64,
    dead: usize,
}

/// Writes the history and the log.
pub struct Curves {
    pace: Pace,
    names: Vec<String>,
    history: Lines,
    pub log: Option<Log>,
    pub sums: Sums,
    /// None without test samples, and once they could not be measured.
    test: Option<Samples>,
}

impl Curves {
    /// Begins the files; of a resumed training after the rows up to the checkpoint.
    pub fn begin(
        (history, log): (&Path, Option<Log>),
        pace: Pace,
        trainer: &Trainer,
        test: Option<&Samples>,
    ) -> Result<Self> {
        let settings = trainer.autoencoder().settings();
        let is_sparse = !trainer.inactive_samples().is_empty();
        let names = history::names(is_sparse, settings.layers.len() - 2);
        let earlier = lines::earlier(history, trainer.steps());
        let rows = rows_until(&earlier, &names, trainer.steps());
        let history = Lines::begin(history, &format!("{}\n{rows}", names.join(",")))?;
        let test = test.filter(|_| pace.test_every > 0);
        let test = test.map(|test| pace.samples(test, settings.batch));
        Ok(Curves { pace, names, history, log, sums: Sums::of(trainer), test })
    }

    /// Takes a step. Returns what went wrong, which the training does not end for: each is said once.
    pub fn step(&mut self, trainer: &mut Trainer, report: StepReport) -> Vec<String> {
        self.sums.add(trainer, report);
        let step = trainer.steps();
        let measures = self.pace.measures(step);
        if !measures && !step.is_multiple_of(self.pace.every) {
            return Vec::new();
        }
        let mut problems = Vec::new();
        let tested = if measures { self.test(trainer, &mut problems) } else { None };
        let norm = trainer.gradient_norm().filter(|_| measures);
        let row = self.row(trainer, norm, tested.as_ref());
        let cells = row.iter().map(|cell| cell.map_or(String::new(), exact));
        let line = cells.collect::<Vec<_>>().join(",") + "\n";
        let written = self.history.write(&line);
        problems.extend(written.err().map(|problem| format!("{problem}; the history ends here")));
        if let Some(log) = &mut self.log {
            problems.extend(log.row(&self.names, &row));
        }
        problems
    }

    fn test(&mut self, trainer: &mut Trainer, problems: &mut Vec<String>) -> Option<Tested> {
        let evaluation = match trainer.evaluate(self.test.as_ref()?) {
            Ok(evaluation) => evaluation,
            Err(error) => {
                self.test = None;
                problems.push(format!("{error}; the test samples are not measured any more"));
                return None;
            }
        };
        let code = trainer.autoencoder().settings().encoder_layers() - 1;
        let activity = &evaluation.layers[code];
        Some(Tested {
            objective: evaluation.objective,
            squared_error: evaluation.squared_error,
            explained_variance: evaluation.explained_variance,
            l0: activity.l0,
            dead: activity.dead_units().count(),
        })
    }

    /// The cells of a row, as many as names; ends the means.
    fn row(
        &mut self,
        trainer: &Trainer,
        norm: Option<f64>,
        tested: Option<&Tested>,
    ) -> Vec<Option<f64>> {
        let settings = trainer.autoencoder().settings();
        let is_sparse = !trainer.inactive_samples().is_empty();
        let means = self.sums.take_means();
        // The objective of a report without its other terms is the weight decay.
        let decay = trainer.objective(StepReport::default());
        let step = trainer.steps();
        let mut row = vec![
            step as f64,
            means.without_decay + decay,
            means.loss,
            means.penalty,
            decay,
            trainer.penalty_factor(),
            history::rounded(settings.learning_rate_of(step)),
        ];
        if is_sparse {
            row.extend([means.auxiliary, means.l0]);
        }
        let mut row: Vec<_> = row.into_iter().map(Some).collect();
        let dead = match is_sparse {
            true => Some(trainer.dead_units().count()),
            false => tested.map(|tested| tested.dead),
        };
        row.extend([dead.map(|count| count as f64), Some(self.sums.revived as f64), norm]);
        row.extend([
            tested.map(|tested| tested.objective),
            tested.map(|tested| tested.squared_error),
            tested.map(|tested| tested.explained_variance),
            tested.map(|tested| tested.l0),
        ]);
        row.extend(means.activations.into_iter().map(Some));
        row.into_iter().map(|cell| cell.filter(|number| number.is_finite())).collect()
    }
}

/// The rows of a history up to a step, under these names.
fn rows_until(history: &str, names: &[String], step: u64) -> String {
    let mut lines = history.split_inclusive('\n');
    let header = lines.next().unwrap_or_default();
    let earlier: Vec<&str> = header.trim_end().split(',').collect();
    if !history::is_header(header) {
        return String::new();
    }
    let places: Vec<Option<usize>> =
        names.iter().map(|name| earlier.iter().position(|other| other == name)).collect();
    let mut rows = String::new();
    for line in lines {
        // A killed run may have been ahead of its checkpoint, or in the middle of a line.
        let cells: Vec<&str> = line.trim_end().split(',').collect();
        let is_before = cells[0].parse().is_ok_and(|own: u64| own <= step);
        if !line.ends_with('\n') || !is_before || cells.len() != earlier.len() {
            break;
        }
        let cells = places.iter().map(|place| place.map_or("", |at| cells[at]));
        rows += &(cells.collect::<Vec<_>>().join(",") + "\n");
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_an_earlier_version_get_the_new_columns() {
        let columns = history::COLUMNS.join(",");
        let names = history::names(false, 1);
        let earlier = format!(
            "{columns},mean_activation_1\n2,1,0.5,0.25,0.25,1,0.1\n4,1,1,1,1,1,0.2\n6,1,1,1,1,1,0.3"
        );
        let expected = "2,1,0.5,0.25,0.25,1,,,,,,,,,0.1\n";
        assert_eq!(rows_until(&earlier, &names, 3), expected);
        let both = format!("{expected}4,1,1,1,1,1,,,,,,,,,0.2\n");
        assert_eq!(rows_until(&earlier, &names, 6), both);
        let now = format!("{}\n{both}", names.join(","));
        assert_eq!(rows_until(&now, &names, 9), both);
        assert_eq!(rows_until("", &names, 9), "");
        assert_eq!(rows_until("a,b\n1,2\n", &names, 9), "");
    }

    #[test]
    fn measured_rows_are_among_the_rows() {
        for (steps, rows, measured) in [
            (2000, 8, 80),
            (20_000, 80, 800),
            (60, 1, 2),
            (1_000_000, 100, 40_000),
            (0, 1, 1),
            (1234, 4, 48),
        ] {
            let Pace { every, test_every } = Pace::of_steps(steps);
            assert_eq!((every, test_every), (rows, measured));
        }
    }
}
