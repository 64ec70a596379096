//! A summary of every unit of a layer: how often it is active, how strongly, and for which samples.

mod summary;
mod tally;

use crate::analysis::similarity::NearestUnits;
use crate::compute::Engine;
use crate::data::samples::SamplesOf;
use crate::error::{Error, Result};
use crate::network::activity::active_threshold;
use crate::network::autoencoder::{Autoencoder, Depth};
pub use summary::{TopSample, UnitOptions, UnitSummary};
use tally::Tally;

impl Autoencoder {
    /// Summarizes every unit of a hidden layer over a data set: its frequency, mean, maximum, histogram and
    /// labels, its top samples, its weights' norms and the nearest other unit.
    ///
    /// One pass over the samples on all threads, whose memory depends on the units, not on the samples; of a
    /// sparse code only what is active is looked at. The result is the same for any number of threads.
    ///
    /// ```
    /// use sae::{Autoencoder, Code, Engine, Isa, Samples, Scaling, Settings};
    /// use sae::{analysis::UnitOptions, compute::ThreadPool};
    ///
    /// # fn main() -> Result<(), sae::Error> {
    /// let values: Vec<f32> = (0..200 * 16).map(|i| (i * i % 11) as f32 / 10.0).collect();
    /// let samples = Samples::from_values(values, 16)?;
    /// let labels: Vec<u8> = (0..200).map(|i| i % 4).collect();
    /// let layers = vec![16, 64, 16];
    /// let settings = Settings { layers, code: Code::TopK(4), beta: 0.0, ..Settings::default() };
    /// let net = Autoencoder::new(settings, Scaling::AsIs)?;
    /// let mut engine = Engine::new(Isa::detect(), ThreadPool::new(2));
    /// let options = UnitOptions { top: 3, labels: Some(&labels), ..UnitOptions::default() };
    /// let units = net.unit_summaries(&mut engine, &samples, &options)?;
    /// assert_eq!(units.len(), 64);
    /// assert_eq!(units.iter().map(|unit| unit.active).sum::<u64>(), 200 * 4);
    /// for unit in units.iter().filter(|unit| !unit.is_dead) {
    ///     assert_eq!(unit.top[0].activation, unit.max);
    ///     assert_eq!(unit.labels.iter().sum::<u64>(), unit.active);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Autoencoder::encode`]; [`Error::Setting`] if there is no such layer, or the summaries do not
    /// fit in memory; [`Error::Shape`] unless there are as many labels as samples.
    pub fn unit_summaries(
        &self,
        engine: &mut Engine,
        samples: &SamplesOf<'_>,
        options: &UnitOptions<'_>,
    ) -> Result<Vec<UnitSummary>> {
        let layer = self.check_layer(options.layer)?;
        if let Some(labels) = options.labels.filter(|labels| labels.len() != samples.len()) {
            let (labels, samples) = (labels.len(), samples.len());
            return Err(Error::Shape(format!(
                "{labels} labels for {samples} samples; expected one label per sample"
            )));
        }
        let units = self.settings().layers[layer + 1];
        let threshold = active_threshold(self.settings(), layer);
        let mut tally = Tally::new(units, threshold, samples.len(), options)?;
        let is_sparse = self.settings().is_gated(layer);
        let depth = Depth { layers: layer + 1, logits: false };
        let sums =
            self.for_chunks(engine, &samples.without_targets(), depth, |engine, chunk| {
                match is_sparse {
                    true => tally.add_lists(engine, chunk.codes),
                    false => tally.add_rows(engine, &chunk.outputs[layer]),
                }
                if let Some(progress) = options.progress {
                    progress(tally.samples());
                }
            })?;
        let mut summaries = tally.summaries(self.settings(), layer, &sums[layer]);
        self.add_weights(&mut summaries, layer);
        if options.nearest {
            let NearestUnits { cosines, units } = self.nearest_units(engine, layer);
            let nearest = units.into_iter().zip(cosines);
            summaries.iter_mut().zip(nearest).for_each(|(unit, near)| unit.nearest = Some(near));
        }
        Ok(summaries)
    }

    /// A hidden layer's number, that of the code without one.
    fn check_layer(&self, layer: Option<usize>) -> Result<usize> {
        let hidden = self.settings().layers.len() - 2;
        let layer = layer.unwrap_or(self.settings().encoder_layers() - 1);
        if layer >= hidden {
            let problem = format!("expected a hidden layer, 0 to {}, got {layer}", hidden - 1);
            return Err(Error::setting("layer", problem));
        }
        Ok(layer)
    }

    /// Adds the norms of each unit's weights.
    fn add_weights(&self, summaries: &mut [UnitSummary], layer: usize) {
        let layers = self.layers();
        let squares = |l: usize, unit_of: fn(usize, usize) -> usize| {
            let (rows, columns) = layers[l].stored();
            let mut squares = vec![0.0; summaries.len()];
            let stored = self.parameters()[layers[l].weights()].chunks(columns);
            for (row, weights) in stored.enumerate().take(rows) {
                for (column, &w) in weights.iter().enumerate() {
                    squares[unit_of(row, column)] += f64::from(w) * f64::from(w);
                }
            }
            squares
        };
        let by_row: fn(usize, usize) -> usize = |row, _| row;
        let by_column: fn(usize, usize) -> usize = |_, column| column;
        let into = squares(layer, if layers[layer].by_unit { by_row } else { by_column });
        // The rows of the next layer's stored weights are its inputs, unless it is stored unit by unit.
        let out = squares(layer + 1, if layers[layer + 1].by_unit { by_column } else { by_row });
        for (unit, (into, out)) in summaries.iter_mut().zip(into.into_iter().zip(out)) {
            (unit.norm_in, unit.norm_out) = (into.sqrt(), out.sqrt());
        }
    }
}
