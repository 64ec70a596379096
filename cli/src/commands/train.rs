//! `sae train`

mod args;
mod course;
mod done;
mod fit;
mod like;
mod paths;
mod progress;
mod record;
mod recorded;
mod repeat;
mod run;

use std::path::{Path, PathBuf};
use std::time::Instant;

use sae::{Autoencoder, Samples, Schedule, Settings, Trainer, files::Checkpoint};

use crate::data::{Place, TrainingData, TrainingDataArgs, place};
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::isa;
use crate::models;
use crate::output::{hold_notes, release_notes, tell};
use crate::outputs::{check_no_folder, check_unread};
use crate::ranks::Job;
use crate::recipe;
use crate::runs;
pub use args::Args;
pub use course::{Curves, Pace};
use done::Done;
pub use like::options_of_model;
use paths::Paths;
pub use paths::resumed_folder;
use record::Record;
pub use record::options_of_resumed;
pub use recorded::Run as RunRecord;
pub use repeat::{command as command_of_course, interruption};
use run::Run;

pub fn run(args: Args) -> Result<()> {
    Job::run(|job| train(args, job))
}

/// Runs in every rank of the job. Only rank 0 prints, and reads and writes anything but the data.
fn train(mut args: Args, job: &mut Job) -> Result<()> {
    // What is refused says nothing else.
    hold_notes();
    job.agree(args.settings.check().and_then(|()| isa::from_environment()).map(drop))?;
    let data = data_of_rank(&args, job);
    let is_rank_0 = job.is_rank_0();
    let quiet = args.quiet || !is_rank_0;
    let paths = job.agree(is_rank_0.then(|| Paths::of(&args)).transpose())?;
    let from = args.from.as_deref();
    job.agree(like::check(&args))?;
    let network = job.agree(from.map(models::load).transpose())?;
    let begins_with = from.zip(network.as_ref());
    let named = data.and_then(|mut data| Ok((data.place_with(begins_with, is_rank_0)?, data)));
    let is_recorded = args.like.is_some() || from.is_some() || recipe::is_recorded();
    let moved = |failure: Failure| match is_recorded && failure.is_missing() {
        true => place::moved_from(failure, "the record beside the model"),
        false => failure,
    };
    let (place, data) = job.agree(named.map_err(moved))?;
    job.agree(check_outputs(&args, paths.as_ref(), &place))?;
    let (checkpoint, seed) = resumed(&args, paths.as_ref(), job)?;
    let open = || {
        let opened = data.samples(place, (seed, begins_with), args.threads, quiet, is_rank_0);
        let opened = opened.map_err(moved)?;
        if let Some((model, network)) = begins_with {
            data.check_guess(model, network, &opened.train)?;
        }
        Ok(opened)
    };
    let TrainingData { train, test, place } = job.rank_0_first(open)?;
    agree_on_steps(&mut args, job, checkpoint.as_ref(), &train)?;
    let beginning = (checkpoint.as_ref(), network.as_ref());
    job.agree(if is_rank_0 { check_resumed(&args, beginning) } else { Ok(()) })?;
    let resumes = checkpoint.is_some();
    let decays = checkpoint.as_ref().is_some_and(|it| scheduled_steps(it).is_some());
    let course = repeat::course(&args, job.count(), network.as_ref(), test.as_ref());
    let course = job.agree(course)?;
    let is_own = recipe::is_recorded() || gives_settings_of(&args, checkpoint.as_ref(), &train);
    let mut trainer = build(&args, job, &train, (checkpoint, network))?;
    job.agree(like::compare(&args, &course, &trainer, is_rank_0))?;
    // Only now, so that what is refused leaves no folder.
    let made = job.agree(paths.map(|paths| paths.made(&trainer, &args)).transpose())?;
    let (paths, _locks) = made.unzip();
    let samples = (place, test.as_ref());
    let record =
        paths.as_ref().map(|paths| Record::new((&args, paths, course), samples, (is_own, decays)));
    let begun = record.as_ref().map_or(Ok(()), |record| record.begin(&trainer, resumes));
    job.agree(begun)?;
    let sides = (&train, test.as_ref());
    release_notes();
    // The record of a training that does not begin says nothing.
    let withdraw = |_: &Failure| record.iter().for_each(Record::withdraw);
    let run = Run::new((&args, paths.clone()), job, sides, &mut trainer);
    let mut run = run.inspect_err(withdraw)?;

    interrupt::begin();
    let start = Instant::now();
    if let (Some(steps), 0) = (args.pretrain, trainer.steps()) {
        job.agree(run.pretrain(&mut trainer, steps))?;
    }
    let before = trainer.steps();
    let left = steps_left(&args, job, &run, &trainer)?;
    let begins = done::start((&args, job), &mut trainer, sides, record.as_ref());
    let begun = begins.and_then(|start| run.begin_curves(&trainer, left, start));
    job.agree(begun).inspect_err(withdraw)?;
    let trained = run.train(&mut trainer, left);
    let (time, steps, last) = (start.elapsed(), trainer.steps() - before, trainer.steps());
    job.agree(trained).inspect_err(|failure| run.log_failure(last, failure))?;
    let interrupted = job.last_signal(interrupt::signal());
    let (Some(paths), Some(record)) = (&paths, record) else { return Ok(()) };
    let (paths, is_over, ranks) = (paths.clone(), trainer.is_over(), job.count());
    let done = Done { args: &args, paths, time, steps, interrupted, is_over, ranks };
    let took_steps = left > 0 || !resumes;
    end(done, (record, took_steps), &mut run, trainer, sides)
        .inspect_err(|failure| run.log_failure(last, failure))
}

/// Saves the model with its record, and reports. In rank 0.
fn end(
    mut done: Done<'_>,
    (mut record, took_steps): (Record<'_>, bool),
    run: &mut Run<'_>,
    mut trainer: Trainer,
    (train, test): (&Samples, Option<&Samples>),
) -> Result<()> {
    let last_checkpoint = run.end(&mut trainer);
    record.keep_in(&mut trainer, done.interrupted.is_some(), took_steps);
    trainer.autoencoder().save(&done.paths.model)?;
    record.end(&trainer, done.interrupted.is_some(), took_steps)?;
    done.interrupted = interrupt::end().or(done.interrupted);
    done.report(trainer, (train, test), run)?;
    // Only now, because the model is saved even if the last checkpoint cannot be written.
    last_checkpoint
}

/// The steps that are to be taken; says why if these are none.
fn steps_left(args: &Args, job: &mut Job, run: &Run, trainer: &Trainer) -> Result<u64> {
    let (step, steps) = (trainer.steps(), args.steps());
    // The checkpoint may be of a training that has ended early, which rank 0 knows.
    let is_over = job.broadcast(trainer.is_over().to_string())? == "true";
    if is_over {
        run.report_early_stop(step);
    } else if step > 0 && step >= steps {
        run.report_no_steps(step);
    }
    Ok(if is_over { 0 } else { steps.saturating_sub(step) })
}

/// The options of this rank's data.
fn data_of_rank(args: &Args, job: &Job) -> Result<TrainingDataArgs> {
    if args.sharded && args.revive.is_some() {
        let problem = "revive: no rank can find the dead units, because each has one shard";
        return Err(Failure::input(problem));
    }
    if args.sharded && job.count() == 1 && !args.data.names_rank() {
        let problem =
            "sharded: this needs several ranks, each with its own shard, and there is one";
        return Err(Failure::input(problem).hint(
            "mpirun -n 4 sae train ... starts four; leave out --sharded to train on all the files",
        ));
    }
    args.data.of_rank(args.sharded.then(|| job.rank()))
}

/// Whether the options by themselves give the settings of the checkpoint, if there is one.
fn gives_settings_of(args: &Args, checkpoint: Option<&Checkpoint>, train: &Samples) -> bool {
    checkpoint.is_none_or(|checkpoint| {
        let own = args.settings.settings(args.steps(), train, None);
        own.is_ok_and(|own| own == *checkpoint.settings())
    })
}

/// Fails if a resumed training would go beyond its schedule, with a learning rate of 0.
///
/// Says what is not looked at when a training is resumed or begins with a model.
fn check_resumed(
    args: &Args,
    (checkpoint, network): (Option<&Checkpoint>, Option<&Autoencoder>),
) -> Result<()> {
    let Some(checkpoint) = checkpoint else {
        if let (Some(network), Some(preset)) = (network, args.settings.preset()) {
            let own = network.settings();
            let code = preset.settings(own.layers.clone(), args.steps()).code;
            if code != own.code {
                tell(&format!(
                    "preset {preset}: the model's architecture stays, so its code is {}, not {code}",
                    own.code
                ));
            }
        }
        return Ok(());
    };
    if let Some((name, recorded, given)) = recipe::changed_course() {
        let problem = format!("{name}: the training that is resumed has {recorded}, got {given}");
        return Err(Failure::input(problem).hint(format!("leave out --{name}")));
    }
    if args.from.is_some() && !recipe::is_recorded() {
        tell("the training is resumed from its checkpoint, --from is for its first step");
    }
    match scheduled_steps(checkpoint) {
        Some(steps) if args.steps() > steps => {
            let problem = format!(
                "steps: the learning rate of the training that is resumed is 0 after step {steps}, got {}",
                args.steps()
            );
            Err(Failure::input(problem)
                .hint("--from MODEL --steps N trains a model further, with a schedule of its own"))
        }
        _ => Ok(()),
    }
}

/// The steps after which the learning rate of a training is 0.
fn scheduled_steps(checkpoint: &Checkpoint) -> Option<u64> {
    match checkpoint.settings().schedule {
        Schedule::Cosine { steps } | Schedule::Linear { steps, .. } => Some(steps),
        _ => None,
    }
}

/// The steps of the option, or else those of the schedule that is resumed, or of the preset.
fn steps(args: &Args, checkpoint: Option<&Checkpoint>, train: &Samples) -> u64 {
    let resumed = checkpoint.and_then(scheduled_steps);
    args.steps.or(resumed).unwrap_or_else(|| args.settings.default_steps(train))
}

/// Sets the steps in every rank. Fails unless all were given the same numbers of steps.
fn agree_on_steps(
    args: &mut Args,
    job: &mut Job,
    checkpoint: Option<&Checkpoint>,
    train: &Samples,
) -> Result<()> {
    let steps = steps(args, checkpoint, train);
    // Rank 0 may have a checkpoint, which knows them.
    let of_rank_0 = job.broadcast(steps.to_string())?.parse().unwrap_or(steps);
    args.steps.get_or_insert(of_rank_0);
    let steps = format!("{:?}", (args.steps(), args.revive, args.pretrain, args.test_every));
    let same = job.broadcast(steps.clone())? == steps;
    let problem =
        "--steps, --revive, --pretrain and --test-every: expected the same values in all ranks";
    job.agree(if same { Ok(()) } else { Err(Failure::input(problem)) })
}

/// Fails if a file that is about to be written is one that is read, or would be replaced.
///
/// Those that are read are the data and the model to begin with; `--overwrite` and `--resume` replace others.
fn check_outputs(args: &Args, paths: Option<&Paths>, place: &Place) -> Result<()> {
    let mut inputs = place.files()?;
    for model in [&args.from, &args.like].into_iter().flatten() {
        inputs.extend([model.clone(), place::path_of(model)]);
    }
    let out = args.out.as_deref().filter(|out| runs::is_device(out));
    if let (Some(out), true, None) =
        (out, args.has_checkpoints(), args.checkpoint.iter().flatten().next())
    {
        let problem = "this is a device or a pipe, beside which there is no checkpoint";
        return Err(Failure::at(out, problem).hint("name the checkpoint: --checkpoint FILE"));
    }
    // Every rank has a shard of its own, and rank 0 the names that are not given.
    let given = [&args.out, &args.picture, &args.history, &args.log].into_iter().flatten();
    let given = given.chain(args.checkpoint.iter().flatten()).map(PathBuf::as_path);
    let of_rank_0 = paths.map(Paths::outputs);
    let outputs = match &of_rank_0 {
        Some(outputs) => outputs.iter().map(PathBuf::as_path).collect(),
        None => given.collect::<Vec<_>>(),
    };
    check_no_folder(&outputs)?;
    check_unread(&outputs, &inputs)?;
    paths.map_or(Ok(()), |paths| paths.check_existing(args))
}

/// In rank 0 the checkpoint to resume from, if there is one; and the seed of the training.
fn resumed(args: &Args, paths: Option<&Paths>, job: &mut Job) -> Result<(Option<Checkpoint>, u64)> {
    // Rank 0 alone may have the checkpoint, and so the settings.
    let path = paths.and_then(|paths| paths.resumed(args));
    let checkpoint = job.agree(path.map(load).transpose())?;
    if let Some(paths) = paths {
        paths.note_missing(args);
    }
    let of_checkpoint = checkpoint.as_ref().map(|checkpoint| checkpoint.settings().seed);
    let seed = args.settings.seed().or(of_checkpoint).unwrap_or(Settings::default().seed);
    let seed = job.broadcast(seed.to_string())?.parse().unwrap_or(seed);
    Ok((checkpoint, seed))
}

fn build(
    args: &Args,
    job: &mut Job,
    train: &Samples,
    (checkpoint, network): (Option<Checkpoint>, Option<Autoencoder>),
) -> Result<Trainer> {
    let plan = || {
        let resumed = checkpoint.as_ref().map(Checkpoint::settings);
        let settings = match &network {
            Some(network) if resumed.is_none() => {
                args.settings.settings_with(network.settings(), args.steps(), train)
            }
            _ => {
                let mut own = args.settings.clone();
                // The recorded preset, with a schedule of all steps, is in the checkpoint.
                let keeps_preset = resumed.is_none() || recipe::is_given("preset");
                own.options.retain(|(name, _)| keeps_preset || name != "preset");
                own.settings(args.steps(), train, resumed)
            }
        }?;
        args.settings.note_ignored(&settings);
        if checkpoint.is_none() && network.is_none() {
            args.settings.note_lowered(&settings, train);
        }
        Ok((checkpoint, settings))
    };
    let plan = job.is_rank_0().then(plan).transpose();
    let plan = job.agree(plan)?;
    let settings = plan.as_ref().map_or(String::new(), |(_, settings)| settings.to_json());
    let settings = Settings::from_json(&job.broadcast(settings)?)?;
    let mut builder = job.join(Trainer::builder(settings)).sharded(args.sharded);
    if let Some(network) = network {
        builder = builder.network(network);
    }
    if let Some((Some(checkpoint), _)) = plan {
        if let (Some(patience), None) = (checkpoint.patience(), args.patience) {
            tell(&format!(
                "the checkpoint is of a training with --patience {patience}; without it, this \
                 one continues to its last step and keeps the last model"
            ));
        }
        builder = builder.resume(checkpoint);
    }
    // Rank 0 evaluates for all.
    let patience = args.patience.filter(|_| job.is_rank_0()).unwrap_or(0);
    builder = builder.patience(patience);
    if let Some(batches) = args.read_ahead {
        builder = builder.read_ahead(batches);
    }
    let threads = args.threads.map_or_else(sae::compute::threads_from_environment, Ok);
    let build = |threads| builder.threads(threads).build(train);
    job.agree(threads.and_then(build).map_err(Failure::from))
}

/// Loads a checkpoint, with a hint if it is damaged.
fn load(path: &Path) -> Result<Checkpoint> {
    Checkpoint::load(path).map_err(|error| {
        let earlier = Checkpoint::earlier(path, 1);
        let failure = Failure::from(error);
        if !earlier.exists() {
            return failure;
        }
        let (earlier, path) = (earlier.display(), path.display());
        failure.hint(format!("the checkpoint before it is {earlier}: copy it to {path}"))
    })
}
