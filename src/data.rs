//! Data: arrays in IDX and NumPy files or in memory, samples and their scaling, the order in which
//! they are seen, drawn digits.

mod array;
#[cfg(feature = "digits")]
pub mod digits;
mod element;
#[cfg(feature = "model")]
pub(crate) mod feature;
pub(crate) mod fingerprint;
mod fitted;
mod fortran;
mod gather;
mod idx;
mod npy;
mod open;
mod order;
pub(crate) mod recognize;
pub(crate) mod samples;
pub(crate) mod scaling;
mod source;
mod statistics;
mod writer;

pub use array::Array;
pub use element::{Element, ElementType};
pub(crate) use gather::gather;
pub use order::Order;
pub use scaling::ScalingKind;
pub use statistics::Statistics;
pub use writer::{RowWriter, write_idx, write_npy};
