//! What a model file itself says of its training, so that the file alone can repeat it.
//!
//! It is the model's note `training`. The settings, the scaling and the number and checksum of the data stand in
//! the file, too. Paths do not: equal trainings give equal files. The record beside the model has those.

use std::mem::discriminant;
use std::path::Path;

use flate2::Crc;
use sae::{
    Activation, Autoencoder, Preset, Settings,
    data::{HeldOut, TrainingData},
};
use serde_json::{Value, json};

use super::args::Args;
use crate::digits;
use crate::failure::{Failure, Result};
use crate::recipe;

/// The name of the note.
const NOTE: &str = "training";

/// What repeats a training, besides the settings and the data.
pub struct Repeat {
    /// Of the whole training.
    pub steps: u64,
    /// The step after which it was interrupted.
    pub interrupted: Option<u64>,
    /// Processes that computed it, which its bits depend on.
    pub ranks: Option<u64>,
    /// Names and values of the options of its course.
    options: Vec<(&'static str, u64)>,
    /// Checksum of the parameters that it began with, of `--from`.
    from: Option<u64>,
}

/// The options of the course of a training that have numbers.
const OPTIONS: [&str; 5] = ["pretrain", "revive", "patience", "evaluate-every", "scaling-samples"];

impl Repeat {
    /// Of a training with these options, of `ranks` processes, that begins with the parameters `from`.
    pub fn new(args: &Args, ranks: usize, from: Option<&Autoencoder>) -> Self {
        let numbers = [
            args.pretrain,
            args.revive,
            args.patience.map(u64::from),
            args.patience.map(|_| args.evaluate_every),
            args.data.scaling_samples(),
        ];
        let options = OPTIONS.into_iter().zip(numbers);
        Repeat {
            steps: args.steps(),
            interrupted: None,
            ranks: (ranks > 1).then_some(ranks as u64),
            options: options.filter_map(|(name, number)| Some((name, number?))).collect(),
            from: from.map(checksum),
        }
    }

    /// Of a trial of a sweep, with the samples that the scaling is fitted to, if not all.
    pub fn of_trial(steps: u64, scaling_samples: Option<u64>) -> Self {
        let options = scaling_samples.map(|samples| ("scaling-samples", samples));
        let options = options.into_iter().collect();
        Repeat { steps, interrupted: None, ranks: None, options, from: None }
    }

    /// Writes it into a model.
    pub fn keep_in(&self, net: &mut Autoencoder) {
        let mut value = json!({"version": env!("CARGO_PKG_VERSION"), "steps": self.steps});
        let rest = [("interrupted", self.interrupted), ("ranks", self.ranks), ("from", self.from)];
        let rest = rest.into_iter().filter_map(|(name, number)| Some((name, number?)));
        for (name, number) in self.options.iter().copied().chain(rest) {
            value[name] = json!(number);
        }
        net.notes_mut().insert(NOTE.to_owned(), value.to_string());
    }

    /// That in a model; None if there is none, as in older files.
    pub fn of(net: &Autoencoder) -> Option<Self> {
        let value: Value = serde_json::from_str(net.notes().get(NOTE)?).ok()?;
        let number = |name: &str| value[name].as_u64();
        Some(Repeat {
            steps: number("steps")?,
            interrupted: number("interrupted"),
            ranks: number("ranks"),
            options: OPTIONS.iter().filter_map(|&name| Some((name, number(name)?))).collect(),
            from: number("from"),
        })
    }

    /// `interrupted after step 130 of 300`, if it was.
    pub fn interruption(&self) -> Option<String> {
        let step = self.interrupted?;
        Some(format!("interrupted after step {step} of {}", self.steps))
    }

    /// The options of `sae train` that repeat the training, but for those that name files.
    ///
    /// Fails if the samples that were held out were drawn by another seed than the settings', which no option has.
    pub fn options(&self, net: &Autoencoder, model: &Path) -> Result<Vec<String>> {
        let mut options = vec![option("steps", self.steps)];
        options.extend(options_of_settings(net, self.steps));
        options.extend(self.options.iter().map(|&(name, number)| option(name, number)));
        if self.from.is_none() {
            options.push(option("scaling", net.scaling().kind().name()));
            let of_targets = net.target_scaling();
            options
                .extend(of_targets.map(|scaling| option("target-scaling", scaling.kind().name())));
        }
        options.push(match net.training_data().and_then(TrainingData::held_out) {
            Some(HeldOut::Last(count)) => option("holdout-last", count),
            Some(HeldOut::Random { count, seed }) if seed == net.settings().seed => {
                option("holdout", count)
            }
            Some(_) => {
                let problem = "its test samples were drawn by another seed than its own, as those of a sweep \
                               over seeds are";
                return Err(Failure::at(model, problem)
                    .hint("sae sweep repeats the sweep; sae train with these settings is close"));
            }
            None => option("holdout", 0),
        });
        Ok(options)
    }

    /// The command to type, with words for the files.
    pub fn command(&self, net: &Autoencoder, model: &Path) -> Result<String> {
        let files = [
            ("samples", !net.training_data().is_some_and(digits::may_be)),
            ("targets", net.target_scaling().is_some()),
            ("from", self.from.is_some()),
        ];
        let files = files.into_iter().filter(|(_, needs)| *needs);
        let files = files.flat_map(|(name, _)| [format!("--{name}"), "FILE".to_owned()]);
        let arguments: Vec<String> = files.chain(self.options(net, model)?).collect();
        let ranks = self.ranks.map(|ranks| format!("mpirun -n {ranks} "));
        Ok(ranks.unwrap_or_default() + &recipe::command(&arguments))
    }

    /// Fails if the options lack a file that the training needs, of a model without a record beside it.
    pub fn check_given(&self, net: &Autoencoder, model: &Path, args: &Args) -> Result<()> {
        let needs = |what: &str, hint: &str| {
            let problem = format!("{what}, and there is no record beside it that says where");
            Err(Failure::at(model, problem).hint(hint))
        };
        if self.from.is_some() && args.from.is_none() {
            return needs("its training began with another model", "give it: --from MODEL");
        }
        if net.target_scaling().is_some() && !args.data.has_targets() {
            return needs("it was trained on samples with targets", "give them: --targets FILE");
        }
        Ok(())
    }

    /// Whether another training begins with the same parameters.
    pub fn begins_as(&self, other: &Self) -> bool {
        self.from == other.from
    }
}

fn option(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{}={value}", name.replace('_', "-"))
}

/// The options that give a model's settings: a preset, and what differs from it.
fn options_of_settings(net: &Autoencoder, steps: u64) -> Vec<String> {
    let settings = net.settings();
    let of_preset = |preset: Preset| {
        let base = preset.settings(preset.layers(settings.layers[0]), steps);
        // What the command sets by the data.
        let is_sigmoid = net.target_scaling().unwrap_or(net.scaling()).is_unit()
            && base.output_bias != sae::OutputBias::Mean;
        let output_activation = if is_sigmoid { Activation::Sigmoid } else { Activation::Linear };
        let base = Settings { output_activation, ..base };
        let differ = Settings::fields().iter().filter(|it| it.text(&base) != it.text(settings));
        let differ = differ.map(|field| option(field.name, field.text(settings)));
        [option("preset", preset)].into_iter().chain(differ).collect::<Vec<_>>()
    };
    // Of another kind of code a preset's settings would be taken back.
    let is_same_code = |preset: &Preset| {
        let code = preset.settings(settings.layers.clone(), steps).code;
        discriminant(&code) == discriminant(&settings.code)
    };
    let all = Preset::ALL.into_iter().filter(is_same_code).map(of_preset);
    all.min_by_key(Vec::len).unwrap_or_default()
}

/// CRC-32 of the parameters.
fn checksum(net: &Autoencoder) -> u64 {
    let mut crc = Crc::new();
    for numbers in net.parameters().chunks(1 << 12) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        crc.update(&bytes);
    }
    u64::from(crc.sum())
}
