//! The options that name targets: data that a model predicts from its samples.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use sae::{Samples, Scaling, data::ScalingKind};

use crate::data::place::TargetFiles;
use crate::failure::Result;

/// The options of targets where a model is evaluated.
#[derive(clap::Args, Clone)]
pub struct TargetArgs {
    /// Targets of --samples, one for each in the same order, which a model trained with --targets predicts:
    /// files, folders, patterns or lists, as for --samples
    #[arg(long, value_name = "FILE", requires = "samples", num_args = 1..)]
    targets: Vec<PathBuf>,
    /// Tensor of safetensors files of targets [default: the only one of two dimensions]
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
    /// How the numbers of targets become features [default: byte for bytes, as-is for floats; required for
    /// other types]
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

/// Takes the names of scalings.
pub fn scaling_parser() -> impl TypedValueParser<Value = ScalingKind> {
    let value = |kind: ScalingKind| {
        let value = PossibleValue::new(kind.name());
        match kind {
            ScalingKind::Byte => {
                value.help("Bytes, or whole numbers from 0 to 255, divided by 255")
            }
            ScalingKind::AsIs => value.help("Unchanged"),
            ScalingKind::MinMax => {
                value.alias("min-max:all").help("Minimum of all numbers to 0, maximum to 1")
            }
            ScalingKind::MinMaxByFeature => {
                value.help("Minimum of each feature to 0, maximum to 1; constant features to 0")
            }
            ScalingKind::MeanDeviation => value
                .alias("mean-deviation:all")
                .help("Mean 0 and standard deviation 1 of all numbers together"),
            ScalingKind::Center => value.help("Mean of each feature subtracted"),
            ScalingKind::UnitRms => value.help(
                "Divided by one number, so that the mean squared length of a sample is the number \
                 of features",
            ),
            ScalingKind::LayerNorm => {
                value.help("Mean 0 and variance 1 of each sample by itself (epsilon 1e-5)")
            }
            _ => value
                .help("Mean 0 and standard deviation 1 of each feature; constant features to 0"),
        }
    };
    PossibleValuesParser::new(ScalingKind::ALL.map(value))
        .try_map(|name| name.parse::<ScalingKind>())
}

/// Samples with a scaling, and their targets, if they have some, with theirs.
pub fn scaled(
    samples: Samples,
    scaling: &Scaling,
    of_targets: Option<&Scaling>,
) -> Result<Samples> {
    let scaled = samples.scaled(scaling.clone());
    Ok(match (samples.targets(), of_targets) {
        (Some(targets), Some(scaling)) => scaled.with_targets(targets.scaled(scaling.clone()))?,
        _ => scaled,
    })
}
