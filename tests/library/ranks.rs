//! Several ranks train as one process does with the same batches, and end together.

use std::ops::ControlFlow;

use crate::common::pixels;
use crate::threads::Threads;
use sae::{
    Activation, Code, Corruption, Error, LayerPenalty, Loss, Measure, Optimizer, Samples, Settings,
    StepReport, Target, Trainer, TrainerBuilder, data::Order,
};

const SAMPLES: usize = 90;
const FEATURES: usize = 36;

fn samples() -> Samples {
    Samples::from_values(pixels(3, SAMPLES, FEATURES), FEATURES).unwrap()
}

fn settings() -> Settings {
    Settings {
        layers: vec![FEATURES, 20, 6, 20, FEATURES],
        batch: 22,
        beta: 1e-3,
        lambda: 1e-4,
        ..Settings::default()
    }
}

fn builder(settings: &Settings) -> TrainerBuilder {
    Trainer::builder(settings.clone()).threads(1)
}

/// What is compared of a training.
#[derive(Debug, PartialEq)]
struct Course {
    reports: Vec<StepReport>,
    objectives: Vec<f64>,
    rho_hat: Vec<Vec<f32>>,
    parameters: Vec<f32>,
    penalty_factor: f64,
}

fn course(trainer: &mut Trainer, steps: u64) -> Course {
    let (mut reports, mut objectives) = (Vec::new(), Vec::new());
    for _ in 0..steps {
        let report = trainer.step().unwrap();
        objectives.push(trainer.objective(report));
        reports.push(report);
    }
    let net = trainer.autoencoder();
    Course {
        reports,
        objectives,
        rho_hat: trainer.rho_hat().to_vec(),
        parameters: net.parameters().to_vec(),
        penalty_factor: net.penalty_factor(),
    }
}

/// The courses of so many ranks, which must be the same bits: that of each.
fn together(count: usize, threads: usize, settings: &Settings, steps: u64) -> Course {
    let samples = samples();
    let mut courses = Threads::run(count, |ranks| {
        let builder =
            builder(settings).pool(sae::compute::ThreadPool::exactly(threads)).ranks(ranks);
        course(&mut builder.build(&samples).unwrap(), steps)
    });
    let last = courses.pop().unwrap();
    for other in courses {
        assert!(other == last, "ranks have different weights or reports");
    }
    last
}

#[track_caller]
fn assert_close(name: &str, ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    for (at, (a, b)) in ours.iter().zip(theirs).enumerate() {
        let scale = a.abs().max(b.abs()).max(1e-6);
        assert!((a - b).abs() <= tolerance * scale, "{name}, step {}: {a} and {b}", at + 1);
    }
}

/// The same curve as one process, to 1e-4, and the same bits twice, with any number of threads.
fn check(name: &str, change: impl Fn(&mut Settings)) {
    let mut settings = settings();
    change(&mut settings);
    let steps = 25;
    let alone = course(&mut builder(&settings).build(&samples()).unwrap(), steps);
    for count in [1, 2, 3, 4] {
        let course = together(count, 1, &settings, steps);
        assert_close(name, &course.objectives, &alone.objectives, 1e-4);
        type Term = fn(&StepReport) -> f64;
        let terms: [Term; 4] = [|r| r.loss, |r| r.sparsity, |r| r.l1, |r| r.penalty];
        for term in terms {
            let [ours, theirs] =
                [&course, &alone].map(|course| course.reports.iter().map(term).collect::<Vec<_>>());
            assert_close(name, &ours, &theirs, 1e-3);
        }
        assert_close(name, &[course.penalty_factor], &[alone.penalty_factor], 1e-3);
        let means = |course: &Course| -> Vec<f64> {
            course.rho_hat.iter().flatten().map(|&mean| mean.into()).collect()
        };
        // Of the gate.
        let behind = |course: &Course| -> Vec<f64> {
            let end = settings.layers.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
            course.parameters[end..].iter().map(|&threshold| threshold.into()).collect()
        };
        assert_close(name, &behind(&course), &behind(&alone), 1e-3);
        for (a, b) in means(&course).iter().zip(means(&alone)) {
            assert!((a - b).abs() < 1e-3, "{name}: mean activations {a} and {b}");
        }
        assert!(course == together(count, 3, &settings, steps), "{name}: other bits the next time");
    }
}

#[test]
fn the_objective_of_every_part_of_the_toolbox() {
    check("KL and weight decay", |_| {});
    check("plain", |s| {
        s.beta = 0.0;
        s.lambda = 0.0;
    });
    check("running means", |s| s.rho_momentum = 0.9);
    check("L1", |s| {
        s.activation = Activation::Relu;
        s.beta = 0.0;
        s.l1 = 1e-3;
    });
    check("L1 of a signed activation", |s| {
        s.activation = Activation::Tanh;
        s.beta = 0.0;
        s.l1 = 1e-3;
    });
    check("penalty of a layer", |s| {
        s.penalties = vec![LayerPenalty { layer: 1, rho: 0.1, beta: 0.01, l1: 0.0 }];
    });
    check("top-k", |s| {
        s.activation = Activation::Relu;
        s.beta = 0.0;
        s.code = Code::TopK(3);
    });
    check("batch-top-k", |s| {
        s.activation = Activation::Relu;
        s.beta = 0.0;
        s.code = Code::BatchTopK(3);
    });
    check("JumpReLU", |s| {
        s.activation = Activation::Relu;
        s.beta = 0.0;
        s.code = Code::JumpRelu { l0: 1e-3, bandwidth: 0.05, threshold: 0.05 };
    });
    check("JumpReLU with a target", |s| {
        s.activation = Activation::Relu;
        s.beta = 0.0;
        s.code = Code::JumpRelu { l0: 0.1, bandwidth: 0.05, threshold: 0.05 };
        s.l0_penalty = sae::L0Penalty::Quadratic(2.0);
    });
    check("JumpReLU with tanh", |s| {
        s.activation = Activation::Relu;
        s.beta = 0.0;
        s.unit_norm = true;
        s.code = Code::JumpRelu { l0: 1e-2, bandwidth: 0.05, threshold: 0.05 };
        s.l0_penalty = sae::L0Penalty::Tanh { scale: 4.0 };
    });
    check("centered", |s| s.output_activation = Activation::Linear);
    check("cross-entropy", |s| s.loss = Loss::CrossEntropy);
    check("FVU", |s| s.loss = Loss::Fvu);
    check("tied", |s| s.tied = true);
    check("unit norm", |s| s.unit_norm = true);
    check("clipped", |s| s.clip = 1e-3);
    check("momentum", |s| {
        s.optimizer = Optimizer::Momentum { momentum: 0.9 };
        s.learning_rate = 0.1;
    });
    check("AdamW", |s| s.optimizer = Optimizer::AdamW { decay: 0.01 });
    check("masked", |s| s.corruption = Corruption::Masking(0.3));
    check("noise", |s| s.corruption = Corruption::Gaussian(0.1));
    check("target of mean activation", |s| {
        s.target = Some(Target { layer: 1, of: Measure::MeanActivation, value: 0.1, steps: 25 });
    });
    check("target of a signed layer", |s| {
        s.activation = Activation::Tanh;
        s.beta = 0.0;
        s.l1 = 1e-3;
        s.target = Some(Target { layer: 0, of: Measure::MeanActivation, value: 0.1, steps: 25 });
    });
    check("target of L0", |s| {
        s.activation = Activation::Relu;
        s.beta = 0.0;
        s.l1 = 1e-3;
        s.target = Some(Target { layer: 1, of: Measure::L0, value: 2.0, steps: 25 });
    });
    check("L-BFGS", |s| {
        s.optimizer = Optimizer::Lbfgs { memory: 5 };
        s.batch = SAMPLES;
    });
}

/// Where activations are equal, those of the first samples of the batch are kept, of whichever rank.
#[test]
fn batch_top_k_of_equal_activations() {
    let distinct = pixels(4, 5, FEATURES);
    let samples = Samples::from_values(distinct.repeat(18), FEATURES).unwrap();
    for k in 1..5 {
        let mut settings = settings();
        settings.activation = Activation::Relu;
        settings.beta = 0.0;
        settings.code = Code::BatchTopK(k);
        let train = |builder: TrainerBuilder| course(&mut builder.build(&samples).unwrap(), 1);
        let alone = train(builder(&settings));
        for course in Threads::run(3, |ranks| train(builder(&settings).ranks(ranks))) {
            assert_close("equal activations", &course.objectives, &alone.objectives, 1e-6);
            for (a, b) in course.rho_hat.iter().flatten().zip(alone.rho_hat.iter().flatten()) {
                assert!((a - b).abs() < 1e-6, "{a} and {b}");
            }
            assert_eq!(course.parameters.last(), alone.parameters.last());
        }
    }
}

/// Layers of several pieces each: 1500 x 600 and 600 x 1500 weights, 2 MiB at a time.
#[test]
fn layers_that_are_summed_in_pieces() {
    let samples = Samples::from_values(pixels(4, 20, 1500), 1500).unwrap();
    let mut settings = settings();
    settings.layers = vec![1500, 600, 1500];
    settings.batch = 8;
    let train = |builder: TrainerBuilder| course(&mut builder.build(&samples).unwrap(), 4);
    let alone = train(builder(&settings));
    for clip in [0.0, 1e6] {
        // With a bound that is never met, all sums are waited for before the first weight changes.
        settings.clip = clip;
        let courses = Threads::run(2, |ranks| {
            let course = train(builder(&settings).ranks(ranks.clone()));
            let pieces = ranks.pieces.lock().unwrap();
            // The last rows with the biases behind them, then the others: of the second layer, then of
            // the first.
            let step = [280 * 1500 + 1500, 320 * 1500, 668 * 600 + 600, 832 * 600];
            assert!(pieces.chunks(4).all(|pieces| pieces == step), "{pieces:?}");
            assert_eq!(pieces.len(), 16);
            course
        });
        for course in courses {
            assert_close("in pieces", &course.objectives, &alone.objectives, 1e-5);
        }
    }
}

/// Each rank's own share: the batches are the shares' batches, one behind the other.
#[test]
fn shares() {
    let settings = settings();
    let all = pixels(3, SAMPLES, FEATURES);
    // Of other lengths, so that epochs end at other steps.
    let cuts = [0, 25, 57, SAMPLES];
    let share = |rank: usize| &all[cuts[rank] * FEATURES..cuts[rank + 1] * FEATURES];
    let mut alone = builder(&settings).build(&samples()).unwrap();
    let mut orders: Vec<_> =
        (0..3).map(|rank| Order::new(cuts[rank + 1] - cuts[rank], settings.seed)).collect();
    let parts = [7, 7, 8];
    let mut expected = Vec::new();
    for _ in 0..25 {
        let mut batch = Vec::new();
        for rank in 0..3 {
            let mut rows = vec![0; parts[rank]];
            orders[rank].next(&mut rows);
            let samples = rows.iter().map(|&row| &share(rank)[row * FEATURES..][..FEATURES]);
            batch.extend(samples.flatten().copied());
        }
        let report = alone.step_on(&batch).unwrap();
        expected.push(alone.objective(report));
    }
    let courses = Threads::run(3, |ranks| {
        let own = Samples::from_values(share(ranks.number()).to_vec(), FEATURES).unwrap();
        let builder = builder(&settings).ranks(ranks).sharded(true);
        course(&mut builder.build(&own).unwrap(), 25)
    });
    for course in &courses {
        assert_close("shares", &course.objectives, &expected, 1e-4);
        assert_eq!(course, &courses[0]);
    }
}

/// A rank's part of a batch, of the caller's and as a gradient.
#[test]
fn batches_and_gradients_of_the_caller() {
    let settings = settings();
    let samples = samples();
    let batch = pixels(8, settings.batch, FEATURES);
    let mut alone = builder(&settings).build(&samples).unwrap();
    let (report, gradient) = alone.gradient_on(&batch).unwrap();
    let gradient = gradient.to_vec();
    let next = alone.step_on(&batch).unwrap();
    let parts = Threads::run(3, |ranks| {
        let mut trainer = builder(&settings).ranks(ranks).build(&samples).unwrap();
        let part = trainer.batch_part();
        let own = &batch[part.start * FEATURES..part.end * FEATURES];
        let (ours, sum) = trainer.gradient_on(own).unwrap();
        let sum = sum.to_vec();
        assert_close("loss", &[ours.loss], &[report.loss], 1e-5);
        let largest = gradient.iter().fold(0.0, |most: f32, g| most.max(g.abs()));
        for (a, b) in sum.iter().zip(&gradient) {
            assert!((a - b).abs() < 1e-5 * largest, "{a} and {b}");
        }
        let wrong = trainer.gradient_check(own, 3).unwrap_err().to_string();
        assert!(wrong.contains("ranks"), "{wrong}");
        let after = trainer.step_on(own).unwrap();
        assert_close("loss", &[after.loss], &[next.loss], 1e-5);
        trainer.apply_gradient(&sum).unwrap();
        part
    });
    assert_eq!(parts, [0..7, 7..14, 14..22]);
}

/// Three ranks' shares, of which rank 1's has a NaN in its eighth sample.
fn share_with_nan(rank: usize) -> Samples {
    let mut own = pixels(rank as u64, 30, FEATURES);
    if rank == 1 {
        own[7 * FEATURES + 3] = f32::NAN;
    }
    Samples::from_values(own, FEATURES).unwrap()
}

fn assert_failed(rank: usize, error: &Error) {
    assert_eq!(rank == 1, error.to_string().contains("NaN"), "{error}");
    assert_eq!(rank != 1, matches!(error, Error::OtherRank), "{error}");
}

/// Where one rank fails, all do, at once, and it alone has the reason.
#[test]
fn a_rank_that_fails() {
    let mut settings = settings();
    settings.activation = Activation::Relu;
    settings.beta = 0.0;
    for code in [Code::Dense, Code::BatchTopK(2)] {
        settings.code = code;
        let outcomes = Threads::run(3, |ranks| {
            let own = share_with_nan(ranks.number());
            let mut trainer = builder(&settings).ranks(ranks).sharded(true).build(&own).unwrap();
            let error = trainer.run(100, |_, _| ControlFlow::Continue(())).unwrap_err();
            (trainer.steps(), trainer.autoencoder().parameters().to_vec(), error)
        });
        for (rank, (steps, parameters, error)) in outcomes.iter().enumerate() {
            // 30 samples in parts of 7 and 8: within five steps.
            assert!(*steps < 5);
            assert_eq!((steps, parameters), (&outcomes[0].0, &outcomes[0].1));
            assert_failed(rank, error);
        }
    }
    // A batch of another length, at one rank.
    let samples = samples();
    let errors = Threads::run(2, |ranks| {
        let short = ranks.number();
        let mut trainer = builder(&settings).ranks(ranks).build(&samples).unwrap();
        trainer.step_on(&vec![0.5; (11 - short) * FEATURES]).unwrap_err().to_string()
    });
    assert!(errors[0].contains("another rank"), "{}", errors[0]);
    assert!(
        errors[1].contains(
            "expected a rank's part of the batch, 396 numbers, samples by features, got 360"
        ),
        "{}",
        errors[1]
    );
}

/// Between the layers of a pretraining: rank 1 meets its NaN when it encodes all of its samples.
#[test]
fn a_rank_that_fails_in_a_pretraining() {
    let settings = settings();
    let errors = Threads::run(3, |ranks| {
        let own = share_with_nan(ranks.number());
        let mut trainer = builder(&settings).ranks(ranks).sharded(true).build(&own).unwrap();
        let error = trainer
            .pretrain(&own, 1, |_, _| ControlFlow::Continue(()), |_, _, _| Ok(()))
            .unwrap_err();
        // And they go on together.
        let unit = Samples::from_values(vec![0.5; 30 * FEATURES], FEATURES).unwrap();
        assert!(
            trainer.pretrain(&unit, 1, |_, _| ControlFlow::Continue(()), |_, _, _| Ok(())).is_ok()
        );
        error
    });
    for (rank, error) in errors.iter().enumerate() {
        assert_failed(rank, error);
    }
}

#[test]
fn what_a_share_cannot_tell_is_refused() {
    let mut settings = settings();
    let errors = Threads::run(2, |ranks| {
        let own = samples();
        let builder = builder(&settings).ranks(ranks).sharded(true);
        builder.build(&own).unwrap().revive(&own).unwrap_err().to_string()
    });
    assert!(errors.iter().all(|error| error.contains("which units are dead")), "{errors:?}");
    settings.optimizer = Optimizer::Lbfgs { memory: 5 };
    settings.batch = SAMPLES;
    let errors = Threads::run(2, |ranks| {
        let builder = builder(&settings).ranks(ranks).sharded(true);
        builder.build(&samples()).unwrap_err().to_string()
    });
    assert!(
        errors.iter().all(|error| error.contains("a rank only has its own shard")),
        "{errors:?}"
    );
}

#[test]
fn ranks_that_do_not_fit_are_refused() {
    let refused = |count: usize, change: fn(usize, &mut Settings)| {
        let samples = samples();
        Threads::run(count, |ranks| {
            let mut settings = settings();
            change(ranks.number(), &mut settings);
            builder(&settings).ranks(ranks).build(&samples).unwrap_err().to_string()
        })
    };
    for error in refused(3, |rank, s| s.rho = if rank == 2 { 0.5 } else { 0.02 }) {
        assert!(error.contains("rank 2 has other settings"), "{error}");
    }
    let errors = refused(2, |rank, s| s.beta1 = if rank == 1 { 2.0 } else { 0.9 });
    assert!(errors[0].contains("another rank"), "{}", errors[0]);
    assert!(errors[1].starts_with("beta1"), "{}", errors[1]);
    for error in refused(4, |_, s| s.batch = 3) {
        assert!(error.contains("3 samples for 4 ranks"), "{error}");
    }
    let samples = [samples(), Samples::from_values(pixels(3, 50, FEATURES), FEATURES).unwrap()];
    let errors = Threads::run(2, |ranks| {
        let own = &samples[ranks.number()];
        builder(&settings()).ranks(ranks).build(own).unwrap_err().to_string()
    });
    assert!(errors[0].contains("other data"), "{}", errors[0]);
}

/// All stop after the same step, whichever says so.
#[test]
fn one_rank_stops_all() {
    let samples = samples();
    for (who, when, steps) in [(0, 5, 6), (2, 5, 6), (1, 20, 20)] {
        let ends = Threads::run(3, |ranks| {
            let rank = ranks.number();
            let mut trainer = builder(&settings()).ranks(ranks).build(&samples).unwrap();
            let mut run = |until: u64| {
                let after = |trainer: &mut Trainer, _: StepReport| {
                    if rank == who && trainer.steps() == when {
                        return ControlFlow::Break(());
                    }
                    ControlFlow::Continue(())
                };
                trainer.run(until, after).unwrap();
                trainer.steps()
            };
            // And the next run is no shorter for it.
            (run(20), run(3))
        });
        assert_eq!(ends, [(steps, steps + 3); 3]);
    }
}

#[cfg(feature = "model")]
#[test]
fn a_checkpoint_of_rank_0_is_enough() {
    for sharded in [false, true] {
        let mut settings = settings();
        settings.rho_momentum = 0.5;
        settings.target =
            Some(Target { layer: 1, of: Measure::MeanActivation, value: 0.1, steps: 30 });
        let all = pixels(3, SAMPLES, FEATURES);
        let own = |rank: usize| {
            let (start, end) = if sharded { (rank * 40, rank * 40 + 50) } else { (0, SAMPLES) };
            Samples::from_values(all[start * FEATURES..end * FEATURES].to_vec(), FEATURES).unwrap()
        };
        let courses = Threads::run(2, |ranks| {
            let samples = own(ranks.number());
            let start = builder(&settings).sharded(sharded);
            let mut trainer = start.ranks(ranks.clone()).build(&samples).unwrap();
            course(&mut trainer, 13);
            let checkpoint = trainer.checkpoint().unwrap();
            let whole = course(&mut trainer, 10);
            // With another number of threads, and nothing at rank 1.
            let mut again = builder(&settings).threads(2).sharded(sharded).ranks(ranks.clone());
            if ranks.number() == 0 {
                let checkpoint = sae::files::Checkpoint::from_bytes("rank 0's", &checkpoint);
                again = again.resume(checkpoint.unwrap());
            }
            (whole, course(&mut again.build(&samples).unwrap(), 10))
        });
        for (whole, resumed) in courses {
            assert!(whole == resumed, "sharded: {sharded}");
        }
    }
}

/// A pretraining that one rank ends, is over for all after the step that follows.
#[test]
fn one_rank_ends_a_pretraining() {
    let samples = samples();
    for (when, steps) in [(25, 26), (40, 40)] {
        let ends = Threads::run(2, |ranks| {
            let rank = ranks.number();
            let mut trainer = builder(&settings()).ranks(ranks).build(&samples).unwrap();
            let (mut steps, mut layers) = (0, 0);
            let each = |_: &mut Trainer, _: StepReport| {
                steps += 1;
                if rank == 1 && steps == when {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            let after = |_: usize, _: &mut Trainer, _: &Samples| {
                layers += 1;
                Ok(())
            };
            trainer.pretrain(&samples, 20, each, after).unwrap();
            (steps, layers, trainer.autoencoder().parameters().to_vec())
        });
        assert_eq!((ends[0].0, ends[0].1), (steps, 1));
        assert_eq!(ends[0], ends[1]);
    }
}

#[test]
fn revived_and_pretrained_alike() {
    let samples = samples();
    let mut settings = settings();
    settings.activation = Activation::Relu;
    settings.beta = 0.0;
    let ends = Threads::run(2, |ranks| {
        let mut trainer = builder(&settings).ranks(ranks).build(&samples).unwrap();
        trainer.pretrain(&samples, 10, |_, _| ControlFlow::Continue(()), |_, _, _| Ok(())).unwrap();
        course(&mut trainer, 2);
        let layer = trainer.autoencoder().layers()[0];
        // Two units that never are active.
        for unit in [3, 8] {
            let weights = (0..layer.inputs).map(|input| layer.start + input * layer.outputs + unit);
            let places: Vec<_> = weights.chain([layer.biases().start + unit]).collect();
            let parameters = trainer.autoencoder_mut().parameters_mut();
            places.into_iter().for_each(|at| parameters[at] = -1.0);
        }
        let count = trainer.revive(&samples).unwrap();
        (count, course(&mut trainer, 3))
    });
    assert!(ends[0].0 >= 2 && ends[0].0 == ends[1].0);
    assert_eq!(ends[0].1, ends[1].1);
    let mut alone = builder(&settings).build(&samples).unwrap();
    alone.pretrain(&samples, 10, |_, _| ControlFlow::Continue(()), |_, _, _| Ok(())).unwrap();
    let two = course(&mut alone, 2);
    let both = Threads::run(2, |ranks| {
        let mut trainer = builder(&settings).ranks(ranks).build(&samples).unwrap();
        trainer.pretrain(&samples, 10, |_, _| ControlFlow::Continue(()), |_, _, _| Ok(())).unwrap();
        course(&mut trainer, 2)
    });
    assert_close("pretrained", &both[0].objectives, &two.objectives, 1e-4);
}
