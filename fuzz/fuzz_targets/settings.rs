//! Any text as settings: an error, or settings that come back the same, and make a network and a
//! trainer whose step does not panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sae::Settings;

#[path = "../small.rs"]
mod small;

fuzz_target!(|text: &str| {
    if let Ok(settings) = Settings::from_json(text) {
        settings.validate().expect("validated");
        let again = Settings::from_json(&settings.to_json()).expect("its own JSON");
        assert_eq!(settings, again);
        small::train(settings);
    }
});
