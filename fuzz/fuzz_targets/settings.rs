//! Any text as settings, and as a list of layers: an error, or settings that come back the same
//! and make a network.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sae::{Autoencoder, Scaling, Settings};

fuzz_target!(|text: &str| {
    if let Ok(settings) = Settings::from_json(text) {
        let again = Settings::from_json(&settings.to_json()).expect("its own JSON");
        assert_eq!(settings, again);
    }
    // As the command's --layers is read.
    let layers: Result<Vec<usize>, _> = text.split(',').map(str::parse).collect();
    if let Ok(layers) = layers {
        let mut settings = Settings::default();
        settings.layers = layers;
        let small = settings.layers.iter().all(|&units| units <= 64) && settings.layers.len() < 64;
        if settings.validate().is_ok() && small {
            let net = Autoencoder::new(settings, Scaling::AsIs).expect("validated");
            assert!(net.parameters().iter().all(|number| number.is_finite()));
        }
    }
});
