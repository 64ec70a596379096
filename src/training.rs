//! Training: the step, and what drives it.

pub(crate) mod backward;
mod builder;
pub(crate) mod controller;
mod corruption;
pub(crate) mod early_stopping;
pub(crate) mod gradient;
pub(crate) mod group;
pub(crate) mod lbfgs;
mod pretraining;
#[cfg(feature = "model")]
pub(crate) mod snapshot;
pub(crate) mod step;
pub(crate) mod trainer;
pub(crate) mod update;
pub(crate) mod workspace;
