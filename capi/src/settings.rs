//! Settings as JSON, of which only those that differ from a preset need be named.

use std::ffi::c_char;

use sae::{Preset, Settings};
use serde_json::Value;

use crate::border::{Failure, Result, SaeStatus, guard, put_text, text, text_if_any};

fn wrong(problem: String) -> Failure {
    Failure { status: SaeStatus::Setting, text: format!("settings: {problem}") }
}

fn preset(name: &str) -> Result<Settings> {
    match name {
        "sparse" => Ok(Settings::preset(Preset::Sparse)),
        "normal" => Ok(Settings::preset(Preset::Normal)),
        _ => Err(wrong(format!("preset '{name}' is not one of sparse, normal"))),
    }
}

/// The settings that an object names, the others those of its field `preset`.
pub fn settings(json: Option<&str>) -> Result<Settings> {
    let Some(json) = json else { return Ok(Settings::default()) };
    let value: Value = serde_json::from_str(json).map_err(|e| wrong(e.to_string()))?;
    let Value::Object(mut named) = value else {
        return Err(wrong("no object of fields".to_owned()));
    };
    let base = match named.remove("preset") {
        None => Settings::default(),
        Some(Value::String(name)) => preset(&name)?,
        Some(_) => return Err(wrong("field `preset` is no name".to_owned())),
    };
    let mut all: Value = serde_json::from_str(&base.to_json()).map_err(|e| wrong(e.to_string()))?;
    for (name, value) in named {
        match all.get_mut(&name) {
            Some(place) => *place = value,
            None => {
                let known = all.as_object().into_iter().flat_map(|all| all.keys());
                let known: Vec<_> = known.map(String::as_str).collect();
                let known = known.join(", ");
                return Err(wrong(format!("field `{name}` is not one of preset, {known}")));
            }
        }
    }
    Ok(Settings::from_json(&all.to_string())?)
}

/// The settings of a preset, "sparse" or "normal", as one line of JSON: to be freed by
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
        unsafe { put_text("json", json, || Ok(preset(text("name", name)?)?.to_json())) }
    })
}

/// Checks settings, and gives all of them as one line of JSON: to be freed by `sae_string_free`.
///
/// `settings` is an object of those that differ from a preset: `{"preset": "normal", "layers": [64,
/// 16, 64], "batch": 20}`. Without `preset` the others are those of "sparse"; NULL is that preset
/// itself.
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
