//! Whole training steps: the default network (784-300-30-300-784) at batches of 1 to 4096, and
//! 784-4096-784 at 256, on one thread and on all. Before criterion's figures it prints milliseconds per
//! step and the share of the FMA peak that the step's dense arithmetic would take.

mod peak;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use sae::{Isa, Preset, Samples, Settings, Trainer, compute::available_threads, data::digits};

fn trainer(samples: &Samples, layers: &[usize], batch: usize, threads: usize) -> Trainer {
    let settings = Settings { layers: layers.to_vec(), batch, ..Settings::preset(Preset::Sparse) };
    Trainer::builder(settings).threads(threads).build(samples).expect("good settings")
}

/// Floating-point operations of a dense step: forward, delta (not for the input) and weight gradient.
fn flops(layers: &[usize], batch: usize) -> f64 {
    let products: usize = layers
        .windows(2)
        .enumerate()
        .map(|(l, pair)| pair[0] * pair[1] * if l == 0 { 2 } else { 3 })
        .sum();
    2.0 * (products * batch) as f64
}

fn main() {
    const SEED: &[usize] = &[784, 300, 30, 300, 784];
    const WIDE: &[usize] = &[784, 4096, 784];
    let cases: [(&[usize], usize); 8] = [
        (SEED, 60),
        (SEED, 1),
        (SEED, 8),
        (SEED, 64),
        (SEED, 256),
        (SEED, 1024),
        (SEED, 4096),
        (WIDE, 256),
    ];
    let isa = Isa::from_environment().expect("an instruction set of this machine");
    let drawn = digits::draw(8192, 1, available_threads());
    let values = drawn.images.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let samples = Samples::from_values(values, digits::SIDE * digits::SIDE).expect("whole images");
    let mut threads = vec![1, available_threads()];
    threads.dedup();
    if !std::env::args().any(|word| word == "--test") {
        println!("| layers | batch | threads | ms a step | dense arithmetic, share of FMA peak |");
        println!("| --- | --- | --- | --- | --- |");
        for &threads in &threads {
            let peak = peak::gflops(isa, threads);
            for (layers, batch) in cases {
                let mut trainer = trainer(&samples, layers, batch, threads);
                let time = peak::median_time(1.0, || {
                    trainer.step().expect("a step");
                });
                let share = flops(layers, batch) / time / 1e9 / peak * 100.0;
                println!("| {layers:?} | {batch} | {threads} | {:.3} | {share:.0} % |", time * 1e3);
            }
            println!("({}: peak {peak:.1} GFLOP/s on {threads} threads)", isa.name());
        }
    }
    let mut criterion = Criterion::default()
        .sample_size(20)
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1))
        .configure_from_args();
    let mut group = criterion.benchmark_group("training_step");
    for (layers, batch) in cases {
        let name = if layers == SEED { "seed" } else { "784-4096-784" };
        group.throughput(Throughput::Elements(batch as u64));
        for &threads in &threads {
            let mut trainer = trainer(&samples, layers, batch, threads);
            let id = BenchmarkId::new(format!("{name}, {threads} threads"), batch);
            group.bench_function(id, |b| b.iter(|| trainer.step().expect("a step")));
        }
    }
    group.finish();
    loops(&mut criterion, &samples, trainer(&samples, SEED, 60, 1), "one thread");
    loops(
        &mut criterion,
        &samples,
        trainer(&samples, SEED, 60, available_threads()),
        "all threads",
    );
    criterion.final_summary();
}

/// Loops of the caller's on the article's network: a batch in its memory, a gradient that is changed in place, the
/// same with a copy, and a shorter batch.
fn loops(criterion: &mut Criterion, samples: &Samples, mut trainer: Trainer, threads: &str) {
    let mut batch = vec![0.0; 60 * samples.features()];
    for (sample, row) in batch.chunks_mut(samples.features()).enumerate() {
        samples.gather(sample, row).expect("finite features");
    }
    let mut group = criterion.benchmark_group("loops");
    let id = |name| BenchmarkId::new(name, threads);
    group.bench_function(id("step_on"), |b| b.iter(|| trainer.step_on(&batch).expect("a step")));
    group.bench_function(id("step_with"), |b| {
        b.iter(|| trainer.step_with(&batch, |_, _| Ok(())).expect("a step"));
    });
    group.bench_function(id("gradient_on, apply_gradient"), |b| {
        b.iter(|| {
            let gradient = trainer.gradient_on(&batch).expect("a gradient").1.to_vec();
            trainer.apply_gradient(&gradient).expect("a step");
        });
    });
    group.bench_function(id("step_on, 7 samples"), |b| {
        b.iter(|| trainer.step_on(&batch[..7 * samples.features()]).expect("a step"));
    });
    group.finish();
}
