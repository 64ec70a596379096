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
        let patience = args.patience.is_none().then(|| (args.steps() / 10).clamp(1, 500));
        warnings.extend(overfitting(shares, patience));
        Ok(Fit { explained_variance: own.explained_variance, warnings })
    }
}

/// The sentence about explained variances of training and of test samples that are far apart.
///
/// `every` is the number of steps after which early stopping would evaluate, if there was none.
fn overfitting((train, test): (f64, f64), every: Option<u64>) -> Option<String> {
    // (What explains nothing of its own samples has not learned them by heart.)
    let is_far = train > 0.0 && train - test > GAP && 1.0 - test > FACTOR * (1.0 - train);
    is_far.then(|| {
        let patience = every.map_or(String::new(), |every| {
            format!(" (--patience 2 --evaluate-every {every} keeps the best model)")
        });
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
            (-3e9, -9e11, false),
            (0.9, f64::NAN, false),
        ] {
            assert_eq!(overfitting((train, test), None).is_some(), is_told, "{train} {test}");
        }
        let text = |every| overfitting((0.97, 0.65), every).unwrap();
        let patience = "fewer steps (--patience 2 --evaluate-every 30 keeps the best model)";
        assert!(text(Some(30)).ends_with(patience), "{}", text(Some(30)));
        assert!(text(None).ends_with("or fewer steps"), "{}", text(None));
    }
}
