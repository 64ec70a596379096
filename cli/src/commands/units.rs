//! `sae units`

mod listed;
mod table;
mod text;

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sae::{
    Autoencoder,
    analysis::{UnitOptions, UnitSummary},
    files,
};
use serde_json::json;

use crate::data::ChoiceArgs;
use crate::endings::{check_ending, ending_of};
use crate::failure::{Failure, Result, io_error};
use crate::models::{ModelArgs, hidden_layer};
use crate::output::{print, progress, readable};
use crate::outputs::{OverwriteArgs, make_folders};
use listed::Units;
use table::Table;

/// Show what each unit of a layer does: how often and how strongly it is active, and for which samples
///
/// A dead unit is active in no sample, a dense one in more than 10 %. max is the largest activation. The
/// nearest unit is the one with the largest cosine between decoder rows (of other layers, the weights to
/// the next layer). Without options for data the samples are the test samples of the model's training.
/// Samples are numbered from 0, in the order of their files.
///
/// The terminal shows the units that tell most: not dead, not dense, by label or by maximum. --out writes
/// all of them.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae units sae.safetensors
  sae units sae.safetensors --sort frequency --out units.csv
  sae units sae.safetensors --layer 1 --top 3 --json

For activations of tokens, name them: --names tokens.txt --context 5

Columns of the CSV file:
  unit, active (samples), frequency, mean, mean_active, max, dead, dense, norm_in and norm_out (of the
  weights to and from the unit), nearest, nearest_cosine; with labels label (the most frequent one where
  the unit is active) and label_share; then for each of the top samples top_1_sample, top_1_activation,
  with names top_1_name, with --context top_1_context. JSON also has the histogram of log10 of the
  activations, 64 bins from -4 to 4, and the samples of each label; labels are numbers there, and
  label_name and label_names have their names, if the data have names.")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: ChoiceArgs,
    /// Hidden layer, from 1 [default: the code]
    #[arg(long, value_name = "LAYER")]
    layer: Option<usize>,
    /// Labels of the samples, whole numbers from 0 to 255: an IDX or NumPy file [default: those of a folder
    /// with MNIST's files, of sub-folders of PNGs, or of --label-column]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Names of the samples: a text file with one line for each, such as a token or the name of a file
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Show N names before and after that of each top sample, for samples that are a stream of tokens
    #[arg(long, value_name = "N", requires = "names",
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    context: Option<u16>,
    /// Samples of the largest activations that are listed of each unit
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Order of the units [default: a file by unit; the terminal by purity if there are labels, by maximum
    /// otherwise]
    #[arg(long, value_name = "ORDER")]
    sort: Option<Order>,
    /// Leave out the nearest units, whose time grows with the square of the units
    #[arg(long)]
    no_nearest: bool,
    /// Units that the terminal shows
    #[arg(long, value_name = "N", default_value_t = 20)]
    show: usize,
    /// File to write, its name ending in .csv, .json or .jsonl (one object per line)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Order {
    /// Most frequently active first
    Frequency,
    /// Largest activation first
    Max,
    /// Largest share of one label first; units active in fewer than 10 samples last
    Purity,
    /// By number
    Unit,
}

pub fn run(args: Args) -> Result<()> {
    let (mut engine, net) = args.model.load()?;
    let layer = hidden_layer(args.layer, net.settings())?;
    if let Some(out) = &args.out {
        check_out(&args, out)?;
    }
    let chosen = args.data.choose(&args.model.path, &net)?;
    let labels = chosen.labels(args.labels.as_deref())?;
    if args.sort == Some(Order::Purity) && labels.is_none() {
        let problem = "sort: purity is that of labels, and the samples have none";
        return Err(Failure::input(problem).hint("--labels FILE, or --label-column of CSV files"));
    }
    let names = chosen.names(args.names.as_deref())?;
    let progress = progress(chosen.samples.len(), "samples", args.model.run.json);
    let report = |samples: usize| progress.set_position(samples as u64);
    let options = UnitOptions {
        layer: Some(layer),
        top: args.top,
        labels: labels.as_ref().map(|labels| &labels.values[..]),
        nearest: !args.no_nearest,
        progress: Some(&report),
    };
    let units = net.unit_summaries(&mut engine, &chosen.samples, &options)?;
    progress.finish_and_clear();
    let context = args.context.map(usize::from);
    let has_labels = labels.is_some();
    let mut units = Units { units, layer: layer + 1, chosen, names, context, labels };
    sort(&mut units.units, args.sort.unwrap_or(Order::Unit));
    if let Some(out) = &args.out {
        write(out, &units, &net)?;
    }
    if args.model.run.json {
        return match &args.out {
            Some(out) => {
                let mut value = units.summary(&net);
                value["out"] = json!(readable(out));
                print(true, &value, "")
            }
            None => {
                let mut stdout = BufWriter::new(io::stdout().lock());
                units.write_json(&mut stdout, &net)?;
                Ok(stdout.flush()?)
            }
        };
    }
    let default = if has_labels { Order::Purity } else { Order::Max };
    sort(&mut units.units, args.sort.unwrap_or(default));
    let mut text = units.text(&net, args.show, args.sort.is_none());
    if let Some(out) = &args.out {
        text += &format!("table: {}\n", out.display());
    }
    print(false, &json!(null), &text)
}

/// Fails if the table cannot be written.
fn check_out(args: &Args, out: &Path) -> Result<()> {
    let mut inputs = args.data.data.inputs(&[&args.model.path])?;
    inputs.extend(args.labels.iter().chain(&args.names).cloned());
    args.overwrite.check_all(&[out], &inputs)?;
    check_ending(out, &["csv", "json", "jsonl"])
}

fn write(out: &Path, units: &Units, net: &Autoencoder) -> Result<()> {
    let write = |path: &Path| {
        let write = || {
            let mut file = BufWriter::new(File::create(path)?);
            match ending_of(out).as_str() {
                "csv" => Table { units }.write(&mut file)?,
                "json" => units.write_json(&mut file, net)?,
                _ => {
                    let mut lines = units.units.iter();
                    lines.try_for_each(|unit| writeln!(file, "{}", units.json(unit)))?;
                }
            }
            file.flush()
        };
        write().map_err(io_error("write", path))
    };
    make_folders(&[out])?;
    Ok(files::replace(out, write)?)
}

/// Sorts units, stably; those that are dead come last, but for the order by number.
fn sort(units: &mut [UnitSummary], order: Order) {
    let descending = |a: f64, b: f64| b.total_cmp(&a);
    let compare = |a: &UnitSummary, b: &UnitSummary| match order {
        Order::Unit => Ordering::Equal,
        Order::Frequency => descending(a.frequency, b.frequency),
        Order::Max => descending(a.max.abs().into(), b.max.abs().into()),
        Order::Purity => descending(sure_purity(a), sure_purity(b)).then(b.active.cmp(&a.active)),
    };
    let dead_last = |a: &UnitSummary, b: &UnitSummary| match order {
        Order::Unit => Ordering::Equal,
        _ => a.is_dead.cmp(&b.is_dead),
    };
    units.sort_by(|a, b| dead_last(a, b).then(compare(a, b)).then(a.unit.cmp(&b.unit)));
}

/// The share of a unit's purest label that its samples prove, as in the gallery of the report: the lower end of Wilson's
/// interval of 95 % (E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927).
fn sure_purity(unit: &UnitSummary) -> f64 {
    const Z: f64 = 1.96;
    let Some((_, share)) = unit.purest_label() else {
        return 0.0;
    };
    let count = unit.active as f64;
    let half = Z * (count * share * (1.0 - share) + Z * Z / 4.0).sqrt();
    (count * share + Z * Z / 2.0 - half) / (count + Z * Z)
}
