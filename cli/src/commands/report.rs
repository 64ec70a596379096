//! `sae report`

mod charts;
mod page;
mod style;

use std::fs;
use std::path::PathBuf;

use sae::{Engine, files};
use serde_json::{Value, json};

use crate::failure::Result;
use crate::features::usual_norm;
use crate::history::{self, History};
use crate::models::{Model, ModelsArgs};
use crate::output::{answer, engine, evaluation_json, note, settings_json, write_error};
use crate::picture::{Grid, Reconstructions, image_of, signed_tiles};

/// Show what models have learned, on one page: an HTML file that needs no network
///
/// Settings, curves of the training, test images above each model's reconstructions, what the units
/// look for, how active they are, and all figures. The training's curves come from the CSV file that
/// train leaves beside a model (its name with .history.csv).
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae report sae.safetensors --open
  sae make-digits digits --train 2000 --test 500
  sae train --data digits --steps 300 --out sparse.safetensors
  sae train --data digits --steps 300 --preset normal --out normal.safetensors
  sae report normal.safetensors sparse.safetensors --data digits --out both.html")]
pub struct Args {
    #[command(flatten)]
    models: ModelsArgs,
    /// HTML file to write
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// Open it in the browser
    #[arg(long)]
    open: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Images above their reconstructions.
const SHOWN: usize = 20;

/// Units whose tiles are drawn, at most.
const TILES: usize = 100;

/// A model with what the page shows of it.
struct Subject {
    model: Model,
    history: Option<History>,
    /// Of the encoder's layers: a PNG of what its units look for, and how many there are of how many.
    features: Vec<(Vec<u8>, usize, usize)>,
}

pub fn run(args: Args) -> Result<()> {
    let mut engine = engine(args.models.threads)?;
    files::check_writable(&args.out)?;
    let (models, data) = args.models.load(&mut engine)?;
    let shown: Vec<_> = models.iter().map(|model| (&model.net, &model.samples)).collect();
    let pictures = Reconstructions::of(&shown, &mut engine, SHOWN)?;
    let subjects: Result<Vec<_>> =
        models.into_iter().map(|model| subject(model, &mut engine)).collect();
    let subjects = subjects?;
    let facts = facts(&subjects, &data);
    let page = page::page(&subjects, pictures.as_ref(), &data, &facts)?;
    files::replace(&args.out, |path| fs::write(path, &page).map_err(|e| write_error(path, e)))?;
    let value = json!({"report": args.out, "models": facts["models"]});
    answer(args.json, value, &format!("report: {}", args.out.display()))?;
    if args.open
        && let Err(error) = open::that_detached(&args.out)
    {
        note(&format!("no browser could be started ({error}); open {}", args.out.display()));
    }
    Ok(())
}

fn subject(model: Model, engine: &mut Engine) -> Result<Subject> {
    let path = history::path_of(&model.path);
    let history = if path.exists() {
        Some(History::read(&path)?)
    } else {
        note(&format!("no curves of {}: there is no {}", model.name, path.display()));
        None
    };
    let mut features = Vec::new();
    if let Some(tile) = image_of(&model.samples) {
        let (norm, inputs) = (usual_norm(model.samples.features()), model.samples.features());
        for layer in 0..model.net.settings().encoder_layers() {
            let all = model.net.preferred_inputs(engine, layer, norm)?;
            let units = all.len() / inputs;
            let shown = units.min(TILES);
            let tiles = signed_tiles(all.chunks(inputs).take(shown));
            let grid = Grid { zoom: 1, ..Grid::square(tile, shown) };
            features.push((grid.png(&tiles)?, shown, units));
        }
    }
    Ok(Subject { model, history, features })
}

/// All that the page shows, as data.
fn facts(subjects: &[Subject], data: &std::path::Path) -> Value {
    let models: Vec<Value> = subjects
        .iter()
        .map(|subject| {
            let Model { path, name, net, evaluation, .. } = &subject.model;
            let history = subject.history.as_ref().map(|history| {
                json!({
                    "step": history.steps,
                    "objective": history.objective,
                    "loss": history.loss,
                    "sparsity_penalty": history.penalty,
                    "weight_decay": history.decay,
                    "penalty_factor": history.factor,
                    "mean_activations": history.activations,
                })
            });
            json!({
                "model": path,
                "name": name,
                "settings": settings_json(net.settings()),
                "evaluation": evaluation_json(net, evaluation),
                "units": evaluation.units,
                "history": history,
            })
        })
        .collect();
    json!({"images": data, "samples": subjects[0].model.samples.len(), "models": models})
}
