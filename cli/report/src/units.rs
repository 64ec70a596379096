//! What the page shows of the units of a layer.

use sae::Engine;
use sae::analysis::{UnitOptions, UnitSummary};
use serde_json::{Value, json};

use crate::arrays::Arrays;
use crate::error::Result;
use crate::model::Model;
use crate::pictures::usual_norm;
use crate::report::TOP;
use crate::telling::Telling;

/// A hidden layer of the encoder with its units.
pub struct Layer {
    /// From 0.
    pub layer: usize,
    pub summaries: Vec<UnitSummary>,
    /// The units that are shown in full, the most frequent ones, in ascending order.
    pub kept: Vec<usize>,
}

impl Layer {
    /// None of its units is shown in full yet.
    pub fn of(
        engine: &mut Engine,
        model: &Model,
        layer: usize,
        labels: Option<&[u8]>,
    ) -> Result<Self> {
        let what = UnitOptions {
            layer: Some(layer),
            top: TOP,
            labels,
            nearest: false,
            ..UnitOptions::default()
        };
        let summaries = model.net.unit_summaries(engine, &model.samples, &what)?;
        Ok(Layer { layer, summaries, kept: Vec::new() })
    }

    /// Shows the most frequent units in full, this many.
    pub fn keep(&mut self, count: usize) {
        self.kept = (0..self.summaries.len()).collect();
        self.kept.sort_by_key(|&unit| std::cmp::Reverse(self.summaries[unit].active));
        self.kept.truncate(count.max(1));
        self.kept.sort_unstable();
    }

    /// Whether all units are shown in full.
    pub fn is_whole(&self) -> bool {
        self.kept.len() == self.summaries.len()
    }

    /// Those that are shown in full.
    pub fn kept(&self) -> impl Iterator<Item = &UnitSummary> {
        self.kept.iter().map(|&unit| &self.summaries[unit])
    }

    /// Adds the arrays, and says what there is. `name` is that of the model's layer.
    pub fn add(
        &self,
        engine: &mut Engine,
        (model, images, telling): (&Model, bool, Option<&Telling>),
        (name, arrays): (&str, &mut Arrays),
    ) -> Result<Value> {
        let all =
            |of: fn(&UnitSummary) -> f32| -> Vec<f32> { self.summaries.iter().map(of).collect() };
        arrays.f32(format!("{name}.frequency"), &all(|unit| unit.frequency as f32));
        arrays.f32(format!("{name}.mean"), &all(|unit| unit.mean));
        arrays.f32(format!("{name}.max"), &all(|unit| unit.max));
        arrays.f32(format!("{name}.out"), &all(|unit| unit.norm_out as f32));
        if let Some(telling) = telling {
            arrays.f32(format!("{name}.telling"), &telling.scores(&self.summaries));
        }
        let classes = self.summaries.iter().map(|unit| unit.labels.len()).max().unwrap_or(0);
        if classes > 0 {
            let purity = |unit: &UnitSummary| unit.purest_label().map_or(0.0, |of| of.1 as f32);
            arrays.f32(format!("{name}.purity"), &all(purity));
            let label = |unit: &UnitSummary| unit.purest_label().map_or(0, |(label, _)| label);
            arrays
                .u8(format!("{name}.label"), &self.summaries.iter().map(label).collect::<Vec<_>>());
            let counts = self.kept().flat_map(|unit| unit.labels.iter().map(|&n| n as u32));
            arrays.u32(format!("{name}.labels"), &counts.collect::<Vec<_>>());
        }
        let numbers = |units: &[usize]| units.iter().map(|&u| u as u32).collect::<Vec<_>>();
        arrays.u32(format!("{name}.kept"), &numbers(&self.kept));
        let dead = self.summaries.iter().filter(|unit| unit.is_dead).map(|unit| unit.unit);
        arrays.u32(format!("{name}.dead"), &numbers(&dead.collect::<Vec<_>>()));
        let histograms = self.kept().flat_map(|u| u.histogram.counts.iter().map(|&n| n as u32));
        arrays.u32(format!("{name}.histogram"), &histograms.collect::<Vec<_>>());
        // Of units that are active less often, the rest is 0.
        let (mut samples, mut activations) = (Vec::new(), Vec::new());
        for (row, unit) in self.kept().enumerate() {
            samples.extend(unit.top.iter().map(|top| top.sample as u32));
            activations.extend(unit.top.iter().map(|top| top.activation));
            samples.resize((row + 1) * TOP, 0);
            activations.resize((row + 1) * TOP, 0.0);
        }
        arrays.u32(format!("{name}.top"), &samples);
        arrays.f32(format!("{name}.top.value"), &activations);
        if images {
            self.add_pictures(engine, model, (name, arrays))?;
        }
        let histogram = &self.kept().next().map(|unit| &unit.histogram);
        let range = histogram.map_or([-4.0, 4.0], |of| [of.low, of.high]);
        let picture = images.then_some(if self.layer == 0 { "weights" } else { "preferred" });
        Ok(json!({
            "layer": self.layer, "units": self.summaries.len(), "kept": self.kept.len(),
            "classes": classes, "histogram": range, "picture": picture,
            "telling": telling.map(Telling::name),
        }))
    }

    /// Of each unit the input of a given length that activates it most, in the first layer its weights.
    fn add_pictures(
        &self,
        engine: &mut Engine,
        model: &Model,
        (name, arrays): (&str, &mut Arrays),
    ) -> Result<()> {
        let inputs = model.net.settings().layers[0];
        let all = model.net.preferred_inputs(engine, self.layer, usual_norm(inputs))?;
        let rows = self.kept.iter().flat_map(|&unit| &all[unit * inputs..][..inputs]);
        arrays.signed_rows(&format!("{name}.picture"), &rows.copied().collect::<Vec<_>>(), inputs);
        Ok(())
    }
}
