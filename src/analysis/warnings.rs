//! What makes the result of a training useless, in sentences.

use crate::analysis::evaluation::Evaluation;
use crate::network::activity::mean_activation;
use crate::settings::{Auxiliary, Code, Measure, Settings, Target};

/// What else helps against the dead units of a hidden layer.
fn against_dead_units(settings: &Settings, layer: usize) -> &'static str {
    let is_code = layer + 1 == settings.encoder_layers();
    let has_penalty = match &settings.penalties[..] {
        [] => settings.beta > 0.0 || settings.l1 > 0.0,
        penalties => penalties.iter().any(|it| it.layer == layer && (it.beta > 0.0 || it.l1 > 0.0)),
    };
    match settings.code {
        Code::JumpRelu { .. } if is_code => "use a weaker penalty or a lower learning rate",
        _ if has_penalty => "use a weaker penalty or a lower learning rate",
        Code::TopK(_) | Code::BatchTopK(_) if is_code && settings.auxiliary == Auxiliary::None => {
            "use an auxiliary loss (aux-k), fewer units or a lower learning rate"
        }
        _ => "use fewer units or a lower learning rate",
    }
}

/// The explained variance below which a training has diverged: more steps do not help it.
const DIVERGED: f64 = -1e6;

impl Evaluation {
    /// A sentence for each sign that a network of these settings is of little use: a tenth of the units of a
    /// layer are dead, reconstructions are worse than the data's mean, in all or for features that wider ones
    /// hide, or a target was not met.
    ///
    /// Of samples that are all equal there is nothing else to say.
    pub fn warnings(&self, settings: &Settings) -> Vec<String> {
        let samples = self.layers.first().map_or(0, |layer| layer.samples);
        if self.hidden.varying == 0 && samples > 1 {
            return vec![format!(
                "all {samples} samples are equal: they have no variance to explain, and of such samples there \
                 is nothing to learn"
            )];
        }
        let dead = (0..self.layers.len()).filter_map(|l| self.dead_units_warning(settings, l));
        let mut warnings: Vec<String> = dead.collect();
        if self.explained_variance < DIVERGED {
            warnings.push(format!(
                "the training has diverged (explained variance {:.1e}): use a lower learning rate, or scale \
                 the data",
                self.explained_variance
            ));
        } else if self.explained_variance < 0.0 {
            warnings.push(format!(
                "reconstructions are worse than the mean of the data (explained variance {:.3}): train \
                 for more steps, or with another learning rate, scaling or output activation",
                self.explained_variance
            ));
        }
        // A few such features, as the pixels at the border of images, are no reason.
        let hidden = self.hidden;
        if let Some((feature, share)) = hidden.worst
            && self.explained_variance >= 0.0
            && 20 * hidden.count >= hidden.varying
        {
            warnings.push(format!(
                "{} of the {} features that vary do so by less than a thousandth of the widest one and are \
                 reconstructed worse than by their mean (explained variance of feature {feature}, from \
                 0: {share:.3e}): scale each feature by itself, by mean-deviation:feature for example",
                hidden.count, hidden.varying
            ));
        }
        warnings.extend(settings.target.and_then(|target| self.missed(settings, target)));
        warnings
    }

    /// The sentence about the dead units of a hidden layer, if the samples tell that they are many.
    #[doc(hidden)]
    pub fn dead_units_warning(&self, settings: &Settings, layer: usize) -> Option<String> {
        let activity = &self.layers[layer];
        let (dead, units) = (activity.dead_units().count(), activity.largest.len());
        let are_many = dead > 0 && 10 * dead >= units;
        (are_many && activity.tells_dead_units()).then(|| {
            let (nth, advice) = (layer + 1, against_dead_units(settings, layer));
            format!(
                "{dead} of the {units} units of layer {nth} are dead: revive them during training, or {advice}"
            )
        })
    }

    /// The sentence about a target that was not met.
    fn missed(&self, settings: &Settings, target: Target) -> Option<String> {
        /// As a factor.
        const TOLERANCE: f64 = 1.25;
        let Target { layer, of, value, .. } = target;
        let have = match of {
            Measure::L0 => self.layers[layer].l0,
            // (Of activations of both signs, |a| is measured in training alone.)
            Measure::MeanActivation if !settings.activation_of(layer).is_signed() => {
                mean_activation(&self.units[layer])
            }
            Measure::MeanActivation => return None,
        };
        let off = (have / value).max(value / have);
        (off > TOLERANCE).then(|| {
            format!(
                "the target was not met: {of} of layer {} is {have:.4}, not {value}; give the controller \
                 more steps, or another weight of the penalties to begin with",
                layer + 1
            )
        })
    }
}
