//! Sparse autoencoders on the CPU, at the speed of the machine.
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
mod probe;
mod revive;
mod samples;
mod settings;
mod stack;
mod step;
mod team;
#[cfg(feature = "model")]
mod tensors;
mod trainer;
mod update;

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
pub use probe::{Labelled, Probe, probe};
pub use sae_kernels::{Activation, Isa, Loss};
pub use samples::{Samples, Scaling};
pub use settings::{
    Code, Corruption, Initialisation, LayerPenalty, Measure, Optimizer, Preset, Schedule, Settings,
    Target, activation_of,
};
pub use step::StepReport;
pub use team::{Team, available_threads};
pub use trainer::{Trainer, TrainerBuilder};
