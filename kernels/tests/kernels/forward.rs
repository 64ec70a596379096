//! [`Forward`]: the bits of a product, biases, activation and column sums one after the other.

use proptest::prelude::*;
use sae_kernels::{Activation, Forward, Isa, Matrix, MatrixMut, Operand, Parts, reference};

use crate::common::{self, Block, Random, wide};
use crate::layer::{
    self, EPSILON, Layer, WAYS, Way, activate, add_columns, column_sizes, layer, sums, weights,
};

/// Runs the product whole, or part by part.
fn run(isa: Isa, whole: Forward<'_>, way: Way, layer: &Layer) {
    let (n, _, units) = layer.shape;
    common::with_scratch(|scratch| match way {
        Way::Whole => whole.run(isa, scratch),
        Way::Rows => {
            let division = layer.division(n);
            let outputs = Parts::rows(whole.output, division);
            for part in 0..division.parts() {
                let input = whole.input.rows(division.range(part));
                let (output, sums) = (outputs.take(part), &mut *whole.sums);
                Forward { input, output, sums, ..whole }.run(isa, scratch);
            }
        }
        Way::Columns => {
            let division = layer.division(units);
            let outputs = Parts::columns(whole.output, division);
            for part in (0..division.parts()).rev() {
                let range = division.range(part);
                let part = Forward {
                    weights: whole.weights.columns(range.clone()),
                    biases: &whole.biases[range.clone()],
                    output: outputs.take(part),
                    sums: &mut whole.sums[range],
                    ..whole
                };
                part.run(isa, scratch);
            }
        }
    });
}

fn check(layer: &Layer) {
    let (n, inputs, units) = layer.shape;
    let mut random = Random(layer.seed);
    let x = random.sparse(n, inputs, layer.zeros);
    let w = weights(&mut random, inputs, units);
    let (b, sums_before) = (random.numbers(units), random.numbers(units));

    let (mut a, z_exact, mut error) = sums(layer, &x, &w, &b);
    activate(layer.activation, &mut a);
    let mut column_sums = sums_before.clone();
    add_columns(units, &a, &mut column_sums);
    let exact: Vec<f64> =
        z_exact.iter().map(|z| reference::activation(layer.activation, *z)).collect();
    error.iter_mut().zip(&exact).for_each(|(error, a)| *error += 4.0 * EPSILON * a.abs() + 1e-37);
    let mut sums_exact = wide(&sums_before);
    exact.iter().enumerate().for_each(|(ij, a)| sums_exact[ij % units] += a);
    let mut sums_error = column_sizes(units, &error);
    for (j, (error, size)) in sums_error.iter_mut().zip(column_sizes(units, &exact)).enumerate() {
        *error += n as f64 * EPSILON * (size + f64::from(sums_before[j].abs()));
    }

    let [x_layout, w_layout, _, out_layout] = layer.layouts;
    let x = Block::holding(&x, n, inputs, x_layout);
    let w = Block::holding(&w, inputs, units, w_layout);
    let b = common::guarded(&b);
    for (isa, skip_zeros, way) in common::each_isa(&WAYS) {
        let mut out = Block::unwritten(n, units, out_layout);
        let mut got_sums = common::guarded(&sums_before);
        let forward = Forward {
            input: Operand::new(x.view(), skip_zeros),
            weights: w.view(),
            biases: &b,
            activation: layer.activation,
            output: out.view_mut(),
            sums: &mut got_sums,
        };
        run(isa, forward, way, layer);
        let what = format!("{} with skip_zeros {skip_zeros}, {way:?}, {layer:?}", isa.name());
        let out = out.numbers();
        if isa.is_fused() {
            common::assert_bits(&format!("output, {what}"), &out, &a);
            common::assert_bits(&format!("sums, {what}"), &got_sums, &column_sums);
        }
        common::assert_close(&format!("output, {what}"), &out, &exact, &error);
        common::assert_close(&format!("sums, {what}"), &got_sums, &sums_exact, &sums_error);
    }
}

proptest! {
    #![proptest_config(layer::settings())]

    #[test]
    fn is_product_biases_activation_and_sums(layer in layer()) {
        check(&layer);
    }
}

#[test]
fn of_the_article() {
    layer::layers_of_the_article().iter().for_each(check);
}

#[test]
fn of_nothing() {
    layer::empty_layers().iter().for_each(check);
}

/// Sums that begin at 0 are the reference's column sums.
#[test]
fn sums_from_0_are_column_sums() {
    let (n, inputs, units) = (61, 50, 37);
    let mut random = Random(3);
    let (x, w) = (random.numbers(n * inputs), weights(&mut random, inputs, units));
    let biases = random.numbers(units);
    for isa in common::fused() {
        let (mut a, mut sums) = (vec![0.0; n * units], vec![0.0; units]);
        let forward = Forward {
            input: Operand::Dense(Matrix::new(&x, n, inputs)),
            weights: Matrix::new(&w, inputs, units),
            biases: &biases,
            activation: Activation::Sigmoid,
            output: MatrixMut::new(&mut a, n, units),
            sums: &mut sums,
        };
        common::with_scratch(|scratch| forward.run(isa, scratch));
        let mut want = vec![0.0; units];
        reference::column_sums(n, units, &a, &mut want);
        common::assert_bits(isa.name(), &sums, &want);
    }
}
