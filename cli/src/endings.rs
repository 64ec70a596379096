//! What the names of files to write end in.

use std::path::Path;

use crate::failure::{Failure, Result};

/// The ending of a name in lower case: what follows its last dot, or `ubyte`, which MNIST's files have
/// behind a hyphen. Empty if it has none.
pub fn ending_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if name.ends_with("ubyte") {
        return "ubyte".to_owned();
    }
    name.rsplit_once('.').map_or("", |(_, ending)| ending).to_owned()
}

/// Whether an output is a folder: one that is there, or a name that ends in / or has no ending.
pub fn is_folder(path: &Path) -> bool {
    let ends = path.as_os_str().as_encoded_bytes().last();
    let is_device = || path.metadata().is_ok_and(|it| !it.is_dir() && !it.is_file());
    path.is_dir()
        || ends.is_some_and(|&last| std::path::is_separator(last.into()))
        || ending_of(path).is_empty() && !is_device()
}

/// Fails unless a name ends in one of these. A device or a pipe, which is there already, may have any name
/// if there is only one ending to choose.
pub fn check_ending(path: &Path, endings: &[&str]) -> Result<()> {
    let ending = ending_of(path);
    let is_special = || path.metadata().is_ok_and(|it| !it.is_file() && !it.is_dir());
    if endings.contains(&ending.as_str()) || endings.len() == 1 && is_special() {
        return Ok(());
    }
    Err(Failure::at(path, format!("expected a name ending in {}", list(endings))))
}

/// `.csv, .json or .jsonl`
fn list(endings: &[&str]) -> String {
    let dotted = |ending: &&str| match *ending {
        "ubyte" => "ubyte".to_owned(),
        ending => format!(".{ending}"),
    };
    let all: Vec<String> = endings.iter().map(dotted).collect();
    match all.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => all.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_those_of_names() {
        for (path, ending) in [
            ("a/b.csv", "csv"),
            ("b.PNG", "png"),
            ("train-images-idx3-ubyte", "ubyte"),
            ("a.b/c", ""),
            ("a.csv.gz", "gz"),
        ] {
            assert_eq!(ending_of(Path::new(path)), ending, "{path}");
        }
        assert_eq!(list(&["csv"]), ".csv");
        assert_eq!(list(&["idx", "ubyte", "npy"]), ".idx, ubyte or .npy");
    }
}
