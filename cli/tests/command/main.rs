//! The command `sae`, as a person or a script runs it.

#[path = "../../../tests/common/folder.rs"]
mod folder;

#[cfg(unix)]
mod alone;
#[cfg(unix)]
mod book;
#[cfg(unix)]
mod brief;
#[cfg(unix)]
mod completions;
mod convert;
mod course;
mod data;
mod exchange;
#[cfg(unix)]
mod help;
mod images;
mod inspect;
#[cfg(unix)]
mod kill;
mod labels;
#[cfg(unix)]
mod mapped;
#[cfg(unix)]
mod messages;
mod metrics;
mod newcomers;
mod pngs;
mod presets;
mod report;
#[cfg(unix)]
mod resume;
mod runs;
mod shards;
mod sparse;
mod sweep;
mod sweep_files;
mod targets;
mod units;
mod usage;

/// Options for tests that write the same files again and again, and that were written for the article's settings;
/// runs.rs has what happens without them.
fn usual(arguments: &[&str]) -> Vec<&'static str> {
    const WRITING: &[&str] = &[
        "train",
        "sweep",
        "compare",
        "features",
        "decode",
        "make-digits",
        "cut-patches",
        "convert",
        "report",
        "units",
        "score",
        "reconstruct",
        "encode",
    ];
    let has = |name: &str| arguments.contains(&name);
    let command = arguments.first().copied().unwrap_or_default();
    let mut options = Vec::new();
    if WRITING.contains(&command) && !has("--help") {
        options.push("--overwrite");
    }
    let begins = !["--preset", "--from", "--resume", "--help"].into_iter().any(has);
    if ["train", "sweep"].contains(&command) && begins {
        options.extend(["--preset", "article"]);
    }
    options
}
