//! The book's page of every command, made of the same texts as the help.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use crate::{Cli, help};

const PAGE: &str = "../docs/commands.md";

/// Text that a table's cell can have: in one line, and with `<` and `|` as they are.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('|', "\\|").replace('<', "&lt;").replace('>', "&gt;")
}

fn option(arg: &Arg) -> String {
    let mut names: Vec<String> = arg.get_long().iter().map(|name| format!("--{name}")).collect();
    names.extend(arg.get_visible_aliases().unwrap_or_default().iter().map(|a| format!("--{a}")));
    let mut text = format!("`{}`", names.join("`, `"));
    if arg.is_positional() {
        return format!("`{arg}`");
    }
    if arg.get_action().takes_values()
        && let Some(value) = arg.get_value_names().and_then(|names| names.first())
    {
        let value = value.replace('|', "\\|");
        text = text.replace("`, `", &format!(" {value}`, `"));
        text.insert_str(text.len() - 1, &format!(" {value}"));
    }
    text
}

fn meaning(arg: &Arg) -> String {
    let mut text = cell(&arg.get_help().map(ToString::to_string).unwrap_or_default());
    let choices: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    // What only shells complete is in the text.
    let has_choices = !choices.is_empty() && !arg.is_hide_possible_values_set();
    if has_choices && arg.get_action().takes_values() {
        let _ = write!(text, ": {}", choices.join(", "));
    }
    let defaults = arg.get_default_values();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        let values: Vec<_> = defaults.iter().map(|value| value.to_string_lossy()).collect();
        let _ = write!(text, " [default: {}]", cell(&values.join(" ")));
    }
    text
}

/// The options of a command in their groups, in the help's order.
fn options(command: &Command) -> String {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let mut groups: Vec<(&str, String)> = Vec::new();
    for arg in shown {
        let name = match arg.get_help_heading() {
            _ if arg.is_positional() => "Arguments",
            Some(heading) => heading,
            None => "Options",
        };
        let row = format!("| {} | {} |\n", option(arg), meaning(arg));
        match groups.iter_mut().find(|(group, _)| *group == name) {
            Some((_, rows)) => *rows += &row,
            None => groups.push((name, row)),
        }
    }
    groups.sort_by_key(|(name, _)| *name != "Arguments");
    let tables = groups.iter().map(|(name, rows)| format!("| {name} | |\n| --- | --- |\n{rows}\n"));
    tables.collect()
}

fn page() -> String {
    let mut text = String::from(
        "# Every command\n\nThis page has the same texts as `sae COMMAND --help`. Options that all commands understand: \
         `--help`,\nand `--version` of `sae` itself. Whole numbers may be written `10000` or `1e4`.\n",
    );
    let command = help::grouped(Cli::command());
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        let about = command.get_long_about().or(command.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        let _ = write!(text, "\n## sae {}\n\n{about}\n\n{}", command.get_name(), options(command));
        if let Some(after) = command.get_after_help() {
            let _ = write!(text, "```text\n{}\n```\n", after.to_string().trim_end());
        }
    }
    text
}

/// `SAE_WRITE_BOOK=1 cargo test -p sae-cli book` writes the page.
#[test]
fn the_page_of_every_command_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let want = page();
    if std::env::var_os("SAE_WRITE_BOOK").is_some() {
        fs::write(&path, &want).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let is_current = text == want;
    assert!(
        is_current,
        "docs/commands.md is not current: SAE_WRITE_BOOK=1 cargo test -p sae-cli book"
    );
}
