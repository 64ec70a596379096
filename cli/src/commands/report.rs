//! `sae report`

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sae_report::{Model, Report};
use serde_json::{Value, json};

use crate::endings::check_ending;
use crate::failure::Result;
use crate::history;
use crate::models::ModelsArgs;
use crate::output::{note, print, readable, warn, write_file};
use crate::outputs::{OverwriteArgs, make_folders, output_of};
use crate::runs;

/// Show what models have learned, and let you explore it, on one HTML page that works offline
///
/// Test images above each model's reconstructions, three figures and what they mean; every unit with what it
/// responds to, its top samples and what it writes; samples with their active units, and their reconstructions
/// without some of them; training curves, which come from the CSV file that train writes beside a model (its name
/// with .history.csv), all figures and settings.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae report sae.safetensors --open
  sae report sae.safetensors --units 100 --out small.html
  sae make-digits few --train 2000 --test 500
  sae train --data few --steps 300 --out sparse.safetensors
  sae train --data few --steps 300 --preset plain --out plain.safetensors
  sae report plain.safetensors sparse.safetensors --data few --out both.html
  sae sweep --vary code=top-k:8/top-k:32 --steps 500 && sae report --open
  sae sweep --vary code=top-k:8/top-k:32 --steps 500 --out codes.csv
  sae report codes.csv --out codes.html")]
pub struct Args {
    #[command(flatten)]
    models: ModelsArgs,
    /// HTML file to write [default: report.html, of a run's model or a run's sweep in its folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// Names of the samples: a text file with one line for each, such as a token or the name of a file
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Show N names before and after that of each top sample, for samples that are a stream of tokens
    #[arg(long, value_name = "N", default_value_t = 8, requires = "names",
        value_parser = clap::value_parser!(u32).range(..=100))]
    context: u32,
    /// Labels of the samples, whole numbers from 0 to 255: an IDX or NumPy file [default: those of a folder
    /// with MNIST's files, of sub-folders of PNGs, or of --label-column]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Units per layer with top samples and weights, the most frequent [default: as many as fit in a page
    /// of 5 MB]; all others have their numbers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    units: Option<u32>,
    /// Open it in the browser
    #[arg(long)]
    open: bool,
}

pub fn run(args: Args) -> Result<()> {
    let mut engine = args.models.run.engine()?;
    let paths = args.models.paths(1)?;
    let subject = args.models.subject(&paths)?;
    let out = output_of(args.out.as_deref(), &subject, "report.html");
    let mut inputs = args.models.inputs(&paths)?;
    inputs.extend(args.names.iter().chain(&args.labels).cloned());
    if args.is_of_before(&out, &paths) {
        note(&format!("{} is there already; --overwrite makes it anew", out.display()));
        open_page(&out);
        return Ok(());
    }
    args.overwrite.check_all(&[&out], &inputs)?;
    check_ending(&out, &["html", "htm"])?;
    let (models, data) = args.models.load(&mut engine, &paths)?;
    let chosen = args.models.chosen(&paths[0], &models[0])?;
    let labels = chosen.labels(args.labels.as_deref())?;
    let label_names = labels.as_ref().filter(|labels| !labels.names.is_empty());
    let numbers: Vec<usize> = (0..models[0].samples.len()).map(|at| chosen.number(at)).collect();
    let names = chosen.names(args.names.as_deref())?;
    let names: Option<Vec<String>> =
        names.map(|names| numbers.iter().map(|&number| names.get(number).to_owned()).collect());
    let is_stream = numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    // Names of files are no stream.
    let context = if args.names.is_some() { args.context as usize } else { 0 };
    if context > 0 && !is_stream {
        note(
            "the test samples were drawn from all over the data, so that their neighbors are not \
             shown; --samples FILE shows all samples",
        );
    }
    let models = models.into_iter().map(with_history).collect::<Result<Vec<_>>>()?;
    let source = data.display().to_string();
    let report = Report {
        labels: labels.as_ref().map(|labels| &labels.values[..]),
        label_names: label_names.map(|labels| &labels.names[..]),
        names: names.as_deref(),
        features: chosen.features.as_deref(),
        context: if is_stream { context } else { 0 },
        numbers: Some(&numbers),
        units: args.units.map(|units| units as usize),
        ..Report::new(&models, &source)
    };
    let page = report.html(&mut engine)?;
    make_folders(&[&out])?;
    write_file(&out, page)?;
    let models: Vec<Value> = models.iter().map(Model::json).collect();
    let value = json!({"report": readable(&out), "models": models});
    print(args.models.run.json, &value, &format!("report: {}", out.display()))?;
    if args.open {
        open_page(&out);
    }
    Ok(())
}

impl Args {
    /// Whether the page of a run is there, and no option says how another one is to be: it is only opened.
    fn is_of_before(&self, out: &Path, models: &[PathBuf]) -> bool {
        let [model] = models else { return false };
        let is_plain = [&self.out, &self.names, &self.labels].iter().all(|path| path.is_none())
            && self.units.is_none()
            && !self.models.has_other_data()
            && runs::is_of_run(model);
        let time = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
        let is_newer = |page: SystemTime| time(model) < Some(page);
        self.open && is_plain && !self.overwrite.overwrite && time(out).is_some_and(is_newer)
    }
}

fn open_page(page: &Path) {
    if let Err(error) = open::that_detached(page) {
        warn(&format!("cannot start a browser ({error}); open {}", page.display()));
    }
}

/// A model with the curves of the file beside it.
fn with_history(model: Model) -> Result<Model> {
    let Some(path) = model.path.as_deref().map(history::path_of) else { return Ok(model) };
    if !path.exists() {
        note(&format!("no curves of {}: there is no {}", model.name, path.display()));
        return Ok(model);
    }
    Ok(Model { history: Some(history::read(&path)?), ..model })
}
