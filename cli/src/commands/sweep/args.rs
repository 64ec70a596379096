//! The options of `sae sweep`.

use std::path::PathBuf;

use clap::builder::TypedValueParser;
use sae::{Measure, Settings};

use crate::data::TrainingDataArgs;
use crate::outputs::OverwriteArgs;
use crate::settings::SettingsArgs;
use crate::suggest::Suggested;

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
    pub data: TrainingDataArgs,
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// A setting and its range; can be given several times
    #[arg(long, value_name = "SETTING=RANGE", required_unless_present = "resume",
        value_parser = Suggested::new(Settings::fields().iter().map(|field| format!("{}=", field.name.replace('_', "-")))),
        hide_possible_values = true)]
    pub vary: Vec<String>,
    /// Number of trials [default: all combinations of lists; with ranges of numbers 9, or three for each
    /// combination of lists]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub trials: Option<u16>,
    /// Steps of the trials that are trained to the end
    #[arg(long, value_name = "N", default_value_t = 5000,
        value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,
    /// How often the trials are reduced to the best third [default: 0 of fewer than 9 trials, or else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=8))]
    pub halvings: Option<u8>,
    /// Measure of sparsity: mean-activation or l0 [default: mean-activation where no unit of the code can be 0, as
    /// of dense codes with a sigmoid, or else l0]
    #[arg(long, value_name = "MEASURE",
        value_parser = Suggested::new(["mean-activation", "l0"].map(str::to_owned)).try_map(|text| text.parse::<Measure>()),
        hide_possible_values = true)]
    pub sparsity: Option<Measure>,
    /// The hidden layer whose sparsity is measured, from 1 [default: the code]
    #[arg(long, value_name = "LAYER")]
    pub layer: Option<usize>,
    /// Trials that are trained at the same time, each with one thread [default: as many as
    /// SAE_NUM_THREADS or OMP_NUM_THREADS says if set, all cores otherwise]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// First point of the sequence of settings [default: 1]
    #[arg(long, value_name = "N")]
    pub from: Option<u32>,
    /// CSV file to write; the models are in a folder beside it [default: sweep.csv in the folder of a new run:
    /// runs/1, runs/2, ...]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// SVG picture to write [default: the CSV's name with .svg]
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
    /// Resume an interrupted sweep, that of --out or the latest in the folder runs, with its options
    #[arg(long)]
    pub resume: bool,
    #[command(flatten)]
    pub overwrite: OverwriteArgs,
    /// Print no progress and no notes; warnings stay
    #[arg(long)]
    pub quiet: bool,
    /// Print one JSON object at the end instead of text
    #[arg(long)]
    pub json: bool,
}
