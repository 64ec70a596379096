//! Gathering and scaling batches of 60 from a mapped file, in shuffled order.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sae::{Batches, Samples, available_threads, digits, idx};

fn gather(criterion: &mut Criterion) {
    let drawn = digits::draw(60_000, 1, available_threads());
    let path = std::env::temp_dir().join(format!("sae-bench-{}.idx", std::process::id()));
    idx::write(&path, &[60_000, digits::SIDE, digits::SIDE], &drawn.images).expect("a file");
    let samples = Samples::open(&path).expect("the file just written");
    let mut batches = Batches::new(samples.len(), 1);
    let mut rows = [0; 60];
    let mut batch = vec![0.0; 60 * samples.features()];
    let mut group = criterion.benchmark_group("data");
    group.throughput(Throughput::Elements(60));
    group.bench_function("gather 60 samples from the map", |b| {
        b.iter(|| {
            batches.next(&mut rows);
            for (&row, to) in rows.iter().zip(batch.chunks_mut(samples.features())) {
                samples.gather(row as usize, to).expect("finite bytes");
            }
        });
    });
    group.finish();
    // A leftover in the temporary folder harms nobody.
    let _ = std::fs::remove_file(path);
}

criterion_group!(benches, gather);
criterion_main!(benches);
