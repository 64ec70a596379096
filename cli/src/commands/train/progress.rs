//! Messages during a training: a bar on a terminal, lines elsewhere.

mod line;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use sae::{StepReport, Trainer};

use crate::output::{join, short, tell};
use line::{Place, Shown};

/// Steps from one line of progress to the next.
const EVERY: u64 = 100;
/// Time from one change of the bar's figures to the next.
const PAUSE: Duration = Duration::from_millis(500);

pub struct Progress {
    bar: ProgressBar,
    shown: Arc<Mutex<Option<Shown>>>,
    /// When the bar's figures were changed.
    changed: Option<Instant>,
    /// Progress as lines on stdout.
    lines: bool,
    notes: bool,
}

impl Progress {
    /// Prints nothing in ranks other than 0; stdout is for `text` or for JSON.
    pub fn new(steps: u64, is_rank_0: bool, progress: bool, text: bool) -> Self {
        let progress = progress && is_rank_0;
        let on_terminal = io::stderr().is_terminal() && progress;
        let bar = if on_terminal {
            ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        let shown = Arc::new(Mutex::new(None));
        if let Ok(style) = ProgressStyle::with_template("{line}") {
            let shown = Arc::clone(&shown);
            let line = move |state: &ProgressState, out: &mut dyn fmt::Write| {
                let shown: Option<Shown> = *shown.lock().unwrap_or_else(PoisonError::into_inner);
                let (step, steps) = (state.pos(), state.len().unwrap_or(0));
                let place = Place { step, steps, rate: state.per_sec(), left: state.eta() };
                // A line that cannot be drawn is no failure.
                let _ = out.write_str(&place.line(shown));
            };
            bar.set_style(style.with_key("line", line));
        }
        let both = on_terminal && io::stdout().is_terminal();
        let lines = progress && text && !both;
        Progress { bar, shown, changed: None, lines, notes: is_rank_0 }
    }

    /// Prints the first line.
    pub fn begin(&mut self, trainer: &Trainer, data: &str, ranks: usize) {
        if trainer.steps() > 0 {
            self.bar.set_position(trainer.steps());
            self.bar.reset_eta();
        }
        if !self.lines {
            return;
        }
        let layers = join(&trainer.autoencoder().settings().layers, "-");
        let mut line = format!("training {layers} on {data}");
        if ranks > 1 {
            line += &format!(", {ranks} ranks");
        }
        if trainer.steps() > 0 {
            line += &format!(", resuming after step {}", trainer.steps());
        }
        self.print(&line);
    }

    /// Prints a line to stdout. Where that fails, as in a pipe that is closed, there are no others: the training is
    /// worth more than its progress.
    fn print(&mut self, line: &str) {
        if let Err(error) = self.bar.suspend(|| writeln!(io::stdout(), "{line}")) {
            self.lines = false;
            let why = match error.kind() {
                io::ErrorKind::BrokenPipe => "the output was closed".to_owned(),
                _ => format!("warning: cannot write to stdout: {error}"),
            };
            self.note(&format!(
                "{why}; the training goes on, and its model is saved (Ctrl-C ends it)"
            ));
        }
    }

    /// Prints what ends or changes the training to stderr, above the bar.
    pub fn note(&self, text: &str) {
        if self.notes {
            self.bar.suspend(|| tell(text));
        }
    }

    /// Takes a step.
    pub fn step(&mut self, trainer: &Trainer, report: StepReport) {
        let is_line = self.lines && trainer.steps().is_multiple_of(EVERY);
        let is_bar =
            !self.bar.is_hidden() && self.changed.is_none_or(|changed| changed.elapsed() >= PAUSE);
        if is_line || is_bar {
            let is_sparse = !trainer.inactive_samples().is_empty();
            let objective = trainer.objective(report);
            let dead = is_sparse.then(|| trainer.dead_units().count());
            let shown = Shown { objective, l0: is_sparse.then_some(report.l0), dead };
            *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
            self.changed = Some(Instant::now());
            if is_line {
                let text = described(trainer, shown);
                self.print(&format!("step {}  {text}", trainer.steps()));
            }
        }
        self.bar.inc(1);
    }

    /// Removes the bar.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// The figures of a line of text.
fn described(trainer: &Trainer, shown: Shown) -> String {
    let encoder = trainer.autoencoder().settings().encoder_layers();
    let means = trainer.mean_activations().take(encoder);
    let means: String = means.map(|mean| format!(" {mean:.4}")).collect();
    let mut text = format!("objective {}  mean activations{means}", short(shown.objective));
    if let (Some(l0), Some(dead)) = (shown.l0, shown.dead) {
        text += &format!("  L0 {}  dead units {dead}", short(l0));
    }
    text
}
