//! Files: atomic writes, models, checkpoints, dictionaries of other libraries, ONNX.

pub(crate) mod atomic;
mod checkpoint;
mod course;
#[cfg(feature = "exchange")]
pub mod exchange;
mod model;
#[cfg(feature = "exchange")]
#[doc(hidden)]
pub mod npz;
#[cfg(feature = "onnx")]
mod onnx;
mod tensors;

pub use atomic::{check_writable, replace};
pub use checkpoint::{Checkpoint, Checkpoints};
pub use course::Course;
#[cfg(feature = "onnx")]
pub use onnx::Part;
