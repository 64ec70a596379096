//! What inputs and targets a network can have.

use crate::data::scaling::Scaling;
use crate::error::{Error, Result};
use crate::settings::Settings;

/// Fails unless a network of these settings can have targets of its own, or its inputs as targets.
pub(crate) fn check_targets(settings: &Settings, has_targets: bool) -> Result<()> {
    if !has_targets {
        settings.check_same_ends()?;
    }
    let problem = match has_targets {
        false if settings.skip => {
            let problem = "the skip connection would copy the input to the output; it needs targets \
                           other than the input";
            ("skip", problem.to_owned())
        }
        true if settings.tied => {
            let problem = "the decoder of tied weights reconstructs the input, and the targets are \
                           others; use untied weights";
            ("tied", problem.to_owned())
        }
        _ => return Ok(()),
    };
    Err(Error::setting(problem.0, problem.1))
}

/// Fails unless a network of these settings can have targets of this scaling, if it has other ones than
/// its inputs.
pub(crate) fn check_target_scaling(
    scaling: Option<&Scaling>,
    settings: &Settings,
) -> std::result::Result<(), String> {
    let Some(scaling) = scaling else { return Ok(()) };
    let features = scaling.check_features(settings.layers[settings.layers.len() - 1]);
    features.and_then(|()| scaling.check_finite()).map_err(|problem| format!("targets: {problem}"))
}
