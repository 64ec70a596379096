//! Gathering and scaling batches of 60 from a mapped file, in shuffled order.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sae::{
    Samples, Scaling,
    compute::available_threads,
    data::{Array, Order, digits, write_idx},
};

fn gather(criterion: &mut Criterion) {
    let drawn = digits::draw(60_000, 1, available_threads());
    let path = std::env::temp_dir().join(format!("sae-bench-{}.idx", std::process::id()));
    write_idx(&path, &[60_000, digits::SIDE, digits::SIDE], &drawn.images).expect("a file");
    let samples = Samples::open(&path).expect("the file just written");
    let features = samples.features();
    let mut batches = Order::new(samples.len(), 1);
    let mut rows = [0; 60];
    let mut batch = vec![0.0; 60 * features];
    let mut group = criterion.benchmark_group("data");
    group.throughput(Throughput::Elements(60));
    group.bench_function("gather 60 samples from the map", |b| {
        b.iter(|| {
            batches.next(&mut rows);
            for (&row, to) in rows.iter().zip(batch.chunks_mut(features)) {
                samples.gather(row as usize, to).expect("finite bytes");
            }
        });
    });
    // Each float is checked to be finite.
    let floats: Vec<f32> = drawn.images[..6000 * features].iter().map(|&x| x.into()).collect();
    let path_f32 = std::env::temp_dir().join(format!("sae-bench-{}-f32.idx", std::process::id()));
    write_idx(&path_f32, &[6000, features], &floats).expect("a file");
    let mapped = Array::open(&path_f32).expect("the file just written");
    let samples = Samples::new(mapped, Scaling::AsIs);
    let memory = Samples::from_values(floats, features).expect("finite numbers");
    for (name, samples) in [("mapped floats", samples), ("floats in memory", memory)] {
        let mut batches = Order::new(samples.len(), 1);
        group.bench_function(format!("gather 60 samples of {name}"), |b| {
            b.iter(|| {
                batches.next(&mut rows);
                for (&row, to) in rows.iter().zip(batch.chunks_mut(features)) {
                    samples.gather(row as usize, to).expect("finite numbers");
                }
            });
        });
    }
    group.finish();
    // A file that stays in the temporary folder does no harm.
    let _ = (std::fs::remove_file(path), std::fs::remove_file(path_f32));
}

criterion_group!(benches, gather);
criterion_main!(benches);
