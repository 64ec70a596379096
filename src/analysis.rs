//! What a network does to a data set, and what its units look for.

pub(crate) mod evaluation;
mod gradient_check;
mod preferred_inputs;
mod probe;
mod revival;

pub use evaluation::{Activity, Histogram};
pub use gradient_check::BlockError;
pub use probe::{Labeled, Probe, probe};
