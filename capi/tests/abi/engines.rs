//! Rows in memory, models in memory, and threads that share a model.

use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sae_capi::*;

use crate::common::*;

/// A model that threads may share.
#[derive(Clone, Copy)]
struct Model(*const SaeAutoencoder);

// SAFETY: functions that take it as const may run at once.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

fn model() -> *mut SaeAutoencoder {
    let trainer = trainer();
    // SAFETY: the handle is valid.
    unsafe {
        let model = made(|place| sae_trainer_autoencoder(trainer, 1, place));
        sae_trainer_free(trainer);
        model
    }
}

/// The codes, reconstructions and decoded codes of rows, as many at once as `at_once`.
fn computed(model: Model, rows: &[f32], at_once: usize) -> [Vec<f32>; 3] {
    let count = rows.len() / FEATURES;
    let [mut codes, mut outputs, mut decoded] =
        [vec![0.0; count * 3], vec![0.0; rows.len()], vec![0.0; rows.len()]];
    // SAFETY: the handles and the buffers are valid.
    unsafe {
        let engine = made(|place| sae_engine_new(1, place));
        for start in (0..count).step_by(at_once) {
            let end = count.min(start + at_once);
            let (row, code) = (start * FEATURES, start * 3);
            let (rows, length) = (rows[row..].as_ptr(), (end - start) * FEATURES);
            let (own, width) = (codes[code..].as_mut_ptr(), (end - start) * 3);
            fine(sae_autoencoder_encode_rows(model.0, engine, rows, length, own, width));
            let to = outputs[row..].as_mut_ptr();
            fine(sae_autoencoder_reconstruct_rows(model.0, engine, rows, length, to, length));
            let to = decoded[row..].as_mut_ptr();
            fine(sae_autoencoder_decode_rows(model.0, engine, own, width, to, length));
        }
        sae_engine_free(engine);
    }
    [codes, outputs, decoded]
}

#[test]
fn rows_have_the_bits_of_samples() {
    let (rows, model) = (values(20), model());
    // SAFETY: the handles and the buffers are valid.
    unsafe {
        let samples = samples_of(&rows);
        let (mut codes, mut outputs) = (vec![0.0; 60], vec![0.0; 240]);
        fine(sae_autoencoder_encode(model, samples, codes.as_mut_ptr(), 60));
        fine(sae_autoencoder_reconstruct(model, samples, outputs.as_mut_ptr(), 240));
        for at_once in [1, 7, 20] {
            let expected = [codes.clone(), outputs.clone(), outputs.clone()];
            assert_eq!(computed(Model(model), &rows, at_once), expected);
        }
        sae_samples_free(samples);
        sae_autoencoder_free(model);
    }
}

#[test]
fn threads_share_a_model() {
    let (rows, handle) = (values(20), model());
    let model = Model(handle);
    let expected = computed(model, &rows, 20);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for at_once in [1, 3, 20].repeat(20) {
                    assert_eq!(computed(model, &rows, at_once), expected);
                    // SAFETY: the handle is valid.
                    unsafe {
                        assert_eq!(sae_autoencoder_features(model.0), FEATURES);
                        let json = told(|place| sae_autoencoder_settings(model.0, place));
                        assert!(json.contains("layers"));
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 240);
    // SAFETY: no call uses it any more.
    unsafe { sae_autoencoder_free(handle) };
}

#[test]
fn models_are_made_of_bytes_and_make_some() {
    let (rows, model) = (values(20), model());
    // SAFETY: the handles and the buffers are valid.
    unsafe {
        let (mut bytes, mut length) = (null_mut(), 0);
        fine(sae_autoencoder_to_bytes(model, &raw mut bytes, &raw mut length));
        let file = std::env::temp_dir().join(format!("sae-capi-bytes-{}", std::process::id()));
        let path = c(file.to_str().unwrap());
        fine(sae_autoencoder_save(model, path.as_ptr()));
        assert_eq!(std::slice::from_raw_parts(bytes, length), std::fs::read(&file).unwrap());
        std::fs::remove_file(&file).unwrap();
        let again = made(|place| sae_autoencoder_from_bytes(bytes, length, 1, place));
        let expected = computed(Model(model), &rows, 20);
        assert_eq!(computed(Model(again), &rows, 20), expected);
        let cut = sae_autoencoder_from_bytes(bytes, length - 1, 1, &mut null_mut());
        refused(cut, SaeStatus::Format, "not a whole safetensors file");
        sae_bytes_free(bytes, length);
        sae_bytes_free(null_mut(), 0);
        sae_autoencoder_free(again);
        sae_autoencoder_free(model);
    }
}

#[test]
fn wrong_arguments_are_refused() {
    let (model, rows) = (model(), values(2));
    let mut codes = [7.0; 6];
    let to = codes.as_mut_ptr();
    let argument = SaeStatus::Argument;
    // SAFETY: the handles and the buffers are valid, or NULL.
    unsafe {
        let engine = made(|place| sae_engine_new(1, place));
        let encode = |model, engine, rows, length, width| {
            sae_autoencoder_encode_rows(model, engine, rows, length, to, width)
        };
        let from = rows.as_ptr();
        refused(sae_engine_new(1, null_mut()), argument, "engine: expected a pointer");
        refused(encode(null(), engine, from, 24, 6), argument, "autoencoder: expected a pointer");
        refused(encode(model, null_mut(), from, 24, 6), argument, "engine: expected a pointer");
        refused(encode(model, engine, null(), 24, 6), argument, "rows: expected a pointer");
        let shape = encode(model, engine, from, 23, 6);
        refused(shape, SaeStatus::Shape, "rows: expected a multiple of 12 numbers, got 23");
        let shape = encode(model, engine, from, 24, 5);
        refused(shape, SaeStatus::Shape, "codes: expected 2 x 3 numbers, got 5");
        let wrong = [f32::NAN; 12];
        let shape = encode(model, engine, wrong.as_ptr(), 12, 3);
        refused(shape, SaeStatus::Shape, "rows: row 0, number 0 is NaN");
        fine(encode(model, engine, from, 0, 0));
        assert_eq!(codes, [7.0; 6]);
        let mut length = 1;
        let status = sae_autoencoder_to_bytes(model, null_mut(), &raw mut length);
        refused(status, argument, "bytes: expected a pointer");
        let status = sae_autoencoder_from_bytes(null(), 3, 1, &mut null_mut());
        refused(status, argument, "bytes: expected a pointer");
        sae_engine_free(engine);
        sae_engine_free(null_mut());
        sae_autoencoder_free(model);
    }
}
