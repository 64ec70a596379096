//! Units as a table in the terminal.

use sae::{Autoencoder, Code, analysis::UnitSummary};

use super::listed::Units;
use crate::names::visible;
use crate::output::{Left, aligned, at_most, brief, counted};

/// Samples of a unit in a line, and with context below it.
const SAMPLES: usize = 6;
const CONTEXTS: usize = 3;
/// Characters of a name, and of the names before or after it.
const NAME: usize = 24;
const SIDE: usize = 40;

impl Units {
    /// A table of at most `show` units that are not dead; `selects` leaves out those that are dense, too.
    pub fn text(&self, net: &Autoencoder, show: usize, selects: bool) -> String {
        let units = &self.units;
        let alive = || units.iter().filter(|unit| !unit.is_dead);
        let shown: Vec<&UnitSummary> =
            alive().filter(|unit| !(selects && unit.is_dense())).collect();
        // Where all are dense, as without sparsity, all are shown.
        let shown = if shown.is_empty() { alive().collect() } else { shown };
        let mut text = self.title(net);
        if shown.is_empty() || show == 0 {
            return text;
        }
        let rows = shown.iter().take(show).map(|unit| self.row(unit));
        let mut header = vec!["unit", "active", "mean", "max", "nearest (cos)"];
        header.extend(self.labels.is_some().then_some("label"));
        header.push(if self.context.is_some() { "" } else { "top samples" });
        let mut table = vec![header.into_iter().map(str::to_owned).collect()];
        table.extend(rows);
        let lines = aligned(&table, Left::Last);
        let mut lines = lines.lines();
        text += &format!("\n{}\n", lines.next().unwrap_or_default());
        for (unit, line) in shown.iter().zip(lines) {
            text += &format!("{line}\n{}", self.contexts(unit));
        }
        let left = shown.len().saturating_sub(show);
        if left > 0 {
            text += &format!("... {left} more; --out writes all units\n");
        }
        text
    }

    fn title(&self, net: &Autoencoder) -> String {
        let dead = at_most(self.count(|unit| unit.is_dead), self.tell_dead());
        let dense = self.count(UnitSummary::is_dense);
        let settings = net.settings();
        let layer = match (self.layer == settings.encoder_layers(), settings.code) {
            (true, Code::Dense) => "code".to_owned(),
            (true, code) => format!("code ({code})"),
            (false, _) => format!("layer {}", self.layer),
        };
        format!(
            "{} of {}\n{layer} of {}: {dead} dead, {dense} dense (active in more than 10 %)\n",
            counted(self.chosen.samples.len(), "sample"),
            self.chosen.name.display(),
            counted(self.units.len(), "unit")
        )
    }

    fn row(&self, unit: &UnitSummary) -> Vec<String> {
        let nearest = unit.nearest.map(|(unit, cosine)| format!("{unit} ({cosine:.2})"));
        let mut row = vec![
            unit.unit.to_string(),
            percent(unit.frequency),
            brief(unit.mean.into()),
            brief(unit.max.into()),
            nearest.unwrap_or("–".into()),
        ];
        if self.labels.is_some() {
            let text = |(label, share): (String, f64)| {
                format!("{} ({})", shortened(&visible(&label), NAME), percent(share))
            };
            row.push(self.label_of(unit).map_or("–".into(), text));
        }
        row.push(if self.context.is_some() { String::new() } else { self.top(unit) });
        row
    }

    /// The top samples in a line: their names, each with how often it comes, or their numbers.
    fn top(&self, unit: &UnitSummary) -> String {
        let numbers = unit.top.iter().map(|top| self.chosen.number(top.sample));
        let Some(names) = &self.names else {
            return numbers.take(SAMPLES).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        };
        let mut found: Vec<(String, usize)> = Vec::new();
        for number in numbers {
            let name = shortened(&visible(names.get(number)), NAME);
            match found.iter_mut().find(|(other, _)| *other == name) {
                Some((_, times)) => *times += 1,
                None => found.push((name, 1)),
            }
        }
        let shown = found.into_iter().take(SAMPLES).map(|(name, times)| match times {
            1 => name,
            _ => format!("{name} x{times}"),
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// The first of the top samples with their neighbors, each in a line, the names below each other.
    fn contexts(&self, unit: &UnitSummary) -> String {
        let mut text = String::new();
        for top in unit.top.iter().take(CONTEXTS) {
            let number = self.chosen.number(top.sample);
            let (Some(names), Some(count)) = (&self.names, self.context) else { break };
            let [left, name, right] = names.around(number, count).map(|part| visible(&part));
            let cut = left.chars().count().saturating_sub(SIDE);
            let left: String = left.chars().skip(cut).collect();
            let right = shortened(&right, SIDE);
            let value = brief(top.activation.into());
            text += &format!("    {value:>7}  {left:>SIDE$}{name}{right}\n");
        }
        text
    }
}

fn shortened(text: &str, length: usize) -> String {
    match text.chars().count() > length {
        true => text.chars().take(length - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// A share in percent, with two digits or more.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let digits = match percent {
        0.0 | 10.0.. => 0,
        1.0.. => 1,
        0.1.. => 2,
        _ => 3,
    };
    format!("{percent:.digits$} %")
}
