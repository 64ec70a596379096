//! Any bytes as a model file: an error or a model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sae::Autoencoder;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("sae-fuzz-{}.safetensors", std::process::id()));
    if std::fs::write(&path, bytes).is_ok() {
        let _ = Autoencoder::load(&path);
    }
});
