//! The command `sae`.

#[cfg(test)]
mod book;
mod commands;
mod csv;
mod data;
mod digits;
mod drawing;
mod endings;
mod failure;
mod help;
mod history;
mod interrupt;
mod models;
mod names;
mod output;
mod outputs;
mod ranks;
mod recipe;
mod reconstructions;
mod runs;
mod settings;
mod sparse_files;
mod suggest;
mod sweeps;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser};

use commands::Command;

/// Sparse autoencoders on the CPU, at the speed of the machine.
#[derive(Parser)]
#[command(name = "sae", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print no notes on stderr; warnings stay
    #[arg(long, global = true, display_order = 903)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  sae train                            train on drawn digits, in a new folder runs/1, runs/2, ...
  sae eval                             the objective on the test samples, of the latest run
  sae report --open                    an HTML page to explore what the model has learned
  sae units                            what each unit does, and for which samples
  sae features                         a picture of what the first layer's units respond to
  sae sweep --vary code=top-k:8/top-k:32   reconstruction error against sparsity
  sae presets                          settings to begin with, and their sources
  sae train --help                     all options of a training

Environment:
  SAE_ISA          instruction set: avx512, avx2, neon, portable or scalar [default: the fastest]
  SAE_NUM_THREADS  threads without --threads [default: OMP_NUM_THREADS, or else all cores]
  NO_COLOR         no colors

Exit codes: 0 success, 1 failure, 2 invalid input or usage, 130 ended by Ctrl-C, 143 by SIGTERM.";

/// Prints a usage error as others are printed: a sentence and a hint, without all options.
fn exit_with(error: &clap::Error) -> ! {
    let whole = error.to_string();
    let text = whole.split("\n\nUsage:").next().unwrap_or(&whole);
    if !error.use_stderr() || !text.starts_with("error: ") {
        error.exit();
    }
    let mut paragraphs = text.split("\n\n");
    let words = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = paragraphs.next().unwrap_or_default();
    let sentence = help::in_plain_words(sentence);
    // The hints of the program's own errors have lines of their own.
    let mut lines = match sentence.contains("\nhint: ") {
        true => sentence.trim_end().to_owned(),
        false => words(&sentence),
    };
    let tips = paragraphs.flat_map(str::lines).filter_map(|line| line.trim().strip_prefix("tip: "));
    // An option that there is not is hardly ever meant as a value.
    let tips = tips.filter(|tip| !(tip.starts_with("to pass '") && tip.contains(" as a value")));
    for tip in tips.filter(|tip| is_near(error, tip)) {
        lines += &format!("\nhint: {tip}");
    }
    eprintln!("{lines}");
    std::process::exit(2)
}

/// Whether a tip about another option is likely what was meant: both begin with the same letter, or one is in
/// the other. (`--quiet` is similar to `--units`, and has nothing to do with it.)
fn is_near(error: &clap::Error, tip: &str) -> bool {
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else { return true };
    let Some(ContextValue::String(similar)) = error.get(ContextKind::SuggestedArg) else {
        return true;
    };
    let [own, other] = [given, similar].map(|name| name.trim_start_matches('-'));
    let is_other = !tip.contains(similar.as_str());
    is_other
        || own.chars().next() == other.chars().next()
        || own.contains(other)
        || other.contains(own)
}

fn main() -> ExitCode {
    output::look_for_quiet();
    let arguments =
        match recipe::arguments(commands::options_of_model, commands::options_of_resumed) {
            Ok(arguments) => arguments,
            // Rank 0 prints the same failure.
            Err(_) if ranks::is_other_rank() => return ExitCode::SUCCESS,
            Err(failure) => return failure.report(),
        };
    let command = help::grouped(Cli::command());
    let arguments = help::with_plain_numbers(&command, arguments);
    let parsed =
        command.try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = parsed.unwrap_or_else(|error| {
        if ranks::is_other_rank() {
            // Rank 0 prints the error and has its exit code.
            std::process::exit(0);
        }
        exit_with(&error)
    });
    match interrupt::listen().and_then(|()| cli.command.run(help::grouped(Cli::command()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
