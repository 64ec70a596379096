//! [`OutputDelta`]: the bits of a product, biases, activation, loss and delta one after the other.

use proptest::prelude::*;
use sae_kernels::math::{Function, map};
use sae_kernels::{
    Activation, Isa, Loss, Matrix, MatrixMut, Operand, OutputDelta, Parts, reference,
};

use crate::common::{self, Block, Random, scalar, wide};
use crate::layer::{
    self, EPSILON, Layer, WAYS, Way, activate, layer, near_kink, sums, unsigned_zeros, weights,
};

/// The cross-entropy in `f32`, step by step as the kernel takes it.
fn cross_entropy(z: f32, x: f32) -> f32 {
    let (mut small, mut logarithm) = ([-z.abs()], [0.0]);
    map(scalar(), Function::Exp, &mut small);
    let sum = 1.0 + small[0];
    logarithm[0] = sum;
    map(scalar(), Function::Ln, &mut logarithm);
    let softplus = logarithm[0] + (small[0] - (sum - 1.0)) / sum;
    (z.max(0.0) - x * z) + softplus
}

/// Runs the product whole, or part by part.
fn run(isa: Isa, whole: OutputDelta<'_>, way: Way, layer: &Layer) {
    let (n, _, units) = layer.shape;
    common::with_scratch(|scratch| match way {
        Way::Whole => whole.run(isa, scratch),
        Way::Rows => {
            let division = layer.division(n);
            let deltas = Parts::rows(whole.delta, division);
            for part in 0..division.parts() {
                let range = division.range(part);
                let part = OutputDelta {
                    input: whole.input.rows(range.clone()),
                    target: whole.target.rows(range),
                    delta: deltas.take(part),
                    losses: &mut *whole.losses,
                    bias_gradient: &mut *whole.bias_gradient,
                    ..whole
                };
                part.run(isa, scratch);
            }
        }
        Way::Columns => {
            let division = layer.division(units);
            let deltas = Parts::columns(whole.delta, division);
            for part in (0..division.parts()).rev() {
                let range = division.range(part);
                let part = OutputDelta {
                    weights: whole.weights.columns(range.clone()),
                    biases: &whole.biases[range.clone()],
                    target: whole.target.columns(range.clone()),
                    delta: deltas.take(part),
                    losses: &mut whole.losses[range.clone()],
                    bias_gradient: &mut whole.bias_gradient[range],
                    ..whole
                };
                part.run(isa, scratch);
            }
        }
    });
}

/// What a layer's output is compared with: delta, losses and bias gradient in `f32` as simple loops
/// give them, in `f64`, and how far `f32` may be off.
struct Expected {
    delta: Vec<f32>,
    delta_exact: Vec<f64>,
    delta_error: Vec<f64>,
    columns: [Vec<f32>; 2],
    columns_exact: [Vec<f64>; 2],
    columns_error: [Vec<f64>; 2],
}

/// The numbers of one layer.
struct Numbers {
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    target: Vec<f32>,
    /// Losses and bias gradient before.
    before: [Vec<f32>; 2],
    scale: f32,
}

impl Expected {
    fn of(layer: &Layer, loss: Loss, numbers: &Numbers) -> Expected {
        let (n, _, units) = layer.shape;
        let Numbers { x, w, b, target, before, scale } = numbers;
        let (z, z_exact, z_error) = sums(layer, x, w, b);
        let mut a = z.clone();
        activate(layer.activation, &mut a);
        let zeros = vec![0.0; n * units];
        let mut expected = Expected {
            delta: vec![0.0; n * units],
            delta_exact: zeros.clone(),
            delta_error: zeros,
            columns: before.clone(),
            columns_exact: before.each_ref().map(|before| wide(before)),
            columns_error: before.each_ref().map(|before| {
                before.iter().map(|c| f64::from(c.abs()) * EPSILON * n as f64).collect()
            }),
        };
        for ij in 0..n * units {
            let (delta, columns) = (&mut expected.delta, &mut expected.columns);
            let off = a[ij] - target[ij];
            delta[ij] = off * scale;
            match loss {
                Loss::CrossEntropy => columns[0][ij % units] += cross_entropy(z[ij], target[ij]),
                _ => {
                    columns[0][ij % units] = off.mul_add(off, columns[0][ij % units]);
                    delta[ij] *= reference::derivative(layer.activation, a[ij]);
                }
            }
            columns[1][ij % units] += delta[ij];
            expected.add_exact(layer, loss, ij, (z_exact[ij], z_error[ij]), numbers);
        }
        expected
    }

    fn add_exact(
        &mut self,
        layer: &Layer,
        loss: Loss,
        ij: usize,
        (z, z_error): (f64, f64),
        numbers: &Numbers,
    ) {
        let (n, j, scale) = (layer.shape.0 as f64, ij % layer.shape.2, f64::from(numbers.scale));
        let (x, exact) = (f64::from(numbers.target[ij]), &mut self.delta_exact[ij]);
        let a = reference::activation(layer.activation, z);
        let a_error = z_error + 4.0 * EPSILON * a.abs() + 1e-37;
        let off = a - x;
        let off_error = a_error + EPSILON * off.abs();
        *exact = off * scale;
        if loss == Loss::CrossEntropy {
            let term = reference::cross_entropy(z, x);
            self.columns_exact[0][j] += term;
            // By z it changes by at most 1; max(z, 0) - x z cancels.
            self.columns_error[0][j] += z_error + (n + 8.0) * EPSILON * (term + z.abs());
            self.delta_error[ij] = scale * (off_error + 4.0 * EPSILON * off.abs()) + 1e-37;
        } else {
            self.columns_exact[0][j] += off * off;
            self.columns_error[0][j] +=
                off_error * (2.0 * off.abs() + off_error) + n * EPSILON * off * off;
            *exact *= reference::derivative(layer.activation, a);
            let slope_error = match near_kink(layer.activation, z, z_error) {
                true => 1.0,
                false => 2.0 * a_error + 4.0 * EPSILON,
            };
            self.delta_error[ij] = scale * (off_error + off.abs() * slope_error) + 1e-37;
        }
        self.columns_exact[1][j] += *exact;
        self.columns_error[1][j] += self.delta_error[ij] + n * EPSILON * exact.abs();
    }
}

fn check(layer: &Layer) {
    for loss in Loss::ALL {
        if loss.fits(layer.activation) {
            check_loss(loss, layer);
        }
    }
}

fn check_loss(loss: Loss, layer: &Layer) {
    let (n, inputs, units) = layer.shape;
    let mut random = Random(layer.seed);
    let numbers = Numbers {
        x: random.sparse(n, inputs, layer.zeros),
        w: weights(&mut random, inputs, units),
        b: random.numbers(units),
        target: (0..n * units).map(|_| random.unit()).collect(),
        before: [random.numbers(units), random.numbers(units)],
        scale: 2.0 / (n * units) as f32,
    };
    let want = Expected::of(layer, loss, &numbers);

    let [x_layout, w_layout, target_layout, out_layout] = layer.layouts;
    let x = Block::holding(&numbers.x, n, inputs, x_layout);
    let w = Block::holding(&numbers.w, inputs, units, w_layout);
    let target = Block::holding(&numbers.target, n, units, target_layout);
    let b = common::guarded(&numbers.b);
    for (isa, skip_zeros, way) in common::each_isa(&WAYS) {
        let mut out = Block::unwritten(n, units, out_layout);
        let mut got = numbers.before.each_ref().map(|before| common::guarded(before));
        let [losses, bias_gradient] = &mut got;
        let whole = OutputDelta {
            input: Operand::new(x.view(), skip_zeros),
            weights: w.view(),
            biases: &b,
            activation: layer.activation,
            loss,
            target: target.view(),
            scale: numbers.scale,
            delta: out.view_mut(),
            losses,
            bias_gradient,
        };
        run(isa, whole, way, layer);
        let what = format!("{} with skip_zeros {skip_zeros}, {way:?}, {layer:?}", isa.name());
        let out = out.numbers();
        if isa.is_fused() {
            let (out, delta) = (unsigned_zeros(&out), unsigned_zeros(&want.delta));
            common::assert_bits(&format!("delta, {what}"), &out, &delta);
            common::assert_bits(&format!("losses, {what}"), &got[0], &want.columns[0]);
            common::assert_bits(&format!("gradient, {what}"), &got[1], &want.columns[1]);
        }
        let close = (&want.delta_exact, &want.delta_error);
        common::assert_close(&format!("delta, {what}"), &out, close.0, close.1);
        for i in [0, 1] {
            let what = format!("{}, {what}", ["losses", "gradient"][i]);
            common::assert_close(&what, &got[i], &want.columns_exact[i], &want.columns_error[i]);
        }
    }
}

proptest! {
    #![proptest_config(layer::settings())]

    #[test]
    fn is_forward_error_and_derivative(layer in layer()) {
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

/// Sums that begin at 0 are the reference's column sums and squared errors.
#[test]
fn sums_from_0_are_those_of_the_reference() {
    let (n, inputs, units) = (61, 50, 37);
    let mut random = Random(3);
    let (x, w) = (random.numbers(n * inputs), weights(&mut random, inputs, units));
    let (biases, target) = (random.numbers(units), random.numbers(n * units));
    for isa in common::fused() {
        let [mut a, mut delta] = [(); 2].map(|()| vec![0.0; n * units]);
        let [mut losses, mut bias_gradient] = [(); 2].map(|()| vec![0.0; units]);
        let output_delta = OutputDelta {
            input: Operand::Dense(Matrix::new(&x, n, inputs)),
            weights: Matrix::new(&w, inputs, units),
            biases: &biases,
            activation: Activation::Sigmoid,
            loss: Loss::SquaredError,
            target: Matrix::new(&target, n, units),
            scale: 1.0,
            delta: MatrixMut::new(&mut delta, n, units),
            losses: &mut losses,
            bias_gradient: &mut bias_gradient,
        };
        common::with_scratch(|scratch| output_delta.run(isa, scratch));
        let mut want = vec![0.0; units];
        reference::column_sums(n, units, &delta, &mut want);
        common::assert_bits("bias gradient", &bias_gradient, &want);

        reference::gemm(n, inputs, units, &x, &w, &mut a);
        a.iter_mut().enumerate().for_each(|(ij, a)| *a += biases[ij % units]);
        map(isa, Function::Sigmoid, &mut a);
        for (j, loss) in losses.iter().enumerate() {
            let column = |x: &[f32]| (0..n).map(|i| x[i * units + j]).collect::<Vec<f32>>();
            let want = reference::squared_error(&column(&a), &column(&target));
            assert_eq!(loss.to_bits(), want.to_bits());
        }
    }
}
