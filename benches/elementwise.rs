//! exp, ln, sigmoid and tanh over a vector in the L1 cache, and Adam over the 490 000
//! parameters of the default network (784-300-30-300-784).

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sae_kernels::math::{Function, map};
use sae_kernels::{AdamOptions, Isa, Matrix, MatrixMut};

fn functions(criterion: &mut Criterion) {
    let isa = Isa::from_environment().expect("an instruction set of this machine");
    let start: Vec<f32> = (0..4096).map(|i| 0.01 + i as f32 * 1e-3).collect();
    let mut group = criterion.benchmark_group("elementwise");
    group.throughput(Throughput::Elements(4096));
    for function in [Function::Exp, Function::Ln, Function::Sigmoid, Function::Tanh] {
        let mut values = start.clone();
        group.bench_function(BenchmarkId::from_parameter(format!("{function:?}")), |b| {
            b.iter(|| {
                values.copy_from_slice(&start);
                map(isa, function, &mut values);
            });
        });
    }
    let count = 489_814;
    let options = AdamOptions { learning_rate: 1e-2, weight_decay: 5e-6, ..AdamOptions::default() };
    let adam = options.at_step(10);
    let (mut w, mut m, mut v) = (vec![0.1; count], vec![0.0; count], vec![0.0; count]);
    let gradient = vec![1e-3; count];
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function("Adam", |b| {
        b.iter(|| {
            let [w, m, v] = [&mut w, &mut m, &mut v].map(|flat| MatrixMut::from_row(flat));
            adam.update_rows(isa, w, m, v, Matrix::from_row(&gradient));
        });
    });
    group.finish();
}

criterion_group!(benches, functions);
criterion_main!(benches);
