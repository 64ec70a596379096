//! `sae report`

mod charts;
mod page;
mod subject;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::drawing::picture::Reconstructions;
use crate::failure::Result;
use crate::models::ModelsArgs;
use crate::output::{note, print, write_file};
use subject::Subject;

/// Show what models have learned on one HTML page that works offline
///
/// Settings, training curves, test images above each model's reconstructions, what the units respond
/// to, how active they are, and all figures. The training curves come from the CSV file that train
/// writes beside a model (its name with .history.csv).
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae report sae.safetensors --open
  sae make-digits few --train 2000 --test 500
  sae train --data few --steps 300 --out sparse.safetensors
  sae train --data few --steps 300 --preset plain --out plain.safetensors
  sae report plain.safetensors sparse.safetensors --data few --out both.html")]
pub struct Args {
    #[command(flatten)]
    models: ModelsArgs,
    /// HTML file to write
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// Open it in the browser
    #[arg(long)]
    open: bool,
}

/// Images above their reconstructions.
const SHOWN: usize = 20;

pub fn run(args: Args) -> Result<()> {
    let mut engine = args.models.run.engine()?;
    args.models.check_output(&args.out, &["html", "htm"])?;
    let (models, data) = args.models.load(&mut engine)?;
    let shown: Vec<_> = models.iter().map(|model| (&model.net, &model.samples)).collect();
    let pictures = Reconstructions::of(&shown, &mut engine, SHOWN)?;
    let subjects = models.into_iter().map(|model| Subject::new(model, &mut engine));
    let subjects: Vec<Subject> = subjects.collect::<Result<_>>()?;
    let models: Vec<Value> = subjects.iter().map(Subject::json).collect();
    let samples = subjects[0].model.samples.len();
    let facts = json!({"images": data, "samples": samples, "models": models});
    let page = page::page(&subjects, pictures.as_ref(), &data, &facts)?;
    write_file(&args.out, page)?;
    let value = json!({"report": args.out, "models": models});
    print(args.models.run.json, &value, &format!("report: {}", args.out.display()))?;
    if args.open
        && let Err(error) = open::that_detached(&args.out)
    {
        note(&format!("cannot start a browser ({error}); open {}", args.out.display()));
    }
    Ok(())
}
