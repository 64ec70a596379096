//! What a network does to a data set, what its units respond to, and whether its gradient is right.

mod evaluate;
pub(crate) mod evaluation;
#[cfg(feature = "gradient-check")]
mod gradient_check;
mod histogram;
mod preferred_inputs;
mod probe;
mod reconstruction;
mod revival;
mod score;
mod similarity;
mod units;
mod warnings;

pub use evaluation::{Activity, tells_dead_units};
#[cfg(feature = "gradient-check")]
pub use gradient_check::BlockError;
pub use histogram::Histogram;
pub use probe::{Labeled, Probe, probe};
pub use score::SampleScore;
pub use similarity::NearestUnits;
pub use units::{TopSample, UnitOptions, UnitSummary};
