//! [`Update`]: the bits of a product followed by the rule's step.

use proptest::prelude::*;
use sae_kernels::{
    Activation, AdamOptions, Isa, Matrix, MatrixMut, Momentum, Operand, Outer, Parts, Rule, Update,
    gemm, reference,
};

use crate::common::{self, Block, Layout, Random, Zeros, wide};
use crate::layer::{self, EPSILON, Layer, WAYS, Way, layer, weights};
use crate::optimizer::{options_of, update_slices};

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

/// Runs the product whole, or part by part; the largest magnitude of the new weights.
fn run(isa: Isa, whole: Update<'_>, way: Way, layer: &Layer) -> f32 {
    let (_, inputs, units) = layer.shape;
    let Update { weights, first_moment, second_moment, a, delta, .. } = whole;
    let numbers = [weights, first_moment, second_moment];
    let division = layer.division(if way == Way::Columns { units } else { inputs });
    let parts = match way {
        Way::Whole => {
            let [weights, first_moment, second_moment] = numbers;
            let whole = Update { weights, first_moment, second_moment, ..whole };
            return common::with_scratch(|scratch| whole.run(isa, scratch));
        }
        Way::Rows => numbers.map(|whole| Parts::rows(whole, division)),
        Way::Columns => numbers.map(|whole| Parts::columns(whole, division)),
    };
    let mut largest = 0f32;
    for part in (0..division.parts()).rev() {
        let [weights, first_moment, second_moment] = parts.each_ref().map(|parts| parts.take(part));
        let (a, delta) = match way {
            Way::Columns => (a, delta.columns(division.range(part))),
            _ => (a.rows(division.range(part)), delta),
        };
        let part = Update { a, delta, weights, first_moment, second_moment, ..whole };
        largest = largest.max(common::with_scratch(|scratch| part.run(isa, scratch)));
    }
    largest
}

/// Here the product's rows are inputs, its columns units, and its sums run over the samples.
fn check(layer: &Layer) {
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
    let rule = options_of(&settings).at_step(settings.step);
    let squares = |numbers: Vec<f32>| numbers.into_iter().map(|x| x * x * 1e-4).collect();
    let before: [Vec<f32>; 3] = [
        weights(&mut random, inputs, units),
        random.numbers(inputs * units).into_iter().map(|x| x * 1e-2).collect(),
        squares(random.numbers(inputs * units)),
    ];

    let mut gradient = vec![0.0; inputs * units];
    reference::gemm_at(inputs, n, units, &x, &delta, &mut gradient);
    let mut want = before.clone();
    update_slices(common::scalar(), rule, &mut want, &gradient);
    let close = adam_f64(&settings, &before, &gradient);
    let (_, gradient_error) =
        common::product_f64(inputs, n, units, &transposed(n, inputs, &x), &delta);

    let [x_layout, delta_layout, m_layout, w_layout] = layer.layouts;
    let x = Block::holding(&x, n, inputs, x_layout);
    let delta = Block::holding(&delta, n, units, delta_layout);
    let layouts = [w_layout, m_layout, Layout { gap: 0, ..w_layout }];
    for (isa, skip_zeros, way) in common::each_isa(&WAYS) {
        let mut blocks = [0, 1, 2].map(|i| Block::holding(&before[i], inputs, units, layouts[i]));
        let (a, delta) = (Operand::new(x.view().transposed(), skip_zeros), delta.view());
        let [weights, first_moment, second_moment] = blocks.each_mut().map(Block::view_mut);
        let whole =
            Update { rule, a, delta, weights, first_moment, second_moment, correction: None };
        let largest = run(isa, whole, way, layer);
        let expected = blocks[0].numbers().iter().map(|w| w.abs()).fold(0.0, f32::max);
        assert_eq!(largest, expected, "{}: the largest new weight, {layer:?}", isa.name());
        let what = format!("{} with skip_zeros {skip_zeros}, {way:?}, {layer:?}", isa.name());
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

fn transposed(rows: usize, cols: usize, a: &[f32]) -> Vec<f32> {
    (0..rows * cols).map(|ij| a[ij % rows * cols + ij / rows]).collect()
}

proptest! {
    #![proptest_config(layer::settings())]

    #[test]
    fn is_product_and_adam(layer in layer()) {
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

/// Gradients wider than a block, and longer; batches of more than a block of k; parameters whose
/// rows touch, and not.
#[test]
fn of_many_blocks() {
    let mut random = Random(5);
    let wide = [511, 512, 513, 1023, 1024, 1025, 1100].map(|units| (9, 51, units));
    let long = [(9, 97, 130), (13, 200, 60), (801, 13, 37), (1200, 25, 16)];
    for shape in wide.into_iter().chain(long) {
        for gap in [0, 5] {
            let rows = Layout { lead: 1, gap, ..Layout::default() };
            let layouts = [Layout::default(), Layout::default(), rows, rows];
            let zeros = Zeros { columns: 0.2, numbers: 0.2 };
            let (activation, parts, seed) = (Activation::Linear, (2, 8), random.bits());
            check(&Layer { shape, activation, layouts, zeros, parts, seed });
        }
    }
}

/// A product and the rule over the gradient in memory, on the same set: what an update is. The
/// portable set too: there is one order of arithmetic within a set.
#[test]
fn is_gemm_and_update_rows_on_every_set() {
    let adam = AdamOptions { learning_rate: 1e-2, weight_decay: 5e-6, ..AdamOptions::default() };
    let adam_w = AdamOptions { decoupled_decay: 0.1, ..adam };
    let momentum =
        Momentum { learning_rate: 0.05, momentum: 0.9, weight_decay: 5e-6, orthogonal: false };
    let rules = [adam.at_step(3), adam_w.at_step(3), Rule::Momentum(momentum)];
    let mut random = Random(9);
    for (n, inputs, units) in [(60, 45, 71), (7, 200, 600)] {
        let (x, delta) = (random.numbers(n * inputs), random.numbers(n * units));
        let (x, delta) = (Matrix::new(&x, n, inputs), Matrix::new(&delta, n, units));
        let squares = random.numbers(inputs * units).iter().map(|x| x * x).collect();
        let start = [random.numbers(inputs * units), random.numbers(inputs * units), squares];
        let (rows, cols) = (random.numbers(inputs), random.numbers(units));
        let outer = Outer { rows: &rows, cols: &cols };
        let cases = rules.into_iter().flat_map(|rule| [(rule, None), (rule, Some(outer))]);
        for (isa, (rule, correction)) in
            Isa::all().flat_map(|isa| cases.clone().map(move |case| (isa, case)))
        {
            let (mut one, mut two, mut gradient) =
                (start.clone(), start.clone(), vec![0.0; inputs * units]);
            let [weights, first_moment, second_moment] =
                one.each_mut().map(|x| MatrixMut::new(x, inputs, units));
            let update = Update {
                rule,
                a: Operand::Dense(x.transposed()),
                delta,
                weights,
                first_moment,
                second_moment,
                correction,
            };
            common::with_scratch(|scratch| {
                update.run(isa, scratch);
                let out = MatrixMut::new(&mut gradient, inputs, units);
                gemm(isa, x.transposed(), delta, out, scratch);
            });
            if let Some(correction) = correction {
                let fused = |at: usize| (-rows[at / units]).mul_add(cols[at % units], gradient[at]);
                let expected: Vec<f32> = (0..inputs * units).map(fused).collect();
                correction.subtract_from(isa, MatrixMut::new(&mut gradient, inputs, units));
                if isa.is_fused() {
                    common::assert_bits(isa.name(), &gradient, &expected);
                }
            }
            update_slices(isa, rule, &mut two, &gradient);
            for (one, two) in one.iter().zip(&two) {
                common::assert_bits(&format!("{} {rule:?}", isa.name()), one, two);
            }
            let second_is_used = matches!(rule, Rule::Adam(_));
            assert_eq!(one[2] != start[2], second_is_used, "{rule:?}: the second moment");
        }
    }
}

/// A rule without a second moment takes none.
#[test]
fn momentum_without_a_second_moment() {
    let (x, delta) = ([1.0, 2.0, 3.0], [0.5, -0.5]);
    let rule = Rule::Momentum(Momentum {
        learning_rate: 1.0,
        momentum: 0.5,
        weight_decay: 0.0,
        orthogonal: false,
    });
    for isa in Isa::all() {
        let (mut weights, mut velocity) = ([0.0; 6], [1.0; 6]);
        let update = Update {
            rule,
            a: Operand::Dense(Matrix::new(&x, 1, 3).transposed()),
            delta: Matrix::new(&delta, 1, 2),
            weights: MatrixMut::new(&mut weights, 3, 2),
            first_moment: MatrixMut::new(&mut velocity, 3, 2),
            second_moment: MatrixMut::new(&mut [], 0, 0),
            correction: None,
        };
        common::with_scratch(|scratch| update.run(isa, scratch));
        assert_eq!(velocity, [1.0, 0.0, 1.5, -0.5, 2.0, -1.0], "{}", isa.name());
        assert_eq!(weights, velocity.map(|v| -v), "{}", isa.name());
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
    let options = AdamOptions { learning_rate: 1e-2, weight_decay: 5e-6, ..AdamOptions::default() };
    let rule = options.at_step(7);
    let (x, delta) = (Matrix::new(&x, n, inputs), Matrix::new(&delta, n, units));
    for isa in common::fused() {
        let results = [1, 4].map(|threads| {
            let mut numbers = before.map(Clone::clone);
            let division = sae_kernels::Division::new(inputs, 12, threads);
            let parts =
                numbers.each_mut().map(|x| Parts::rows(MatrixMut::new(x, inputs, units), division));
            std::thread::scope(|scope| {
                for part in 0..division.parts() {
                    let parts = &parts;
                    scope.spawn(move || {
                        let [weights, first_moment, second_moment] =
                            parts.each_ref().map(|parts| parts.take(part));
                        let update = Update {
                            rule,
                            a: Operand::SkipZeros(x.transposed().rows(division.range(part))),
                            delta,
                            weights,
                            first_moment,
                            second_moment,
                            correction: None,
                        };
                        common::with_scratch(|scratch| update.run(isa, scratch));
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

#[test]
#[should_panic(expected = "the first moment has another shape than the weights")]
fn a_moment_of_another_shape() {
    let numbers = [1.0; 12];
    let [mut w, mut m, mut v] = [[0.0; 9], [0.0; 9], [0.0; 9]];
    let update = Update {
        rule: AdamOptions::default().at_step(1),
        a: Operand::Dense(Matrix::new(&numbers, 4, 3).transposed()),
        delta: Matrix::new(&numbers, 4, 3),
        weights: MatrixMut::new(&mut w, 3, 3),
        first_moment: MatrixMut::new(&mut m[..6], 3, 2),
        second_moment: MatrixMut::new(&mut v, 3, 3),
        correction: None,
    };
    common::with_scratch(|scratch| update.run(common::scalar(), scratch));
}
