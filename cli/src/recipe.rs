//! The command line of a training, which a later one can repeat.

use std::ffi::OsString;
use std::path::{Path, absolute};
use std::sync::OnceLock;

use serde_json::{Value, json};

/// The arguments of this process, after those of `--like` were put in.
static ARGUMENTS: OnceLock<Vec<String>> = OnceLock::new();

/// Options that say where a training writes and how it runs, and not what it computes.
const OF_RUN: [&str; 14] = [
    "out",
    "picture",
    "history",
    "checkpoint",
    "checkpoint-every",
    "keep",
    "resume",
    "overwrite",
    "threads",
    "read-ahead",
    "quiet",
    "json",
    "copy",
    "like",
];
/// Options whose values are paths.
const PATHS: [&str; 6] = ["data", "samples", "images", "test", "targets", "test-targets"];
/// Names of options that are others' second names; the two sides of each exclude each other.
const SAME: [(&str, &str); 8] = [
    ("images", "samples"),
    ("data", "samples"),
    ("lr", "learning-rate"),
    ("init", "initialization"),
    ("corrupt", "corruption"),
    ("penalty", "penalties"),
    ("holdout-last", "holdout"),
    ("test", "holdout"),
];

/// An option with its values.
type Group = Vec<String>;

fn groups(arguments: &[String]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for argument in arguments {
        match groups.last_mut() {
            Some(group) if !argument.starts_with("--") => group.push(argument.clone()),
            _ => groups.push(vec![argument.clone()]),
        }
    }
    groups
}

fn name(group: &Group) -> &str {
    let name = group[0].trim_start_matches('-').split('=').next().unwrap_or_default();
    SAME.iter().find(|(other, _)| *other == name).map_or(name, |(_, name)| *name)
}

/// The process's arguments; for `train --like MODEL`, those that `stored` has of it, without those that are
/// given anew, before the given ones.
pub fn arguments<E>(stored: impl Fn(&Path) -> Result<Vec<String>, E>) -> Result<Vec<OsString>, E> {
    let given: Vec<OsString> = std::env::args_os().collect();
    let texts: Option<Vec<String>> =
        given.iter().map(|argument| argument.to_str().map(str::to_owned)).collect();
    let Some(texts) = texts.filter(|texts| texts.get(1).is_some_and(|name| name == "train")) else {
        return Ok(given);
    };
    let own = groups(&texts[2..]);
    let like = own.iter().find(|group| group[0].split('=').next() == Some("--like"));
    let model = like.and_then(|group| {
        group[0].split_once('=').map(|pair| pair.1).or(group.get(1).map(String::as_str))
    });
    let mut all = Vec::new();
    if let Some(model) = model {
        let kept = groups(&stored(Path::new(model))?);
        let is_kept = |group: &Group| !own.iter().any(|own| name(own) == name(group));
        all.extend(kept.into_iter().filter(is_kept).flatten());
    }
    all.extend(own.into_iter().flatten());
    let _ = ARGUMENTS.set(all.clone());
    let all = texts[..2].iter().cloned().chain(all);
    Ok(all.map(OsString::from).collect())
}

/// What repeats this training: the program's version, and the options without those of where it writes and how
/// it runs, with whole paths. None if the command line is no text.
pub fn json() -> Option<Value> {
    of(groups(ARGUMENTS.get()?))
}

/// The same of a resumed training, whose options are in the note of an earlier part and changed by these.
pub fn resumed(earlier: &[String]) -> Option<Value> {
    let own = groups(ARGUMENTS.get()?);
    let is_kept = |group: &Group| !own.iter().any(|own| name(own) == name(group));
    let kept = groups(earlier).into_iter().filter(is_kept);
    of(kept.chain(own.iter().cloned()).collect())
}

fn of(groups: Vec<Group>) -> Option<Value> {
    let mut kept = Vec::new();
    for mut group in groups {
        let own = group[0].trim_start_matches('-').split('=').next().unwrap_or_default().to_owned();
        if OF_RUN.contains(&own.as_str()) {
            continue;
        }
        let whole = |text: &str| Some(absolute(text).ok()?.to_str()?.to_owned());
        if PATHS.contains(&own.as_str()) || own == "from" {
            if let Some((option, path)) = group[0].clone().split_once('=') {
                group[0] = format!("{option}={}", whole(path)?);
            }
            for path in &mut group[1..] {
                *path = whole(path)?;
            }
        }
        kept.extend(group);
    }
    Some(json!({"version": env!("CARGO_PKG_VERSION"), "arguments": kept}))
}

/// The command to type in a shell.
pub fn command(arguments: &[String]) -> String {
    let quoted = |text: &String| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+@%".contains(c);
        match !text.is_empty() && text.chars().all(is_plain) {
            true => text.clone(),
            false => format!("'{}'", text.replace('\'', r"'\''")),
        }
    };
    let arguments: String = arguments.iter().map(|text| format!(" {}", quoted(text))).collect();
    format!("sae train{arguments}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_quoted_for_a_shell() {
        let words = ["--samples", "a b.npy", "it's", "--lr=1e-3", "--shift", "-1"];
        let words: Vec<String> = words.map(str::to_owned).to_vec();
        assert_eq!(
            command(&words),
            r"sae train --samples 'a b.npy' 'it'\''s' --lr=1e-3 --shift -1"
        );
        let groups = groups(&words);
        assert_eq!(groups.len(), 3);
        assert_eq!(
            groups.iter().map(name).collect::<Vec<_>>(),
            ["samples", "learning-rate", "shift"]
        );
    }
}
