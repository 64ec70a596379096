//! Units and what is known of the samples.

use sae::analysis::{UnitSummary, tells_dead_units};

use crate::data::{Chosen, Labels};
use crate::names::Names;

/// The units of a layer, and what is known of the samples.
pub struct Units {
    pub units: Vec<UnitSummary>,
    /// From 1.
    pub layer: usize,
    pub chosen: Chosen,
    pub names: Option<Names>,
    pub context: Option<usize>,
    pub labels: Option<Labels>,
}

impl Units {
    /// The names around that of a sample, if they are shown.
    pub fn context_of(&self, number: usize) -> Option<String> {
        Some(self.names.as_ref()?.context(number, self.context?))
    }

    /// The most frequent label where a unit is active, and its share.
    pub fn label_of(&self, unit: &UnitSummary) -> Option<(String, f64)> {
        let (label, share) = unit.purest_label()?;
        Some((self.labels.as_ref()?.name_of(label), share))
    }

    /// What the labels 0, 1, ... are called, where they have names.
    pub fn label_names(&self) -> Option<&[String]> {
        self.labels.as_ref().map(|labels| &labels.names[..]).filter(|names| !names.is_empty())
    }

    /// Whether the samples are enough to tell dead units from rare ones.
    pub fn tell_dead(&self) -> bool {
        let active: u64 = self.units.iter().map(|unit| unit.active).sum();
        let alive = self.units.len() - self.count(|unit| unit.is_dead);
        tells_dead_units(active as f64, alive, self.chosen.samples.len())
    }

    /// How many units are so.
    pub fn count(&self, is: fn(&UnitSummary) -> bool) -> usize {
        self.units.iter().filter(|&unit| is(unit)).count()
    }
}
