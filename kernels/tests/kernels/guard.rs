//! What runs along slices, at every length, with a page that may not be touched behind them and
//! then before them: a lane too many ends the process. (The tests of
//! products have such pages, too.)

use sae_kernels::math::{Function, map};
use sae_kernels::{AdamOptions, Isa, Matrix, MatrixMut, convert, sparsity};

use crate::common::{self, Guard, Guarded, Random};

const LENGTHS: std::ops::RangeInclusive<usize> = 0..=if cfg!(miri) { 9 } else { 131 };

/// For every set, length and side, random numbers of that length.
fn each(mut check: impl FnMut(Isa, Guard, Vec<f32>, &mut Random)) {
    let mut random = Random(11);
    for isa in Isa::all() {
        for guard in [Guard::Behind, Guard::Before] {
            for len in LENGTHS {
                let numbers = random.numbers(len);
                check(isa, guard, numbers, &mut random);
            }
        }
    }
}

#[test]
fn functions() {
    each(|isa, guard, numbers, _| {
        for function in [Function::Exp, Function::Ln, Function::Sigmoid, Function::Tanh] {
            let mut want = numbers.clone();
            map(isa, function, &mut want);
            let mut got = common::guarded_at(guard, &numbers);
            map(isa, function, &mut got);
            common::assert_bits(isa.name(), &got, &want);
        }
    });
}

#[test]
fn adam() {
    each(|isa, guard, weights, random| {
        let len = weights.len();
        let (moment, gradient) = (random.numbers(len), random.numbers(len));
        let square: Vec<f32> = moment.iter().map(|x| x * x).collect();
        let options = AdamOptions { weight_decay: 1e-3, ..AdamOptions::default() };
        let rule = options.at_step(5);
        let plain = [&weights, &moment, &square];
        let mut want = plain.map(Vec::clone);
        crate::optimizer::update_slices(isa, rule, &mut want, &gradient);
        let mut got = plain.map(|numbers| common::guarded_at(guard, numbers));
        let [w, m, v] = got.each_mut().map(|numbers| MatrixMut::from_row(numbers));
        let gradient = common::guarded_at(guard, &gradient);
        rule.update_rows(isa, w, m, v, Matrix::from_row(&gradient));
        for (got, want) in got.iter().zip(&want) {
            common::assert_bits(isa.name(), got, want);
        }
    });
}

#[test]
fn means_and_penalties() {
    each(|isa, guard, sums, _| {
        let sums: Vec<f32> = sums.iter().map(|x| x.abs()).collect();
        let mut want = sums.clone();
        sparsity::mean(isa, 60, &mut want);
        let mut mean = common::guarded_at(guard, &sums);
        sparsity::mean(isa, 60, &mut mean);
        common::assert_bits(isa.name(), &mean, &want);

        let means = want;
        let mut want = sums.clone();
        sparsity::kl_gradient(isa, 0.05, 0.1, &means, &mut want);
        let mut got = common::guarded_at(guard, &sums);
        sparsity::kl_gradient(isa, 0.05, 0.1, &mean, &mut got);
        common::assert_bits(isa.name(), &got, &want);
        let value = sparsity::kl_value(isa, 0.05, &mean);
        assert_eq!(value.to_bits(), sparsity::kl_value(isa, 0.05, &means).to_bits());
    });
}

#[test]
fn bytes_to_numbers() {
    each(|isa, guard, numbers, random| {
        let mut pixels = Guarded::filled(numbers.len(), 0u8, guard);
        pixels.iter_mut().for_each(|pixel| *pixel = random.bits() as u8);
        let mut got = common::guarded_at(guard, &numbers);
        convert::prefetch(&pixels);
        convert::scale_bytes(isa, &pixels, 0.5, 255.0, &mut got);
        let want: Vec<f32> = pixels.iter().map(|&x| (f32::from(x) - 0.5) / 255.0).collect();
        common::assert_bits(isa.name(), &got, &want);
    });
}

#[test]
fn halves_to_numbers() {
    each(|isa, guard, numbers, random| {
        let mut bytes = Guarded::filled(2 * numbers.len(), 0u8, guard);
        bytes.iter_mut().for_each(|byte| *byte = random.bits() as u8);
        let halves = bytes.as_chunks().0.iter().map(|&pair| u16::from_le_bytes(pair));
        let mut got = common::guarded_at(guard, &numbers);
        convert::f16_to_f32s(isa, &bytes, &mut got);
        let want: Vec<f32> = halves.clone().map(convert::f16_to_f32).collect();
        common::assert_bits(isa.name(), &got, &want);
        convert::bf16_to_f32s(isa, &bytes, &mut got);
        let want: Vec<f32> = halves.map(convert::bf16_to_f32).collect();
        common::assert_bits(isa.name(), &got, &want);
    });
}

/// A row without columns is empty, though its place may lie past the slice.
#[test]
fn rows_of_no_columns() {
    let mut none = common::guarded(&[]);
    let mut matrix = MatrixMut::strided(&mut none, 3, 0, 5000);
    for row in 0..3 {
        assert!(matrix.row_mut(row).is_empty());
    }
}
