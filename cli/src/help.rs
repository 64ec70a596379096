//! The help's groups of options, and whole numbers as people write them.

use std::any::TypeId;
use std::ffi::OsString;

use clap::{Arg, Command};

use crate::suggest::with_hint;

/// Options by their groups, for all commands.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "Data",
        &[
            "data",
            "samples",
            "tensor",
            "rows",
            "label_column",
            "copy",
            "test",
            "holdout",
            "holdout_last",
            "scaling",
            "scaling_samples",
            "targets",
            "target_tensor",
            "test_targets",
            "target_scaling",
            "split",
            "labels",
            "names",
        ],
    ),
    (
        "Output",
        &[
            "out",
            "picture",
            "history",
            "test_every",
            "log",
            "checkpoint",
            "checkpoint_every",
            "keep",
            "overwrite",
            "quiet",
            "json",
            "open",
        ],
    ),
    (
        "Network",
        &[
            "preset",
            "layers",
            "activation",
            "activations",
            "output_activation",
            "allow_unreachable",
            "loss",
            "tied",
            "skip",
            "unit_norm",
            "initialization",
            "output_bias",
            "corruption",
        ],
    ),
    (
        "Sparsity",
        &[
            "code",
            "prefixes",
            "auxiliary",
            "dead_after",
            "l0_penalty",
            "rho",
            "beta",
            "l1",
            "penalties",
            "sparsity_warm_up",
            "rho_momentum",
            "target",
            "active_above",
        ],
    ),
];

/// The command with its options in groups; a negative number is a value, not an option.
pub fn grouped(command: Command) -> Command {
    let command = command.mut_subcommands(|command| command.mut_args(with_hint));
    command.mut_subcommands(|command| match command.get_name() {
        // Their few options are one group.
        "completions" | "presets" | "make-digits" => command,
        _ => command.mut_args(in_its_group),
    })
}

fn in_its_group(arg: Arg) -> Arg {
    let takes_value = arg.get_action().takes_values();
    let arg = if takes_value { arg.allow_negative_numbers(true) } else { arg };
    let id = arg.get_id().as_str();
    let is_setting = sae::Settings::fields().iter().any(|field| field.name == id);
    match GROUPS.iter().find(|(_, names)| names.contains(&id)) {
        Some((heading, _)) if !arg.is_positional() => arg.help_heading(*heading),
        _ if is_setting => arg.help_heading("Optimizer"),
        _ => arg,
    }
}

/// A command line whose options of whole numbers may have texts such as 1e4.
pub fn with_plain_numbers(command: &Command, mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.get(1).and_then(|name| name.to_str()).unwrap_or_default();
    let Some(command) = command.find_subcommand(name) else { return arguments };
    for at in 2..arguments.len() {
        let Some(option) = arguments[at].to_str().and_then(|text| text.strip_prefix("--")) else {
            continue;
        };
        let (name, value) = option.split_once('=').map_or((option, None), |(n, v)| (n, Some(v)));
        let is_called = |arg: &&Arg| {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long() == Some(name) || aliases.contains(&name)
        };
        if !command.get_arguments().find(is_called).is_some_and(takes_whole_number) {
            continue;
        }
        if let Some(number) = value.and_then(plain) {
            arguments[at] = format!("--{name}={number}").into();
        } else if let Some(number) = arguments.get(at + 1).and_then(|text| plain(text.to_str()?)) {
            arguments[at + 1] = number.into();
        }
    }
    arguments
}

fn takes_whole_number(arg: &Arg) -> bool {
    let own = arg.get_value_parser().type_id();
    let types = [TypeId::of::<usize>(), TypeId::of::<u64>(), TypeId::of::<u32>()];
    let types = types.into_iter().chain([TypeId::of::<u16>(), TypeId::of::<u8>()]);
    let is_named_so =
        || arg.get_value_names().is_some_and(|names| names.iter().any(|it| *it == "N"));
    types.into_iter().any(|id| own == id) || is_named_so()
}

/// `1e4` as `10000`; None for what is written plainly or is no whole number.
fn plain(text: &str) -> Option<String> {
    let number: f64 = text.parse().ok().filter(|_| text.contains(['e', 'E', '.']))?;
    // Beyond it `f64` has not all whole numbers.
    let is_whole = number.fract() == 0.0 && (0.0..9.0e15).contains(&number);
    is_whole.then(|| (number as u64).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::CommandFactory;

    #[test]
    fn every_name_in_a_group_is_that_of_an_option() {
        let command = Cli::command();
        let of = |command: &Command| -> Vec<String> {
            command.get_arguments().map(|arg| arg.get_id().to_string()).collect()
        };
        let all: Vec<String> = command.get_subcommands().flat_map(of).collect();
        let names = GROUPS.iter().flat_map(|(_, names)| *names);
        assert_eq!(names.clone().find(|name| !all.iter().any(|id| id == *name)), None);
        let repeated = names.clone().find(|name| names.clone().filter(|n| n == name).count() > 1);
        assert_eq!(repeated, None);
    }

    #[test]
    fn whole_numbers_may_have_exponents() {
        let command = grouped(Cli::command());
        let line = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (given, want) in [
            ("sae train --steps 1e4 --batch=1E3", "sae train --steps 10000 --batch=1000"),
            ("sae train --steps 1.5e0 --lr 1e-4", "sae train --steps 1.5e0 --lr 1e-4"),
            (
                "sae train --lr 1e1 --steps -1e3 --out 1e3",
                "sae train --lr 1e1 --steps -1e3 --out 1e3",
            ),
            ("sae train --steps 1e99 --steps", "sae train --steps 1e99 --steps"),
            ("sae make-digits 1e3 --train 1e3", "sae make-digits 1e3 --train 1000"),
            ("sae units --layer 2e0 --top 1e1", "sae units --layer 2 --top 10"),
            ("sae nothing --steps 1e4", "sae nothing --steps 1e4"),
            ("sae", "sae"),
        ] {
            assert_eq!(with_plain_numbers(&command, line(given)), line(want));
        }
    }

    #[test]
    fn help_has_the_groups() {
        let mut command = grouped(Cli::command());
        let train = command.find_subcommand_mut("train").unwrap();
        let help = train.render_help().to_string();
        let at = |text: &str| help.find(text).unwrap_or_else(|| panic!("{text}: {help}"));
        assert!(at("\nData:") < at("--holdout <N>") && at("--holdout <N>") < at("\nNetwork:"));
        assert!(at("\nOptimizer:") < at("--learning-rate") && at("--steps") < at("\nData:"));
    }
}
