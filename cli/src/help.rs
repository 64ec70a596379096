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
    let command = command
        .mut_subcommands(|command| command.mut_args(|arg| with_hint(with_negative_numbers(arg))));
    command.mut_subcommands(|command| match command.get_name() {
        // Their few options are one group.
        "completions" | "presets" | "make-digits" => command,
        _ => {
            // A seed alone is no group.
            let trains = command.get_arguments().any(|arg| arg.get_id() == "learning_rate");
            command.mut_args(|arg| in_its_group(arg, trains))
        }
    })
}

/// The names of all options of all commands.
pub fn option_names(command: &Command) -> Vec<String> {
    let of = |command: &Command| -> Vec<String> {
        command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
    };
    command.get_subcommands().flat_map(of).collect()
}

fn with_negative_numbers(arg: Arg) -> Arg {
    if arg.get_action().takes_values() { arg.allow_negative_numbers(true) } else { arg }
}

fn in_its_group(arg: Arg, trains: bool) -> Arg {
    let id = arg.get_id().as_str();
    let is_setting = sae::Settings::fields().iter().any(|field| field.name == id);
    match GROUPS.iter().find(|(_, names)| names.contains(&id)) {
        Some((heading, _)) if !arg.is_positional() => arg.help_heading(*heading),
        _ if is_setting && trains => arg.help_heading("Optimizer"),
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

/// A sentence of the parser without words of the programming language.
pub fn in_plain_words(sentence: &str) -> String {
    let whole = "expected a whole number, such as 10000 or 1e4";
    let mut sentence = sentence.replace("invalid digit found in string", whole);
    sentence = sentence.replace("cannot parse integer from empty string", whole);
    sentence =
        sentence.replace("number too large to fit in target type", "expected a smaller number");
    for of_floats in ["invalid float literal", "cannot parse float from empty string"] {
        sentence = sentence.replace(of_floats, "expected a number, such as 0.1 or 1e-3");
    }
    // `: -1 is not in 1..=1000`
    let Some((before, range)) = sentence.split_once(" is not in ") else { return sentence };
    let Some((start, (low, high))) =
        before.rsplit_once(": ").map(|it| it.0).zip(range.trim().split_once(".."))
    else {
        return sentence;
    };
    // Ends of types are none for people.
    let high = high.trim_start_matches('=').parse::<u64>().ok();
    let high = high.filter(|&high| high < u64::from(u32::MAX));
    let high = high.map_or(String::new(), |high| format!(" to {high}"));
    let low = low.parse::<u64>().unwrap_or(0);
    format!("{start}: expected a whole number from {low}{high}")
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
    fn ranges_are_said_in_plain_words() {
        for (sentence, plain) in [
            (
                "value '-1' for '--keep <N>': -1 is not in 1..=1000",
                "expected a whole number from 1 to 1000",
            ),
            (
                "value '-1' for '--top <N>': -1 is not in 1..=4294967295",
                "expected a whole number from 1",
            ),
            (
                "value '0' for '--x <N>': 0 is not in 1..18446744073709551615",
                "expected a whole number from 1",
            ),
            (
                "value '101' for '--context <N>': 101 is not in 0..=100",
                "expected a whole number from 0 to 100",
            ),
            (
                "value 'x' for '--norm <N>': invalid float literal",
                "expected a number, such as 0.1 or 1e-3",
            ),
            (
                "value 'x' for '--seed <N>': invalid digit found in string",
                "expected a whole number, such as 10000 or 1e4",
            ),
        ] {
            let said = in_plain_words(sentence);
            assert_eq!(said.split_once(">': ").map(|it| it.1), Some(plain), "{said}");
        }
        assert_eq!(in_plain_words("it is not in a folder"), "it is not in a folder");
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
