//! One layer and a batch, for the tests of its products; the plain store and the reference's
//! arithmetic that every fused product is compared with.

use proptest::prelude::*;
use sae_kernels::math::{Function, map};
use sae_kernels::{Activation, Division, reference};

use crate::common::{self, Layout, Random, Zeros, scalar};

pub const EPSILON: f64 = f32::EPSILON as f64;

pub const ACTIVATIONS: [Activation; 6] = [
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Relu,
    Activation::LeakyRelu,
    Activation::Linear,
    Activation::SaturatingLinear,
];

/// One layer and a batch.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Samples, inputs, units.
    pub shape: (usize, usize, usize),
    pub activation: Activation,
    /// Of inputs, weights, targets or activations, and what is written.
    pub layouts: [Layout; 4],
    pub zeros: Zeros,
    /// Into how many parts outputs are divided, and of what they are multiples.
    pub parts: (usize, usize),
    pub seed: u64,
}

pub fn layer() -> impl Strategy<Value = Layer> {
    let inputs = prop_oneof![8 => common::side(), 1 => 399..=402usize, 1 => 1023..=1026usize];
    let samples = prop_oneof![8 => common::side(), 1 => 186..=198usize, 1 => 399..=402usize, 1 => 1023..=1026usize];
    let shape = (samples, inputs, common::side());
    let activation = prop::sample::select(ACTIVATIONS.to_vec());
    let layouts = [
        common::layout().boxed(),
        common::layout().boxed(),
        common::rows_layout().boxed(),
        common::rows_layout().boxed(),
    ];
    let parts = (1..6usize, prop::sample::select(vec![1, 3, 8, 12, 16, 32]));
    (shape, activation, layouts, common::zeros(), parts, any::<u64>()).prop_map(
        |(shape, activation, layouts, zeros, parts, seed)| Layer {
            shape,
            activation,
            layouts,
            zeros,
            parts,
            seed,
        },
    )
}

impl Layer {
    pub fn division(&self, total: usize) -> Division {
        Division::new(total, self.parts.1, self.parts.0)
    }
}

/// How outputs are written: in one call, or part by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Whole,
    Rows,
    Columns,
}

pub const WAYS: [Way; 3] = [Way::Whole, Way::Rows, Way::Columns];

/// f of every number, with the scalar set's sigmoid and tanh and the reference's other functions.
pub fn activate(activation: Activation, numbers: &mut [f32]) {
    match activation {
        Activation::Sigmoid => map(scalar(), Function::Sigmoid, numbers),
        Activation::Tanh => map(scalar(), Function::Tanh, numbers),
        other => numbers.iter_mut().for_each(|z| *z = reference::activation(other, *z)),
    }
}

/// Whether f has a kink within `error` of z: then f' may be either side's.
pub fn near_kink(activation: Activation, z: f64, error: f64) -> bool {
    let kinks: &[f64] = match activation {
        Activation::Relu | Activation::LeakyRelu => &[0.0],
        Activation::SaturatingLinear => &[0.0, 1.0],
        _ => &[],
    };
    kinks.iter().any(|kink| (z - kink).abs() <= error + EPSILON)
}

/// -0 as 0: a derivative of 0 is selected in the kernels, and multiplied in the reference.
pub fn unsigned_zeros(numbers: &[f32]) -> Vec<f32> {
    numbers.iter().map(|x| x + 0.0).collect()
}

/// Weights that keep sums of this many products about 1.
pub fn weights(random: &mut Random, inputs: usize, units: usize) -> Vec<f32> {
    let size = 1.0 / (inputs.max(1) as f32).sqrt();
    (0..inputs * units).map(|_| random.number() * size).collect()
}

/// Adds down each column of `[rows, cols]`, in row order, to what is in `sums`.
pub fn add_columns(cols: usize, numbers: &[f32], sums: &mut [f32]) {
    numbers
        .chunks(cols.max(1))
        .for_each(|row| row.iter().zip(&mut *sums).for_each(|(x, sum)| *sum += x));
}

/// Sums of the sizes of each column's numbers.
pub fn column_sizes(cols: usize, numbers: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; cols];
    let sizes: Vec<f64> = numbers.iter().map(|x| x.abs()).collect();
    reference::column_sums(numbers.len() / cols.max(1), cols, &sizes, &mut sums);
    sums
}

/// z = x W + b in `f32` as the reference has it; in `f64`; and how far an `f32` z may be off.
pub fn sums(layer: &Layer, x: &[f32], w: &[f32], b: &[f32]) -> (Vec<f32>, Vec<f64>, Vec<f64>) {
    let (n, inputs, units) = layer.shape;
    let mut z = vec![0.0; n * units];
    reference::gemm(n, inputs, units, x, w, &mut z);
    z.iter_mut().enumerate().for_each(|(ij, z)| *z += b[ij % units]);
    let (mut exact, mut error) = common::product_f64(n, inputs, units, x, w);
    for (ij, (exact, error)) in exact.iter_mut().zip(&mut error).enumerate() {
        *exact += f64::from(b[ij % units]);
        *error += EPSILON * (exact.abs() + error.abs() + 1e-30);
    }
    (z, exact, error)
}

/// All activations on the shapes of the article's network, whose inner sides are longer than a
/// block.
pub fn layers_of_the_article() -> Vec<Layer> {
    let mut layers = Vec::new();
    for (seed, activation) in (0..).zip(ACTIVATIONS) {
        for shape in [(60, 784, 30), (60, 30, 300)] {
            let (layouts, parts) = ([Layout::default(); 4], (2, 16));
            let zeros = Zeros { columns: 0.37, numbers: 0.3 };
            layers.push(Layer { shape, activation, layouts, zeros, parts, seed });
        }
    }
    layers
}

/// No sample, no input or no unit.
pub fn empty_layers() -> Vec<Layer> {
    let layer = |shape| Layer {
        shape,
        activation: Activation::Sigmoid,
        layouts: [Layout::default(); 4],
        zeros: Zeros { columns: 0.0, numbers: 0.0 },
        parts: (2, 8),
        seed: 1,
    };
    [(0, 5, 7), (5, 0, 7), (5, 7, 0), (0, 0, 0), (60, 0, 300)].map(layer).to_vec()
}

/// Settings of property tests that try every product in several ways: half as many cases.
pub fn settings() -> ProptestConfig {
    ProptestConfig { cases: common::settings().cases / 2, ..common::settings() }
}
