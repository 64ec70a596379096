//! Settings as JSON, where only those that differ from a preset need to be named.

use std::ffi::c_char;

use sae::{Preset, Samples, Settings};

use crate::error::{Result, SaeStatus};
use crate::pointers::{new_string, optional_text, text};

/// The settings that JSON names, each with its text.
fn options(json: Option<&str>) -> Result<Vec<(&'static str, String)>> {
    Ok(json.map(Settings::options_of_json).transpose()?.unwrap_or_default())
}

/// The settings of a training on samples: what JSON does not name is the preset's, fitted to the
/// samples.
pub fn settings_for(json: Option<&str>, samples: &Samples) -> Result<Settings> {
    Ok(Settings::with_options(None, &options(json)?, samples, None)?)
}

/// The settings of a preset, "article" or "top-k" for example, as one line of JSON, for 784 features and
/// the preset's usual number of steps. Free it with `sae_string_free`.
///
/// # Safety
/// `name` is NULL or a NUL-terminated string; `json` is NULL or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_settings_preset(
    name: *const c_char,
    json: *mut *mut c_char,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_string("json", json, || {
            Ok(Settings::preset(text("name", name)?.parse::<Preset>()?).to_json())
        })
    }
}

/// Checks settings and completes them: all settings as one line of JSON. Free it with
/// `sae_string_free`.
///
/// `settings` is a JSON object of the settings that differ from a preset: `{"preset": "top-k",
/// "layers": [64, 256, 64], "batch": 200}`. The preset is "article" if the object
/// names none or is NULL. (`sae_trainer_new` also fits settings that are not named to its samples;
/// this function has no samples.)
///
/// # Safety
/// `settings` is NULL or a NUL-terminated string; `json` is NULL or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_settings_complete(
    settings: *const c_char,
    json: *mut *mut c_char,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_string("json", json, || {
            let options = options(optional_text("settings", settings)?)?;
            Ok(Settings::completed(&options)?.to_json())
        })
    }
}
