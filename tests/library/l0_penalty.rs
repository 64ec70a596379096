//! The penalties of a JumpReLU code: step, tanh and quadratic.

use sae::{Activation, Code, Initialization, L0Penalty, Samples, Settings, Trainer};

use crate::common::pixels;

const FEATURES: usize = 12;
const UNITS: usize = 30;
const BATCH: usize = 20;

fn samples() -> Samples {
    Samples::from_values(pixels(5, 100, FEATURES), FEATURES).unwrap()
}

fn settings(l0: f64, l0_penalty: L0Penalty) -> Settings {
    Settings {
        layers: vec![FEATURES, UNITS, FEATURES],
        activation: Activation::Relu,
        output_activation: Activation::Linear,
        initialization: Initialization::Transpose,
        unit_norm: true,
        code: Code::JumpRelu { l0, bandwidth: 0.8, threshold: 0.5 },
        l0_penalty,
        batch: BATCH,
        beta: 0.0,
        lambda: 0.0,
        learning_rate: 1e-3,
        ..Settings::default()
    }
}

fn trainer(settings: Settings) -> Trainer {
    Trainer::builder(settings).threads(2).build(&samples()).unwrap()
}

/// The penalty of a batch, L0, and the gradient of the thresholds.
fn thresholds(l0: f64, l0_penalty: L0Penalty, batch: &[f32]) -> (f64, f64, Vec<f64>) {
    let mut trainer = trainer(settings(l0, l0_penalty));
    let start = trainer.autoencoder().layers()[1].biases().end;
    // Each unit with a threshold of its own.
    let units = trainer.autoencoder_mut().parameters_mut()[start..start + UNITS].iter_mut();
    units.enumerate().for_each(|(unit, threshold)| *threshold = 0.2 + 0.02 * unit as f32);
    let (report, gradient) = trainer.gradient_on(batch).unwrap();
    let of_units = gradient[start..start + UNITS].iter().map(|&g| g.into()).collect();
    (report.penalty, report.l0, of_units)
}

/// A penalty that changes by p where a unit's activation jumps has, in a smoothed objective of which the
/// jump is a ramp over the band, -p / bandwidth as its derivative by the threshold: p times that of L0.
#[test]
fn thresholds_learn_from_what_a_jump_changes() {
    let batch = pixels(9, BATCH, FEATURES);
    let weight = 0.1;
    let (none, l0, of_loss) = thresholds(0.0, L0Penalty::Step, &batch);
    let (step, _, of_step) = thresholds(weight, L0Penalty::Step, &batch);
    assert!(none == 0.0 && l0 > 1.0 && (step - weight * l0).abs() < 1e-9);
    let per_jump =
        |of: &[f64]| -> Vec<f64> { of.iter().zip(&of_loss).map(|(g, l)| g - l).collect() };
    let of_count = per_jump(&of_step);
    assert!(of_count.iter().filter(|&&g| g < -1e-4).count() > UNITS / 2, "{of_count:?}");
    for target in [3.0, 25.0] {
        let (penalty, _, of) = thresholds(weight, L0Penalty::Quadratic(target), &batch);
        assert!((penalty - weight * (l0 / target - 1.0).powi(2)).abs() < 1e-9);
        for (have, count) in per_jump(&of).iter().zip(&of_count) {
            let want = 2.0 * (l0 / target - 1.0) / target * count;
            assert!((have - want).abs() < 1e-5, "{target}: {have} {want}");
        }
    }
    for scale in [0.5, 4.0] {
        let (_, _, of) = thresholds(weight, L0Penalty::Tanh { scale }, &batch);
        for (unit, (have, count)) in per_jump(&of).iter().zip(&of_count).enumerate() {
            let want = (scale * (0.2 + 0.02 * unit as f64)).tanh() * count;
            assert!((have - want).abs() < 1e-5, "{scale}, unit {unit}: {have} {want}");
        }
    }
}

#[test]
fn weights_have_the_gradient_of_the_objective() {
    for penalty in [L0Penalty::Step, L0Penalty::Quadratic(6.0), L0Penalty::Tanh { scale: 4.0 }] {
        let mut trainer = trainer(settings(0.1, penalty));
        for _ in 0..5 {
            trainer.step().unwrap();
        }
        let blocks = trainer.gradient_check(&pixels(9, BATCH, FEATURES), 40).unwrap();
        assert!(blocks.iter().all(|block| block.largest < 2e-3), "{penalty}: {blocks:#?}");
    }
    // The check sees the tanh: with a weight of 0 the gradient is another.
    let gradient = |l0| {
        let mut trainer = trainer(settings(l0, L0Penalty::Tanh { scale: 4.0 }));
        trainer.gradient_on(&pixels(9, BATCH, FEATURES)).unwrap().1[..10].to_vec()
    };
    assert_ne!(gradient(0.1), gradient(0.0));
}

/// An evaluation of a batch has the objective that a step reports, on any number of threads.
#[test]
fn evaluations_have_the_penalty_of_steps() {
    let batch = pixels(9, BATCH, FEATURES);
    let as_samples = Samples::from_values(batch.clone(), FEATURES).unwrap();
    for penalty in [L0Penalty::Quadratic(6.0), L0Penalty::Tanh { scale: 4.0 }] {
        let mut trainer = trainer(settings(0.1, penalty));
        let evaluation = trainer.evaluate(&as_samples).unwrap();
        let report = trainer.step_on(&batch).unwrap();
        assert!(report.penalty > 0.0);
        assert!((evaluation.penalty / report.penalty - 1.0).abs() < 1e-6, "{penalty}");
    }
}

/// From a dense start the code ends near the target.
#[test]
fn the_quadratic_penalty_has_its_target() {
    let samples = samples();
    for target in [4.0, 10.0] {
        let of = Settings { loss: sae::Loss::Fvu, ..settings(1.0, L0Penalty::Quadratic(target)) };
        let mut trainer = trainer(of);
        for _ in 0..3000 {
            trainer.step().unwrap();
        }
        let l0 = trainer.evaluate(&samples).unwrap().layers[0].l0;
        assert!((l0 / target - 1.0).abs() < 0.2, "{target}: {l0}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let tanh = L0Penalty::Tanh { scale: 4.0 };
    for (settings, sentence) in [
        (Settings { code: Code::TopK(3), ..settings(1.0, tanh) }, "the field code is top-k"),
        (Settings { unit_norm: false, ..settings(1.0, tanh) }, "set the field unit_norm"),
        (settings(1.0, L0Penalty::Tanh { scale: 0.0 }), "expected a scale above 1e-6"),
        (settings(1.0, L0Penalty::Quadratic(0.0)), "expected a target above 0 to 30"),
        (settings(1.0, L0Penalty::Quadratic(31.0)), "expected a target above 0 to 30"),
        (settings(1.0, L0Penalty::Quadratic(f64::NAN)), "expected a target above 0 to 30"),
    ] {
        let problem = Trainer::new(settings, &samples()).unwrap_err().to_string();
        assert!(problem.starts_with("l0_penalty: ") && problem.contains(sentence), "{problem}");
    }
}
