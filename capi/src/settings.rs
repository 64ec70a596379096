//! Settings as JSON, of which only those that differ from a preset need be named.

use std::ffi::c_char;

use sae::{Preset, Samples, Settings};

use crate::border::{Result, SaeStatus, guard, put_text, text, text_if_any};

/// The settings for a training on samples: what JSON does not name is that of its preset, fitted
/// to the samples.
pub fn settings_for(json: Option<&str>, samples: &Samples) -> Result<Settings> {
    let options = json.map(Settings::options_of_json).transpose()?.unwrap_or_default();
    Ok(Settings::with_options(None, &options, samples, None)?)
}

/// The settings that JSON names, the others those of its preset.
fn settings(json: Option<&str>) -> Result<Settings> {
    let mut settings = Settings::default();
    for (name, text) in json.map(Settings::options_of_json).transpose()?.unwrap_or_default() {
        settings.set(name, &text, None)?;
    }
    settings.validate()?;
    Ok(settings)
}

/// The settings of a preset, "sparse" or "plain", as one line of JSON: to be freed by
/// `sae_string_free`.
///
/// # Safety
/// `name` is NULL or a string that ends in 0; `json` is NULL or to room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_settings_preset(
    name: *const c_char,
    json: *mut *mut c_char,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            put_text("json", json, || {
                Ok(Settings::preset(text("name", name)?.parse::<Preset>()?).to_json())
            })
        }
    })
}

/// Checks settings, and gives all of them as one line of JSON: to be freed by `sae_string_free`.
///
/// `settings` is an object of those that differ from a preset: `{"preset": "plain", "layers": [64,
/// 16, 64], "batch": 20, "code": "top-k:4"}`. Without `preset` the others are those of "sparse";
/// NULL is that preset itself. (A trainer fits what is not named to its samples; this does not.)
///
/// # Safety
/// `settings` is NULL or a string that ends in 0; `json` is NULL or to room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_settings_complete(
    settings: *const c_char,
    json: *mut *mut c_char,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            put_text("json", json, || {
                Ok(self::settings(text_if_any("settings", settings)?)?.to_json())
            })
        }
    })
}
