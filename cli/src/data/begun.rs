//! The data of a training that begins with a model.

use std::path::Path;

use sae::{Autoencoder, Samples};

use crate::data::TrainingDataArgs;
use crate::data::own::unknown_data;
use crate::data::place::{Note, Place};
use crate::digits;
use crate::failure::Result;
use crate::output::tell;

impl TrainingDataArgs {
    /// Where the data are: what the options name, or else those of the model that the training begins with.
    ///
    /// Says so on stderr if `notes`.
    pub fn place_with(
        &mut self,
        from: Option<(&Path, &Autoencoder)>,
        notes: bool,
    ) -> Result<Place> {
        let Some((model, net)) = from.filter(|_| !self.data.is_given()) else {
            return self.place();
        };
        self.check_test_targets()?;
        let name = model.display();
        let own = Place::of_model(model)?;
        if own.is_none() && !net.training_data().is_some_and(digits::may_be) {
            return Err(unknown_data(model));
        }
        if notes {
            tell(&match &own {
                Some(Note { place, .. }) => format!("data: {place}, those of {name}"),
                None => format!("data: the drawn digits, on which {name} may have been trained"),
            });
        }
        (self.of_network, self.is_guessed) = (own.is_some(), own.is_none());
        own.map_or_else(|| self.place(), |own| Ok(own.place))
    }

    /// Fails if the data were taken to be those of a model, and are not.
    pub fn check_guess(&self, model: &Path, net: &Autoencoder, train: &Samples) -> Result<()> {
        let is_of = |samples| net.training_data().map_or(Ok(false), |data| data.is_of(samples));
        match self.is_guessed && !is_of(train)? {
            true => Err(unknown_data(model)),
            false => Ok(()),
        }
    }
}
