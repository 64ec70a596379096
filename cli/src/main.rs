//! The command `sae`.

mod chart;
mod compare;
mod completions;
mod convert;
mod cut_patches;
mod data;
mod decode;
mod encode;
mod evaluate;
mod failure;
mod features;
mod history;
mod inspect;
mod interrupt;
mod make_digits;
mod models;
mod output;
mod picture;
mod ranks;
mod reconstruct;
mod report;
mod settings;
mod sweep;
mod train;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Sparse autoencoders on the CPU, at the speed of the machine.
#[derive(Parser)]
#[command(name = "sae", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sae train                          drawn digits, the sparse preset, 20 000 steps
  sae sweep --vary beta=log:1e-6:1e-3  what sparsity costs
  sae eval sae.safetensors           its objective on the test images
  sae report sae.safetensors --open  what it learned, on one page
  sae features sae.safetensors       what its first layer looks for, as a picture
  sae train --help                   everything that can be chosen

Environment:
  SAE_ISA    instruction set: avx512, avx2, neon, portable or scalar (default: the fastest)
  NO_COLOR   no colours

Exit codes: 0 done, 1 failed, 2 bad input or usage, 130 ended by Ctrl-C, 143 by SIGTERM.";

#[derive(Subcommand)]
enum Command {
    Train(Box<train::Args>),
    Sweep(Box<sweep::Args>),
    Eval(evaluate::Args),
    Compare(compare::Args),
    Report(report::Args),
    Reconstruct(reconstruct::Args),
    Features(features::Args),
    Encode(encode::Args),
    Decode(decode::Args),
    Inspect(inspect::Args),
    MakeDigits(make_digits::Args),
    CutPatches(cut_patches::Args),
    Completions(completions::Args),
    Convert(convert::Args),
}

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        if ranks::is_silent() {
            // The process that speaks has the exit code, too.
            std::process::exit(0);
        }
        error.exit()
    });
    let done = interrupt::listen().and_then(|()| match cli.command {
        Command::Train(args) => train::run(*args),
        Command::Sweep(args) => sweep::run(*args),
        Command::Eval(args) => evaluate::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Report(args) => report::run(args),
        Command::Completions(args) => completions::run(args, Cli::command()),
        Command::Reconstruct(args) => reconstruct::run(args),
        Command::Features(args) => features::run(args),
        Command::Encode(args) => encode::run(args),
        Command::Decode(args) => decode::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Convert(args) => convert::run(args),
        Command::CutPatches(args) => cut_patches::run(args),
        Command::MakeDigits(args) => make_digits::run(args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
