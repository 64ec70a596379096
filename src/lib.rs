//! Sparse autoencoders on the CPU, at the speed of the machine.
#![deny(unsafe_code)]

mod error;
mod settings;
pub mod idx;
mod samples;
mod batches;
mod network;
mod team;
mod engine;
mod autoencoder;
mod step;
mod trainer;
#[cfg(feature = "model")]
mod model;
#[cfg(feature = "digits")]
pub mod digits;

pub use autoencoder::{Autoencoder, Evaluation};
pub use batches::Batches;
pub use engine::Engine;
pub use error::{Error, Result};
pub use idx::{ElementType, Idx};
pub use network::{Layer, layout};
pub use sae_kernels::{Activation, Isa};
pub use samples::{Samples, Scaling};
pub use settings::{Preset, Settings, activation_of};
pub use step::StepReport;
pub use team::{Team, available_threads};
pub use trainer::{Trainer, TrainerBuilder};
