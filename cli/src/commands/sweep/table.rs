//! The result of a sweep, as CSV, chart, JSON and text.

use serde_json::{Value, json};

use super::journal::{Entry, Journal, Outcome};
use super::plan::{self, Range};
use super::trials::Trials;
use crate::drawing::chart::{Chart, Mark, Series};
use crate::output::{settings_json, short};

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

    fn is_front(&self, trial: usize) -> bool {
        self.front.iter().any(|entry| entry.trial == trial)
    }

    pub fn csv(&self) -> String {
        let mut text = String::from("trial,steps");
        for range in self.ranges {
            text += &format!(",{}", range.field);
        }
        text += ",squared_error,sparsity,explained_variance,objective,dead_units,front\n";
        for Entry { trial, steps, outcome, .. } in &self.last {
            text += &format!("{trial},{steps}");
            for value in &self.trials.list[*trial].varied {
                // Lists have commas.
                let quote = if value.contains(',') { "\"" } else { "" };
                text += &format!(",{quote}{value}{quote}");
            }
            let Outcome { error, sparsity, explained_variance, objective, dead } = outcome;
            let front = u8::from(self.is_front(*trial));
            text +=
                &format!(",{error},{sparsity},{explained_variance},{objective},{dead},{front}\n");
        }
        text
    }

    /// The outcome of each trial, those of the front joined by a line.
    pub fn chart(&self) -> Chart {
        let point = |entry: &Entry| (entry.outcome.sparsity, entry.outcome.error);
        let dots = |name, color, is_shown: &dyn Fn(&Entry) -> bool| {
            let shown: Vec<_> = self.last.iter().filter(|entry| is_shown(entry)).collect();
            let points = shown.iter().map(|entry| point(entry));
            let title = |trial: usize| {
                format!("trial {trial}: {}", self.trials.list[trial].varied.join(" "))
            };
            let titles = shown.iter().map(|entry| title(entry.trial)).collect();
            Series { titles, ..Series::new(name, Mark::Dots, color, points) }
        };
        let is_front = |entry: &Entry| self.is_front(entry.trial);
        let ended = |entry: &Entry| entry.rung == self.top;
        Chart {
            x: self.trials.measure.name(),
            y: "squared error; the line joins the best trials",
            series: vec![
                Series::new("front", Mark::Line, 0, self.front.iter().map(point)),
                dots("not trained to the end", 4, &|entry| !is_front(entry) && !ended(entry)),
                dots("trained to the end", 1, &|entry| !is_front(entry) && ended(entry)),
                dots("best trials", 0, &is_front),
            ],
        }
    }

    /// An object with the front.
    pub fn json(&self) -> Value {
        let front = self.front.iter().map(|Entry { trial, outcome, .. }| {
            json!({
                "trial": trial,
                "settings": settings_json(&self.trials.list[*trial].settings),
                "squared_error": outcome.error,
                "sparsity": outcome.sparsity,
                "explained_variance": outcome.explained_variance,
            })
        });
        json!({"front": front.collect::<Vec<_>>()})
    }

    /// Lines of text with the front.
    pub fn text(&self) -> String {
        let measure = self.trials.measure.name();
        let mut text = format!("best of {} trials, the sparsest first:\n", self.trials.list.len());
        for Entry { trial, outcome, .. } in &self.front {
            let varied = self.ranges.iter().zip(&self.trials.list[*trial].varied);
            let varied: Vec<_> =
                varied.map(|(range, value)| format!("{}={value}", range.field)).collect();
            let (varied, error) = (varied.join(" "), short(outcome.error));
            let sparsity = short(outcome.sparsity);
            text +=
                &format!("trial {trial}  {varied}  squared error {error}  {measure} {sparsity}\n");
        }
        text
    }
}
