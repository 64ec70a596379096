//! Finding files of samples: in folders, by patterns, in lists.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What the names of data files end in, in lower case and without `.gz`.
const ENDINGS: [&str; 4] = [".npy", ".safetensors", ".idx", "ubyte"];

/// The same of tables of text, which are taken where a folder has no other files.
const TABLES: [&str; 3] = [".csv", ".tsv", ".tab"];

/// The longest list of files that is read, in bytes.
const MAX_LIST: u64 = 1 << 28;

/// The files that paths, folders, patterns and lists name: those of a single list in its order, all
/// others sorted by their paths, with numbers by value.
///
/// # Errors
/// There is no such file, or a list is none.
pub fn find(names: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if let [list] = names
        && is_list(list)
    {
        return read_list(list);
    }
    let mut found = Vec::new();
    for name in names {
        if name.is_dir() {
            found.extend(in_folder(name)?);
        } else if is_list(name) {
            found.extend(read_list(name)?);
        } else if !name.exists() && has_pattern(name) {
            found.extend(matching(name)?);
        } else {
            found.push(name.clone());
        }
    }
    alphanumeric_sort::sort_path_slice(&mut found);
    Ok(found)
}

fn is_list(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "txt") && path.is_file()
}

fn has_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains(['*', '?', '[']))
}

/// The data files of a folder, without those of folders in it.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |e| Error::io("list", folder, e);
    let entries: Result<Vec<_>> =
        fs::read_dir(folder).map_err(wrong)?.map(|entry| entry.map_err(wrong)).collect();
    let paths: Vec<PathBuf> = entries?.into_iter().map(|entry| entry.path()).collect();
    let with = |endings: &[&str]| {
        let has = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            let name = name.strip_suffix(".gz").unwrap_or(&name);
            let is_data = endings.iter().any(|end| name.ends_with(end));
            is_data && !name.starts_with('.') && !path.is_dir() && !is_of_a_training(path)
        };
        paths.iter().filter(has).cloned().collect::<Vec<_>>()
    };
    let mut found = with(&ENDINGS);
    if found.is_empty() {
        found = with(&TABLES);
    }
    if found.is_empty() {
        let problem = "no file of samples in this folder; names ending in .npy, .safetensors, .idx, \
                       ubyte or .csv, or these with .gz, were expected";
        let problem = match with(&[".png"]).is_empty() {
            true => problem.to_owned(),
            false => format!("{problem}; `sae convert` makes one of its PNGs"),
        };
        return Err(Error::format(folder, None, problem));
    }
    Ok(found)
}

fn matching(pattern: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |problem: String| Error::format(pattern, None, problem);
    let text = pattern.to_str().unwrap_or_default();
    let paths = glob::glob(text).map_err(|e| wrong(format!("a pattern that is wrong: {e}")))?;
    // As a shell does: hidden files only where the pattern has the dot.
    let name = |path: &Path| path.file_name().map_or(0, |name| name.as_encoded_bytes()[0]);
    let takes_hidden = name(pattern) == b'.';
    let is_taken = |path: &PathBuf| {
        (takes_hidden || name(path) != b'.') && path.is_file() && !is_of_a_training(path)
    };
    let paths = paths.map(|path| path.map_err(|e| wrong(e.to_string())));
    let found: Vec<PathBuf> = paths.collect::<Result<_>>()?;
    let found: Vec<PathBuf> = found.into_iter().filter(is_taken).collect();
    if found.is_empty() {
        return Err(wrong(
            "no file matches this pattern ('*', '?' and '[...]' stand for characters; \
             '[[]' is a bracket)"
                .to_owned(),
        ));
    }
    Ok(found)
}

/// Whether the command has written a file beside a model, or is the model with such a file.
fn is_of_a_training(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let model = name.strip_suffix(".safetensors").unwrap_or(&name);
    name.ends_with(".history.csv") || path.with_file_name(format!("{model}.data.json")).exists()
}

/// A character as a message can have it.
fn visible(character: char) -> char {
    if character.is_control() { '?' } else { character }
}

/// The files of a list: one a line, relative to its folder. Empty lines, and those that begin with `#`,
/// count for nothing.
fn read_list(list: &Path) -> Result<Vec<PathBuf>> {
    let length = fs::metadata(list).map_err(|e| Error::io("look at", list, e))?.len();
    if length > MAX_LIST {
        let problem = format!("a list of files of {length} bytes; at most {MAX_LIST} are read");
        return Err(Error::format(list, None, problem));
    }
    let text = fs::read(list).map_err(|e| Error::io("read", list, e))?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").map_or_else(|| text.clone(), <[u8]>::to_vec);
    let text = String::from_utf8(text).map_err(|_| {
        let problem =
            "a list of files, one a line, was expected in a .txt file; this one is no text";
        Error::format(list, None, problem)
    })?;
    let folder = list.parent().unwrap_or(Path::new(""));
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let names: Vec<&str> = lines.filter(|line| !line.starts_with('#')).collect();
    // A table of numbers, for one, is no list.
    if let Some(name) = names.iter().find(|name| !folder.join(name).exists()) {
        const SHOWN: usize = 200;
        let shown: String = name.chars().take(SHOWN).map(visible).collect();
        let more = if name.chars().nth(SHOWN).is_some() { "..." } else { "" };
        let problem = format!(
            "a list of files, one a line, was expected in a .txt file; this one has '{shown}{more}', \
             which does not exist"
        );
        return Err(Error::format(list, None, problem));
    }
    if names.is_empty() {
        return Err(Error::format(list, None, "this list has no file"));
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}
