//! `sae compare`

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::json;

use crate::failure::Result;
use crate::models::{ModelsArgs, figures};
use crate::output::{engine, evaluation_json, settings_json};
use crate::picture::Reconstructions;

/// Show models side by side: a table, and a picture of test images above each one's reconstructions
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  sae make-digits digits --train 2000 --test 500
  sae train --data digits --steps 300 --out sparse.safetensors
  sae train --data digits --steps 300 --preset normal --out normal.safetensors
  sae compare normal.safetensors sparse.safetensors --data digits")]
pub struct Args {
    #[command(flatten)]
    models: ModelsArgs,
    /// How many images in the picture
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// PNG file to write
    #[arg(long, value_name = "FILE", default_value = "compare.png")]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let mut engine = engine(args.models.threads)?;
    sae::files::check_writable(&args.out)?;
    let (models, data) = args.models.load(&mut engine)?;
    let shown: Vec<_> = models.iter().map(|model| (&model.net, &model.samples)).collect();
    let pictures = Reconstructions::of(&shown, &mut engine, args.count as usize)?;
    if let Some(pictures) = &pictures {
        pictures.write(&args.out)?;
    }
    let mut out = io::stdout().lock();
    if args.json {
        let models: Vec<_> = models
            .iter()
            .map(|model| {
                json!({
                    "model": model.path,
                    "settings": settings_json(model.net.settings()),
                    "evaluation": evaluation_json(&model.net, &model.evaluation),
                })
            })
            .collect();
        let picture = pictures.map(|_| &args.out);
        writeln!(out, "{}", json!({"images": data, "models": models, "picture": picture}))?;
        return Ok(());
    }
    writeln!(out, "{} samples of {}", models[0].samples.len(), data.display())?;
    let names = models.iter().map(|model| model.name.clone()).collect();
    let mut rows = vec![(String::new(), names)];
    rows.extend(figures(&models.iter().collect::<Vec<_>>()));
    let width = |text: &str| text.chars().count();
    let first = rows.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..models.len())
        .map(|at| rows.iter().map(|(_, figures)| width(&figures[at])).max().unwrap_or(0))
        .collect();
    for (name, figures) in &rows {
        write!(out, "{name:first$}")?;
        for (figure, width) in figures.iter().zip(&widths) {
            write!(out, "  {figure:>width$}")?;
        }
        writeln!(out)?;
    }
    match pictures {
        Some(_) => writeln!(out, "picture: {}", args.out.display())?,
        None => writeln!(out, "no picture: the samples are no images")?,
    }
    Ok(())
}
