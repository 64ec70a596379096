//! Errors of the library, which name fields of settings, as errors of the command, which has options.

use std::sync::OnceLock;

use sae::{Preset, Settings};

use crate::near::nearest;
use crate::suggest::Suggested;

/// The names of the command's options.
static OPTIONS: OnceLock<Vec<String>> = OnceLock::new();

/// Makes the names of the command's options known.
pub fn know_options(names: Vec<String>) {
    // They are the same whenever this is called.
    let _ = OPTIONS.set(names);
}

/// A sentence such as `lr: expected a number` with the option that its first word is: `--lr: expected a number`.
pub fn with_dashes(problem: String) -> String {
    let name = problem.split(": ").next().unwrap_or_default();
    let is_option = OPTIONS.get().is_some_and(|options| options.iter().any(|it| it == name));
    if is_option { format!("--{problem}") } else { problem }
}

/// What was likely meant by the value that a field refuses: `expected adam or l-bfgs, got 'adm'`.
pub fn near(field: &str, problem: &str) -> Option<String> {
    let (_, given) = problem.split_once(", got '")?;
    let given = given.rsplit_once('\'').map_or(given, |it| it.0);
    let names = match field {
        "preset" => Preset::ALL.map(|preset| preset.name().to_owned()).to_vec(),
        _ => {
            let field = Settings::fields().iter().find(|of| of.name == field)?;
            Suggested::in_grammar(&field.expected()).names().to_vec()
        }
    };
    let is_name = |word: &str| names.iter().any(|name| name.trim_end_matches(':') == word);
    let word = |text: &str| text.split(':').next().unwrap_or_default().trim().to_owned();
    let wrong = given.split(',').map(word).find(|word| !is_name(word))?;
    let meant = nearest(&wrong, names.iter().map(|name| name.trim_end_matches(':')))?;
    Some(format!("did you mean {}?", given.replacen(&wrong, meant, 1)))
}

/// The name of a field as the command writes it; that of a variable of the environment stays.
pub fn kebab(field: &str) -> String {
    match field.chars().any(|c| c.is_ascii_uppercase()) {
        true => field.to_owned(),
        false => field.replace('_', "-"),
    }
}

/// A sentence with `the field warm_up` as `--warm-up`, `fields lambda and tied` as `--lambda and --tied`.
pub fn named(problem: &str) -> String {
    let mut text = String::new();
    let mut rest = problem;
    while let Some((before, names)) = split(rest) {
        let (options, behind) = options(names);
        if options.is_empty() {
            // Another kind of field.
            let end = rest.len() - names.len();
            text += &rest[..end];
        } else {
            text += before;
            text += &options;
        }
        rest = behind;
    }
    text + rest
}

/// A list of names as options have them: `output_bias` as `output-bias`, but not in quotes.
pub fn listed(problem: &str) -> String {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_-'".contains(c);
    let mut text = String::new();
    let mut rest = problem;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        let next = rest[end..].chars().next().map_or(0, char::len_utf8);
        let (word, behind) = rest.split_at(end);
        text += &if is_field(word) { kebab(word) } else { word.to_owned() };
        text += &behind[..next];
        rest = &behind[next..];
    }
    text
}

fn is_field(name: &str) -> bool {
    Settings::fields().iter().any(|field| field.name == name)
}

/// What is before `the field` or `fields`, and what is behind it.
fn split(text: &str) -> Option<(&str, &str)> {
    let starts = ["field ", "fields "].into_iter().filter_map(|word| {
        let at = text.match_indices(word).map(|(at, _)| at);
        let mut at = at.filter(|&at| !text[..at].ends_with(|c: char| c.is_alphanumeric()));
        Some((at.next()?, word))
    });
    let (at, word) = starts.min()?;
    let before = text[..at].strip_suffix("the ").unwrap_or(&text[..at]);
    Some((before, &text[at + word.len()..]))
}

/// The options of the fields whose names a text begins with, and what is behind them.
fn options(text: &str) -> (String, &str) {
    let (mut options, mut rest) = (String::new(), text);
    loop {
        let separator = [", and ", ", ", " and "].into_iter().find(|it| rest.starts_with(it));
        let separator = separator.filter(|_| !options.is_empty()).unwrap_or_default();
        let names = &rest[separator.len()..];
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = names.find(|c| !is_of_name(c)).unwrap_or(names.len());
        if !is_field(&names[..end]) || separator.is_empty() && !options.is_empty() {
            return (options, rest);
        }
        options += &format!("{separator}--{}", kebab(&names[..end]));
        rest = &names[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_as_options() {
        for (problem, expected) in [
            ("ends within the 9 of the field warm_up", "ends within the 9 of --warm-up"),
            ("tied weights (field tied)", "tied weights (--tied)"),
            (
                "fields unit_norm, tied and rho_momentum change",
                "--unit-norm, --tied and --rho-momentum change",
            ),
            ("and the field l1 or field rho", "and --l1 or --rho"),
            (
                "none (fields beta, l1, penalties, and l0 of the field code)",
                "none (--beta, --l1, --penalties, and l0 of --code)",
            ),
            ("the field batch, 3 of them", "--batch, 3 of them"),
            ("save each field as an array", "save each field as an array"),
            ("this field is empty; the field output_bias", "this field is empty; --output-bias"),
            ("fields schedule", "--schedule"),
            ("field ", "field "),
        ] {
            assert_eq!(named(problem), expected);
        }
        assert_eq!(["SAE_ISA", "warm_up"].map(kebab), ["SAE_ISA", "warm-up"]);
        for (field, problem, hint) in [
            ("code", "expected dense or top-k:K, got 'tok-k:4'", Some("did you mean top-k:4?")),
            ("optimizer", "expected adam or l-bfgs, got 'lbfgs'", Some("did you mean l-bfgs?")),
            ("activations", "expected a list, got 'relu,tanhh'", Some("did you mean relu,tanh?")),
            ("preset", "expected article, got 'imges'", Some("did you mean images?")),
            ("code", "expected dense or top-k:K, got 'top-k'", None),
            ("code", "expected dense or top-k:K, got 'xyz'", None),
            ("batch", "expected a number from 1, got 'x'", None),
        ] {
            assert_eq!(near(field, problem).as_deref(), hint, "{problem}");
        }
        let list = "expected one of layers, output_bias, got 'unit_norm'";
        assert_eq!(listed(list), "expected one of layers, output-bias, got 'unit_norm'");
    }
}
