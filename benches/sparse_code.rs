//! A layer of 4096 units whose code is sparse, 256 samples, 784 features, on one thread: its encoder, its
//! decoder's product and its weight gradient, with all units, with zeros skipped, and with lists of the active
//! units. These are random, so that samples have few in common.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use sae_kernels::sparse::{Candidates, CodeGradient, Encode, Grouped};
use sae_kernels::{
    Activation, Forward, Gemm, Isa, Lists, ListsMut, Matrix, MatrixMut, Operand, Scratch,
};

const SAMPLES: usize = 256;
const UNITS: usize = 4096;
const FEATURES: usize = 784;

/// Codes with as many active units in each sample, as lists.
struct Codes {
    starts: Vec<u32>,
    ends: Vec<u32>,
    units: Vec<u32>,
    values: Vec<f32>,
}

impl Codes {
    fn new(active: usize) -> Codes {
        let mut state = 1u64;
        let mut below = |bound: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 33) as usize) % bound
        };
        let (mut units, mut values) = (Vec::new(), Vec::new());
        for _ in 0..SAMPLES {
            let mut is_active = vec![false; UNITS];
            let mut left = active;
            while left > 0 {
                let unit = below(UNITS);
                left -= usize::from(!is_active[unit]);
                is_active[unit] = true;
            }
            units.extend((0..UNITS as u32).filter(|&unit| is_active[unit as usize]));
            values.extend((0..active).map(|i| 0.5 + i as f32 / active as f32));
        }
        let starts = (0..SAMPLES).map(|sample| (sample * active) as u32).collect();
        let ends = (1..=SAMPLES).map(|sample| (sample * active) as u32).collect();
        Codes { starts, ends, units, values }
    }

    fn lists(&self) -> Lists<'_> {
        Lists::new(&self.starts, &self.ends, &self.units, &self.values)
    }

    /// `[SAMPLES, UNITS]`
    fn dense(&self) -> Vec<f32> {
        let mut dense = vec![0.0; SAMPLES * UNITS];
        for (sample, row) in dense.chunks_mut(UNITS).enumerate() {
            let (units, values) = self.lists().row(sample);
            units.iter().zip(values).for_each(|(&unit, &value)| row[unit as usize] = value);
        }
        dense
    }
}

/// Where the samples of each unit are grouped.
struct Samples {
    starts: Vec<u32>,
    ends: Vec<u32>,
    samples: Vec<u32>,
    places: Vec<u32>,
    values: Vec<f32>,
}

impl Samples {
    fn new(entries: usize) -> Samples {
        let [starts, ends] = [(); 2].map(|()| vec![0; UNITS]);
        let [samples, places] = [(); 2].map(|()| vec![0; entries]);
        Samples { starts, ends, samples, places, values: vec![0.0; entries] }
    }

    /// The lists of each unit's samples.
    fn group(&mut self, codes: &Codes) -> Lists<'_> {
        let Samples { starts, ends, samples, places, values } = self;
        Grouped { starts, ends, samples, places }.fill(codes.lists());
        for (value, &place) in values.iter_mut().zip(&*places) {
            *value = codes.values[place as usize];
        }
        Lists::new(starts, ends, samples, values)
    }
}

fn pattern(count: usize, period: usize) -> Vec<f32> {
    (0..count).map(|i| (i % period) as f32 / period as f32 - 0.5).collect()
}

fn products(criterion: &mut Criterion) {
    let isa = Isa::from_environment().expect("an instruction set of this machine");
    let (floats, indices) = Scratch::LENGTHS;
    let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    let mut scratch = Scratch::new(&mut floats, &mut indices);
    let (weights, delta) = (pattern(UNITS * FEATURES, 23), pattern(SAMPLES * FEATURES, 19));
    let weights = Matrix::new(&weights, UNITS, FEATURES);
    let delta = Matrix::new(&delta, SAMPLES, FEATURES);
    let mut group = criterion.benchmark_group("sparse_code");
    group.sample_size(20);
    for active in [UNITS / 100, UNITS / 40, UNITS / 20] {
        let codes = Codes::new(active);
        let dense = codes.dense();
        let dense = Matrix::new(&dense, SAMPLES, UNITS);
        let mut output = vec![0.0; SAMPLES * FEATURES];
        let mut gradient = vec![0.0; UNITS * FEATURES];
        for (way, skip_zeros) in [("all units", false), ("zeros skipped", true)] {
            group.bench_function(BenchmarkId::new(format!("product, {way}"), active), |b| {
                b.iter(|| {
                    let c = MatrixMut::new(&mut output, SAMPLES, FEATURES);
                    let a = Operand::new(dense, skip_zeros);
                    Gemm::new(a, weights, c).run(isa, &mut scratch);
                });
            });
            group.bench_function(BenchmarkId::new(format!("gradient, {way}"), active), |b| {
                b.iter(|| {
                    let c = MatrixMut::new(&mut gradient, UNITS, FEATURES);
                    let a = Operand::new(dense.transposed(), skip_zeros);
                    Gemm::new(a, delta, c).run(isa, &mut scratch);
                });
            });
        }
        group.bench_function(BenchmarkId::new("product, lists", active), |b| {
            b.iter(|| {
                let c = MatrixMut::new(&mut output, SAMPLES, FEATURES);
                let a = Operand::Sparse(codes.lists());
                Gemm::new(a, weights, c).run(isa, &mut scratch);
            });
        });
        let mut samples = Samples::new(codes.values.len());
        group.bench_function(BenchmarkId::new("gradient, lists", active), |b| {
            b.iter(|| {
                let c = MatrixMut::new(&mut gradient, UNITS, FEATURES);
                let a = Operand::Sparse(samples.group(&codes));
                Gemm::new(a, delta, c).run(isa, &mut scratch);
            });
        });
        let mut gradients = vec![0.0; codes.values.len()];
        group.bench_function(BenchmarkId::new("gradient of the code", active), |b| {
            let gradient = CodeGradient { codes: codes.lists(), delta, weights };
            b.iter(|| gradient.run(isa, &mut gradients));
        });
        encoder(&mut group, isa, active, weights, &mut scratch);
    }
    group.finish();
}

/// The `k` largest of each sample, and for comparison all activations.
fn encoder(
    group: &mut BenchmarkGroup<'_, WallTime>,
    isa: Isa,
    k: usize,
    weights: Matrix<'_>,
    scratch: &mut Scratch<'_>,
) {
    let input = pattern(SAMPLES * FEATURES, 29);
    let input = Matrix::new(&input, SAMPLES, FEATURES);
    let (biases, mut sums) = (vec![0.1; UNITS], vec![0.0; UNITS]);
    let mut activations = vec![0.0; SAMPLES * UNITS];
    group.bench_function(BenchmarkId::new("encoder, all units", k), |b| {
        b.iter(|| {
            let forward = Forward {
                input: Operand::Dense(input),
                weights: weights.transposed(),
                biases: &biases,
                activation: Activation::Relu,
                output: MatrixMut::new(&mut activations, SAMPLES, UNITS),
                sums: &mut sums,
            };
            forward.run(isa, scratch);
        });
    });
    let mut keys = vec![0; SAMPLES * Candidates::width(k, UNITS)];
    let mut floors = vec![0.0; SAMPLES];
    let (mut counts, mut units) = (vec![0; SAMPLES], vec![0; SAMPLES * k]);
    let mut values = vec![0.0; SAMPLES * k];
    group.bench_function(BenchmarkId::new("encoder, lists", k), |b| {
        b.iter(|| {
            let candidates = Candidates { keys: &mut keys, floors: &mut floors };
            let lists = ListsMut { counts: &mut counts, indices: &mut units, values: &mut values };
            let encode = Encode { input, weights, biases: &biases, activation: Activation::Relu };
            encode.largest(isa, k, candidates, lists, scratch);
        });
    });
}

criterion_group!(benches, products);
criterion_main!(benches);
