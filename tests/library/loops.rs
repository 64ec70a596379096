//! Training loops of the caller's: batches of other lengths, a gradient that is changed before its update,
//! penalties on activations, gradients by the inputs, and no samples of the trainer's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{pixels, uniform};
use crate::gradient_norm::{BATCH, FEATURES, all, samples};
use crate::threads::Threads;
use sae::training::{Activations, Batch};
use sae::{
    Activation, Code, Error, Initialization, Loss, Optimizer, OutputBias, Samples, Settings,
    Trainer, TrainerBuilder, compute::ThreadPool,
};

fn rows(seed: u64, count: usize) -> Vec<f32> {
    pixels(seed, count, FEATURES)
}

fn builder(settings: &Settings, threads: usize) -> TrainerBuilder {
    Trainer::builder(settings.clone()).pool(ThreadPool::exactly(threads))
}

fn parameters(trainer: &Trainer) -> &[f32] {
    trainer.autoencoder().parameters()
}

/// A batch of fewer samples is what it would be in a training whose batches have as many.
#[test]
fn shorter_batches() {
    for (name, settings) in all() {
        for count in [1, 13, BATCH - 1] {
            let of_few = Settings { batch: count, ..settings.clone() };
            let mut long = builder(&settings, 3).build(&samples()).unwrap();
            let mut short = builder(&of_few, 2).build(&samples()).unwrap();
            for seed in 0..4 {
                let batch = rows(seed, count);
                let report = long.step_on(&batch).unwrap();
                assert_eq!(report, short.step_on(&batch).unwrap(), "{name}, {count} samples");
            }
            assert!(parameters(&long) == parameters(&short), "{name}, {count} samples");
            assert_eq!(long.inactive_samples(), short.inactive_samples(), "{name}");
        }
    }
}

/// Lengths may change from step to step, and nothing is left of the batch before.
#[test]
fn batches_of_changing_lengths() {
    for (name, settings) in all() {
        let settings = Settings { auxiliary: sae::Auxiliary::None, ..settings };
        let mut trainer = builder(&settings, 2).build(&samples()).unwrap();
        for (seed, count) in [(1, BATCH), (2, 13), (3, 1), (4, BATCH), (5, 27)] {
            let batch = rows(seed, count);
            let net = trainer.autoencoder().clone();
            let of_few = Settings { batch: count, ..settings.clone() };
            let mut fresh = builder(&of_few, 1).network(net).build(&samples()).unwrap();
            let (report, gradient) = fresh.gradient_on(&batch).unwrap();
            let (own, of_trainer) = trainer.gradient_on(&batch).unwrap();
            assert_eq!(own.loss, report.loss, "{name}, {count} samples");
            assert!(of_trainer == gradient, "{name}, {count} samples");
            trainer.step_on(&batch).unwrap();
        }
        // And then its own samples again.
        trainer.step().unwrap();
    }
}

#[test]
fn batches_of_wrong_lengths() {
    let (_, settings) = all().swap_remove(0);
    let mut trainer = builder(&settings, 1).build(&samples()).unwrap();
    let before = parameters(&trainer).to_vec();
    for length in [0, 1, FEATURES + 1, FEATURES * (BATCH + 1)] {
        let problem = trainer.step_on(&vec![0.5; length]).unwrap_err().to_string();
        let expected =
            format!("expected a batch of 1 to {BATCH} samples of {FEATURES} numbers, got {length}");
        assert!(problem.contains(&expected), "{problem}");
        assert!(trainer.gradient_on(&vec![0.5; length]).is_err());
        assert!(trainer.step_with(&vec![0.5; length], |_, _| panic!("never called")).is_err());
    }
    assert_eq!((trainer.steps(), parameters(&trainer)), (0, &before[..]));
}

/// Between gradient and update nothing happens by itself.
#[test]
fn a_step_with_an_unchanged_gradient() {
    for (name, settings) in all() {
        let [mut with, mut on, mut own, mut next] =
            [1, 3, 2, 1].map(|threads| builder(&settings, threads).build(&samples()).unwrap());
        for seed in 0..5 {
            let batch = rows(seed, BATCH);
            let mut seen = None;
            let report = with
                .step_with(&batch, |gradient, context| {
                    assert_eq!(context.steps(), seed);
                    seen =
                        Some((context.report(), gradient.to_vec(), context.autoencoder().clone()));
                    Ok(())
                })
                .unwrap();
            let (seen, gradient, net) = seen.unwrap();
            let before = on.autoencoder().parameters();
            assert!(settings.unit_norm || net.parameters() == before, "{name}");
            let (expected, of_on) = on.gradient_on(&batch).unwrap();
            assert_eq!(seen, report, "{name}");
            if !settings.unit_norm {
                assert!(report == expected && gradient == of_on, "{name}");
            }
            on.step_on(&batch).unwrap();
            assert!(is_same(&with, &on, &settings), "{name}, step {seed}");
            // And on the trainers' own samples.
            own.step().unwrap();
            next.step_with(Batch::Next, |_, _| Ok(())).unwrap();
            assert!(is_same(&own, &next, &settings), "{name}, step {seed}");
        }
    }
}

/// Whether the networks are the same; where a fused update rounds the weight decay's part at another place, almost.
fn is_same(one: &Trainer, other: &Trainer, settings: &Settings) -> bool {
    let mut pairs = parameters(one).iter().zip(parameters(other));
    if settings.unit_norm && settings.lambda > 0.0 {
        return pairs.all(|(a, b)| (a - b).abs() < 1e-5);
    }
    pairs.all(|(a, b)| a.to_bits() == b.to_bits())
}

#[test]
fn a_step_whose_gradient_is_refused() {
    for (name, settings) in all() {
        let [mut trainer, mut clean] =
            [2, 2].map(|threads| builder(&settings, threads).build(&samples()).unwrap());
        let batch = rows(1, BATCH);
        let own = Err(Error::Shape("too steep".to_owned()));
        let refused = trainer.step_with(&batch, |_, _| own);
        assert_eq!(refused.unwrap_err().to_string(), "too steep");
        for bad in [f32::NAN, f32::INFINITY] {
            let refused = trainer.step_with(&batch, |gradient, _| {
                gradient[7] = bad;
                Ok(())
            });
            let problem = refused.unwrap_err().to_string();
            assert!(problem.contains(&format!("got {bad} at position 7")), "{name}: {problem}");
        }
        assert!(parameters(&trainer) == parameters(&clean), "{name}");
        assert_eq!(trainer.steps(), 0);
        for _ in 0..3 {
            assert_eq!(trainer.step().unwrap(), clean.step().unwrap(), "{name}");
        }
        assert!(parameters(&trainer) == parameters(&clean), "{name}");
        assert_eq!(trainer.inactive_samples(), clean.inactive_samples(), "{name}");
    }
    let (_, settings) = all().swap_remove(0);
    let settings = Settings { optimizer: Optimizer::Lbfgs { memory: 3 }, batch: 200, ..settings };
    let mut trainer = builder(&settings, 1).build(&samples()).unwrap();
    let problem = trainer.step_with(Batch::Next, |_, _| Ok(())).unwrap_err().to_string();
    assert!(problem.contains("L-BFGS evaluates gradients itself"), "{problem}");
}

/// An error at one rank is an error of all.
#[test]
fn a_rank_that_refuses_its_gradient() {
    let (_, settings) = all().swap_remove(0);
    let outcomes = Threads::run(3, |ranks| {
        let number = ranks.number();
        let mut trainer = builder(&settings, 1).ranks(ranks).build(&samples()).unwrap();
        trainer.step_with(Batch::Next, |_, _| Ok(())).unwrap();
        let before = parameters(&trainer).to_vec();
        let own = match number {
            1 => Err(Error::Shape("too steep".to_owned())),
            _ => Ok(()),
        };
        let problem = trainer.step_with(Batch::Next, |_, _| own).unwrap_err();
        assert_eq!(parameters(&trainer), before);
        trainer.step().unwrap();
        (problem, parameters(&trainer).to_vec())
    });
    for (rank, (problem, after)) in outcomes.iter().enumerate() {
        assert_eq!(rank == 1, problem.to_string() == "too steep");
        assert_eq!(rank != 1, matches!(problem, Error::OtherRank));
        assert!(*after == outcomes[0].1);
    }
}

/// ln(1 + 4 a^2), some tenths of the loss, and its derivative.
fn smooth(a: f32) -> (f32, f32) {
    (0.02 * (4.0 * a * a).ln_1p(), 0.16 * a / (1.0 + 4.0 * a * a))
}

/// The same by hand.
fn by_rows(activations: &mut Activations<'_>) -> f64 {
    let n = activations.batch() as f32;
    let mut sum = 0.0;
    for sample in 0..activations.shape().0 {
        let row = activations.row(sample);
        for (to, &a) in row.gradient.iter_mut().zip(row.values) {
            let (value, derivative) = smooth(a);
            *to += derivative / n;
            sum += f64::from(value);
        }
    }
    sum / f64::from(n)
}

/// The kinds of a training, with an own penalty on every hidden layer.
fn penalized(settings: &Settings, threads: usize) -> TrainerBuilder {
    let hidden = settings.layers.len() - 2;
    (0..hidden).fold(builder(settings, threads), |builder, layer| {
        builder.penalty(layer, |activations| activations.add_mean(smooth))
    })
}

/// A penalty of the caller's that the settings have, too, trains as that of the settings.
#[test]
fn a_penalty_that_settings_have() {
    for (name, settings) in all() {
        let plain = Settings { l1: 0.0, beta: 0.0, ..settings.clone() };
        let with = Settings { l1: 0.03, ..plain.clone() };
        let l1 = |a: f32| (0.03 * a.abs(), if a == 0.0 { 0.0 } else { 0.03 * a.signum() });
        // That of the settings is on the encoder's layers.
        let encoder = 0..(settings.layers.len() - 1) / 2;
        let own = encoder.fold(builder(&plain, 2), |own, layer| {
            own.penalty(layer, move |activations| activations.add_mean(l1))
        });
        let mut own = own.build(&samples()).unwrap();
        let mut expected = builder(&with, 2).build(&samples()).unwrap();
        let batch = rows(3, 29);
        let (report, gradient) = own.gradient_on(&batch).unwrap();
        let (of_settings, by_settings) = expected.gradient_on(&batch).unwrap();
        let value = of_settings.penalty - plain_penalty(&plain, &batch);
        assert!((report.own_penalty - value).abs() < 1e-5 * value, "{name}: {report:?} {value}");
        let largest = by_settings.iter().fold(0.0, |most: f32, g| most.max(g.abs()));
        for (at, (a, b)) in gradient.iter().zip(by_settings).enumerate() {
            assert!((a - b).abs() <= 2e-6 * largest, "{name}, {at}: {a} and {b}");
        }
    }
}

/// What the other penalties of a training amount to.
fn plain_penalty(settings: &Settings, batch: &[f32]) -> f64 {
    builder(settings, 1).build(&samples()).unwrap().gradient_on(batch).unwrap().0.penalty
}

/// The gradient along itself is the finite difference of the objective, the penalty in it.
#[test]
fn a_smooth_penalty() {
    const H: f32 = 2e-4;
    for (name, settings) in all() {
        // (For an auxiliary loss what is left over is a constant, and its gradient is no difference.)
        let settings = Settings { auxiliary: sae::Auxiliary::None, ..settings };
        let mut trainer = penalized(&settings, 3).build(&samples()).unwrap();
        for _ in 0..3 {
            trainer.step().unwrap();
        }
        let batch = rows(8, BATCH);
        let (report, gradient) = trainer.gradient_on(&batch).unwrap();
        assert!(report.own_penalty > 0.0, "{name}");
        let mut gradient = gradient.to_vec();
        let gate = trainer.autoencoder().layers().last().unwrap().biases().end;
        // Thresholds have an estimate and no derivative.
        gradient[gate..].fill(0.0);
        let here = parameters(&trainer).to_vec();
        let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        let values = [H, -H].map(|side| {
            let moved = here.iter().zip(&gradient).map(|(w, g)| w + side / norm as f32 * g);
            let moved: Vec<f32> = moved.collect();
            trainer.autoencoder_mut().parameters_mut().copy_from_slice(&moved);
            let report = trainer.gradient_on(&batch).unwrap().0;
            trainer.objective(report)
        });
        let difference = (values[0] - values[1]) / f64::from(2.0 * H);
        // (Of tied weights both halves have the sum, and move together.)
        let expected = if settings.tied { tied_length(&gradient, &settings) / norm } else { norm };
        let error = (difference - expected).abs() / expected;
        assert!(error < 0.02, "{name}: {difference} and {expected}");
    }
}

/// Half of the square of a gradient's weights, of which both halves have the sum, and the square of the rest.
fn tied_length(gradient: &[f32], settings: &Settings) -> f64 {
    let square = |numbers: &[f32]| numbers.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>();
    square(gradient) - square(&gradient[..settings.layers[0] * settings.layers[1]])
}

/// By rows, by a function, with any number of threads: the same; with several ranks about so.
#[test]
fn a_penalty_in_each_way() {
    for (name, settings) in all() {
        let mut trainers =
            [1, 3].map(|threads| penalized(&settings, threads).build(&samples()).unwrap());
        let hidden = settings.layers.len() - 2;
        let by_hand = (0..hidden).fold(builder(&settings, 2), |b, layer| b.penalty(layer, by_rows));
        let mut by_hand = by_hand.build(&samples()).unwrap();
        let mut objectives = Vec::new();
        for step in 0..6 {
            let [report, other] = [0, 1].map(|at| trainers[at].step().unwrap());
            assert_eq!(report, other, "{name}, step {step}");
            let rows = by_hand.step().unwrap();
            assert!((rows.own_penalty - report.own_penalty).abs() < 1e-6 * report.own_penalty);
            objectives.push(trainers[0].objective(report));
        }
        assert!(parameters(&trainers[0]) == parameters(&trainers[1]), "{name}");
        assert!(parameters(&trainers[0]) == parameters(&by_hand), "{name}");
        let courses = Threads::run(3, |ranks| {
            let mut trainer = penalized(&settings, 1).ranks(ranks).build(&samples()).unwrap();
            let objective = |trainer: &mut Trainer| {
                let report = trainer.step().unwrap();
                trainer.objective(report)
            };
            (0..6).map(|_| objective(&mut trainer)).collect::<Vec<_>>()
        });
        for (ours, alone) in courses.iter().flat_map(|course| course.iter().zip(&objectives)) {
            assert!((ours - alone).abs() < 2e-3 * alone.abs(), "{name}: {ours} and {alone}");
        }
    }
}

#[test]
fn penalties_that_go_wrong() {
    let (_, settings) = all().swap_remove(0);
    let problem = builder(&settings, 1).penalty(3, |_| 0.0).build(&samples()).unwrap_err();
    let problem = problem.to_string();
    assert!(problem.contains("expected one of 3 hidden layers, from 0 on, got 3"), "{problem}");
    for (name, settings) in all() {
        for bad in [f32::NAN, f32::INFINITY, 1e30] {
            for of_value in [true, false] {
                let calls = Arc::new(AtomicUsize::new(0));
                let count = Arc::clone(&calls);
                let mut trainer = builder(&settings, 2)
                    .penalty(0, move |activations| {
                        // The second step's.
                        if count.fetch_add(1, Ordering::Relaxed) == 1 {
                            if of_value {
                                return f64::from(bad) * 1e300;
                            }
                            let gradient = activations.row(3).gradient;
                            gradient.iter_mut().for_each(|g| *g = bad);
                        }
                        0.0
                    })
                    .build(&samples())
                    .unwrap();
                trainer.step().unwrap();
                let before = parameters(&trainer).to_vec();
                let outcome = trainer.step();
                let is_clipped = settings.clip > 0.0 && bad.is_finite() && !of_value;
                if !is_clipped {
                    let diverged = matches!(outcome, Err(Error::Diverged { step: 2 }));
                    // A sample of a sparse code may have no entry, and momentum squares no gradient.
                    let may_pass = settings.code != Code::Dense
                        || bad == 1e30 && matches!(settings.optimizer, Optimizer::Momentum { .. });
                    assert!(diverged || may_pass && outcome.is_ok(), "{name}, {bad}: {outcome:?}");
                }
                if outcome.is_err() {
                    assert_eq!(parameters(&trainer), before, "{name}");
                }
                let _ = trainer.step();
                assert!(parameters(&trainer).iter().all(|w| w.is_finite()), "{name}, {bad}");
            }
        }
    }
}

/// Networks that predict targets, whose gradient by the inputs is a finite difference.
#[test]
fn gradients_by_the_inputs() {
    const OUTPUTS: usize = 9;
    let settings = |code, skip, layers: &[usize]| Settings {
        layers: layers.to_vec(),
        activation: if code == Code::Dense { Activation::Tanh } else { Activation::Relu },
        output_activation: Activation::Linear,
        initialization: Initialization::He,
        beta: 0.0,
        l1: 0.01,
        lambda: 0.0,
        batch: 30,
        code,
        skip,
        ..Settings::default()
    };
    let jump = Code::JumpRelu { l0: 1e-3, bandwidth: 0.5, threshold: 0.2 };
    let (x, y) = (pixels(3, 200, FEATURES), uniform(5, 200 * OUTPUTS));
    let samples = Samples::from_values(x.clone(), FEATURES).unwrap();
    let samples = samples.with_targets(Samples::from_values(y.clone(), OUTPUTS).unwrap()).unwrap();
    let deep = &[FEATURES, 17, 40, 11, OUTPUTS][..];
    let flat = &[FEATURES, 40, OUTPUTS][..];
    let cases = [
        ("dense", settings(Code::Dense, false, deep)),
        ("skip", settings(Code::Dense, true, flat)),
        ("top-k", settings(Code::TopK(5), false, flat)),
        ("top-k, skip", settings(Code::TopK(5), true, flat)),
        ("batch-top-k", settings(Code::BatchTopK(5), false, flat)),
        ("JumpReLU", settings(jump, false, flat)),
    ];
    for (name, settings) in cases {
        let mut trainer = builder(&settings, 2)
            .penalty(0, |activations| activations.add_mean(smooth))
            .build(&samples)
            .unwrap();
        for _ in 0..3 {
            trainer.step().unwrap();
        }
        let (x, y) = (&x[..21 * FEATURES], &y[..21 * OUTPUTS]);
        let mut gradient = vec![f32::NAN; x.len()];
        let problem = trainer.input_gradient(&mut gradient).unwrap_err().to_string();
        assert!(problem.contains("there was none since the last step"), "{problem}");
        trainer.gradient_on((x, y)).unwrap();
        let problem = trainer.input_gradient(&mut [0.0; 4]).unwrap_err().to_string();
        assert!(problem.contains("21 x 23 numbers, samples by features, got 4"), "{problem}");
        trainer.input_gradient(&mut gradient).unwrap();
        let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        let h = 1e-3;
        let values = [h, -h].map(|side| {
            let moved = x.iter().zip(&gradient).map(|(x, g)| x + side / norm as f32 * g);
            let report = trainer.gradient_on((&moved.collect::<Vec<_>>(), y)).unwrap().0;
            trainer.objective(report)
        });
        let difference = (values[0] - values[1]) / f64::from(2.0 * h);
        assert!((difference - norm).abs() < 0.01 * norm, "{name}: {difference} and {norm}");
        // The same within a step, and for any number of threads.
        let mut within = vec![0.0; x.len()];
        trainer.gradient_on((x, y)).unwrap();
        trainer.step_with((x, y), |_, context| context.input_gradient(&mut within)).unwrap();
        assert_eq!(within, gradient, "{name}");
    }
}

/// Of a network that reconstructs its inputs: targets are constants.
#[test]
fn gradients_by_the_inputs_of_an_autoencoder() {
    for (name, settings) in all() {
        if settings.tied {
            continue;
        }
        let plain = samples();
        let pairs = plain.with_targets(plain.clone()).unwrap();
        let mut own = builder(&settings, 2).build(&plain).unwrap();
        let mut other = builder(&settings, 3).build(&pairs).unwrap();
        let batch = rows(4, 31);
        // So that units are dead where that has a loss.
        for _ in 0..4 {
            own.step().unwrap();
            other.step().unwrap();
        }
        own.gradient_on(&batch).unwrap();
        other.gradient_on((&batch, &batch)).unwrap();
        let [mut here, mut there] = [0, 1].map(|_| vec![0.0; batch.len()]);
        own.input_gradient(&mut here).unwrap();
        other.input_gradient(&mut there).unwrap();
        assert!(here.iter().any(|&g| g != 0.0) && here == there, "{name}");
    }
}

#[test]
fn a_trainer_without_samples() {
    for (name, settings) in all() {
        let settings = Settings { output_bias: OutputBias::Zero, ..settings };
        let built = builder(&settings, 2).build_without_samples();
        if let Code::JumpRelu { .. } = settings.code {
            let problem = built.unwrap_err().to_string();
            assert!(problem.contains("build the trainer on some samples"), "{problem}");
            continue;
        }
        let mut without = built.unwrap();
        let mut with = builder(&settings, 1).build(&samples()).unwrap();
        let problem = without.step().unwrap_err().to_string();
        assert!(problem.contains("samples: the trainer was built without"), "{problem}");
        let run = without.run(3, |_, _| std::ops::ControlFlow::Continue(()));
        assert!(run.unwrap_err().to_string().contains("step_on"));
        for seed in 0..5 {
            let batch = rows(seed, if seed == 3 { 7 } else { BATCH });
            without.step_on(&batch).unwrap();
            with.step_on(&batch).unwrap();
        }
        assert_eq!(without.steps(), 5);
        assert!(parameters(&without) == parameters(&with), "{name}");
    }
    let (_, settings) = all().swap_remove(0);
    let pairs = Settings { layers: vec![FEATURES, 30, 4], ..settings.clone() };
    let mut trainer = builder(&pairs, 1).build_without_samples().unwrap();
    trainer.step_on((&rows(1, 5), &[0.5; 5 * 4])).unwrap();
    for (name, settings) in [
        ("fvu", Settings { loss: Loss::Fvu, ..settings.clone() }),
        ("l-bfgs", Settings { optimizer: Optimizer::Lbfgs { memory: 3 }, ..settings.clone() }),
    ] {
        let problem = builder(&settings, 1).build_without_samples().unwrap_err().to_string();
        assert!(problem.contains(name) && problem.contains("some samples"), "{problem}");
    }
    let problem = builder(&Settings { layers: vec![], ..settings }, 1).build_without_samples();
    assert!(problem.unwrap_err().to_string().starts_with("layers:"));
}
