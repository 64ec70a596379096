//! Any bytes as a model file: an error, or a model that is written again as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sae::Autoencoder;

#[path = "../limit.rs"]
mod limit;

#[global_allocator]
static MEMORY: limit::Limited = limit::Limited;

fuzz_target!(|bytes: &[u8]| {
    // A header takes 1 MiB at most; the numbers are there once more, in a vector that grows.
    let most = 4 * bytes.len() + (1 << 20);
    if let Ok(net) = limit::within(most, || Autoencoder::from_bytes("fuzz", bytes)) {
        let bytes = net.to_bytes().expect("finite");
        let again = Autoencoder::from_bytes("fuzz", &bytes).expect("its own bytes");
        assert_eq!(net, again);
    }
});
