//! Dictionaries of other libraries: SAELens, sparsify, dictionary_learning, Gemma Scope.
//!
//! [`import`] makes a network of any of them, which can be saved, evaluated and trained on; [`export`]
//! writes a network of one hidden layer. Both give the same activations and reconstructions as the other
//! library, but for rounding; what a format or this library cannot express is refused, never approximated.
//!
//! This library's encoder has no bias on its input: z = W x + c. Where a format encodes x - b, with b the
//! output's bias, W (x - b) + c' = W x + (c' - W b), so that c = c' - W b on import and c' = c + W b on
//! export. A scaling of the data is folded into the weights before an export
//! ([`Autoencoder::fold_scaling`]). `docs/exchange.md` has a table of the formats.

mod config;
mod dictionary;
mod dictionary_learning;
mod gemma_scope;
mod saelens;
mod sparsify;
mod tensors;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::data::scaling::Scaling;
use crate::error::{Error, Result};
use crate::files::atomic;
use crate::files::tensors::read_file;
use crate::network::autoencoder::Autoencoder;
use config::Config;
use dictionary::Dictionary;
use tensors::{Parsed, Tensors};

pub use dictionary_learning::{from_dictionary_learning, to_dictionary_learning};
pub use saelens::Metadata;
pub use tensors::Tensor;

const CONFIG: &str = "cfg.json";
const SAELENS: &str = "sae_weights.safetensors";
const SPARSIFY: &str = "sae.safetensors";
const GEMMA_SCOPE: &str = "params.npz";
const DICTIONARY_LEARNING: &str = "ae.pt";

/// The longest configuration that is read, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// A format that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A folder of SAELens: `cfg.json` and `sae_weights.safetensors`.
    SaeLens,
    /// A folder of sparsify: `cfg.json` and `sae.safetensors`.
    Sparsify,
    /// A NumPy archive as Gemma Scope's `params.npz`.
    GemmaScope,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::SaeLens, Self::Sparsify, Self::GemmaScope];

    /// Its name in text: `saelens`, `sparsify` or `gemma-scope`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SaeLens => "saelens",
            Self::Sparsify => "sparsify",
            Self::GemmaScope => "gemma-scope",
        }
    }

    /// Whether it is a folder of files, and not one file.
    pub fn is_folder(self) -> bool {
        self != Self::GemmaScope
    }
}

/// A dictionary that was found.
enum Found {
    Format(Format, PathBuf),
    /// A pickle, for Python.
    Pickle,
    /// Several, in these folders.
    Several(Vec<String>),
}

/// What a file or folder holds, by the names in it.
fn find(path: &Path) -> Option<Found> {
    let here = |folder: &Path| {
        let has = |name: &str| folder.join(name).is_file();
        match has(CONFIG) {
            true if has(SAELENS) => Some(Format::SaeLens),
            true if has(SPARSIFY) => Some(Format::Sparsify),
            _ => has(GEMMA_SCOPE).then_some(Format::GemmaScope),
        }
    };
    if !path.is_dir() {
        return (is_npz(path) && path.is_file())
            .then(|| Found::Format(Format::GemmaScope, path.to_owned()));
    }
    if let Some(format) = here(path) {
        return Some(Found::Format(format, path.to_owned()));
    }
    if path.join(DICTIONARY_LEARNING).is_file() {
        return Some(Found::Pickle);
    }
    // sparsify has a folder for each place in a model.
    let entries = fs::read_dir(path).ok()?.filter_map(|entry| entry.ok());
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_file()));
    let folders = folders.map(|entry| entry.path());
    let mut inner: Vec<_> =
        folders.filter_map(|folder| here(&folder).map(|format| (folder, format))).collect();
    match inner.len() {
        0 => None,
        1 => inner.pop().map(|(folder, format)| Found::Format(format, folder)),
        _ => {
            let name = |(folder, _): &(PathBuf, Format)| {
                folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
            };
            let mut names: Vec<_> = inner.iter().map(name).collect();
            names.sort_unstable();
            Some(Found::Several(names))
        }
    }
}

/// Whether a file or folder looks like a dictionary of another library, by its names alone.
#[doc(hidden)]
pub fn is_dictionary(path: impl AsRef<Path>) -> bool {
    find(path.as_ref()).is_some()
}

/// Reads a dictionary of another library: a folder of SAELens or sparsify (or one that holds such a
/// folder), a NumPy archive of Gemma Scope, or a folder with its `params.npz`.
///
/// The network has ReLUs, a linear output and the code that the dictionary has; its settings for training
/// are no settings of the dictionary's own training, which no format has: batches of 1024 and the learning
/// rate 2e-4 / sqrt(units / 16384) (Gao et al. 2024). Weights of other types are rounded to `f32`.
/// A transcoder has targets of its own ([`Autoencoder::target_scaling`]); of a Gemma Scope archive with as
/// many outputs as inputs nothing tells that it is one, and it is read as an autoencoder.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] if there is no such dictionary, a file is damaged, or the dictionary
/// has what this library cannot express.
pub fn import(path: impl AsRef<Path>) -> Result<Autoencoder> {
    let path = path.as_ref();
    let wrong = |problem: String| Err(Error::format(path, None, problem));
    fs::metadata(path).map_err(|e| Error::io("open", path, e))?;
    match find(path) {
        Some(Found::Format(format, path)) => read(format, &path),
        Some(Found::Pickle) => wrong(
            "a dictionary of dictionary_learning, whose ae.pt is a pickle that Python alone reads; use \
             sae.import_dictionary of the Python package, and save its model"
                .to_owned(),
        ),
        Some(Found::Several(names)) => {
            let more = if names.len() > 8 { ", ..." } else { "" };
            let names = names[..names.len().min(8)].join(", ");
            wrong(format!("several dictionaries; give the folder of one of them: {names}{more}"))
        }
        None => wrong(format!(
            "expected a dictionary: a folder with {CONFIG} and {SAELENS} (SAELens) or {SPARSIFY} \
             (sparsify), or an .npz file (Gemma Scope)"
        )),
    }
}

fn read(format: Format, path: &Path) -> Result<Autoencoder> {
    let of_folder = |file: &str, name: &str| -> Result<(Config, PathBuf, Tensors)> {
        let config = config(&path.join(CONFIG))?;
        let file = path.join(file);
        let bytes = read_file(&file, name)?;
        let tensors = Tensors::of_safetensors(bytes);
        Ok((config, file.clone(), tensors.map_err(|problem| Error::format(&file, None, problem))?))
    };
    let import = match format {
        Format::SaeLens => saelens::import,
        Format::Sparsify => sparsify::import,
        Format::GemmaScope => {
            let file = if path.is_dir() { path.join(GEMMA_SCOPE) } else { path.to_owned() };
            let open = File::open(&file).map_err(|e| Error::io("open", &file, e))?;
            let read = || {
                let mut tensors = Tensors::of_npz(open)?;
                let dictionary = gemma_scope::import(&mut tensors)?;
                network(dictionary, tensors)
            };
            return read().map_err(|problem| Error::format(&file, None, problem));
        }
    };
    let (weights, name) = match format {
        Format::SaeLens => (SAELENS, "a file of SAELens' weights"),
        _ => (SPARSIFY, "a file of sparsify's weights"),
    };
    let (config, file, mut tensors) = of_folder(weights, name)?;
    let dictionary = import(&config, &mut tensors);
    let read = dictionary.and_then(|dictionary| network(dictionary, tensors));
    // What is wrong may be in either file, and the sentence says which name.
    read.map_err(|problem| match problem.starts_with("tensor ") {
        true => Error::format(&file, None, problem),
        false => Error::format(&path.join(CONFIG), None, problem),
    })
}

fn network(dictionary: Dictionary, tensors: Tensors) -> Parsed<Autoencoder> {
    tensors.finish()?;
    dictionary.network()
}

/// Reads a configuration.
fn config(path: &Path) -> Result<Config> {
    let metadata = fs::metadata(path).map_err(|e| Error::io("open", path, e))?;
    if metadata.len() > MAX_CONFIG {
        let length = metadata.len();
        let problem = format!("{length} bytes; expected a configuration of at most {MAX_CONFIG}");
        return Err(Error::format(path, None, problem));
    }
    let text = fs::read(path).map_err(|e| Error::io("read", path, e))?;
    Config::parse(&text).map_err(|problem| Error::format(path, None, problem))
}

/// Writes a network as a dictionary for another library, atomically: a folder is complete or not there.
///
/// A folder must be new or empty, an archive is replaced. The scaling is folded into the weights
/// ([`Autoencoder::fold_scaling`]). `metadata` is for SAELens alone.
///
/// | code | SAELens | sparsify | Gemma Scope |
/// | --- | --- | --- | --- |
/// | dense | `standard` | | thresholds 0 |
/// | top-k | `topk` | yes | |
/// | batch-top-k | `jumprelu`, one threshold | | one threshold |
/// | JumpReLU | `jumprelu` | | yes |
///
/// A transcoder is `transcoder` or `jumprelu_transcoder` in SAELens, with a skip connection
/// `skip_transcoder` or `jumprelu_skip_transcoder`. sparsify has transcoders with as many outputs as inputs,
/// Gemma Scope those without a skip connection. Prefixes ([`Prefixes`](crate::Prefixes)) of a batch-top-k
/// code are metadata in SAELens.
///
/// # Errors
/// [`Error::Io`] if it cannot be written; [`Error::Format`] if the format cannot express the network: it
/// has several hidden layers, other activations, an output that is not linear, another code, or is a
/// transcoder that the format does not have; or if the folder is not empty.
pub fn export(
    net: &Autoencoder,
    format: Format,
    path: impl AsRef<Path>,
    metadata: &Metadata,
) -> Result<()> {
    let path = path.as_ref();
    let wrong = |problem: String| Error::format(path, None, problem);
    let dictionary = Dictionary::of(net).map_err(wrong)?;
    let (config, tensors, name) = match format {
        Format::SaeLens => {
            let (config, tensors) = saelens::export(dictionary, metadata).map_err(wrong)?;
            (config, tensors, SAELENS)
        }
        Format::Sparsify => {
            let normalized = net.settings().unit_norm && net.scaling() == Scaling::AsIs;
            let (config, tensors) = sparsify::export(dictionary, normalized).map_err(wrong)?;
            (config, tensors, SPARSIFY)
        }
        Format::GemmaScope => {
            let tensors = gemma_scope::export(dictionary).map_err(wrong)?;
            if !is_npz(path) {
                return Err(wrong(
                    "expected a name that ends with .npz, by which it is read".to_owned(),
                ));
            }
            return atomic::replace(path, |temporary| {
                let write = || {
                    let mut out = BufWriter::new(File::create(temporary)?);
                    tensors::write_npz(&mut out, &tensors)?;
                    out.flush()
                };
                write().map_err(|e| Error::io("write", path, e))
            });
        }
    };
    let weights = tensors::safetensors(&tensors).map_err(wrong)?;
    atomic::write_folder(path, &[(CONFIG, config.to_string().into_bytes()), (name, weights)])
}

/// Whether a name is that of an archive of NumPy arrays.
fn is_npz(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "npz")
}
