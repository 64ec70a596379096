//! The C ABI of `sae`. What C sees, with every function's words, is `include/sae.h`, which cbindgen
//! makes of this crate (`scripts/capi.sh`); `docs/c.md` is the page for its users.
//!
//! Every function goes through `border::guard`: an error becomes a status and a text, and so does a
//! panic. Every handle lets one call in at a time.

// In the order of the header.
mod border;

mod settings;

mod data;

mod evaluation;

mod trainer;

mod autoencoder;

mod kernels;

pub use autoencoder::*;
pub use border::{SaeStatus, sae_last_error, sae_string_free, sae_version};
pub use data::*;
pub use evaluation::{SaeActivity, SaeEvaluation};
pub use kernels::*;
pub use settings::{sae_settings_complete, sae_settings_preset};
pub use trainer::*;

/// What the header says of threads, for the compiler to check.
const _: () = {
    const fn any_thread<T: Send + Sync>() {}
    any_thread::<SaeSamples>();
    any_thread::<SaeTrainer>();
    any_thread::<SaeAutoencoder>();
    any_thread::<SaeKernels>();
};
