//! Units as CSV and JSON.

use std::io::{self, Write};

use sae::{Autoencoder, analysis::UnitSummary};
use serde_json::{Value, json};

use super::listed::Units;
use crate::output::{exact, plain, readable};

/// The units as CSV.
pub struct Table<'a> {
    pub units: &'a Units,
}

impl Table<'_> {
    /// How many samples are listed of the unit that has the most.
    fn top(&self) -> usize {
        self.units.units.iter().map(|unit| unit.top.len()).max().unwrap_or(0)
    }

    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let top = self.top();
        let mut out = csv::Writer::from_writer(out);
        out.write_record(self.header(top))?;
        for unit in &self.units.units {
            out.write_record(self.record(unit, top))?;
        }
        out.flush()
    }

    fn header(&self, top: usize) -> Vec<String> {
        let mut header: Vec<String> = [
            "unit",
            "active",
            "frequency",
            "mean",
            "mean_active",
            "max",
            "dead",
            "dense",
            "norm_in",
            "norm_out",
            "nearest",
            "nearest_cosine",
        ]
        .map(str::to_owned)
        .into();
        if self.units.labels.is_some() {
            header.extend(["label", "label_share"].map(str::to_owned));
        }
        for nth in 1..=top {
            header.extend(["sample", "activation"].map(|what| format!("top_{nth}_{what}")));
            let names = self.units.names.as_ref().map(|_| "name");
            let more = names.into_iter().chain(self.units.context.map(|_| "context"));
            header.extend(more.map(|what| format!("top_{nth}_{what}")));
        }
        header
    }

    fn record(&self, unit: &UnitSummary, top: usize) -> Vec<String> {
        let is_active = unit.active > 0;
        let mut record = vec![
            unit.unit.to_string(),
            unit.active.to_string(),
            exact(unit.frequency),
            exact(unit.mean),
            if is_active { exact(unit.mean_active) } else { String::new() },
            exact(unit.max),
            unit.is_dead.to_string(),
            unit.is_dense().to_string(),
            exact(unit.norm_in),
            exact(unit.norm_out),
        ];
        let pair =
            |pair: Option<(String, String)>| pair.map_or([const { String::new() }; 2], Into::into);
        record.extend(pair(unit.nearest.map(|(unit, cosine)| (unit.to_string(), exact(cosine)))));
        if self.units.labels.is_some() {
            let label = self.units.label_of(unit);
            record.extend(pair(label.map(|(label, share)| (label, exact(share)))));
        }
        let columns = 2 + [self.units.names.is_some(), self.units.context.is_some()]
            .map(usize::from)
            .iter()
            .sum::<usize>();
        let width = record.len() + columns * top;
        for sample in &unit.top {
            let number = self.units.chosen.number(sample.sample);
            record.extend([number.to_string(), exact(sample.activation)]);
            let names = self.units.names.as_ref();
            record.extend(names.map(|names| names.get(number).to_owned()));
            record.extend(self.units.context_of(number));
        }
        record.resize(width, String::new());
        record
    }
}

impl Units {
    /// What is known of all units together.
    pub fn summary(&self, net: &Autoencoder) -> Value {
        let mut value = json!({
            "samples": self.chosen.samples.len(),
            "data": readable(&self.chosen.name),
            "layer": self.layer,
            "is_code": self.layer == net.settings().encoder_layers(),
            "count": self.units.len(),
            "dead": self.count(|unit| unit.is_dead),
            "tells_dead": self.tell_dead(),
            "dense": self.count(UnitSummary::is_dense),
        });
        if let Some(names) = self.label_names() {
            value["label_names"] = json!(names);
        }
        value
    }

    /// One object with all units, written one after another.
    pub fn write_json(&self, out: &mut impl Write, net: &Autoencoder) -> io::Result<()> {
        let summary = self.summary(net).to_string();
        write!(out, "{},\"units\":[", summary.trim_end_matches('}'))?;
        for (at, unit) in self.units.iter().enumerate() {
            write!(out, "{}\n{}", if at == 0 { "" } else { "," }, self.json(unit))?;
        }
        writeln!(out, "\n]}}")
    }

    pub fn json(&self, unit: &UnitSummary) -> Value {
        let top = unit.top.iter().map(|top| {
            let number = self.chosen.number(top.sample);
            let mut sample = json!({"sample": number, "activation": plain(top.activation)});
            if let Some(names) = &self.names {
                sample["name"] = json!(names.get(number));
            }
            if let Some(context) = self.context_of(number) {
                sample["context"] = json!(context);
            }
            sample
        });
        let mut value = json!({
            "unit": unit.unit,
            "active": unit.active,
            "frequency": unit.frequency,
            "mean": plain(unit.mean),
            "mean_active": unit.mean_active,
            "max": plain(unit.max),
            "dead": unit.is_dead,
            "dense": unit.is_dense(),
            "norm_in": unit.norm_in,
            "norm_out": unit.norm_out,
            "nearest": unit.nearest.map(|(unit, _)| unit),
            "nearest_cosine": unit.nearest.map(|(_, cosine)| plain(cosine)),
            "histogram": unit.histogram.counts,
            "top": top.collect::<Vec<_>>(),
        });
        if self.labels.is_some() {
            let label = unit.purest_label();
            value["label"] = json!(label.map(|(label, _)| label));
            value["label_share"] = json!(label.map(|(_, share)| share));
            if self.label_names().is_some() {
                value["label_name"] = json!(self.label_of(unit).map(|(name, _)| name));
            }
            value["labels"] = json!(unit.labels);
        }
        value
    }
}
