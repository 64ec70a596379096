//! The products of a training step with what is fused into them: the same bits as a product that
//! is stored and then treated by plain loops, on every fused set; closeness to `f64` on all.

mod common;

use common::{Block, Layout, Random, Zeros, scalar, wide};
use proptest::prelude::*;
use sae_kernels::gemm::{forward, gemm, hidden_delta, output_delta, update};
use sae_kernels::math::{Function, map};
use sae_kernels::{Activation, Adam, Division, Isa, Loss, MatrixMut, Parts, Penalty, adam_sweep};
use sae_kernels::{reference, sparsity};

const EPSILON: f64 = f32::EPSILON as f64;

const ACTIVATIONS: [Activation; 6] = [
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Relu,
    Activation::LeakyRelu,
    Activation::Linear,
    Activation::SaturatingLinear,
];

/// One layer and a batch.
#[derive(Clone, Debug)]
struct Layer {
    /// Samples, inputs, units.
    shape: (usize, usize, usize),
    activation: Activation,
    /// Of inputs, weights, targets or activations, and what is written.
    layouts: [Layout; 4],
    zeros: Zeros,
    /// Into how many parts outputs are divided, and of what they are multiples.
    parts: (usize, usize),
    seed: u64,
}

fn layer() -> impl Strategy<Value = Layer> {
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
    fn division(&self, total: usize) -> Division {
        Division::new(total, self.parts.1, self.parts.0)
    }
}

/// How outputs are written: in one call, or part by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Whole,
    Rows,
    Columns,
}

const WAYS: [Way; 3] = [Way::Whole, Way::Rows, Way::Columns];

/// f of every number, with the scalar set's sigmoid and tanh and the reference's other functions.
fn activate(activation: Activation, numbers: &mut [f32]) {
    match activation {
        Activation::Sigmoid => map(common::scalar(), Function::Sigmoid, numbers),
        Activation::Tanh => map(common::scalar(), Function::Tanh, numbers),
        other => numbers.iter_mut().for_each(|z| *z = reference::activation(other, *z)),
    }
}

/// Whether f has a kink within `error` of z: then f' may be either side's.
fn near_kink(activation: Activation, z: f64, error: f64) -> bool {
    let kinks: &[f64] = match activation {
        Activation::Relu | Activation::LeakyRelu => &[0.0],
        Activation::SaturatingLinear => &[0.0, 1.0],
        _ => &[],
    };
    kinks.iter().any(|kink| (z - kink).abs() <= error + EPSILON)
}

/// -0 as 0: a slope of 0 is selected in the kernels, and multiplied in the reference.
fn unsigned_zeros(numbers: &[f32]) -> Vec<f32> {
    numbers.iter().map(|x| x + 0.0).collect()
}

/// Weights that keep sums of so many products about 1.
fn weights(random: &mut Random, inputs: usize, units: usize) -> Vec<f32> {
    let size = 1.0 / (inputs.max(1) as f32).sqrt();
    (0..inputs * units).map(|_| random.number() * size).collect()
}

/// Adds down each column of `[rows, cols]`, in row order, to what is in `sums`.
fn add_columns(cols: usize, numbers: &[f32], sums: &mut [f32]) {
    numbers
        .chunks(cols.max(1))
        .for_each(|row| row.iter().zip(&mut *sums).for_each(|(x, sum)| *sum += x));
}

/// Sums of the sizes of each column's numbers.
fn column_sizes(cols: usize, numbers: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; cols];
    let sizes: Vec<f64> = numbers.iter().map(|x| x.abs()).collect();
    reference::column_sums(numbers.len() / cols.max(1), cols, &sizes, &mut sums);
    sums
}

/// z = x W + b in `f32` as the reference has it; in `f64`; and how far an `f32` z may be off.
fn sums(layer: &Layer, x: &[f32], w: &[f32], b: &[f32]) -> (Vec<f32>, Vec<f64>, Vec<f64>) {
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

fn check_forward(layer: &Layer) {
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
    for isa in Isa::all() {
        for (skip_zeros, way) in [false, true].into_iter().flat_map(|s| WAYS.map(|way| (s, way))) {
            let mut out = Block::unwritten(n, units, out_layout);
            let mut got_sums = common::guarded(&sums_before);
            let activation = layer.activation;
            common::with_scratch(|scratch| match way {
                Way::Whole => {
                    let (x, w, out) = (x.view(), w.view(), out.view_mut());
                    forward(isa, x, skip_zeros, w, &b, activation, out, &mut got_sums, scratch);
                }
                Way::Rows => {
                    let division = layer.division(n);
                    let outs = Parts::rows(out.view_mut(), division);
                    for part in 0..division.parts() {
                        let x = x.view().rows(division.range(part));
                        let (w, out, sums) = (w.view(), outs.take(part), &mut got_sums);
                        forward(isa, x, skip_zeros, w, &b, activation, out, sums, scratch);
                    }
                }
                Way::Columns => {
                    let division = layer.division(units);
                    let outs = Parts::columns(out.view_mut(), division);
                    for part in (0..division.parts()).rev() {
                        let range = division.range(part);
                        let w = w.view().columns(range.clone());
                        let (b, sums) = (&b[range.clone()], &mut got_sums[range]);
                        let (x, out) = (x.view(), outs.take(part));
                        forward(isa, x, skip_zeros, w, b, activation, out, sums, scratch);
                    }
                }
            });
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
}

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

fn check_output_delta(layer: &Layer) {
    for loss in Loss::ALL {
        if loss.fits(layer.activation) {
            check_output_delta_of(loss, layer);
        }
    }
}

fn check_output_delta_of(loss: Loss, layer: &Layer) {
    let (n, inputs, units) = layer.shape;
    let mut random = Random(layer.seed);
    let x = random.sparse(n, inputs, layer.zeros);
    let w = weights(&mut random, inputs, units);
    let b = random.numbers(units);
    let target: Vec<f32> = (0..n * units).map(|_| random.unit()).collect();
    let before = [random.numbers(units), random.numbers(units)];
    let scale = 2.0 / (n * units) as f32;

    let (z_single, z_exact, error) = sums(layer, &x, &w, &b);
    let mut a = z_single.clone();
    activate(layer.activation, &mut a);
    let mut delta = vec![0.0; n * units];
    let mut columns = before.clone();
    let (mut exact, mut delta_error) = (vec![0.0; n * units], vec![0.0; n * units]);
    let mut columns_exact = before.clone().map(|before| wide(&before));
    let mut columns_error = columns_exact
        .clone()
        .map(|c| c.iter().map(|c| c.abs() * EPSILON * n as f64).collect::<Vec<_>>());
    for ij in 0..n * units {
        let j = ij % units;
        let off = a[ij] - target[ij];
        delta[ij] = off * scale;
        match loss {
            Loss::CrossEntropy => columns[0][j] += cross_entropy(z_single[ij], target[ij]),
            _ => {
                columns[0][j] = off.mul_add(off, columns[0][j]);
                delta[ij] *= reference::derivative(layer.activation, a[ij]);
            }
        }
        columns[1][j] += delta[ij];

        let (z, z_error) = (z_exact[ij], error[ij]);
        let a = reference::activation(layer.activation, z);
        let a_error = z_error + 4.0 * EPSILON * a.abs() + 1e-37;
        let off = a - f64::from(target[ij]);
        let off_error = a_error + EPSILON * off.abs();
        exact[ij] = off * f64::from(scale);
        delta_error[ij] = f64::from(scale) * (off_error + 4.0 * EPSILON * off.abs()) + 1e-37;
        if loss == Loss::CrossEntropy {
            let term = reference::cross_entropy(z, f64::from(target[ij]));
            columns_exact[0][j] += term;
            // By z it changes by at most 1; max(z, 0) - x z cancels.
            columns_error[0][j] += z_error + (n as f64 + 8.0) * EPSILON * (term + z.abs());
        } else {
            columns_exact[0][j] += off * off;
            columns_error[0][j] +=
                off_error * (2.0 * off.abs() + off_error) + n as f64 * EPSILON * off * off;
            exact[ij] *= reference::derivative(layer.activation, a);
            let slope_error = match near_kink(layer.activation, z, z_error) {
                true => 1.0,
                false => 2.0 * a_error + 4.0 * EPSILON,
            };
            delta_error[ij] = f64::from(scale) * (off_error + off.abs() * slope_error) + 1e-37;
        }
        columns_exact[1][j] += exact[ij];
        columns_error[1][j] += delta_error[ij] + n as f64 * EPSILON * exact[ij].abs();
    }

    let [x_layout, w_layout, target_layout, out_layout] = layer.layouts;
    let x = Block::holding(&x, n, inputs, x_layout);
    let w = Block::holding(&w, inputs, units, w_layout);
    let target = Block::holding(&target, n, units, target_layout);
    let b = common::guarded(&b);
    let activation = layer.activation;
    for isa in Isa::all() {
        for (skip, way) in [false, true].into_iter().flat_map(|s| WAYS.map(|way| (s, way))) {
            let mut out = Block::unwritten(n, units, out_layout);
            let mut got = before.each_ref().map(|before| common::guarded(before));
            let [squares, gradient] = &mut got;
            common::with_scratch(|scratch| match way {
                Way::Whole => {
                    let (x, w, t, out) = (x.view(), w.view(), target.view(), out.view_mut());
                    output_delta(
                        isa, x, skip, w, &b, activation, loss, t, scale, out, squares, gradient,
                        scratch,
                    );
                }
                Way::Rows => {
                    let division = layer.division(n);
                    let outs = Parts::rows(out.view_mut(), division);
                    for part in 0..division.parts() {
                        let range = division.range(part);
                        let (x, t) = (x.view().rows(range.clone()), target.view().rows(range));
                        let (w, out) = (w.view(), outs.take(part));
                        output_delta(
                            isa, x, skip, w, &b, activation, loss, t, scale, out, squares,
                            gradient, scratch,
                        );
                    }
                }
                Way::Columns => {
                    let division = layer.division(units);
                    let outs = Parts::columns(out.view_mut(), division);
                    for part in (0..division.parts()).rev() {
                        let range = division.range(part);
                        let w = w.view().columns(range.clone());
                        let t = target.view().columns(range.clone());
                        let (squares, gradient) =
                            (&mut squares[range.clone()], &mut gradient[range.clone()]);
                        let (x, b, out) = (x.view(), &b[range], outs.take(part));
                        output_delta(
                            isa, x, skip, w, b, activation, loss, t, scale, out, squares, gradient,
                            scratch,
                        );
                    }
                }
            });
            let what = format!("{} with skip_zeros {skip}, {way:?}, {layer:?}", isa.name());
            let out = out.numbers();
            if isa.is_fused() {
                let (out, delta) = (unsigned_zeros(&out), unsigned_zeros(&delta));
                common::assert_bits(&format!("delta, {what}"), &out, &delta);
                common::assert_bits(&format!("squares, {what}"), &got[0], &columns[0]);
                common::assert_bits(&format!("gradient, {what}"), &got[1], &columns[1]);
            }
            common::assert_close(&format!("delta, {what}"), &out, &exact, &delta_error);
            for i in [0, 1] {
                let what = format!("{}, {what}", ["squares", "gradient"][i]);
                common::assert_close(&what, &got[i], &columns_exact[i], &columns_error[i]);
            }
        }
    }
}

/// Here the layer's inputs are the next layer's deltas, and its weights are read transposed.
fn check_hidden_delta(layer: &Layer, with_penalty: bool) {
    let (n, outputs, units) = layer.shape;
    let mut random = Random(layer.seed);
    let next = random.sparse(n, outputs, layer.zeros);
    let w = weights(&mut random, outputs, units);
    let mut a = random.numbers(n * units);
    activate(layer.activation, &mut a);
    let penalty = if with_penalty { random.numbers(units) } else { vec![0.0; units] };
    let before = random.numbers(units);
    let l1 = if with_penalty && layer.seed.is_multiple_of(2) { 0.25 } else { 0.0 };

    let (mut delta, mut exact, mut error) = sums(layer, &next, &w, &penalty);
    let mut gradient = before.clone();
    let mut gradient_exact = wide(&before);
    let mut gradient_error: Vec<f64> =
        before.iter().map(|x| f64::from(x.abs()) * EPSILON * n as f64).collect();
    for ij in 0..n * units {
        let j = ij % units;
        let sign = if a[ij] == 0.0 { 0.0 } else { l1 * a[ij].signum() };
        delta[ij] += sign;
        exact[ij] += f64::from(sign);
        error[ij] += EPSILON * exact[ij].abs();
        delta[ij] *= reference::derivative(layer.activation, a[ij]);
        gradient[j] += delta[ij];
        let upstream = exact[ij];
        exact[ij] *= reference::derivative(layer.activation, f64::from(a[ij]));
        error[ij] += 4.0 * EPSILON * upstream.abs() + 1e-37;
        gradient_exact[j] += exact[ij];
        gradient_error[j] += error[ij] + n as f64 * EPSILON * exact[ij].abs();
    }

    let [next_layout, w_layout, a_layout, out_layout] = layer.layouts;
    let next = Block::holding(&next, n, outputs, next_layout);
    let w = Block::holding(&w, outputs, units, w_layout);
    let a = Block::holding(&a, n, units, a_layout);
    let penalty = with_penalty.then(|| common::guarded(&penalty));
    let penalty = Penalty { units: penalty.as_deref(), l1 };
    let f = layer.activation;
    let mut first_bits: Option<Vec<f32>> = None;
    for isa in Isa::all() {
        for way in WAYS {
            let mut out = Block::unwritten(n, units, out_layout);
            let mut got = common::guarded(&before);
            common::with_scratch(|scratch| match way {
                Way::Whole => {
                    let (next, w, a) = (next.view(), w.view().transposed(), a.view());
                    let out = out.view_mut();
                    hidden_delta(isa, next, w, a, f, penalty, out, &mut got, scratch);
                }
                Way::Rows => {
                    let division = layer.division(n);
                    let outs = Parts::rows(out.view_mut(), division);
                    for part in 0..division.parts() {
                        let range = division.range(part);
                        let (next, a) = (next.view().rows(range.clone()), a.view().rows(range));
                        let (w, out) = (w.view().transposed(), outs.take(part));
                        hidden_delta(isa, next, w, a, f, penalty, out, &mut got, scratch);
                    }
                }
                Way::Columns => {
                    let division = layer.division(units);
                    let outs = Parts::columns(out.view_mut(), division);
                    for part in (0..division.parts()).rev() {
                        let range = division.range(part);
                        let w = w.view().transposed().rows(range.clone());
                        let a = a.view().columns(range.clone());
                        let of_units = penalty.units.map(|penalty| &penalty[range.clone()]);
                        let penalty = Penalty { units: of_units, l1 };
                        let (next, out, got) = (next.view(), outs.take(part), &mut got[range]);
                        hidden_delta(isa, next, w, a, f, penalty, out, got, scratch);
                    }
                }
            });
            let what = format!("{}, {way:?}, penalty {with_penalty}, {layer:?}", isa.name());
            let out = out.numbers();
            if isa.is_fused() {
                let first = first_bits.get_or_insert_with(|| out.clone());
                common::assert_bits(&format!("delta, {what}"), &out, first);
                let (out, delta) = (unsigned_zeros(&out), unsigned_zeros(&delta));
                common::assert_bits(&format!("delta, {what}"), &out, &delta);
                common::assert_bits(&format!("gradient, {what}"), &got, &gradient);
            }
            common::assert_close(&format!("delta, {what}"), &out, &exact, &error);
            common::assert_close(
                &format!("gradient, {what}"),
                &got,
                &gradient_exact,
                &gradient_error,
            );
        }
    }
}

fn settings_of_adam(random: &mut Random) -> reference::Adam {
    reference::Adam {
        learning_rate: 1e-2 * f64::from(random.unit() + 0.1),
        beta1: 0.9,
        beta2: 0.999,
        epsilon: [1e-8, 1e-4][random.bits() as usize % 2],
        step: [1, 2, 10, 1000, 20_000][random.bits() as usize % 5],
        weight_decay: [0.0, 5e-6, 0.1][random.bits() as usize % 3],
    }
}

fn adam_of(settings: &reference::Adam) -> Adam {
    let &reference::Adam { learning_rate, beta1, beta2, epsilon, step, weight_decay } = settings;
    Adam::new(learning_rate, beta1, beta2, epsilon, weight_decay, step)
}

/// Weights and moments after a step of the reference in `f64`, and how far `f32` may be off.
fn adam_f64(
    settings: &reference::Adam,
    before: &[Vec<f32>; 3],
    g: &[f32],
) -> [(Vec<f64>, Vec<f64>); 3] {
    let [mut w, mut m, mut v] = before.each_ref().map(|before| wide(before));
    reference::adam(settings, &mut w, &mut m, &mut v, &wide(g));
    let c1 = 1.0 - settings.beta1.powf(settings.step as f64);
    let c2 = (1.0 - settings.beta2.powf(settings.step as f64)).sqrt();
    let mut errors = [(); 3].map(|()| vec![0.0; g.len()]);
    for i in 0..g.len() {
        let [w0, m0, v0] = before.each_ref().map(|before| f64::from(before[i]));
        let g_size = f64::from(g[i].abs()) + settings.weight_decay * w0.abs();
        let m_error = 4.0 * EPSILON * (m0.abs() + g_size) + 1e-37;
        let v_error = 4.0 * EPSILON * (v0 + g_size * g_size) + 1e-37;
        let root = v[i].sqrt() + settings.epsilon * c2;
        let rate = settings.learning_rate * c2 / c1;
        let root_error = (v_error.sqrt().min(v_error / root) + 4.0 * EPSILON * root) / root;
        let step = rate * m[i].abs() / root;
        let step_error = rate * m_error / root + step * (root_error + 8.0 * EPSILON);
        errors[0][i] = step_error + EPSILON * (w0.abs() + step);
        errors[1][i] = m_error;
        errors[2][i] = v_error;
    }
    let [w_error, m_error, v_error] = errors;
    [(w, w_error), (m, m_error), (v, v_error)]
}

/// Here the product's rows are inputs, its columns units, and its sums run over the samples.
fn check_update(layer: &Layer) {
    let (n, inputs, units) = layer.shape;
    let mut random = Random(layer.seed);
    let x = random.sparse(n, inputs, layer.zeros);
    // Whole samples of zeros too: those are what is left out.
    let x = if random.bits() & 1 == 0 {
        transposed(inputs, n, &random.sparse(inputs, n, layer.zeros))
    } else {
        x
    };
    let delta: Vec<f32> = (0..n * units).map(|_| random.number() * 1e-3).collect();
    let settings = settings_of_adam(&mut random);
    let adam = adam_of(&settings);
    let squares = |numbers: Vec<f32>| numbers.into_iter().map(|x| x * x * 1e-4).collect();
    let before: [Vec<f32>; 3] = [
        weights(&mut random, inputs, units),
        random.numbers(inputs * units).into_iter().map(|x| x * 1e-2).collect(),
        squares(random.numbers(inputs * units)),
    ];

    let mut gradient = vec![0.0; inputs * units];
    reference::gemm_at(inputs, n, units, &x, &delta, &mut gradient);
    let [mut w, mut m, mut v] = before.clone();
    adam_sweep(common::scalar(), &adam, &mut w, &mut m, &mut v, &gradient);
    let want = [w, m, v];
    let close = adam_f64(&settings, &before, &gradient);
    let (_, gradient_error) =
        common::product_f64(inputs, n, units, &transposed(n, inputs, &x), &delta);

    let [x_layout, delta_layout, m_layout, w_layout] = layer.layouts;
    let x = Block::holding(&x, n, inputs, x_layout);
    let delta = Block::holding(&delta, n, units, delta_layout);
    let layouts = [w_layout, m_layout, Layout { gap: 0, ..w_layout }];
    for isa in Isa::all() {
        for (skip, way) in [false, true].into_iter().flat_map(|s| WAYS.map(|way| (s, way))) {
            let mut blocks =
                [0, 1, 2].map(|i| Block::holding(&before[i], inputs, units, layouts[i]));
            let [w, m, v] = blocks.each_mut().map(Block::view_mut);
            common::with_scratch(|scratch| match way {
                Way::Whole => {
                    update(isa, &adam, x.view(), skip, delta.view(), w, m, v, scratch);
                }
                Way::Rows => {
                    let division = layer.division(inputs);
                    let parts = [w, m, v].map(|whole| Parts::rows(whole, division));
                    for part in (0..division.parts()).rev() {
                        let [w, m, v] = parts.each_ref().map(|parts| parts.take(part));
                        let x = x.view().columns(division.range(part));
                        update(isa, &adam, x, skip, delta.view(), w, m, v, scratch);
                    }
                }
                Way::Columns => {
                    let division = layer.division(units);
                    let parts = [w, m, v].map(|whole| Parts::columns(whole, division));
                    for part in (0..division.parts()).rev() {
                        let [w, m, v] = parts.each_ref().map(|parts| parts.take(part));
                        let delta = delta.view().columns(division.range(part));
                        update(isa, &adam, x.view(), skip, delta, w, m, v, scratch);
                    }
                }
            });
            let what = format!("{} with skip_zeros {skip}, {way:?}, {layer:?}", isa.name());
            for (i, name) in ["weights", "first moment", "second moment"].into_iter().enumerate() {
                let (what, got) = (format!("{name}, {what}"), blocks[i].numbers());
                if isa.is_fused() {
                    common::assert_bits(&what, &got, &want[i]);
                    common::assert_close(&what, &got, &close[i].0, &close[i].1);
                }
            }
            if !isa.is_fused() {
                // The first moment is the gradient's own: the product's error and Adam's.
                let error = gradient_error.iter().zip(&close[1].1).map(|(g, m)| g + m);
                let error: Vec<f64> = error.collect();
                common::assert_close(&what, &blocks[1].numbers(), &close[1].0, &error);
            }
        }
    }
}

fn transposed(rows: usize, cols: usize, a: &[f32]) -> Vec<f32> {
    (0..rows * cols).map(|ij| a[ij % rows * cols + ij / rows]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: common::settings().cases / 2, ..common::settings() })]

    #[test]
    fn forward_is_product_bias_activation_and_sums(layer in layer()) {
        check_forward(&layer);
    }

    #[test]
    fn output_delta_is_forward_error_and_slope(layer in layer()) {
        check_output_delta(&layer);
    }

    #[test]
    fn hidden_delta_is_product_penalty_and_slope(layer in layer(), penalty in any::<bool>()) {
        check_hidden_delta(&layer, penalty);
    }

    #[test]
    fn update_is_product_and_adam(layer in layer()) {
        check_update(&layer);
    }
}

/// All activations and penalties on the shapes of the seed's network, whose inner sides are
/// longer than a block.
#[test]
fn layers_of_the_seed() {
    for (i, activation) in ACTIVATIONS.into_iter().enumerate() {
        for shape in [(60, 784, 30), (60, 30, 300)] {
            let zeros = Zeros { columns: 0.37, numbers: 0.3 };
            let layouts = [Layout::default(); 4];
            let layer = Layer { shape, activation, layouts, zeros, parts: (2, 16), seed: i as u64 };
            check_forward(&layer);
            check_output_delta(&layer);
            check_hidden_delta(&layer, i % 2 == 0);
            check_update(&layer);
        }
    }
}

/// Sums that begin at 0 are the reference's column sums and squared errors.
#[test]
fn sums_from_0_are_those_of_the_reference() {
    let (n, inputs, units) = (61, 50, 37);
    let mut random = Random(3);
    let (x, w) = (random.numbers(n * inputs), weights(&mut random, inputs, units));
    let (b, target) = (random.numbers(units), random.numbers(n * units));
    for isa in common::fused() {
        let (mut a, mut delta) = (vec![0.0; n * units], vec![0.0; n * units]);
        let [mut sums, mut squares, mut gradient] = [(); 3].map(|()| vec![0.0; units]);
        let view = |x, rows, cols| sae_kernels::Matrix::new(x, rows, cols);
        let (x, w, t) = (view(&x, n, inputs), view(&w, inputs, units), view(&target, n, units));
        let f = Activation::Sigmoid;
        common::with_scratch(|scratch| {
            let a = MatrixMut::new(&mut a, n, units);
            forward(isa, x, false, w, &b, f, a, &mut sums, scratch);
            let d = MatrixMut::new(&mut delta, n, units);
            output_delta(
                isa,
                x,
                false,
                w,
                &b,
                f,
                Loss::SquaredError,
                t,
                1.0,
                d,
                &mut squares,
                &mut gradient,
                scratch,
            );
        });
        let mut want = vec![0.0; units];
        reference::column_sums(n, units, &a, &mut want);
        common::assert_bits("sums", &sums, &want);
        reference::column_sums(n, units, &delta, &mut want);
        common::assert_bits("bias gradient", &gradient, &want);
        for (j, square) in squares.iter().enumerate() {
            let column = |x: &[f32]| (0..n).map(|i| x[i * units + j]).collect::<Vec<f32>>();
            let want = reference::squared_error(&column(&a), &column(&target));
            assert_eq!(square.to_bits(), want.to_bits());
        }
    }
}

/// Threads that each take parts write what one call writes.
#[test]
fn threads_write_the_same_bits() {
    let (n, inputs, units) = (60, 131, 77);
    let mut random = Random(4);
    let (x, delta) = (random.numbers(n * inputs), random.numbers(n * units));
    let before = [random.numbers(inputs * units), random.numbers(inputs * units)];
    let squares: Vec<f32> = random.numbers(inputs * units).iter().map(|x| x * x).collect();
    let before = [&before[0], &before[1], &squares];
    let adam = Adam::new(1e-2, 0.9, 0.999, 1e-8, 5e-6, 7);
    let view = |x, cols| sae_kernels::Matrix::new(x, n, cols);
    let (x, delta) = (view(&x, inputs), view(&delta, units));
    for isa in common::fused() {
        let results = [1, 4].map(|threads| {
            let mut numbers = before.map(Clone::clone);
            let division = Division::new(inputs, 12, threads);
            let parts =
                numbers.each_mut().map(|x| Parts::rows(MatrixMut::new(x, inputs, units), division));
            std::thread::scope(|scope| {
                for part in 0..division.parts() {
                    let parts = &parts;
                    scope.spawn(move || {
                        let [w, m, v] = parts.each_ref().map(|parts| parts.take(part));
                        let x = x.columns(division.range(part));
                        common::with_scratch(|scratch| {
                            update(isa, &adam, x, true, delta, w, m, v, scratch);
                        });
                    });
                }
            });
            numbers
        });
        for (one, four) in results[0].iter().zip(&results[1]) {
            common::assert_bits(isa.name(), four, one);
        }
    }
}

/// Gradients wider than a block, and longer; batches of more than a block of k; parameters whose
/// rows touch, and not.
#[test]
fn updates_of_many_blocks() {
    let mut random = Random(5);
    let wide = [511, 512, 513, 1023, 1024, 1025, 1100].map(|units| (9, 51, units));
    let long = [(9, 97, 130), (13, 200, 60), (801, 13, 37), (1200, 25, 16)];
    for shape in wide.into_iter().chain(long) {
        for gap in [0, 5] {
            let rows = Layout { lead: 1, gap, ..Layout::default() };
            let layouts = [Layout::default(), Layout::default(), rows, rows];
            let zeros = Zeros { columns: 0.2, numbers: 0.2 };
            let (activation, parts, seed) = (Activation::Linear, (2, 8), random.bits());
            check_update(&Layer { shape, activation, layouts, zeros, parts, seed });
        }
    }
}

#[test]
#[should_panic(expected = "the first moment has another shape than the product")]
fn an_update_of_other_shapes() {
    let numbers = [1.0; 12];
    let (x, delta) =
        (sae_kernels::Matrix::new(&numbers, 4, 3), sae_kernels::Matrix::new(&numbers, 4, 3));
    let [mut w, mut m, mut v] = [[0.0; 9], [0.0; 9], [0.0; 9]];
    let (w, v) = (MatrixMut::new(&mut w, 3, 3), MatrixMut::new(&mut v, 3, 3));
    let m = MatrixMut::new(&mut m[..6], 3, 2);
    let adam = Adam::new(1e-2, 0.9, 0.999, 1e-8, 0.0, 1);
    common::with_scratch(|scratch| {
        update(common::scalar(), &adam, x, false, delta, w, m, v, scratch);
    });
}

/// No sample, no input or no unit.
#[test]
fn layers_of_nothing() {
    for shape in [(0, 5, 7), (5, 0, 7), (5, 7, 0), (0, 0, 0), (60, 0, 300)] {
        let layer = Layer {
            shape,
            activation: Activation::Sigmoid,
            layouts: [Layout::default(); 4],
            zeros: Zeros { columns: 0.0, numbers: 0.0 },
            parts: (2, 8),
            seed: 1,
        };
        check_forward(&layer);
        check_output_delta(&layer);
        check_hidden_delta(&layer, true);
        check_update(&layer);
    }
}

/// A sweep is the reference's step in `f32` within roundings, through many steps and at the
/// edges: the moments of a unit that no longer learns come to rest near 0, never subnormal.
#[test]
fn adam_through_many_steps() {
    let mut random = Random(6);
    let len = 67;
    for weight_decay in [0.0, 1e-2] {
        let start = random.numbers(len);
        let seed = random.bits();
        let run = |isa: Isa| {
            let mut random = Random(seed);
            let [mut w, mut m, mut v] =
                [start.clone(), vec![0.0; len], vec![0.0; len]].map(|x| common::guarded(&x));
            let (mut w_ref, mut m_ref, mut v_ref) = (start.clone(), vec![0.0; len], vec![0.0; len]);
            for step in 1..=300 {
                let settings = reference::Adam {
                    learning_rate: 1e-2,
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: 1e-8,
                    step,
                    weight_decay,
                };
                let g = common::guarded(&random.numbers(len));
                adam_sweep(isa, &adam_of(&settings), &mut w, &mut m, &mut v, &g);
                reference::adam(&settings, &mut w_ref, &mut m_ref, &mut v_ref, &g);
            }
            for (got, want) in w.iter().zip(&w_ref) {
                assert!((got - want).abs() < 1e-4, "{}: {got} {want}", isa.name());
            }
            [w.to_vec(), m.to_vec(), v.to_vec()]
        };
        let want = run(common::scalar());
        for isa in Isa::all() {
            let got = run(isa);
            for (got, want) in got.iter().zip(&want).filter(|_| isa.is_fused()) {
                common::assert_bits(isa.name(), got, want);
            }
        }
    }
}

#[test]
fn adam_of_a_gradient_of_0() {
    for isa in Isa::all() {
        let [mut w, mut m, mut v] = [vec![0.5; 33], vec![1e-30; 33], vec![1e-36; 33]];
        let zero = vec![0.0; 33];
        for step in 1..10_000 {
            let adam = Adam::new(1e-2, 0.9, 0.999, 1e-8, 0.0, step);
            adam_sweep(isa, &adam, &mut w, &mut m, &mut v, &zero);
            assert!(w.iter().all(|w| (w - 0.5).abs() < 1e-6));
            assert!(!m.iter().chain(&v).any(|x| x.is_subnormal()));
        }
        assert!(m.iter().chain(&v).all(|x| x.abs() < 1e-34));
    }
}

#[test]
#[should_panic(expected = "a moment and a gradient for each weight")]
fn adam_of_other_lengths() {
    let adam = Adam::new(1e-2, 0.9, 0.999, 1e-8, 0.0, 1);
    adam_sweep(common::scalar(), &adam, &mut [0.0; 2], &mut [0.0; 2], &mut [0.0; 3], &[0.0; 2]);
}

#[test]
fn biases_are_not_decayed() {
    let decayed = Adam::new(1e-2, 0.9, 0.999, 1e-8, 0.5, 3);
    let plain = Adam::new(1e-2, 0.9, 0.999, 1e-8, 0.0, 3);
    assert_ne!(decayed, plain);
    assert_eq!(decayed.without_weight_decay(), plain);
}

/// Mean activations from 0 to 1, the ends among them.
fn means(random: &mut Random, len: usize) -> Vec<f32> {
    let edges = [0.0, 1.0, -0.0, 1e-7, 1e-6, 1.0 - f32::EPSILON, f32::from_bits(1), 0.02, 0.5];
    let mean = |i: usize| if i < edges.len() { edges[i] } else { random.unit() };
    (0..len).map(mean).rev().collect()
}

#[test]
fn means_of_sums() {
    let mut random = Random(7);
    for len in 0..50 {
        let sums: Vec<f32> = random.numbers(len).iter().map(|x| x * 60.0).collect();
        for samples in [1, 7, 60, 10_000] {
            let want: Vec<f32> = sums.iter().map(|sum| sum / samples as f32).collect();
            for isa in Isa::all() {
                let mut got = common::guarded(&sums);
                sparsity::mean(isa, samples, &mut got);
                common::assert_bits(isa.name(), &got, &want);
            }
        }
    }
}

#[test]
fn penalties_are_those_of_the_reference() {
    let mut random = Random(8);
    for len in 0..50 {
        let rho_hat = means(&mut random, len);
        for rho in [0.02, 0.3, 0.98] {
            let weight = 7.5e-5 / 60.0;
            let reference_gradient = |rho_hat: &f32| weight * reference::kl_gradient(rho, *rho_hat);
            let want: Vec<f32> = rho_hat.iter().map(reference_gradient).collect();
            let terms = rho_hat.iter().map(|x| {
                // Cut as the kernels cut it: 1 - 1e-6 is not an `f32`.
                let x = f64::from(x.clamp(sparsity::EPSILON, 1.0 - sparsity::EPSILON));
                reference::kl_value(f64::from(rho), x)
            });
            let value: f64 = terms.sum();
            let rho_hat = common::guarded(&rho_hat);
            let bits = sparsity::kl_value(common::scalar(), rho, &rho_hat).to_bits();
            for isa in Isa::all() {
                let mut got = common::guarded(&vec![f32::NAN; len]);
                sparsity::kl_gradient(isa, rho, weight, &rho_hat, &mut got);
                common::assert_bits(isa.name(), &got, &want);
                let got = sparsity::kl_value(isa, rho, &rho_hat);
                // ln's argument is rounded twice, ln and the term once each; terms are below 15.
                let error = 4.0 * EPSILON * (len as f64 + value);
                assert!((got - value).abs() <= error, "{}: {got} {value}", isa.name());
                assert!(!isa.is_fused() || got.to_bits() == bits, "{}", isa.name());
            }
        }
    }
}

/// Whatever the mean, the penalty is a number, and its gradient points back inside.
#[test]
fn penalties_are_finite() {
    let outside = [f32::NEG_INFINITY, f32::MIN, -1.0, -1e-30, -0.0, 0.0, f32::from_bits(1), 1e-7];
    let above = [1.0 - f32::EPSILON / 2.0, 1.0, 1.5, f32::MAX, f32::INFINITY];
    for isa in Isa::all() {
        for rho in [0.001, 0.02, 0.5, 0.98] {
            for (rho_hats, sign) in [(&outside[..], -1.0), (&above[..], 1.0)] {
                let mut gradient = vec![0.0; rho_hats.len()];
                sparsity::kl_gradient(isa, rho, 1.0, rho_hats, &mut gradient);
                for (g, rho_hat) in gradient.iter().zip(rho_hats) {
                    let inside = g.is_finite() && g * sign > 1.0;
                    assert!(inside, "{}: {rho} {rho_hat} {g}", isa.name());
                    let value = sparsity::kl_value(isa, rho, &[*rho_hat]);
                    assert!(value.is_finite() && value > 0.0, "{rho} {rho_hat} {value}");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "a gradient for each unit")]
fn penalties_of_other_lengths() {
    sparsity::kl_gradient(common::scalar(), 0.02, 1.0, &[0.5; 3], &mut [0.0; 4]);
}

/// A product and a separate sweep, on the same set: what `update` is, in its own words.
#[test]
fn update_is_gemm_and_sweep_on_every_set() {
    let (n, inputs, units) = (60, 45, 71);
    let mut random = Random(9);
    let (x, delta) = (random.numbers(n * inputs), random.numbers(n * units));
    let (x, delta) =
        (sae_kernels::Matrix::new(&x, n, inputs), sae_kernels::Matrix::new(&delta, n, units));
    let start = random.numbers(inputs * units);
    let adam = Adam::new(1e-2, 0.9, 0.999, 1e-8, 5e-6, 3);
    for isa in Isa::all() {
        let zero = vec![0.0; inputs * units];
        let mut two = [start.clone(), zero.clone(), zero.clone()];
        let mut one = two.clone();
        let mut gradient = zero;
        common::with_scratch(|scratch| {
            let out = MatrixMut::new(&mut gradient, inputs, units);
            gemm(isa, x.transposed(), delta, out, scratch);
            let [w, m, v] = &mut two;
            adam_sweep(isa, &adam, w, m, v, &gradient);
            let [w, m, v] = one.each_mut().map(|x| MatrixMut::new(x, inputs, units));
            update(isa, &adam, x, false, delta, w, m, v, scratch);
        });
        // The portable set too: there is one order of arithmetic within a set.
        for (one, two) in one.iter().zip(&two) {
            common::assert_bits(isa.name(), one, two);
        }
    }
}

/// The largest stay, of equal ones the first; the others are 0.
fn check_keep_largest(numbers: &[f32], k: usize) {
    let mut want = numbers.to_vec();
    let smallest = reference::keep_largest(k, &mut want);
    let mut have = numbers.to_vec();
    let mut keys = vec![0; numbers.len()];
    let got = sae_kernels::code::keep_largest(&mut have, k, &mut keys);
    assert_eq!(got, smallest, "{numbers:?}, {k}");
    assert_eq!(have, want, "{numbers:?}, {k}");
}

/// An exactly sparse layer's way back against plain loops, on every set.
fn check_open_delta(seed: u64, n: usize, units: usize, activation: Activation, l1: f32) {
    let mut random = Random(seed);
    let mut a = random.numbers(n * units);
    activate(activation, &mut a);
    a.iter_mut().for_each(|a| *a = if random.unit() < 0.6 { 0.0 } else { *a });
    let (gradient, penalty) = (random.numbers(n * units), random.numbers(units));
    let before = random.numbers(units);
    let (mut want, mut sums) = (gradient.clone(), before.clone());
    for (ij, delta) in want.iter_mut().enumerate() {
        let sign = if a[ij] == 0.0 { 0.0 } else { l1 * a[ij].signum() };
        let slope = reference::derivative(activation, a[ij]);
        *delta = if a[ij] == 0.0 { 0.0 } else { ((*delta + penalty[ij % units]) + sign) * slope };
        sums[ij % units] += *delta;
    }
    for isa in Isa::all() {
        let (mut delta, mut got) = (gradient.clone(), common::guarded(&before));
        sae_kernels::code::open_delta(
            isa,
            sae_kernels::Matrix::new(&a, n, units),
            activation,
            Penalty { units: Some(&penalty), l1 },
            MatrixMut::new(&mut delta, n, units),
            &mut got,
        );
        if isa.is_fused() {
            let (delta, want) = (unsigned_zeros(&delta), unsigned_zeros(&want));
            common::assert_bits(&format!("delta on {}, {activation:?}", isa.name()), &delta, &want);
            common::assert_bits(&format!("sums on {}, {activation:?}", isa.name()), &got, &sums);
        }
        let (exact, error) = (wide(&want), vec![1e-5; n * units]);
        common::assert_close(&format!("delta on {}", isa.name()), &delta, &exact, &error);
    }
}

proptest! {
    #[test]
    fn keep_largest_is_the_reference(
        numbers in prop::collection::vec(
            prop_oneof![Just(0.0f32), Just(-0.5), Just(1.0), -2.0f32..2.0, any::<f32>()],
            1..70,
        ),
        k in 0usize..70,
    ) {
        let mut numbers = numbers;
        numbers.iter_mut().for_each(|x| *x = if x.is_nan() { 0.25 } else { *x + 0.0 });
        let k = 1 + k % numbers.len();
        check_keep_largest(&numbers, k);
    }

    #[test]
    fn open_delta_is_penalty_and_slope(
        seed in any::<u64>(),
        n in 1usize..9,
        units in 1usize..70,
        activation in prop::sample::select(ACTIVATIONS.to_vec()),
        l1 in prop_oneof![Just(0.0f32), Just(0.25)],
    ) {
        check_open_delta(seed, n, units, activation, l1);
    }

    #[test]
    fn thresholds_learn_as_published(seed in any::<u64>(), n in 1usize..9, units in 1usize..20) {
        let mut random = Random(seed);
        let (pre, gradient) = (random.numbers(n * units), random.numbers(n * units));
        let thresholds: Vec<f32> = (0..units).map(|_| random.unit() + 0.01).collect();
        let jump = sae_kernels::code::Jump { bandwidth: 0.5, l0: 0.125 };
        let mut a = vec![9.0; n * units];
        sae_kernels::code::jump(&pre, &thresholds, &mut a);
        let mut got = vec![9.0; units];
        sae_kernels::code::threshold_gradient(jump, &pre, &gradient, &thresholds, &mut got);
        for j in 0..units {
            let mut want = 0.0;
            for i in 0..n {
                let (z, g) = (f64::from(pre[i * units + j]), f64::from(gradient[i * units + j]));
                let threshold = f64::from(thresholds[j]);
                let kernel = if ((z - threshold) / 0.5).abs() < 0.5 { 1.0 } else { 0.0 };
                // d a / d threshold and d H / d threshold, then d threshold / d its logarithm.
                want += (-threshold / 0.5 * kernel * g - 0.125 / 0.5 * kernel) * threshold;
                prop_assert_eq!(a[i * units + j] != 0.0, z > threshold);
            }
            prop_assert!((f64::from(got[j]) - want).abs() < 1e-4, "{} {}", got[j], want);
        }
    }

    #[test]
    fn momentum_and_weight_decay_are_the_reference(seed in any::<u64>(), length in 1usize..100) {
        let mut random = Random(seed);
        let [w, v, g] = [0; 3].map(|_| random.numbers(length));
        let (mut want_w, mut want_v) = (w.clone(), v.clone());
        reference::momentum(0.01f32, 0.9, &mut want_w, &mut want_v, &g);
        let decayed: Vec<f32> = g.iter().zip(&w).map(|(g, w)| 0.3f32.mul_add(*w, *g)).collect();
        for isa in Isa::all().filter(|isa| isa.is_fused()) {
            let (mut have_w, mut have_v, mut have_g) = (w.clone(), v.clone(), g.clone());
            sae_kernels::momentum_sweep(isa, 0.01, 0.9, &mut have_w, &mut have_v, &g);
            common::assert_bits("weights", &have_w, &want_w);
            common::assert_bits("velocity", &have_v, &want_v);
            sae_kernels::add_weight_decay(isa, 0.3, &w, &mut have_g);
            common::assert_bits("gradient", &have_g, &decayed);
        }
    }

    /// AdamW: the weights shrink, then Adam's step; biases do not.
    #[test]
    fn decoupled_decay_shrinks_weights(seed in any::<u64>(), length in 1usize..60) {
        let mut random = Random(seed);
        let [w, g] = [0; 2].map(|_| random.numbers(length));
        let adam = Adam::new(0.01, 0.9, 0.999, 1e-8, 0.0, 1);
        for isa in Isa::all() {
            let run = |adam: &Adam| {
                let (mut w, mut m, mut v) = (w.clone(), vec![0.0; length], vec![0.0; length]);
                adam_sweep(isa, adam, &mut w, &mut m, &mut v, &g);
                w
            };
            let (plain, decayed) = (run(&adam), run(&adam.with_decoupled_decay(0.25)));
            for ((plain, decayed), w) in plain.iter().zip(&decayed).zip(&w) {
                prop_assert!((plain - decayed - 0.25 * w).abs() < 1e-6);
            }
            let without = run(&adam.with_decoupled_decay(0.25).without_weight_decay());
            prop_assert_eq!(&plain, &without);
        }
    }
}
