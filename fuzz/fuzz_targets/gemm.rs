//! Any shape, strides and values, NaN and infinities too: every fused instruction set gives the
//! reference's bits (any NaN for a NaN).
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sae_kernels::{Isa, Matrix, MatrixMut, Scratch, gemm, reference};

#[derive(Arbitrary, Debug)]
struct Case {
    shape: [u8; 3],
    gap: u8,
    transposed: [bool; 2],
    values: Vec<f32>,
}

fuzz_target!(|case: Case| {
    let [m, k, n] = case.shape.map(|side| usize::from(side) % 70 + 1);
    let gap = usize::from(case.gap % 5);
    let mut values = case.values.iter().copied().cycle();
    let mut fill = |count: usize| -> Vec<f32> {
        (0..count).map(|i| values.next().unwrap_or(i as f32 * 0.25)).collect()
    };
    let (a, b) = (fill(m * k), fill(k * n));
    let mut want = vec![0.0; m * n];
    reference::gemm(m, k, n, &a, &b, &mut want);
    // The same numbers in another layout.
    let lay_out = |from: &[f32], rows: usize, cols: usize, transposed: bool| {
        let (rows_out, cols_out) = if transposed { (cols, rows) } else { (rows, cols) };
        let stride = cols_out + gap;
        let mut to = vec![f32::NAN; rows_out * stride];
        for r in 0..rows {
            for c in 0..cols {
                let at = if transposed { c * stride + r } else { r * stride + c };
                to[at] = from[r * cols + c];
            }
        }
        (to, rows_out, cols_out, stride)
    };
    let (a, a_rows, a_cols, a_stride) = lay_out(&a, m, k, case.transposed[0]);
    let (b, b_rows, b_cols, b_stride) = lay_out(&b, k, n, case.transposed[1]);
    let a = Matrix::strided(&a, a_rows, a_cols, a_stride);
    let b = Matrix::strided(&b, b_rows, b_cols, b_stride);
    let a = if case.transposed[0] { a.transposed() } else { a };
    let b = if case.transposed[1] { b.transposed() } else { b };
    let (floats, indices) = Scratch::LENGTHS;
    let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    for isa in Isa::all().filter(|isa| isa.is_fused()) {
        let mut have = vec![0.0; m * n];
        let mut scratch = Scratch::new(&mut floats, &mut indices);
        gemm(isa, a, b, MatrixMut::new(&mut have, m, n), &mut scratch);
        for (have, want) in have.iter().zip(&want) {
            assert!(have.to_bits() == want.to_bits() || (have.is_nan() && want.is_nan()));
        }
    }
});
