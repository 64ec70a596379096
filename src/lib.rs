//! Sparse autoencoders on the CPU, at the speed of the machine.
//!
//! ```
//! use sae::{Samples, Trainer};
//!
//! # fn main() -> Result<(), sae::Error> {
//! // Row-major, [samples, features]. `Samples::open` maps an IDX or NumPy file instead.
//! let values: Vec<f32> = (0..200 * 16).map(|i| (i * i % 11) as f32 / 10.0).collect();
//! let samples = Samples::from_values(values, 16)?;
//! let mut trainer = Trainer::builder().layers([16, 8, 16]).rho(0.1).batch(20).build(&samples)?;
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
//! - Data: [`Idx`] maps a file, [`Samples`] scale it, [`Batches`] shuffle it.
//! - What is computed: [`Settings`], whose fields are the methods of [`TrainerBuilder`].
//! - Training: [`Trainer`]; [`EarlyStopping`], [`Trainer::revive`] and [`Trainer::pretrain`] beside it.
//!   [`Trainer::gradient_on`] and [`Trainer::step_with`] let another program own the loop, and
//!   [`Trainer::gradient_check`] holds gradients against slopes.
//! - Results: [`Evaluation`], [`Autoencoder`] and its files, [`probe()`]; checkpoints.
//!
//! The same seed, data and settings give the same weights, bit for bit, with any number of threads,
//! on every instruction set with a fused multiply-add, in one run or resumed.
#![deny(unsafe_code)]

mod autoencoder;
mod batches;
#[cfg(feature = "model")]
mod checkpoint;
mod control;
mod corruption;
#[cfg(feature = "digits")]
pub mod digits;
mod early_stopping;
mod engine;
mod error;
mod evaluation;
#[cfg(feature = "model")]
pub mod files;
mod gate;
mod gradient_check;
pub mod idx;
#[cfg(feature = "model")]
mod json;
mod lbfgs;
#[cfg(feature = "model")]
mod model;
mod network;
pub mod npy;
#[cfg(feature = "onnx")]
mod onnx;
mod phases;
mod preferred_inputs;
mod probe;
mod revive;
mod rows;
mod samples;
mod settings;
mod stack;
mod step;
mod team;
#[cfg(feature = "model")]
mod tensors;
mod trainer;
mod update;
mod workspace;

pub use autoencoder::Autoencoder;
pub use batches::Batches;
#[cfg(feature = "model")]
pub use checkpoint::{Checkpoint, Checkpoints};
pub use early_stopping::EarlyStopping;
pub use engine::Engine;
pub use error::{Error, Result};
pub use evaluation::{Activity, Evaluation, Histogram};
pub use gradient_check::BlockError;
pub use idx::{ElementType, Idx};
pub use network::{Layer, layout};
#[cfg(feature = "onnx")]
pub use onnx::Part;
pub use probe::{Labelled, Probe, probe};
pub use rows::RowWriter;
pub use sae_kernels::{Activation, Isa, Loss};
pub use samples::{Samples, Scaling};
pub use settings::{
    Code, Corruption, Initialisation, LayerPenalty, Measure, Optimizer, Preset, Schedule, Settings,
    Target, activation_of,
};
pub use step::StepReport;
pub use team::{Team, available_threads};
pub use trainer::{Trainer, TrainerBuilder};
