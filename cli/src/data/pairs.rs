//! Samples with the targets that a model predicts from them.

use std::path::{Path, PathBuf};

use sae::{Autoencoder, Samples};

use crate::data::opened::Opened;
use crate::data::own::own_side;
use crate::data::place::Side;
use crate::data::targets::TargetArgs;
use crate::data::{DataArgs, TrainingDataArgs};
use crate::failure::{Failure, Result};
use crate::output::counted;

impl TrainingDataArgs {
    /// Whether a name of the data has the number of a rank in it.
    pub fn names_rank(&self) -> bool {
        let mut names = self.data.data.iter().chain(&self.data.samples);
        names.any(|path| path.to_str().is_some_and(|name| name.contains("{rank}")))
    }

    /// Fails unless test samples of files have targets where training samples have some.
    pub(super) fn check_test_targets(&self) -> Result<()> {
        let targets = &self.targets;
        if self.test.is_empty() || targets.files().is_none() || !targets.test_targets.is_empty() {
            return Ok(());
        }
        let problem =
            "test-targets: the training samples have targets, and the test samples have none";
        Err(Failure::input(problem).hint("name them: --test-targets FILE"))
    }
}

impl DataArgs {
    /// The samples that a model is evaluated on, with targets where it predicts some, all scaled as in its
    /// training, and their file: see [`DataArgs::evaluation_samples`].
    pub fn evaluation_pairs(
        &self,
        targets: &TargetArgs,
        model: &Path,
        net: &Autoencoder,
    ) -> Result<(Samples, PathBuf)> {
        self.pairs_of_side(targets, model, net, Side::Test)
    }

    /// The same of one side of the model's own data.
    pub(super) fn pairs_of_side(
        &self,
        targets: &TargetArgs,
        model: &Path,
        net: &Autoencoder,
        side: Side,
    ) -> Result<(Samples, PathBuf)> {
        let files = targets.files(&[]);
        let Some(of_targets) = net.target_scaling() else {
            if files.is_none() {
                return self.evaluation_samples(model, net);
            }
            let problem = "the model reconstructs its samples, and --targets is for one that was \
                           trained with targets";
            return Err(Failure::at(model, problem).hint("leave --targets out"));
        };
        let (samples, name) = if self.is_given() {
            let (opened, mut place) = self.given_samples(net)?;
            place.targets = files;
            if place.targets.is_none() {
                let problem = "the model predicts targets, and those of the samples are not given";
                return Err(Failure::at(model, problem).hint("name them: --targets FILE"));
            }
            let Opened { samples, name, .. } =
                place.with_targets(opened, Side::Training, self.copy)?;
            (self.checked(samples, &name, model, net)?, name)
        } else {
            let Opened { samples, name, .. } = own_side(model, net, self.copy, true, side)?.0;
            (self.checked(samples, &name, model, net)?, name)
        };
        let Some(targets) = samples.targets() else {
            let problem =
                "the model predicts targets, and the file beside it does not say where they are";
            return Err(
                Failure::at(model, problem).hint("name both: --samples FILE --targets FILE")
            );
        };
        let (have, expected) = (targets.features(), net.settings().layers.last().copied());
        if Some(have) != expected {
            let expected = expected.unwrap_or(0);
            let problem = format!(
                "the model predicts targets of {}, and these have {have}",
                counted(expected, "feature")
            );
            return Err(Failure::at(model, problem).hint("give targets like those of its training"));
        }
        let pairs = samples.scaled(net.scaling()).with_targets(targets.scaled(of_targets))?;
        Ok((pairs, name))
    }
}
