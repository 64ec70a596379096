//! Settings that depend on the data.

use sae_kernels::Activation;

use crate::data::samples::SamplesOf;
use crate::error::{Error, Result, counted};
use crate::settings::{Code, Field, Optimizer, OutputBias, Settings};

impl Settings {
    /// These settings with the defaults that depend on the data.
    ///
    /// The ends of `layers` become the features of the samples and of their targets, which are the
    /// samples where there are no others. The output activation becomes sigmoid where the targets are
    /// scaled into [0, 1] and linear otherwise (a sigmoid does not reach other features) and where
    /// `output_bias` is the mean (which only a linear output has), and with L-BFGS the batch all samples.
    pub fn fitted_to(&self, samples: &SamplesOf<'_>) -> Settings {
        let mut settings = self.clone();
        if let [first, .., last] = &mut settings.layers[..] {
            *first = samples.features();
            *last = samples.target_features();
        }
        let is_unit = samples.targets().unwrap_or(samples).scaling().is_unit();
        let is_linear = settings.output_bias == OutputBias::Mean || !is_unit;
        settings.output_activation =
            if is_linear { Activation::Linear } else { Activation::Sigmoid };
        if matches!(settings.optimizer, Optimizer::Lbfgs { .. }) {
            settings.batch = samples.len();
        }
        settings
    }

    /// The settings that options give, each a name and a text as [`Settings::set`] takes them.
    ///
    /// They change the settings of a training that is resumed, or else, and with an option
    /// `preset`, a preset ([`Preset::Article`](crate::Preset::Article) by default), for the layers
    /// that the options have, that is fitted to the samples. `steps` are those of the whole training.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for the first option that makes no sense, by
    /// itself or beside the others.
    #[doc(hidden)]
    pub fn with_options(
        resumed: Option<&Settings>,
        options: &[(impl AsRef<str>, impl AsRef<str>)],
        samples: &SamplesOf<'_>,
        steps: impl Into<Option<u64>>,
    ) -> Result<Settings> {
        let steps = steps.into();
        let options = options.iter().map(|(name, text)| (name.as_ref(), text.as_ref()));
        let mut settings = match resumed {
            Some(settings) if !options.clone().any(|(name, _)| name == "preset") => {
                settings.clone()
            }
            _ => {
                let mut base = Settings::preset_of(options.clone(), samples.features(), steps)?;
                // What the fit depends on.
                for (name, text) in options.clone().filter(|(name, _)| *name == "optimizer") {
                    base.set(name, text, steps)?;
                }
                base.fitted_to(samples)
            }
        };
        let of_preset = settings.code;
        for (name, text) in options.clone().filter(|(name, _)| *name != "preset") {
            settings.set(name, text, steps)?;
        }
        let is_given = |field: &Field| {
            let is_it = |name: &str| {
                let name = name.replace('-', "_");
                name == field.name || field.aliases.contains(&&*name)
            };
            options.clone().any(|(name, _)| is_it(name))
        };
        let mut unsuited = unsuited(of_preset, settings.code).to_vec();
        if matches!(settings.optimizer, Optimizer::Lbfgs { .. }) {
            // It has no learning rate.
            unsuited.extend(["schedule", "warm_up"]);
        }
        for field in Settings::fields().iter().filter(|field| unsuited.contains(&field.name)) {
            // What an option has stays, and is refused if it does not suit.
            if !is_given(field) {
                settings.set(field.name, &field.default(), steps)?;
            }
        }
        settings.check_ends(samples)?;
        settings.validate().map_err(|error| match error {
            Error::Setting { field, problem } if resumed.is_none() => {
                let mut fields = Settings::fields().iter();
                let of_preset = fields.find(|of| of.name == field && !is_given(of));
                let hint = of_preset.map(|of| {
                    format!("; {} is the preset's {field}, give another", of.text(&settings))
                });
                Error::setting(field, problem + &hint.unwrap_or_default())
            }
            error => error,
        })?;
        Ok(settings)
    }

    /// Fails unless the first and the last size of `layers` are the features of the samples and of their targets.
    pub(crate) fn check_ends(&self, samples: &SamplesOf<'_>) -> Result<()> {
        let [first, .., last] = self.layers[..] else { return Ok(()) };
        let (features, targets) = (samples.features(), samples.target_features());
        if first != features {
            let features = counted(features, "feature");
            let problem = format!("the first size is {first} and the data has {features} a sample");
            return Err(Error::setting("layers", problem));
        }
        if samples.targets().is_none() {
            return self.check_same_ends();
        }
        if last != targets {
            let features = counted(targets, "feature");
            let problem =
                format!("the last size is {last} and the targets have {features} a sample");
            return Err(Error::setting("layers", problem));
        }
        Ok(())
    }

    /// Fails unless the last size of `layers` is the first, as where the inputs are the targets.
    pub(crate) fn check_same_ends(&self) -> Result<()> {
        match self.layers[..] {
            [first, .., last] if first != last => {
                let problem = format!(
                    "expected a last size equal to the first, got {first} and {last}; another one needs \
                     targets other than the input"
                );
                Err(Error::setting("layers", problem))
            }
            _ => Ok(()),
        }
    }
}

/// What settings have for the code of a preset that another code, given by an option, has no use for.
fn unsuited(of_preset: Code, code: Code) -> &'static [&'static str] {
    match (of_preset, code) {
        (Code::Dense, _) | (_, Code::JumpRelu { .. }) => &[],
        (_, Code::Dense) => &["auxiliary", "dead_after", "prefixes", "l0_penalty"],
        (Code::JumpRelu { .. }, _) => &["auxiliary", "l0_penalty"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::array::Array;
    use crate::data::samples::Samples;
    use crate::data::scaling::Scaling;
    use crate::settings::Preset;

    fn numbers() -> Samples {
        Samples::from_values(vec![0.5; 40], 4).unwrap()
    }

    #[test]
    fn settings_fit_the_data() {
        let fitted = Settings::default().fitted_to(&numbers());
        assert_eq!(fitted.layers, [4, 300, 30, 300, 4]);
        assert_eq!((fitted.output_activation, fitted.batch), (Activation::Linear, 60));
        let bytes = Samples::new(Array::from_values(vec![7u8; 40], 4).unwrap(), Scaling::Byte);
        let top_k = Preset::TopK.settings(vec![784, 128, 784], 100).fitted_to(&bytes);
        assert_eq!((top_k.layers[0], top_k.output_activation), (4, Activation::Linear));
        let matlab = Settings::preset(Preset::Matlab).fitted_to(&bytes);
        assert_eq!((matlab.output_activation, matlab.batch), (Activation::Sigmoid, 10));
        let lbfgs = Settings { optimizer: Optimizer::Lbfgs { memory: 5 }, ..fitted };
        let fitted = lbfgs.fitted_to(&bytes);
        assert_eq!((fitted.output_activation, fitted.batch), (Activation::Sigmoid, 10));
    }

    #[test]
    fn options_come_after_the_fit() {
        let with = |resumed: Option<&Settings>, options: &[(&str, &str)]| {
            Settings::with_options(resumed, options, &numbers(), 100)
        };
        let options = [("batch", "7"), ("schedule", "cosine"), ("optimizer", "momentum")];
        let plain = with(None, &[("preset", "plain"), ("layers", "4,2,4")]).unwrap();
        assert_eq!((plain.beta, plain.layers), (0.0, vec![4, 2, 4]));
        let first = with(None, &options).unwrap();
        assert_eq!((first.layers[0], first.batch, first.beta), (4, 7, 7.5e-5));
        assert_eq!(with(None, &[("optimizer", "l-bfgs")]).unwrap().batch, 10);
        // A training that is resumed keeps what no option changes.
        let odd = Settings { output_activation: Activation::Tanh, ..first };
        let resumed = with(Some(&odd), &[("learning-rate", "0.5")]).unwrap();
        assert_eq!(resumed, Settings { learning_rate: 0.5, ..odd.clone() });
        let anew = with(Some(&odd), &[("preset", "sparse")]).unwrap();
        assert_eq!(anew, Settings::default().fitted_to(&numbers()));
        let top_k = with(None, &[("learning-rate", "0.5"), ("preset", "top-k")]).unwrap();
        let expected = Preset::TopK.settings(vec![4, 128, 4], 100);
        assert_eq!(top_k, Settings { learning_rate: 0.5, ..expected });
        // What a preset has for its code goes with it, but for what an option has.
        for preset in ["images", "top-k", "batch-top-k", "matryoshka", "jump-relu"] {
            for code in ["dense", "top-k:2", "batch-top-k:2", "jump-relu:0.1"] {
                let own = with(None, &[("preset", preset), ("code", code)]);
                assert_eq!(own.unwrap().code.to_string().split(':').next(), code.split(':').next());
            }
        }
        let options = [("preset", "top-k"), ("code", "dense"), ("dead-after", "9")];
        let problem = with(None, &options).unwrap_err().to_string();
        assert!(problem.starts_with("dead_after: "), "{problem}");
        let wide = with(None, &[("layers", "4,512,4"), ("preset", "top-k")]).unwrap();
        assert_eq!(wide, Preset::TopK.settings(vec![4, 512, 4], 100));
        // What a preset has and nobody asked for is named.
        for (option, value, words) in [
            ("tied", "true", "; transpose is the preset's initialization, give another"),
            ("output-activation", "sigmoid", "; mean is the preset's output_bias, give another"),
            ("optimizer", "l-bfgs", "optimizer: fields unit_norm"),
            ("layers", "5,8,4", "layers: the first size is 5 and the data has 4 features a sample"),
            ("layers", "4,8,5", "layers: expected a last size equal to the first, got 4 and 5"),
        ] {
            let problem = with(None, &[("preset", "top-k"), (option, value)]).unwrap_err();
            assert!(problem.to_string().contains(words), "{problem}");
        }
        let given = [("preset", "top-k"), ("tied", "true"), ("initialization", "transpose")];
        let problem = with(None, &given).unwrap_err().to_string();
        assert!(!problem.contains("preset"), "{problem}");
        let problem = with(None, &[("rho", "2")]).unwrap_err().to_string();
        assert!(problem.starts_with("rho: expected"), "{problem}");
    }
}
