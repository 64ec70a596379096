//! Messages during a training: a bar on a terminal, lines elsewhere.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use sae::{StepReport, Trainer};

use crate::output::{join, note, short};

/// Steps from one line of progress to the next.
const EVERY: u64 = 100;

pub struct Progress {
    bar: ProgressBar,
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
        // Short enough for 80 columns.
        let style = "{bar:14} {pos}/{len} {rate} steps/s {eta} {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
                // A rate that cannot be drawn is no failure.
                let _ = write!(out, "{:.0}", state.per_sec());
            };
            bar.set_style(style.with_key("rate", rate));
        }
        let both = on_terminal && io::stdout().is_terminal();
        Progress { bar, lines: progress && text && !both, notes: is_rank_0 }
    }

    /// Prints the first line.
    pub fn begin(&self, trainer: &Trainer, data: &str, ranks: usize) -> io::Result<()> {
        if !self.lines {
            return Ok(());
        }
        let layers = join(&trainer.autoencoder().settings().layers, "-");
        let mut line = format!("training {layers} on {data}");
        if ranks > 1 {
            line += &format!(", {ranks} ranks");
        }
        if trainer.steps() > 0 {
            line += &format!(", resuming after step {}", trainer.steps());
        }
        writeln!(io::stdout(), "{line}")
    }

    /// Prints a line to stderr, above the bar.
    pub fn note(&self, text: &str) {
        if self.notes {
            self.bar.suspend(|| note(text));
        }
    }

    /// Takes a step.
    pub fn step(&self, trainer: &Trainer, report: StepReport) -> io::Result<()> {
        self.bar.inc(1);
        if !trainer.steps().is_multiple_of(EVERY) || !self.lines && self.bar.is_hidden() {
            return Ok(());
        }
        let objective = short(trainer.objective(report));
        let encoder = trainer.autoencoder().settings().encoder_layers();
        let means = trainer.mean_activations().take(encoder);
        let means: String = means.map(|mean| format!(" {mean:.4}")).collect();
        let dead = match trainer.inactive_samples() {
            [] => String::new(),
            _ => format!("  dead units {}", trainer.dead_units().count()),
        };
        let message = format!("objective {objective}  mean activations{means}{dead}");
        if self.lines {
            let line = format!("step {}  {message}", trainer.steps());
            self.bar.suspend(|| writeln!(io::stdout(), "{line}"))?;
        }
        self.bar.set_message(message);
        Ok(())
    }

    /// Removes the bar.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
