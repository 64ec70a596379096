//! Model files of earlier versions, and files that are no model.
#![cfg(feature = "model")]

use sae::{Activation, Autoencoder, Scaling};

fn recorded(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name)
}

/// Written by version 0.1.0 while it used the crate `safetensors`: 784-4-784, 50 steps on drawn
/// digits.
#[test]
fn a_file_of_version_1_loads() {
    let net = Autoencoder::load(recorded("model-v1.safetensors")).unwrap();
    let settings = net.settings();
    assert_eq!(settings.layers, [784, 4, 784]);
    assert_eq!((settings.rho, settings.seed, settings.batch), (0.3, 7, 20));
    assert_eq!(settings.activation, Activation::Sigmoid);
    assert_eq!(net.scaling(), Scaling::Byte);
    // FNV-1a over the numbers' bits.
    let bytes = net.parameters().iter().flat_map(|number| number.to_bits().to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    assert_eq!(hash, HASH, "{hash:#018x}");
}

const HASH: u64 = 0x916b_81a7_856b_dd2c;

#[test]
fn it_is_written_again_as_it_was_read() {
    let path = recorded("model-v1.safetensors");
    let net = Autoencoder::load(&path).unwrap();
    assert_eq!(Autoencoder::from_bytes(&path, &net.to_bytes()).unwrap(), net);
}
