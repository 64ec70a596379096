//! The functions of the C ABI with arguments that make no sense, and while they are at work.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::{null, null_mut};

use sae::{Preset, Settings};
use sae_capi::*;

use crate::common::*;

const NULL: &str = "NULL; a pointer was expected";

/// Refused for an argument.
#[track_caller]
fn refuse(status: SaeStatus, words: &str) {
    refused(status, SaeStatus::Argument, words);
}

#[test]
fn settings_name_what_differs_from_a_preset() {
    let complete = |json: &str| {
        let json = c(json);
        // SAFETY: the text is there.
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
    // SAFETY: NULL is the preset; the name is there.
    unsafe {
        assert_eq!(
            told(|place| sae_settings_complete(null(), place)),
            Settings::default().to_json()
        );
        let name = c("normal");
        let preset = told(|place| sae_settings_preset(name.as_ptr(), place));
        assert_eq!(preset, Settings::preset(Preset::Plain).to_json());
    }
    for (json, words) in [
        ("", "settings: EOF"),
        ("{", "settings: EOF"),
        ("7", "settings: expected an object of settings"),
        (r#"{"preset": 1}"#, "preset: expected a name"),
        (r#"{"preset": "dense"}"#, "preset: expected plain or sparse, got 'dense'"),
        (r#"{"learningrate": 1}"#, "settings: expected one of preset, layers, "),
        (r#"{"beta": "much"}"#, "beta: expected a number from 0 to 1e9, got \"much\""),
        (r#"{"target": "l0"}"#, "target: expected none, mean-activation:VALUE"),
        (r#"{"schedule": "cosine"}"#, "schedule: expected constant, cosine"),
        (r#"{"layers": [4, 2, 5]}"#, "layers"),
        (r#"{"rho": 2}"#, "rho: expected a number from 1e-6 to 0.999999, got 2"),
    ] {
        let (json, mut place) = (c(json), null_mut());
        // SAFETY: the text and the place are there.
        let status = unsafe { sae_settings_complete(json.as_ptr(), &mut place) };
        refused(status, SaeStatus::Setting, words);
        assert!(place.is_null());
    }
}

#[test]
fn the_page_s_choices_are_taken() {
    let ticked = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let mut taken = 0;
    for row in include_str!("../../../docs/c.md").lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<Vec<String>> = row.split('|').skip(1).take(2).map(ticked).collect();
        let field = &cells[0][0];
        for value in &cells[1] {
            let json = c(&format!(r#"{{"preset": "normal", "l1": 1, "{field}": {value}}}"#));
            // SAFETY: the text is there.
            told(|place| unsafe { sae_settings_complete(json.as_ptr(), place) });
            taken += 1;
        }
    }
    assert_eq!(taken, 33);
}

#[test]
fn null_is_answered_everywhere() {
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
        refuse(sae_samples_open_like(null(), s, null_mut()), NULL);
        refuse(sae_samples_from_f32(z, 1, 1, 1, 1, null_mut()), NULL);
        refuse(sae_samples_from_u8(null(), 1, 1, 1, 1, null_mut()), NULL);
        refuse(sae_samples_split(s, 1, null_mut(), null_mut()), NULL);
        refuse(sae_draw_digits(1, 1, null_mut(), 784, null_mut(), 0), NULL);
        refuse(sae_trainer_new(null(), s, 1, null_mut()), NULL);
        refuse(sae_trainer_resume(null(), s, 1, null_mut()), NULL);
        refuse(sae_trainer_checkpoint(t, null()), NULL);
        refuse(sae_trainer_step(t, null_mut()), NULL);
        refuse(sae_trainer_step_on(t, z, 1, 1, 1, 1, null_mut()), NULL);
        refuse(sae_trainer_gradient_on(t, z, 1, 1, 1, 1, zero, 1, null_mut()), NULL);
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

        // With all else in order, each of the arguments that may not be NULL.
        let (ours, samples) = (trainer(), samples_of(&values(20)));
        let net = made(|place| sae_trainer_autoencoder(ours, 1, place));
        let kernels = made(|place| sae_kernels_new(null(), place));
        let count = sae_trainer_parameter_count(ours);
        let (json, batch) = (c(JSON), values(5));
        let b = batch.as_ptr();
        let mut none = null_mut();
        refuse(sae_trainer_new(json.as_ptr(), s, 1, &mut none), "samples: NULL");
        refuse(sae_trainer_new(json.as_ptr(), samples, 1, null_mut()), "trainer: NULL");
        refuse(sae_trainer_checkpoint(ours, null()), "path: NULL");
        refuse(sae_trainer_step_on(ours, z, 5, 12, 12, 1, null_mut()), "data: NULL");
        refuse(
            sae_trainer_gradient_on(ours, b, 5, 12, 12, 1, zero, count, null_mut()),
            "gradient: NULL",
        );
        refuse(sae_trainer_step_with(ours, z, count), "gradient: NULL");
        refuse(sae_trainer_objective(ours, &step, null_mut()), "objective: NULL");
        refuse(sae_trainer_mean_activations(ours, null_mut(), 3), "means: NULL");
        refuse(sae_trainer_parameters(ours, zero, count), "parameters: NULL");
        refuse(sae_trainer_evaluate(ours, samples, null_mut(), null_mut(), 0), "evaluation: NULL");
        refuse(sae_trainer_encode(ours, s, zero, 60), "samples: NULL");
        refuse(sae_trainer_encode(ours, samples, zero, 60), "codes: NULL");
        refuse(sae_trainer_reconstruct(ours, samples, zero, 240), "reconstructions: NULL");
        refuse(sae_trainer_save(ours, null()), "path: NULL");
        refuse(sae_autoencoder_save(net, null()), "path: NULL");
        refuse(sae_autoencoder_decode(net, z, 3, zero, 12), "codes: NULL");
        refuse(sae_autoencoder_decode(net, b, 3, zero, 12), "reconstructions: NULL");
        refuse(sae_autoencoder_encode(net, samples, zero, 60), "codes: NULL");
        refuse(sae_autoencoder_reconstruct(net, s, zero, 240), "samples: NULL");
        refuse(sae_kernels_map(kernels, null(), zero, 0), "function: NULL");
        refuse(sae_kernels_gemm(kernels, 1, 1, 1, z, 1, 1, b, 1, 1, zero, 1), "a: NULL");
        sae_samples_free(samples);
        sae_trainer_free(ours);
        sae_autoencoder_free(net);
        sae_kernels_free(kernels);
    }
}

#[test]
fn a_set_that_does_not_exist_is_named_with_those_that_do() {
    let (name, mut place) = (c("sse"), null_mut());
    // SAFETY: the text and the place are there.
    let status = unsafe { sae_kernels_new(name.as_ptr(), &mut place) };
    let words = "name: 'sse': expected one of avx512, avx2, neon, portable, scalar";
    refused(status, SaeStatus::Setting, words);
    assert!(last_error().ends_with(words) && place.is_null());
}

#[test]
fn a_wrong_length_is_told_with_the_right_one() {
    let (ours, samples) = (trainer(), samples_of(&values(20)));
    let mut room = vec![7.0; 1000];
    let at = room.as_mut_ptr();
    let mut layers = [SaeActivity::default(); 4];
    let mut evaluation = SaeEvaluation::default();
    // SAFETY: handles are there, and more room than is named.
    unsafe {
        let net = made(|place| sae_trainer_autoencoder(ours, 1, place));
        let count = sae_trainer_parameter_count(ours);
        refuse(sae_trainer_encode(ours, samples, at, 59), "codes: room for 59 numbers; 60 were");
        refuse(sae_trainer_encode(ours, samples, at, 61), "codes: room for 61");
        refuse(sae_trainer_reconstruct(ours, samples, at, 60), "room for 60 numbers; 240 were");
        refuse(sae_trainer_parameters(ours, at, count + 1), "parameters: room for");
        refuse(
            sae_trainer_mean_activations(ours, at.cast(), 2),
            "means: room for 2 numbers; 3 were",
        );
        refuse(
            sae_trainer_gradient_on(ours, at, 5, 12, 12, 1, at.add(100), 5, null_mut()),
            "gradient: room for 5",
        );
        refuse(sae_trainer_step_on(ours, at, 6, 12, 12, 1, null_mut()), "batch: 6 samples; 5 were");
        refuse(
            sae_trainer_evaluate(ours, samples, &mut evaluation, layers.as_mut_ptr(), 4),
            "layers: room for 4",
        );
        refuse(sae_autoencoder_encode(net, samples, at, 0), "codes: room for 0");
        refuse(sae_autoencoder_reconstruct(net, samples, at, 1), "room for 1 numbers; 240");
        refuse(sae_autoencoder_decode(net, at, 6, at.add(100), 23), "room for 23 numbers; 24");
        refuse(sae_autoencoder_parameters(net, at, 1), "parameters: room for 1");
        refuse(
            sae_autoencoder_evaluate(net, samples, &mut evaluation, layers.as_mut_ptr(), 2),
            "layers: room for 2",
        );
        refuse(sae_trainer_step_with(ours, at, usize::MAX / 2), "more than the address space");
        refused(sae_trainer_step_with(ours, at, 3), SaeStatus::Shape, "got 3");
        assert!(room.iter().all(|&number| number == 7.0), "a call that was refused has written");
        sae_autoencoder_free(net);
        sae_samples_free(samples);
        sae_trainer_free(ours);
    }
}

#[test]
fn a_side_that_no_file_can_have_is_refused_before_memory_is_read() {
    let mut place = null_mut();
    for (rows, cols) in [(1 << 32, 1), (1, 1 << 32)] {
        // SAFETY: of the memory that is not there nothing is read.
        let status = unsafe { sae_samples_from_u8(&7, rows, cols, cols, 1, &mut place) };
        refuse(status, "data: a side of 4294967296, above 2^32 - 1");
        assert!(place.is_null());
    }
}

#[test]
fn a_training_that_diverges_says_so() {
    let (ours, mut batch) = (trainer(), values(5));
    batch[7] = f32::MAX;
    // SAFETY: the handle and the batch are there.
    unsafe {
        let status =
            sae_trainer_step_on(ours, batch.as_ptr(), 5, FEATURES, FEATURES, 1, null_mut());
        refused(status, SaeStatus::Diverged, "not finite at step 1");
        fine(sae_trainer_step(ours, null_mut()));
        sae_trainer_free(ours);
    }
}

/// Holds the trainer while another thread asks for it.
unsafe extern "C" fn ask_elsewhere(
    user: *mut c_void,
    trainer: *mut SaeTrainer,
    _: *const SaeStep,
) -> c_int {
    let (user, trainer) = (user.addr(), trainer.expose_provenance());
    assert_eq!(user, 0);
    let thread = std::thread::spawn(move || {
        // SAFETY: the handle is there, for it is not freed while it runs.
        unsafe {
            let trainer = std::ptr::with_exposed_provenance_mut(trainer);
            let status = sae_trainer_run(trainer, 1, None, null_mut());
            refused(status, SaeStatus::Busy, "trainer: at work in another call");
            sae_trainer_free(trainer);
            assert_eq!(last_error(), "trainer: at work in another call, so not freed");
        }
    });
    c_int::from(thread.join().is_err())
}

#[test]
fn what_is_at_work_lets_nobody_in() {
    let ours = trainer();
    // SAFETY: the handle is there.
    unsafe {
        fine(sae_trainer_run(ours, 3, Some(ask_elsewhere), null_mut()));
        assert_eq!(sae_trainer_steps(ours), 3);
        sae_trainer_free(ours);
    }
}

#[test]
fn a_path_that_is_no_utf_8_is_refused() {
    let (mut none, path) = (null_mut(), [b'a', 0xff, 0]);
    // SAFETY: the text ends in 0.
    let status = unsafe { sae_autoencoder_load(path.as_ptr().cast(), 1, &mut none) };
    refused(status, SaeStatus::Argument, "path: not UTF-8 after 1 bytes");
    // SAFETY: the text is the library's.
    assert_eq!(unsafe { CStr::from_ptr(sae_version()) }.to_str(), Ok(env!("CARGO_PKG_VERSION")));
}
