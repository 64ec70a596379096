//! Helpers of the tests of the C API.

use std::ffi::{CStr, CString, c_char};
use std::ptr::null_mut;

use sae_capi::*;

pub const FEATURES: usize = 12;
pub const JSON: &str = r#"{"layers": [12, 6, 3, 6, 12], "batch": 5, "seed": 9, "beta": 0.001}"#;

pub fn values(samples: usize) -> Vec<f32> {
    (0..samples * FEATURES).map(|i| (i * i % 31) as f32 / 31.0).collect()
}

pub fn last_error() -> String {
    // SAFETY: the text stays valid until this thread's next error.
    unsafe { CStr::from_ptr(sae_last_error()) }.to_str().unwrap().to_owned()
}

#[track_caller]
pub fn fine(status: SaeStatus) {
    assert_eq!(status, SaeStatus::Ok, "{}", last_error());
}

#[track_caller]
pub fn refused(status: SaeStatus, expected: SaeStatus, sentence: &str) {
    let text = last_error();
    assert_eq!(status, expected, "{text}");
    assert!(text.contains(sentence), "{sentence:?} is not in: {text}");
    assert!(!text.contains('\n') && text.len() < 600, "{text}");
}

pub fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// The handle that `make` writes.
#[track_caller]
pub fn made<T>(make: impl FnOnce(*mut *mut T) -> SaeStatus) -> *mut T {
    let mut handle = null_mut();
    fine(make(&mut handle));
    assert!(!handle.is_null());
    handle
}

/// The string that `make` writes, which is freed.
pub fn told(make: impl FnOnce(*mut *mut c_char) -> SaeStatus) -> String {
    let text = made(make);
    // SAFETY: the library allocated it.
    unsafe {
        let copy = CStr::from_ptr(text).to_str().unwrap().to_owned();
        sae_string_free(text);
        copy
    }
}

pub fn samples_of(values: &[f32]) -> *mut SaeSamples {
    let rows = values.len() / FEATURES;
    // SAFETY: the values are there.
    made(|place| unsafe {
        sae_samples_from_f32(values.as_ptr(), rows, FEATURES, FEATURES, 1, place)
    })
}

/// A trainer with the settings and data of `rust_trainer`.
pub fn trainer() -> *mut SaeTrainer {
    let (samples, json) = (samples_of(&values(20)), c(JSON));
    // SAFETY: handles and texts are valid.
    unsafe {
        let trainer = made(|place| sae_trainer_new(json.as_ptr(), samples, 2, place));
        sae_samples_free(samples);
        trainer
    }
}
