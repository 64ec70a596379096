//! `sae sweep`

mod design;
mod journal;
mod paths;
mod plan;
mod table;
mod trials;

use std::path::PathBuf;

use clap::builder::TypedValueParser;
use sae::{Activation, Code, Measure, Samples, Settings};
use serde_json::json;

use crate::data::{TrainingData, TrainingDataArgs};
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::models::hidden_layer;
use crate::output::{note, print, write_file};
use crate::outputs::{Lock, OverwriteArgs};
use crate::recipe;
use crate::settings::SettingsArgs;
use crate::suggest::Suggested;
use crate::sweeps;
use journal::Journal;
use paths::Paths;
pub use paths::options_of_resumed;
use plan::Range;
use table::Table;
use trials::{Data, Trial, Trials};

/// Train with many settings and show the best trade-offs between reconstruction and sparsity
///
/// Of lists of values all combinations are tried. Over ranges of numbers the trials spread evenly (a low-discrepancy
/// sequence), each with all combinations of the lists. Fewer than 9 trials are all trained to the end; more are
/// trained for a few steps, and the best third continues to three times as many (successive halving). The best trials
/// are those that no other beats in both reconstruction error and sparsity.
///
/// The table and its picture name every trial; the models of those that were trained to the end are in a folder
/// beside the table, the table's name with .trials. `sae compare` and `sae report` take the whole sweep. The result
/// depends neither on the number of jobs nor on interruptions: --resume continues a sweep that was interrupted.
#[derive(clap::Args)]
#[command(after_help = "\
Ranges:
  --vary code=top-k:16/top-k:32    the values of a list
  --vary beta=log:1e-6:1e-3        numbers of a range, on a logarithmic scale
  --vary rho=linear:0.01:0.2       numbers of a range, on a linear scale
All settings of train can be varied: layers, activation, code, l1, lr, target and so on.

Examples:
  sae sweep --vary code=top-k:8/top-k:32/dense --steps 500 && sae report --open
  sae sweep --vary code=top-k:8/top-k:32 --vary seed=1/2 --steps 500 --out codes.csv
  sae sweep --preset article --vary beta=log:1e-6:1e-3 --trials 9 --steps 2000
  sae sweep --preset article --layers 784,300,784 --activation relu --init he --beta 0 \\
      --vary l1=log:1e-5:1e-2 --trials 12 --steps 3000 --out l1.csv
  sae sweep --resume")]
pub struct Args {
    #[command(flatten)]
    data: TrainingDataArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    /// A setting and its range; can be given several times
    #[arg(long, value_name = "SETTING=RANGE", required_unless_present = "resume",
        value_parser = Suggested::new(Settings::fields().iter().map(|field| format!("{}=", field.name.replace('_', "-")))),
        hide_possible_values = true)]
    vary: Vec<String>,
    /// Number of trials [default: all combinations of lists; with ranges of numbers 9, or three for each
    /// combination of lists]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    trials: Option<u16>,
    /// Steps of the trials that are trained to the end
    #[arg(long, value_name = "N", default_value_t = 5000,
        value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// How often the trials are reduced to the best third [default: 0 of fewer than 9 trials, or else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=8))]
    halvings: Option<u8>,
    /// Measure of sparsity: mean-activation or l0 [default: mean-activation where no unit of the code can be 0, as
    /// of dense codes with a sigmoid, or else l0]
    #[arg(long, value_name = "MEASURE",
        value_parser = Suggested::new(["mean-activation", "l0"].map(str::to_owned)).try_map(|text| text.parse::<Measure>()),
        hide_possible_values = true)]
    sparsity: Option<Measure>,
    /// The hidden layer whose sparsity is measured, from 1 [default: the code]
    #[arg(long, value_name = "LAYER")]
    layer: Option<usize>,
    /// Trials that are trained at the same time, each with one thread [default: as many as
    /// SAE_NUM_THREADS or OMP_NUM_THREADS says if set, all cores otherwise]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// First point of the sequence of settings [default: 1]
    #[arg(long, value_name = "N")]
    from: Option<u32>,
    /// CSV file to write; the models are in a folder beside it [default: sweep.csv in the folder of a new run:
    /// runs/1, runs/2, ...]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// SVG picture to write [default: the CSV's name with .svg]
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Resume an interrupted sweep, that of --out or the latest in the folder runs, with its options
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// Print no progress
    #[arg(long)]
    quiet: bool,
    /// Print one JSON object at the end instead of text
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let paths = Paths::of(&args)?;
    let place = args.data.place()?;
    // Before all samples may be read, for a scaling.
    paths.check(&args, &place.files()?)?;
    let ranges: Vec<Range> =
        args.vary.iter().map(|text| Range::parse(text)).collect::<Result<_>>()?;
    let texts = design::design(&ranges, args.trials, args.from)?;
    let seed = args.settings.seed().unwrap_or(Settings::default().seed);
    let TrainingData { train, test, place } =
        args.data.samples(place, (seed, None), None, args.quiet, true)?;
    let list = trials(&args, &train, &ranges, texts)?;
    let layer = hidden_layer(args.layer, &list[0].settings)?;
    let measure = args.sparsity.unwrap_or_else(|| default_measure(&list));
    let halvings = args.halvings.unwrap_or(u8::from(list.len() >= 9));
    // Only now, so that what is refused leaves no folder.
    let paths = paths.made(&args)?;
    let data = Data { train, test, place };
    let (table, quiet) = (paths.table.clone(), args.quiet || args.json);
    let trials = Trials { list, data, layer, measure, steps: args.steps, table, quiet };
    let journal = sweeps::journal_of(&paths.table);
    let _lock = Lock::of(&journal)?;
    let mut journal = Journal::open(&journal, &trials.definition(halvings))?;
    paths.save_options()?;
    train_all(&args, &trials, halvings, &mut journal, &paths)?;
    let table = Table::new(&ranges, &trials, &journal, halvings);
    write_file(&paths.table, table.csv())?;
    write_file(&paths.picture, table.chart().file())?;
    let (mut value, mut text) = (table.json(), table.text());
    value["table"] = json!(paths.table);
    value["picture"] = json!(paths.picture);
    let [csv, svg] = [&paths.table, &paths.picture].map(|path| path.display());
    text += &format!("models: {}\ntable: {csv}\npicture: {svg}", paths.folder().display());
    print(args.json, &value, &text)
}

/// Trains all trials for a few steps, the best third for three times as many, and so on.
fn train_all(
    args: &Args,
    trials: &Trials,
    halvings: u8,
    journal: &mut Journal,
    paths: &Paths,
) -> Result<()> {
    let jobs = match args.jobs {
        Some(jobs) => usize::from(jobs),
        None => sae::compute::threads_from_environment()?,
    };
    interrupt::begin();
    let mut alive: Vec<usize> = (0..trials.list.len()).collect();
    for rung in 0..=halvings {
        let left = halvings - rung;
        let steps = (args.steps / 3u64.pow(left.into())).max(1);
        trials.train(&alive, (rung, steps, left == 0), jobs, journal)?;
        if interrupt::requested() {
            break;
        }
        if left > 0 {
            alive = plan::best(&journal.at(rung, &alive), alive.len().div_ceil(3));
        }
    }
    match interrupt::end() {
        Some(signal) => {
            note(&format!("interrupted; {} continues it", paths.continuation()));
            Err(Failure::interrupted(signal))
        }
        None => Ok(()),
    }
}

fn trials(
    args: &Args,
    train: &Samples,
    ranges: &[Range],
    texts: Vec<Vec<String>>,
) -> Result<Vec<Trial>> {
    let trial = |varied: Vec<String>| {
        let mut settings = args.settings.clone();
        let fields = ranges.iter().map(|range| recipe::field_of(&range.field));
        settings.options.extend(fields.zip(varied.iter().cloned()));
        let settings = settings.settings(args.steps, train, None)?;
        let fields = ranges.iter().map(|range| recipe::field_of(&range.field)).collect();
        Ok(Trial { fields, varied, settings })
    };
    texts.into_iter().map(trial).collect()
}

/// Mean activation where no unit of any trial's code can be 0.
fn default_measure(list: &[Trial]) -> Measure {
    let is_never_0 = |Trial { settings, .. }: &Trial| {
        let code = settings.activation_of(settings.encoder_layers() - 1);
        settings.code == Code::Dense && matches!(code, Activation::Sigmoid | Activation::Tanh)
    };
    if list.iter().all(is_never_0) { Measure::MeanActivation } else { Measure::L0 }
}
