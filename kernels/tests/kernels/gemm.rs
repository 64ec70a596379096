//! Products of all shapes and layouts: the bits of the reference on every fused set, closeness on
//! the portable one, and no touch of memory that is not the product's.

use proptest::prelude::*;
use sae_kernels::{Gemm, Isa, Matrix, MatrixMut, Operand, gemm, reference};

use crate::common::{self, Block, Guard, Layout, Random, Zeros};

#[derive(Clone, Debug)]
struct Case {
    shape: (usize, usize, usize),
    layouts: [Layout; 3],
    zeros: Zeros,
    seed: u64,
}

/// Shapes about the edges of the blocks of k and of rows, and small ones.
pub fn shape() -> impl Strategy<Value = (usize, usize, usize)> {
    let k_edge = || prop_oneof![2 => 382..=402usize, 2 => 766..=772usize, 1 => 1022..=1042usize, 1 => 1150..=1160usize, 1 => 2047..=2050usize];
    let m_edge = || prop_oneof![1 => 126..=130usize, 2 => 186..=198usize, 1 => 383..=386usize];
    prop_oneof![
        8 => (common::side(), common::side(), common::side()),
        2 => (1..=40usize, k_edge(), 1..=40usize),
        2 => (m_edge(), 1..=40usize, common::side()),
        1 => (m_edge(), k_edge(), 1..=34usize),
        1 => (1..=14usize, 1..=14usize, 250..=520usize),
        1 => (192..=200usize, 1..=20usize, 1010..=1070usize),
        // Few rows, about the blocks of their own loop.
        2 => (1..=6usize, 1..=40usize, 250..=330usize),
        1 => (1..=4usize, 1..=20usize, 4090..=4120usize),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let layouts =
        [common::layout().boxed(), common::layout().boxed(), common::rows_layout().boxed()];
    (shape(), layouts, common::zeros(), any::<u64>())
        .prop_map(|(shape, layouts, zeros, seed)| Case { shape, layouts, zeros, seed })
}

fn check(case: &Case) {
    let &Case { shape: (m, k, n), layouts: [a_layout, b_layout, c_layout], zeros, seed } = case;
    let mut random = Random(seed);
    let (a, b) = (random.sparse(m, k, zeros), random.numbers(k * n));
    let mut want = vec![0.0; m * n];
    reference::gemm(m, k, n, &a, &b, &mut want);
    let (exact, error) = common::product_f64(m, k, n, &a, &b);
    let a = Block::holding(&a, m, k, a_layout);
    let b = Block::holding(&b, k, n, b_layout);
    for isa in Isa::all() {
        for skip_zeros in [false, true] {
            let mut c = Block::unwritten(m, n, c_layout);
            let a = Operand::new(a.view(), skip_zeros);
            let product = Gemm::new(a, b.view(), c.view_mut());
            common::with_scratch(|scratch| product.run(isa, scratch));
            let what = format!("{} with skip_zeros {skip_zeros}, {case:?}", isa.name());
            common::assert_numbers(isa, &what, &c.numbers(), &want, (&exact, &error));
        }
    }
}

proptest! {
    #![proptest_config(common::settings())]

    #[test]
    fn products_are_those_of_the_reference(case in case()) {
        check(&case);
    }
}

/// Few rows, and so large a B that they are not computed in tiles.
#[test]
fn few_rows_and_a_large_b() {
    let whole = Layout { lead: 0, gap: 0, transposed: false, guard: Guard::Behind };
    for (m, k, n) in [(1, 260, 8200), (3, 2100, 1000), (4, 530, 4100), (6, 520, 4099)] {
        for numbers in [0.0, 0.5] {
            let zeros = Zeros { columns: 0.1, numbers };
            check(&Case { shape: (m, k, n), layouts: [whole; 3], zeros, seed: 5 });
        }
    }
}

/// Every tile that is not full, in all four forms.
#[test]
fn every_small_shape() {
    let mut random = Random(1);
    for m in 1..=26 {
        for n in 1..=66 {
            let layouts = [0, 1, 2].map(|side| {
                let gap = random.bits() as usize % 4;
                let transposed = side < 2 && random.bits() & 1 == 1;
                match random.bits() as usize % 6 {
                    lead @ 0..4 => Layout { lead, gap, transposed, guard: Guard::Behind },
                    _ => Layout { lead: 0, gap, transposed, guard: Guard::Before },
                }
            });
            let zeros = Zeros { columns: random.unit() * 0.5, numbers: 0.0 };
            let shape = (m, [1, 4, 7, 18][random.bits() as usize % 4], n);
            check(&Case { shape, layouts, zeros, seed: random.bits() });
        }
    }
}

/// The forms and the shapes of a training step of the network 784-300-30-300-784.
#[test]
fn shapes_of_a_training_step() {
    let mut random = Random(2);
    for (m, k, n) in [(60, 784, 300), (60, 300, 30), (784, 60, 300), (30, 60, 300), (300, 60, 30)] {
        for transposed in [[false, false], [true, false], [false, true]] {
            let [a, b] = transposed.map(|transposed| Layout { transposed, ..Layout::default() });
            let zeros = Zeros { columns: 0.37, numbers: 0.3 };
            let layouts = [a, b, Layout::default()];
            check(&Case { shape: (m, k, n), layouts, zeros, seed: random.bits() });
        }
    }
}

#[test]
fn a_side_of_0_gives_zeros_or_nothing() {
    for (m, k, n) in [(0, 0, 0), (0, 3, 5), (7, 3, 0), (1, 0, 1), (7, 0, 5), (200, 0, 40)] {
        for (transposed, gap) in [(false, 0), (false, 3), (true, 0), (true, 3)] {
            let layout = Layout { lead: 1, gap, transposed, guard: Guard::Behind };
            let zeros = Zeros { columns: 0.0, numbers: 0.0 };
            let layouts = [layout, layout, Layout { transposed: false, ..layout }];
            check(&Case { shape: (m, k, n), layouts, zeros, seed: 3 });
        }
    }
}

/// Views of a part of a matrix.
#[test]
fn rows_and_columns_of_operands() {
    let (m, k, n) = (31, 45, 50);
    let mut random = Random(4);
    let (a, b) = (random.numbers(m * k), random.numbers(k * n));
    let (rows, inner, cols) = (5..29, 3..44, 7..48);
    let part =
        |x: &[f32], width: usize, rows: &std::ops::Range<usize>, cols: &std::ops::Range<usize>| {
            let row = |i: usize| x[i * width..][cols.clone()].to_vec();
            rows.clone().flat_map(row).collect::<Vec<f32>>()
        };
    let mut want = vec![0.0; rows.len() * cols.len()];
    let (part_a, part_b) = (part(&a, k, &rows, &inner), part(&b, n, &inner, &cols));
    reference::gemm(rows.len(), inner.len(), cols.len(), &part_a, &part_b, &mut want);
    for transposed in [false, true] {
        let layout = Layout { transposed, ..Layout::default() };
        let (a, b) = (Block::holding(&a, m, k, layout), Block::holding(&b, k, n, layout));
        for isa in common::fused() {
            let mut c = Block::unwritten(rows.len(), cols.len(), Layout::default());
            let (a, b) = (a.view().rows(rows.clone()), b.view().columns(cols.clone()));
            let (a, b) = (a.columns(inner.clone()), b.rows(inner.clone()));
            common::with_scratch(|scratch| gemm(isa, a, b, c.view_mut(), scratch));
            common::assert_bits(isa.name(), &c.numbers(), &want);
        }
    }
}

/// Where nothing is left out, infinities and NaN spread as the reference's do.
#[test]
fn numbers_that_are_not_finite() {
    let (m, k, n) = (13, 21, 35);
    let mut random = Random(5);
    let (mut a, mut b) = (random.numbers(m * k), random.numbers(k * n));
    a[3] = f32::INFINITY;
    a[k + 1] = f32::NAN;
    a[2 * k + 2] = 0.0;
    b[2 * n + 5] = f32::NEG_INFINITY;
    let mut want = vec![0.0; m * n];
    reference::gemm(m, k, n, &a, &b, &mut want);
    for isa in common::fused() {
        let mut c = vec![0.0; m * n];
        let (a, b, c_view) =
            (Matrix::new(&a, m, k), Matrix::new(&b, k, n), MatrixMut::new(&mut c, m, n));
        common::with_scratch(|scratch| gemm(isa, a, b, c_view, scratch));
        for (got, want) in c.iter().zip(&want) {
            assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan());
        }
    }
}

fn product_of_shapes(a: (usize, usize), b: (usize, usize), c: (usize, usize)) {
    let (x, y) = (vec![1.0; a.0 * a.1], vec![1.0; b.0 * b.1]);
    let mut z = vec![0.0; c.0 * c.1];
    common::with_scratch(|scratch| {
        let (x, y) = (Matrix::new(&x, a.0, a.1), Matrix::new(&y, b.0, b.1));
        gemm(Isa::detect(), x, y, MatrixMut::new(&mut z, c.0, c.1), scratch);
    });
}

#[test]
#[should_panic(expected = "the inner sides of a product differ")]
fn inner_sides_that_differ() {
    product_of_shapes((2, 3), (4, 5), (2, 5));
}

#[test]
#[should_panic(expected = "the result has another shape than the product")]
fn a_result_of_another_shape() {
    product_of_shapes((2, 3), (3, 5), (2, 4));
}

#[test]
#[should_panic(expected = "a 2 x 3 matrix needs that many numbers")]
fn a_slice_that_is_not_the_matrix() {
    Matrix::new(&[0.0; 7], 2, 3);
}

#[test]
#[should_panic(expected = "the slice is too short for its view")]
fn a_slice_shorter_than_its_view() {
    Matrix::strided(&[0.0; 12], 3, 3, 5);
}

#[test]
#[should_panic(expected = "the slice is too short for its view")]
fn a_slice_to_write_shorter_than_its_view() {
    MatrixMut::strided(&mut [0.0; 12], 3, 3, 5);
}

#[test]
#[should_panic(expected = "a row stride of 2 is below the 3 columns")]
fn rows_that_overlap() {
    MatrixMut::strided(&mut [0.0; 100], 3, 3, 2);
}

#[test]
#[should_panic]
fn a_matrix_larger_than_memory() {
    MatrixMut::new(&mut [], usize::MAX / 4 + 1, 4);
}

#[test]
#[should_panic(expected = "columns outside the matrix")]
fn columns_outside() {
    Matrix::new(&[0.0; 6], 2, 3).columns(1..4);
}

#[test]
#[should_panic(expected = "outside the matrix")]
fn rows_outside() {
    Matrix::new(&[0.0; 6], 2, 3).rows(1..3);
}

/// Rows of A that begin 2 KiB apart, with enough columns of B, are copied before they are read.
#[test]
fn rows_far_apart() {
    let mut random = Random(11);
    for (m, k, n) in [(1, 1, 130), (7, 9, 128), (13, 33, 140), (5, 385, 129), (200, 17, 131)] {
        let (a, b) = (random.numbers(m * 512), random.numbers(k * n));
        let close: Vec<f32> = a.chunks(512).flat_map(|row| &row[..k]).copied().collect();
        let mut want = vec![0.0; m * n];
        reference::gemm(m, k, n, &close, &b, &mut want);
        for isa in Isa::all().filter(|isa| isa.is_fused()) {
            let mut c = vec![f32::NAN; m * n];
            let a = Matrix::strided(&a, m, k, 512);
            common::with_scratch(|scratch| {
                gemm(isa, a, Matrix::new(&b, k, n), MatrixMut::new(&mut c, m, n), scratch);
            });
            common::assert_bits(isa.name(), &c, &want);
        }
    }
}

/// A is copied: rows a multiple of 2 KiB apart under a wide B, and columns 4 KiB or more apart.
#[test]
fn copies_of_a() {
    let (m, k, n) = (31, 45, 389);
    for (transposed, stride) in [(false, 512), (false, 1024), (true, 1024), (true, 1100)] {
        let gap = stride - if transposed { m } else { k };
        for zeros in [0.0, 0.4] {
            let a = Layout { gap, transposed, ..Layout::default() };
            let zeros = Zeros { columns: zeros, numbers: 0.0 };
            let layouts = [a, Layout::default(), Layout::default()];
            check(&Case { shape: (m, k, n), layouts, zeros, seed: 12 });
        }
    }
}
