//! `sae compare`

use std::path::PathBuf;

use serde_json::json;

use crate::drawing::picture::Reconstructions;
use crate::failure::Result;
use crate::models::{Model, ModelsArgs, figures};
use crate::output::{evaluation_json, print, settings_json};

/// Compare models: a table of figures, and a picture of samples above each model's reconstructions
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  sae make-digits few --train 2000 --test 500
  sae train --data few --steps 300 --out sparse.safetensors
  sae train --data few --steps 300 --preset plain --out plain.safetensors
  sae compare plain.safetensors sparse.safetensors --data few")]
pub struct Args {
    #[command(flatten)]
    models: ModelsArgs,
    /// Samples in the picture
    #[arg(long, value_name = "N", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// PNG file to write
    #[arg(long, value_name = "FILE", default_value = "compare.png")]
    out: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    let mut engine = args.models.run.engine()?;
    sae::files::check_writable(&args.out)?;
    let (models, data) = args.models.load(&mut engine)?;
    let shown: Vec<_> = models.iter().map(|model| (&model.net, &model.samples)).collect();
    let pictures = Reconstructions::of(&shown, &mut engine, args.count as usize)?;
    if let Some(pictures) = &pictures {
        pictures.write(&args.out)?;
    }
    let values = models.iter().map(|model| {
        json!({
            "model": model.path,
            "settings": settings_json(model.net.settings()),
            "evaluation": evaluation_json(&model.net, &model.evaluation),
        })
    });
    let picture = pictures.as_ref().map(|_| &args.out);
    let value = json!({"images": data, "models": values.collect::<Vec<_>>(), "picture": picture});
    let mut text =
        format!("{} samples of {}\n{}", models[0].samples.len(), data.display(), table(&models));
    text += &match pictures {
        Some(_) => format!("picture: {}", args.out.display()),
        None => "no picture: the samples are not images".into(),
    };
    print(args.models.run.json, &value, &text)
}

/// The figures in columns, one for each model.
fn table(models: &[Model]) -> String {
    let names = models.iter().map(|model| model.name.clone()).collect();
    let mut rows = vec![(String::new(), names)];
    rows.extend(figures(&models.iter().collect::<Vec<_>>()));
    let width = |text: &str| text.chars().count();
    let first = rows.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..models.len())
        .map(|at| rows.iter().map(|(_, figures)| width(&figures[at])).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (name, figures) in &rows {
        text += &format!("{name:first$}");
        for (figure, width) in figures.iter().zip(&widths) {
            text += &format!("  {figure:>width$}");
        }
        text.push('\n');
    }
    text
}
