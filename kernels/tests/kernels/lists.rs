//! Products whose left side is lists: the bits of the same products with the zeros in their place,
//! on every fused set, and panics where a list leaves the right side.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use sae_kernels::{
    Activation, AdamOptions, Forward, Gemm, HiddenDelta, Isa, Lists, Loss, Matrix, MatrixMut,
    Operand, Outer, OutputDelta, Parts, Penalty, Update,
};

use crate::common::{self, Block, Layout, Listed, Random, Zeros, wide};
use crate::layer::{ACTIVATIONS, EPSILON, WAYS, Way, activate};

/// A left side `[m, k]`, a right side `[k, n]`, and what is fused into their product.
#[derive(Clone, Debug)]
struct Case {
    shape: (usize, usize, usize),
    zeros: Zeros,
    /// Entries between the lists that are of no row.
    gap: usize,
    /// Of the right side, and of all that is read or written with the product's shape.
    layouts: [Layout; 2],
    activation: Activation,
    loss: Loss,
    seed: u64,
}

/// Also wider than the sums that are held at a time, and than an update's block.
fn columns() -> impl Strategy<Value = usize> {
    prop_oneof![8 => common::side(), 1 => 1020..=1060usize, 1 => 2040..=2070usize]
}

fn case() -> impl Strategy<Value = Case> {
    let shape = (common::side(), common::side(), columns());
    let numbers = prop_oneof![1 => Just(1.0f32), 1 => Just(0.0), 4 => 0.5f32..1.0];
    let zeros = (prop_oneof![3 => Just(0.0f32), 1 => 0.0f32..1.0], numbers)
        .prop_map(|(columns, numbers)| Zeros { columns, numbers });
    let layouts = [common::rows_layout().boxed(), common::rows_layout().boxed()];
    let fused =
        (prop::sample::select(ACTIVATIONS.to_vec()), prop::sample::select(Loss::ALL.to_vec()));
    (shape, zeros, 0..3usize, layouts, fused, any::<u64>()).prop_map(
        |(shape, zeros, gap, layouts, (activation, loss), seed)| {
            let loss = if loss.fits(activation) { loss } else { Loss::SquaredError };
            Case { shape, zeros, gap, layouts, activation, loss, seed }
        },
    )
}

/// What the products read besides the left side.
struct Inputs {
    /// `[k, n]`
    right: Block,
    /// `[m, n]`: targets, activations, and parameters before a step.
    target: Block,
    activations: Block,
    before: [Vec<f32>; 3],
    /// `[n]`: biases, sums before, penalties.
    biases: Vec<f32>,
    sums: Vec<f32>,
    penalties: Vec<f32>,
    /// `[m]`
    means: Vec<f32>,
}

impl Inputs {
    fn new(case: &Case, random: &mut Random) -> Inputs {
        let (m, k, n) = case.shape;
        let right = Block::holding(&random.numbers(k * n), k, n, case.layouts[0]);
        let targets: Vec<f32> = (0..m * n).map(|_| random.unit()).collect();
        let mut activations = random.numbers(m * n);
        activate(case.activation, &mut activations);
        let squares = random.numbers(m * n).iter().map(|x| x * x).collect();
        Inputs {
            right,
            target: Block::holding(&targets, m, n, case.layouts[1]),
            activations: Block::holding(&activations, m, n, case.layouts[1]),
            before: [random.numbers(m * n), random.numbers(m * n), squares],
            biases: random.numbers(n),
            sums: random.numbers(n),
            penalties: random.numbers(n),
            means: random.numbers(m),
        }
    }
}

/// The plain product, whole or part by part.
fn product(isa: Isa, case: &Case, a: Operand<'_>, b: Matrix<'_>, way: Way) -> Vec<f32> {
    let (m, _, n) = case.shape;
    let mut out = Block::unwritten(m, n, case.layouts[1]);
    let c = out.view_mut();
    common::with_scratch(|scratch| match way {
        Way::Whole => Gemm::new(a, b, c).run(isa, scratch),
        Way::Rows => {
            let division = sae_kernels::Division::new(m, 1, 3);
            let parts = Parts::rows(c, division);
            for part in (0..division.parts()).rev() {
                let a = a.rows(division.range(part));
                Gemm::new(a, b, parts.take(part)).run(isa, scratch);
            }
        }
        Way::Columns => {
            let division = sae_kernels::Division::new(n, 3, 3);
            let parts = Parts::columns(c, division);
            for part in (0..division.parts()).rev() {
                let b = b.columns(division.range(part));
                Gemm::new(a, b, parts.take(part)).run(isa, scratch);
            }
        }
    });
    out.numbers()
}

/// All that the products with something fused into them write, with names.
fn fused_products(
    isa: Isa,
    case: &Case,
    a: Operand<'_>,
    inputs: &Inputs,
) -> Vec<(&'static str, Vec<f32>)> {
    let &Case { shape: (m, _, n), activation, loss, .. } = case;
    let mut results = Vec::new();
    let weights = inputs.right.view();

    let mut out = Block::unwritten(m, n, case.layouts[1]);
    let mut sums = common::guarded(&inputs.sums);
    let biases = common::guarded(&inputs.biases);
    let (input, output) = (a, out.view_mut());
    let forward = Forward { input, weights, biases: &biases, activation, output, sums: &mut sums };
    common::with_scratch(|scratch| forward.run(isa, scratch));
    results.push(("output", out.numbers()));
    results.push(("sums", sums.to_vec()));

    let mut out = Block::unwritten(m, n, case.layouts[1]);
    let mut losses = common::guarded(&inputs.sums);
    let mut bias_gradient = common::guarded(&inputs.penalties);
    let output_delta = OutputDelta {
        input: a,
        weights,
        biases: &biases,
        activation,
        loss,
        target: inputs.target.view(),
        scale: 0.25,
        delta: out.view_mut(),
        losses: &mut losses,
        bias_gradient: &mut bias_gradient,
    };
    common::with_scratch(|scratch| output_delta.run(isa, scratch));
    results.push(("output delta", out.numbers()));
    results.push(("losses", losses.to_vec()));
    results.push(("output bias gradient", bias_gradient.to_vec()));

    let mut out = Block::unwritten(m, n, case.layouts[1]);
    let mut bias_gradient = common::guarded(&inputs.sums);
    let penalties = common::guarded(&inputs.penalties);
    let hidden_delta = HiddenDelta {
        next: a,
        weights: weights.transposed(),
        activations: inputs.activations.view(),
        activation,
        penalty: Penalty { units: Some(&penalties), l1: 0.25 },
        delta: out.view_mut(),
        bias_gradient: &mut bias_gradient,
    };
    common::with_scratch(|scratch| hidden_delta.run(isa, scratch));
    results.push(("hidden delta", out.numbers()));
    results.push(("hidden bias gradient", bias_gradient.to_vec()));

    let adam = AdamOptions { learning_rate: 1e-2, weight_decay: 5e-6, ..AdamOptions::default() };
    let outer = Outer { rows: &inputs.means, cols: &inputs.biases };
    for correction in [None, Some(outer)] {
        let mut blocks = inputs.before.each_ref().map(|x| Block::holding(x, m, n, case.layouts[1]));
        let [weights, first_moment, second_moment] = blocks.each_mut().map(Block::view_mut);
        let delta = inputs.right.view();
        let rule = adam.at_step(3);
        let update = Update { rule, a, delta, weights, first_moment, second_moment, correction };
        let largest = common::with_scratch(|scratch| update.run(isa, scratch));
        results.push(("largest weight", vec![largest]));
        results.push(("weights", blocks[0].numbers()));
        results.push(("first moment", blocks[1].numbers()));
        results.push(("second moment", blocks[2].numbers()));
    }
    results
}

fn check(case: &Case) {
    let (m, k, n) = case.shape;
    let mut random = Random(case.seed);
    let left = random.sparse(m, k, case.zeros);
    let inputs = Inputs::new(case, &mut random);
    let right = inputs.right.numbers();
    let (exact, error) = common::product_f64(m, k, n, &left, &right);
    let dense = Block::holding(&left, m, k, Layout::default());
    let dense = Operand::Dense(dense.view());
    let want = product(common::scalar(), case, dense, inputs.right.view(), Way::Whole);
    let want_fused = fused_products(common::scalar(), case, dense, &inputs);

    let listed = Listed::of(&left, m, k, case.gap);
    let sparse = Operand::Sparse(listed.lists());
    assert_eq!((sparse.len(), sparse.is_empty()), (m, m == 0));
    for isa in Isa::all() {
        for way in WAYS {
            let what = format!("{}, {way:?}, {case:?}", isa.name());
            let got = product(isa, case, sparse, inputs.right.view(), way);
            if isa.is_fused() {
                common::assert_bits(&what, &got, &want);
            }
            common::assert_close(&what, &got, &exact, &error);
        }
        let got = fused_products(isa, case, sparse, &inputs);
        if isa.is_fused() {
            for ((name, got), (_, want)) in got.iter().zip(&want_fused) {
                common::assert_bits(&format!("{name} on {}, {case:?}", isa.name()), got, want);
            }
        } else {
            // Sums of gradients and losses are large: what is not fused is near in its output.
            let mut z_error = error.clone();
            for (ij, error) in z_error.iter_mut().enumerate() {
                let z = exact[ij] + f64::from(inputs.biases[ij % n]);
                *error += 16.0 * EPSILON * (z.abs() + 1.0);
            }
            common::assert_close("output", &got[0].1, &wide(&want_fused[0].1), &z_error);
        }
    }
}

/// Half as many cases: each has every product, on every set.
fn settings() -> ProptestConfig {
    crate::layer::settings()
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn products_are_those_with_zeros(case in case()) {
        check(&case);
    }
}

fn simple(shape: (usize, usize, usize), zeros: f32, seed: u64) -> Case {
    Case {
        shape,
        zeros: Zeros { columns: 0.0, numbers: zeros },
        gap: seed as usize % 2,
        layouts: [Layout::default(); 2],
        activation: Activation::Sigmoid,
        loss: Loss::SquaredError,
        seed,
    }
}

/// Every number of entries modulo the rows that are added at a time, and widths that end within a
/// vector, in the sums that are held at a time and past them.
#[test]
fn every_length_of_list() {
    let widths: &[usize] = match cfg!(miri) {
        true => &[17, 1025],
        false => &[1, 15, 16, 17, 33, 1023, 1024, 1025, 1041, 2049, 3000],
    };
    for (seed, &n) in (0..).zip(widths) {
        check(&simple((10, 9, n), 0.4, seed));
    }
}

#[test]
fn sides_of_0() {
    for shape in [(0, 0, 0), (0, 3, 5), (7, 3, 0), (7, 0, 5), (5, 0, 1030)] {
        check(&simple(shape, 0.5, 1));
    }
}

/// Lists without entries give biases alone, whatever was in memory before.
#[test]
fn empty_lists() {
    for shape in [(6, 20, 37), (3, 5, 1100)] {
        check(&simple(shape, 1.0, 2));
    }
}

/// Entries may come in any order, and a column more than once: sums are chains in the lists' order.
#[test]
fn entries_in_any_order() {
    let (k, n) = (7, 37);
    let mut random = Random(3);
    let b = random.numbers(k * n);
    let (indices, values) = ([5, 0, 5, 6, 3, 1], random.numbers(6));
    let mut want = vec![0.0f32; n];
    for (&row, &value) in indices.iter().zip(&values) {
        for (sum, &b) in want.iter_mut().zip(&b[row as usize * n..]) {
            *sum = value.mul_add(b, *sum);
        }
    }
    for isa in common::fused() {
        let mut c = vec![9.0; n];
        let a = Operand::Sparse(Lists::new(&[0], &[6], &indices, &values));
        let product = Gemm::new(a, Matrix::new(&b, k, n), MatrixMut::new(&mut c, 1, n));
        common::with_scratch(|scratch| product.run(isa, scratch));
        common::assert_bits(isa.name(), &c, &want);
    }
}

/// A column that is not a row of the right side panics, and is not read: neither by its own row, nor
/// by what is asked for ahead.
#[test]
fn columns_outside_the_right_side() {
    let b = Block::holding(&[1.0; 15 * 20], 15, 20, Layout::default());
    for isa in Isa::all() {
        for at in 0..7 {
            for wrong in [15, 16, 100_000, u32::MAX] {
                let mut indices = [0, 3, 5, 7, 9, 11, 14];
                indices[at] = wrong;
                // Of three rows with 2, 4 and 1 entries.
                let lists = Lists::new(&[0, 2, 6], &[2, 6, 7], &indices, &[1.0; 7]);
                let mut c = [0.0; 3 * 20];
                let c = MatrixMut::new(&mut c, 3, 20);
                let product = Gemm::new(Operand::Sparse(lists), b.view(), c);
                let run = || common::with_scratch(|scratch| product.run(isa, scratch));
                assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "{}: {wrong}", isa.name());
            }
        }
    }
}

#[test]
#[should_panic(expected = "the rows of a sparse product's right side")]
fn a_right_side_whose_columns_are_contiguous() {
    let lists = Lists::new(&[0], &[1], &[0], &[1.0]);
    let b = Matrix::new(&[1.0; 6], 3, 2).transposed();
    let mut c = [0.0; 3];
    let product = Gemm::new(Operand::Sparse(lists), b, MatrixMut::new(&mut c, 1, 3));
    common::with_scratch(|scratch| product.run(common::scalar(), scratch));
}

#[test]
#[should_panic(expected = "the result has another shape than the product")]
fn a_result_of_another_shape() {
    let lists = Lists::new(&[0], &[1], &[0], &[1.0]);
    let b = Matrix::new(&[1.0; 6], 2, 3);
    let mut c = [0.0; 6];
    let product = Gemm::new(Operand::Sparse(lists), b, MatrixMut::new(&mut c, 2, 3));
    common::with_scratch(|scratch| product.run(common::scalar(), scratch));
}

#[test]
fn rows_of_lists() {
    let lists = Lists::new(&[0, 2, 2, 5], &[2, 2, 4, 6], &[7, 9, 1, 2, 99, 4], &[1.0; 6]);
    assert_eq!(lists.rows(), 4);
    let units: Vec<&[u32]> = (0..4).map(|row| lists.row(row).0).collect();
    assert_eq!(units, [&[7, 9][..], &[], &[1, 2], &[4]]);
    let part = lists.slice(2..4).with_values(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!((part.rows(), part.entries(1)), (2, 5..6));
    assert_eq!(
        (part.row(0), part.row(1)),
        ((&[1, 2][..], &[2.0, 3.0][..]), (&[4][..], &[5.0][..]))
    );
    assert_eq!(lists.slice(4..4).rows(), 0);
    for wrong in [3..5, 5..5] {
        assert!(catch_unwind(|| lists.slice(wrong)).is_err());
    }
    assert!(catch_unwind(|| lists.row(4)).is_err());
}

#[test]
#[should_panic(expected = "a value for each entry")]
fn other_values_than_entries() {
    Lists::new(&[0], &[1], &[0], &[1.0]).with_values(&[1.0, 2.0]);
}

#[test]
#[should_panic(expected = "a start and an end for each row")]
fn starts_without_ends() {
    Lists::new(&[0, 1], &[1], &[0], &[1.0]);
}

#[test]
fn lists_that_leave_the_entries() {
    let values = [1.0; 3];
    for (start, end) in [(0, 4), (2, 1), (4, 4), (0, u32::MAX)] {
        for (indices, values) in
            [(&[0; 3][..], &values[..]), (&[0; 9], &values), (&[0; 3], &[1.0; 9])]
        {
            let new = || Lists::new(&[0, start], &[0, end], indices, values).rows();
            assert!(catch_unwind(new).is_err(), "{start}..{end}");
        }
    }
}
