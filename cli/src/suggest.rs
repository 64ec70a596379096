//! What shells complete the values of options with.

use std::ffi::{OsStr, OsString};

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command, ValueHint};

/// A parser of texts that suggests some and takes others, too, which are looked at later.
#[derive(Clone)]
pub struct Suggested(Vec<String>);

impl Suggested {
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        Suggested(values.into_iter().collect())
    }

    /// The values that are suggested.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The names in a text of what a setting takes, such as `dense, top-k:K or jump-relu:L0[:BANDWIDTH]`; those that
    /// need a number behind them end in a colon.
    pub fn in_grammar(expected: &str) -> Self {
        let name = |text: &str| {
            let text = text.trim_start_matches("a comma-separated list of ");
            let name = text.split('[').next().unwrap_or(text);
            let name = name.find(':').map_or(name, |colon| &name[..=colon]);
            let is_name = name.starts_with(|c: char| c.is_ascii_lowercase());
            (is_name && !name.contains(' ')).then(|| name.to_owned())
        };
        Self::new(expected.replace(" or ", ", ").split(", ").filter_map(name))
    }
}

impl TypedValueParser for Suggested {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        self.parse(command, arg, value.to_owned())
    }

    fn parse(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: OsString,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

/// An option or argument with what its value is: a folder, a file, or neither.
pub fn with_hint(arg: Arg) -> Arg {
    let is_value = arg.get_action().takes_values() || arg.is_positional();
    let is_free = arg.get_possible_values().is_empty();
    if !is_value
        || !is_free
        || arg.get_value_hint() != ValueHint::Unknown && arg.get_value_hint() != ValueHint::AnyPath
    {
        return arg;
    }
    let is_path = arg.get_value_hint() == ValueHint::AnyPath;
    let names = arg.get_value_names().unwrap_or_default();
    let hint = match names.first().map_or("", |name| name.as_str()) {
        "DIR" => ValueHint::DirPath,
        // A model may be a folder, and so may samples.
        "FILE" | "PATH" | "MODEL" => ValueHint::AnyPath,
        _ if is_path => ValueHint::AnyPath,
        _ => ValueHint::Other,
    };
    arg.value_hint(hint)
}

/// The script for bash with what its generator leaves out.
///
/// Values that end in a colon or `=` get no space behind them, folders a slash; `--option=VALUE` is completed as
/// `--option VALUE`, `--vary option=VALUE`, too; nothing is proposed behind a colon; and an argument that is a file
/// gets files.
pub fn of_bash(script: &str) -> String {
    const WRAPPER: &str = r#"
_sae_values() {
    local cur="$2" prev="$3"
    if [[ "$cur" == "=" ]]; then
        cur="" prev="="
    fi
    if [[ "$prev" == "=" && COMP_CWORD -ge 2 ]]; then
        prev="${COMP_WORDS[COMP_CWORD - 1]}"
        local at=$((COMP_CWORD - 1))
        [[ "$prev" == "=" ]] && at=$((COMP_CWORD - 2)) && prev="${COMP_WORDS[at]}"
        [[ "${COMP_WORDS[at - 1]}" == "--vary" ]] && prev="--${prev//_/-}"
        [[ "$prev" == --* ]] || return 0
    fi
    if [[ "$cur" == ":" || "$prev" == ":" ]]; then
        return 0
    fi
    _sae "$1" "$cur" "$prev"
    if [[ "$cur" != -* && "${COMPREPLY[0]:-}" == -* && "${COMP_WORDS[1]:-}" != train && "${COMP_WORDS[1]:-}" != sweep ]]; then
        COMPREPLY=()
    fi
    if [[ "${BASH_VERSINFO[0]}" -ge 4 && ${#COMPREPLY[@]} -gt 0 ]]; then
        [[ "${COMPREPLY[0]}" == *[:=] ]] && compopt -o nospace
        [[ -e "${COMPREPLY[0]}" ]] && compopt -o filenames
    fi
    return 0
}
"#;
    match script.rsplit_once("\nif [[ \"${BASH_VERSINFO[0]}\"") {
        Some((functions, end)) => {
            let end = end.replace("complete -F _sae ", "complete -F _sae_values ");
            format!("{functions}{WRAPPER}\nif [[ \"${{BASH_VERSINFO[0]}}\"{end}")
        }
        None => script.to_owned(),
    }
}

/// The script for zsh, in which values that end in a colon or `=` get no space behind them.
pub fn of_zsh(script: &str) -> String {
    const ADD: &str = r#"
_sae_values() {
    local value
    local -a begun whole
    for value; do
        if [[ "$value" == *[:=] ]]; then begun+=("$value"); else whole+=("$value"); fi
    done
    local found=1
    compadd -S '' -a begun && found=0
    compadd -a whole && found=0
    return found
}
"#;
    let line = |line: &str| {
        let (start, values) = line.rsplit_once(":(")?;
        let (values, end) = values.rsplit_once(')')?;
        let mut each = values.split(' ');
        let has_begun = each.any(|value| value.ends_with("\\:") || value.ends_with('='));
        has_begun.then(|| format!("{start}:{{_sae_values {values}}}{end}"))
    };
    let lines: Vec<String> =
        script.lines().map(|own| line(own).unwrap_or_else(|| own.to_owned())).collect();
    let text = lines.join("\n") + "\n";
    text.replacen("\n_sae() {", &format!("{ADD}\n_sae() {{"), 1)
}

/// What fish's generator leaves out: the values of arguments that are no options, such as those of `sae presets`.
pub fn arguments_of_fish(cli: &Command) -> String {
    let lines = cli.get_subcommands().filter_map(|command| {
        let name = command.get_name();
        let mut values = command.get_positionals().flat_map(Arg::get_possible_values).peekable();
        values.peek()?;
        let values: Vec<_> = values.map(|value| value.get_name().to_owned()).collect();
        let values = values.join(" ");
        Some(format!(
            "complete -c sae -n \"__fish_sae_using_subcommand {name}\" -f -a \"{values}\"\n"
        ))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_grammar() {
        for (expected, names) in [
            ("dense, top-k:K or jump-relu:L0[:BANDWIDTH]", "dense top-k: jump-relu:"),
            ("none or a comma-separated list of tanh or relu", "none tanh relu"),
            ("none, powers-of-two or rising sizes such as 128,512", "none powers-of-two"),
            (
                "none, mean-activation:VALUE[:LAYER[:STEPS]] or l0:VALUE",
                "none mean-activation: l0:",
            ),
            ("adamw[:DECAY] or adam", "adamw adam"),
            ("comma-separated sizes such as 784,300,784", ""),
        ] {
            assert_eq!(Suggested::in_grammar(expected).0.join(" "), names, "{expected}");
        }
    }
}
