//! The settings on the command line, for everything that trains.

use clap::{Arg, ArgAction, ArgMatches, Command};
use sae::{Code, Field, Kind, Preset, Samples, Settings};

use crate::failure::{Failure, Result};
use crate::output::{counted, join, note, warn};
use crate::suggest::Suggested;

/// An option for each of [`Settings::fields`], and `--preset`.
#[derive(Clone)]
pub struct SettingsArgs {
    /// Names and texts, as [`Settings::set`] takes them.
    pub options: Vec<(String, String)>,
}

impl SettingsArgs {
    /// The settings for a training of `steps` steps on these samples, on top of those of a
    /// checkpoint that is resumed.
    pub fn settings(
        &self,
        steps: u64,
        train: &Samples,
        resumed: Option<&Settings>,
    ) -> Result<Settings> {
        let default = match resumed {
            None => Some(("preset".to_owned(), self.default_preset(train).name().to_owned())),
            Some(_) => None,
        };
        // Of several the last counts.
        let options: Vec<_> = default.into_iter().chain(self.options.iter().cloned()).collect();
        Ok(Settings::with_options(resumed, &options, train, steps)?)
    }

    /// Fails if one of the texts is no value of its setting, before the data are read.
    pub fn check(&self) -> Result<()> {
        let mut settings = Settings::default();
        for (name, text) in &self.options {
            match name.as_str() {
                "preset" => drop(text.parse::<Preset>()?),
                // Any number of steps, for a schedule that has none of its own.
                name => settings.set(name, text, Preset::Article.steps())?,
            }
        }
        Ok(())
    }

    /// The preset without an option for it: images of samples that are images, gray or in color, or else top-k.
    fn default_preset(&self, train: &Samples) -> Preset {
        if train.row_dims().len() > 1 { Preset::Images } else { Preset::TopK }
    }

    /// Says that the preset has a smaller K than usual, because the code has few units.
    pub fn note_lowered(&self, settings: &Settings, train: &Samples) {
        let has = |name: &str| self.options.iter().any(|(option, _)| option == name);
        let preset = self.preset().unwrap_or_else(|| self.default_preset(train));
        let active = |code| match code {
            Code::TopK(k) | Code::BatchTopK(k) => Some(k),
            _ => None,
        };
        let usual = active(preset.settings(vec![1, 1 << 16, 1], None).code);
        let (Some(usual), Some(own)) = (usual, active(settings.code)) else { return };
        if own < usual && !has("code") {
            let units = counted(settings.code_units(), "unit");
            note(&format!(
                "preset {preset}: {} instead of {usual} active units per sample, a quarter of the code's {units}; \
                 --code {} sets them",
                own, settings.code
            ));
        }
    }

    /// Says which of the options have no effect beside the other settings.
    pub fn note_ignored(&self, settings: &Settings) {
        let has = |name: &str| self.options.iter().any(|(option, _)| option == name);
        let no_terms = settings.penalties.is_empty();
        if has("rho") && no_terms && settings.beta == 0.0 {
            warn("--rho has no effect, because --beta is 0");
        }
        let is_gated = matches!(settings.code, Code::JumpRelu { .. });
        let no_penalty = no_terms && settings.beta == 0.0 && settings.l1 == 0.0 && !is_gated;
        if has("sparsity_warm_up") && no_penalty {
            warn("--sparsity-warm-up has no effect, because there is no sparsity penalty");
        }
    }

    /// The preset of an option for it; what is no preset is refused later.
    pub fn preset(&self) -> Option<Preset> {
        let (_, text) = self.options.iter().find(|(name, _)| name == "preset")?;
        text.parse().ok()
    }

    /// The steps of a training without an option for them: those of its preset.
    pub fn default_steps(&self, train: &Samples) -> u64 {
        self.preset().unwrap_or_else(|| self.default_preset(train)).steps()
    }

    /// The settings for a training that begins with a network: its own, or those of an option `preset`
    /// with its architecture, changed by the other options.
    pub fn settings_with(
        &self,
        network: &Settings,
        steps: u64,
        train: &Samples,
    ) -> Result<Settings> {
        self.check_layers(network)?;
        if !self.options.iter().any(|(name, _)| name == "preset") {
            return self.settings(steps, train, Some(&network.for_steps(steps)));
        }
        let fields = Settings::fields().iter();
        let own = fields.filter(|field| Settings::ARCHITECTURE.contains(&field.name));
        let own = own.map(|field| (field.name.to_owned(), field.text(network)));
        let options: Vec<_> = own.chain(self.options.iter().cloned()).collect();
        Ok(Settings::with_options(None, &options, train, steps)?)
    }

    /// Fails if the layers are others than those of the network that the training begins with, before the code,
    /// which may have too few units for them.
    fn check_layers(&self, network: &Settings) -> Result<()> {
        let mut own = network.clone();
        for (name, text) in self.options.iter().filter(|(name, _)| name == "layers") {
            own.set(name, text, None)?;
        }
        if own.layers == network.layers {
            return Ok(());
        }
        let (here, there) = (join(&own.layers, ","), join(&network.layers, ","));
        let problem = format!(
            "layers: expected {there}, which the network has that the training begins with, got {here}"
        );
        Err(Failure::input(problem).hint("leave out --layers, or begin without --from"))
    }

    /// The seed; what is no seed is refused later.
    pub fn seed(&self) -> Option<u64> {
        let (_, text) = self.options.iter().find(|(name, _)| name == "seed")?;
        text.parse().ok()
    }
}

impl clap::Args for SettingsArgs {
    fn augment_args(command: Command) -> Command {
        let preset = Arg::new("preset")
            .long("preset")
            .value_name("NAME")
            .value_parser(Suggested::new(Preset::ALL.map(|preset| preset.name().to_owned())))
            .hide_possible_values(true)
            .help(
                "Settings to start from, see `sae presets`; this help has the values of the preset article \
                 [default: images of samples that are images, or else top-k; or those resumed]",
            );
        let options = Settings::fields().iter().map(option);
        command.args([preset].into_iter().chain(options))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The option of a setting.
fn option(field: &Field) -> Arg {
    let kebab = |name: &str| name.replace('_', "-");
    let (first, more) = field.aliases.split_at(field.aliases.len().min(1));
    let arg = Arg::new(field.name)
        .long(kebab(field.name))
        .visible_aliases(first.iter().map(|name| kebab(name)))
        .aliases(more.iter().map(|name| kebab(name)))
        .allow_negative_numbers(true)
        .hide_possible_values(true);
    let (doc, expected, default) = (field.doc(), field.expected(), field.default());
    match field.kind {
        Kind::Flag => arg
            .value_name("true|false")
            .value_parser(Suggested::new(["true", "false"].map(str::to_owned)))
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .help(doc),
        Kind::Number | Kind::Count => {
            let name = if field.kind == Kind::Count { "N" } else { "NUMBER" };
            arg.value_name(name).help(format!("{doc} [article: {default}]"))
        }
        Kind::List => arg
            .value_name("LIST")
            .value_parser(Suggested::in_grammar(&expected))
            .action(ArgAction::Append)
            .help(format!("{doc}: {expected} [article: {default}]")),
        _ => arg
            .value_name("CHOICE")
            .value_parser(Suggested::in_grammar(&expected))
            .help(format!("{doc}: {expected} [article: {default}]")),
    }
}

impl clap::FromArgMatches for SettingsArgs {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let names = Settings::fields().iter().map(|field| field.name);
        let options = ["preset"].into_iter().chain(names).filter_map(|name| {
            let texts: Vec<_> = matches.get_many::<String>(name)?.map(String::as_str).collect();
            Some((name.to_owned(), texts.join(",")))
        });
        Ok(SettingsArgs { options: options.collect() })
    }

    fn update_from_arg_matches(
        &mut self,
        matches: &ArgMatches,
    ) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
