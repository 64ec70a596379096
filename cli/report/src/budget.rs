//! How many units and samples are in a page, so that its arrays fit in a number of bytes.
//!
//! Bytes are counted before they are compressed, which weights hardly are: the page is measured afterwards.

use sae::Scaling;

use crate::model::Model;
use crate::report::TOP;
use crate::samples::MAX_ENTRIES;
use crate::units::Layer;

/// Bytes of the arrays of a page, at first. As base64 they are a third more.
pub const ARRAYS: usize = 4_000_000;

/// What a page has.
#[derive(Clone, Copy)]
pub struct Budget {
    /// Bytes of all arrays.
    pub bytes: usize,
    /// Units in full, if their number is chosen.
    pub units: Option<usize>,
    /// Whether samples are images.
    pub images: bool,
    /// Samples around each top sample, on each side, whose activations are shown; none without names.
    pub context: usize,
}

impl Budget {
    /// Chooses the units of each layer that are shown in full, and returns the number of samples that fit beside them.
    pub fn spend(self, models: &[Model], layers: &mut [Vec<Layer>]) -> usize {
        let each = |layers: &[Vec<Layer>], of: &dyn Fn(&Layer, usize) -> usize| -> usize {
            let of_model = |(model, layers): (&Model, &Vec<Layer>)| -> usize {
                layers.iter().map(|layer| of(layer, self.unit_bytes(model, layer))).sum()
            };
            models.iter().zip(layers).map(of_model).sum()
        };
        // The numbers of all units.
        let bytes = self.bytes.saturating_sub(each(layers, &|layer, _| 20 * layer.summaries.len()));
        let all = each(layers, &|layer, bytes| bytes * layer.summaries.len());
        // Samples need more bytes where units are left out.
        let is_all = all <= bytes / 6 * 5;
        let of_units = if is_all { all } else { bytes / 9 * 5 };
        let count = layers.iter().map(Vec::len).sum::<usize>().max(1);
        for (model, layers) in models.iter().zip(&mut *layers) {
            for layer in layers {
                let fitting = of_units / count / self.unit_bytes(model, layer);
                let all = if is_all { layer.summaries.len() } else { fitting };
                layer.keep(self.units.unwrap_or(all));
            }
        }
        let kept = each(layers, &|layer, bytes| bytes * layer.kept.len());
        // Where the number of units is chosen, that of samples stays.
        let least = if self.units.is_some() { bytes / 9 * 4 } else { 0 };
        bytes.saturating_sub(kept).max(least) / sample_bytes(models, layers)
    }

    /// Bytes of a unit in full.
    fn unit_bytes(self, model: &Model, layer: &Layer) -> usize {
        let sizes = &model.net.settings().layers;
        let inputs = if self.images { sizes[0] } else { 0 };
        let outputs = sizes.last().copied().unwrap_or(0);
        // Histograms and labels are mostly zeros, which compress.
        let labels = layer.summaries.first().map_or(0, |unit| unit.labels.len());
        inputs + outputs + 20 + labels + TOP * (8 + 2 * self.context + 1)
    }
}

/// Bytes of a sample and its codes: the sample itself is the same in all models.
fn sample_bytes(models: &[Model], layers: &[Vec<Layer>]) -> usize {
    let Some(first) = models.first() else { return 1 };
    let features = first.samples.features();
    // The margins and edges of images of bytes compress.
    let is_bytes = matches!(first.samples.scaling(), Scaling::Byte);
    let targets = first.samples.targets().map_or(0, |targets| targets.features());
    let own = features / if is_bytes { 3 } else { 1 } + targets;
    let of_model = |(model, layers): (&Model, &Vec<Layer>)| {
        let code = layers.len() - 1;
        let l0 = model.evaluation.layers[code].l0;
        let rest = if layers[code].is_whole() && l0 < MAX_ENTRIES as f64 {
            0
        } else {
            model.net.settings().layers[code + 2]
        };
        8 * l0.min(MAX_ENTRIES as f64) as usize + 16 + rest
    };
    own + models.iter().zip(layers).map(of_model).sum::<usize>()
}
