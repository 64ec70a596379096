//! Sparse autoencoders on the CPU, at the speed of the machine.
mod error;
pub use error::{Error, Result};
pub mod idx;
pub use idx::{ElementType, Idx};
