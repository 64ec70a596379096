//! What kind of file there is.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sae::files::{exchange::is_dictionary, npz};
use safetensors::tensor::Metadata;

use super::own;
use crate::csv::is_csv;
use crate::data::pngs;
use crate::endings::ending_of;
use crate::failure::Result;
use crate::models::looks_like_a_model;
use crate::sparse_files::Format;
use crate::sweeps;

/// The longest header of a safetensors file that is read.
const MAX_HEADER: u64 = 100 << 20;

#[derive(PartialEq)]
pub enum Kind {
    Model,
    Checkpoint,
    Sweep,
    Codes(Format),
    Csv,
    Tensors,
    Array,
    History,
    Log,
    /// The record beside this model.
    Record(PathBuf),
    /// The options of a sweep.
    Options(Vec<String>),
    /// A folder of runs.
    Runs,
    /// PNGs: a folder of them, or one.
    Pngs,
    /// A folder of data files.
    Folder,
}

impl Kind {
    pub fn of(path: &Path) -> Result<Self> {
        let is_folder = path.is_dir() && !is_dictionary(path) && !own::is_runs(path);
        if ending_of(path) == "png" || is_folder && pngs::is_folder(path)? {
            return Ok(Kind::Pngs);
        }
        Ok(Self::of_other(path))
    }

    fn of_other(path: &Path) -> Self {
        if path.extension().is_some_and(|ending| ending == "npz") && has_codes(path) {
            return Kind::Codes(Format::Npz);
        }
        if is_dictionary(path) {
            return Kind::Model;
        }
        if is_csv(path) {
            return match () {
                () if sweeps::is_table(path) => Kind::Sweep,
                () if own::is_history(path) => Kind::History,
                () => Kind::Csv,
            };
        }
        if let Some(kind) = Self::of_training(path) {
            return kind;
        }
        if !looks_like_a_model(path) {
            return Kind::Array;
        }
        let Some(header) = header(path) else { return Kind::Model };
        let has = |names: &[&str]| names.iter().all(|name| header.info(name).is_some());
        let has_text =
            |name: &str| header.metadata().as_ref().is_some_and(|texts| texts.contains_key(name));
        match () {
            () if has_text("sae") => Kind::Model,
            () if has(&["parameters", "state", "checksum"]) => Kind::Checkpoint,
            () if has(&["indptr", "indices", "values"]) && has_text("shape") => {
                Kind::Codes(Format::Safetensors)
            }
            () => Kind::Tensors,
        }
    }

    /// The kind of what trainings and sweeps leave beside models, and of folders.
    fn of_training(path: &Path) -> Option<Self> {
        if path.is_dir() {
            return Some(if own::is_runs(path) { Kind::Runs } else { Kind::Folder });
        }
        if own::is_log(path) {
            return Some(Kind::Log);
        }
        let record = || own::model_of_record(path).map(Kind::Record);
        own::options_of_sweep(path).map(Kind::Options).or_else(record)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Model => "a model",
            Kind::Checkpoint => "a checkpoint",
            Kind::Sweep => "the table of a sweep",
            Kind::Codes(_) => "a file of sparse codes",
            Kind::Csv => "a CSV file",
            Kind::Tensors => "a safetensors file",
            Kind::Array => "a file of one array",
            Kind::History => "the history of a training",
            Kind::Log => "the log of a training",
            Kind::Record(_) => "the record of a training",
            Kind::Options(_) => "the options of a sweep",
            Kind::Runs => "a folder of runs",
            Kind::Pngs => "of PNGs",
            Kind::Folder => "a folder of data",
        })
    }
}

/// Whether an archive of NumPy's has a sparse matrix.
fn has_codes(path: &Path) -> bool {
    let reader = File::open(path).ok().and_then(|file| npz::Reader::open(file).ok());
    reader.is_some_and(|reader| reader.read("indptr", |_, _| Ok(())).is_some())
}

/// The header of a safetensors file; None if it has none.
pub fn header(path: &Path) -> Option<Metadata> {
    let mut file = File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = Some(u64::from_le_bytes(length)).filter(|&length| length <= MAX_HEADER)?;
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
