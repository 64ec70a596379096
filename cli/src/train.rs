//! `sae train`

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use sae::{
    Samples, Settings, StepReport, Trainer,
    files::{self, Checkpoint, Checkpoints},
    training::EarlyStopping,
};
use serde_json::{Value, json};

use crate::data::TrainingDataArgs;
use crate::failure::{Failure, Result};
use crate::history::{self, Recorder};
use crate::output::{evaluation_json, note, print_evaluation, settings_json, short};
use crate::ranks::Job;
use crate::settings::SettingsArgs;
use crate::{interrupt, picture};

/// Train an autoencoder and save it
///
/// The same seed, data and settings give the same model, byte for byte, with any number of
/// threads, in one run or resumed. Ctrl-C and SIGTERM end after the current step, with the model
/// and the checkpoint saved; a second one ends at once.
///
/// `mpirun -n 4 sae train …` is one training by four processes, on one machine or several, each with
/// its part of every batch; the first of them speaks and writes. (Built with the feature mpi.)
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae train
  sae train --preset normal --steps 2000 --out normal.safetensors
  sae train --layers 784,64,784 --rho 0.05 --beta 1e-3 --steps 2000
  sae train --layers 784,400,784 --activation relu --init he --beta 0 --code top-k:20
  sae train --target mean-activation:0.05
  sae train --checkpoint run.ckpt --resume
  sae make-digits digits && sae train --data digits --steps 500 --json")]
pub struct Args {
    #[command(flatten)]
    data: TrainingDataArgs,
    /// Training steps, those before a checkpoint included
    #[arg(long, default_value_t = 20_000)]
    steps: u64,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Train each layer by itself first, so many steps, from the outside in
    #[arg(long, value_name = "STEPS", conflicts_with = "resume")]
    pretrain: Option<u64>,
    /// Give units that are never active a new start, after every so many steps
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    revive: Option<u64>,
    /// End when the test objective has not fallen for so many evaluations, and keep the best model
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    patience: Option<u32>,
    /// Steps from one of these evaluations to the next
    #[arg(long, value_name = "N", default_value_t = 500, requires = "patience",
        value_parser = clap::value_parser!(u64).range(1..))]
    evaluate_every: u64,
    /// Threads of each process; the model does not depend on them (default: all cores)
    #[arg(long)]
    threads: Option<usize>,
    /// With several processes: each trains on its own share of the data; {rank} in --data or --images
    /// is its number, from 0
    #[arg(long)]
    sharded: bool,
    /// Model file to write
    #[arg(long, value_name = "FILE", default_value = "sae.safetensors")]
    out: PathBuf,
    /// Write checkpoints to this file, the one before to FILE.1, and so on
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Steps from one checkpoint to the next
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "checkpoint",
        value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: u64,
    /// How many checkpoints to keep
    #[arg(long, value_name = "K", default_value_t = 2, requires = "checkpoint",
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    keep: u16,
    /// Go on from the checkpoint, if there is one yet; its settings and data must be the same
    #[arg(long, requires = "checkpoint")]
    resume: bool,
    /// PNG of test images above their reconstructions (default: the model's name with .png)
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// CSV of the objective's terms and the mean activations over the training, which `sae report`
    /// draws (default: the model's name with .history.csv)
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// No progress
    #[arg(long)]
    quiet: bool,
    /// Print one JSON object at the end instead of text
    #[arg(long)]
    json: bool,
}

/// Steps from one line of progress to the next.
const EVERY: u64 = 100;

/// Test images in the picture.
const SHOWN: usize = 20;

pub fn run(args: Args) -> Result<()> {
    Job::run(|job| train(args, job))
}

/// What is trained, and where its picture and its history go.
struct Plan {
    settings: Settings,
    checkpoint: Option<Checkpoint>,
    picture: PathBuf,
    history: PathBuf,
}

impl Plan {
    fn new(args: &Args, train: &Samples) -> Result<Self> {
        let checkpoint = match &args.checkpoint {
            Some(path) if args.resume && path.exists() => Some(load(path)?),
            _ => None,
        };
        let resumed = checkpoint.as_ref().map(Checkpoint::settings);
        let settings = args.settings.settings(args.steps, train, resumed)?;
        let picture = args.picture.clone().unwrap_or_else(|| args.out.with_extension("png"));
        let history = args.history.clone().unwrap_or_else(|| history::path_of(&args.out));
        if [&picture, &history].contains(&&args.out) || picture == history {
            let out = args.out.display();
            let problem = format!("{out}: the model, its picture and its history need three names");
            return Err(Failure::input(problem));
        }
        files::check_writable(&args.out)?;
        files::check_writable(&picture)?;
        Ok(Plan { settings, checkpoint, picture, history })
    }
}

/// The same in every process of the job; what is read and written besides the data, and said, is
/// rank 0's.
fn train(args: Args, job: &mut Job) -> Result<()> {
    let leads = job.leads();
    if args.sharded && args.revive.is_some() {
        let problem = "revive: no process can tell by its share of the data which units are dead";
        return job.agree(Err(Failure::input(problem)));
    }
    let data = args.data.of_rank(args.sharded.then(|| job.rank()));
    let (train, test) = job.in_turn(|| data?.samples(args.quiet || !leads))?;
    let steps = format!("{:?}", (args.steps, args.revive, args.pretrain));
    let same = job.share(steps.clone())? == steps;
    let problem = "steps, revive and pretrain must be the same for all processes";
    job.agree(if same { Ok(()) } else { Err(Failure::input(problem)) })?;
    let plan = job.agree(only(leads, || Plan::new(&args, &train)))?;
    // Those of a checkpoint, for one, are known at rank 0 alone.
    let settings = plan.as_ref().map_or(String::new(), |plan| plan.settings.to_json());
    let settings = Settings::from_json(&job.share(settings)?)?;
    let mut builder = job.join(Trainer::builder(settings)).sharded(args.sharded);
    let mut paths = None;
    if let Some(Plan { checkpoint, picture, history, .. }) = plan {
        paths = Some([picture, history]);
        if let Some(checkpoint) = checkpoint {
            builder = builder.resume(checkpoint);
        }
    }
    if let Some(threads) = args.threads {
        builder = builder.threads(threads);
    }
    let mut trainer = job.agree(builder.build(&train).map_err(Failure::from))?;
    let checkpoints = args.checkpoint.as_ref().filter(|_| leads);
    let checkpoints =
        checkpoints.map(|path| Checkpoints::new(path, args.keep.into(), &trainer)).transpose();
    let mut checkpoints = job.agree(checkpoints.map_err(Failure::from))?;
    let mut progress = Progress::new(&args, leads);
    let whose = if args.sharded && job.count() > 1 { " of rank 0" } else { "" };
    let begun = progress.begin(&trainer, &format!("{} samples{whose}", train.len()), job.count());
    job.agree(begun.map_err(Failure::from))?;

    interrupt::begin();
    let start = Instant::now();
    if let Some(steps) = args.pretrain {
        let each = |_: &mut Trainer, _| match interrupt::asked() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let pretrained = trainer.pretrain_until(&train, steps, each, |layer, shallow, inputs| {
            if leads {
                let loss = shallow.evaluate(inputs)?.loss;
                progress.note(&format!("pretrained layer {}: loss {}", layer + 1, short(loss)));
            }
            Ok(())
        });
        job.agree(pretrained.map_err(Failure::from))?;
    }
    let before = trainer.steps();
    let recorder =
        paths.as_ref().map(|[_, history]| Recorder::begin(history.clone(), &trainer, args.steps));
    let mut recorder = job.agree(recorder.transpose())?;
    let mut failed = Ok(());
    let mut stopping = args.patience.filter(|_| leads).map(EarlyStopping::new);
    let trained = trainer.run(args.steps.saturating_sub(before), |trainer, report| {
        let told = progress.step(trainer, report).map_err(Failure::from);
        if let Some(recorder) = &mut recorder
            && let Err(error) = recorder.step(trainer, report)
        {
            let path = recorder.path().display();
            progress.note(&format!("warning: {path}: {error}; the history ends here"));
        }
        let goes_on = look_after(&args, trainer, &train, test.as_ref(), &mut stopping, &progress);
        // After that, so that the units it revived are in the checkpoint.
        if let Some(checkpoints) = &mut checkpoints
            && trainer.steps().is_multiple_of(args.checkpoint_every)
            && let Err(error) = checkpoints.save(trainer)
        {
            progress.note(&format!("warning: {error}; the training goes on"));
        }
        match told.and(goes_on) {
            Ok(true) if !interrupt::asked() => ControlFlow::Continue(()),
            Ok(_) => ControlFlow::Break(()),
            Err(failure) => {
                failed = Err(failure);
                ControlFlow::Break(())
            }
        }
    });
    let time = start.elapsed();
    let steps = trainer.steps() - before;
    progress.bar.finish_and_clear();
    job.agree(trained.map_err(Failure::from).and(failed))?;
    let interrupted = job.end(interrupt::signal());
    let Some([picture, history]) = paths else { return Ok(()) };
    let last_checkpoint = checkpoints.map_or(Ok(()), |mut checkpoints| {
        if !trainer.steps().is_multiple_of(args.checkpoint_every) {
            // Of an earlier one that failed was told; this one's own end comes next.
            let _ = checkpoints.save(&mut trainer);
        }
        checkpoints.finish()
    });
    if let Some((objective, step, net)) = stopping.and_then(EarlyStopping::best) {
        progress.note(&format!("best: step {step}, objective {}", short(objective)));
        *trainer.autoencoder_mut() = net;
    }
    trainer.autoencoder().save(&args.out)?;
    let interrupted = interrupt::end().or(interrupted);
    finish(
        &args,
        trainer,
        test.as_ref().unwrap_or(&train),
        test.is_some(),
        [&picture, &history],
        Done { time, steps, interrupted, ranks: job.count() },
    )?;
    // The model is there all the same.
    Ok(last_checkpoint?)
}

/// What is done in one process alone.
fn only<T>(here: bool, f: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    if here { f().map(Some) } else { Ok(None) }
}

/// What is done now and then between steps. Whether to go on.
fn look_after(
    args: &Args,
    trainer: &mut Trainer,
    train: &Samples,
    test: Option<&Samples>,
    stopping: &mut Option<EarlyStopping>,
    progress: &Progress,
) -> Result<bool> {
    let step = trainer.steps();
    if args.revive.is_some_and(|every| step.is_multiple_of(every)) && step < args.steps {
        let count = trainer.revive(train)?;
        if count > 0 {
            progress.note(&format!("step {step}: {count} dead units revived"));
        }
    }
    if let Some(stopping) = stopping
        && step.is_multiple_of(args.evaluate_every)
    {
        let objective = trainer.evaluate(test.unwrap_or(train))?.objective;
        if stopping.observe(objective, step, trainer.autoencoder()) {
            progress.note(&format!(
                "step {step}: no better for {} evaluations",
                args.patience.unwrap_or(0)
            ));
            return Ok(false);
        }
    }
    Ok(true)
}

/// How the training ended.
struct Done {
    time: Duration,
    /// In this run.
    steps: u64,
    /// The signal that ended it.
    interrupted: Option<u8>,
    ranks: usize,
}

/// Evaluates, draws and reports.
fn finish(
    args: &Args,
    mut trainer: Trainer,
    samples: &Samples,
    is_test: bool,
    [picture_path, history_path]: [&Path; 2],
    Done { time, steps: steps_now, interrupted, ranks }: Done,
) -> Result<()> {
    let mut out = io::stdout().lock();
    let (steps, seconds) = (trainer.steps(), time.as_secs_f64());
    let communication = trainer.communication_time().as_secs_f64();
    let mut value = json!({
        "model": args.out,
        "picture": Value::Null,
        "history": history_path,
        "steps": steps,
        "seconds": seconds,
        "interrupted": interrupted.is_some(),
        "isa": trainer.engine().isa().name(),
        "threads": trainer.engine().threads(),
        "ranks": ranks,
        "communication_seconds": communication,
        "settings": settings_json(trainer.autoencoder().settings()),
    });
    if let Some(signal) = interrupted {
        if args.json {
            writeln!(out, "{value}")?;
        } else {
            writeln!(out, "stopped after step {steps}\nmodel: {}", args.out.display())?;
        }
        return Err(Failure::interrupted(signal));
    }
    let evaluation = trainer.evaluate(samples)?;
    let net = trainer.autoencoder().clone();
    let drawn = picture::reconstructions(picture_path, &net, trainer.engine(), samples, SHOWN)?;
    if args.json {
        if drawn {
            value["picture"] = json!(picture_path);
        }
        let name = if is_test { "test" } else { "training" };
        value[name] = evaluation_json(&net, &evaluation);
        writeln!(out, "{value}")?;
        return Ok(());
    }
    if !args.quiet {
        let rate = if seconds > 0.0 { steps_now as f64 / seconds } else { 0.0 };
        write!(out, "{steps_now} steps in {seconds:.1} s, {rate:.0} steps/s")?;
        if ranks > 1 && seconds > 0.0 {
            let share = 100.0 * communication / seconds;
            write!(out, ", {share:.0} % of the time in communication")?;
        }
        writeln!(out)?;
    }
    let title = if is_test { "test objective" } else { "training objective" };
    print_evaluation(&mut out, title, &net, &evaluation, false)?;
    writeln!(out, "model: {}", args.out.display())?;
    writeln!(out, "history: {}", history_path.display())?;
    if drawn {
        writeln!(out, "picture: {}", picture_path.display())?;
    } else {
        writeln!(out, "no picture: {} features are no square image", samples.features())?;
    }
    Ok(())
}

/// A checkpoint, with what to do about one that is damaged.
fn load(path: &Path) -> Result<Checkpoint> {
    Checkpoint::load(path).map_err(|error| {
        let earlier = Checkpoint::earlier(path, 1);
        let failure = Failure::from(error);
        if !earlier.exists() {
            return failure;
        }
        let (earlier, path) = (earlier.display(), path.display());
        failure.hint(format!("the checkpoint before is {earlier}: copy it to {path}"))
    })
}

/// A bar on a terminal, lines elsewhere.
struct Progress {
    bar: ProgressBar,
    lines: bool,
    speaks: bool,
}

impl Progress {
    /// Drawn, written or told where this process `speaks`.
    fn new(args: &Args, speaks: bool) -> Self {
        let quiet = args.quiet || !speaks;
        let on_terminal = io::stderr().is_terminal() && !quiet;
        let bar = if on_terminal {
            ProgressBar::with_draw_target(Some(args.steps), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        // Short enough for 80 columns.
        let style = "{bar:14} {pos}/{len} {rate} steps/s {eta} {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                // Nobody is to blame for a bar that is not drawn.
                let _ = write!(out, "{:.0}", state.per_sec());
            };
            bar.set_style(style.with_key("rate", rate));
        }
        let both = on_terminal && io::stdout().is_terminal();
        Progress { bar, lines: !quiet && !args.json && !both, speaks }
    }

    fn begin(&mut self, trainer: &Trainer, data: &str, ranks: usize) -> io::Result<()> {
        if !self.lines {
            return Ok(());
        }
        let layers = &trainer.autoencoder().settings().layers;
        let sizes: Vec<_> = layers.iter().map(usize::to_string).collect();
        write!(io::stdout(), "training {} on {data}", sizes.join("-"))?;
        if ranks > 1 {
            write!(io::stdout(), ", {ranks} ranks")?;
        }
        match trainer.steps() {
            0 => writeln!(io::stdout()),
            steps => writeln!(io::stdout(), ", from step {steps}"),
        }
    }

    /// A line at stderr, the bar out of its way.
    fn note(&self, text: &str) {
        if self.speaks {
            self.bar.suspend(|| note(text));
        }
    }

    fn step(&mut self, trainer: &Trainer, report: StepReport) -> io::Result<()> {
        self.bar.inc(1);
        if !trainer.steps().is_multiple_of(EVERY) || !self.lines && self.bar.is_hidden() {
            return Ok(());
        }
        let objective = trainer.objective(report);
        let encoder = trainer.autoencoder().settings().encoder_layers();
        let (mut long, mut brief) = (String::new(), String::new());
        for mean in trainer.mean_activations().take(encoder) {
            long += &format!(" {mean:.4}");
            brief += &format!(" {mean:.2}");
        }
        if self.lines {
            let objective = short(objective);
            let line =
                format!("step {}  objective {objective}  mean activations{long}", trainer.steps());
            self.bar.suspend(|| writeln!(io::stdout(), "{line}"))?;
        }
        self.bar.set_message(format!("objective {objective:.4}, active{brief}"));
        Ok(())
    }
}
