//! Encoding: 60 000 images on all threads, one sample after another on one thread, as a service does, and the summaries of
//! a dictionary's units against the codes alone.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sae::{
    Autoencoder, Code, Engine, Isa, Preset, Samples, Scaling, Settings,
    analysis::UnitOptions,
    compute::{ThreadPool, available_threads},
    data::digits,
    network::SparseCodes,
};

fn isa() -> Isa {
    Isa::from_environment().expect("an instruction set of this machine")
}

fn images(criterion: &mut Criterion) {
    let drawn = digits::draw(60_000, 1, available_threads());
    let values = drawn.images.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let samples = Samples::from_values(values, digits::SIDE * digits::SIDE).expect("whole images");
    let mut engine = Engine::new(isa(), ThreadPool::new(available_threads()));
    let net = Autoencoder::new(Settings::default(), Scaling::AsIs).expect("good settings");
    let mut group = criterion.benchmark_group("encode");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(60_000));
    group.bench_function("60 000 images", |b| {
        b.iter(|| net.encode(&mut engine, &samples).expect("images of the net's size"));
    });
    group.finish();
}

/// The article's network, and dictionaries.
fn networks() -> [(&'static str, Settings); 4] {
    let plain = Settings::preset(Preset::ArticlePlain);
    let wide = |layers: Vec<usize>, code| Settings { layers, code, ..plain.clone() };
    let top_k = |layers| wide(layers, Code::TopK(32));
    [
        ("784-300-30-300-784", plain.clone()),
        ("784-4096-784", wide(vec![784, 4096, 784], Code::Dense)),
        ("784-4096-784, top-k:32", top_k(vec![784, 4096, 784])),
        ("768-16384-768, top-k:32", top_k(vec![768, 16384, 768])),
    ]
}

fn rows(criterion: &mut Criterion) {
    let mut engine = Engine::new(isa(), ThreadPool::new(1));
    for rows in [1, 64] {
        let mut group = criterion.benchmark_group(format!("rows/{rows}"));
        group.throughput(Throughput::Elements(rows as u64));
        for (name, settings) in networks() {
            let (features, units) = (settings.layers[0], settings.code_units());
            let net = Autoencoder::new(settings, Scaling::AsIs).expect("good settings");
            let inputs: Vec<f32> = (0..rows * features).map(|at| (at % 7) as f32 / 7.0).collect();
            let mut codes = vec![0.0; rows * units];
            let mut outputs = vec![0.0; rows * features];
            group.bench_function(format!("encode {name}"), |b| {
                b.iter(|| net.encode_into(&mut engine, &inputs, &mut codes).expect("whole rows"));
            });
            group.bench_function(format!("reconstruct {name}"), |b| {
                b.iter(|| {
                    net.reconstruct_into(&mut engine, &inputs, &mut outputs).expect("whole rows");
                });
            });
        }
        group.finish();
    }
}

/// 65 536 units of few features, whose products hide the least of what the summaries add.
fn units(criterion: &mut Criterion) {
    const SAMPLES: usize = 16 * 1024;
    let threads = available_threads();
    let mut engine = Engine::new(isa(), ThreadPool::new(threads));
    let settings = Settings {
        layers: vec![128, 65_536, 128],
        code: Code::TopK(32),
        ..Settings::preset(Preset::ArticlePlain)
    };
    let net = Autoencoder::new(settings, Scaling::AsIs).expect("good settings");
    let values = (0..SAMPLES * 128).map(|at| (at * at % 1009) as f32 / 1009.0).collect();
    let samples = Samples::from_values(values, 128).expect("whole samples");
    // The nearest units take as long whatever the number of samples.
    let options = UnitOptions { nearest: false, ..UnitOptions::default() };
    let mut codes = SparseCodes::default();
    let mut group = criterion.benchmark_group("units");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    group.throughput(Throughput::Elements(SAMPLES as u64));
    group.bench_function("codes", |b| {
        b.iter(|| net.encode_sparse(&mut engine, &samples, &mut codes).expect("codes"));
    });
    group.bench_function("summaries", |b| {
        b.iter(|| net.unit_summaries(&mut engine, &samples, &options).expect("summaries"));
    });
    group.finish();
}

criterion_group!(benches, images, rows, units);
criterion_main!(benches);
