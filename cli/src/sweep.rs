//! `sae sweep`

mod journal;
mod plan;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use sae::{
    Error, Measure, Samples, Settings, Trainer,
    files::{self, Checkpoint, Checkpoints},
};
use serde_json::{Value, json};

use crate::chart::{Chart, Mark, Scale, Series};
use crate::data::TrainingDataArgs;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::output::{note, settings_json, short, write_error};
use crate::settings::SettingsArgs;
use journal::{Journal, Outcome};
use plan::Range;

/// Try many settings and show which trade reconstruction for sparsity best
///
/// Settings are spread evenly over the ranges (a low-discrepancy sequence), all are trained for few
/// steps, the best third goes on for three times as many, and so on (successive halving). Best is
/// what no other beats in both reconstruction error and sparsity. Stopped, it goes on where it was
/// when called again with the same words; the result does not depend on that, nor on the number of
/// jobs.
#[derive(clap::Args)]
#[command(after_help = "\
Ranges:
  --vary beta=log:1e-6:1e-3        any number of the range, on a logarithmic scale
  --vary rho=linear:0.01:0.2       the same on a linear one
  --vary code=top-k:16/top-k:32    one of a list
Settings that can be varied are those of train: layers, activation, code, l1, lr, target and so on.

Examples:
  sae sweep --vary beta=log:1e-6:1e-3 --trials 9 --steps 2000
  sae sweep --layers 784,300,784 --activation relu --init he --beta 0 \\
      --vary l1=log:1e-5:1e-2 --sparsity l0 --trials 12 --steps 3000 --out l1.csv")]
pub struct Args {
    #[command(flatten)]
    data: TrainingDataArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    /// A setting and its range; may be given again
    #[arg(long, value_name = "SETTING=RANGE", required = true)]
    vary: Vec<String>,
    /// Settings to try
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    trials: u16,
    /// Steps of those that are trained to the end
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Times that the trials are cut to a third
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=8))]
    halvings: u8,
    /// What sparsity is: mean-activation or l0
    #[arg(long, value_name = "MEASURE", default_value = "mean-activation")]
    sparsity: Measure,
    /// Of which hidden layer; the first is 1 (default: the code)
    #[arg(long, value_name = "LAYER")]
    layer: Option<usize>,
    /// Trainings at a time, each with one thread (default: all cores)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Where in the sequence of settings to begin
    #[arg(long, default_value_t = 1)]
    from: u32,
    /// CSV file to write; what is needed to go on is in a folder beside it
    #[arg(long, value_name = "FILE", default_value = "sweep.csv")]
    out: PathBuf,
    /// SVG picture to write (default: the CSV's name with .svg)
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// No progress
    #[arg(long)]
    quiet: bool,
    /// Print one JSON object at the end instead of text
    #[arg(long)]
    json: bool,
}

/// One set of settings.
struct Trial {
    /// The texts of the varied settings.
    varied: Vec<String>,
    settings: Settings,
}

pub fn run(args: Args) -> Result<()> {
    let measure = args.sparsity;
    let (train, test) = args.data.samples(args.quiet)?;
    let test = test.unwrap_or_else(|| train.clone());
    let ranges: Vec<Range> =
        args.vary.iter().map(|text| Range::parse(text)).collect::<Result<_>>()?;
    let trials = trials(&args, &train, &ranges)?;
    let layer = layer(&args, &trials[0].settings)?;
    let picture = args.picture.clone().unwrap_or_else(|| args.out.with_extension("svg"));
    files::check_writable(&args.out)?;
    files::check_writable(&picture)?;

    let folder = args.out.with_extension("trials");
    fs::create_dir_all(&folder).map_err(|source| Error::Io {
        action: "create",
        path: folder.clone(),
        source,
    })?;
    let definition = definition(&args, &trials, &train, measure, layer);
    let journal = Mutex::new(Journal::open(&folder.join("journal.jsonl"), &definition)?);

    interrupt::begin();
    let mut alive: Vec<usize> = (0..trials.len()).collect();
    for rung in 0..=args.halvings {
        let steps = (args.steps / 3u64.pow((args.halvings - rung).into())).max(1);
        let work =
            Rung { args: &args, trials: &trials, train: &train, test: &test, layer, measure };
        work.run(&alive, rung, steps, &folder, &journal)?;
        if interrupt::asked() {
            break;
        }
        if rung < args.halvings {
            let journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
            alive = plan::best(&journal.at(rung, &alive), alive.len().div_ceil(3));
        }
    }
    if let Some(signal) = interrupt::end() {
        note(&format!("stopped; the same words go on from {}", folder.display()));
        return Err(Failure::interrupted(signal));
    }
    let journal = journal.into_inner().unwrap_or_else(PoisonError::into_inner);
    report(&args, &ranges, &trials, &journal, &picture)
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

fn layer(args: &Args, settings: &Settings) -> Result<usize> {
    let hidden = settings.layers.len() - 2;
    match args.layer {
        None => Ok(settings.encoder_layers() - 1),
        Some(nth) if (1..=hidden).contains(&nth) => Ok(nth - 1),
        Some(nth) => Err(Failure::input(format!(
            "layer: {nth}; one of the {hidden} hidden layers, from 1, was expected"
        ))),
    }
}

/// By which a sweep is known again.
fn definition(
    args: &Args,
    trials: &[Trial],
    train: &Samples,
    measure: Measure,
    layer: usize,
) -> Value {
    json!({
        "version": 2,
        "settings": trials.iter().map(|trial| settings_json(&trial.settings)).collect::<Vec<_>>(),
        "steps": args.steps,
        "halvings": args.halvings,
        "sparsity": measure.name(),
        "layer": layer + 1,
        "samples": train.len(),
        "features": train.features(),
    })
}

/// What all trials of a rung have in common.
struct Rung<'a> {
    args: &'a Args,
    trials: &'a [Trial],
    train: &'a Samples,
    test: &'a Samples,
    layer: usize,
    measure: Measure,
}

impl Rung<'_> {
    /// Trains those that are alive, several at a time; what the journal has is not done again.
    fn run(
        &self,
        alive: &[usize],
        rung: u8,
        steps: u64,
        folder: &Path,
        journal: &Mutex<Journal>,
    ) -> Result<()> {
        let next = AtomicUsize::new(0);
        let failure: Mutex<Option<Failure>> = Mutex::new(None);
        let jobs = self.args.jobs.map_or_else(sae::compute::available_threads, usize::from);
        let take = || alive.get(next.fetch_add(1, Ordering::Relaxed)).copied();
        let work = || {
            while let Some(trial) = take() {
                let known = {
                    let journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
                    journal.get(trial, rung).is_some()
                };
                let failed = failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
                if known || failed || interrupt::asked() {
                    continue;
                }
                let done = self.train(trial, steps, folder).and_then(|outcome| {
                    let Some(outcome) = outcome else { return Ok(()) };
                    let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
                    journal.add(trial, rung, steps, outcome)?;
                    self.tell(trial, steps, &outcome);
                    Ok(())
                });
                if let Err(error) = done {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..jobs.min(alive.len()) {
                scope.spawn(work);
            }
        });
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// One trial up to so many steps, from its checkpoint if it has one. `None` if a signal came.
    fn train(&self, trial: usize, steps: u64, folder: &Path) -> Result<Option<Outcome>> {
        let path = folder.join(format!("{trial:04}.ckpt"));
        let mut builder = Trainer::builder(self.trials[trial].settings.clone());
        if path.exists() {
            let checkpoint = Checkpoint::load(&path)?;
            // One that went further belongs to a rung that the journal knows no more of.
            if checkpoint.steps() <= steps {
                builder = builder.resume(checkpoint);
            }
        }
        let mut trainer = builder.threads(1).build(self.train)?;
        let mut checkpoints = Checkpoints::new(&path, 1, &trainer)?;
        let left = steps.saturating_sub(trainer.steps());
        let done = trainer.run(left, |_, _| match interrupt::asked() {
            true => std::ops::ControlFlow::Break(()),
            false => std::ops::ControlFlow::Continue(()),
        });
        match done {
            Err(Error::Diverged { .. }) => return Ok(Some(Outcome::DIVERGED)),
            done => done?,
        }
        checkpoints.save(&mut trainer)?;
        checkpoints.finish()?;
        if trainer.steps() < steps {
            return Ok(None);
        }
        let evaluation = trainer.evaluate(self.test)?;
        let activity = &evaluation.layers[self.layer];
        let sparsity = match self.measure {
            Measure::L0 => activity.l0,
            _ => evaluation.mean_activations()[self.layer],
        };
        Ok(Some(Outcome {
            error: evaluation.squared_error,
            sparsity,
            explained_variance: evaluation.explained_variance,
            objective: evaluation.objective,
            dead: activity.dead_units().count(),
        }))
    }

    fn tell(&self, trial: usize, steps: u64, outcome: &Outcome) {
        if self.args.quiet || self.args.json {
            return;
        }
        let words: Vec<_> = self.trials[trial].varied.iter().map(String::as_str).collect();
        let Outcome { error, sparsity, .. } = outcome;
        note(&format!(
            "trial {trial}, {steps} steps: {}  error {}  {} {}",
            words.join(" "),
            short(*error),
            self.measure.name(),
            short(*sparsity)
        ));
    }
}

/// What each trial reached, those that no other beats joined by a line.
fn chart(
    last: &[(usize, u8, u64, Outcome)],
    front: &[usize],
    trials: &[Trial],
    args: &Args,
) -> Chart {
    let place = |outcome: &Outcome| (outcome.sparsity, outcome.error);
    let dots = |name, colour, is_of: &dyn Fn(usize, u8) -> bool| {
        let of: Vec<_> = last.iter().filter(|&&(trial, rung, ..)| is_of(trial, rung)).collect();
        let points = of.iter().map(|(.., outcome)| place(outcome)).collect();
        let title = |trial: usize| format!("trial {trial}: {}", trials[trial].varied.join(" "));
        let titles = of.iter().map(|(trial, ..)| title(*trial)).collect();
        Series { titles, ..Series::new(name, Mark::Dots, colour, points) }
    };
    let line = front.iter().filter_map(|on| last.iter().find(|(trial, ..)| trial == on));
    let line = line.map(|(.., outcome)| place(outcome)).collect();
    let whole = |rung| rung == args.halvings;
    Chart {
        x_name: args.sparsity.to_string(),
        y_name: "squared error; the line joins what no other beats".into(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        series: vec![
            Series::new("front", Mark::Line, 0, line),
            dots("not trained to the end", 4, &|trial, rung| {
                !front.contains(&trial) && !whole(rung)
            }),
            dots("trained to the end", 1, &|trial, rung| !front.contains(&trial) && whole(rung)),
            dots("beaten by none", 0, &|trial, _| front.contains(&trial)),
        ],
    }
}

/// Writes the table and the picture, and prints the front.
fn report(
    args: &Args,
    ranges: &[Range],
    trials: &[Trial],
    journal: &Journal,
    picture: &Path,
) -> Result<()> {
    let last: Vec<(usize, u8, u64, Outcome)> = journal.last(trials.len());
    let ended: Vec<(usize, Outcome)> = last
        .iter()
        .filter(|(_, rung, ..)| *rung == args.halvings)
        .map(|&(trial, _, _, outcome)| (trial, outcome))
        .collect();
    let mut front = plan::front(&ended);
    front.sort_by(|&a, &b| {
        let of = |trial| ended.iter().find(|(at, _)| *at == trial).map_or(0.0, |(_, o)| o.sparsity);
        of(a).total_cmp(&of(b))
    });
    files::replace(&args.out, |path| {
        let mut text = String::from("trial,steps");
        for range in ranges {
            text += &format!(",{}", range.field);
        }
        text += ",squared_error,sparsity,explained_variance,objective,dead_units,front\n";
        for (trial, _, steps, outcome) in &last {
            text += &format!("{trial},{steps}");
            for word in &trials[*trial].varied {
                // Lists have commas.
                let quoted = word.contains(',').then(|| format!("\"{word}\""));
                text += &format!(",{}", quoted.as_deref().unwrap_or(word));
            }
            let Outcome { error, sparsity, explained_variance, objective, dead } = outcome;
            let on_front = u8::from(front.contains(trial));
            text += &format!(
                ",{error},{sparsity},{explained_variance},{objective},{dead},{on_front}\n"
            );
        }
        fs::write(path, text).map_err(|e| write_error(path, e))
    })?;
    let drawn = chart(&last, &front, trials, args).file();
    files::replace(picture, |path| fs::write(path, &drawn).map_err(|e| write_error(path, e)))?;

    let mut out = io::stdout().lock();
    if args.json {
        let front: Vec<Value> = front
            .iter()
            .filter_map(|&trial| {
                let (_, outcome) = ended.iter().find(|(at, _)| *at == trial)?;
                Some(json!({
                    "trial": trial,
                    "settings": settings_json(&trials[trial].settings),
                    "squared_error": outcome.error,
                    "sparsity": outcome.sparsity,
                    "explained_variance": outcome.explained_variance,
                }))
            })
            .collect();
        let value = json!({"table": args.out, "picture": picture, "front": front});
        writeln!(out, "{value}")?;
        return Ok(());
    }
    writeln!(out, "best of {} trials, from the sparsest:", trials.len())?;
    for &trial in &front {
        let Some((_, outcome)) = ended.iter().find(|(at, _)| *at == trial) else { continue };
        let fields = ranges.iter().zip(&trials[trial].varied);
        let words: Vec<_> = fields.map(|(range, word)| format!("{}={word}", range.field)).collect();
        writeln!(
            out,
            "trial {trial}  {}  squared error {}  {} {}",
            words.join(" "),
            short(outcome.error),
            args.sparsity,
            short(outcome.sparsity)
        )?;
    }
    writeln!(out, "table: {}\npicture: {}", args.out.display(), picture.display())?;
    Ok(())
}
