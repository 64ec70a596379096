//! The functions of the C API, called as C calls them, against the results of the library.

use std::ffi::{CStr, CString, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

use sae::{
    Activation, Autoencoder, Samples, Scaling, Settings, Trainer,
    data::{Array, ScalingKind, digits, write_idx},
};
use sae_capi::*;

use crate::common::*;

fn rust_trainer() -> Trainer {
    let samples = Samples::from_values(values(20), FEATURES).unwrap();
    let settings = Settings {
        layers: vec![12, 6, 3, 6, 12],
        batch: 5,
        seed: 9,
        beta: 0.001,
        ..Settings::default()
    }
    .fitted_to(&samples);
    Trainer::builder(settings).threads(1).build(&samples).unwrap()
}

fn parameters(trainer: *mut SaeTrainer) -> Vec<u32> {
    // SAFETY: the handle and the buffer are valid.
    unsafe {
        let mut numbers = vec![0.0; sae_trainer_parameter_count(trainer)];
        fine(sae_trainer_parameters(trainer, numbers.as_mut_ptr(), numbers.len()));
        bits(&numbers)
    }
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sae-capi-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> CString {
        c(self.0.join(name).to_str().unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn path(name: &CString) -> &Path {
    Path::new(name.to_str().unwrap())
}

#[test]
fn every_kind_of_step_has_the_bits_of_the_library() {
    let (mut rust, ours) = (rust_trainer(), trainer());
    // SAFETY: handles, buffers and pointers are valid.
    unsafe {
        let mut step = SaeStep::default();
        for _ in 0..7 {
            let report = rust.step().unwrap();
            fine(sae_trainer_step(ours, &mut step));
            assert_eq!((step.loss, step.sparsity, step.l1), (report.loss, report.sparsity, 0.0));
            assert_eq!((step.penalty, step.l0), (report.penalty, report.l0));
            let mut objective = 0.0;
            fine(sae_trainer_objective(ours, &step, &mut objective));
            assert_eq!(objective, rust.objective(report));
        }
        assert_eq!(step.step, 7);

        // A batch that is contiguous, column-major, with gaps between rows, and with gaps between columns.
        let batch = &values(5)[..];
        let mut columns = vec![0.0; batch.len()];
        let mut apart = vec![f32::NAN; 5 * 15];
        let mut gaps = vec![f32::NAN; 5 * 40];
        for (at, &number) in batch.iter().enumerate() {
            let (row, col) = (at / FEATURES, at % FEATURES);
            columns[col * 5 + row] = number;
            apart[row * 15 + col] = number;
            gaps[row * 40 + col * 3] = number;
        }
        for (data, rows, cols) in
            [(batch, FEATURES, 1), (&columns, 1, 5), (&apart, 15, 1), (&gaps, 40, 3)]
        {
            rust.step_on(batch).unwrap();
            fine(sae_trainer_step_on(ours, data.as_ptr(), 5, FEATURES, rows, cols, &mut step));
            assert_eq!(parameters(ours), bits(rust.autoencoder().parameters()));
        }
        assert_eq!(step.step, 11);

        let mut gradient = vec![0.0; sae_trainer_parameter_count(ours)];
        let data = columns.as_ptr();
        let (at, length) = (gradient.as_mut_ptr(), gradient.len());
        fine(sae_trainer_gradient_on(ours, data, 5, FEATURES, 1, 5, at, length, &mut step));
        let (report, expected) = rust.gradient_on(batch).unwrap();
        assert_eq!((bits(&gradient), step.loss), (bits(expected), report.loss));
        let (mut by_inputs, mut of_rust) = (vec![0.0; batch.len()], vec![0.0; batch.len()]);
        fine(sae_trainer_input_gradient(ours, by_inputs.as_mut_ptr(), by_inputs.len()));
        rust.input_gradient(&mut of_rust).unwrap();
        assert_eq!(bits(&by_inputs), bits(&of_rust));
        rust.apply_gradient(&gradient).unwrap();
        fine(sae_trainer_step_with(ours, gradient.as_ptr(), gradient.len()));

        // A batch of fewer rows.
        let few = &batch[..2 * FEATURES];
        fine(sae_trainer_step_on(ours, few.as_ptr(), 2, FEATURES, FEATURES, 1, null_mut()));
        rust.step_on(few).unwrap();
        fine(sae_trainer_run(ours, 9, None, null_mut()));
        rust.run(9, |_, _| std::ops::ControlFlow::Continue(())).unwrap();
        assert_eq!((sae_trainer_steps(ours), rust.steps()), (22, 22));
        assert_eq!(parameters(ours), bits(rust.autoencoder().parameters()));

        let mut means = [0.0; 3];
        assert_eq!(sae_trainer_hidden_layers(ours), 3);
        fine(sae_trainer_mean_activations(ours, means.as_mut_ptr(), 3));
        assert!(means.into_iter().eq(rust.mean_activations()));
        sae_trainer_free(ours);
    }
}

#[test]
fn settings_that_are_not_named_are_fitted_to_the_samples() {
    let (numbers, samples) = (values(20), samples_of(&values(20)));
    let fitted = Settings::default().fitted_to(&Samples::from_values(numbers, FEATURES).unwrap());
    assert_eq!(fitted.output_activation, Activation::Linear);
    let sigmoid = Settings { output_activation: Activation::Sigmoid, ..fitted.clone() };
    let named = c(r#"{"output_activation": "sigmoid"}"#);
    // SAFETY: handles and texts are valid.
    unsafe {
        for (json, expected) in [(null(), fitted), (named.as_ptr(), sigmoid)] {
            let trainer = made(|place| sae_trainer_new(json, samples, 1, place));
            assert_eq!(told(|place| sae_trainer_settings(trainer, place)), expected.to_json());
            sae_trainer_free(trainer);
        }
        sae_samples_free(samples);
    }
}

/// Counts its calls, and ends the run after the third.
unsafe extern "C" fn count(
    user: *mut c_void,
    trainer: *mut SaeTrainer,
    step: *const SaeStep,
) -> c_int {
    // SAFETY: `sae_trainer_run` was called with these.
    let (calls, step) = unsafe { (&mut *user.cast::<u64>(), &*step) };
    *calls += 1;
    // SAFETY: the handle is valid.
    let steps = unsafe { sae_trainer_steps(trainer) };
    assert_eq!((step.step, steps), (*calls, *calls));
    c_int::from(*calls == 3)
}

#[test]
fn a_callback_ends_a_run() {
    let (ours, mut calls) = (trainer(), 0_u64);
    // SAFETY: the handle and what the callback is given are valid.
    unsafe {
        fine(sae_trainer_run(ours, 100, Some(count), (&raw mut calls).cast()));
        assert_eq!((calls, sae_trainer_steps(ours)), (3, 3));
        sae_trainer_free(ours);
    }
}

#[test]
fn results_are_those_of_the_library() {
    let (mut rust, ours) = (rust_trainer(), trainer());
    let folder = Folder::new("results");
    let (model, copy) = (folder.file("m.safetensors"), folder.file("c.safetensors"));
    let test = values(7);
    let (samples, rust_samples) =
        (samples_of(&test), Samples::from_values(test.clone(), FEATURES).unwrap());
    // SAFETY: handles, buffers and pointers are valid.
    unsafe {
        fine(sae_trainer_run(ours, 30, None, null_mut()));
        rust.run(30, |_, _| std::ops::ControlFlow::Continue(())).unwrap();
        let expected = rust.evaluate(&rust_samples).unwrap();
        let codes = bits(&rust.encode(&rust_samples).unwrap());
        let reconstructions = bits(&{
            let (engine, net) = rust.parts();
            net.reconstruct(engine, &rust_samples).unwrap()
        });

        fine(sae_trainer_save(ours, model.as_ptr()));
        assert_eq!(&Autoencoder::load(path(&model)).unwrap(), rust.autoencoder());
        let loaded = made(|place| sae_autoencoder_load(model.as_ptr(), 1, place));
        let cloned = made(|place| sae_trainer_autoencoder(ours, 0, place));
        fine(sae_autoencoder_save(cloned, copy.as_ptr()));
        assert_eq!(std::fs::read(path(&copy)).unwrap(), std::fs::read(path(&model)).unwrap());

        let mut evaluation = SaeEvaluation::default();
        let mut layers = [SaeActivity::default(); 3];
        let mut seen = |evaluate: &dyn Fn(*mut SaeEvaluation, *mut SaeActivity) -> SaeStatus| {
            (evaluation, layers) = Default::default();
            fine(evaluate(&mut evaluation, layers.as_mut_ptr()));
            let SaeEvaluation { objective, loss, sparsity, l1, penalty, .. } = evaluation;
            assert_eq!((objective, loss), (expected.objective, expected.loss));
            assert_eq!((sparsity, l1), (expected.sparsity, expected.l1));
            assert_eq!(
                (penalty, evaluation.weight_decay),
                (expected.penalty, expected.weight_decay)
            );
            assert_eq!(evaluation.squared_error, expected.squared_error);
            assert_eq!(evaluation.explained_variance, expected.explained_variance);
            for (l, layer) in layers.iter().enumerate() {
                assert_eq!(layer.units, expected.units[l].len());
                assert_eq!(layer.mean_activation, expected.mean_activations()[l]);
                assert_eq!(layer.l0, expected.layers[l].l0);
                assert_eq!(layer.dead_units, expected.layers[l].dead_units().count());
            }
        };
        seen(&|e, l| sae_trainer_evaluate(ours, samples, e, l, 3));
        seen(&|e, l| sae_autoencoder_evaluate(loaded, samples, e, l, 3));
        fine(sae_trainer_evaluate(ours, samples, &mut evaluation, null_mut(), 0));

        let mut room = vec![0.0; 7 * 3];
        fine(sae_trainer_encode(ours, samples, room.as_mut_ptr(), room.len()));
        assert_eq!(bits(&room), codes);
        let kept = room.clone();
        fine(sae_autoencoder_encode(loaded, samples, room.as_mut_ptr(), room.len()));
        assert_eq!(bits(&room), codes);
        let mut room = vec![0.0; 7 * FEATURES];
        fine(sae_trainer_reconstruct(ours, samples, room.as_mut_ptr(), room.len()));
        assert_eq!(bits(&room), reconstructions);
        room.fill(0.0);
        fine(sae_autoencoder_reconstruct(cloned, samples, room.as_mut_ptr(), room.len()));
        assert_eq!(bits(&room), reconstructions);
        room.fill(0.0);
        let (at, length) = (room.as_mut_ptr(), room.len());
        fine(sae_autoencoder_decode(loaded, kept.as_ptr(), kept.len(), at, length));
        assert_eq!(bits(&room), reconstructions);
        let status = sae_autoencoder_decode(loaded, kept.as_ptr(), 20, at, length);
        refused(
            status,
            SaeStatus::Argument,
            "codes: expected a length that is a multiple of 3, got 20",
        );

        assert_eq!(sae_autoencoder_features(loaded), FEATURES);
        assert_eq!(
            (sae_autoencoder_code_units(loaded), sae_autoencoder_hidden_layers(loaded)),
            (3, 3)
        );
        let mut room = vec![0.0; sae_autoencoder_parameter_count(loaded)];
        fine(sae_autoencoder_parameters(loaded, room.as_mut_ptr(), room.len()));
        assert_eq!(bits(&room), parameters(ours));
        let settings = rust.autoencoder().settings().to_json();
        assert_eq!(told(|place| sae_trainer_settings(ours, place)), settings);
        assert_eq!(told(|place| sae_autoencoder_settings(loaded, place)), settings);

        // Samples with another number of features.
        let wide = samples_of(&values(FEATURES)[..FEATURES * 2]);
        let narrow = made(|place| sae_samples_from_f32(test.as_ptr(), 2, 5, 5, 1, place));
        let mut room = [0.0; 6];
        fine(sae_trainer_encode(ours, wide, room.as_mut_ptr(), 6));
        let status = sae_trainer_encode(ours, narrow, room.as_mut_ptr(), 6);
        refused(status, SaeStatus::Shape, "5 features a sample and the network takes 12");

        for handle in [samples, wide, narrow] {
            sae_samples_free(handle);
        }
        sae_autoencoder_free(loaded);
        sae_autoencoder_free(cloned);
        sae_trainer_free(ours);
    }
}

#[test]
fn dead_units_are_counted() {
    // One unit is active in each of two samples: one or two of the three units are dead.
    let json = c(r#"{"layers": [12, 3, 12], "batch": 5, "beta": 0, "code": {"top-k": 1}}"#);
    let (all, two) = (samples_of(&values(20)), samples_of(&values(2)));
    let (mut evaluation, mut layer) = (SaeEvaluation::default(), SaeActivity::default());
    // SAFETY: handles, texts and pointers are valid.
    unsafe {
        let trainer = made(|place| sae_trainer_new(json.as_ptr(), all, 1, place));
        fine(sae_trainer_evaluate(trainer, two, &mut evaluation, &mut layer, 1));
        assert!(layer.units == 3 && (1..=2).contains(&layer.dead_units), "{layer:?}");
        assert_eq!(layer.l0, 1.0);
        for samples in [all, two] {
            sae_samples_free(samples);
        }
        sae_trainer_free(trainer);
    }
}

#[test]
fn a_training_is_resumed_from_a_checkpoint() {
    let folder = Folder::new("checkpoint");
    let (file, missing) = (folder.file("run.ckpt"), folder.file("missing.ckpt"));
    let (ours, samples) = (trainer(), samples_of(&values(20)));
    // SAFETY: handles and texts are valid.
    unsafe {
        fine(sae_trainer_run(ours, 6, None, null_mut()));
        fine(sae_trainer_checkpoint(ours, file.as_ptr()));
        fine(sae_trainer_run(ours, 6, None, null_mut()));
        let resumed = made(|place| sae_trainer_resume(file.as_ptr(), samples, 1, place));
        assert_eq!(sae_trainer_steps(resumed), 6);
        fine(sae_trainer_run(resumed, 6, None, null_mut()));
        assert_eq!(parameters(resumed), parameters(ours));

        let mut none = resumed;
        let status = sae_trainer_resume(missing.as_ptr(), samples, 1, &mut none);
        refused(status, SaeStatus::Io, "missing.ckpt");
        assert!(none.is_null());
        let others = samples_of(&values(19));
        let status = sae_trainer_resume(file.as_ptr(), others, 1, &mut none);
        refused(status, SaeStatus::Format, "on 20 samples");
        let nowhere = folder.file("no/such/run.ckpt");
        refused(sae_trainer_checkpoint(ours, nowhere.as_ptr()), SaeStatus::Io, "run.ckpt");
        for handle in [samples, others] {
            sae_samples_free(handle);
        }
        sae_trainer_free(ours);
        sae_trainer_free(resumed);
    }
}

/// A fingerprint of samples: the parameters after three steps on them.
fn fingerprint(samples: *mut SaeSamples) -> Vec<u32> {
    // SAFETY: handles and texts are valid.
    unsafe {
        let features = sae_samples_features(samples);
        let json = c(&format!(r#"{{"layers": [{features}, 4, {features}], "batch": 4}}"#));
        let trainer = made(|place| sae_trainer_new(json.as_ptr(), samples, 1, place));
        fine(sae_trainer_run(trainer, 3, None, null_mut()));
        let parameters = parameters(trainer);
        sae_trainer_free(trainer);
        sae_samples_free(samples);
        parameters
    }
}

fn rust_fingerprint(samples: &Samples) -> Vec<u32> {
    let settings = Settings { layers: vec![0, 4, 0], batch: 4, ..Settings::default() };
    let mut trainer = Trainer::new(settings.fitted_to(samples), samples).unwrap();
    trainer.run(3, |_, _| std::ops::ControlFlow::Continue(())).unwrap();
    bits(trainer.autoencoder().parameters())
}

#[test]
fn data_sets_are_those_of_the_library() {
    let folder = Folder::new("data");
    let (bytes_file, floats_file) = (folder.file("bytes.idx"), folder.file("floats.idx"));
    let bytes: Vec<u8> = (0..20 * 10).map(|i| (i * 7 % 256) as u8).collect();
    let floats: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) * 3.0 - 1.0).collect();
    write_idx(path(&bytes_file), &[20, 10], &bytes).unwrap();
    write_idx(path(&floats_file), &[20, 10], &floats).unwrap();
    let expected = rust_fingerprint(&Samples::open(path(&bytes_file)).unwrap());
    // SAFETY: handles, texts and buffers are valid.
    unsafe {
        let open = |file: &CString, scaling: &str| {
            let (file, scaling) = (file.clone(), c(scaling));
            made(|place| sae_samples_open(file.as_ptr(), scaling.as_ptr(), place))
        };
        let opened = made(|place| sae_samples_open(bytes_file.as_ptr(), null(), place));
        assert_eq!((sae_samples_count(opened), sae_samples_features(opened)), (20, 10));
        assert_eq!(fingerprint(opened), expected);
        // The same bytes in memory, row-major, and column-major with gaps.
        let copied = made(|place| sae_samples_from_u8(bytes.as_ptr(), 20, 10, 10, 1, place));
        assert_eq!(fingerprint(copied), expected);
        let mut columns = vec![99; 10 * 24];
        for (at, &byte) in bytes.iter().enumerate() {
            columns[at % 10 * 24 + at / 10] = byte;
        }
        let copied = made(|place| sae_samples_from_u8(columns.as_ptr(), 20, 10, 1, 24, place));
        assert_eq!(fingerprint(copied), expected);

        let bytes_expected = expected;
        let idx = || Array::open(path(&floats_file)).unwrap();
        for (name, scaling) in [
            ("as-is", Scaling::AsIs),
            (
                "min-max:feature",
                "min-max:feature".parse::<ScalingKind>().unwrap().fit(&idx()).unwrap(),
            ),
            ("min-max", Scaling::fit_min_max(&idx()).unwrap()),
            ("mean-deviation", Scaling::fit_mean_deviation(&idx()).unwrap()),
        ] {
            let expected = rust_fingerprint(&Samples::new(idx(), scaling));
            let opened = open(&floats_file, name);
            let like = made(|place| sae_samples_open_like(floats_file.as_ptr(), opened, place));
            // By a model, which has the scaling of its data.
            let json = c(r#"{"layers": [10, 4, 10], "batch": 4}"#);
            let trainer = made(|place| sae_trainer_new(json.as_ptr(), opened, 1, place));
            let net = made(|place| sae_trainer_autoencoder(trainer, 1, place));
            let by_net = made(|place| sae_autoencoder_open(net, floats_file.as_ptr(), place));
            sae_trainer_free(trainer);
            sae_autoencoder_free(net);
            for samples in [opened, like, by_net] {
                assert_eq!(fingerprint(samples), expected, "{name}");
            }
        }
        // Bytes of another type are bytes; others are not.
        let whole: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte)).collect();
        let whole_file = folder.file("whole.idx");
        write_idx(path(&whole_file), &[20, 10], &whole).unwrap();
        assert_eq!(fingerprint(open(&whole_file, "byte")), bytes_expected);
        let mut row = [0.0; 10];
        let others = Samples::new(idx(), Scaling::Byte).gather(0, &mut row).unwrap_err();
        assert!(others.to_string().contains("sample 0, feature 0 is -1; "), "{others}");
        let mut none = null_mut();
        // Floats are taken as they are, other integers need a choice.
        let as_is = rust_fingerprint(&Samples::new(idx(), Scaling::AsIs));
        let floats = made(|place| sae_samples_open(floats_file.as_ptr(), null(), place));
        assert_eq!(fingerprint(floats), as_is);
        let integers_file = folder.file("integers.idx");
        write_idx(path(&integers_file), &[1, 2], &[1i32, 2]).unwrap();
        let status = sae_samples_open(integers_file.as_ptr(), null(), &mut none);
        refused(status, SaeStatus::Format, "choose one: as-is, unit-rms, min-max");
        let unknown = c("max-min");
        let status = sae_samples_open(floats_file.as_ptr(), unknown.as_ptr(), &mut none);
        refused(
            status,
            SaeStatus::Argument,
            "scaling: expected byte, as-is, center, unit-rms, layer-norm, min-max or mean-deviation, got 'max-min'",
        );

        let whole = open(&bytes_file, "byte");
        let (mut first, mut others) = (null_mut(), null_mut());
        fine(sae_samples_split(whole, 13, &mut first, &mut others));
        assert_eq!((sae_samples_count(first), sae_samples_count(others)), (13, 7));
        let (before, behind) = Samples::open(path(&bytes_file)).unwrap().split(13).unwrap();
        assert_eq!(fingerprint(first), rust_fingerprint(&before));
        assert_eq!(fingerprint(others), rust_fingerprint(&behind));
        refused(
            sae_samples_split(whole, 20, &mut first, &mut others),
            SaeStatus::Setting,
            "count: 20 of 20 samples leave one side empty",
        );
        assert!(first.is_null() && others.is_null());
        let mut pairs = null_mut();
        fine(sae_samples_with_targets(whole, whole, &mut pairs));
        let (mut left, mut right) = (null_mut(), null_mut());
        fine(sae_samples_split(pairs, 13, &mut left, &mut right));
        refused(
            sae_samples_with_targets(whole, left, &mut pairs),
            SaeStatus::Shape,
            "13 targets for 20 samples; expected one target for each sample",
        );
        assert!(pairs.is_null());
        sae_samples_free(left);
        sae_samples_free(right);
        sae_samples_free(whole);
    }
}

#[test]
fn digits_are_those_of_the_library() {
    let expected = digits::draw(12, 3, 1);
    let (mut images, mut labels) = (vec![0; 12 * 784], vec![0; 12]);
    let (at, length) = (images.as_mut_ptr(), images.len());
    // SAFETY: the buffers have their lengths.
    unsafe {
        fine(sae_draw_digits(12, 3, at, length, labels.as_mut_ptr(), 12));
        assert_eq!((&images, &labels), (&expected.images, &expected.labels));
        refused(
            sae_draw_digits(12, 3, at, length, labels.as_mut_ptr(), 11),
            SaeStatus::Argument,
            "labels: expected a length of 12, got 11",
        );
        refused(
            sae_draw_digits(usize::MAX, 3, at, length, null_mut(), 0),
            SaeStatus::Argument,
            "count: out of memory for 18446744073709551615 images",
        );
    }
}

#[test]
fn products_have_the_bits_of_the_kernels() {
    let (m, k, n) = (7, 19, 23);
    let a: Vec<f32> = (0..m * k).map(|i| (i * i % 17) as f32 - 8.0).collect();
    let b: Vec<f32> = (0..k * n).map(|i| (i * 5 % 13) as f32 / 7.0).collect();
    let transposed: Vec<f32> = (0..k * m).map(|i| a[i % m * k + i / m]).collect();
    let (mut one, mut other, mut scalar) =
        (vec![f32::NAN; m * n], vec![f32::NAN; m * n], vec![f32::NAN; m * n]);
    let name = c("scalar");
    // SAFETY: the values are there.
    unsafe {
        let fast = made(|place| sae_kernels_new(null(), place));
        let slow = made(|place| sae_kernels_new(name.as_ptr(), place));
        assert_eq!(CStr::from_ptr(sae_kernels_name(slow)), c"scalar");
        fine(sae_kernels_gemm(
            fast,
            m,
            k,
            n,
            a.as_ptr(),
            k,
            1,
            b.as_ptr(),
            n,
            1,
            one.as_mut_ptr(),
            n,
        ));
        let (at, out) = (transposed.as_ptr(), other.as_mut_ptr());
        fine(sae_kernels_gemm(fast, m, k, n, at, 1, m, b.as_ptr(), n, 1, out, n));
        let out = scalar.as_mut_ptr();
        fine(sae_kernels_gemm(slow, m, k, n, a.as_ptr(), k, 1, b.as_ptr(), n, 1, out, n));
        assert_eq!(bits(&one), bits(&other));
        for (i, sum) in one.iter().enumerate() {
            let terms = (0..k).map(|x| f64::from(a[i / n * k + x]) * f64::from(b[x * n + i % n]));
            assert!((f64::from(*sum) - terms.sum::<f64>()).abs() < 1e-4);
        }
        let set = CStr::from_ptr(sae_kernels_name(fast));
        if set != c"portable" {
            assert_eq!(bits(&one), bits(&scalar));
        }
        // A column and a row, whose other stride is irrelevant.
        let mut dot = [f32::NAN];
        fine(sae_kernels_gemm(
            fast,
            1,
            3,
            1,
            a.as_ptr(),
            1,
            k,
            b.as_ptr(),
            n,
            9,
            dot.as_mut_ptr(),
            5,
        ));
        let expected = a[0] * b[0] + a[k] * b[n] + a[2 * k] * b[2 * n];
        assert!((dot[0] - expected).abs() < 1e-4);
        for (name, function) in
            [("exp", f32::exp as fn(f32) -> f32), ("ln", f32::ln), ("tanh", f32::tanh)]
        {
            let mut numbers = [0.5, 1.0, 3.0];
            let name = c(name);
            fine(sae_kernels_map(fast, name.as_ptr(), numbers.as_mut_ptr(), 3));
            for (number, x) in numbers.into_iter().zip([0.5, 1.0, 3.0]) {
                assert!((number - function(x)).abs() < 1e-5, "{name:?} {x}: {number}");
            }
        }
        sae_kernels_free(fast);
        sae_kernels_free(slow);
    }
}

/// Sizes of 0 and 1: sums of nothing are 0, as in BLAS, and what has no values may be NULL.
#[test]
fn products_of_degenerate_sizes() {
    // SAFETY: handles and memory as promised.
    unsafe {
        let mut kernels = null_mut();
        fine(sae_kernels_new(null(), &mut kernels));
        let gemm = |[m, k, n]: [usize; 3], [a, ar, ac]: [usize; 3], [b, br, bc]: [usize; 3], cr| {
            let (x, y) = ([2.0f32; 40], [3.0f32; 40]);
            let mut c = [7.0f32; 40];
            let at = |values: &[f32], given: usize| {
                if given == 0 { null() } else { values.as_ptr() }
            };
            let status = sae_kernels_gemm(
                kernels,
                m,
                k,
                n,
                at(&x, a),
                ar,
                ac,
                at(&y, b),
                br,
                bc,
                c.as_mut_ptr(),
                cr,
            );
            (status, c)
        };
        let written = |c: &[f32; 40], rows: usize, cols: usize, stride: usize, value: f32| {
            for (at, &number) in c.iter().enumerate() {
                let inside = stride > 0 && at / stride < rows && at % stride < cols;
                assert_eq!(number, if inside { value } else { 7.0 }, "{at} of {rows} x {cols}");
            }
        };
        // k = 0, with and without gaps in c, memory and strides for a and b.
        for given in [0, 1] {
            for strides in [[given, 0, 0], [given, 1, 1], [given, 9, 9]] {
                for (m, n, stride) in [(3, 4, 4), (3, 4, 6), (1, 5, 5), (5, 1, 1), (1, 1, 1)] {
                    let (status, c) = gemm([m, 0, n], strides, strides, stride);
                    fine(status);
                    written(&c, m, n, stride, 0.0);
                }
            }
        }
        // m = 0, n = 0: nothing is written, and no pointer is needed.
        for sizes in [[0, 3, 4], [3, 2, 0], [0, 0, 0], [0, 3, 0], [0, 0, 5], [5, 0, 0]] {
            let (status, c) = gemm(sizes, [1, 4, 1], [1, 5, 1], 0);
            fine(status);
            written(&c, 0, 0, 1, 0.0);
            let [m, k, n] = sizes;
            let (null, zero) = (null(), null_mut());
            let (a, b) = ([1.0f32; 20], [1.0f32; 20]);
            let a = if m * k == 0 { null } else { a.as_ptr() };
            let b = if k * n == 0 { null } else { b.as_ptr() };
            fine(sae_kernels_gemm(kernels, m, k, n, a, 5, 1, b, 5, 1, zero, 0));
        }
        // Sides of 1, whose stride is irrelevant, 0 included.
        for stride in [0, 1, 3, 50, usize::MAX] {
            let (status, c) = gemm([1, 3, 1], [1, stride, 1], [1, 1, stride], stride);
            fine(status);
            written(&c, 1, 1, 1, 18.0);
            let (status, c) = gemm([1, 3, 2], [1, stride, 1], [1, 2, 1], stride);
            fine(status);
            written(&c, 1, 2, 2, 18.0);
            let (status, c) = gemm([4, 1, 2], [1, 1, stride], [1, stride, 1], 3);
            fine(status);
            written(&c, 4, 2, 3, 6.0);
        }
        // What is there is checked as before: memory of c for k = 0, strides of real sides.
        fine(sae_kernels_gemm(
            kernels,
            0,
            3,
            4,
            null(),
            3,
            1,
            [1.0f32; 12].as_ptr(),
            4,
            1,
            null_mut(),
            4,
        ));
        let refused = |status, sentence| refused(status, SaeStatus::Argument, sentence);
        let none = null();
        refused(
            sae_kernels_gemm(kernels, 2, 0, 2, none, 0, 0, none, 0, 0, null_mut(), 2),
            "c: expected a pointer, got NULL",
        );
        refused(
            gemm([2, 0, 3], [0; 3], [0; 3], 2).0,
            "c: expected a row stride of at least 3, got 2",
        );
        refused(gemm([2, 3, 2], [1, 0, 1], [1, 2, 1], 2).0, "a: expected strides of at least 1");
        refused(gemm([1, 3, 2], [1, 0, 0], [1, 2, 1], 2).0, "a: expected strides of at least 1");
        refused(gemm([2, 3, 2], [1, 3, 1], [0, 2, 1], 2).0, "b: expected a pointer, got NULL");
        let huge = usize::MAX / 2;
        refused(
            sae_kernels_gemm(
                kernels,
                huge,
                0,
                huge,
                none,
                0,
                0,
                none,
                0,
                0,
                [0.0f32].as_mut_ptr(),
                huge,
            ),
            "exceed the address space",
        );
        sae_kernels_free(kernels);
    }
}
