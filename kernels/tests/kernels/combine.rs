//! Products with alpha and beta, and results and operands of any strides: the bits of the documented rounding
//! on every fused set, and no touch of what lies between a result's numbers.

use proptest::prelude::*;
use sae_kernels::{
    Division, Gemm, Isa, Lists, Matrix, MatrixMut, Operand, Parts, Scratch, gemm, reference,
};

use crate::common::{self, Block, CANARY, Guard, Guarded, Layout, Listed, Random, Zeros};

/// What the left side is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    Dense,
    SkipZeros,
    Sparse,
}

/// How a result lies in memory.
#[derive(Clone, Copy, Debug)]
struct Strides {
    is_column_major: bool,
    /// Between neighbors, from 1.
    along: usize,
    /// Between the end of a line and the next.
    gap: usize,
    lead: usize,
}

#[derive(Clone, Debug)]
struct Case {
    shape: (usize, usize, usize),
    left: Left,
    layouts: [Layout; 2],
    c: Strides,
    factors: (f32, f32),
    zeros: Zeros,
    /// Bands of the result that are computed one by one.
    bands: Option<bool>,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let shape = prop_oneof![
        12 => crate::gemm::shape(),
        // Several pieces whose sums wait, with blocks of k of any set.
        1 => (770..=775usize, 385..=390usize, 1..=9usize),
        1 => (1..=9usize, 1025..=1030usize, 255..=530usize),
    ];
    let left = prop::sample::select(vec![Left::Dense, Left::Dense, Left::SkipZeros, Left::Sparse]);
    let c = (any::<bool>(), prop_oneof![3 => Just(1usize), 1 => 2..5usize], 0..9usize, 0..4usize)
        .prop_map(|(is_column_major, along, gap, lead)| Strides {
            is_column_major,
            along,
            gap,
            lead,
        });
    let factor =
        || prop_oneof![2 => Just(1.0f32), 2 => Just(0.0), 1 => Just(-1.0), 3 => -2.0f32..2.0];
    let layouts = [common::layout().boxed(), common::layout().boxed()];
    let bands = prop::sample::select(vec![None, None, Some(false), Some(true)]);
    (shape, left, layouts, c, (factor(), factor()), common::zeros(), bands, any::<u64>()).prop_map(
        |(shape, left, layouts, c, factors, zeros, bands, seed)| Case {
            shape,
            left,
            layouts,
            c,
            factors,
            zeros,
            bands,
            seed,
        },
    )
}

/// A result in a buffer of canaries.
struct Written {
    buffer: Guarded<f32>,
    shape: (usize, usize),
    strides: (usize, usize),
    lead: usize,
}

impl Written {
    fn holding(numbers: &[f32], (rows, cols): (usize, usize), at: Strides) -> Written {
        let (lines, length) = if at.is_column_major { (cols, rows) } else { (rows, cols) };
        let line = length * at.along + at.gap;
        let strides = if at.is_column_major { (at.along, line) } else { (line, at.along) };
        let span = match lines * length {
            0 => 0,
            _ => (lines - 1) * line + (length - 1) * at.along + 1,
        };
        let buffer = Guarded::filled(at.lead + span, CANARY, Guard::Behind);
        let mut written = Written { buffer, shape: (rows, cols), strides, lead: at.lead };
        for (ij, number) in numbers.iter().enumerate() {
            let at = written.at(ij);
            written.buffer[at] = *number;
        }
        written
    }

    fn at(&self, ij: usize) -> usize {
        self.lead + ij / self.shape.1 * self.strides.0 + ij % self.shape.1 * self.strides.1
    }

    fn view_mut(&mut self) -> MatrixMut<'_> {
        MatrixMut::with_strides(&mut self.buffer[self.lead..], self.shape, self.strides)
    }

    /// The numbers, row by row; what lies between them has to be as it was.
    fn numbers(&mut self) -> Vec<f32> {
        let places: Vec<usize> = (0..self.shape.0 * self.shape.1).map(|ij| self.at(ij)).collect();
        let numbers = places.iter().map(|&at| self.buffer[at]).collect();
        places.iter().for_each(|&at| self.buffer[at] = CANARY);
        let is_whole = self.buffer.iter().all(|x| x.to_bits() == CANARY.to_bits());
        assert!(is_whole, "what lies between the numbers of a result was written");
        numbers
    }
}

/// A scratch of exactly what the products need, at guard pages.
fn with_exact_scratch(
    isa: Isa,
    (m, k, n): (usize, usize, usize),
    work: impl FnOnce(&mut Scratch<'_>),
) {
    let (floats, indices) = Scratch::lengths_for(isa, m, k, n);
    let mut floats = Guarded::filled(floats, CANARY, Guard::Behind);
    let mut indices = Guarded::filled(indices, u32::MAX, Guard::Behind);
    work(&mut Scratch::sized(&mut floats, &mut indices));
}

/// The product of a case, whole or band by band.
fn product(isa: Isa, case: &Case, a: Operand<'_>, b: Matrix<'_>, c: MatrixMut<'_>) {
    let ((m, _, n), (alpha, beta)) = (case.shape, case.factors);
    with_exact_scratch(isa, case.shape, |scratch| match case.bands {
        None => Gemm::new(a, b, c).alpha(alpha).beta(beta).run(isa, scratch),
        Some(by_rows) => {
            let division = Division::new(if by_rows { m } else { n }, 1, 3);
            let parts =
                if by_rows { Parts::rows(c, division) } else { Parts::columns(c, division) };
            for part in 0..division.parts() {
                let range = division.range(part);
                let (a, b) = if by_rows { (a.rows(range), b) } else { (a, b.columns(range)) };
                Gemm::new(a, b, parts.take(part)).alpha(alpha).beta(beta).run(isa, scratch);
            }
        }
    });
}

fn check(case: &Case) {
    let &Case { shape: (m, k, n), left, layouts, factors: (alpha, beta), zeros, seed, .. } = case;
    let mut random = Random(seed);
    let (a, b) = (random.sparse(m, k, zeros), random.numbers(k * n));
    let before = if beta == 0.0 { vec![f32::NAN; m * n] } else { random.numbers(m * n) };
    let mut sums = vec![0.0; m * n];
    reference::gemm(m, k, n, &a, &b, &mut sums);
    let result = |(&sum, &before): (&f32, &f32)| {
        let scaled: f32 = if alpha == 0.0 { 0.0 * alpha } else { alpha * sum };
        if beta == 0.0 { scaled } else { beta.mul_add(before, scaled) }
    };
    let want: Vec<f32> = sums.iter().zip(&before).map(result).collect();
    let (exact, mut error) = common::product_f64(m, k, n, &a, &b);
    let exact: Vec<f64> = exact
        .iter()
        .zip(&before)
        .map(|(exact, &before)| {
            let before = if beta == 0.0 { 0.0 } else { f64::from(beta) * f64::from(before) };
            f64::from(alpha) * exact + before
        })
        .collect();
    for (error, exact) in error.iter_mut().zip(&exact) {
        *error = 2.0 * *error + (exact.abs() + 32.0) * 4.0 * f64::from(f32::EPSILON);
    }
    let b_layout =
        Layout { transposed: layouts[1].transposed && left != Left::Sparse, ..layouts[1] };
    let listed = Listed::of(&a, m, k, 1);
    let a = Block::holding(&a, m, k, layouts[0]);
    let b = Block::holding(&b, k, n, b_layout);
    let a = match left {
        Left::Dense => Operand::Dense(a.view()),
        Left::SkipZeros => Operand::SkipZeros(a.view()),
        Left::Sparse => Operand::Sparse(listed.lists()),
    };
    for isa in Isa::all() {
        let mut c = Written::holding(&before, (m, n), case.c);
        product(isa, case, a, b.view(), c.view_mut());
        let what = format!("{} {case:?}", isa.name());
        common::assert_numbers(isa, &what, &c.numbers(), &want, (&exact, &error));
    }
}

proptest! {
    #![proptest_config(common::settings())]

    #[test]
    fn results_are_those_of_the_rule(case in case()) {
        check(&case);
    }
}

/// Every factor, with every left side and layout of the result, for sums that wait and sums that do not.
#[test]
fn every_form() {
    let mut random = Random(21);
    let factors = [(1.0, 0.0), (1.0, 1.0), (0.5, 0.0), (-1.5, 0.75), (0.0, 2.0), (0.0, 0.0)];
    for shape in [(7, 19, 37), (5, 1500, 300), (0, 3, 4), (3, 0, 4), (3, 4, 0)] {
        for left in [Left::Dense, Left::SkipZeros, Left::Sparse] {
            for (is_column_major, along) in [(false, 1), (true, 1), (false, 2), (true, 3)] {
                for factors in factors {
                    let c = Strides { is_column_major, along, gap: 2, lead: 1 };
                    let zeros = Zeros { columns: 0.3, numbers: 0.2 };
                    let layouts = [Layout::default(); 2];
                    let seed = random.bits();
                    let bands = None;
                    check(&Case { shape, left, layouts, c, factors, zeros, bands, seed });
                }
            }
        }
    }
}

/// With an alpha of 0 neither side is read, and with a beta of 0 the result is not, whatever they hold.
#[test]
fn what_is_not_read() {
    let nan = [f32::NAN; 12];
    for isa in Isa::all() {
        for left in [
            Operand::Dense(Matrix::new(&nan, 3, 4)),
            Operand::SkipZeros(Matrix::new(&nan, 3, 4)),
            Operand::Sparse(Lists::new(&[0, 1, 2], &[1, 2, 3], &[99, 0, 1], &nan[..3])),
        ] {
            let mut c = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
            let b = Matrix::new(&nan[..8], 4, 2);
            common::with_scratch(|scratch| {
                let product = Gemm::new(left, b, MatrixMut::new(&mut c, 3, 2));
                product.alpha(0.0).beta(2.0).run(isa, scratch);
                assert_eq!(c, [2.0, 4.0, 6.0, 8.0, 10.0, 12.0], "{}", isa.name());
                let product = Gemm::new(left, b, MatrixMut::new(&mut c, 3, 2));
                product.alpha(0.0).run(isa, scratch);
                assert_eq!(c, [0.0; 6], "{}", isa.name());
            });
        }
    }
}

/// A product in pieces of k, each added to the ones before.
#[test]
fn a_sum_of_products() {
    let (m, k, n) = (33, 90, 47);
    let mut random = Random(31);
    let (a, b) = (random.numbers(m * k), random.numbers(k * n));
    let mut want = vec![0.0f32; m * n];
    for ks in [0..30, 30..60, 60..90] {
        for (ij, c) in want.iter_mut().enumerate() {
            let terms = ks.clone().map(|p| (a[ij / n * k + p], b[p * n + ij % n]));
            *c += terms.fold(0.0f32, |sum, (x, y)| x.mul_add(y, sum));
        }
    }
    let (a, b) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
    for isa in common::fused() {
        let mut c = vec![0.0; m * n];
        for ks in [0..30, 30..60, 60..90] {
            let (a, b) = (a.columns(ks.clone()), b.rows(ks));
            let product = Gemm::new(a, b, MatrixMut::new(&mut c, m, n)).accumulate();
            common::with_scratch(|scratch| product.run(isa, scratch));
        }
        common::assert_bits(isa.name(), &c, &want);
    }
}

/// Operands at any strides: columns apart, overlapping rows, a row or a column that repeats.
#[test]
fn strides_of_operands() {
    let mut random = Random(41);
    for (m, k, n) in [(1, 1, 1), (7, 13, 20), (30, 40, 70), (200, 33, 50), (5, 400, 300)] {
        for a_strides in [(2 * k, 2), (0, 1), (1, 0), (1, 1), (3, m * 3), (0, 0), (5, 7)] {
            for b_strides in [(2 * n, 2), (0, 1), (1, 0), (1, 1), (3, k * 3), (0, 0)] {
                let block =
                    |random: &mut Random, (rows, cols): (usize, usize), strides: (usize, usize)| {
                        let span = (rows - 1) * strides.0 + (cols - 1) * strides.1 + 1;
                        common::guarded(&random.numbers(span))
                    };
                let a = block(&mut random, (m, k), a_strides);
                let b = block(&mut random, (k, n), b_strides);
                let a = Matrix::with_strides(&a, (m, k), a_strides);
                let b = Matrix::with_strides(&b, (k, n), b_strides);
                let dense = |x: Matrix<'_>| {
                    let (rows, cols) = x.shape();
                    (0..rows * cols).map(|ij| x.get(ij / cols, ij % cols)).collect::<Vec<f32>>()
                };
                let mut want = vec![0.0; m * n];
                reference::gemm(m, k, n, &dense(a), &dense(b), &mut want);
                for isa in common::fused() {
                    let mut c = vec![0.0; m * n];
                    let view = MatrixMut::new(&mut c, m, n);
                    common::with_scratch(|scratch| gemm(isa, a, b, view, scratch));
                    let what = format!("{} {m}x{k}x{n} {a_strides:?} {b_strides:?}", isa.name());
                    common::assert_bits(&what, &c, &want);
                }
            }
        }
    }
}

#[test]
fn strides_at_which_numbers_to_write_share_a_place() {
    let allowed = [(3, 1), (1, 3), (1, 5), (6, 2), (2, 6), (7, 3), (3, 7)];
    for strides in allowed {
        let mut numbers = [0.0; 30];
        let view = MatrixMut::with_strides(&mut numbers, (3, 3), strides);
        assert_eq!(view.shape(), (3, 3));
    }
    for strides in [(2, 1), (1, 2), (1, 1), (0, 1), (3, 0), (0, 0), (2, 3), (6, 3), (4, 2)] {
        let view = || {
            MatrixMut::with_strides(&mut [0.0; 30], (3, 3), strides);
        };
        let panic = std::panic::catch_unwind(view).expect_err(&format!("{strides:?}"));
        let text = panic.downcast_ref::<String>().expect("a text");
        assert!(text.contains("share a place"), "{text}");
    }
    // Of one line the other stride is any number.
    for (shape, strides) in [((1, 3), (0, 1)), ((3, 1), (1, 0)), ((1, 3), (9, 2)), ((1, 1), (0, 0))]
    {
        MatrixMut::with_strides(&mut [0.0; 9], shape, strides);
    }
    for (shape, strides) in [((1, 3), (9, 0)), ((3, 1), (0, 9))] {
        let view = || {
            MatrixMut::with_strides(&mut [0.0; 9], shape, strides);
        };
        assert!(std::panic::catch_unwind(view).is_err(), "{shape:?} {strides:?}");
    }
}

#[test]
#[should_panic(expected = "a 2 x 3 matrix of strides 4 and 2 spans 9 numbers, the slice has 8")]
fn a_slice_shorter_than_its_strides() {
    Matrix::with_strides(&[0.0; 8], (2, 3), (4, 2));
}

#[test]
#[should_panic(expected = "a matrix larger than the address space")]
fn strides_larger_than_the_address_space() {
    MatrixMut::with_strides(&mut [0.0; 8], (3, 2), (usize::MAX / 2 + 1, 1));
}

/// Views without numbers may have any strides.
#[test]
fn empty_views() {
    let view = Matrix::with_strides(&[], (0, 10), (usize::MAX, usize::MAX));
    assert_eq!(view.columns(5..9).transposed().rows(1..3).shape(), (2, 0));
    let mut nothing = MatrixMut::with_strides(&mut [], (10, 0), (usize::MAX, usize::MAX));
    assert!(nothing.rows_mut(3..9).row_mut(5).is_empty());
}

#[test]
#[should_panic(expected = "the rows of the output are not contiguous")]
fn an_output_of_a_layer_by_columns() {
    let mut output = [0.0; 4];
    let forward = sae_kernels::Forward {
        input: Matrix::new(&[1.0; 4], 2, 2).into(),
        weights: Matrix::new(&[1.0; 4], 2, 2),
        biases: &[0.0; 2],
        activation: sae_kernels::Activation::Linear,
        output: MatrixMut::new(&mut output, 2, 2).transposed(),
        sums: &mut [0.0; 2],
    };
    common::with_scratch(|scratch| forward.run(Isa::detect(), scratch));
}
