//! Every part of the toolbox does what it says, alone and with others.

use std::ops::ControlFlow;

use crate::common::pixels;
use proptest::prelude::*;
use sae::{
    Activation, Code, Corruption, Initialization, Isa, LayerPenalty, Loss, Measure, Optimizer,
    Samples, Schedule, Settings, Target, Trainer, compute::ThreadPool,
};

const FEATURES: usize = 12;

fn samples(count: usize) -> Samples {
    Samples::from_values(pixels(5, count, FEATURES), FEATURES).unwrap()
}

fn settings(layers: &[usize]) -> Settings {
    Settings { layers: layers.to_vec(), batch: 20, beta: 0.0, lambda: 0.0, ..Settings::default() }
}

fn trainer(settings: &Settings, samples: &Samples) -> Trainer {
    Trainer::builder(settings.clone()).threads(1).build(samples).unwrap()
}

/// The largest relative error of any block of parameters.
#[track_caller]
fn assert_gradient(name: &str, settings: &Settings, most: f64) {
    let samples = samples(40);
    let mut trainer = trainer(settings, &samples);
    // Away from the initial weights, where units are alike.
    if !matches!(settings.optimizer, Optimizer::Lbfgs { .. }) {
        for _ in 0..5 {
            trainer.step().unwrap();
        }
    }
    let batch = pixels(9, settings.batch, FEATURES);
    let blocks = trainer.gradient_check(&batch, 30).unwrap();
    assert_eq!(blocks.len(), 2 * (settings.layers.len() - 1));
    for block in &blocks {
        assert!(block.largest < most, "{name}: {blocks:#?}");
    }
    let largest = blocks.iter().map(|block| block.largest).fold(0.0, f64::max);
    println!("{name}: {largest:.1e}");
}

#[test]
fn every_part_has_the_gradient_of_its_objective() {
    let base = settings(&[FEATURES, 9, 5, 9, FEATURES]);
    assert_gradient("plain", &base, 1e-4);
    let with = |change: &dyn Fn(&mut Settings)| {
        let mut settings = base.clone();
        change(&mut settings);
        settings
    };
    let relu = |settings: &mut Settings| {
        settings.activation = Activation::Relu;
        settings.initialization = Initialization::He;
    };
    for (name, settings) in [
        (
            "KL and weight decay",
            with(&|s| {
                s.beta = 0.1;
                s.lambda = 0.01;
                s.rho = 0.1;
            }),
        ),
        ("L1", with(&|s| s.l1 = 0.01)),
        (
            "L1 on tanh",
            with(&|s| {
                s.l1 = 0.01;
                s.activation = Activation::Tanh;
            }),
        ),
        (
            "both",
            with(&|s| {
                s.l1 = 0.01;
                s.beta = 0.1;
            }),
        ),
        (
            "penalties of single layers",
            with(&|s| {
                s.penalties = vec![
                    LayerPenalty { layer: 2, rho: 0.2, beta: 0.1, l1: 0.0 },
                    LayerPenalty { layer: 0, rho: 0.1, beta: 0.05, l1: 0.02 },
                ];
            }),
        ),
        ("cross-entropy", with(&|s| s.loss = Loss::CrossEntropy)),
        (
            "tied",
            with(&|s| {
                s.tied = true;
                s.lambda = 0.01;
                s.beta = 0.1;
            }),
        ),
        ("top-k", with(&|s| s.code = Code::TopK(2))),
        // (With seed 1 two units of one sample are within 1e-5 of each other.)
        (
            "top-k with L1",
            with(&|s| {
                s.code = Code::TopK(2);
                s.l1 = 0.01;
                s.seed = 2;
            }),
        ),
        ("batch-top-k", with(&|s| s.code = Code::BatchTopK(2))),
        (
            "JumpReLU",
            with(&|s| {
                relu(s);
                s.code = Code::JumpRelu { l0: 0.01, bandwidth: 0.01, threshold: 0.01 };
            }),
        ),
        ("ReLU", with(&relu)),
        (
            "every layer another activation",
            with(&|s| {
                s.activations = vec![Activation::Tanh, Activation::Sigmoid, Activation::LeakyRelu];
                s.output_activation = Activation::Linear;
                s.initialization = Initialization::Xavier;
            }),
        ),
        ("unit norm", with(&|s| s.unit_norm = true)),
    ] {
        assert_gradient(name, &settings, 1e-3);
    }
}

/// A wrong gradient is seen: that of a penalty twice as heavy.
#[test]
fn a_wrong_gradient_is_noticed() {
    let mut settings = settings(&[FEATURES, 9, FEATURES]);
    settings.beta = 0.1;
    settings.rho = 0.1;
    let samples = samples(40);
    let batch = pixels(9, settings.batch, FEATURES);
    let mut heavier = settings.clone();
    heavier.beta = 0.2;
    let [mut one, mut two] = [settings, heavier].map(|settings| trainer(&settings, &samples));
    let (_, right) = one.gradient_on(&batch).unwrap();
    let (_, wrong) = two.gradient_on(&batch).unwrap();
    let biases = one_block(right, wrong);
    assert!(biases > 0.1, "{biases}");
}

fn one_block(right: &[f32], wrong: &[f32]) -> f64 {
    let block = FEATURES * 9..FEATURES * 9 + 9;
    let pairs = right[block.clone()].iter().zip(&wrong[block]);
    pairs.map(|(a, b)| f64::from((a - b).abs() / b.abs())).fold(0.0, f64::max)
}

/// Where all gradients pass through memory, Adam ends in the same bits as where they do not.
#[test]
fn gradients_in_memory_give_the_same_bits() {
    let samples = samples(50);
    for optimizer in [Optimizer::Adam, Optimizer::AdamW { decay: 0.5 }] {
        let mut settings = settings(&[FEATURES, 33, 7, 33, FEATURES]);
        settings.beta = 1e-3;
        settings.lambda = 1e-3;
        settings.optimizer = optimizer;
        let mut clipped = settings.clone();
        clipped.clip = 1e9;
        let batch = pixels(3, settings.batch, FEATURES);
        let [mut fused, mut apart, mut outside] =
            [&settings, &clipped, &settings].map(|settings| trainer(settings, &samples));
        for _ in 0..20 {
            assert_eq!(fused.step_on(&batch).unwrap(), apart.step_on(&batch).unwrap());
            let gradient = outside.gradient_on(&batch).unwrap().1.to_vec();
            outside.apply_gradient(&gradient).unwrap();
        }
        assert_eq!(fused.autoencoder().parameters(), apart.autoencoder().parameters());
        assert_eq!(fused.moments(), apart.moments());
        assert_eq!(fused.autoencoder().parameters(), outside.autoencoder().parameters());
    }
}

#[test]
fn clipping_bounds_the_step() {
    let samples = samples(50);
    let mut settings = settings(&[FEATURES, 5, FEATURES]);
    settings.optimizer = Optimizer::Momentum { momentum: 0.0 };
    settings.clip = 1e-3;
    settings.learning_rate = 1.0;
    let mut trainer = trainer(&settings, &samples);
    let before = trainer.autoencoder().parameters().to_vec();
    trainer.step().unwrap();
    let after = trainer.autoencoder().parameters().iter().zip(&before);
    let moved = after.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    assert!((moved - 1e-3).abs() < 1e-6, "{moved}");
}

/// Networks whose work is worth dividing.
#[test]
fn threads_share_the_work_and_change_no_bit() {
    const WIDE: usize = 256;
    let samples = Samples::from_values(pixels(6, 120, WIDE), WIDE).unwrap();
    let change: [fn(&mut Settings); 9] = [
        |s| s.corruption = Corruption::Gaussian(0.2),
        |s| {
            s.corruption = Corruption::Masking(0.3);
            s.tied = true;
        },
        |s| s.code = Code::TopK(20),
        |s| s.code = Code::BatchTopK(20),
        |s| s.code = Code::JumpRelu { l0: 1e-3, bandwidth: 0.3, threshold: 0.3 },
        |s| {
            s.optimizer = Optimizer::Momentum { momentum: 0.9 };
            s.clip = 0.1;
        },
        |s| {
            s.unit_norm = true;
            s.lambda = 1e-3;
        },
        |s| {
            s.unit_norm = true;
            s.clip = 0.1;
        },
        |s| {
            s.unit_norm = true;
            s.code = Code::TopK(20);
            s.optimizer = Optimizer::AdamLazy;
        },
    ];
    for change in change {
        let mut settings = settings(&[WIDE, 300, WIDE]);
        settings.batch = 100;
        change(&mut settings);
        let run = |threads: usize| {
            let pool = ThreadPool::exactly(threads);
            let builder = Trainer::builder(settings.clone()).pool(pool);
            let mut trainer = builder.build(&samples).unwrap();
            for _ in 0..5 {
                trainer.step().unwrap();
            }
            trainer.into_autoencoder()
        };
        let one = run(1);
        for threads in [2, 3, 7] {
            assert!(run(threads).parameters() == one.parameters(), "{threads}: {settings:?}");
        }
    }
}

/// Also where a caller's gradient is not the same for both.
#[test]
fn tied_weights_stay_tied_with_any_gradient() {
    let samples = samples(50);
    let mut settings = settings(&[FEATURES, 5, FEATURES]);
    settings.tied = true;
    let mut trainer = trainer(&settings, &samples);
    let gradient = crate::common::uniform(3, trainer.autoencoder().parameters().len());
    trainer.apply_gradient(&gradient).unwrap();
    let net = trainer.autoencoder();
    for at in 0..FEATURES * 5 {
        let (input, unit) = (at / 5, at % 5);
        assert_eq!(net.weights(0)[at], net.weights(1)[unit * FEATURES + input]);
    }
}

#[test]
fn tied_weights_stay_tied_and_unit_rows_stay_unit() {
    let samples = samples(50);
    let mut tied = settings(&[FEATURES, 9, 4, 9, FEATURES]);
    tied.tied = true;
    tied.lambda = 1e-3;
    let mut unit = settings(&[FEATURES, 9, 4, 9, FEATURES]);
    unit.unit_norm = true;
    let [mut tied, mut unit] = [tied, unit].map(|settings| trainer(&settings, &samples));
    for _ in 0..10 {
        tied.step().unwrap();
        unit.step().unwrap();
        let (net, layers) = (tied.autoencoder(), tied.autoencoder().layers());
        for (l, layer) in layers.iter().enumerate().take(2) {
            let (inputs, units) = (layer.inputs, layer.outputs);
            for at in 0..inputs * units {
                let (input, unit) = (at / units, at % units);
                assert_eq!(net.weights(l)[at], net.weights(3 - l)[unit * inputs + input]);
            }
        }
        for row in unit.autoencoder().weights(2).chunks(9) {
            let length: f32 = row.iter().map(|w| w * w).sum();
            assert!((length - 1.0).abs() < 1e-5, "{length}");
        }
    }
}

/// With `unit_norm` the optimizer sees the gradient of each unit's outgoing weights without its component
/// along them, the weight decay's included; other weights have their whole gradient. Fused, through memory
/// and from outside.
#[test]
fn unit_rows_learn_their_direction_alone() {
    let samples = samples(60);
    let jump = Code::JumpRelu { l0: 1e-2, bandwidth: 0.1, threshold: 0.1 };
    let lazy = Settings { optimizer: Optimizer::AdamLazy, ..settings(&[]) };
    let decayed = Settings { lambda: 0.1, ..settings(&[]) };
    for (code, base) in [
        (Code::Dense, decayed.clone()),
        (Code::TopK(2), decayed.clone()),
        (Code::BatchTopK(2), decayed.clone()),
        (jump, decayed),
        (Code::TopK(2), lazy.clone()),
        (jump, lazy),
    ] {
        for layers in [vec![FEATURES, 7, FEATURES], vec![FEATURES, 9, 7, 9, FEATURES]] {
            let decoder = layers.len() / 2;
            let settings = Settings {
                layers,
                code,
                unit_norm: true,
                activation: Activation::LeakyRelu,
                initialization: Initialization::He,
                ..base.clone()
            };
            let what = format!("{code}, {:?}", settings.layers);
            let batch = pixels(7, settings.batch, FEATURES);
            let mut outside = trainer(&settings, &samples);
            let mut fused = trainer(&settings, &samples);
            let mut memory = trainer(&Settings { clip: 1e9, ..settings.clone() }, &samples);
            let before = outside.autoencoder().parameters().to_vec();
            let gradient = outside.gradient_on(&batch).unwrap().1.to_vec();
            outside.apply_gradient(&gradient).unwrap();
            fused.step_on(&batch).unwrap();
            memory.step_on(&batch).unwrap();
            assert!(fused.autoencoder() == outside.autoencoder(), "{what}");
            assert!(
                fused.autoencoder().parameters() == memory.autoencoder().parameters(),
                "{what}"
            );
            for trainer in [&outside, &fused, &memory] {
                let layers = trainer.autoencoder().layers();
                let (place, width) = (layers[decoder].weights(), layers[decoder].outputs);
                let seen: Vec<f32> = trainer.moments().0.iter().map(|m| m * 10.0).collect();
                let (mut along, mut across) = (0.0, 0.0);
                for start in place.clone().step_by(width) {
                    let dot =
                        |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
                    let [w, g, seen] =
                        [&before, &gradient, &seen].map(|all| &all[start..start + width]);
                    let share = dot(w, g) / dot(w, w);
                    along += share * share;
                    across += dot(seen, seen);
                    for ((g, w), seen) in g.iter().zip(w).zip(seen) {
                        assert!(
                            (g - share * w - seen).abs() < 1e-5,
                            "{what}: {g} {w} {share} {seen}"
                        );
                    }
                }
                assert!(along > 1e-8 && across > 1e-8, "{what}: there is something to remove");
                let encoder = layers[decoder - 1].weights();
                if decoder > 1 {
                    for at in encoder {
                        assert!((seen[at] - gradient[at]).abs() < 1e-5, "{what}");
                    }
                }
            }
        }
    }
}

/// The decoder begins as the encoder, transposed; around the code both have length 1, and further out
/// they are as for `he`.
#[test]
fn transposed_decoders_have_the_encoders_directions() {
    let samples = samples(50);
    let codes =
        [Code::Dense, Code::TopK(2), Code::JumpRelu { l0: 1e-2, bandwidth: 0.1, threshold: 0.1 }];
    let shapes = [vec![FEATURES, 5, FEATURES], vec![FEATURES, 9, 20, 9, FEATURES]];
    for (code, layers) in codes.into_iter().flat_map(|code| shapes.clone().map(|s| (code, s))) {
        let he = Settings { code, initialization: Initialization::He, ..settings(&layers) };
        let transposed = Settings { initialization: Initialization::Transpose, ..he.clone() };
        let unit = Settings { unit_norm: true, ..transposed.clone() };
        let [he, net, unit] =
            [he, transposed, unit].map(|s| trainer(&s, &samples).into_autoencoder());
        assert!(unit.parameters() == net.parameters(), "their length is 1 already");
        let (count, half) = (net.layers().len(), net.layers().len() / 2);
        for (l, layer) in net.layers()[..half].iter().enumerate() {
            let [encoder, decoder, of_he] =
                [net.weights(l), net.weights(count - 1 - l), he.weights(l)].map(|w| w.into_owned());
            for unit in 0..layer.outputs {
                let of_unit = |weights: &[f32]| -> Vec<f32> {
                    (0..layer.inputs).map(|input| weights[input * layer.outputs + unit]).collect()
                };
                let (own, drawn) = (of_unit(&encoder), of_unit(&of_he));
                assert_eq!(
                    own,
                    decoder[unit * layer.inputs..][..layer.inputs],
                    "{code}, layer {l}"
                );
                let length = |row: &[f32]| row.iter().map(|w| w * w).sum::<f32>().sqrt();
                let scale = if l + 1 == half { 1.0 / length(&drawn) } else { 1.0 };
                assert!(l + 1 < half || (length(&own) - 1.0).abs() < 1e-6);
                for (own, drawn) in own.iter().zip(&drawn) {
                    assert!((own - scale * drawn).abs() < 1e-6, "{code}, layer {l}: {own} {drawn}");
                }
            }
        }
        assert!((0..count).all(|l| net.biases(l).iter().all(|&b| b == 0.0)));
    }
    let refused = Settings {
        tied: true,
        initialization: Initialization::Transpose,
        ..settings(&[FEATURES, 5, FEATURES])
    };
    let problem = refused.validate().unwrap_err().to_string();
    assert!(problem.starts_with("initialization: tied weights (field tied) are"), "{problem}");
}

#[test]
fn codes_are_as_sparse_as_asked() {
    let samples = samples(60);
    let base = settings(&[FEATURES, 10, FEATURES]);
    for (code, wanted) in [(Code::TopK(3), 3.0), (Code::BatchTopK(3), 3.0)] {
        let mut settings = base.clone();
        settings.code = code;
        settings.schedule = Schedule::Cosine { steps: 600 };
        let mut trainer = trainer(&settings, &samples);
        for _ in 0..600 {
            trainer.step().unwrap();
        }
        let codes = trainer.encode(&samples).unwrap();
        let active: Vec<usize> =
            codes.chunks(10).map(|code| code.iter().filter(|&&a| a != 0.0).count()).collect();
        let evaluation = trainer.evaluate(&samples).unwrap();
        let mean = active.iter().sum::<usize>() as f64 / active.len() as f64;
        assert!((evaluation.layers[0].l0 - mean).abs() < 1e-9);
        match code {
            Code::TopK(k) => assert!(active.iter().all(|&count| count == k), "{active:?}"),
            // Outside of training a threshold stands for the batch.
            _ => assert!((mean - wanted).abs() < 0.5, "{mean}"),
        }
    }
}

/// JumpReLU's thresholds rise where L0 weighs.
#[test]
fn thresholds_rise_with_the_weight_of_l0() {
    let samples = samples(60);
    let l0 = |weight: f64| {
        let mut settings = settings(&[FEATURES, 10, FEATURES]);
        settings.activation = Activation::Relu;
        settings.initialization = Initialization::He;
        settings.code = Code::JumpRelu { l0: weight, bandwidth: 0.3, threshold: 0.3 };
        let mut trainer = trainer(&settings, &samples);
        for _ in 0..400 {
            trainer.step().unwrap();
        }
        trainer.evaluate(&samples).unwrap().layers[0].l0
    };
    let (light, heavy) = (l0(0.0), l0(0.05));
    assert!(heavy < 0.7 * light, "{heavy} {light}");
}

#[test]
fn schedules() {
    let mut settings = settings(&[FEATURES, 5, FEATURES]);
    settings.learning_rate = 2.0;
    settings.warm_up = 4;
    let rates = |settings: &Settings, steps: &[u64]| -> Vec<f64> {
        steps.iter().map(|&step| settings.learning_rate_of(step)).collect()
    };
    assert_eq!(rates(&settings, &[1, 2, 4, 5, 100]), [0.5, 1.0, 2.0, 2.0, 2.0]);
    settings.schedule = Schedule::Step { every: 10, factor: 0.5 };
    assert_eq!(rates(&settings, &[4, 5, 14, 15, 24, 25]), [2.0, 2.0, 2.0, 1.0, 1.0, 0.5]);
    settings.schedule = Schedule::Cosine { steps: 104 };
    for step in 5..=120 {
        let share = (step as f64 - 5.0).min(100.0) / 100.0;
        let want = 1.0 + (std::f64::consts::PI * share).cos();
        let have = settings.learning_rate_of(step);
        assert!((have - want).abs() < 1e-9, "{step}: {have} {want}");
    }
    settings.schedule = Schedule::Linear { share: 0.25, steps: 80 };
    let boundaries = [1, 4, 5, 60, 61, 62, 71, 80, 81, 82, u64::MAX];
    assert_eq!(
        rates(&settings, &boundaries),
        [0.5, 2.0, 2.0, 2.0, 2.0, 1.9, 1.0, 0.1, 0.0, 0.0, 0.0]
    );
    // The decay begins after the warm-up, however large its share.
    settings.schedule = Schedule::Linear { share: 1.0, steps: 24 };
    assert_eq!(rates(&settings, &[3, 4, 5, 6, 15, 24, 25]), [1.5, 2.0, 2.0, 1.9, 1.0, 0.1, 0.0]);
    settings.warm_up = 0;
    assert_eq!(
        rates(&settings, &[1, 2, 13, 24, 25]),
        [2.0, 2.0 * (23.0 / 24.0), 1.0, 2.0 / 24.0, 0.0]
    );
    // Less than a step: the last one is as the others.
    settings.schedule = Schedule::Linear { share: 0.01, steps: 50 };
    assert_eq!(rates(&settings, &[1, 49, 50, 51]), [2.0, 2.0, 2.0, 0.0]);
}

/// From a text, to JSON and back; what is left out is the training's steps.
#[test]
#[cfg(feature = "model")]
fn linear_decays_come_back_from_texts() {
    let mut settings = settings(&[FEATURES, 5, FEATURES]);
    settings.set("schedule", "linear:0.3", 90).unwrap();
    assert_eq!(settings.schedule, Schedule::Linear { share: 0.3, steps: 90 });
    let json = settings.to_json();
    assert!(json.contains("\"schedule\":\"linear:0.3:90\""), "{json}");
    assert_eq!(Settings::from_json(&json).unwrap(), settings);
    let without = json.replace("linear:0.3:90", "linear:0.3");
    let problem = Settings::from_json(&without).unwrap_err().to_string();
    assert!(
        problem.contains("linear:SHARE[:STEPS]") && problem.contains("'linear:0.3'"),
        "{problem}"
    );
}

/// What is corrupted is the input alone; the same step has the same noise.
#[test]
fn corruption_is_seeded_and_as_strong_as_asked() {
    let samples = samples(50);
    let run = |corruption: Corruption, threads: usize| {
        let mut settings = settings(&[FEATURES, 9, FEATURES]);
        settings.corruption = corruption;
        let pool = ThreadPool::exactly(threads);
        let mut trainer = Trainer::builder(settings).pool(pool).build(&samples).unwrap();
        let reports: Vec<_> = (0..20).map(|_| trainer.step().unwrap()).collect();
        (reports, trainer.into_autoencoder())
    };
    let plain = run(Corruption::None, 1);
    assert_eq!(plain, run(Corruption::Masking(0.0), 1).map_settings(&plain));
    for corruption in [Corruption::Masking(0.5), Corruption::Gaussian(0.5)] {
        let one = run(corruption, 1);
        assert_eq!(one, run(corruption, 3));
        assert_ne!(one.1.parameters(), plain.1.parameters());
    }
}

/// For comparing runs whose settings differ by what should not matter.
trait MapSettings {
    fn map_settings(self, like: &Self) -> Self;
}

impl MapSettings for (Vec<sae::StepReport>, sae::Autoencoder) {
    fn map_settings(self, like: &Self) -> Self {
        let mut net = like.1.clone();
        net.parameters_mut().copy_from_slice(self.1.parameters());
        (self.0, net)
    }
}

/// A linear network finds what principal components explain: L-BFGS reaches that optimum.
#[test]
fn lbfgs_finds_the_optimum_of_a_linear_network() {
    // Data of rank 3, with a mean.
    let basis = pixels(1, 3, FEATURES);
    let factors = crate::common::uniform(2, 3 * 40);
    let row = |sample: usize, feature: usize| -> f32 {
        (0..3).map(|k| factors[sample * 3 + k] * basis[k * FEATURES + feature]).sum()
    };
    let values = (0..40 * FEATURES).map(|at| row(at / FEATURES, at % FEATURES)).collect();
    let samples = Samples::from_values(values, FEATURES).unwrap();
    let mut settings = settings(&[FEATURES, 3, FEATURES]);
    settings.activation = Activation::Linear;
    settings.output_activation = Activation::Linear;
    settings.batch = 40;
    settings.optimizer = Optimizer::Lbfgs { memory: 10 };
    let mut trainer = trainer(&settings, &samples);
    let mut before = f64::INFINITY;
    for step in 0..250 {
        let report = trainer.step().unwrap();
        assert!(report.loss <= before * (1.0 + 1e-6), "step {step}: {} {before}", report.loss);
        before = report.loss;
    }
    let evaluation = trainer.evaluate(&samples).unwrap();
    assert!(evaluation.explained_variance > 1.0 - 1e-6, "{evaluation:?}");
    // Another pool takes the same steps.
    let mut again = Trainer::builder(settings).pool(ThreadPool::exactly(3)).build(&samples);
    let again = again.as_mut().unwrap();
    for _ in 0..250 {
        again.step().unwrap();
    }
    assert_eq!(again.autoencoder().parameters(), trainer.autoencoder().parameters());
}

#[test]
fn lbfgs_wants_all_samples() {
    let mut settings = settings(&[FEATURES, 3, FEATURES]);
    settings.optimizer = Optimizer::Lbfgs { memory: 5 };
    let error = Trainer::new(settings, &samples(40)).unwrap_err().to_string();
    assert!(error.contains("optimizer") && error.contains("batch is 20"), "{error}");
}

/// From weights that are 100 and 30 times too small. (From one too large no ReLU lives to come back;
/// on a layer of sigmoids it does.)
#[test]
fn the_controller_reaches_its_target() {
    let samples = samples(200);
    for weight in [3e-3, 1e-2] {
        let mut settings = settings(&[FEATURES, 20, FEATURES]);
        settings.activation = Activation::Relu;
        settings.initialization = Initialization::He;
        settings.l1 = weight;
        settings.schedule = Schedule::Cosine { steps: 10_000 };
        settings.target = Some(Target { layer: 0, of: Measure::L0, value: 4.0, steps: 9000 });
        let mut trainer = trainer(&settings, &samples);
        for _ in 0..10_000 {
            trainer.step().unwrap();
        }
        let factor = trainer.autoencoder().penalty_factor();
        let l0 = trainer.evaluate(&samples).unwrap().layers[0].l0;
        assert!((l0 / 4.0 - 1.0).abs() < 0.1, "{weight}: {l0}, factor {factor}");
    }
}

#[test]
fn dead_units_come_back() {
    let samples = samples(60);
    let mut settings = settings(&[FEATURES, 8, FEATURES]);
    settings.activation = Activation::Relu;
    let mut trainer = trainer(&settings, &samples);
    let biases = trainer.autoencoder().layers()[0].biases();
    trainer.autoencoder_mut().parameters_mut()[biases][..3].fill(-100.0);
    let dead = |trainer: &mut Trainer| {
        trainer.evaluate(&samples).unwrap().layers[0].dead_units().collect::<Vec<_>>()
    };
    assert_eq!(dead(&mut trainer), [0, 1, 2]);
    let others = trainer.autoencoder().weights(0).to_vec();
    assert_eq!(trainer.revive(&samples).unwrap(), 3);
    assert_eq!(dead(&mut trainer), [0usize; 0]);
    for (at, (now, before)) in trainer.autoencoder().weights(0).iter().zip(&others).enumerate() {
        assert!(at % 8 < 3 || now == before, "a living unit's weight changed");
    }
    assert_eq!(trainer.revive(&samples).unwrap(), 0);
    trainer.step().unwrap();
}

#[test]
fn pretraining_takes_the_shallow_ones_weights() {
    let samples = samples(80);
    let settings = settings(&[FEATURES, 9, 4, 9, FEATURES]);
    let mut deep = trainer(&settings, &samples);
    let before = deep.evaluate(&samples).unwrap().loss;
    let mut seen = Vec::new();
    deep.pretrain(
        &samples,
        300,
        |_, _| ControlFlow::Continue(()),
        |layer, shallow, _| {
            seen.push((layer, shallow.autoencoder().weights(0).to_vec()));
            Ok(())
        },
    )
    .unwrap();
    assert_eq!(seen.iter().map(|(layer, _)| *layer).collect::<Vec<_>>(), [0, 1]);
    for (layer, weights) in &seen {
        assert_eq!(*deep.autoencoder().weights(*layer), **weights);
    }
    let after = deep.evaluate(&samples).unwrap().loss;
    assert!(after < 0.8 * before, "{after} {before}");
}

#[test]
fn pretraining_that_is_ended_keeps_what_it_has() {
    let samples = samples(80);
    let settings = settings(&[FEATURES, 9, 4, 9, FEATURES]);
    let first = trainer(&settings, &samples).into_autoencoder();
    for (ends_at, trained) in [(5, [true, false]), (20, [true, true])] {
        let (mut deep, mut steps, mut after) = (trainer(&settings, &samples), 0, Vec::new());
        let each = |_: &mut Trainer, _| {
            steps += 1;
            if steps == ends_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        deep.pretrain(&samples, 15, each, |layer, _, _| {
            after.push(layer);
            Ok(())
        })
        .unwrap();
        assert_eq!(steps, ends_at);
        assert_eq!(after.len(), ends_at / 15);
        for (layer, trained) in trained.into_iter().enumerate() {
            for layer in [layer, 3 - layer] {
                let same = deep.autoencoder().weights(layer) == first.weights(layer);
                assert_eq!(same, !trained, "layer {layer}");
            }
        }
    }
}

#[test]
fn early_stopping_keeps_the_best() {
    let samples = samples(40);
    let settings = settings(&[FEATURES, 3, FEATURES]);
    let builder = || Trainer::builder(settings.clone());
    let mut trainer = builder().patience(2).build(&samples).unwrap();
    let mut best = trainer.autoencoder().clone();
    for (objective, is_over) in
        [(3.0, false), (2.0, false), (2.5, false), (f64::NAN, true), (1.0, true)]
    {
        trainer.step().unwrap();
        assert_eq!((trainer.observe(objective), trainer.is_over()), (is_over, is_over));
        if objective == 2.0 {
            best = trainer.autoencoder().clone();
        }
    }
    assert!(*trainer.autoencoder() != best);
    assert_eq!(trainer.restore_best(), Some((2.0, 2)));
    assert_eq!(*trainer.autoencoder(), best);
    assert_eq!((trainer.restore_best(), trainer.is_over()), (None, false));
    // An objective that is no number is no best.
    let mut trainer = builder().patience(2).build(&samples).unwrap();
    assert!(!trainer.observe(f64::NAN) && !trainer.observe(5.0));
    assert_eq!(trainer.restore_best(), Some((5.0, 0)));
    let mut trainer = builder().build(&samples).unwrap();
    assert!(!trainer.observe(1.0) && trainer.restore_best().is_none());
}

fn combinations() -> impl Strategy<Value = (Settings, Vec<usize>)> {
    let activation = || prop::sample::select(Activation::ALL.to_vec());
    let first = (activation(), activation(), 0usize..5, any::<bool>(), any::<bool>());
    let second = (0usize..4, 0usize..3, 0usize..5, any::<bool>(), 0usize..4);
    let weights = (0usize..2, 0usize..2, 0usize..2, 0usize..2, 0usize..2);
    let shape = (1usize..12, 1usize..9, any::<bool>(), 1usize..40, 0u64..100);
    (first, second, weights, shape).prop_map(|(first, second, weights, shape)| {
        let (hidden, code_units, deep, batch, seed) = shape;
        let layers = match deep {
            true => vec![FEATURES, hidden, code_units, hidden, FEATURES],
            false => vec![FEATURES, code_units, FEATURES],
        };
        let mut settings = settings(&layers);
        settings.batch = batch;
        settings.seed = seed;
        let (activation, output, code, entropy, tied) = first;
        settings.activation = activation;
        settings.output_activation = output;
        settings.code = match code {
            1 => Code::TopK(code_units.div_ceil(2)),
            2 => Code::BatchTopK(1),
            3 => Code::JumpRelu { l0: 1e-2, bandwidth: 0.1, threshold: 0.1 },
            _ => Code::Dense,
        };
        if entropy {
            settings.loss = Loss::CrossEntropy;
            settings.output_activation = Activation::Sigmoid;
        }
        let (optimizer, corruption, initialization, unit_norm, schedule) = second;
        settings.optimizer = match optimizer {
            0 => Optimizer::AdamW { decay: 0.1 },
            1 => Optimizer::Momentum { momentum: 0.9 },
            _ => Optimizer::Adam,
        };
        settings.corruption = match corruption {
            0 => Corruption::None,
            1 => Corruption::Masking(0.3),
            _ => Corruption::Gaussian(0.3),
        };
        settings.initialization = [
            Initialization::TruncatedNormal,
            Initialization::Xavier,
            Initialization::He,
            Initialization::ByActivation,
            Initialization::Transpose,
        ][initialization];
        let transposes = settings.initialization == Initialization::Transpose;
        settings.tied = tied && !unit_norm && !transposes;
        settings.unit_norm = unit_norm;
        settings.schedule = match schedule {
            0 => Schedule::Constant,
            1 => Schedule::Cosine { steps: 50 },
            2 => Schedule::Linear { share: 0.3, steps: 45 },
            _ => Schedule::Step { every: 10, factor: 0.5 },
        };
        let (l1, beta, lambda, clip, momentum) = weights;
        settings.l1 = [0.0, 1e-3][l1];
        settings.beta = if activation == Activation::Sigmoid { [0.0, 1e-2][beta] } else { 0.0 };
        settings.lambda = [0.0, 1e-3][lambda];
        settings.clip = [0.0, 0.1][clip];
        settings.rho_momentum = [0.0, 0.9][momentum];
        if settings.beta > 0.0 {
            settings.target =
                Some(Target { layer: 0, of: Measure::MeanActivation, value: 0.2, steps: 40 });
        }
        (settings, layers)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Nothing is ever NaN on finite input, and no way of computing changes a bit.
    #[test]
    fn no_combination_gives_nan_or_other_bits((settings, _) in combinations()) {
        let samples = samples(30);
        let run = |isa: &str, threads: usize, skip: bool| {
            let mut trainer = Trainer::builder(settings.clone()).isa(Isa::forced(isa).unwrap()).pool(ThreadPool::exactly(threads)).skip_zeros(skip).build(&samples)
                .unwrap();
            let mut last = None;
            for _ in 0..50 {
                match trainer.step() {
                    Ok(report) => last = Some(report),
                    // A step too long is an end that says so.
                    Err(sae::Error::Diverged { .. }) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            (last, trainer)
        };
        let (report, mut trainer) = run("scalar", 1, false);
        let parameters = trainer.autoencoder().parameters().to_vec();
        prop_assert!(parameters.iter().all(|w| w.is_finite()), "{settings:?}");
        let evaluation = trainer.evaluate(&samples).unwrap();
        prop_assert!(evaluation.objective.is_finite(), "{settings:?}");
        let (other, trainer) = run(Isa::detect().name(), 3, true);
        prop_assert_eq!(report, other);
        prop_assert_eq!(&parameters, trainer.autoencoder().parameters());
    }

    /// Settings come back from JSON as they were.
    #[test]
    #[cfg(feature = "model")]
    fn settings_come_back_from_json((settings, _) in combinations()) {
        prop_assert_eq!(&Settings::from_json(&settings.to_json()).unwrap(), &settings);
    }
}

/// Settings that exclude each other are refused by both names.
#[test]
fn nonsense_names_both_fields() {
    let base = settings(&[FEATURES, 9, 4, 8, FEATURES]);
    type Change<'a> = &'a dyn Fn(&mut Settings);
    let cases: [(Change<'_>, [&str; 2]); 15] = [
        (&|s| s.initialization = Initialization::Transpose, ["initialization", "layers"]),
        (
            &|s| {
                s.layers = vec![FEATURES, 4, FEATURES];
                s.tied = true;
                s.initialization = Initialization::Transpose;
            },
            ["initialization", "tied"],
        ),
        (&|s| s.tied = true, ["tied", "layers"]),
        (&|s| s.code = Code::TopK(5), ["code", "layers"]),
        (&|s| s.code = Code::TopK(0), ["code", "layers"]),
        (
            &|s| {
                s.beta = 0.1;
                s.activation = Activation::Relu;
            },
            ["beta", "activation"],
        ),
        (
            &|s| {
                s.loss = Loss::CrossEntropy;
                s.output_activation = Activation::Linear;
            },
            ["loss", "output_activation"],
        ),
        (&|s| s.activations = vec![Activation::Relu], ["activations", "layers"]),
        (
            &|s| {
                s.optimizer = Optimizer::Lbfgs { memory: 5 };
                s.clip = 1.0;
            },
            ["optimizer", "clip"],
        ),
        (
            &|s| {
                s.schedule = Schedule::Cosine { steps: 5 };
                s.warm_up = 6;
            },
            ["schedule", "warm_up"],
        ),
        (
            &|s| {
                s.schedule = Schedule::Linear { share: 0.5, steps: 6 };
                s.warm_up = 6;
            },
            ["schedule", "warm_up"],
        ),
        (
            &|s| s.penalties = vec![LayerPenalty { layer: 3, rho: 0.1, beta: 0.0, l1: 0.1 }],
            ["penalties", "layers"],
        ),
        (
            &|s| {
                s.target = Some(Target { layer: 0, of: Measure::L0, value: 3.0, steps: 10 });
            },
            ["target", "beta"],
        ),
        (&|s| s.optimizer = Optimizer::AdamW { decay: 1e3 }, ["optimizer", "learning_rate"]),
        (
            &|s| {
                s.layers = vec![FEATURES, 4, FEATURES];
                s.tied = true;
                s.unit_norm = true;
            },
            ["unit_norm", "tied"],
        ),
    ];
    for (change, names) in cases {
        let mut settings = base.clone();
        change(&mut settings);
        let problem = settings.validate().unwrap_err().to_string();
        assert!(names.iter().all(|name| problem.contains(name)), "{names:?}: {problem}");
    }
    for change in [
        (|s: &mut Settings| s.l1 = -1.0) as fn(&mut Settings),
        |s| s.clip = f64::NAN,
        |s| s.rho_momentum = 1.0,
        |s| s.corruption = Corruption::Masking(1.0),
        |s| s.corruption = Corruption::Gaussian(-0.1),
        |s| s.optimizer = Optimizer::Momentum { momentum: 1.0 },
        |s| s.optimizer = Optimizer::Lbfgs { memory: 0 },
        |s| s.schedule = Schedule::Step { every: 0, factor: 0.5 },
        |s| s.schedule = Schedule::Linear { share: 0.0, steps: 5 },
        |s| s.schedule = Schedule::Linear { share: 1.1, steps: 5 },
        |s| s.schedule = Schedule::Linear { share: f64::NAN, steps: 5 },
        |s| s.schedule = Schedule::Linear { share: 0.5, steps: 0 },
        |s| s.schedule = Schedule::Step { every: 5, factor: 0.0 },
        |s| s.code = Code::JumpRelu { l0: -1.0, bandwidth: 0.1, threshold: 0.1 },
        |s| s.code = Code::JumpRelu { l0: 0.1, bandwidth: 0.0, threshold: 0.0 },
    ] {
        let mut settings = base.clone();
        change(&mut settings);
        settings.validate().unwrap_err();
    }
}
