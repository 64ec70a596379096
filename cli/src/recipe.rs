//! The command line of a training or a sweep, which a later one can repeat.

use std::ffi::OsString;
use std::path::{Path, absolute};
use std::sync::OnceLock;

use serde_json::{Value, json};

/// The options of this process.
struct Recipe {
    command: String,
    /// Those that count, with those of `--like` and of the training that is resumed.
    all: Vec<Group>,
    /// Those that are given, with those of `--like`.
    given: Vec<Group>,
    /// Those of the training that is resumed, if its model's note has them.
    recorded: Option<Vec<Group>>,
}

static RECIPE: OnceLock<Recipe> = OnceLock::new();

/// Options of the course of a training that a checkpoint does not have, with what holds without them.
const COURSE: [(&str, &str); 5] = [
    ("revive", "none"),
    ("patience", "none"),
    ("evaluate-every", "500"),
    ("pretrain", "none"),
    ("from", "none"),
];

/// Options that say where a training writes and how it runs, and not what it computes.
const OF_RUN: [&str; 16] = [
    "out",
    "jobs",
    "picture",
    "history",
    "log",
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
/// Options of a sweep that say which trainings it has.
const OF_SWEEP: [&str; 6] = ["vary", "trials", "halvings", "sparsity", "layer", "from"];
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

/// Options of data in files, which go with them where `--data` is given.
const OF_FILES: [&str; 8] = [
    "tensor",
    "rows",
    "label-column",
    "targets",
    "target-tensor",
    "target-scaling",
    "test-targets",
    "holdout",
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

/// The value of an option among these, empty for one without a value.
fn value(groups: &[Group], wanted: &str) -> Option<String> {
    let group = groups.iter().rev().find(|group| name(group) == wanted)?;
    let values = group[0].split_once('=').map(|pair| pair.1);
    let values = values.into_iter().chain(group[1..].iter().map(String::as_str));
    Some(values.collect::<Vec<_>>().join(" "))
}

/// `below`, without those that are in `own`, before those.
fn on_top(below: &[Group], own: &[Group]) -> Vec<Group> {
    let is_folder = |group: &Group| group[0].split('=').next() == Some("--data");
    let has_folder = own.iter().any(is_folder) && !below.iter().any(is_folder);
    let is_kept = |group: &&Group| {
        let is_of_files = has_folder && OF_FILES.contains(&name(group));
        !is_of_files && !own.iter().any(|own| name(own) == name(group))
    };
    below.iter().filter(is_kept).chain(own).cloned().collect()
}

/// The process's arguments, with the recorded ones before them.
///
/// Those are of `train --like MODEL`, `train --resume` and `sweep --resume`, without those that are given anew.
/// `of_model` has those of a model, `of_resumed` those of the command that is resumed, by its name and the values of
/// `--out` and `--checkpoint`.
pub fn arguments<E>(
    of_model: impl Fn(&Path) -> Result<Vec<String>, E>,
    of_resumed: impl Fn(&str, Option<&Path>, Option<&Path>) -> Result<Option<Vec<String>>, E>,
) -> Result<Vec<OsString>, E> {
    let process: Vec<OsString> = std::env::args_os().collect();
    let texts: Option<Vec<String>> =
        process.iter().map(|argument| argument.to_str().map(str::to_owned)).collect();
    let is_recorded = |name: &String| name == "train" || name == "sweep";
    let Some(texts) = texts.filter(|texts| texts.get(1).is_some_and(is_recorded)) else {
        return Ok(process);
    };
    let command = texts[1].clone();
    let mut given = groups(&texts[2..]);
    let like = value(&given, "like").filter(|model| command == "train" && !model.is_empty());
    if let Some(model) = like {
        given = on_top(&groups(&of_model(Path::new(&model))?), &given);
    }
    let mut recorded = None;
    if value(&given, "resume").is_some() {
        let path = |name| value(&given, name).filter(|path| !path.is_empty());
        let (out, checkpoint) = (path("out"), path("checkpoint"));
        let [out, checkpoint] = [&out, &checkpoint].map(|path| path.as_deref().map(Path::new));
        let found = of_resumed(&command, out, checkpoint);
        recorded = found?.map(|arguments| groups(&arguments));
    }
    let all = on_top(recorded.as_deref().unwrap_or_default(), &given);
    let arguments = texts[..2].iter().cloned().chain(all.iter().flatten().cloned());
    let arguments = arguments.map(OsString::from).collect();
    let _ = RECIPE.set(Recipe { command, all, given, recorded });
    Ok(arguments)
}

/// What repeats this training or sweep: the program's version, and the options with whole paths.
///
/// Those of where it writes and how it runs are left out. None if the command line is no text.
pub fn json() -> Option<Value> {
    let recipe = RECIPE.get()?;
    of(recipe.all.clone(), recipe.command == "train")
}

/// What repeats a trial of this sweep as a training by itself, with these values of settings.
pub fn json_of_trial(varied: &[(&str, &str)], steps: u64) -> Option<Value> {
    let is_varied = |group: &Group| varied.iter().any(|(field, _)| *field == field_of(name(group)));
    let is_kept = |group: &&Group| {
        !OF_SWEEP.contains(&name(group)) && name(group) != "steps" && !is_varied(group)
    };
    let mut groups: Vec<Group> = RECIPE.get()?.all.iter().filter(is_kept).cloned().collect();
    let option = |name: &str, value: &str| vec![format!("--{}={value}", name.replace('_', "-"))];
    groups.extend(varied.iter().map(|(field, value)| option(field, value)));
    groups.push(option("steps", &steps.to_string()));
    of(groups, true)
}

/// The name of the setting that an option, or an alias of the setting, stands for.
pub fn field_of(name: &str) -> String {
    let name = name.replace('-', "_");
    let is_it = |field: &&sae::Field| field.name == name || field.aliases.contains(&name.as_str());
    sae::Settings::fields().iter().find(is_it).map_or(name.clone(), |field| field.name.to_owned())
}

/// Whether the options of the training that is resumed are known.
pub fn is_recorded() -> bool {
    RECIPE.get().is_some_and(|recipe| recipe.recorded.is_some())
}

/// Whether an option is given, and not only recorded.
pub fn is_given(name: &str) -> bool {
    RECIPE.get().is_none_or(|recipe| value(&recipe.given, name).is_some())
}

/// An option that is given and changes the course of the training that is resumed.
///
/// Its name, the recorded and the given value.
pub fn changed_course() -> Option<(&'static str, String, String)> {
    let Recipe { given, recorded, .. } = RECIPE.get()?;
    let recorded = recorded.as_ref()?;
    COURSE.into_iter().find_map(|(name, default)| {
        let new = value(given, name)?;
        let old = value(recorded, name).unwrap_or_else(|| default.to_owned());
        let is_same = match (new.parse::<f64>(), old.parse::<f64>()) {
            (Ok(new), Ok(old)) => new == old,
            _ if name == "from" => absolute(&new).ok() == absolute(&old).ok(),
            _ => new == old,
        };
        (!is_same).then_some((name, old, new))
    })
}

fn of(groups: Vec<Group>, is_training: bool) -> Option<Value> {
    let mut kept = Vec::new();
    for mut group in groups {
        let own = group[0].trim_start_matches('-').split('=').next().unwrap_or_default().to_owned();
        if OF_RUN.contains(&own.as_str()) {
            continue;
        }
        let whole = |text: &str| Some(absolute(text).ok()?.to_str()?.to_owned());
        if PATHS.contains(&own.as_str()) || is_training && own == "from" {
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

/// The command of a training to type in a shell.
pub fn command(arguments: &[String]) -> String {
    command_of("train", arguments)
}

/// A command to type in a shell.
pub fn command_of(name: &str, arguments: &[String]) -> String {
    let quoted = |text: &String| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+@%".contains(c);
        match !text.is_empty() && text.chars().all(is_plain) {
            true => text.clone(),
            false => format!("'{}'", text.replace('\'', r"'\''")),
        }
    };
    let arguments: String = arguments.iter().map(|text| format!(" {}", quoted(text))).collect();
    format!("sae {name}{arguments}")
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
