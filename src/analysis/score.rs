//! How well each sample is reconstructed.

use crate::analysis::evaluate::squared_error;
use crate::analysis::reconstruction::WORK;
use crate::compute::{Engine, divided, lock};
use crate::data::samples::SamplesOf;
use crate::error::Error;
use crate::network::activity::active_threshold;
use crate::network::autoencoder::{Autoencoder, Depth};

/// A sample's reconstruction error, and how many units are active in its code.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SampleScore {
    /// Mean squared error of the sample over its d features, sum (a - x)^2 / d, of scaled numbers. Its mean
    /// over samples is [`Evaluation::squared_error`](crate::Evaluation).
    pub error: f64,
    /// L0: units of the code that are active, as [`Activity`](crate::analysis::Activity) says.
    pub l0: usize,
}

impl Autoencoder {
    /// Calls `visit` with the scores of some samples after the others: samples of large errors are unlike
    /// those of the training. A transcoder's outputs are compared with the samples'
    /// [targets](SamplesOf::with_targets).
    ///
    /// The scores are the same for any number of threads.
    ///
    /// # Errors
    /// Those of [`Autoencoder::evaluate`] and of `visit`, at which it ends.
    pub fn score<E: From<Error>>(
        &self,
        engine: &mut Engine,
        samples: &SamplesOf<'_>,
        mut visit: impl FnMut(&[SampleScore]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.check_has_targets(samples)?;
        let settings = self.settings();
        let code = settings.encoder_layers() - 1;
        let (threshold, is_sparse) = (active_threshold(settings, code), settings.is_gated(code));
        let (layers, units) = (self.layers().len(), settings.code_units());
        let d = settings.layers[layers];
        let mut scores = Vec::new();
        let depth = Depth { layers, logits: false };
        self.try_for_chunks(engine, samples, depth, |engine, chunk| {
            let n = chunk.targets.len() / d;
            scores.clear();
            scores.resize(n, SampleScore::default());
            let division = engine.divide(n, WORK * (d + units));
            let parts = divided(&mut scores, 1, division);
            engine.pool.run(division.parts(), |part, _| {
                for (sample, score) in division.range(part).zip(lock(&parts[part]).iter_mut()) {
                    let features = sample * d..(sample + 1) * d;
                    let output = &chunk.outputs[layers - 1][features.clone()];
                    score.error = squared_error(&chunk.targets[features], output) / d as f64;
                    let code = match is_sparse {
                        true => chunk.codes.row(sample).1,
                        false => &chunk.outputs[code][sample * units..(sample + 1) * units],
                    };
                    score.l0 = code.iter().filter(|a| a.abs() > threshold).count();
                }
            });
            drop(parts);
            visit(&scores)
        })?;
        Ok(())
    }
}
