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
//! A [`Trainer`] is made of [`Settings`] and [`Samples`] (its [builder](TrainerBuilder) chooses threads
//! and the like); it steps, evaluates and encodes. Its network is an [`Autoencoder`].
//! Weights are `[inputs, outputs]`, samples `[samples, features]`, both row-major; numbers are `f32`,
//! those of reports `f64`. What can go wrong is an [`Error`] of one sentence.
//!
//! The same seed, data and settings give the same weights, bit for bit, with any number of threads,
//! on every instruction set with a fused multiply-add, in one run or resumed.
//!
//! # Pages
//!
//! | page | what it is about |
//! | --- | --- |
//! | [The objective](guide::objective) | its terms, their formulas and sources |
//! | [Data](guide::data) | IDX and NumPy files, numbers in memory, scalings, order |
//! | [Sparsity](guide::sparsity) | KL, L1, top-k, batch-top-k, JumpReLU, and when to use which |
//! | [Training](guide::training) | the step, optimizers, initial weights, schedules; your own loops |
//! | [Targets](guide::targets) | setting how active a layer should be |
//! | [Dead units](guide::dead_units) | what they are, and their revival |
//! | [Evaluation](guide::evaluation) | reports, codes, probes |
//! | [Determinism](guide::determinism) | the same bits; threads |
//! | [Files](guide::files) | models and checkpoints |
//! | [Speed](guide::speed) | zeros, fusion, threads |
//! | [Limits](guide::limits) | very large, very small and not finite numbers |
//!
//! # Features
//!
//! | feature | what it adds | default |
//! | --- | --- | --- |
//! | `model` | model files and checkpoints | yes |
//! | `gz` | gzip-compressed data files | yes |
//! | `digits` | drawn digits, where no data is at hand | |
//! | `onnx` | ONNX files of models | |
//! | `mpi` | the ranks of an MPI job: `Mpi` | |
//! | `cli` | the command `sae` | |
//!
//! `examples/` has programs to begin with: `article` (the seed article's two experiments),
//! `encode_your_data`, `custom_penalty` and `batches_from_outside`.
//!
//! # Versions
//!
//! Enums and reports that will grow are `#[non_exhaustive]`. [`Settings`] gain fields in minor versions:
//! always end their literals with `..Settings::default()` or another base. [`LayerPenalty`], [`Target`]
//! and [`Labeled`](analysis::Labeled) are written out in full, and stay as they are. Types of other crates do not appear here,
//! but for [`Activation`], [`Isa`] and [`Loss`] of `sae-kernels`, which has the same versions.
#![deny(unsafe_code)]

pub mod analysis;
pub mod compute;
pub mod data;
mod error;
#[cfg(feature = "model")]
pub mod files;
#[cfg(any(doc, doctest))]
pub mod guide;
pub mod network;
pub mod ranks;
mod settings;
mod training;

pub use analysis::evaluation::Evaluation;
pub use compute::engine::Engine;
pub use data::samples::{Samples, Scaling};
pub use error::{Error, Result};
pub use network::autoencoder::Autoencoder;
pub use sae_kernels::{Activation, Isa, Loss};
pub use settings::{
    Code, Corruption, Field, Initialization, Kind, LayerPenalty, Measure, Optimizer, Preset,
    Schedule, Settings, Target,
};
pub use training::builder::TrainerBuilder;
pub use training::objective::StepReport;
pub use training::trainer::Trainer;
