//! The subcommands, one file each.

mod compare;
mod completions;
mod convert;
mod cut_patches;
mod decode;
mod encode;
mod evaluate;
mod features;
mod inspect;
mod make_digits;
mod presets;
mod reconstruct;
mod report;
mod score;
mod sweep;
mod train;
mod units;

use std::path::Path;

use clap::Subcommand;

use crate::failure::Result;
pub use train::options_of_model;

/// The options of the command that `--resume` continues; None if they are not known.
///
/// It is found by its name and the values of `--out` and `--checkpoint`.
pub fn options_of_resumed(
    command: &str,
    out: Option<&Path>,
    checkpoint: Option<&Path>,
) -> Result<Option<Vec<String>>> {
    match command {
        "sweep" => sweep::options_of_resumed(out),
        _ => train::options_of_resumed(out, checkpoint),
    }
}

#[derive(Subcommand)]
pub enum Command {
    Train(Box<train::Args>),
    Sweep(Box<sweep::Args>),
    Presets(presets::Args),
    Eval(evaluate::Args),
    Compare(compare::Args),
    Report(report::Args),
    Units(units::Args),
    Score(score::Args),
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

impl Command {
    /// Runs it; `cli` is the definition of the whole command line.
    pub fn run(self, cli: clap::Command) -> Result<()> {
        match self {
            Command::Train(args) => train::run(*args),
            Command::Sweep(args) => sweep::run(*args),
            Command::Presets(args) => presets::run(args),
            Command::Eval(args) => evaluate::run(args),
            Command::Compare(args) => compare::run(args),
            Command::Report(args) => report::run(args),
            Command::Units(args) => units::run(args),
            Command::Score(args) => score::run(args),
            Command::Reconstruct(args) => reconstruct::run(args),
            Command::Features(args) => features::run(args),
            Command::Encode(args) => encode::run(args),
            Command::Decode(args) => decode::run(args),
            Command::Inspect(args) => inspect::run(args),
            Command::MakeDigits(args) => make_digits::run(args),
            Command::CutPatches(args) => cut_patches::run(args),
            Command::Completions(args) => completions::run(args, cli),
            Command::Convert(args) => convert::run(args),
        }
    }
}
