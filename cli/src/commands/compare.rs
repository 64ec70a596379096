//! `sae compare`

use std::path::PathBuf;

use sae::Engine;
use serde_json::json;

use crate::drawing::picture::{Reconstructions, write_reconstructions};
use crate::endings::check_ending;
use crate::failure::Result;
use crate::models::{Model, ModelsArgs};
use crate::output::{
    Left, aligned, counted, evaluation_json, figures, print, readable, settings_json, short,
};
use crate::outputs::{OverwriteArgs, make_folders};

/// Compare models: a table of figures, and with --out a picture of samples above each model's reconstructions
///
/// Without MODEL these are the models of the two latest runs in the folder runs, or those of the latest run if that is
/// a sweep.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae make-digits few --train 2000 --test 500
  sae train --data few --steps 300 --out sparse.safetensors
  sae train --data few --steps 300 --preset plain --out plain.safetensors
  sae compare plain.safetensors sparse.safetensors --data few
  sae compare plain.safetensors sparse.safetensors --data few --out both.png
  sae sweep --vary code=top-k:8/top-k:32 --steps 500 --out codes.csv
  sae compare codes.csv --out codes.png")]
pub struct Args {
    #[command(flatten)]
    models: ModelsArgs,
    /// Samples in the picture
    #[arg(long, value_name = "N", default_value_t = 20, requires = "out",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// PNG file to write, the picture [default: none]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

pub fn run(args: Args) -> Result<()> {
    let mut engine = args.models.run.engine()?;
    let paths = args.models.paths(2)?;
    if let Some(out) = &args.out {
        args.overwrite.check_all(&[out], &args.models.inputs(&paths)?)?;
        check_ending(out, &["png"])?;
    }
    let (models, data) = args.models.load(&mut engine, &paths)?;
    let mut picture = None;
    if let Some(out) = &args.out {
        let shown: Vec<_> = models.iter().map(|model| (&model.net, &model.samples)).collect();
        let pictures = Reconstructions::of(&shown, &mut engine, args.count as usize, None)?;
        if let Some(pictures) = &pictures {
            make_folders(&[out])?;
            write_reconstructions(out, pictures)?;
            picture = Some(out);
        }
    }
    let values = models.iter().map(|model| {
        json!({
            "model": model.path.as_ref().map(readable),
            "settings": settings_json(model.net.settings()),
            "evaluation": evaluation_json(&model.net, &model.evaluation),
        })
    });
    let matched = matched(&models, &mut engine);
    let value = json!({
        "images": readable(&data),
        "models": values.collect::<Vec<_>>(),
        "matched_cosines": matched,
        "picture": picture,
    });
    let table = table(&models, &matched);
    let samples = counted(models[0].samples.len(), "sample");
    let mut text = format!("{samples} of {}\n{table}", data.display());
    text += &match (&args.out, picture) {
        (_, Some(out)) => format!("picture: {}", out.display()),
        (Some(_), None) => "no picture: the samples are not images".into(),
        (None, _) => String::new(),
    };
    print(args.models.run.json, &value, &text)
}

/// Of each model with each: the mean over its units of the largest cosine with a unit of the other.
///
/// Nothing where they are no dictionaries of the same features.
fn matched(models: &[Model], engine: &mut Engine) -> Vec<Vec<Option<f64>>> {
    let mut of_pair = |(a, b): (usize, usize)| {
        if a == b {
            return None;
        }
        let nearest = models[a].net.matched_cosines(engine, &models[b].net).ok()?;
        Some(nearest.mean())
    };
    (0..models.len()).map(|a| (0..models.len()).map(|b| of_pair((a, b))).collect()).collect()
}

/// The figures in columns, one for each model.
fn table(models: &[Model], matched: &[Vec<Option<f64>>]) -> String {
    let names = models.iter().map(|model| model.name.clone());
    let mut rows = vec![[String::new()].into_iter().chain(names).collect::<Vec<_>>()];
    let with_name = |(name, figures): (String, Vec<String>)| [vec![name], figures].concat();
    rows.extend(figures(models).into_iter().map(with_name));
    // Of the first with itself there is none.
    let stability: Vec<Option<f64>> = matched.iter().map(|with| with[0]).collect();
    if stability.iter().any(Option::is_some) {
        let text = |value: Option<f64>| value.map_or("–".into(), short);
        let of = format!("matched cosine with {}", models[0].name);
        rows.push(with_name((of, stability.into_iter().map(text).collect())));
    }
    aligned(&rows, Left::First)
}
