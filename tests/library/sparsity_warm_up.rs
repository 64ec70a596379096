//! The weights of sparsity penalties rise in the first steps.

use sae::{
    Activation, Code, Initialization, Measure, Optimizer, Samples, Settings, Target, Trainer,
};

use crate::common::pixels;

const FEATURES: usize = 12;

fn samples() -> Samples {
    Samples::from_values(pixels(5, 60, FEATURES), FEATURES).unwrap()
}

fn base() -> Settings {
    let layers = vec![FEATURES, 9, 20, 9, FEATURES];
    Settings { layers, batch: 20, beta: 0.0, lambda: 0.0, ..Settings::default() }
}

/// Each penalty, with its weight times a share.
fn penalized(share: f64) -> [(&'static str, Settings); 4] {
    let relu = Settings {
        activation: Activation::Relu,
        initialization: Initialization::He,
        code: Code::JumpRelu { l0: 0.05 * share, bandwidth: 0.5, threshold: 0.3 },
        ..base()
    };
    [
        ("KL", Settings { beta: 0.5 * share, ..base() }),
        ("L1", Settings { l1: 0.05 * share, ..base() }),
        ("L0", relu.clone()),
        ("L0 and L1", Settings { l1: 0.05 * share, ..relu }),
    ]
}

fn trainer(settings: Settings) -> Trainer {
    Trainer::builder(settings).threads(1).build(&samples()).unwrap()
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// Objective and gradient of step t are those of the weights times t / 4; an evaluation's objective is
/// that of the full weights.
#[test]
fn a_step_has_its_share_of_the_weights() {
    let (samples, batch) = (samples(), pixels(9, 20, FEATURES));
    for (at, (name, settings)) in penalized(1.0).into_iter().enumerate() {
        let mut rising = trainer(Settings { sparsity_warm_up: 4, ..settings.clone() });
        let mut whole = trainer(settings);
        for step in 1..=6 {
            let share = f64::from(step.min(4)) / 4.0;
            assert_eq!(rising.penalty_factor(), share, "{name}");
            let mut part = trainer(penalized(share)[at].1.clone());
            for other in [&mut part, &mut whole] {
                let to = other.autoencoder_mut().parameters_mut();
                to.copy_from_slice(rising.autoencoder().parameters());
            }
            let (here, gradient) = rising.gradient_on(&batch).unwrap();
            let (there, expected) = part.gradient_on(&batch).unwrap();
            assert!(here.penalty > 0.0 && here == there, "{name}: {here:?}, {there:?}");
            assert_eq!(bits(gradient), bits(expected), "{name}, step {step}");
            let [here, there] = [&mut rising, &mut whole].map(|of| of.evaluate(&samples).unwrap());
            assert_eq!(here.objective, there.objective, "{name}");
            let blocks = rising.gradient_check(&batch, 10).unwrap();
            assert!(blocks.iter().all(|block| block.largest < 1e-3), "{name}: {blocks:#?}");
            rising.step().unwrap();
        }
    }
}

#[test]
fn the_controller_waits() {
    let target = Some(Target { layer: 0, of: Measure::MeanActivation, value: 0.01, steps: 20 });
    let mut steered = trainer(Settings { l1: 0.01, target, sparsity_warm_up: 5, ..base() });
    for step in 1..=20 {
        steered.step().unwrap();
        assert_eq!(steered.autoencoder().penalty_factor() != 1.0, step > 5, "step {step}");
    }
    let settings = Settings { l1: 0.01, target, sparsity_warm_up: 20, ..base() };
    let problem = Trainer::new(settings, &samples()).unwrap_err().to_string();
    assert!(problem.starts_with("target: ") && problem.contains("sparsity_warm_up"), "{problem}");
}

#[test]
fn lbfgs_has_no_warm_up() {
    let optimizer = Optimizer::Lbfgs { memory: 5 };
    let settings = Settings { optimizer, batch: 60, sparsity_warm_up: 5, ..base() };
    let problem = Trainer::new(settings, &samples()).unwrap_err().to_string();
    assert!(
        problem.starts_with("optimizer: ") && problem.contains("sparsity_warm_up"),
        "{problem}"
    );
}
