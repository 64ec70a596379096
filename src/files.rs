//! Files: atomic writes, models, checkpoints, ONNX.

pub(crate) mod atomic;
mod checkpoint;
mod model;
#[cfg(feature = "onnx")]
mod onnx;
mod tensors;

pub use atomic::{check_writable, replace};
pub use checkpoint::{Checkpoint, Checkpoints};
#[cfg(feature = "onnx")]
pub use onnx::Part;
