//! The loss FVU: the squared error divided by the variance of the training data.

use sae::{
    Activation, Autoencoder, Initialization, Loss, Optimizer, Samples, Scaling, Settings, Trainer,
};

use crate::common::pixels;
#[cfg(feature = "model")]
use crate::folder::Folder;

const FEATURES: usize = 12;

/// With another mean and deviation of each feature, all times `size`.
fn values(seed: u64, count: usize, size: f32) -> Vec<f32> {
    let pixels = pixels(seed, count, FEATURES).into_iter().enumerate();
    pixels.map(|(at, x)| size * ((at % FEATURES) as f32 + x * (1 + at % 3) as f32)).collect()
}

fn samples(size: f32) -> Samples {
    Samples::from_values(values(5, 60, size), FEATURES).unwrap()
}

fn base() -> Settings {
    Settings {
        layers: vec![FEATURES, 16, FEATURES],
        activation: Activation::Relu,
        output_activation: Activation::Linear,
        initialization: Initialization::He,
        batch: 20,
        beta: 0.0,
        lambda: 0.0,
        loss: Loss::Fvu,
        ..Settings::default()
    }
}

fn trainer(settings: &Settings, samples: &Samples) -> Trainer {
    Trainer::builder(settings.clone()).threads(2).build(samples).unwrap()
}

/// The mean square of the features' distances from their means.
fn variance(values: &[f32]) -> f64 {
    let n = (values.len() / FEATURES) as f64;
    let mean = |feature: usize| {
        values.iter().skip(feature).step_by(FEATURES).map(|&x| f64::from(x)).sum::<f64>() / n
    };
    let means: Vec<f64> = (0..FEATURES).map(mean).collect();
    let square = |(at, &x): (usize, &f32)| (f64::from(x) - means[at % FEATURES]).powi(2);
    values.iter().enumerate().map(square).sum::<f64>() / values.len() as f64
}

#[test]
fn it_is_the_unexplained_share_of_the_training_data() {
    let samples = samples(1.0);
    let mut trainer = trainer(&base(), &samples);
    for _ in 0..50 {
        trainer.step().unwrap();
    }
    let evaluation = trainer.evaluate(&samples).unwrap();
    let share = 1.0 - evaluation.explained_variance;
    assert!(share > 0.001 && (evaluation.loss / share - 1.0).abs() < 1e-9, "{evaluation:?}");
    let expected = variance(&values(5, 60, 1.0));
    let divisor = trainer.autoencoder().loss_divisor();
    assert!((divisor / expected - 1.0).abs() < 1e-9, "{divisor} {expected}");
    // Other data count by the same variance.
    let other = Samples::from_values(values(6, 30, 3.0), FEATURES).unwrap();
    let evaluation = trainer.evaluate(&other).unwrap();
    assert!((evaluation.loss * divisor / evaluation.squared_error - 1.0).abs() < 1e-12);
    assert_eq!(evaluation.objective, evaluation.loss);
}

#[test]
fn gradients_are_those_of_its_objective() {
    let samples = samples(1.0);
    let sigmoid = Activation::Sigmoid;
    for settings in [
        Settings { l1: 0.01, lambda: 0.02, ..base() },
        Settings { activation: sigmoid, beta: 0.1, ..base() },
        Settings { output_activation: sigmoid, allow_unreachable: true, ..base() },
    ] {
        let mut fvu = trainer(&settings, &samples);
        let blocks = fvu.gradient_check(&values(9, 20, 1.0), 20).unwrap();
        assert!(blocks.iter().all(|block| block.largest < 1e-3), "{blocks:#?}");
    }
    // It is the squared error's, divided.
    let batch = values(9, 20, 1.0);
    let mut fvu = trainer(&base(), &samples);
    let mut squared = trainer(&Settings { loss: Loss::SquaredError, ..base() }, &samples);
    let divisor = fvu.autoencoder().loss_divisor();
    let (report, gradient) = fvu.gradient_on(&batch).unwrap();
    let (of_squared, expected) = squared.gradient_on(&batch).unwrap();
    assert!((report.loss * divisor / of_squared.loss - 1.0).abs() < 1e-12);
    let largest = expected.iter().fold(0.0f32, |max, g| max.max(g.abs()));
    for (have, want) in gradient.iter().zip(expected) {
        assert!((f64::from(*have) * divisor - f64::from(*want)).abs() < 1e-6 * f64::from(largest));
    }
}

/// Of data 1024 times as large, all numbers are the same or as many times as large.
#[test]
fn the_size_of_the_data_does_not_matter() {
    let optimizer = Optimizer::Lbfgs { memory: 5 };
    for settings in [base(), Settings { optimizer, batch: 60, ..base() }] {
        let [mut one, mut other] = [1.0, 1024.0].map(|size| trainer(&settings, &samples(size)));
        for step in 0..30 {
            let [here, there] = [&mut one, &mut other].map(|trainer| trainer.step().unwrap().loss);
            assert!((here / there - 1.0).abs() < 1e-4, "step {step}: {here} {there}");
        }
    }
}

#[test]
fn data_that_do_not_vary_are_not_divided() {
    let constant = Samples::from_values([1.0, 2.0, 3.0, 4.0].repeat(30), 4).unwrap();
    let settings = Settings { layers: vec![4, 3, 4], ..base() };
    let mut trainer = Trainer::new(settings.clone(), &constant).unwrap();
    assert_eq!(trainer.autoencoder().loss_divisor(), 1.0);
    trainer.step().unwrap();
    let tiny = [1e-20f32, 2e-20, 3e-20].repeat(40);
    let problem = Trainer::new(settings, &Samples::from_values(tiny, 4).unwrap()).unwrap_err();
    let problem = problem.to_string();
    assert!(problem.starts_with("loss: fvu divides by the variance"), "{problem}");
    let untrained = Autoencoder::new(base(), Scaling::AsIs).unwrap();
    assert_eq!(untrained.loss_divisor(), 1.0);
}

#[cfg(feature = "model")]
#[test]
fn a_model_file_has_the_variance() {
    let folder = Folder::new("fvu");
    let path = folder.0.join("m.safetensors");
    let net = trainer(&base(), &samples(1.0)).into_autoencoder();
    net.save(&path).unwrap();
    let loaded = Autoencoder::load(&path).unwrap();
    assert_eq!(loaded, net);
    assert_eq!(loaded.loss_divisor(), net.loss_divisor());
    // Of another loss it is forgotten.
    let settings = Settings { loss: Loss::SquaredError, ..base() };
    assert_eq!(loaded.with_settings(settings).unwrap().loss_divisor(), 1.0);
}

/// A training that continues on other samples divides by the variance that it began with.
#[cfg(feature = "model")]
#[test]
fn a_checkpoint_has_the_variance() {
    use sae::files::{Checkpoint, Checkpoints};
    let path = Folder::new("fvu-checkpoint");
    let file = path.0.join("c");
    let mut before = trainer(&base(), &samples(1.0));
    before.step().unwrap();
    let mut checkpoints = Checkpoints::new(&file, 1, &before).unwrap();
    checkpoints.save(&mut before).unwrap();
    checkpoints.finish().unwrap();
    let divisor = before.autoencoder().loss_divisor();
    let other = Samples::from_values(values(8, 90, 3.0), FEATURES).unwrap();
    let checkpoint = Checkpoint::load(&file).unwrap().with_samples(&other).unwrap();
    let after = Trainer::builder(checkpoint.settings().clone()).resume(checkpoint).build(&other);
    assert_eq!(after.unwrap().autoencoder().loss_divisor(), divisor);
    assert_ne!(trainer(&base(), &other).autoencoder().loss_divisor(), divisor);
}
