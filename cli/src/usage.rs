//! Errors of the command line, as the program prints its other errors.

use std::ffi::OsString;
use std::path::Path;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use sae::Settings;

use crate::data::find_mnist;
use crate::help;
use crate::models::looks_like_a_model;

/// Prints a usage error as others are printed: a sentence and a hint, without all options.
pub fn exit_with(error: &clap::Error, (command, arguments): (&Command, &[OsString])) -> ! {
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
    let sentence = without_value(error).unwrap_or(sentence);
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
    if let Some(hint) = misplaced(error, command, arguments) {
        lines += &format!("\nhint: {hint}");
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

/// What an option of a setting that has no value expects; None for other errors.
fn without_value(error: &clap::Error) -> Option<String> {
    let is_empty = matches!(error.get(ContextKind::InvalidValue), Some(ContextValue::String(it)) if it.is_empty());
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else { return None };
    if error.kind() != ErrorKind::InvalidValue || !is_empty {
        return None;
    }
    // `--code <CHOICE>`
    let option = given.split(' ').next()?;
    let name = option.trim_start_matches('-').replace('-', "_");
    let field = Settings::fields().iter().find(|field| field.name == name)?;
    Some(format!("error: {option}: expected {}, got no value", field.expected()))
}

/// What to write where a value has no option before it.
fn misplaced(error: &clap::Error, command: &Command, arguments: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else { return None };
    if error.kind() != ErrorKind::UnknownArgument || given.starts_with('-') {
        return None;
    }
    let command = command.find_subcommand(arguments.get(1)?)?;
    let is_option = |name: &str| command.get_arguments().any(|arg| arg.get_long() == Some(name));
    let at = arguments.iter().position(|argument| argument.to_string_lossy() == *given)?;
    let before = arguments[at - 1].to_str().and_then(|option| option.strip_prefix("--"));
    if let Some(name) = before.filter(|name| is_option(name)) {
        let takes = command.get_arguments().find(|arg| arg.get_long() == Some(name))?;
        // `--tied true`
        if takes.is_require_equals_set() {
            return Some(format!(
                "--{name} alone is --{name}=true; --{name}=false is the other value"
            ));
        }
    }
    if !is_option("samples") {
        return None;
    }
    let path = Path::new(given);
    if path.is_file() && looks_like_a_model(path) && is_option("from") {
        return Some(format!(
            "--from {given} begins with this model, --like {given} repeats its training"
        ));
    }
    let has_mnist = || find_mnist(path, "train-images").or_else(|| find_mnist(path, "t10k-images"));
    Some(match path.exists() {
        true if path.is_dir() && has_mnist().is_some() => {
            format!("these data are given by --data {given}")
        }
        true => format!("data are given by --samples {given}"),
        false => {
            "data are given by options: --samples FILE, or --data DIR with MNIST's files".to_owned()
        }
    })
}
