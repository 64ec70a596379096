//! `sae presets`

use std::fmt::Write as _;

use sae::{Preset, Settings};
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::output::print;
use crate::suggest::Suggested;

/// List the presets: what each sets, and its source
///
/// A preset is where the settings of `sae train --preset NAME` begin; options change it. Without one, samples
/// that are images (see `sae train --help`) have the preset images, and others top-k. Only what differs from
/// the article's settings is listed. Values marked * follow the data's features, the code's units or the steps
/// of the training.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae presets
  sae presets top-k --features 384 --steps 3000
  sae train --preset batch-top-k --layers 784,512,784 --out dictionary.safetensors")]
pub struct Args {
    /// Only this preset
    #[arg(value_parser = Suggested::new(Preset::ALL.map(|preset| preset.name().to_owned())),
        hide_possible_values = true)]
    name: Option<String>,
    /// Features of the data
    #[arg(long, value_name = "N", default_value_t = 784, value_parser = features)]
    features: usize,
    /// Steps of the training [default: 20000; images: 2000; matlab: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

fn features(text: &str) -> std::result::Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=1 << 24).contains(count));
    count.ok_or_else(|| "expected a whole number from 1 to 16777216".to_owned())
}

pub fn run(args: Args) -> Result<()> {
    let presets = match &args.name {
        Some(name) => {
            let of_argument = |failure: Failure| failure.without_dashes();
            vec![name.parse::<Preset>().map_err(Failure::from).map_err(of_argument)?]
        }
        None => Preset::ALL.to_vec(),
    };
    let listed: Vec<Listed> = presets.iter().map(|&preset| Listed::of(preset, &args)).collect();
    let value = json!({ "presets": listed.iter().map(Listed::json).collect::<Vec<_>>() });
    let texts: Vec<String> = listed.iter().map(Listed::text).collect();
    print(args.json, &value, &texts.join("\n"))
}

/// A preset, with the settings in which it differs from the default.
struct Listed {
    preset: Preset,
    steps: u64,
    settings: Vec<Row>,
}

/// A setting of a preset.
struct Row {
    name: &'static str,
    value: String,
    default: String,
    /// Whether it follows the features, the units or the steps.
    follows: bool,
}

impl Listed {
    fn of(preset: Preset, args: &Args) -> Self {
        let steps = args.steps.unwrap_or(preset.steps());
        let settings = preset.settings(preset.layers(args.features), steps);
        // What differs for another network and training follows them.
        let [here, there] = [(2, 100), (300, 2000)]
            .map(|(features, steps)| preset.settings(preset.layers(features), steps));
        let default =
            Settings { layers: Preset::Article.layers(args.features), ..Settings::default() };
        let rows = Settings::fields().iter().map(|field| Row {
            name: field.name,
            value: field.text(&settings),
            default: field.text(&default),
            follows: field.text(&here) != field.text(&there),
        });
        let settings = rows.filter(|row| row.value != row.default).collect();
        Listed { preset, steps, settings }
    }

    fn json(&self) -> Value {
        let row = |row: &Row| {
            let Row { name, value, default, follows } = row;
            json!({"name": name, "value": value, "default": default, "follows": follows})
        };
        json!({
            "name": self.preset.name(),
            "aliases": self.preset.aliases(),
            "about": self.preset.about(),
            "source": self.preset.source(),
            "steps": self.steps,
            "settings": self.settings.iter().map(row).collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let Listed { preset, steps, settings } = self;
        let mut text = preset.name().to_owned();
        for alias in preset.aliases() {
            text += &format!(", {alias}");
        }
        text += &format!("\n  {}\n  Source: {}\n", preset.about(), preset.source());
        if settings.is_empty() {
            text += "  The settings that the others are compared with.\n";
        }
        for Row { name, value, default, follows } in settings {
            let star = if *follows { "*" } else { " " };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name:<18} {value}{star} (article {default})");
        }
        if *steps != Preset::Article.steps() {
            text += &format!("  {steps} steps\n");
        }
        text
    }
}
