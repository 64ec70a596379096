//! What is read and what is written, by content and by name.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use clap::ValueEnum;
use sae::data::{ElementType, RowWriter};
use sae::files::exchange::is_dictionary;

use crate::endings::{ending_of, is_folder};
use crate::failure::{Failure, Result, io_error};
use crate::models::looks_like_a_model;

/// What a file or folder contains.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Folder,
    /// A model, or a dictionary of another library.
    Model,
    /// An IDX or NumPy file, or anything that its reader refuses.
    Data,
}

impl Source {
    pub fn of(from: &Path, to: &Path) -> Result<Self> {
        let metadata = fs::metadata(from).map_err(|source| {
            let failure = Failure::from(io_error("open", from)(source));
            match to.exists() {
                true => failure.hint(format!("{} exists; FROM comes first", to.display())),
                false => failure,
            }
        })?;
        if is_dictionary(from) {
            return Ok(Source::Model);
        }
        if metadata.is_dir() {
            return Ok(Source::Folder);
        }
        if looks_like_a_model(from) {
            return Ok(Source::Model);
        }
        let mut start = Vec::new();
        // Regular files only: what is read from a pipe is gone.
        if metadata.is_file() {
            let file = File::open(from).and_then(|file| file.take(8).read_to_end(&mut start));
            file.map_err(io_error("read", from))?;
        }
        if start.starts_with(b"\x89PNG") {
            let failure = Failure::at(from, "expected a folder of PNGs, got a single PNG");
            return Err(failure.hint("put it into a folder and give the folder"));
        }
        if from.extension().is_some_and(|ending| ending == "onnx") {
            let failure = Failure::at(from, "ONNX files are written, not read");
            return Err(failure.hint("FROM comes first"));
        }
        Ok(Source::Data)
    }
}

/// What can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// An IDX file, MNIST's format
    Idx,
    /// A NumPy file
    Npy,
    /// A folder of PNGs, one per sample
    Png,
    /// An ONNX file of a model
    Onnx,
    /// A model file
    Safetensors,
    /// A folder of SAELens: cfg.json, sae_weights.safetensors
    #[value(name = "saelens")]
    SaeLens,
    /// A folder of sparsify: cfg.json, sae.safetensors
    Sparsify,
    /// A NumPy archive as Gemma Scope's params.npz
    GemmaScope,
}

/// What is expected of a name of a file of numbers.
pub const NUMBERS_EXPECTED: &str = "expected a name ending in .idx, ubyte or .npy";

impl Kind {
    /// The kind that belongs to the name.
    pub fn of(to: &Path) -> Result<Self> {
        match ending_of(to).as_str() {
            _ if is_folder(to) => Ok(Kind::Png),
            "idx" | "ubyte" => Ok(Kind::Idx),
            "npy" => Ok(Kind::Npy),
            "onnx" => Ok(Kind::Onnx),
            "safetensors" => Ok(Kind::Safetensors),
            "npz" => Ok(Kind::GemmaScope),
            "" => Ok(Kind::Png),
            "gz" => Err(Failure::at(to, "gzip-compressed files are read, not written")),
            "png" => {
                Err(Failure::at(to, "expected the name of a folder, because PNGs go into one"))
            }
            _ => {
                let expected = format!(
                    "{NUMBERS_EXPECTED} or .onnx, or a folder, without an ending or with / at the end"
                );
                Err(Failure::at(to, expected).hint("--to KIND overrides the name"))
            }
        }
    }

    /// Whether it is made of a model.
    pub fn is_of_model(self) -> bool {
        !matches!(self, Kind::Idx | Kind::Npy | Kind::Png)
    }

    /// Begins a file of numbers.
    pub fn begin(self, path: &Path, kind: ElementType, dims: &[usize]) -> sae::Result<RowWriter> {
        match self {
            Kind::Npy => RowWriter::npy(path, kind, dims),
            _ => RowWriter::idx(path, kind, dims),
        }
    }
}
