//! Data whose features have an offset or another scale than 1: the same code is found.

use std::ops::ControlFlow;

use sae::compute::ThreadPool;
use sae::data::Order;
use sae::{
    Activation, Engine, Initialization, Isa, Optimizer, OutputBias, Samples, Settings, Trainer,
};

use crate::common::uniform;

const FEATURES: usize = 20;

/// 2 000 samples of three of 32 directions each, by a factor, with something added to every feature.
fn directions(scale: f32, offset: f32) -> Samples {
    let random = uniform(1, 32 * FEATURES);
    let directions: Vec<f32> = random.iter().map(|x| 2.0 * x - 1.0).collect();
    let choices = uniform(2, 6 * 2000);
    let mut values = vec![offset; 2000 * FEATURES];
    for (sample, choices) in values.chunks_mut(FEATURES).zip(choices.chunks(6)) {
        for choice in choices.chunks(2) {
            let (which, factor) = ((choice[0] * 32.0) as usize, 0.5 + choice[1]);
            let direction = &directions[which.min(31) * FEATURES..][..FEATURES];
            for (x, d) in sample.iter_mut().zip(direction) {
                *x += scale * factor * d;
            }
        }
    }
    Samples::from_values(values, FEATURES).unwrap()
}

fn trainer(samples: &Samples, code: &str, threads: usize) -> Trainer {
    let settings = Settings {
        layers: vec![FEATURES, 64, FEATURES],
        activation: Activation::Relu,
        initialization: Initialization::He,
        code: code.parse().unwrap(),
        batch: 100,
        beta: 0.0,
        lambda: 0.0,
        learning_rate: 3e-3,
        ..Settings::default()
    };
    let settings = settings.fitted_to(samples);
    Trainer::builder(settings).pool(ThreadPool::exactly(threads)).build(samples).unwrap()
}

/// Explained variance and number of dead units.
fn quality(trainer: &mut Trainer, samples: &Samples) -> (f64, usize) {
    let evaluation = trainer.evaluate(samples).unwrap();
    (evaluation.explained_variance, evaluation.layers[0].dead_units().count())
}

fn train(samples: &Samples, code: &str) -> (f64, usize) {
    let mut trainer = trainer(samples, code, 2);
    trainer.run(2000, |_, _| ControlFlow::Continue(())).unwrap();
    quality(&mut trainer, samples)
}

/// An offset of a hundred times the deviation changes hardly anything, with any code and also where the
/// gradient is needed as a whole.
#[test]
fn an_offset_kills_no_units() {
    for code in ["top-k:3", "batch-top-k:3", "jump-relu:0.01", "dense"] {
        let (variance, dead) = train(&directions(1.0, 0.0), code);
        assert!(variance > 0.9, "{code}: {variance}");
        for offset in [10.0, -100.0] {
            let (offset_variance, offset_dead) = train(&directions(1.0, offset), code);
            let what =
                format!("{code} {offset}: {offset_variance} {variance}, {offset_dead} {dead}");
            assert!((variance - offset_variance).abs() < 0.02, "{what}");
            assert!(offset_dead <= dead + 6, "{what}");
        }
    }
}

/// Data of another scale are learned as fast, step for step.
#[test]
fn the_scale_of_the_data_does_not_matter() {
    for code in ["top-k:3", "batch-top-k:3", "jump-relu:0"] {
        let (variance, dead) = train(&directions(1.0, 1.0), code);
        for scale in [1e-3, 1e3] {
            let (scaled_variance, scaled_dead) = train(&directions(scale, scale), code);
            let what = format!("{code} {scale}: {scaled_variance} {variance}");
            assert!((variance - scaled_variance).abs() < 1e-3, "{what}");
            assert!(scaled_dead.abs_diff(dead) <= 1, "{what}: {scaled_dead} {dead}");
        }
    }
}

/// L-BFGS takes account of both, too.
#[test]
fn a_line_search_does_not_depend_on_offset_or_scale() {
    let quality = |scale: f32, offset: f32| {
        let samples = directions(scale, offset);
        let mut settings = trainer(&samples, "top-k:3", 1).autoencoder().settings().clone();
        settings.optimizer = Optimizer::Lbfgs { memory: 10 };
        settings.batch = samples.len();
        let mut trainer = Trainer::new(settings, &samples).unwrap();
        trainer.run(60, |_, _| ControlFlow::Continue(())).unwrap();
        quality(&mut trainer, &samples).0
    };
    let plain = quality(1.0, 0.0);
    assert!(plain > 0.7, "{plain}");
    for (scale, offset) in [(1.0, 10.0), (1.0, -1000.0), (1e-3, 0.0), (1e-3, 1.0), (1e6, 1e8)] {
        let found = quality(scale, offset);
        assert!((found - plain).abs() < 0.05, "{scale} {offset}: {found} {plain}");
    }
}

/// The inner layers of a pretraining see activations of the data's scale.
#[test]
fn pretraining_does_not_depend_on_offset_or_scale() {
    let quality = |scale: f32, offset: f32| {
        let samples = directions(scale, offset);
        let mut settings = trainer(&samples, "dense", 1).autoencoder().settings().clone();
        settings.layers = vec![FEATURES, 24, 12, 24, FEATURES];
        let mut trainer = Trainer::new(settings, &samples).unwrap();
        let each = |_: &mut Trainer, _| ControlFlow::Continue(());
        trainer.pretrain(&samples, 200, each, |_, _, _| Ok(())).unwrap();
        trainer.run(500, |_, _| ControlFlow::Continue(())).unwrap();
        quality(&mut trainer, &samples).0
    };
    let plain = quality(1.0, 0.0);
    assert!(plain > 0.7, "{plain}");
    for (scale, offset) in [(1e-4, 0.0), (1e-3, 5.0), (1e4, 1e6)] {
        let found = quality(scale, offset);
        assert!((found - plain).abs() < 0.03, "{scale} {offset}: {found} {plain}");
    }
}

/// Gradients of tiny data, whose squares Adam's moments do not hold, do not make steps of any length.
#[test]
fn tiny_data_do_not_diverge() {
    for scale in [1e-7, 1e-9, 1e-12, 1e-20, 1e-30] {
        for code in ["dense", "top-k:3", "batch-top-k:3", "jump-relu:0"] {
            let samples = directions(scale, 0.0);
            let mut trainer = trainer(&samples, code, 2);
            let before = quality(&mut trainer, &samples).0;
            trainer.run(200, |_, _| ControlFlow::Continue(())).unwrap();
            let after = quality(&mut trainer, &samples).0;
            assert!(after > before.min(0.0) - 0.5, "{code} {scale}: {before} {after}");
        }
    }
}

/// Thresholds begin, and have a band, that fit the code: units are alive at the first step and stay so.
#[test]
fn thresholds_fit_the_scale_of_the_data() {
    for scale in [1e-4, 1.0, 1e4] {
        let samples = directions(scale, 0.0);
        // The weight of L0 is measured against the loss, which grows with the square.
        let mut trainer = trainer(&samples, &format!("jump-relu:{}", 0.01 * scale * scale), 1);
        for steps in [1, 1999] {
            trainer.run(steps, |_, _| ControlFlow::Continue(())).unwrap();
            let (variance, dead) = quality(&mut trainer, &samples);
            assert!(dead < 16, "scale {scale}: {dead} units are dead");
            assert!(steps == 1 || variance > 0.9, "scale {scale}: {variance}");
        }
    }
}

/// The update of centered data is one update: clipped at infinity, in pieces by a gradient from outside,
/// or on other threads.
#[test]
fn every_way_to_an_update_centers() {
    let samples = directions(0.5, 10.0);
    let parameters = |clip: f64, threads: usize| {
        let mut settings = trainer(&samples, "top-k:3", 1).autoencoder().settings().clone();
        settings.clip = clip;
        let pool = ThreadPool::exactly(threads);
        let mut trainer = Trainer::builder(settings).pool(pool).build(&samples).unwrap();
        trainer.run(20, |_, _| ControlFlow::Continue(())).unwrap();
        trainer.autoencoder().parameters().to_vec()
    };
    let expected = parameters(0.0, 1);
    assert_eq!(parameters(0.0, 3), expected);
    assert_eq!(parameters(1e9, 2), expected);
    let mut outside = trainer(&samples, "top-k:3", 2);
    let mut order = Order::new(samples.len(), outside.autoencoder().settings().seed);
    let (mut rows, mut batch) = (vec![0; 100], vec![0.0; 100 * FEATURES]);
    for _ in 0..20 {
        order.next(&mut rows);
        for (&row, out) in rows.iter().zip(batch.chunks_mut(FEATURES)) {
            samples.gather(row, out).unwrap();
        }
        let gradient = outside.gradient_on(&batch).unwrap().1.to_vec();
        outside.apply_gradient(&gradient).unwrap();
    }
    assert_eq!(outside.autoencoder().parameters(), expected);
}

/// The output's biases are the data's mean, and the first layer sees what it would see without it.
#[test]
fn biases_begin_with_the_mean() {
    let samples = directions(1.0, 7.0);
    let begin = |output_bias| {
        let settings = trainer(&samples, "top-k:3", 1).autoencoder().settings().clone();
        let trainer = Trainer::new(Settings { output_bias, ..settings }, &samples).unwrap();
        trainer.autoencoder().clone()
    };
    let (zero, mean) = (begin(OutputBias::Zero), begin(OutputBias::Mean));
    assert!(zero.biases(0).iter().chain(zero.biases(1)).all(|&b| b == 0.0));
    assert_eq!(zero.weights(0), mean.weights(0));
    assert_eq!(begin(OutputBias::Auto).parameters(), mean.parameters());
    let mut row = vec![0.0; FEATURES];
    let mut means = vec![0.0; FEATURES];
    for sample in 0..samples.len() {
        samples.gather(sample, &mut row).unwrap();
        means.iter_mut().zip(&row).for_each(|(sum, &x)| *sum += f64::from(x) / 2000.0);
    }
    for (b, mean) in mean.biases(1).iter().zip(&means) {
        assert!((f64::from(*b) - mean).abs() < 1e-5, "{b} {mean}");
    }
    for (unit, &b) in mean.biases(0).iter().enumerate() {
        let weights = mean.weights(0);
        let column = weights.iter().skip(unit).step_by(64);
        let shift: f64 = column.zip(&means).map(|(&w, mean)| f64::from(w) * mean).sum();
        assert!((f64::from(b) + shift).abs() < 1e-5, "{b} {shift}");
    }
    let sigmoid = Settings {
        output_activation: Activation::Sigmoid,
        output_bias: OutputBias::Mean,
        ..zero.settings().clone()
    };
    let problem = sigmoid.validate().unwrap_err().to_string();
    assert!(
        problem.starts_with("output_bias: the data's mean is the bias of a linear"),
        "{problem}"
    );
}

/// Sums over long batches lose no digits: mean activations, losses and the gradient of biases of a unit
/// that is 0.1 for every sample.
#[test]
fn long_batches_are_summed_exactly() {
    const SAMPLES: usize = 1_000_000;
    let samples = Samples::from_values(vec![1.0; SAMPLES], 1).unwrap();
    for code in ["dense", "top-k:1", "jump-relu:0"] {
        let settings = Settings {
            layers: vec![1, 1, 1],
            activation: Activation::Linear,
            output_activation: Activation::Linear,
            output_bias: OutputBias::Zero,
            code: code.parse().unwrap(),
            batch: SAMPLES,
            beta: 0.0,
            lambda: 0.0,
            learning_rate: 1e-9,
            ..Settings::default()
        };
        let mut trainer = Trainer::new(settings, &samples).unwrap();
        let parameters = trainer.autoencoder_mut().parameters_mut();
        // 0.1 in the code, 0.3 at the output.
        parameters[..4].copy_from_slice(&[0.0, 0.1, 0.0, 0.3]);
        if let [threshold, scale] = &mut parameters[4..] {
            (*threshold, *scale) = (0.5, 0.1);
        }
        let batch = vec![1.0; SAMPLES];
        let (report, gradient) = trainer.gradient_on(&batch).unwrap();
        assert!((report.loss - 0.49).abs() < 1e-6, "{code}: {}", report.loss);
        assert!((gradient[3] + 1.4).abs() < 3e-6, "{code}: {}", gradient[3]);
        let mean = trainer.rho_hat()[0][0];
        assert!((mean - 0.1).abs() < 1e-6, "{code}: {mean}");
    }
}

/// What is small is not dead: units of data of scale 0.01 with leaky ReLU, tanh or linear activations.
#[test]
fn small_activations_are_not_dead() {
    let samples = directions(0.01, 0.0);
    for activation in [Activation::LeakyRelu, Activation::Linear, Activation::Tanh] {
        let settings = Settings {
            activation,
            ..trainer(&samples, "dense", 1).autoencoder().settings().clone()
        };
        let mut trainer = Trainer::new(settings, &samples).unwrap();
        trainer.run(200, |_, _| ControlFlow::Continue(())).unwrap();
        let evaluation = trainer.evaluate(&samples).unwrap();
        assert_eq!(evaluation.layers[0].dead_units().count(), 0, "{activation:?}");
        assert!(evaluation.layers[0].l0 > 63.0, "{activation:?}: {}", evaluation.layers[0].l0);
        assert_eq!(trainer.revive(&samples).unwrap(), 0);
        // A unit without weights says nothing.
        let places: Vec<usize> = (0..FEATURES).map(|input| input * 64 + 5).collect();
        let parameters = trainer.autoencoder_mut().parameters_mut();
        places.iter().for_each(|&at| parameters[at] = 0.0);
        let dead: Vec<usize> = trainer.evaluate(&samples).unwrap().layers[0].dead_units().collect();
        assert_eq!(dead, [5], "{activation:?}");
    }
}

/// The activation above which a sigmoid counts as active is a setting.
#[test]
fn sigmoids_are_active_above_a_setting() {
    let samples = directions(0.01, 0.0);
    let evaluation = |active_above: f64| {
        let settings = Settings {
            active_above,
            activation: Activation::Sigmoid,
            ..trainer(&samples, "dense", 1).autoencoder().settings().clone()
        };
        Trainer::new(settings, &samples).unwrap().evaluate(&samples).unwrap()
    };
    // All are near 0.5.
    for (threshold, l0, dead) in [(0.1, 64.0, 0), (0.9, 0.0, 64)] {
        let evaluation = evaluation(threshold);
        assert_eq!(evaluation.layers[0].l0, l0);
        assert_eq!(evaluation.layers[0].dead_units().count(), dead);
    }
}

/// A training whose result is of no use says so.
#[test]
fn useless_results_are_told() {
    let samples = directions(1.0, 0.0);
    let warnings = |change: fn(&mut Settings)| {
        let mut settings = trainer(&samples, "top-k:3", 1).autoencoder().settings().clone();
        change(&mut settings);
        let mut trainer = Trainer::new(settings.clone(), &samples).unwrap();
        trainer.run(300, |_, _| ControlFlow::Continue(())).unwrap();
        trainer.evaluate(&samples).unwrap().warnings(&settings)
    };
    assert_eq!(warnings(|_| {}), [""; 0]);
    // Of few samples, or equal ones, no unit is said to be dead.
    let net = {
        let settings = Settings {
            learning_rate: 30.0,
            ..trainer(&samples, "top-k:3", 1).autoencoder().settings().clone()
        };
        let mut trainer = Trainer::new(settings, &samples).unwrap();
        trainer.run(300, |_, _| ControlFlow::Continue(())).unwrap();
        trainer.autoencoder().clone()
    };
    let mut engine = Engine::new(Isa::detect(), ThreadPool::new(1));
    let mut evaluated = |samples: &Samples| {
        let evaluation = net.evaluate(&mut engine, samples).unwrap();
        let dead = evaluation.layers[0].dead_units().count();
        assert!(10 * dead > 64, "{dead}");
        (evaluation.layers[0].tells_dead_units(), evaluation.warnings(net.settings()).join(" "))
    };
    let (tells, text) = evaluated(&samples);
    assert!(tells && text.contains("of the 64 units of layer 1 are dead"), "{text}");
    let (tells, text) = evaluated(&samples.thinned(20));
    assert!(!tells && !text.contains("are dead"), "{text}");
    let equal = Samples::from_values(vec![0.5; 5000 * FEATURES], FEATURES).unwrap();
    let (_, text) = evaluated(&equal);
    assert!(
        text.starts_with("all 5000 samples are equal: ") && !text.contains("are dead"),
        "{text}"
    );
    let [dead, worse] = &warnings(|settings| {
        settings.learning_rate = 30.0;
        settings.code = sae::Code::Dense;
    })[..] else {
        panic!("two warnings");
    };
    assert!(dead.contains("of the 64 units of layer 1 are dead"), "{dead}");
    assert!(worse.contains("worse than the mean of the data"), "{worse}");
    let [missed] = &warnings(|settings| {
        settings.code = sae::Code::Dense;
        settings.l1 = 1e-12;
        settings.target = Some("l0:1:1:200".parse().unwrap());
    })[..] else {
        panic!("one warning");
    };
    assert!(missed.starts_with("the target was not met: l0 of layer 1 is "), "{missed}");
}

/// Columns that a wide one hides in the explained variance of all are named.
#[test]
fn hidden_features_are_told() {
    let mut values: Vec<f32> = (0..500 * 4).map(|at| (at * at % 997) as f32 / 997.0).collect();
    let settings = Settings {
        layers: vec![4, 8, 4],
        activation: Activation::Relu,
        initialization: Initialization::He,
        beta: 0.0,
        batch: 50,
        learning_rate: 1e-3,
        output_activation: Activation::Linear,
        ..Settings::default()
    };
    let mut warnings = |factors: [f32; 4]| {
        for row in values.chunks_mut(4) {
            row.iter_mut().zip(factors).for_each(|(x, factor)| *x *= factor);
        }
        let samples = Samples::from_values(values.clone(), 4).unwrap();
        let mut trainer = Trainer::new(settings.clone(), &samples).unwrap();
        trainer.run(1000, |_, _| ControlFlow::Continue(())).unwrap();
        trainer.evaluate(&samples).unwrap().warnings(&settings)
    };
    assert_eq!(warnings([1.0; 4]), [""; 0]);
    let [hidden] = &warnings([1.0, 1e3, 1e-3, 1e6])[..] else { panic!("one warning") };
    assert!(hidden.contains("of the 4 features that vary"), "{hidden}");
    assert!(hidden.contains("scale each feature by itself"), "{hidden}");
}

/// Units of a JumpReLU that have died come back, whatever the data's offset and scale.
#[test]
fn revived_units_of_a_jump_relu_live() {
    for (scale, offset) in [(1.0, 0.0), (1e-3, 1e-2), (1e3, 1e5)] {
        let samples = directions(scale, offset);
        let code = format!("jump-relu:{}", 0.01 * f64::from(scale).powi(2));
        let mut trainer = trainer(&samples, &code, 2);
        trainer.run(500, |_, _| ControlFlow::Continue(())).unwrap();
        // Thresholds that nothing reaches.
        let end = trainer.autoencoder().layers()[1].biases().end;
        trainer.autoencoder_mut().parameters_mut()[end..end + 20].fill(1e6);
        let (before, dead) = quality(&mut trainer, &samples);
        assert!(dead >= 20, "{dead}");
        assert_eq!(trainer.revive(&samples).unwrap(), dead);
        trainer.run(500, |_, _| ControlFlow::Continue(())).unwrap();
        let (after, left) = quality(&mut trainer, &samples);
        assert!(2 * left <= dead, "scale {scale}, offset {offset}: {left} of {dead}");
        assert!(after > before && after > 0.9, "scale {scale}, offset {offset}: {before} {after}");
    }
}
