//! The functions of the C API with invalid arguments, and while they are in use.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::{null, null_mut};

use sae::{Preset, Settings};
use sae_capi::*;

use crate::common::*;

const NULL: &str = "expected a pointer, got NULL";

/// Fails unless a call was refused for an argument.
#[track_caller]
fn refuse(status: SaeStatus, expected: &str) {
    refused(status, SaeStatus::Argument, expected);
}

#[test]
fn settings_are_completed_from_a_preset() {
    let complete = |json: &str| {
        let json = c(json);
        // SAFETY: the text is valid.
        told(|place| unsafe { sae_settings_complete(json.as_ptr(), place) })
    };
    let expected = Settings {
        layers: vec![64, 16, 64],
        batch: 20,
        seed: u64::MAX,
        learning_rate: 0.1 + 0.2,
        ..Settings::preset(Preset::Plain)
    };
    let json = r#"{"preset": "normal", "layers": [64, 16, 64], "batch": 20,
        "seed": 18446744073709551615, "learning_rate": 0.30000000000000004}"#;
    assert_eq!(complete(json), expected.to_json());
    assert_eq!(complete(&expected.to_json()), expected.to_json());
    assert_eq!(complete("{}"), Settings::default().to_json());
    // SAFETY: NULL is the preset; the name is valid.
    unsafe {
        assert_eq!(
            told(|place| sae_settings_complete(null(), place)),
            Settings::default().to_json()
        );
        let name = c("normal");
        let preset = told(|place| sae_settings_preset(name.as_ptr(), place));
        assert_eq!(preset, Settings::preset(Preset::Plain).to_json());
    }
    for (json, sentence) in [
        ("", "settings: EOF"),
        ("{", "settings: EOF"),
        ("7", "settings: expected an object of settings"),
        (r#"{"preset": 1}"#, "preset: expected a name"),
        (
            r#"{"preset": "dense"}"#,
            "preset: expected article, article-plain, images, top-k, batch-top-k, jump-relu",
        ),
        (r#"{"learningrate": 1}"#, "settings: expected one of preset, layers, "),
        (r#"{"beta": "much"}"#, "beta: expected a number from 0 to 1e9, got \"much\""),
        (r#"{"target": "l0"}"#, "target: expected none, mean-activation:VALUE"),
        (r#"{"schedule": "cosine"}"#, "schedule: expected constant, cosine"),
        (r#"{"layers": [4, 2]}"#, "layers"),
        (r#"{"rho": 2}"#, "rho: expected a number from 1e-6 to 0.999999, got 2"),
    ] {
        let (json, mut place) = (c(json), null_mut());
        // SAFETY: the text and the place are valid.
        let status = unsafe { sae_settings_complete(json.as_ptr(), &mut place) };
        refused(status, SaeStatus::Setting, sentence);
        assert!(place.is_null());
    }
}

#[test]
fn the_choices_in_the_docs_are_accepted() {
    let ticked = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let mut accepted = 0;
    for row in include_str!("../../../docs/c.md").lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<Vec<String>> = row.split('|').skip(1).take(2).map(ticked).collect();
        let field = &cells[0][0];
        for value in &cells[1] {
            // An optimizer may need a sparse code.
            let code = match field.as_str() {
                "code" => "",
                "l0_penalty" => {
                    r#""code": "jump-relu:1", "unit_norm": true, "layers": [9, 40, 9], "#
                }
                _ => r#""code": "top-k:20", "#,
            };
            let json = format!(r#"{{"preset": "normal", "l1": 1, {code}"{field}": {value}}}"#);
            let json = c(&json);
            // SAFETY: the text is valid.
            told(|place| unsafe { sae_settings_complete(json.as_ptr(), place) });
            accepted += 1;
        }
    }
    assert_eq!(accepted, 42);
}

#[test]
fn every_function_checks_for_null() {
    let (zero, z) = (null_mut::<f32>(), null::<f32>());
    let t = null_mut::<SaeTrainer>();
    let a = null_mut::<SaeAutoencoder>();
    let s = null_mut::<SaeSamples>();
    let k = null_mut::<SaeKernels>();
    let step = SaeStep::default();
    // SAFETY: NULL is allowed.
    unsafe {
        refuse(sae_settings_preset(null(), null_mut()), NULL);
        refuse(sae_settings_complete(null(), null_mut()), NULL);
        refuse(sae_samples_open(null(), null(), null_mut()), NULL);
        refuse(sae_samples_open_all(null(), 1, null(), null_mut()), NULL);
        refuse(sae_samples_from_source(1, 1, None, null_mut(), None, null(), null_mut()), NULL);
        refuse(sae_samples_open_like(null(), s, null_mut()), NULL);
        refuse(sae_samples_from_f32(z, 1, 1, 1, 1, null_mut()), NULL);
        refuse(sae_samples_from_u8(null(), 1, 1, 1, 1, null_mut()), NULL);
        refuse(sae_samples_split(s, 1, null_mut(), null_mut()), NULL);
        refuse(sae_samples_with_targets(s, s, null_mut()), NULL);
        refuse(sae_draw_digits(1, 1, null_mut(), 784, null_mut(), 0), NULL);
        refuse(sae_trainer_new(null(), s, 1, null_mut()), NULL);
        refuse(sae_trainer_resume(null(), s, 1, null_mut()), NULL);
        refuse(sae_trainer_checkpoint(t, null()), NULL);
        refuse(sae_trainer_step(t, null_mut()), NULL);
        refuse(sae_trainer_step_on(t, z, 1, 1, 1, 1, null_mut()), NULL);
        refuse(sae_trainer_gradient_on(t, z, 1, 1, 1, 1, zero, 1, null_mut()), NULL);
        refuse(sae_trainer_input_gradient(t, zero, 1), NULL);
        refuse(sae_trainer_step_with(t, z, 1), NULL);
        refuse(sae_trainer_run(t, 1, None, null_mut()), NULL);
        refuse(sae_trainer_objective(t, null(), null_mut()), NULL);
        refuse(sae_trainer_objective(t, &step, null_mut()), NULL);
        refuse(sae_trainer_mean_activations(t, null_mut(), 1), NULL);
        refuse(sae_trainer_parameters(t, zero, 1), NULL);
        refuse(sae_trainer_settings(t, null_mut()), NULL);
        refuse(sae_trainer_evaluate(t, s, null_mut(), null_mut(), 0), NULL);
        refuse(sae_trainer_encode(t, s, zero, 1), NULL);
        refuse(sae_trainer_reconstruct(t, s, zero, 1), NULL);
        refuse(sae_trainer_save(t, null()), NULL);
        refuse(sae_trainer_autoencoder(t, 1, null_mut()), NULL);
        refuse(sae_autoencoder_load(null(), 1, null_mut()), NULL);
        refuse(sae_autoencoder_save(a, null()), NULL);
        refuse(sae_autoencoder_open(a, null(), null_mut()), NULL);
        refuse(sae_autoencoder_parameters(a, zero, 1), NULL);
        refuse(sae_autoencoder_settings(a, null_mut()), NULL);
        refuse(sae_autoencoder_evaluate(a, s, null_mut(), null_mut(), 0), NULL);
        refuse(sae_autoencoder_encode(a, s, zero, 1), NULL);
        refuse(sae_autoencoder_decode(a, z, 0, zero, 0), NULL);
        refuse(sae_autoencoder_reconstruct(a, s, zero, 1), NULL);
        refuse(sae_kernels_new(null(), null_mut()), NULL);
        refuse(sae_kernels_gemm(k, 1, 1, 1, z, 1, 1, z, 1, 1, zero, 1), NULL);
        refuse(sae_kernels_map(k, null(), zero, 0), NULL);
        assert_eq!(sae_samples_count(s) + sae_samples_features(s), 0);
        assert_eq!(sae_trainer_hidden_layers(t) + sae_trainer_parameter_count(t), 0);
        assert_eq!(sae_trainer_steps(t), 0);
        assert_eq!(sae_autoencoder_features(a) + sae_autoencoder_code_units(a), 0);
        assert_eq!(sae_autoencoder_hidden_layers(a) + sae_autoencoder_parameter_count(a), 0);
        assert!(sae_kernels_name(k).is_null());
        sae_string_free(null_mut());
        sae_samples_free(s);
        sae_trainer_free(t);
        sae_autoencoder_free(a);
        sae_kernels_free(k);

        // Each argument that may not be NULL, the others being valid.
        let (ours, samples) = (trainer(), samples_of(&values(20)));
        let net = made(|place| sae_trainer_autoencoder(ours, 1, place));
        let kernels = made(|place| sae_kernels_new(null(), place));
        let count = sae_trainer_parameter_count(ours);
        let (json, batch) = (c(JSON), values(5));
        let b = batch.as_ptr();
        let mut none = null_mut();
        refuse(
            sae_trainer_new(json.as_ptr(), s, 1, &mut none),
            "samples: expected a pointer, got NULL",
        );
        refuse(
            sae_trainer_new(json.as_ptr(), samples, 1, null_mut()),
            "trainer: expected a pointer, got NULL",
        );
        refuse(sae_trainer_checkpoint(ours, null()), "path: expected a pointer, got NULL");
        refuse(
            sae_trainer_step_on(ours, z, 5, 12, 12, 1, null_mut()),
            "data: expected a pointer, got NULL",
        );
        refuse(
            sae_trainer_gradient_on(ours, b, 5, 12, 12, 1, zero, count, null_mut()),
            "gradient: expected a pointer, got NULL",
        );
        refuse(
            sae_trainer_input_gradient(ours, zero, count),
            "gradient: expected a pointer, got NULL",
        );
        refuse(sae_trainer_step_with(ours, z, count), "gradient: expected a pointer, got NULL");
        refuse(
            sae_trainer_objective(ours, &step, null_mut()),
            "objective: expected a pointer, got NULL",
        );
        refuse(
            sae_trainer_mean_activations(ours, null_mut(), 3),
            "means: expected a pointer, got NULL",
        );
        refuse(
            sae_trainer_parameters(ours, zero, count),
            "parameters: expected a pointer, got NULL",
        );
        refuse(
            sae_trainer_evaluate(ours, samples, null_mut(), null_mut(), 0),
            "evaluation: expected a pointer, got NULL",
        );
        refuse(sae_trainer_encode(ours, s, zero, 60), "samples: expected a pointer, got NULL");
        refuse(sae_trainer_encode(ours, samples, zero, 60), "codes: expected a pointer, got NULL");
        refuse(
            sae_trainer_reconstruct(ours, samples, zero, 240),
            "reconstructions: expected a pointer, got NULL",
        );
        refuse(sae_trainer_save(ours, null()), "path: expected a pointer, got NULL");
        refuse(sae_autoencoder_save(net, null()), "path: expected a pointer, got NULL");
        refuse(sae_autoencoder_decode(net, z, 3, zero, 12), "codes: expected a pointer, got NULL");
        refuse(
            sae_autoencoder_decode(net, b, 3, zero, 12),
            "reconstructions: expected a pointer, got NULL",
        );
        refuse(
            sae_autoencoder_encode(net, samples, zero, 60),
            "codes: expected a pointer, got NULL",
        );
        refuse(
            sae_autoencoder_reconstruct(net, s, zero, 240),
            "samples: expected a pointer, got NULL",
        );
        refuse(sae_kernels_map(kernels, null(), zero, 0), "function: expected a pointer, got NULL");
        refuse(
            sae_kernels_gemm(kernels, 1, 1, 1, z, 1, 1, b, 1, 1, zero, 1),
            "a: expected a pointer, got NULL",
        );
        sae_samples_free(samples);
        sae_trainer_free(ours);
        sae_autoencoder_free(net);
        sae_kernels_free(kernels);
    }
}

#[test]
fn an_unknown_instruction_set_is_reported_with_the_known_ones() {
    let (name, mut place) = (c("sse"), null_mut());
    // SAFETY: the text and the place are valid.
    let status = unsafe { sae_kernels_new(name.as_ptr(), &mut place) };
    let sentence = "name: 'sse': expected one of avx512, avx2, neon, portable, scalar";
    refused(status, SaeStatus::Setting, sentence);
    assert!(last_error().ends_with(sentence) && place.is_null());
}

#[test]
fn a_wrong_length_is_reported_with_the_expected_one() {
    let (ours, samples) = (trainer(), samples_of(&values(20)));
    let mut room = vec![7.0; 1000];
    let at = room.as_mut_ptr();
    let mut layers = [SaeActivity::default(); 4];
    let mut evaluation = SaeEvaluation::default();
    // SAFETY: handles are valid, and buffers longer than their lengths.
    unsafe {
        let net = made(|place| sae_trainer_autoencoder(ours, 1, place));
        let count = sae_trainer_parameter_count(ours);
        refuse(sae_trainer_encode(ours, samples, at, 59), "codes: expected a length of 60, got 59");
        refuse(sae_trainer_encode(ours, samples, at, 61), "codes: expected a length of 60, got 61");
        refuse(sae_trainer_reconstruct(ours, samples, at, 60), "expected a length of 240, got 60");
        refuse(sae_trainer_parameters(ours, at, count + 1), "parameters: expected a length of");
        refuse(
            sae_trainer_mean_activations(ours, at.cast(), 2),
            "means: expected a length of 3, got 2",
        );
        refuse(
            sae_trainer_gradient_on(ours, at, 5, 12, 12, 1, at.add(100), 5, null_mut()),
            "gradient: expected a length of",
        );
        refuse(
            sae_trainer_step_on(ours, at, 6, 12, 12, 1, null_mut()),
            "batch: expected 1 to 5 samples, got 6",
        );
        refuse(
            sae_trainer_step_on(ours, at, 0, 12, 12, 1, null_mut()),
            "data: expected at least one row and column, got 0 x 12",
        );
        refused(
            sae_trainer_input_gradient(ours, at.cast(), 60),
            SaeStatus::Shape,
            "there was none since the last step",
        );
        refuse(
            sae_trainer_evaluate(ours, samples, &mut evaluation, layers.as_mut_ptr(), 4),
            "layers: expected a length of 3, got 4",
        );
        refuse(
            sae_autoencoder_encode(net, samples, at, 0),
            "codes: expected a length of 60, got 0",
        );
        refuse(sae_autoencoder_reconstruct(net, samples, at, 1), "expected a length of 240, got 1");
        refuse(
            sae_autoencoder_decode(net, at, 6, at.add(100), 23),
            "expected a length of 24, got 23",
        );
        refuse(sae_autoencoder_parameters(net, at, 1), "parameters: expected a length of");
        refuse(
            sae_autoencoder_evaluate(net, samples, &mut evaluation, layers.as_mut_ptr(), 2),
            "layers: expected a length of 3, got 2",
        );
        refuse(sae_trainer_step_with(ours, at, usize::MAX / 2), "exceed the address space");
        refused(
            sae_trainer_step_with(ours, at, 3),
            SaeStatus::Shape,
            "expected a gradient of 207 numbers",
        );
        assert!(
            room.iter().all(|&number| number == 7.0),
            "a call that was refused wrote to the buffer"
        );
        sae_autoencoder_free(net);
        sae_samples_free(samples);
        sae_trainer_free(ours);
    }
}

#[test]
fn too_many_rows_are_refused_before_memory_is_read() {
    let mut place = null_mut();
    for (rows, cols) in [(1 << 32, 1), (1, 1 << 32)] {
        // SAFETY: it is refused before the memory is read.
        let status = unsafe { sae_samples_from_u8(&7, rows, cols, cols, 1, &mut place) };
        refuse(status, "data: expected at most 4294967295 rows and columns, got");
        assert!(place.is_null());
    }
}

#[test]
fn a_training_that_diverges_fails() {
    let (ours, mut batch) = (trainer(), values(5));
    batch[7] = f32::MAX;
    // SAFETY: the handle and the batch are valid.
    unsafe {
        let status =
            sae_trainer_step_on(ours, batch.as_ptr(), 5, FEATURES, FEATURES, 1, null_mut());
        refused(status, SaeStatus::Diverged, "not finite at step 1");
        fine(sae_trainer_step(ours, null_mut()));
        sae_trainer_free(ours);
    }
}

/// Uses the trainer from another thread while it runs.
unsafe extern "C" fn use_elsewhere(
    user: *mut c_void,
    trainer: *mut SaeTrainer,
    _: *const SaeStep,
) -> c_int {
    let (user, trainer) = (user.addr(), trainer.expose_provenance());
    assert_eq!(user, 0);
    let thread = std::thread::spawn(move || {
        // SAFETY: the handle is valid: it is not freed while it runs.
        unsafe {
            let trainer = std::ptr::with_exposed_provenance_mut(trainer);
            let status = sae_trainer_run(trainer, 1, None, null_mut());
            refused(status, SaeStatus::Busy, "trainer: in use by another call");
            sae_trainer_free(trainer);
            assert_eq!(last_error(), "trainer: in use by another call, so not freed");
        }
    });
    c_int::from(thread.join().is_err())
}

#[test]
fn a_handle_in_use_refuses_calls() {
    let ours = trainer();
    // SAFETY: the handle is valid.
    unsafe {
        fine(sae_trainer_run(ours, 3, Some(use_elsewhere), null_mut()));
        assert_eq!(sae_trainer_steps(ours), 3);
        sae_trainer_free(ours);
    }
}

#[test]
fn a_path_that_is_not_utf_8_is_refused() {
    let (mut none, path) = (null_mut(), [b'a', 0xff, 0]);
    // SAFETY: the text is NUL-terminated.
    let status = unsafe { sae_autoencoder_load(path.as_ptr().cast(), 1, &mut none) };
    refused(status, SaeStatus::Argument, "path: expected UTF-8, got an invalid byte at 1");
    // SAFETY: the text belongs to the library.
    assert_eq!(unsafe { CStr::from_ptr(sae_version()) }.to_str(), Ok(env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_header_has_the_version() {
    let header = include_str!("../../include/sae.h");
    let lines = [
        concat!("#define SAE_VERSION_MAJOR ", env!("CARGO_PKG_VERSION_MAJOR")),
        concat!("#define SAE_VERSION_MINOR ", env!("CARGO_PKG_VERSION_MINOR")),
        concat!("#define SAE_VERSION_PATCH ", env!("CARGO_PKG_VERSION_PATCH")),
        concat!("#define SAE_VERSION \"", env!("CARGO_PKG_VERSION"), "\""),
    ];
    for line in lines {
        assert!(header.lines().any(|it| it == line), "{line}: set it in capi/cbindgen.toml");
    }
}
