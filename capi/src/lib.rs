//! The C API of `sae`. `include/sae.h` declares and documents it; cbindgen generates that header from
//! this crate (`scripts/capi.sh`). `docs/c.md` is the guide for its users.
//!
//! The body of every function runs inside `error::guard`, which turns errors and panics into a
//! status and a message. Handles accept one call at a time, but for `const` autoencoders and samples.

// In the order of the header.
mod error;

mod pointers;

mod strided;

mod settings;

mod data;

mod evaluation;

mod network;

mod trainer;

mod progress;

mod autoencoder;

mod engine;

mod kernels;

pub use autoencoder::*;
pub use data::*;
pub use engine::*;
pub use error::{SaeStatus, sae_last_error, sae_string_free, sae_version};
pub use evaluation::{SaeActivity, SaeEvaluation};
pub use kernels::*;
pub use progress::*;
pub use settings::{sae_settings_complete, sae_settings_preset};
pub use trainer::*;

/// What the header says about threads, checked by the compiler.
const _: () = {
    const fn any_thread<T: Send + Sync>() {}
    any_thread::<SaeSamples>();
    any_thread::<SaeTrainer>();
    any_thread::<SaeAutoencoder>();
    any_thread::<SaeEngine>();
    any_thread::<SaeKernels>();
};
