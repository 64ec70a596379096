//! Any bytes as a dictionary of another library: an error of one sentence, or a network that is a model.
//!
//! The first byte chooses the format; of folders two bytes are the length of the configuration, which follows,
//! and the rest are the weights.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sae::Autoencoder;
use sae::files::exchange::import;

#[path = "../limit.rs"]
mod limit;

#[global_allocator]
static MEMORY: limit::Limited = limit::Limited;

/// A folder for each format.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("sae-fuzz-exchange-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        for format in ["saelens", "sparsify", "gemma"] {
            fs::create_dir_all(folder.join(format)).expect("a folder for temporary files");
        }
        folder
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&format, bytes)) = bytes.split_first() else { return };
    let (folder, most) = if format % 3 == 2 {
        let folder = folder().join("gemma");
        fs::write(folder.join("params.npz"), bytes).expect("space");
        // Deflate makes a byte of at most 1032.
        (folder, 16 * 1032 * bytes.len() + (4 << 20))
    } else {
        let (name, weights) = match format % 3 {
            0 => ("saelens", "sae_weights.safetensors"),
            _ => ("sparsify", "sae.safetensors"),
        };
        let Some((&length, rest)) = bytes.split_first_chunk() else { return };
        let (config, rest) = rest.split_at(rest.len().min(u16::from_le_bytes(length).into()));
        let folder = folder().join(name);
        fs::write(folder.join("cfg.json"), config).expect("space");
        fs::write(folder.join(weights), rest).expect("space");
        // Bytes become numbers of four bytes, which are there twice, and a vector of them that grows.
        (folder, 24 * bytes.len() + (4 << 20))
    };
    match limit::within(most, || import(&folder)) {
        Ok(net) => {
            let bytes = net.to_bytes().expect("finite");
            assert_eq!(net, Autoencoder::from_bytes("fuzz", &bytes).expect("its own bytes"));
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 2000, "{text}");
        }
    }
});
