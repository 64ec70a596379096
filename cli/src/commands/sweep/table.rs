//! The result of a sweep, as CSV, chart, JSON and text.

use std::io;
use std::path::PathBuf;

use sae::Measure;
use serde_json::{Map, Value, json};

use super::journal::{Entry, Journal, Outcome};
use super::plan::{self, Range};
use super::trials::{Trial, Trials};
use crate::drawing::chart::{Chart, Mark, Series};
use crate::failure::Result;
use crate::output::{Left, aligned, at_most, counted, exact, readable, settings_json, short};
use crate::sweeps;

/// `3 dead units`
fn dead_units(outcome: &Outcome) -> String {
    let units = if outcome.dead == 1 { "unit" } else { "units" };
    format!("{} dead {units}", at_most(outcome.dead, outcome.tells_dead))
}

/// Trials in the text, at most, where some are not of the front.
const MAX_SHOWN: usize = 20;

pub struct Table<'a> {
    ranges: &'a [Range],
    trials: &'a Trials,
    /// The last outcome of each trial.
    last: Vec<Entry>,
    /// The rung of the trials that were trained to the end.
    top: u8,
    /// Of those, the entries that no other beats, the sparsest first.
    front: Vec<Entry>,
}

impl<'a> Table<'a> {
    pub fn new(ranges: &'a [Range], trials: &'a Trials, journal: &Journal, top: u8) -> Self {
        let last = journal.last(trials.list.len());
        let ended: Vec<_> = last.iter().filter(|entry| entry.rung == top).collect();
        let outcomes: Vec<_> = ended.iter().map(|entry| (entry.trial, entry.outcome)).collect();
        let best = plan::front(&outcomes);
        let front = ended.into_iter().filter(|entry| best.contains(&entry.trial)).copied();
        let mut front: Vec<Entry> = front.collect();
        front.sort_by(|a, b| a.outcome.sparsity.total_cmp(&b.outcome.sparsity));
        Table { ranges, trials, last, top, front }
    }

    /// Whether no trial has come to an end with finite numbers.
    pub fn all_diverged(&self) -> bool {
        self.last.iter().all(|entry| entry.outcome.is_diverged())
    }

    fn is_front(&self, trial: usize) -> bool {
        self.front.iter().any(|entry| entry.trial == trial)
    }

    /// The model's file of an entry, if it has one.
    fn model(&self, entry: &Entry) -> Option<PathBuf> {
        let has_one = entry.rung == self.top && !entry.outcome.is_diverged();
        has_one.then(|| sweeps::model_of(&self.trials.table, entry.trial))
    }

    /// The columns' names, then a line for each trial. Files are named from the table's folder.
    pub fn csv(&self) -> Result<Vec<u8>> {
        let fields = self.ranges.iter().map(|range| range.field.as_str());
        let names = sweeps::FIRST_COLUMNS.into_iter().chain(fields).chain(sweeps::FIGURES);
        let mut lines = vec![names.chain([sweeps::MODEL]).map(str::to_owned).collect::<Vec<_>>()];
        let folder = self.trials.table.parent();
        for entry in &self.last {
            let Entry { trial, steps, outcome, .. } = *entry;
            let mut line = vec![trial.to_string(), steps.to_string()];
            line.extend(self.trials.list[trial].varied.iter().cloned());
            let Outcome { error, sparsity, explained_variance, objective, dead, .. } = outcome;
            line.extend([error, sparsity, explained_variance, objective].map(exact));
            line.extend([dead.to_string(), u8::from(self.is_front(trial)).to_string()]);
            let model = self.model(entry).map(|model| {
                let within = folder.and_then(|folder| model.strip_prefix(folder).ok());
                within.unwrap_or(&model).display().to_string()
            });
            line.push(model.unwrap_or_default());
            lines.push(line);
        }
        let mut csv = ::csv::Writer::from_writer(Vec::new());
        for line in &lines {
            csv.write_record(line).map_err(io::Error::from)?;
        }
        Ok(csv.into_inner().map_err(|error| error.into_error())?)
    }

    /// The outcome of each trial, those of the front joined by a line.
    pub fn chart(&self) -> Chart {
        let point = |entry: &Entry| (entry.outcome.sparsity, entry.outcome.error);
        let measure = self.trials.measure.name();
        let dots = |name, color, is_shown: &dyn Fn(&Entry) -> bool| {
            let shown: Vec<_> = self.last.iter().filter(|entry| is_shown(entry)).collect();
            let points = shown.iter().map(|entry| point(entry));
            let title = |entry: &Entry| {
                let Entry { trial, steps, outcome, .. } = entry;
                format!(
                    "trial {trial}, {}: {}; squared error {}, {measure} {}, explained variance {}, \
                     {}",
                    counted(*steps as usize, "step"),
                    self.values(*trial).join(" "),
                    short(outcome.error),
                    short(outcome.sparsity),
                    short(outcome.explained_variance),
                    dead_units(outcome)
                )
            };
            let titles = shown.iter().map(|entry| title(entry)).collect();
            let labels = shown.iter().map(|entry| self.label(entry.trial)).collect();
            Series { titles, labels, ..Series::new(name, Mark::Dots, color, points) }
        };
        let is_front = |entry: &Entry| self.is_front(entry.trial);
        let ended = |entry: &Entry| entry.rung == self.top;
        Chart {
            x: match self.trials.measure {
                Measure::L0 => "active units per sample (L0)",
                _ => "mean activation",
            },
            y: "squared error; the line joins the best trials",
            series: vec![
                Series::new("front", Mark::Line, 0, self.front.iter().map(point)),
                dots("not trained to the end", 4, &|entry| !is_front(entry) && !ended(entry)),
                dots("trained to the end", 1, &|entry| !is_front(entry) && ended(entry)),
                dots("best trials", 0, &is_front),
            ],
        }
    }

    /// `code=top-k:8`, for each of the varied settings.
    fn values(&self, trial: usize) -> Vec<String> {
        let varied = self.ranges.iter().zip(&self.trials.list[trial].varied);
        varied.map(|(range, value)| format!("{}={value}", range.field)).collect()
    }

    /// What a dot is labeled with: of few trials with short values these, or else its number.
    fn label(&self, trial: usize) -> Vec<String> {
        let max = if self.ranges.len() > 1 { 28 } else { 16 };
        let values = |trial: usize| match &self.values(trial)[..] {
            [_] => self.trials.list[trial].varied.concat(),
            several => several.join(" "),
        };
        let mut all = 0..self.trials.list.len();
        let are_short = all.all(|trial| values(trial).chars().count() <= max);
        let number = format!("#{trial}");
        match are_short && self.last.len() <= 9 {
            true => vec![values(trial), number],
            false => vec![number],
        }
    }

    /// Those that were trained to the end, the sparsest first.
    fn ended(&self) -> Vec<&Entry> {
        let mut ended: Vec<_> = self.last.iter().filter(|entry| entry.rung == self.top).collect();
        ended.sort_by(|a, b| a.outcome.sparsity.total_cmp(&b.outcome.sparsity));
        ended
    }

    /// An object with the front, and all trials.
    pub fn json(&self) -> Value {
        let object = |entry: &Entry| {
            let Entry { trial, steps, outcome, .. } = entry;
            let Trial { fields, varied, settings, .. } = &self.trials.list[*trial];
            let varied: Map<String, Value> = fields
                .iter()
                .zip(varied)
                .map(|(field, text)| (field.clone(), json!(text)))
                .collect();
            json!({
                "trial": trial,
                "steps": steps,
                "varied": varied,
                "settings": settings_json(settings),
                "squared_error": outcome.error,
                "sparsity": outcome.sparsity,
                "explained_variance": outcome.explained_variance,
                "dead_units": outcome.dead,
                "tells_dead_units": outcome.tells_dead,
                "model": self.model(entry).map(readable),
            })
        };
        json!({
            "sparsity_measure": self.trials.measure.name(),
            "front": self.front.iter().map(object).collect::<Vec<_>>(),
            "trials": self.last.iter().map(object).collect::<Vec<_>>(),
        })
    }

    /// Lines of text with the trials that were trained to the end, or of many those of the front.
    pub fn text(&self) -> String {
        let ended = self.ended();
        let of_ended = match ended.len() {
            len if len > MAX_SHOWN => "the best ones".to_owned(),
            len if len == self.trials.list.len() => "all trained to the end".to_owned(),
            len => format!("{len} trained to the end"),
        };
        let shown = if ended.len() > MAX_SHOWN { self.front.iter().collect() } else { ended };
        let mark = if shown.len() > self.front.len() { "*" } else { "" };
        let best = if mark.is_empty() { "" } else { ", * the best ones" };
        let trials = counted(self.trials.list.len(), "trial");
        let mut text = format!("{trials}, {of_ended}{best}, the sparsest first:\n");
        let fields = self.ranges.iter().map(|range| range.field.clone());
        let figures =
            ["squared error", "explained variance", self.trials.measure.name(), "dead units"];
        let mut rows: Vec<Vec<String>> =
            vec![["trial".to_owned()].into_iter().chain(fields).collect()];
        rows[0].extend(figures.into_iter().chain([mark, "model"]).map(str::to_owned));
        for entry in shown {
            let Entry { trial, outcome, .. } = entry;
            let mut row = vec![trial.to_string()];
            row.extend(self.trials.list[*trial].varied.iter().cloned());
            row.extend([outcome.error, outcome.explained_variance, outcome.sparsity].map(|it| {
                match it {
                    it if it.is_finite() => short(it),
                    _ => "diverged".to_owned(),
                }
            }));
            row.push(at_most(outcome.dead, outcome.tells_dead));
            row.push(if self.is_front(*trial) { mark.to_owned() } else { String::new() });
            let model =
                self.model(entry).and_then(|it| Some(it.file_name()?.display().to_string()));
            row.push(model.unwrap_or_default());
            rows.push(row);
        }
        text += &aligned(&rows, Left::Last);
        text
    }
}
