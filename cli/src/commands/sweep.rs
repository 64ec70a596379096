//! `sae sweep`

mod args;
mod design;
mod journal;
mod noted;
mod paths;
mod plan;
mod remains;
mod table;
mod trials;

use sae::{Activation, Code, Measure, Samples, Settings, compute};
use serde_json::json;

use crate::data::TrainingData;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::isa;
use crate::models::hidden_layer;
use crate::output::{hold_notes, join, print, readable, release_notes, tell};
use crate::outputs::Lock;
use crate::recipe;
use crate::sweeps;
pub use args::Args;
use journal::Journal;
use paths::Paths;
pub use paths::{continuation_of, options_of_resumed};
use plan::Range;
use table::Table;
use trials::{Data, Trial, Trials};

pub fn run(args: Args) -> Result<()> {
    // What is refused says nothing else.
    hold_notes();
    let paths = Paths::of(&args)?;
    let jobs = jobs(&args)?;
    args.settings.check()?;
    let ranges: Vec<Range> =
        args.vary.iter().map(|text| Range::parse(text)).collect::<Result<_>>()?;
    args.vary.iter().try_for_each(|text| plan::check_setting(text))?;
    let place = args.data.place()?;
    // Before all samples may be read, for a scaling.
    paths.check(&args, &place.files()?)?;
    let texts = design::design(&ranges, args.trials, args.from)?;
    let seed = args.settings.seed().unwrap_or(Settings::default().seed);
    let TrainingData { train, test, place } =
        args.data.samples(place, (seed, None), None, args.quiet, true)?;
    let list = trials(&args, &train, &ranges, texts)?;
    let measure = args.sparsity.unwrap_or_else(|| default_measure(&list));
    let halvings = args.halvings.unwrap_or(u8::from(list.len() >= 9));
    // Only now, so that what is refused leaves no folder.
    let mut paths = paths.made(&args)?;
    let scaling_samples = args.data.scaling_samples();
    let data = Data { train, test, place, scaling_samples };
    let (table, quiet) = (paths.table.clone(), args.quiet || args.json);
    let (steps, layer) = (args.steps, args.layer);
    let trials = Trials { list, data, layer, measure, steps, jobs, table, quiet };
    let journal = sweeps::journal_of(&paths.table);
    let _lock = Lock::of(&journal)?;
    if args.overwrite.overwrite && !args.resume {
        remains::begin_anew(&paths.table, trials.list.len())?;
    }
    let mut journal = Journal::open(&journal, &trials.definition(halvings)?)?;
    paths.note()?;
    release_notes();
    train_all(&trials, halvings, &mut journal, &paths)?;
    let table = Table::new(&ranges, &trials, &journal, halvings);
    paths.write(table.csv()?, table.chart().file())?;
    if table.all_diverged() {
        let failure =
            Failure::at(&paths.table, "all trials have diverged, so that there is no model");
        return Err(failure.hint("vary smaller values, such as learning rates"));
    }
    let (mut value, mut text) = (table.json(), table.text());
    value["table"] = json!(readable(&paths.table));
    value["picture"] = json!(readable(&paths.picture));
    let [csv, svg] = [&paths.table, &paths.picture].map(|path| path.display());
    text += &format!("models: {}\ntable: {csv}\npicture: {svg}", paths.folder().display());
    print(args.json, &value, &text)
}

/// Trains all trials for a few steps, the best third for three times as many, and so on.
fn train_all(trials: &Trials, halvings: u8, journal: &mut Journal, paths: &Paths) -> Result<()> {
    interrupt::begin();
    let mut alive: Vec<usize> = (0..trials.list.len()).collect();
    for rung in 0..=halvings {
        let left = halvings - rung;
        let steps = (trials.steps / 3u64.pow(left.into())).max(1);
        trials.train(&alive, (rung, steps, left == 0), journal)?;
        if interrupt::requested() {
            break;
        }
        if left > 0 {
            alive = plan::best(&journal.at(rung, &alive), alive.len().div_ceil(3));
            let others = (0..trials.list.len()).filter(|trial| !alive.contains(trial));
            remains::remove_checkpoints(&trials.table, others);
        }
    }
    if !interrupt::requested() {
        remains::remove_checkpoints(&trials.table, 0..trials.list.len());
    }
    match interrupt::end() {
        Some(signal) => {
            tell(&format!("interrupted; {} continues it", paths.continuation()));
            Err(Failure::interrupted(signal))
        }
        None => Ok(()),
    }
}

/// How many trials are trained at once. Fails if that, or the instruction set, is no valid setting.
fn jobs(args: &Args) -> Result<usize> {
    isa::from_environment()?;
    Ok(args.jobs.map_or_else(compute::threads_from_environment, |jobs| Ok(usize::from(jobs)))?)
}

/// The trials with these values of the varied settings.
///
/// Fails if one has not the layer that is measured.
fn trials(
    args: &Args,
    train: &Samples,
    ranges: &[Range],
    texts: Vec<Vec<String>>,
) -> Result<Vec<Trial>> {
    let fields: Vec<String> = ranges.iter().map(|range| recipe::field_of(&range.field)).collect();
    let given = args.settings.options.iter().map(|(name, _)| recipe::field_of(name));
    let given: Vec<String> = given.collect();
    for (at, field) in fields.iter().enumerate() {
        let option = field.replace('_', "-");
        if fields[..at].contains(field) {
            return Err(Failure::input(format!("vary: {option} is varied twice")));
        }
        if given.contains(field) {
            let problem = format!("vary: {option} is varied, and given as an option, too");
            return Err(Failure::input(problem).hint(format!("leave out --{option}")));
        }
    }
    let trial = |(number, varied): (usize, Vec<String>)| {
        let mut settings = args.settings.clone();
        settings.options.extend(fields.iter().cloned().zip(varied.iter().cloned()));
        let given = settings;
        let settings = given.settings(args.steps, train, None)?;
        if number == 0 {
            given.note_lowered(&settings, train);
        }
        let layer = hidden_layer(args.layer, &settings).map_err(|failure| {
            let layers = join(&settings.layers, "-");
            failure.or_hint(format!("trial {number} is of a network of the sizes {layers}"))
        })?;
        Ok(Trial { fields: fields.clone(), varied, settings, layer })
    };
    let list: Vec<Trial> = texts.into_iter().enumerate().map(trial).collect::<Result<_>>()?;
    for (at, trial) in list.iter().enumerate() {
        let same = |other: &Trial| other.settings == trial.settings && other.varied != trial.varied;
        if let Some(other) = list[..at].iter().find(|other| same(other)) {
            let values = |trial: &Trial| {
                let pairs = fields.iter().map(String::as_str);
                let pairs = pairs.zip(trial.varied.iter().map(String::as_str));
                sweeps::described(&pairs.collect::<Vec<_>>())
            };
            let [one, two] = [other, trial].map(values);
            let problem = format!("vary: {one} and {two} are the same settings");
            return Err(Failure::input(problem).hint("leave out one of them"));
        }
    }
    Ok(list)
}

/// Mean activation where no unit of any trial's code can be 0.
fn default_measure(list: &[Trial]) -> Measure {
    let is_never_0 = |Trial { settings, .. }: &Trial| {
        let code = settings.activation_of(settings.encoder_layers() - 1);
        settings.code == Code::Dense && matches!(code, Activation::Sigmoid | Activation::Tanh)
    };
    if list.iter().all(is_never_0) { Measure::MeanActivation } else { Measure::L0 }
}
