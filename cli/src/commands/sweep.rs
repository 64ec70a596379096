//! `sae sweep`

mod journal;
mod plan;
mod table;
mod trials;

use std::fs;
use std::path::PathBuf;

use sae::{Measure, Samples, Settings};
use serde_json::json;

use crate::data::{TrainingData, TrainingDataArgs};
use crate::endings::check_ending;
use crate::failure::{Failure, Result, io_error};
use crate::interrupt;
use crate::models::hidden_layer;
use crate::output::{note, print, write_file};
use crate::outputs::{OverwriteArgs, check_distinct, check_unread, check_writable, make_folders};
use crate::settings::SettingsArgs;
use journal::Journal;
use plan::Range;
use table::Table;
use trials::{Trial, Trials};

/// Train with many settings and show the best trade-offs between reconstruction and sparsity
///
/// The trials spread evenly over the ranges (a low-discrepancy sequence). All are trained for a few
/// steps, the best third continues to three times as many steps, and so on (successive halving). The
/// best trials are those that no other beats in both reconstruction error and sparsity. An
/// interrupted sweep resumes when it is called again with the same options. The result depends
/// neither on that nor on the number of jobs.
#[derive(clap::Args)]
#[command(after_help = "\
Ranges:
  --vary beta=log:1e-6:1e-3        numbers of a range, on a logarithmic scale
  --vary rho=linear:0.01:0.2       numbers of a range, on a linear scale
  --vary code=top-k:16/top-k:32    the values of a list
All settings of train can be varied: layers, activation, code, l1, lr, target and so on.

Examples:
  sae sweep --preset article --vary beta=log:1e-6:1e-3 --trials 9 --steps 2000
  sae sweep --preset article --layers 784,300,784 --activation relu --init he --beta 0 \\
      --vary l1=log:1e-5:1e-2 --sparsity l0 --trials 12 --steps 3000 --out l1.csv")]
pub struct Args {
    #[command(flatten)]
    data: TrainingDataArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    /// A setting and its range; can be given several times
    #[arg(long, value_name = "SETTING=RANGE", required = true)]
    vary: Vec<String>,
    /// Number of trials
    #[arg(long, value_name = "N", default_value_t = 9,
        value_parser = clap::value_parser!(u16).range(1..=10_000))]
    trials: u16,
    /// Steps of the trials that are trained to the end
    #[arg(long, value_name = "N", default_value_t = 5000,
        value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// How often the trials are reduced to the best third
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u8).range(0..=8))]
    halvings: u8,
    /// Measure of sparsity: mean-activation or l0
    #[arg(long, value_name = "MEASURE", default_value = "mean-activation")]
    sparsity: Measure,
    /// The hidden layer whose sparsity is measured, from 1 (default: the code)
    #[arg(long, value_name = "LAYER")]
    layer: Option<usize>,
    /// Trials that are trained at the same time, each with one thread (default: as many as
    /// SAE_NUM_THREADS or OMP_NUM_THREADS says if set, all cores otherwise)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// First point of the sequence of settings
    #[arg(long, value_name = "N", default_value_t = 1)]
    from: u32,
    /// CSV file to write; a folder beside it has what is needed to resume
    #[arg(long, value_name = "FILE", default_value = "sweep.csv")]
    out: PathBuf,
    /// SVG picture to write (default: the CSV's name with .svg)
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
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
    let measure = args.sparsity;
    let picture = args.picture.clone().unwrap_or_else(|| args.out.with_extension("svg"));
    check_distinct(&[("table", &args.out), ("picture", &picture)])?;
    let place = args.data.place()?;
    // Before all samples may be read, for a scaling.
    check_unread(&[&args.out, &picture], &place.files()?)?;
    args.overwrite.check(&[&args.out, &picture])?;
    for (path, ending) in [(&args.out, "csv"), (&picture, "svg")] {
        check_ending(path, &[ending])?;
    }
    let data = args.data.samples(
        place,
        (args.settings.seed().unwrap_or(Settings::default().seed), None),
        None,
        args.quiet,
        true,
    )?;
    let TrainingData { train, test, .. } = data;
    let test = test.unwrap_or_else(|| train.clone());
    let ranges: Vec<Range> =
        args.vary.iter().map(|text| Range::parse(text)).collect::<Result<_>>()?;
    let list = trials(&args, &train, &ranges)?;
    let layer = hidden_layer(args.layer, &list[0].settings)?;
    make_folders(&[&args.out, &picture])?;
    check_writable(&[&args.out, &picture])?;
    let folder = args.out.with_extension("trials");
    fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
    let journal = folder.join("journal.jsonl");
    let trials =
        Trials { list, train, test, layer, measure, folder, quiet: args.quiet || args.json };
    let mut journal = Journal::open(&journal, &trials.definition(args.steps, args.halvings))?;
    let jobs = match args.jobs {
        Some(jobs) => usize::from(jobs),
        None => sae::compute::threads_from_environment()?,
    };

    interrupt::begin();
    let mut alive: Vec<usize> = (0..trials.list.len()).collect();
    for rung in 0..=args.halvings {
        let steps = (args.steps / 3u64.pow((args.halvings - rung).into())).max(1);
        trials.train(&alive, (rung, steps), jobs, &mut journal)?;
        if interrupt::requested() {
            break;
        }
        if rung < args.halvings {
            alive = plan::best(&journal.at(rung, &alive), alive.len().div_ceil(3));
        }
    }
    if let Some(signal) = interrupt::end() {
        let folder = trials.folder.display();
        note(&format!("interrupted; the same options resume the sweep from {folder}"));
        return Err(Failure::interrupted(signal));
    }
    let table = Table::new(&ranges, &trials, &journal, args.halvings);
    write_file(&args.out, table.csv())?;
    write_file(&picture, table.chart().file())?;
    let (mut value, mut text) = (table.json(), table.text());
    value["table"] = json!(args.out);
    value["picture"] = json!(picture);
    text += &format!("table: {}\npicture: {}", args.out.display(), picture.display());
    print(args.json, &value, &text)
}

fn trials(args: &Args, train: &Samples, ranges: &[Range]) -> Result<Vec<Trial>> {
    (0..usize::from(args.trials))
        .map(|at| {
            let values = ranges.iter().enumerate().map(|(dimension, range)| {
                let place = plan::place(args.from as usize + at, dimension, ranges.len());
                (range.field.clone(), range.at(place))
            });
            let values: Vec<_> = values.collect();
            let mut settings = args.settings.clone();
            settings.options.extend(values.iter().cloned());
            let settings = settings.settings(args.steps, train, None)?;
            Ok(Trial { varied: values.into_iter().map(|(_, text)| text).collect(), settings })
        })
        .collect()
}
