//! The options that name targets: data that a model predicts from its samples.

use std::path::{Path, PathBuf};

use sae::{Autoencoder, Samples, data::ScalingKind};

use crate::data::place::{Opened, Side, TargetFiles};
use crate::data::{DataArgs, TrainingDataArgs, own_samples, scaling_parser};
use crate::failure::{Failure, Result};

/// The options of targets where a model is evaluated.
#[derive(clap::Args, Clone)]
pub struct TargetArgs {
    /// Targets of --samples, one for each in the same order, which a model trained with --targets predicts:
    /// files, folders, patterns or lists, as for --samples
    #[arg(long, value_name = "FILE", requires = "samples", num_args = 1..)]
    targets: Vec<PathBuf>,
    /// Tensor of safetensors files of targets (default: the only one of two dimensions)
    #[arg(long, value_name = "NAME", requires = "targets")]
    target_tensor: Option<String>,
}

impl TargetArgs {
    /// The files, with these of the test samples' targets.
    pub fn files(&self, test: &[PathBuf]) -> Option<TargetFiles> {
        (!self.targets.is_empty()).then(|| TargetFiles {
            train: self.targets.clone(),
            test: test.to_vec(),
            tensor: self.target_tensor.clone(),
        })
    }
}

/// The options of targets where a model is trained.
#[derive(clap::Args, Clone)]
pub struct TrainingTargetArgs {
    #[command(flatten)]
    pub of_training: TargetArgs,
    /// Targets of --test
    #[arg(long, value_name = "FILE", requires_all = ["targets", "test"], num_args = 1..)]
    pub test_targets: Vec<PathBuf>,
    /// How the numbers of targets become features (default: byte for bytes, as-is for floats; required for
    /// other types)
    #[arg(long, value_name = "NAME", requires = "targets", value_parser = scaling_parser())]
    pub target_scaling: Option<ScalingKind>,
}

impl TrainingTargetArgs {
    /// The files.
    pub fn files(&self) -> Option<TargetFiles> {
        self.of_training.files(&self.test_targets)
    }

    /// Replaces the paths by those of a rank.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.of_training.targets.iter_mut()
    }
}

impl TrainingDataArgs {
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
            let Opened { samples, name, .. } = own_samples(model, net, self.copy, true)?;
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
            let problem =
                format!("the model predicts targets of {expected} features, and these have {have}");
            return Err(Failure::at(model, problem).hint("give targets like those of its training"));
        }
        let pairs = samples.scaled(net.scaling()).with_targets(targets.scaled(of_targets))?;
        Ok((pairs, name))
    }
}
