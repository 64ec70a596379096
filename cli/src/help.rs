//! The help's groups of options.

use clap::{Arg, Command};

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
    fn help_has_the_groups() {
        let mut command = grouped(Cli::command());
        let train = command.find_subcommand_mut("train").unwrap();
        let help = train.render_help().to_string();
        let at = |text: &str| help.find(text).unwrap_or_else(|| panic!("{text}: {help}"));
        assert!(at("\nData:") < at("--holdout <N>") && at("--holdout <N>") < at("\nNetwork:"));
        assert!(at("\nOptimizer:") < at("--learning-rate") && at("--steps") < at("\nData:"));
    }
}
