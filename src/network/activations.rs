//! The activations of a layer, whole or some samples at a time.

use crate::compute::Engine;
use crate::data::samples::SamplesOf;
use crate::error::{Error, Result};
use crate::network::autoencoder::{Autoencoder, Depth, reserve};
use crate::network::pass::write_lists;

impl Autoencoder {
    /// Calls `visit` with the activations of a layer, `[n, units]`, for some samples after the others; 0 is
    /// the first layer, the last one gives the reconstructions.
    ///
    /// For data whose activations need not be in memory at once. The bits are those of
    /// [`Autoencoder::encode`] and [`Autoencoder::reconstruct`].
    ///
    /// # Errors
    /// Those of [`Autoencoder::encode`] and of `visit`, at which it ends; [`Error::Setting`] if there is no
    /// such layer.
    pub fn for_activations<E: From<Error>>(
        &self,
        engine: &mut Engine,
        samples: &SamplesOf<'_>,
        layer: usize,
        mut visit: impl FnMut(&[f32]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let layers = self.settings.layers.len() - 1;
        if layer >= layers {
            let problem = format!("expected a layer, 0 to {}, got {layer}", layers - 1);
            return Err(Error::setting("layer", problem).into());
        }
        let width = self.settings.layers[layer + 1];
        let is_code = self.settings.is_gated(layer);
        let depth = Depth { layers: layer + 1, logits: false };
        let mut rows = Vec::new();
        self.try_for_chunks(engine, &samples.without_targets(), depth, |_, chunk| {
            if !is_code {
                return visit(&chunk.outputs[layer]);
            }
            rows.resize(chunk.codes.rows() * width, 0.0);
            write_lists(chunk.codes, width, &mut rows);
            visit(&rows)
        })?;
        Ok(())
    }

    /// The activations of a layer, `[samples, units]`.
    pub(super) fn activations(
        &self,
        engine: &mut Engine,
        samples: &SamplesOf<'_>,
        layer: usize,
    ) -> Result<Vec<f32>> {
        self.check_features(samples)?;
        let mut all = reserve(samples.len(), self.settings.layers[layer + 1])?;
        self.for_activations(engine, samples, layer, |rows| {
            all.extend_from_slice(rows);
            Ok::<(), Error>(())
        })?;
        Ok(all)
    }
}
