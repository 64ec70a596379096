//! The network: its layers and their parameters, the forward pass, exactly sparse codes.

mod activations;
pub(crate) mod activity;
pub(crate) mod autoencoder;
mod batch_selection;
mod begin;
pub(crate) mod codes;
pub(crate) mod ends;
mod fold;
pub(crate) mod forward;
pub(crate) mod gate;
pub(crate) mod layers;
mod pass;
pub(crate) mod reach;
mod rows;
pub(crate) mod skip;
mod sparse_codes;
pub(crate) mod transcoder;

pub use layers::Layer;
pub use sparse_codes::SparseCodes;
