//! A network as the beginning of a new training.

#[cfg(feature = "model")]
use std::collections::BTreeMap;

use crate::data::scaling::Scaling;
use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;
use crate::network::ends::check_targets;
use crate::settings::Settings;

impl Autoencoder {
    /// The same network for a new training with other settings, on data of these scalings.
    ///
    /// # Errors
    /// [`Error::Setting`] if the parameters do not fit the settings or the scaling, and those of
    /// [`Autoencoder::new`].
    pub(crate) fn begin(
        self,
        settings: Settings,
        scaling: &Scaling,
        target_scaling: Option<&Scaling>,
    ) -> Result<Self> {
        /// How far from 1 the length of a row may be.
        const CLOSE: f64 = 1e-3;
        settings.validate()?;
        settings.check_begins_with(&self.settings)?;
        check_targets(&settings, target_scaling.is_some())?;
        settings.check_memory()?;
        if self.scaling != *scaling {
            let (own, problem) = (&self.scaling, "the network that the training begins with has");
            let problem = format!("{problem} data scaled by {own}, and these are by {scaling}");
            return Err(Error::setting("scaling", problem));
        }
        if self.target_scaling.as_ref() != target_scaling {
            let text = |scaling: Option<&Scaling>| {
                scaling.map_or("none".to_owned(), |scaling| format!("those scaled by {scaling}"))
            };
            let (own, given) = (text(self.target_scaling.as_ref()), text(target_scaling));
            let problem = format!(
                "the network that the training begins with has as targets other than its input {own}, and \
                 these are {given}"
            );
            return Err(Error::setting("targets", problem));
        }
        let layer = self.layers()[self.settings.encoder_layers()];
        if settings.unit_norm {
            let weights = self.parameters[layer.weights()].chunks(layer.outputs);
            let lengths = weights
                .map(|row| row.iter().map(|&w| f64::from(w) * f64::from(w)).sum::<f64>().sqrt());
            if let Some((unit, length)) =
                lengths.enumerate().find(|(_, length)| (length - 1.0).abs() > CLOSE)
            {
                let problem = format!(
                    "the weights from unit {unit} (from 0) of the network that the training begins \
                     with have length {length:.4}, and the first step would make it 1; use false"
                );
                return Err(Error::setting("unit_norm", problem));
            }
        }
        Ok(Autoencoder {
            settings,
            // That of the new data comes with a training.
            variance: None,
            #[cfg(feature = "model")]
            training_data: None,
            #[cfg(feature = "model")]
            notes: BTreeMap::new(),
            ..self
        })
    }
}
