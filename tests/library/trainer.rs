//! Order and their order, divergence, and what a trained network gives back.

use std::ops::ControlFlow;

use crate::common::{pixels, uniform};
use proptest::prelude::*;
use sae::{
    Activation, Error, Optimizer, OutputBias, Samples, Settings, Trainer, compute::ThreadPool,
    data::Order,
};

fn next(batches: &mut Order, batch: usize) -> Vec<usize> {
    let mut rows = vec![usize::MAX; batch];
    batches.next(&mut rows);
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the sizes, each run of `samples` draws holds every sample once.
    #[test]
    fn every_sample_once_an_epoch(samples in 1usize..60, batch in 1usize..100, seed: u64) {
        let mut batches = Order::new(samples, seed);
        prop_assert_eq!(batches.position(), (0, 0));
        let mut drawn = Vec::new();
        while drawn.len() < 4 * samples {
            drawn.extend(next(&mut batches, batch));
            let (epoch, position) = batches.position();
            prop_assert_eq!(epoch as usize * samples + position, drawn.len());
        }
        for epoch in drawn.chunks_exact(samples) {
            let mut epoch = epoch.to_vec();
            epoch.sort_unstable();
            prop_assert!(epoch.into_iter().eq(0..samples));
        }
    }

    /// A position is the whole state.
    #[test]
    fn a_position_is_enough(samples in 1usize..60, batch in 1usize..100, before in 0usize..8) {
        let mut batches = Order::new(samples, 7);
        for _ in 0..before {
            next(&mut batches, batch);
        }
        let (epoch, position) = batches.position();
        let mut other = Order::new(samples, 7);
        next(&mut other, 3);
        other.seek(epoch, position);
        prop_assert_eq!(other.position(), (epoch, position));
        for _ in 0..5 {
            prop_assert_eq!(next(&mut other, batch), next(&mut batches, batch));
        }
    }
}

#[test]
fn epochs_and_seeds_have_their_own_order() {
    let mut batches = Order::new(50, 1);
    let [first, second] = [(); 2].map(|()| next(&mut batches, 50));
    assert_ne!(first, second);
    assert_ne!(first, next(&mut Order::new(50, 2), 50));
    assert_ne!(first, (0..50).collect::<Vec<_>>());
}

/// The order of three samples: all six are about as frequent.
#[test]
fn orders_are_equally_likely() {
    let mut counts = std::collections::BTreeMap::new();
    for seed in 0..6000 {
        *counts.entry(next(&mut Order::new(3, seed), 3)).or_insert(0) += 1;
    }
    assert!(counts.len() == 6 && counts.values().all(|&count| (880..1120).contains(&count)));
}

#[test]
#[should_panic(expected = "no such position")]
fn a_position_outside_the_epoch() {
    Order::new(5, 1).seek(0, 6);
}

#[test]
fn a_batch_may_be_longer_than_the_data() {
    let samples = Samples::from_values(pixels(1, 3, 5), 5).unwrap();
    let settings = Settings { layers: vec![5, 2, 5], batch: 20, ..Settings::default() };
    let mut trainer = Trainer::new(settings, &samples).unwrap();
    let losses: Vec<_> = (0..60).map(|_| trainer.step().unwrap().loss).collect();
    assert!(losses[59] < losses[0], "{losses:?}");
}

#[test]
fn run_stops_when_told() {
    let samples = Samples::from_values(pixels(1, 30, 5), 5).unwrap();
    let settings = Settings { layers: vec![5, 2, 5], batch: 7, ..Settings::default() };
    let mut trainer = Trainer::new(settings, &samples).unwrap();
    let mut calls = 0;
    let after = |trainer: &mut Trainer, report: sae::StepReport| {
        calls += 1;
        assert_eq!(trainer.steps(), calls);
        let objective = trainer.objective(report);
        assert!(objective >= report.loss && objective.is_finite());
        if calls == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    trainer.run(100, after).unwrap();
    assert_eq!(trainer.steps(), 4);
    trainer.run(3, |_, _| ControlFlow::Continue(())).unwrap();
    trainer.run(0, |_, _| unreachable!()).unwrap();
    assert_eq!(trainer.steps(), 7);
}

/// The weights of a trainer as bits, NaN included.
fn bits(trainer: &Trainer) -> Vec<u32> {
    let (first, second) = trainer.moments();
    let all = [trainer.autoencoder().parameters(), first, second].concat();
    all.into_iter().map(f32::to_bits).collect()
}

#[track_caller]
fn assert_diverges(trainer: &mut Trainer, within: u64) {
    for _ in 0..within {
        let (before, steps) = (bits(trainer), trainer.steps());
        match trainer.step() {
            Ok(report) => assert!(report.loss.is_finite() && report.sparsity.is_finite()),
            Err(Error::Diverged { step }) => {
                assert_eq!((step, trainer.steps()), (steps + 1, steps));
                assert!(bits(trainer) == before, "the weights changed");
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no divergence within {within} steps");
}

#[test]
fn a_huge_learning_rate_diverges() {
    let samples = Samples::from_values(pixels(1, 30, 5), 5).unwrap();
    for threads in [1, 3] {
        let settings = Settings {
            layers: vec![5, 4, 3, 4, 5],
            batch: 10,
            beta: 0.0,
            activation: Activation::Linear,
            output_activation: Activation::Linear,
            learning_rate: 1e9,
            ..Settings::default()
        };
        let mut trainer =
            Trainer::builder(settings).pool(ThreadPool::exactly(threads)).build(&samples).unwrap();
        assert_diverges(&mut trainer, 5);
    }
}

#[test]
fn weights_that_are_no_numbers_diverge() {
    let samples = Samples::from_values(uniform(1, 6 * 30), 6).unwrap();
    for activation in Activation::ALL {
        for layer in 0..4 {
            for bias in [false, true] {
                let settings = Settings {
                    layers: vec![6, 4, 3, 4, 6],
                    batch: 10,
                    beta: 0.0,
                    activation,
                    output_activation: activation,
                    ..Settings::default()
                };
                let mut trainer = Trainer::new(settings, &samples).unwrap();
                trainer.step().unwrap();
                let place = trainer.autoencoder().layers()[layer];
                let at = if bias { place.biases().start } else { place.weights().start };
                trainer.autoencoder_mut().parameters_mut()[at] = f32::NAN;
                println!("{activation:?}, layer {layer}, bias: {bias}");
                assert_diverges(&mut trainer, 1);
            }
        }
    }
}

#[test]
fn a_batch_with_nan_diverges() {
    let samples = Samples::from_values(pixels(1, 30, 5), 5).unwrap();
    let settings = Settings { layers: vec![5, 4, 5], batch: 2, ..Settings::default() };
    let mut trainer = Trainer::new(settings, &samples).unwrap();
    let before = bits(&trainer);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut batch = vec![0.5; 10];
        batch[7] = bad;
        assert!(matches!(trainer.step_on(&batch), Err(Error::Diverged { step: 1 })));
        assert!(bits(&trainer) == before);
    }
    trainer.step_on(&[0.5; 10]).unwrap();
}

#[test]
fn a_feature_that_is_not_finite_is_named() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for threads in [1, 3] {
            let mut values = pixels(1, 300, 5);
            values[217 * 5 + 3] = bad;
            let samples = Samples::from_values(values, 5).unwrap();
            let settings = Settings { layers: vec![5, 4, 5], batch: 300, ..Settings::default() };
            let mut trainer = Trainer::builder(settings)
                .pool(ThreadPool::exactly(threads))
                .build(&samples)
                .unwrap();
            let before = bits(&trainer);
            for error in [
                trainer.step().unwrap_err(),
                trainer.evaluate(&samples).unwrap_err(),
                trainer.encode(&samples).unwrap_err(),
            ] {
                let text = error.to_string();
                assert!(text.contains("sample 217") && text.contains("feature 3"), "{text}");
            }
            assert!(bits(&trainer) == before && trainer.steps() == 0);
        }
    }
}

/// Codes decode to the reconstructions, and the loss is their distance from the samples.
#[test]
fn encode_decode_reconstruct_and_evaluate_agree() {
    let (count, d) = (601, 37);
    let values = pixels(2, count, d);
    let samples = Samples::from_values(values.clone(), d).unwrap();
    for activation in Activation::ALL {
        for layers in [vec![d, 11, d], vec![d, 20, 6, 20, d], vec![d, 9, 8, 5, 8, 9, d]] {
            let code = layers[layers.len() / 2];
            let settings = Settings { layers, beta: 0.0, activation, ..Settings::default() };
            let mut trainer =
                Trainer::builder(settings).pool(ThreadPool::exactly(2)).build(&samples).unwrap();
            trainer.run(20, |_, _| ControlFlow::Continue(())).unwrap();
            let codes = trainer.encode(&samples).unwrap();
            assert_eq!(codes.len(), count * code);
            let reconstruction = {
                let (engine, net) = trainer.parts();
                net.reconstruct(engine, &samples)
            }
            .unwrap();
            assert_eq!(reconstruction.len(), count * d);
            assert!(
                {
                    let (engine, net) = trainer.parts();
                    net.decode(engine, &codes)
                }
                .unwrap()
                    == reconstruction
            );
            // Also a few at a time.
            let some: Vec<_> = codes
                .chunks(7 * code)
                .flat_map(|codes| {
                    {
                        let (engine, net) = trainer.parts();
                        net.decode(engine, codes)
                    }
                    .unwrap()
                })
                .collect();
            assert!(some == reconstruction);
            let (first, rest) = samples.split(123).unwrap();
            let parts = [first, rest].map(|part| trainer.encode(&part).unwrap());
            assert!(parts.concat() == codes);

            let squares = values.iter().zip(&reconstruction).map(|(x, a)| {
                let off = f64::from(*a) - f64::from(*x);
                off * off
            });
            let loss = squares.sum::<f64>() / values.len() as f64;
            let evaluation = trainer.evaluate(&samples).unwrap();
            assert!((evaluation.loss / loss - 1.0).abs() < 1e-6, "{} {loss}", evaluation.loss);
            let means = evaluation.mean_activations();
            let mean = codes.iter().map(|&a| f64::from(a)).sum::<f64>() / codes.len() as f64;
            assert!((means[means.len() / 2] - mean).abs() < 1e-5 * mean.abs().max(1.0));
            let network = trainer.into_autoencoder();
            let mut engine = sae::Engine::new(sae::Isa::detect(), ThreadPool::new(1));
            assert!(network.reconstruct(&mut engine, &samples).unwrap() == reconstruction);
        }
    }
}

/// Looking at a gradient changes nothing; the step with it follows the batch.
#[test]
fn a_gradient_changes_nothing() {
    let samples = Samples::from_values(pixels(1, 30, 6), 6).unwrap();
    let settings = Settings {
        layers: vec![6, 9, 6],
        batch: 10,
        rho: 0.2,
        code: sae::Code::BatchTopK(2),
        ..Settings::default()
    };
    let mut trainer = Trainer::new(settings, &samples).unwrap();
    trainer.step().unwrap();
    let before = bits(&trainer);
    let (report, gradient) = trainer.gradient_on(&uniform(3, 60)).unwrap();
    assert!(report.loss > 0.0 && gradient.iter().any(|&g| g != 0.0));
    let gradient = gradient.to_vec();
    assert!(bits(&trainer) == before);
    assert_eq!(trainer.steps(), 1);
    trainer.apply_gradient(&gradient).unwrap();
    let after = bits(&trainer);
    let threshold = trainer.autoencoder().parameters().len() - 1;
    assert!(before[threshold] != after[threshold] && before[0] != after[0]);
    assert_eq!(trainer.steps(), 2);
}

/// A batch that is not finite fails its step, and every later step is as if it had never been: weights,
/// moments, running means, threshold and the controller's factor.
#[test]
fn a_failed_step_leaves_no_trace() {
    let samples = Samples::from_values(uniform(1, 30 * 6), 6).unwrap();
    let kinds: [fn(&mut Settings); 6] = [
        |settings| settings.rho_momentum = 0.9,
        |settings| settings.code = sae::Code::BatchTopK(2),
        |settings| settings.code = sae::Code::JumpRelu { l0: 0.01, bandwidth: 0.1, threshold: 0.1 },
        |settings| settings.clip = 0.1,
        |settings| settings.tied = true,
        |settings| {
            let of = sae::Measure::MeanActivation;
            settings.target = Some(sae::Target { layer: 0, of, value: 0.1, steps: 100 });
        },
    ];
    for (kind, change) in kinds.into_iter().enumerate() {
        for bad in [f32::NAN, f32::INFINITY, 3e38] {
            let mut settings =
                Settings { layers: vec![6, 9, 6], batch: 10, beta: 0.01, ..Settings::default() };
            settings.allow_unreachable = true;
            change(&mut settings);
            let build = || Trainer::new(settings.clone(), &samples).unwrap();
            let (mut clean, mut trainer) = (build(), build());
            let good = uniform(3, 60);
            let mut batch = good.clone();
            batch[7] = bad;
            for step in 0..6 {
                if step % 2 == 1 {
                    let failed = trainer.step_on(&batch).unwrap_err();
                    assert!(
                        matches!(failed, sae::Error::Diverged { .. }),
                        "{kind} {bad}: {failed}"
                    );
                    assert!(trainer.gradient_on(&batch).is_err());
                    // Nor does it wait for a step with a gradient from outside.
                    let gradient = clean.gradient_on(&good).unwrap().1.to_vec();
                    assert_eq!(trainer.gradient_on(&good).unwrap().1, gradient);
                    assert!(trainer.gradient_on(&batch).is_err());
                    assert!(clean.gradient_on(&batch).is_err());
                    clean.apply_gradient(&gradient).unwrap();
                    trainer.apply_gradient(&gradient).unwrap();
                }
                let (report, other) = (clean.step().unwrap(), trainer.step().unwrap());
                assert_eq!(report, other, "kind {kind}, {bad}, step {step}");
            }
            assert!(bits(&clean) == bits(&trainer), "kind {kind}, {bad}");
            assert_eq!(
                clean.autoencoder().penalty_factor().to_bits(),
                trainer.autoencoder().penalty_factor().to_bits()
            );
        }
    }
}

#[test]
fn a_network_larger_than_memory_is_refused() {
    let layers = vec![1 << 24, 1 << 23, 1 << 24];
    let settings = Settings { layers, ..Settings::default() };
    let refused = sae::Autoencoder::new(settings, sae::Scaling::Byte).unwrap_err().to_string();
    assert!(
        refused.starts_with("layers: out of memory: these sizes and this batch take"),
        "{refused}"
    );
}

/// Features so large that the square of a gradient overflows: the step says so and changes nothing.
/// Adam would otherwise freeze the weights without a word.
#[test]
fn gradients_whose_squares_overflow_diverge() {
    let kinds: [fn(&mut Settings); 4] = [
        |_| {},
        |settings| settings.optimizer = Optimizer::Momentum { momentum: 0.9 },
        |settings| settings.code = sae::Code::TopK(2),
        |settings| settings.tied = true,
    ];
    for (kind, change) in kinds.into_iter().enumerate() {
        for (scale, threads) in [(1e9, 1), (1e11, 2), (1e12, 1), (1e17, 3)] {
            let values: Vec<f32> = uniform(1, 30 * 6).iter().map(|x| scale * x).collect();
            let samples = Samples::from_values(values, 6).unwrap();
            let mut settings = Settings {
                layers: vec![6, 9, 6],
                batch: 10,
                beta: 0.0,
                activation: Activation::Linear,
                output_activation: Activation::Linear,
                output_bias: OutputBias::Zero,
                learning_rate: 1e-3,
                ..Settings::default()
            };
            change(&mut settings);
            let build = |settings| {
                let pool = ThreadPool::exactly(threads);
                Trainer::builder(settings).pool(pool).build(&samples).unwrap()
            };
            // Momentum moves by its gradient, and so flies off soon after.
            let within = if kind == 1 { 5 } else { 1 };
            if scale > 1e10 {
                assert_diverges(&mut build(settings.clone()), within);
                if kind != 1 {
                    let clipped = Settings { clip: 1.0, ..settings };
                    build(clipped).run(5, |_, _| ControlFlow::Continue(())).unwrap();
                }
            } else if kind != 1 {
                let mut trainer = build(settings);
                let before = trainer.autoencoder().weights(1).to_vec();
                trainer.run(5, |_, _| ControlFlow::Continue(())).unwrap();
                let after = trainer.autoencoder().weights(1);
                let changed = before.iter().zip(&*after);
                assert!(changed.filter(|(a, b)| a == b).count() < 10, "weights are frozen");
            }
        }
    }
}

/// One sample that is far too large fails its step alone.
#[test]
fn a_huge_sample_does_not_freeze_a_training() {
    let mut values = uniform(1, 30 * 6);
    values[17 * 6..18 * 6].fill(1e13);
    let samples = Samples::from_values(values, 6).unwrap();
    let settings = Settings {
        layers: vec![6, 9, 6],
        batch: 10,
        beta: 0.0,
        activation: Activation::Linear,
        output_activation: Activation::Linear,
        // The huge sample would be most of the mean.
        output_bias: OutputBias::Zero,
        ..Settings::default()
    };
    let mut trainer = Trainer::new(settings, &samples).unwrap();
    let failed = (0..9).filter(|_| trainer.step().is_err()).count();
    assert_eq!(failed, 3, "one batch of each epoch");
    let before = bits(&trainer);
    trainer.step_on(&uniform(5, 60)).unwrap();
    let same = before.iter().zip(bits(&trainer)).filter(|(a, b)| **a == *b).count();
    assert!(same < 10, "weights are frozen");
    let problem = trainer.step_on(&[1e13; 60]).unwrap_err().to_string();
    assert!(problem.contains("scale the data"), "{problem}");
}

/// Features that the output or the loss cannot reach are named, in files, in memory and in batches from
/// outside, and change nothing.
#[test]
fn features_out_of_reach_are_refused() {
    let settings = |output_activation, loss| Settings {
        layers: vec![4, 3, 4],
        batch: 5,
        beta: 0.0,
        output_activation,
        loss,
        ..Settings::default()
    };
    let (squared, entropy) = (sae::Loss::SquaredError, sae::Loss::CrossEntropy);
    for (output, loss, bad) in [
        (Activation::Sigmoid, squared, &[-0.25, 1.5][..]),
        (Activation::SaturatingLinear, squared, &[-0.25, 1.5]),
        (Activation::Tanh, squared, &[-1.25, 1.5]),
        (Activation::Relu, squared, &[-0.25]),
        (Activation::Linear, squared, &[]),
        (Activation::LeakyRelu, squared, &[]),
        (Activation::Sigmoid, entropy, &[-0.25, 1.5]),
    ] {
        let settings = settings(output, loss);
        for &bad in bad {
            let mut values = uniform(1, 20);
            values[2 * 4 + 3] = bad;
            let samples = Samples::from_values(values.clone(), 4).unwrap();
            let mut trainer = Trainer::new(settings.clone(), &samples).unwrap();
            let before = bits(&trainer);
            let outside = trainer.step_on(&values).unwrap_err().to_string();
            let place = format!("sample 2 of the batch, feature 3 is {bad}; the ");
            assert!(outside.starts_with(&place), "{outside}");
            assert!(trainer.gradient_on(&values).is_err());
            let own = trainer.step().unwrap_err().to_string();
            assert!(own.starts_with(&format!("sample 2, feature 3 is {bad}; the ")), "{own}");
            assert!(bits(&trainer) == before);
            // Only the cross-entropy is not defined there.
            let evaluated = trainer.evaluate(&samples);
            assert_eq!(evaluated.is_err(), loss == entropy, "{evaluated:?}");
            let allowed = Settings { allow_unreachable: true, ..settings.clone() };
            let mut trainer = Trainer::new(allowed, &samples).unwrap();
            assert_eq!(trainer.step().is_ok(), loss == squared);
        }
        let good = Samples::from_values(vec![0.0, 1.0, 0.5, 1.0], 4).unwrap();
        let mut trainer = Trainer::new(settings, &good).unwrap();
        trainer.step().unwrap();
        let linear = matches!(output, Activation::Linear | Activation::LeakyRelu);
        assert_eq!(trainer.step_on(&[-3.0; 20]).is_ok(), linear);
    }
}

/// Objectives under different weights of the penalties are not compared.
#[test]
fn early_stopping_counts_from_where_the_weights_are_frozen() {
    let samples = Samples::from_values(uniform(1, 30 * 6), 6).unwrap();
    let of = sae::Measure::MeanActivation;
    let target = Some(sae::Target { layer: 0, of, value: 0.05, steps: 20 });
    let settings =
        Settings { layers: vec![6, 9, 6], batch: 10, beta: 1e-3, target, ..Settings::default() };
    let mut trainer = Trainer::builder(settings).patience(2).build(&samples).unwrap();
    for step in 1..=25 {
        trainer.step().unwrap();
        // The best objective comes first, and would end the training.
        let is_over = trainer.observe(f64::from(step));
        assert_eq!(is_over, step >= 22, "step {step}");
    }
    assert_eq!(trainer.restore_best().unwrap(), (20.0, 20));
}
