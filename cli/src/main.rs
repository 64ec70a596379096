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
mod isa;
mod models;
mod names;
mod near;
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
mod usage;

use std::process::ExitCode;

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

fn main() -> ExitCode {
    output::look_for_quiet();
    let command = help::grouped(Cli::command());
    failure::know_options(help::option_names(&command));
    let arguments =
        match recipe::arguments(commands::options_of_model, commands::options_of_resumed) {
            Ok(arguments) => arguments,
            // Rank 0 prints the same failure.
            Err(_) if ranks::is_other_rank() => return ExitCode::SUCCESS,
            Err(failure) => return failure.report(),
        };
    let arguments = help::with_plain_numbers(&command, arguments);
    let given = arguments.clone();
    let parsed =
        command.try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = parsed.unwrap_or_else(|error| {
        if ranks::is_other_rank() {
            // Rank 0 prints the error and has its exit code.
            std::process::exit(0);
        }
        usage::exit_with(&error, (&help::grouped(Cli::command()), &given))
    });
    match interrupt::listen().and_then(|()| cli.command.run(help::grouped(Cli::command()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
