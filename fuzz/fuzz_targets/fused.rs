//! The products with what is fused into them, any shapes and values, NaN and infinities too: every
//! fused instruction set gives the scalar one's bits (any NaN for a NaN).
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sae_kernels::{Activation, Adam, Isa, Loss, Matrix, MatrixMut, Penalty, Scratch, code, gemm};

#[derive(Arbitrary, Debug)]
struct Case {
    shape: [u8; 3],
    activation: u8,
    penalty: bool,
    l1: bool,
    entropy: bool,
    skip_zeros: bool,
    step: u16,
    values: Vec<f32>,
}

/// All that the four write.
fn results(isa: Isa, case: &Case, scratch: &mut Scratch<'_>) -> Vec<f32> {
    let [n, inputs, units] = case.shape.map(|side| usize::from(side) % 70 + 1);
    let activation = Activation::ALL[usize::from(case.activation) % Activation::ALL.len()];
    let mut values = case.values.iter().copied().cycle();
    let mut fill = |count: usize| -> Vec<f32> {
        (0..count).map(|i| values.next().unwrap_or((i % 7) as f32 * 0.25)).collect()
    };
    let (input, mut weights) = (fill(n * inputs), fill(inputs * units));
    let (bias, target, penalty) = (fill(units), fill(n * units), fill(inputs));
    let (mut first, mut second) = (fill(inputs * units), fill(inputs * units));
    // Zeros are left out only where what they meet is finite.
    let skip = case.skip_zeros && case.values.iter().all(|value| value.is_finite());

    let mut all = Vec::new();
    let mut output = vec![0.0; n * units];
    let mut sums = vec![0.0; units];
    let a = Matrix::new(&input, n, inputs);
    let b = Matrix::new(&weights, inputs, units);
    let c = MatrixMut::new(&mut output, n, units);
    gemm::forward(isa, a, skip, b, &bias, activation, c, &mut sums, scratch);
    all.extend(output.iter().chain(&sums));

    let (mut delta, mut errors) = (vec![0.0; n * units], vec![0.0; units]);
    let mut bias_gradient = vec![0.0; units];
    let t = Matrix::new(&target, n, units);
    let d = MatrixMut::new(&mut delta, n, units);
    let (e, g) = (&mut errors, &mut bias_gradient);
    let entropy = case.entropy && Loss::CrossEntropy.fits(activation);
    let loss = if entropy { Loss::CrossEntropy } else { Loss::SquaredError };
    gemm::output_delta(isa, a, false, b, &bias, activation, loss, t, 0.5, d, e, g, scratch);
    all.extend(delta.iter().chain(&errors).chain(&bias_gradient));

    let (mut below, mut below_gradient) = (vec![0.0; n * inputs], vec![0.0; inputs]);
    let of_units = case.penalty.then_some(&penalty[..]);
    let penalty = Penalty { units: of_units, l1: if case.l1 { 0.25 } else { 0.0 } };
    let (d, out) = (Matrix::new(&delta, n, units), MatrixMut::new(&mut below, n, inputs));
    gemm::hidden_delta(isa, d, b, a, activation, penalty, out, &mut below_gradient, scratch);
    all.extend(below.iter().chain(&below_gradient));
    let out = MatrixMut::new(&mut below, n, inputs);
    code::open_delta(isa, a, activation, penalty, out, &mut below_gradient);
    all.extend(below.iter().chain(&below_gradient));

    let adam = Adam::new(0.01, 0.9, 0.999, 1e-8, 1e-3, u64::from(case.step) + 1);
    let skip = skip && delta.iter().all(|value| value.is_finite());
    let parameters = [&mut weights, &mut first, &mut second];
    let [w, m, v] = parameters.map(|flat| MatrixMut::new(flat, inputs, units));
    gemm::update(isa, &adam, a, skip, d, w, m, v, scratch);
    all.extend(weights.iter().chain(&first).chain(&second));
    all
}

fuzz_target!(|case: Case| {
    let (floats, indices) = Scratch::LENGTHS;
    let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    let mut scratch = Scratch::new(&mut floats, &mut indices);
    let scalar = Isa::forced("scalar").expect("every machine has it");
    let want = results(scalar, &case, &mut scratch);
    for isa in Isa::all().filter(|isa| isa.is_fused() && *isa != scalar) {
        let have = results(isa, &case, &mut scratch);
        for (at, (have, want)) in have.iter().zip(&want).enumerate() {
            let same = have.to_bits() == want.to_bits() || (have.is_nan() && want.is_nan());
            assert!(same, "{}: number {at} is {have:?}, not {want:?}", isa.name());
        }
    }
});
