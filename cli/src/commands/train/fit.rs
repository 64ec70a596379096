//! What the training samples tell beside the test samples: dead units, and overfitting.

use sae::{Evaluation, Samples, Trainer};

use super::args::Args;
use crate::failure::Result;
use crate::output::short;

/// Training samples that are looked at, at most.
const LOOKED_AT: usize = 2048;

/// How far the explained variance of test samples may be below that of training samples.
const GAP: f64 = 0.1;
/// What is not explained of test samples is then larger by this factor.
const FACTOR: f64 = 1.5;

/// How well the training samples are reconstructed, and warnings of these.
pub struct Fit {
    pub explained_variance: f64,
    pub warnings: Vec<String>,
}

impl Fit {
    /// Of some of the training samples, beside the evaluation of test samples.
    pub fn of(
        trainer: &mut Trainer,
        train: &Samples,
        test: &Evaluation,
        args: &Args,
    ) -> Result<Self> {
        let own = trainer.evaluate(&train.thinned(LOOKED_AT))?;
        let settings = trainer.autoencoder().settings();
        let is_new = |&layer: &usize| !test.layers[layer].tells_dead_units();
        let layers = (0..test.layers.len()).filter(is_new);
        // Of equal samples there is nothing to say.
        let layers = layers.filter(|_| own.explained_variance.is_finite());
        let mut warnings: Vec<String> =
            layers.filter_map(|layer| own.dead_units_warning(settings, layer)).collect();
        let shares = (own.explained_variance, test.explained_variance);
        warnings.extend(overfitting(shares, args.patience.is_some()));
        Ok(Fit { explained_variance: own.explained_variance, warnings })
    }
}

/// The sentence about explained variances of training and of test samples that are far apart.
fn overfitting((train, test): (f64, f64), has_patience: bool) -> Option<String> {
    let is_far = train - test > GAP && 1.0 - test > FACTOR * (1.0 - train);
    is_far.then(|| {
        let patience = if has_patience { "" } else { " (--patience 2 keeps the best model)" };
        format!(
            "overfitting: the explained variance is {} of training samples and {} of test samples; take more \
             samples, fewer units or fewer steps{patience}",
            short(train),
            short(test)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overfitting_is_told() {
        for (train, test, is_told) in [
            (0.97, 0.65, true),
            (0.97, 0.9, false),
            (0.5, 0.35, false),
            (0.6, 0.2, true),
            (0.9, -3.0, true),
            (0.5, 0.7, false),
            (f64::NAN, 0.1, false),
            (0.9, f64::NAN, false),
        ] {
            assert_eq!(overfitting((train, test), false).is_some(), is_told, "{train} {test}");
        }
        let text = |has| overfitting((0.97, 0.65), has).unwrap();
        assert!(
            text(false).ends_with("fewer steps (--patience 2 keeps the best model)"),
            "{}",
            text(false)
        );
        assert!(text(true).ends_with("or fewer steps"), "{}", text(true));
    }
}
