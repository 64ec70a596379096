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
mod shards;
mod sparse;
mod targets;
mod units;
mod usage;
