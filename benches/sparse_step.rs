//! Training steps with a top-k code, linear output and exact Adam, on one thread and on all.
//!
//! Before criterion's figures it prints milliseconds per step, and how many times the time that the
//! encoder's product alone takes at the FMA peak, measured just before in the same run: `--table full`
//! for all shapes, otherwise for some.

mod peak;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use sae::{Activation, Code, Isa, Preset, Samples, Settings, Trainer, compute::available_threads};

/// Features, units, active units, batch.
type Case = (usize, usize, usize, usize);

/// Shapes at 32 active units and a batch of 1024; then others of 768 and 384 features.
const SOME: [Case; 8] = [
    (384, 4096, 32, 1024),
    (768, 16384, 32, 1024),
    (768, 16384, 16, 1024),
    (768, 16384, 64, 1024),
    (768, 16384, 32, 256),
    (768, 16384, 32, 4096),
    (768, 65536, 32, 1024),
    (2304, 16384, 32, 1024),
];

fn full() -> Vec<Case> {
    let shapes = [(384, 4096), (768, 16384), (768, 65536), (2304, 16384), (4096, 32768)];
    let of = |(d, units)| {
        [16, 32, 64].into_iter().flat_map(move |k| [256, 1024, 4096].map(|n| (d, units, k, n)))
    };
    shapes.into_iter().flat_map(of).collect()
}

/// Samples that are sums of a few directions of many.
fn samples(features: usize, count: usize) -> Samples {
    const DIRECTIONS: usize = 512;
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let directions: Vec<f32> = (0..DIRECTIONS * features).map(|_| uniform() - 0.5).collect();
    let mut values = vec![0.0; count * features];
    for sample in values.chunks_mut(features) {
        for _ in 0..20 {
            let at = (uniform() * DIRECTIONS as f32) as usize % DIRECTIONS;
            let size = uniform() + 0.1;
            let direction = &directions[at * features..][..features];
            sample.iter_mut().zip(direction).for_each(|(x, along)| *x += size * along);
        }
    }
    Samples::from_values(values, features).expect("whole samples")
}

fn trainer(samples: &Samples, (d, units, k, batch): Case, threads: usize) -> Trainer {
    let settings = Settings {
        layers: vec![d, units, d],
        activation: Activation::Relu,
        output_activation: Activation::Linear,
        code: Code::TopK(k),
        batch,
        learning_rate: 1e-3,
        ..Settings::preset(Preset::Plain)
    };
    Trainer::builder(settings).threads(threads).build(samples).expect("good settings")
}

fn main() {
    let isa = Isa::from_environment().expect("an instruction set of this machine");
    let arguments: Vec<String> = std::env::args().collect();
    let is_full = arguments.windows(2).any(|pair| pair == ["--table", "full"]);
    let cases = if is_full { full() } else { SOME.to_vec() };
    let mut threads = vec![1, available_threads()];
    threads.dedup();
    if !arguments.iter().any(|word| word == "--test") {
        println!(
            "| features-units | k | batch | threads | ms a step | times the product at the peak |"
        );
        println!("| --- | --- | --- | --- | --- | --- |");
        for case in cases {
            let (d, units, k, batch) = case;
            let samples = samples(d, (2 * batch).max(2048));
            for &threads in &threads {
                let mut trainer = trainer(&samples, case, threads);
                let time = peak::median_time(2.0, || {
                    trainer.step().expect("a step");
                });
                let peak = peak::gflops(isa, threads);
                let product = 2.0 * (d * units * batch) as f64 / peak / 1e9;
                println!(
                    "| {d}-{units} | {k} | {batch} | {threads} | {:.1} | {:.2} |",
                    time * 1e3,
                    time / product
                );
            }
        }
        println!("({})", isa.name());
    }
    if is_full {
        return;
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1))
        .configure_from_args();
    let mut group = criterion.benchmark_group("sparse_step");
    for case in [(384, 4096, 32, 1024), (768, 16384, 32, 1024)] {
        let (d, units, k, batch) = case;
        let samples = samples(d, 2 * batch);
        group.throughput(Throughput::Elements(batch as u64));
        for &threads in &threads {
            let mut trainer = trainer(&samples, case, threads);
            let id = BenchmarkId::new(format!("{d}-{units}, k {k}, {threads} threads"), batch);
            group.bench_function(id, |b| b.iter(|| trainer.step().expect("a step")));
        }
    }
    group.finish();
    criterion.final_summary();
}
