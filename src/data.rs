//! Data: arrays in IDX, NumPy and safetensors files or in memory, several files as one data set, samples
//! and their scaling, the order in which they are seen, drawn digits.

mod array;
mod batches;
#[cfg(feature = "digits")]
pub mod digits;
mod element;
pub(crate) mod feature;
#[cfg(feature = "model")]
mod find;
#[cfg(feature = "model")]
pub(crate) mod fingerprint;
mod fitted;
mod fortran;
mod gather;
mod header;
mod idx;
mod layer_norm;
mod line;
mod npy;
mod open;
mod order;
mod reading;
pub(crate) mod recognize;
mod row;
pub(crate) mod samples;
pub(crate) mod scaling;
mod selection;
mod shards;
mod slice;
mod source;
mod summary;
mod targets;
#[cfg(feature = "model")]
pub(crate) mod tensors;
mod unscale;
mod writer;

pub use array::Array;
pub(crate) use batches::{Batches, Plan, batches_ahead};
pub use element::{Element, ElementType};
#[cfg(feature = "model")]
#[doc(hidden)]
pub use find::find;
#[cfg(feature = "model")]
pub use fingerprint::TrainingData;
pub use header::Rows;
#[cfg(feature = "exchange")]
pub(crate) use npy::parse_type as type_of_numpy;
pub use open::ReadOptions;
pub use order::Order;
pub(crate) use order::runs;
pub use row::Row;
pub use samples::{HeldOut, SamplesOf};
pub use scaling::ScalingKind;
pub use shards::Shards;
pub use source::Source;
pub use summary::{Statistics, Summary};
pub(crate) use targets::gather_pairs;
pub use writer::{RowWriter, write_idx, write_npy};
