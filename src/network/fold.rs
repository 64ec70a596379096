//! Folding a scaling into the weights: the same network, for the numbers of the data as they are.

use sae_kernels::{Activation, Loss};

use crate::data::scaling::Scaling;
use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;
use crate::network::layers::{layout, skip_layer};
use crate::settings::Settings;

impl Autoencoder {
    /// The same network for unscaled numbers: its codes of them are those of this network of the scaled
    /// ones, and its reconstructions are unscaled, both but for rounding. For export to where no scaling is
    /// known; its scaling is [`Scaling::AsIs`].
    ///
    /// A transcoder's outputs are unscaled by the scaling of its targets.
    ///
    /// With x' = (x - s) / c the first layer is z = x' W + b = x (W / c) + (b - (s / c) W), and the output
    /// y' = a V + d is y = y' c + s = a (V c) + (d c + s), each feature with its own s and c. A feature that
    /// was constant, and so scaled to 0, is reconstructed as that constant. A loss FVU becomes the squared
    /// error.
    ///
    /// # Errors
    /// [`Error::Setting`] if the output is not linear, the scaling is layer-norm, which depends on each
    /// sample, or its constants are too large.
    pub fn fold_scaling(&self) -> Result<Autoencoder> {
        let settings = &self.settings;
        let of_targets = self.target_scaling.as_ref().unwrap_or(&self.scaling);
        if [&self.scaling, of_targets] == [&Scaling::AsIs; 2] {
            return Ok(self.clone());
        }
        if settings.output_activation != Activation::Linear && *of_targets != Scaling::AsIs {
            let have = settings.output_activation.name();
            return Err(Error::setting(
                "output_activation",
                format!(
                    "the scaling {} can be folded into the weights of a linear output only, and this \
                     one is {have}",
                    of_targets.kind()
                ),
            ));
        }
        let all_terms = |scaling: &Scaling, features| -> Result<Vec<(f64, f64)>> {
            let terms = (0..features).map(|feature| scaling.terms(feature));
            let terms: std::result::Result<_, String> = terms.collect();
            terms.map_err(|problem| Error::setting("scaling", problem))
        };
        let terms = all_terms(&self.scaling, settings.layers[0])?;
        let target_terms = all_terms(of_targets, settings.layers[settings.layers.len() - 1])?;
        let mut folded = self.clone();
        // The decoder's weights are the encoder's no longer, and have other lengths.
        (folded.settings.tied, folded.settings.unit_norm) = (false, false);
        folded.scaling = Scaling::AsIs;
        folded.target_scaling = self.target_scaling.as_ref().map(|_| Scaling::AsIs);
        if folded.settings.loss == Loss::Fvu {
            // Its variance was that of the scaled features.
            (folded.settings.loss, folded.variance) = (Loss::SquaredError, None);
        }
        let layers = self.layers();
        let (first, last) = (layers[0], layers[layers.len() - 1]);
        let parameters = &mut folded.parameters;
        for unit in 0..first.outputs {
            let mut shift = 0.0;
            for (feature, &(subtract, divide)) in terms.iter().enumerate() {
                let w = &mut parameters[first.place(feature, unit)];
                let weight = f64::from(*w) / divide;
                shift += subtract * weight;
                *w = weight as f32;
            }
            let b = &mut parameters[first.biases().start + unit];
            *b = (f64::from(*b) - shift) as f32;
        }
        fold_into_skip(settings, &terms, parameters);
        for (feature, &(subtract, divide)) in target_terms.iter().enumerate() {
            let multiply = if divide.is_finite() { divide } else { 0.0 };
            for unit in 0..last.inputs {
                let w = &mut parameters[last.place(unit, feature)];
                *w = (f64::from(*w) * multiply) as f32;
            }
            if let Some(skip) = skip_layer(settings) {
                for input in 0..skip.inputs {
                    let w = &mut parameters[skip.place(input, feature)];
                    *w = (f64::from(*w) * multiply) as f32;
                }
            }
            let b = &mut parameters[last.biases().start + feature];
            *b = (f64::from(*b) * multiply + subtract) as f32;
        }
        Ok(folded)
    }
}

/// Makes a skip connection one of unscaled inputs, and the output's biases those beside it: x' K + d =
/// x (K / c) + (d - (s / c) K).
fn fold_into_skip(settings: &Settings, terms: &[(f64, f64)], parameters: &mut [f32]) {
    let Some(skip) = skip_layer(settings) else { return };
    let biases = layout(settings)[settings.layers.len() - 2].biases();
    for (output, bias) in biases.enumerate() {
        let mut shift = 0.0;
        for (input, &(subtract, divide)) in terms.iter().enumerate() {
            let w = &mut parameters[skip.place(input, output)];
            let weight = f64::from(*w) / divide;
            shift += subtract * weight;
            *w = weight as f32;
        }
        parameters[bias] = (f64::from(parameters[bias]) - shift) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::{Engine, ThreadPool};
    use crate::data::samples::Samples;
    use crate::data::{Array, ScalingKind};
    use crate::settings::Code;
    use sae_kernels::Isa;

    #[test]
    fn codes_are_the_same_and_reconstructions_unscaled() {
        let features = 6;
        let value = |at: usize| match at % features {
            // A constant, and another size and offset for each other feature.
            3 => 7.25,
            feature => (at * at % 97) as f32 * 0.1 * (1 + feature) as f32 - 4.0 * feature as f32,
        };
        let values: Vec<f32> = (0..40 * features).map(value).collect();
        let source = Array::from_values(values.clone(), features).unwrap();
        let mut engine = Engine::new(Isa::detect(), ThreadPool::new(1));
        let plain = Samples::from_values(values, features).unwrap();
        for kind in ScalingKind::ALL {
            for (code, tied) in [(Code::Dense, true), (Code::TopK(3), false)] {
                let settings = Settings {
                    layers: vec![features, 5, features],
                    activation: Activation::Relu,
                    output_activation: Activation::Linear,
                    beta: 0.0,
                    code,
                    tied,
                    ..Settings::default()
                };
                let scaling = kind.fit(&source).unwrap();
                let mut net = Autoencoder::new(settings, scaling.clone()).unwrap();
                net.parameters.iter_mut().zip(1..).for_each(|(p, at)| *p += (at % 7) as f32 * 0.02);
                let folded = match net.fold_scaling() {
                    Ok(folded) => folded,
                    Err(error) => {
                        assert_eq!(kind, ScalingKind::LayerNorm);
                        assert!(error.to_string().contains("depends on each sample"), "{error}");
                        continue;
                    }
                };
                assert_eq!(folded.scaling(), Scaling::AsIs);
                let scaled = plain.scaled(scaling.clone());
                if kind == ScalingKind::Byte {
                    // These numbers are no bytes; the formula is the same for all.
                    continue;
                }
                let close = |have: &[f32], want: &[f32]| {
                    let largest = want.iter().fold(1.0f32, |max, x| max.max(x.abs()));
                    let is_close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4 * largest;
                    assert!(
                        have.len() == want.len() && have.iter().zip(want).all(is_close),
                        "{kind}"
                    );
                };
                let codes = net.encode(&mut engine, &scaled).unwrap();
                close(&folded.encode(&mut engine, &plain).unwrap(), &codes);
                let mut want = net.reconstruct(&mut engine, &scaled).unwrap();
                for (at, x) in want.iter_mut().enumerate() {
                    let (subtract, divide) = scaling.terms(at % features).unwrap();
                    let multiply = if divide.is_finite() { divide } else { 0.0 };
                    *x = (f64::from(*x) * multiply + subtract) as f32;
                }
                close(&folded.reconstruct(&mut engine, &plain).unwrap(), &want);
            }
        }
        let settings = Settings { layers: vec![6, 2, 6], ..Settings::default() };
        let sigmoid = Autoencoder::new(settings, Scaling::Byte).unwrap();
        let problem = sigmoid.fold_scaling().unwrap_err().to_string();
        assert!(problem.contains("a linear output only, and this one is sigmoid"), "{problem}");
    }
}
