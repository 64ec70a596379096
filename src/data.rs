//! Data: IDX and NumPy files, samples and their scaling, the order in which they are seen, drawn
//! digits.

#[cfg(feature = "digits")]
pub mod digits;
#[cfg(feature = "model")]
pub(crate) mod fingerprint;
mod fitted;
pub mod idx;
pub mod npy;
mod order;
pub(crate) mod samples;
mod writer;

pub use idx::{ElementType, Idx};
pub use order::Order;
pub use writer::RowWriter;
