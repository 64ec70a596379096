//! Training: the step, what drives it, and what loops of the caller's need.

pub(crate) mod activation_penalty;
mod auxiliary;
pub(crate) mod backward;
pub(crate) mod batch;
mod bounds;
pub(crate) mod builder;
mod centering;
pub(crate) mod controller;
mod corruption;
pub(crate) mod dead_units;
pub(crate) mod early_stopping;
mod forward;
pub(crate) mod gradient;
pub(crate) mod gradient_norm;
mod input_gradient;
mod largest_weights;
pub(crate) mod lbfgs;
pub(crate) mod loops;
pub(crate) mod objective;
mod optimizer;
mod output;
mod penalized;
mod prefixes;
mod pretraining;
pub(crate) mod reduction;
mod skip;
#[cfg(feature = "model")]
pub(crate) mod snapshot;
mod start;
pub(crate) mod step;
mod thresholds;
pub(crate) mod trainer;
pub(crate) mod units;
pub(crate) mod update;
pub(crate) mod workspace;

pub use activation_penalty::{Activations, Row};
pub use batch::Batch;
pub use loops::StepContext;
