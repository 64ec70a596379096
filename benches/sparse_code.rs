//! The decoder's product and its weight gradient for sparse codes of 4096 units, 256 samples, 784
//! features, on one thread: with all units, and with zeros skipped. The active units are random, so that
//! samples have few in common.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sae_kernels::{Gemm, Isa, Matrix, MatrixMut, Scratch};

const SAMPLES: usize = 256;
const UNITS: usize = 4096;
const FEATURES: usize = 784;

/// Codes of `[SAMPLES, UNITS]` with `active` units active in each sample.
fn codes(active: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 33) as usize) % bound
    };
    let mut codes = vec![0.0; SAMPLES * UNITS];
    for code in codes.chunks_mut(UNITS) {
        let mut left = active;
        while left > 0 {
            let unit = below(UNITS);
            if code[unit] == 0.0 {
                code[unit] = 0.5 + left as f32 / active as f32;
                left -= 1;
            }
        }
    }
    codes
}

fn products(criterion: &mut Criterion) {
    let isa = Isa::from_environment().expect("an instruction set of this machine");
    let (floats, indices) = Scratch::LENGTHS;
    let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    let weights: Vec<f32> = (0..UNITS * FEATURES).map(|i| (i % 23) as f32 / 23.0 - 0.5).collect();
    let delta: Vec<f32> = (0..SAMPLES * FEATURES).map(|i| (i % 19) as f32 / 19.0 - 0.5).collect();
    let mut group = criterion.benchmark_group("sparse_code");
    group.sample_size(20);
    for active in [UNITS / 100, UNITS / 40, UNITS / 20] {
        let codes = codes(active);
        let code = Matrix::new(&codes, SAMPLES, UNITS);
        for (way, skip_zeros) in [("all units", false), ("active units", true)] {
            let mut scratch = Scratch::new(&mut floats, &mut indices);
            let mut output = vec![0.0; SAMPLES * FEATURES];
            let name = format!("product, {way}");
            group.bench_function(BenchmarkId::new(name, active), |b| {
                b.iter(|| {
                    let b = Matrix::new(&weights, UNITS, FEATURES);
                    let c = MatrixMut::new(&mut output, SAMPLES, FEATURES);
                    Gemm { a: code, b, c, skip_zeros }.run(isa, &mut scratch);
                });
            });
            let mut gradient = vec![0.0; UNITS * FEATURES];
            let name = format!("gradient, {way}");
            group.bench_function(BenchmarkId::new(name, active), |b| {
                b.iter(|| {
                    let b = Matrix::new(&delta, SAMPLES, FEATURES);
                    let c = MatrixMut::new(&mut gradient, UNITS, FEATURES);
                    Gemm { a: code.transposed(), b, c, skip_zeros }.run(isa, &mut scratch);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, products);
criterion_main!(benches);
