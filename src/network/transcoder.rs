//! Transcoders: networks that predict targets other than their inputs, and their linear skip connection.

use crate::data::samples::SamplesOf;
use crate::data::scaling::Scaling;
use crate::error::{Error, Result, counted};
use crate::network::autoencoder::Autoencoder;
use crate::network::layers::skip_layer;
use crate::settings::Settings;

impl Autoencoder {
    /// Makes a network with initial weights that predicts targets, which are scaled by themselves, from
    /// its inputs: a transcoder. The first and the last of its sizes may differ.
    ///
    /// # Errors
    /// As for [`Autoencoder::new`], and [`Error::Setting`] for tied weights.
    pub fn transcoder(
        settings: Settings,
        scaling: Scaling,
        target_scaling: Scaling,
    ) -> Result<Self> {
        Self::initial(settings, scaling, Some(target_scaling))
    }

    /// The scaling of the targets of a transcoder; `None` for an autoencoder, whose targets are its
    /// inputs.
    pub fn target_scaling(&self) -> Option<Scaling> {
        self.target_scaling.clone()
    }

    /// The weights of the skip connection, `[inputs, outputs]`, row-major; `None` without one.
    pub fn skip_weights(&self) -> Option<&[f32]> {
        skip_layer(&self.settings).map(|skip| &self.parameters[skip.weights()])
    }

    /// Fails unless the samples have targets of their own where this network was made for such, and none
    /// where it reconstructs its inputs.
    pub(crate) fn check_has_targets(&self, samples: &SamplesOf<'_>) -> Result<()> {
        match (&self.target_scaling, samples.targets()) {
            (Some(_), None) => Err(Error::Shape(
                "the network predicts targets other than its inputs, and the samples have none; give \
                 them their targets (Samples::with_targets)"
                    .to_owned(),
            )),
            (None, Some(_)) => Err(Error::Shape(
                "the samples have targets, and the network was trained to reconstruct its inputs; \
                 leave the targets out, or use a network trained with targets"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Fails if samples, or their targets, have other features than the network.
    pub(super) fn check_features(&self, samples: &SamplesOf<'_>) -> Result<()> {
        let (have, want) = (samples.features(), self.settings.layers[0]);
        if have != want {
            let have = counted(have, "feature");
            return Err(Error::Shape(format!(
                "the data has {have} a sample and the network takes {want}"
            )));
        }
        let want = self.settings.layers[self.settings.layers.len() - 1];
        match samples.targets().map(SamplesOf::features) {
            Some(have) if have != want => Err(Error::Shape(format!(
                "the targets have {} a sample and the network predicts {want}",
                counted(have, "feature")
            ))),
            _ => Ok(()),
        }
    }

    /// Fails if the skip connection needs inputs where there are codes alone.
    pub(super) fn check_decodes(&self) -> Result<()> {
        match self.settings.skip {
            false => Ok(()),
            true => Err(Error::setting(
                "skip",
                "the output is the sum of the decoded code and a linear map of the input, and codes \
                 alone do not give it; use Autoencoder::reconstruct",
            )),
        }
    }
}
