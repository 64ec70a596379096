//! Evaluation of a network over a data set.

use crate::analysis::evaluation::Evaluation;
use crate::analysis::tally::Tally;
use crate::compute::Engine;
use crate::data::samples::Samples;
use crate::error::Result;
use crate::network::autoencoder::Autoencoder;
use crate::training::trainer::Trainer;

impl Autoencoder {
    /// Evaluates the objective over a data set, whose samples count as one batch, and how active the
    /// hidden layers are. Inputs are not corrupted. The bits are the same for any number of threads.
    ///
    /// # Errors
    /// As for [`Autoencoder::encode`].
    pub fn evaluate(&self, engine: &mut Engine, samples: &Samples) -> Result<Evaluation> {
        let mut tally = Tally::new(self.settings(), engine.threads());
        let sums = self.for_chunks(engine, samples, tally.takes_logits(), |engine, chunk| {
            tally.add(engine, chunk);
        })?;
        Ok(tally.evaluation(self, engine.isa(), samples.len(), sums))
    }
}

impl Trainer {
    /// Evaluates the network as it is now: see [`Autoencoder::evaluate`].
    ///
    /// # Errors
    /// Those of [`Autoencoder::evaluate`].
    pub fn evaluate(&mut self, samples: &Samples) -> Result<Evaluation> {
        let (engine, net) = self.parts();
        net.evaluate(engine, samples)
    }
}
