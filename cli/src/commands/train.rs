//! `sae train`

mod progress;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sae::{
    Autoencoder, Samples, Settings, StepReport, Trainer,
    files::{self, Checkpoint, Checkpoints},
};
use serde_json::{Value, json};

use crate::data::{Place, TrainingData, TrainingDataArgs, place};
use crate::drawing::picture;
use crate::endings::check_ending;
use crate::failure::{Failure, Result};
use crate::history::{self, Recorder};
use crate::interrupt;
use crate::models;
use crate::output::{evaluation_json, evaluation_text, note, print, settings_json, short};
use crate::ranks::Job;
use crate::settings::SettingsArgs;
use progress::Progress;

/// Train an autoencoder and save it
///
/// The default settings are those of the article "Tensorflow Day17 Sparse Autoencoder"
/// (blog.c1mone.com.tw/tensorflow-note-day-17.html), with its sparsity penalty; --preset article-plain
/// is its autoencoder without one. `sae presets` lists these and others, such as top-k.
///
/// The same seed, data and settings give the same model, byte for byte, with any number of threads,
/// in one run or resumed. Ctrl-C and SIGTERM end the training after the current step and save the
/// model and the checkpoint; a second signal ends it at once.
///
/// `mpirun -n 4 sae train …` is one training by four processes (ranks), on one machine or several.
/// Each computes its part of every batch; rank 0 prints and writes. (Needs a build with the feature
/// mpi.)
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae train
  sae train --preset article-plain --steps 2000 --out plain.safetensors
  sae train --layers 784,64,784 --rho 0.05 --beta 1e-3 --steps 2000
  sae train --preset top-k --layers 784,1024,784 --steps 2000 --out dictionary.safetensors
  sae train --target mean-activation:0.05
  sae train --checkpoint run.ckpt --resume
  sae train --from sae.safetensors --learning-rate 1e-4 --steps 2000 --out more.safetensors
  sae make-digits digits && sae train --data digits --steps 500 --json
  sae make-digits d && sae train --samples d/*-images* --order window:1000 --out d.safetensors")]
pub struct Args {
    #[command(flatten)]
    data: TrainingDataArgs,
    /// Training steps, including those before a checkpoint; 1000 with --preset matlab
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20_000,
        default_value_if("preset", "matlab", "1000")
    )]
    steps: u64,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Begin with the weights of a model, or of a dictionary of another library (a folder of SAELens or
    /// sparsify, a Gemma Scope .npz). Its architecture and scaling stay; its other settings can be changed
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["scaling", "target_scaling", "pretrain"])]
    from: Option<PathBuf>,
    /// Pretrain each layer by itself for N steps, from the outermost to the innermost
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pretrain: Option<u64>,
    /// Reinitialize dead units every N steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    revive: Option<u64>,
    /// Stop when the test objective has not improved for N evaluations, and keep the best model
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    patience: Option<u32>,
    /// Steps from one of these evaluations to the next
    #[arg(long, value_name = "N", default_value_t = 500, requires = "patience",
        value_parser = clap::value_parser!(u64).range(1..))]
    evaluate_every: u64,
    /// Threads of each process; the model does not depend on them (default: SAE_NUM_THREADS or
    /// OMP_NUM_THREADS if set, all cores otherwise)
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Batches that are read ahead, by a thread of their own; 0 for none (default: none where the data fit
    /// in memory)
    #[arg(long, value_name = "BATCHES")]
    read_ahead: Option<usize>,
    /// With several ranks: each trains on its own shard of the data; {rank} in --data or --samples is
    /// replaced by its number, from 0
    #[arg(long)]
    sharded: bool,
    /// Model file to write
    #[arg(long, value_name = "FILE", default_value = "sae.safetensors")]
    out: PathBuf,
    /// Write checkpoints to this file; the one before is kept as FILE.1, and so on
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Steps from one checkpoint to the next
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "checkpoint",
        value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: u64,
    /// Number of checkpoints to keep
    #[arg(long, value_name = "N", default_value_t = 2, requires = "checkpoint",
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    keep: u16,
    /// Resume from the checkpoint if it exists; settings and data must be the same
    #[arg(long, requires = "checkpoint")]
    resume: bool,
    /// PNG of test samples above their reconstructions (default: the model's name with .png)
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// CSV of the objective's terms and the mean activations over the training, for `sae report`
    /// (default: the model's name with .history.csv)
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Print no progress
    #[arg(long)]
    quiet: bool,
    /// Print one JSON object at the end instead of text
    #[arg(long)]
    json: bool,
}

/// Test samples in the picture.
const SHOWN: usize = 20;

pub fn run(args: Args) -> Result<()> {
    Job::run(|job| train(args, job))
}

/// Runs in every rank of the job. Only rank 0 prints, and reads and writes anything but the data.
fn train(args: Args, job: &mut Job) -> Result<()> {
    if args.sharded && args.revive.is_some() {
        let problem = "revive: no rank can find the dead units, because each has one shard";
        return job.agree(Err(Failure::input(problem)));
    }
    let data = args.data.of_rank(args.sharded.then(|| job.rank()));
    let is_rank_0 = job.is_rank_0();
    let quiet = args.quiet || !is_rank_0;
    let (checkpoint, seed) = resumed(&args, job)?;
    let network = args.from.as_deref().map(models::load).transpose();
    let network = job.agree(network)?;
    let open = || data?.samples((seed, network.as_ref()), args.threads, quiet, is_rank_0);
    let TrainingData { train, test, place } = job.rank_0_first(open)?;
    job.agree(if is_rank_0 { check_outputs(&args, &place) } else { Ok(()) })?;
    check_same_steps(&args, job)?;
    let (mut trainer, paths) = build(&args, job, &train, (checkpoint, network))?;
    let mut run = Run::new(&args, job, &train, test.as_ref(), &trainer)?;

    interrupt::begin();
    let start = Instant::now();
    if let Some(steps) = args.pretrain {
        job.agree(run.pretrain(&mut trainer, steps))?;
    }
    let before = trainer.steps();
    job.agree(run.begin_history(paths.as_ref(), &trainer))?;
    // The checkpoint may be of a training that has ended early, which rank 0 knows.
    let is_over = job.broadcast(trainer.is_over().to_string())? == "true";
    if is_over {
        run.report_early_stop(before);
    }
    let left = if is_over { 0 } else { args.steps.saturating_sub(before) };
    let trained = run.train(&mut trainer, left);
    let (time, steps) = (start.elapsed(), trainer.steps() - before);
    job.agree(trained)?;
    let interrupted = job.last_signal(interrupt::signal());
    let Some(paths) = paths else { return Ok(()) };
    let last_checkpoint = run.end(&mut trainer);
    trainer.autoencoder().save(&args.out)?;
    if !args.sharded {
        let data = trainer.autoencoder().training_data();
        let is_split = data.is_some_and(|data| data.held_out().is_some());
        place.save(&args.out, test.as_ref().filter(|_| !is_split))?;
    }
    let interrupted = interrupt::end().or(interrupted);
    let done = Done { args: &args, paths, time, steps, interrupted, ranks: job.count() };
    let (samples, name) = test.as_ref().map_or((&train, "training"), |test| (test, "test"));
    done.report(trainer, samples, name)?;
    // Only now, because the model is saved even if the last checkpoint cannot be written.
    last_checkpoint
}

/// Fails in every rank unless all were given the same numbers of steps.
fn check_same_steps(args: &Args, job: &mut Job) -> Result<()> {
    let steps = format!("{:?}", (args.steps, args.revive, args.pretrain));
    let same = job.broadcast(steps.clone())? == steps;
    let problem = "steps, revive and pretrain: expected the same values in all ranks";
    job.agree(if same { Ok(()) } else { Err(Failure::input(problem)) })
}

/// Fails if a file that is about to be written is one of the data.
fn check_outputs(args: &Args, place: &Place) -> Result<()> {
    let Paths { picture, history } = Paths::of(args);
    let given = [Some(&args.out), Some(&picture), Some(&history), args.checkpoint.as_ref()];
    given.into_iter().flatten().try_for_each(|path| place.check_output(path))
}

/// The files beside the model.
struct Paths {
    picture: PathBuf,
    history: PathBuf,
}

impl Paths {
    fn of(args: &Args) -> Self {
        let picture = args.picture.clone().unwrap_or_else(|| args.out.with_extension("png"));
        let history = args.history.clone().unwrap_or_else(|| history::path_of(&args.out));
        Paths { picture, history }
    }

    /// Fails if they or the model's file cannot be written.
    fn new(args: &Args) -> Result<Self> {
        let Paths { picture, history } = Self::of(args);
        if [&picture, &history].contains(&&args.out) || picture == history {
            let problem = "the model, its picture and its history need three different names";
            return Err(Failure::at(&args.out, problem));
        }
        for (path, ending) in [(&args.picture, "png"), (&args.history, "csv")] {
            path.as_ref().map_or(Ok(()), |path| check_ending(path, &[ending]))?;
        }
        for path in [&args.out, &picture, &history, &place::path_of(&args.out)] {
            files::check_writable(path)?;
        }
        Ok(Paths { picture, history })
    }
}

/// In rank 0 the checkpoint to resume from, if there is one; and the seed of the training.
fn resumed(args: &Args, job: &mut Job) -> Result<(Option<Checkpoint>, u64)> {
    // Rank 0 alone may have the checkpoint, and so the settings.
    let load = || match &args.checkpoint {
        Some(path) if args.resume && path.exists() && job.is_rank_0() => load(path).map(Some),
        _ => Ok(None),
    };
    let loaded = load();
    let checkpoint = job.agree(loaded)?;
    let of_checkpoint = checkpoint.as_ref().map(|checkpoint| checkpoint.settings().seed);
    let seed = args.settings.seed().or(of_checkpoint).unwrap_or(Settings::default().seed);
    let seed = job.broadcast(seed.to_string())?.parse().unwrap_or(seed);
    Ok((checkpoint, seed))
}

/// The trainer, and in rank 0 the paths.
fn build(
    args: &Args,
    job: &mut Job,
    train: &Samples,
    (checkpoint, network): (Option<Checkpoint>, Option<Autoencoder>),
) -> Result<(Trainer, Option<Paths>)> {
    let plan = || {
        let resumed = checkpoint.as_ref().map(Checkpoint::settings);
        let settings = match &network {
            Some(network) if resumed.is_none() => {
                args.settings.settings_with(network.settings(), args.steps, train)
            }
            _ => args.settings.settings(args.steps, train, resumed),
        }?;
        Ok((checkpoint, settings, Paths::new(args)?))
    };
    let plan = job.is_rank_0().then(plan).transpose();
    let plan = job.agree(plan)?;
    let settings = plan.as_ref().map_or(String::new(), |(_, settings, _)| settings.to_json());
    let settings = Settings::from_json(&job.broadcast(settings)?)?;
    let mut builder = job.join(Trainer::builder(settings)).sharded(args.sharded);
    if let Some(network) = network {
        builder = builder.network(network);
    }
    let mut paths = None;
    if let Some((checkpoint, _, of_rank_0)) = plan {
        paths = Some(of_rank_0);
        if let Some(checkpoint) = checkpoint {
            if let (Some(patience), None) = (checkpoint.patience(), args.patience) {
                note(&format!(
                    "the checkpoint is of a training with --patience {patience}; without it, this \
                     one continues to its last step and keeps the last model"
                ));
            }
            builder = builder.resume(checkpoint);
        }
    }
    // Rank 0 evaluates for all.
    let patience = args.patience.filter(|_| job.is_rank_0()).unwrap_or(0);
    builder = builder.patience(patience);
    if let Some(batches) = args.read_ahead {
        builder = builder.read_ahead(batches);
    }
    let threads = args.threads.map_or_else(sae::compute::threads_from_environment, Ok);
    let build = |threads| builder.threads(threads).build(train);
    Ok((job.agree(threads.and_then(build).map_err(Failure::from))?, paths))
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

/// What happens between the steps of a training; most of it only in rank 0.
struct Run<'a> {
    args: &'a Args,
    train: &'a Samples,
    test: Option<&'a Samples>,
    is_rank_0: bool,
    progress: Progress,
    recorder: Option<Recorder>,
    checkpoints: Option<Checkpoints>,
}

impl<'a> Run<'a> {
    fn new(
        args: &'a Args,
        job: &mut Job,
        train: &'a Samples,
        test: Option<&'a Samples>,
        trainer: &Trainer,
    ) -> Result<Self> {
        let is_rank_0 = job.is_rank_0();
        let path = args.checkpoint.as_ref().filter(|_| is_rank_0);
        let checkpoints = path.map(|path| Checkpoints::new(path, args.keep.into(), trainer));
        let checkpoints = job.agree(checkpoints.transpose().map_err(Failure::from))?;
        let progress = Progress::new(args.steps, is_rank_0, !args.quiet, !args.json);
        let of_rank = if args.sharded && job.count() > 1 { " of rank 0" } else { "" };
        let data = format!("{} samples{of_rank}", train.len());
        job.agree(progress.begin(trainer, &data, job.count()).map_err(Failure::from))?;
        if let (Some(_), Some(target)) = (args.patience, trainer.autoencoder().settings().target) {
            progress.note(&format!(
                "early stopping counts from step {}, where the penalties' weights are frozen",
                target.steps
            ));
        }
        let recorder = None;
        Ok(Run { args, train, test, is_rank_0, progress, recorder, checkpoints })
    }

    fn pretrain(&self, trainer: &mut Trainer, steps: u64) -> Result<()> {
        let each = |_: &mut Trainer, _| interrupt::control_flow();
        Ok(trainer.pretrain(self.train, steps, each, |layer, shallow, inputs| {
            if self.is_rank_0 {
                let loss = short(shallow.evaluate(inputs)?.loss);
                self.progress.note(&format!("pretrained layer {}: loss {loss}", layer + 1));
            }
            Ok(())
        })?)
    }

    fn begin_history(&mut self, paths: Option<&Paths>, trainer: &Trainer) -> Result<()> {
        if let Some(paths) = paths {
            let recorder = Recorder::begin(paths.history.clone(), trainer, self.args.steps);
            self.recorder = Some(recorder?);
        }
        Ok(())
    }

    /// Takes `steps` steps, or fewer if a signal or early stopping ends the training.
    fn train(&mut self, trainer: &mut Trainer, steps: u64) -> Result<()> {
        let mut failed = Ok(());
        let trained =
            trainer.run(steps, |trainer, report| match self.after_step(trainer, report) {
                Ok(true) => interrupt::control_flow(),
                Ok(false) => ControlFlow::Break(()),
                Err(failure) => {
                    failed = Err(failure);
                    ControlFlow::Break(())
                }
            });
        self.progress.end();
        trained.map_err(Failure::from).and(failed)
    }

    /// Reports, records and saves a step. Returns whether to continue.
    fn after_step(&mut self, trainer: &mut Trainer, report: StepReport) -> Result<bool> {
        let progress = self.progress.step(trainer, report).map_err(Failure::from);
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = recorder.step(trainer, report)
        {
            let path = recorder.path().display();
            self.progress.note(&format!("warning: {path}: {error}; the history ends here"));
        }
        let goes_on = self.revive_and_evaluate(trainer);
        // Afterwards, so that revived units are in the checkpoint.
        if let Some(checkpoints) = &mut self.checkpoints
            && trainer.steps().is_multiple_of(self.args.checkpoint_every)
            && let Err(error) = checkpoints.save(trainer)
        {
            self.progress.note(&format!("warning: {error}; the training continues"));
        }
        progress.and(goes_on)
    }

    /// Revives dead units and evaluates for early stopping, at the steps for that. Returns whether to
    /// continue.
    fn revive_and_evaluate(&mut self, trainer: &mut Trainer) -> Result<bool> {
        let (args, step) = (self.args, trainer.steps());
        if args.revive.is_some_and(|every| step.is_multiple_of(every)) && step < args.steps {
            let count = trainer.revive(self.train)?;
            if count > 0 {
                self.progress.note(&format!("step {step}: {count} dead units revived"));
            }
        }
        let evaluates = args.patience.is_some() && self.is_rank_0 && !trainer.is_over();
        if evaluates && step.is_multiple_of(args.evaluate_every) {
            let objective = trainer.evaluate(self.test.unwrap_or(self.train))?.objective;
            if trainer.observe(objective) {
                self.report_early_stop(step);
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn report_early_stop(&self, step: u64) {
        let count = self.args.patience.unwrap_or(0);
        self.progress.note(&format!("step {step}: no improvement in {count} evaluations"));
    }

    /// Writes the last checkpoint, whose failure is returned, and takes the best network.
    fn end(self, trainer: &mut Trainer) -> Result<()> {
        let last_checkpoint = self.checkpoints.map_or(Ok(()), |mut checkpoints| {
            if !trainer.steps().is_multiple_of(self.args.checkpoint_every) {
                // Returns the failure of an earlier one, which was reported; `finish` returns its own.
                let _ = checkpoints.save(trainer);
            }
            checkpoints.finish()
        });
        if let Some((objective, step)) = trainer.restore_best() {
            self.progress.note(&format!("best: step {step}, objective {}", short(objective)));
        }
        Ok(last_checkpoint?)
    }
}

/// A training that has ended.
struct Done<'a> {
    args: &'a Args,
    paths: Paths,
    time: Duration,
    /// Steps of this run, without those before a checkpoint.
    steps: u64,
    /// The signal that ended it.
    interrupted: Option<u8>,
    ranks: usize,
}

impl Done<'_> {
    /// Evaluates the model on the test or training samples, draws its picture and prints.
    fn report(self, mut trainer: Trainer, samples: &Samples, name: &str) -> Result<()> {
        let (args, Paths { picture, history }) = (self.args, &self.paths);
        let mut value = json!({
            "model": args.out,
            "picture": Value::Null,
            "history": history,
            "steps": trainer.steps(),
            "seconds": self.time.as_secs_f64(),
            "interrupted": self.interrupted.is_some(),
            "isa": trainer.parts().0.isa().name(),
            "threads": trainer.parts().0.threads(),
            "ranks": self.ranks,
            "communication_seconds": trainer.communication_time().as_secs_f64(),
            "settings": settings_json(trainer.autoencoder().settings()),
        });
        let model = args.out.display();
        if let Some(signal) = self.interrupted {
            let steps = trainer.steps();
            print(args.json, &value, &format!("stopped after step {steps}\nmodel: {model}"))?;
            return Err(Failure::interrupted(signal));
        }
        let evaluation = trainer.evaluate(samples)?;
        let net = trainer.autoencoder().clone();
        let drawn = picture::reconstructions(picture, &net, trainer.parts().0, samples, SHOWN)?;
        if drawn {
            value["picture"] = json!(picture);
        }
        value[name] = evaluation_json(&net, &evaluation);
        let mut text = if args.quiet { String::new() } else { self.speed(&trainer) };
        text += &evaluation_text(&format!("{name} objective"), &net, &evaluation, false);
        text += &format!("model: {model}\nhistory: {}\n", history.display());
        text += &match drawn {
            true => format!("picture: {}", picture.display()),
            false => format!("no picture: {} features are not a square image", samples.features()),
        };
        print(args.json, &value, &text)
    }

    /// A line of text.
    fn speed(&self, trainer: &Trainer) -> String {
        let (steps, seconds) = (self.steps, self.time.as_secs_f64());
        let rate = if seconds > 0.0 { steps as f64 / seconds } else { 0.0 };
        let mut text = format!("{steps} steps in {seconds:.1} s, {rate:.0} steps/s");
        if self.ranks > 1 && seconds > 0.0 {
            let share = 100.0 * trainer.communication_time().as_secs_f64() / seconds;
            text += &format!(", {share:.0} % of the time in communication");
        }
        text + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::Args;

    #[test]
    fn the_preset_of_matlab_takes_1000_steps() {
        let steps = |options: &[&str]| {
            let command = <Args as clap::Args>::augment_args(clap::Command::new("train"));
            let matches = command.get_matches_from([&["train"], options].concat());
            *matches.get_one::<u64>("steps").unwrap()
        };
        assert_eq!(steps(&["--preset", "matlab"]), 1000);
        assert_eq!(steps(&["--preset", "matlab", "--steps", "7"]), 7);
        assert_eq!(steps(&["--preset", "top-k"]), 20_000);
    }
}
