//! Sparse autoencoders on the CPU, at the speed of the machine.
//!
//! ```
//! use sae::{Samples, Settings, Trainer};
//!
//! # fn main() -> Result<(), sae::Error> {
//! // Row-major, [samples, features]. `Samples::open` maps a file instead.
//! let values: Vec<f32> = (0..200 * 16).map(|i| (i * i % 11) as f32 / 10.0).collect();
//! let samples = Samples::from_values(values, 16)?;
//! let layers = vec![16, 8, 16];
//! let settings = Settings { layers, rho: 0.1, batch: 20, ..Settings::default() };
//! let mut trainer = Trainer::new(settings, &samples)?;
//! let before = trainer.evaluate(&samples)?;
//! for _ in 0..200 {
//!     trainer.step()?;
//! }
//! let after = trainer.evaluate(&samples)?;
//! assert!(after.objective < before.objective);
//! let codes = trainer.encode(&samples)?; // [samples, 8]
//! assert_eq!(codes.len(), 200 * 8);
//! # Ok(())
//! # }
//! ```
//!
//! A [`Trainer`] is made of [`Settings`] and [`Samples`], or by its [builder](TrainerBuilder), which also
//! takes threads, instruction set, ranks and a checkpoint. It steps, evaluates and encodes; its network
//! is an [`Autoencoder`]. Weights are `[inputs, outputs]`, samples `[samples, features]`, both row-major;
//! numbers are `f32`, those of reports `f64`. An [`Error`] is one sentence.
//!
//! The same seed, data and settings give the same weights, bit for bit, with any number of threads,
//! on every instruction set with fused multiply-add, in one run or resumed.
//!
//! # The book
//!
//! The folder `docs/` of the repository is a book: tutorials, concepts with their formulas and sources (the
//! objective, sparsity, training, dead units, evaluation, determinism), every command, and the promises with
//! their tests. `mdbook serve docs --open` shows it, and its pages can be read as they are, from
//! `docs/SUMMARY.md` on. This documentation is of the API.
//!
//! # Modules
//!
//! | module | what it has beyond the names here |
//! | --- | --- |
//! | [`data`] | arrays in files or memory, the order of samples, writing of files, drawn digits |
//! | [`network`] | the layout of a layer's parameters, sparse codes |
//! | [`analysis`] | activity of layers, histograms, probes, errors of a gradient check |
//! | [`ranks`] | the traits of a message-passing system, and MPI |
//! | [`training`] | batches, penalties and gradients of a training loop of your own |
//! | [`compute`] | the thread pool |
//! | `files` | checkpoints, dictionaries of other libraries, parts of ONNX files, atomic writes |
//!
//! # Features
//!
//! | feature | what it adds | default |
//! | --- | --- | --- |
//! | `model` | model files and checkpoints | yes |
//! | `gz` | gzip-compressed IDX and NumPy files | yes |
//! | `exchange` | dictionaries of SAELens, sparsify, dictionary_learning and Gemma Scope: `files::exchange` | yes |
//! | `gradient-check` | `Trainer::gradient_check`: gradients against finite differences | |
//! | `digits` | drawn digits, for use without data | |
//! | `onnx` | ONNX files of models | |
//! | `mpi` | training with several processes by MPI: `ranks::Mpi` | |
//!
//! `examples/` has programs to start from: `article` (the two experiments of the article
//! ["Tensorflow Day17 Sparse Autoencoder"](https://blog.c1mone.com.tw/tensorflow-note-day-17.html)),
//! `encode_your_data`, `custom_penalty`, `batches_from_outside` and `ranks` (MPI).
//!
//! # Versions
//!
//! Enums and reports that will grow are `#[non_exhaustive]`. [`Settings`] gets new fields in minor
//! versions: always end a literal with `..Settings::default()` or another base. [`LayerPenalty`],
//! [`Target`], [`Labeled`](analysis::Labeled) and [`SparseCodes`](network::SparseCodes) are written out in
//! full, and get no new fields. The only types of another crate are [`Activation`], [`Isa`] and [`Loss`] of
//! `sae-kernels`, which has the same version.
#![deny(unsafe_code)]

pub mod analysis;
pub mod compute;
pub mod data;
mod error;
#[cfg(feature = "model")]
pub mod files;
pub mod network;
pub mod ranks;
mod settings;
pub mod training;

pub use analysis::evaluation::Evaluation;
pub use compute::engine::Engine;
pub use data::samples::Samples;
pub use data::scaling::Scaling;
/// For the sentences of the command and its page.
#[doc(hidden)]
pub use error::counted;
pub use error::{Error, Result};
pub use network::autoencoder::Autoencoder;
pub use sae_kernels::{Activation, Isa, Loss};
pub use settings::{
    Auxiliary, Code, Corruption, Initialization, L0Penalty, LayerPenalty, Measure, Optimizer,
    OutputBias, Prefixes, Preset, SampleOrder, Schedule, Settings, Target,
};
/// For the command and the bindings, which make options of the table of settings.
#[doc(hidden)]
pub use settings::{Field, Kind};
pub use training::builder::TrainerBuilder;
pub use training::objective::StepReport;
pub use training::trainer::Trainer;

/// The Rust examples of the book, run as tests.
#[cfg(doctest)]
mod book {
    macro_rules! pages {
        ($($name:ident)*) => {$(
            #[doc = include_str!(concat!("../docs/concepts/", stringify!($name), ".md"))]
            mod $name {}
        )*};
    }

    #[doc = include_str!("../README.md")]
    mod readme {}

    pages! {
        objective data sparsity training targets transcoders dead_units evaluation determinism files
        speed limits
    }
}
