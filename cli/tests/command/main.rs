//! The command `sae`, as a person or a script runs it.

#[path = "../../../tests/common/folder.rs"]
mod folder;

mod convert;
mod data;
mod exchange;
#[cfg(unix)]
mod help;
#[cfg(unix)]
mod kill;
#[cfg(unix)]
mod mapped;
mod metrics;
mod presets;
mod report;
mod runs;
mod shards;
mod sparse;
mod targets;
mod usage;

/// The option of the commands that write files, for tests that write the same ones again and again; runs.rs
/// has what happens without it.
fn overwrite(arguments: &[&str]) -> Option<&'static str> {
    const WRITING: [&str; 8] = [
        "train",
        "sweep",
        "compare",
        "features",
        "decode",
        "make-digits",
        "cut-patches",
        "convert",
    ];
    let is_writing = arguments.first().is_some_and(|command| WRITING.contains(command));
    (is_writing && !arguments.contains(&"--help")).then_some("--overwrite")
}
