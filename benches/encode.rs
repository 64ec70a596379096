//! Encoding 60 000 images with the default network (784-300-30-300-784), on all threads.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sae::{
    Autoencoder, Engine, Isa, Samples, Scaling, Settings,
    compute::{ThreadPool, available_threads},
    data::digits,
};

fn encode(criterion: &mut Criterion) {
    let drawn = digits::draw(60_000, 1, available_threads());
    let values = drawn.images.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let samples = Samples::from_values(values, digits::SIDE * digits::SIDE).expect("whole images");
    let isa = Isa::from_environment().expect("an instruction set of this machine");
    let mut engine = Engine::new(isa, ThreadPool::new(available_threads()));
    let net = Autoencoder::new(Settings::default(), Scaling::AsIs).expect("good settings");
    let mut group = criterion.benchmark_group("encode");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(60_000));
    group.bench_function("60 000 images", |b| {
        b.iter(|| net.encode(&mut engine, &samples).expect("images of the net's size"));
    });
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
