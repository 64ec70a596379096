//! A training step allocates nothing. One test in a process of its own: every thread is watched.

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use counting::ALLOCATIONS;
use sae::{
    Activation, Code, Corruption, Engine, Isa, LayerPenalty, Loss, Measure, Optimizer, Preset,
    Samples, Scaling, Settings, Target, Trainer, TrainerBuilder,
    compute::ThreadPool,
    data::{Array, write_idx},
    ranks::{Ranks, Sums},
};

/// Fails if one of 50 steps, or one on a batch of the caller's, allocates after the first step.
fn check(what: &str, settings: Settings, samples: &Samples, threads: usize) {
    let pool = ThreadPool::exactly(threads);
    assert_eq!(pool.threads(), threads);
    check_trainer(what, Trainer::builder(settings).pool(pool), samples, threads);
}

/// Fails if codes or reconstructions of rows allocate after the first call.
fn check_inference(what: &str, settings: Settings, samples: &Samples, threads: usize) {
    let pool = ThreadPool::exactly(threads);
    let mut trainer = Trainer::builder(settings).pool(pool).build(samples).unwrap();
    trainer.step().unwrap();
    let (net, rows) = (trainer.autoencoder().clone(), 30);
    let mut engine = Engine::new(Isa::detect(), ThreadPool::exactly(threads));
    let (features, units) = (samples.features(), net.settings().code_units());
    let inputs = vec![0.5; rows * features];
    let mut codes = vec![0.0; rows * units];
    let mut outputs = vec![0.0; rows * net.settings().layers.last().unwrap()];
    let width = outputs.len() / rows;
    let mut pass = |rows: usize| {
        let (codes, outputs) = (&mut codes[..rows * units], &mut outputs[..rows * width]);
        net.encode_into(&mut engine, &inputs[..rows * features], codes).unwrap();
        net.reconstruct_into(&mut engine, &inputs[..rows * features], outputs).unwrap();
        if !net.settings().skip {
            net.decode_into(&mut engine, codes, outputs).unwrap();
        }
    };
    pass(rows);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (1..=rows).for_each(&mut pass);
    let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!(count, 0, "{what}, {threads} threads: allocations in 90 calls");
}

/// Fails if a loop of the caller's allocates after its first step: a penalty, gradients that are changed, those by
/// the inputs, and batches of other lengths.
fn check_loop(what: &str, settings: Settings, samples: &Samples, threads: usize) {
    let batch = vec![0.5; settings.batch * samples.features()];
    let mut trainer = Trainer::builder(settings)
        .pool(ThreadPool::exactly(threads))
        .penalty(0, |activations| activations.add_mean(|a| (0.01 * a * a, 0.02 * a)))
        .build(samples)
        .unwrap();
    let mut by_inputs = vec![0.0; batch.len()];
    let mut step = |rows: usize| {
        let length = rows * samples.features();
        let changed = trainer.step_with(&batch[..length], |gradient, context| {
            gradient[0] = 0.0;
            context.input_gradient(&mut by_inputs[..length])
        });
        changed.unwrap();
        trainer.step_on(&batch[..length]).unwrap();
        trainer.step().unwrap();
    };
    let most = batch.len() / samples.features();
    step(most);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (1..=most.min(20)).for_each(&mut step);
    let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!(count, 0, "{what}, {threads} threads: allocations in a loop of the caller's");
}

/// As one of two ranks.
fn check_rank(what: &str, settings: Settings, samples: &Samples, threads: usize) {
    let builder = Trainer::builder(settings).pool(ThreadPool::exactly(threads)).ranks(Twin);
    check_trainer(&format!("{what}, a rank"), builder, samples, threads);
}

fn check_trainer(what: &str, builder: TrainerBuilder, samples: &Samples, threads: usize) {
    let mut trainer = builder.build(samples).unwrap();
    let batch = vec![0.5; trainer.batch_part().len() * samples.features()];
    trainer.step().unwrap();
    trainer.measure_gradient_norm();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    assert!(before > 0, "nothing is counted");
    for _ in 0..25 {
        trainer.step().unwrap();
    }
    let is_alone = trainer.batch_part().len() == trainer.autoencoder().settings().batch;
    if is_alone {
        trainer.run(25, |_, _| ControlFlow::Continue(())).unwrap();
    } else {
        // Ranks agree at the end of a run, and there allocate.
        for _ in 0..25 {
            trainer.step().unwrap();
        }
    }
    let outputs = samples.targets().map_or(0, Samples::features);
    let targets = &batch[..trainer.batch_part().len() * outputs];
    trainer.step_on((&batch, targets)).unwrap();
    let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!(count, 0, "{what}, {threads} threads: allocations in 51 steps");
    assert_eq!(trainer.steps(), 52);
}

/// A rank whose only other one always brings the same numbers.
#[derive(Debug)]
struct Twin;

impl Ranks for Twin {
    fn rank(&self) -> usize {
        0
    }
    fn count(&self) -> usize {
        2
    }
    fn beside<'a>(&'a mut self, work: &mut dyn FnMut(&mut dyn Sums<'a>)) {
        work(&mut Doubled { made: [&[]; 64], begun: 0, taken: 0 });
    }
    fn sum(&mut self, part: &[f64], sum: &mut [f64]) {
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum = 2.0 * part);
    }
    fn broadcast(&mut self, _: &mut [u8]) {}
}

struct Doubled<'a> {
    made: [&'a [f32]; 64],
    begun: usize,
    taken: usize,
}

impl<'a> Sums<'a> for Doubled<'a> {
    fn begin(&mut self, part: &'a [f32], sum: &'a mut [f32]) {
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum = 2.0 * part);
        self.made[self.begun] = sum;
        self.begun += 1;
    }
    fn next(&mut self) -> &'a [f32] {
        self.taken += 1;
        self.made[self.taken - 1]
    }
}

type Change = fn(&mut Settings);

/// Every part of the toolbox that has memory of its own.
fn toolbox() -> [(&'static str, Change); 8] {
    [
        ("centered", |s| s.output_activation = Activation::Linear),
        ("centered, top-k, a long batch", |s| {
            s.output_activation = Activation::Linear;
            s.code = Code::TopK(4);
            s.batch = 600;
        }),
        ("top-k, masked", |s| {
            s.code = Code::TopK(4);
            s.corruption = Corruption::Masking(0.3);
        }),
        ("batch-top-k, clipped", |s| {
            s.code = Code::BatchTopK(4);
            s.clip = 0.1;
            s.corruption = Corruption::Gaussian(0.1);
        }),
        ("JumpReLU, unit norm", |s| {
            s.code = Code::JumpRelu { l0: 1e-3, bandwidth: 0.1, threshold: 0.1 };
            s.activation = Activation::Relu;
            s.unit_norm = true;
        }),
        ("tied, momentum, cross-entropy", |s| {
            s.tied = true;
            s.loss = Loss::CrossEntropy;
            s.lambda = 1e-3;
            s.optimizer = Optimizer::Momentum { momentum: 0.9 };
        }),
        ("steered, running means, L1 on tanh", |s| {
            s.beta = 1e-3;
            s.rho_momentum = 0.9;
            s.target =
                Some(Target { layer: 0, of: Measure::MeanActivation, value: 0.1, steps: 50 });
            s.layers = vec![784, 20, 10, 20, 784];
            s.penalties = vec![
                LayerPenalty { layer: 0, rho: 0.1, beta: 0.1, l1: 0.0 },
                LayerPenalty { layer: 1, rho: 0.1, beta: 0.0, l1: 0.1 },
            ];
            s.activations = vec![Activation::Sigmoid, Activation::Tanh, Activation::LeakyRelu];
        }),
        ("L-BFGS", |s| {
            s.batch = 130;
            s.optimizer = Optimizer::Lbfgs { memory: 5 };
        }),
    ]
}

#[test]
fn steps_allocate_nothing() {
    let path = std::env::temp_dir().join(format!("sae-allocation-{}", std::process::id()));
    let (rows, side) = (130, 28);
    let pixels = common::pixels(1, rows, side * side);
    let bytes: Vec<_> = pixels.iter().map(|pixel| (pixel * 255.0) as u8).collect();
    write_idx(&path, &[rows, side, side], &bytes).unwrap();
    // 130 samples, batches of 60: an epoch ends every other step, inside a batch.
    let mapped = Samples::open(&path).unwrap();
    let numbers = std::env::temp_dir().join(format!("sae-allocation-f-{}", std::process::id()));
    write_idx(&numbers, &[rows, side * side], &pixels).unwrap();
    let floats = Array::open(&numbers).unwrap();
    let scaling = Scaling::fit_min_max(&floats).unwrap();
    let floats = Samples::new(floats, scaling);
    let memory = Samples::from_values(pixels, side * side).unwrap();
    let (part, _) = mapped.split(100).unwrap();

    for threads in [1, 2] {
        for preset in [Preset::Plain, Preset::Sparse] {
            let settings = Settings::preset(preset);
            check("mapped bytes", settings.clone(), &mapped, threads);
            check("part of them", settings.clone(), &part, threads);
            check("mapped floats", settings.clone(), &floats, threads);
            check("memory", settings, &memory, threads);
        }
        let long = Settings { layers: vec![784, 20, 784], batch: 450, ..Settings::default() };
        check("a long batch", long, &memory, threads);
        for (what, change) in toolbox() {
            let mut settings = Settings {
                layers: vec![784, 20, 784],
                batch: 30,
                ..Settings::preset(Preset::Plain)
            };
            change(&mut settings);
            let is_lbfgs = matches!(settings.optimizer, Optimizer::Lbfgs { .. });
            if !is_lbfgs {
                check_rank(what, settings.clone(), &memory, threads);
                check_loop(what, settings.clone(), &memory, threads);
            }
            check_inference(what, settings.clone(), &memory, threads);
            check(what, settings, &memory, threads);
        }
    }
    let targets = Samples::from_values(common::uniform(2, rows * 30), 30).unwrap();
    let pairs = memory.with_targets(targets).unwrap();
    for (code, batch) in [(Code::Dense, 30), (Code::TopK(4), 600)] {
        let settings = Settings {
            layers: vec![784, 20, 30],
            output_activation: Activation::Linear,
            skip: true,
            code,
            batch,
            ..Settings::preset(Preset::Plain)
        };
        check_rank("a transcoder", settings.clone(), &pairs, 2);
        check_inference("a transcoder", settings.clone(), &pairs, 2);
        check("a transcoder", settings, &pairs, 2);
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(&numbers).unwrap();
}
