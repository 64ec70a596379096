//! Any text as the command's `--layers` is read, a list of whole numbers: settings that are
//! refused, or a network and a trainer whose step does not panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sae::Settings;

#[path = "../small.rs"]
mod small;

fuzz_target!(|text: &str| {
    // clap's `value_delimiter` on `usize`.
    let layers: Result<Vec<usize>, _> = text.split(',').map(str::parse).collect();
    let Ok(layers) = layers else { return };
    let settings = Settings { layers, ..Settings::default() };
    if settings.validate().is_ok() {
        let again = Settings::from_json(&settings.to_json()).expect("its own JSON");
        assert_eq!(settings, again);
        small::train(settings);
    }
});
