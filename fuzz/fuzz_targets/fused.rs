//! The products with what is fused into them, any shapes and values, NaN and infinities too: every
//! fused instruction set gives the scalar one's bits (any NaN for a NaN).
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sae_kernels::sparse::{CodeGradient, code_delta};
use sae_kernels::{
    Activation, AdamOptions, Forward, Gemm, HiddenDelta, Isa, Lists, Loss, Matrix, MatrixMut,
    Operand, OutputDelta, Penalty, Scratch, Update,
};

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

/// All that the products write.
fn results(isa: Isa, case: &Case, scratch: &mut Scratch<'_>) -> Vec<f32> {
    let [n, inputs, units] = case.shape.map(|side| usize::from(side) % 70 + 1);
    let activation = Activation::ALL[usize::from(case.activation) % Activation::ALL.len()];
    let mut values = case.values.iter().copied().cycle();
    let mut fill = |count: usize| -> Vec<f32> {
        (0..count).map(|i| values.next().unwrap_or((i % 7) as f32 * 0.25)).collect()
    };
    let (input, mut weights) = (fill(n * inputs), fill(inputs * units));
    let (biases, target, penalty) = (fill(units), fill(n * units), fill(inputs));
    let (mut first, mut second) = (fill(inputs * units), fill(inputs * units));
    // Zeros are left out only where what they meet is finite.
    let skip = case.skip_zeros && case.values.iter().all(|value| value.is_finite());

    let mut all = Vec::new();
    let mut output = vec![0.0; n * units];
    let mut sums = vec![0.0; units];
    let a = Matrix::new(&input, n, inputs);
    let b = Matrix::new(&weights, inputs, units);
    let c = MatrixMut::new(&mut output, n, units);
    let forward = Forward {
        input: Operand::new(a, skip),
        weights: b,
        biases: &biases,
        activation,
        output: c,
        sums: &mut sums,
    };
    forward.run(isa, scratch);
    all.extend(output.iter().chain(&sums));

    let (mut delta, mut losses) = (vec![0.0; n * units], vec![0.0; units]);
    let mut bias_gradient = vec![0.0; units];
    let t = Matrix::new(&target, n, units);
    let entropy = case.entropy && Loss::CrossEntropy.fits(activation);
    let loss = if entropy { Loss::CrossEntropy } else { Loss::SquaredError };
    let output_delta = OutputDelta {
        input: Operand::Dense(a),
        weights: b,
        biases: &biases,
        activation,
        loss,
        target: t,
        scale: 0.5,
        delta: MatrixMut::new(&mut delta, n, units),
        losses: &mut losses,
        bias_gradient: &mut bias_gradient,
    };
    output_delta.run(isa, scratch);
    all.extend(delta.iter().chain(&losses).chain(&bias_gradient));

    let (mut below, mut below_gradient) = (vec![0.0; n * inputs], vec![0.0; inputs]);
    let of_units = case.penalty.then_some(&penalty[..]);
    let penalty = Penalty { units: of_units, l1: if case.l1 { 0.25 } else { 0.0 } };
    let d = Matrix::new(&delta, n, units);
    let hidden_delta = HiddenDelta {
        next: Operand::Dense(d),
        weights: b,
        activations: a,
        activation,
        penalty,
        delta: MatrixMut::new(&mut below, n, inputs),
        bias_gradient: &mut below_gradient,
    };
    hidden_delta.run(isa, scratch);
    all.extend(below.iter().chain(&below_gradient));

    // The inputs as a code: all that is not 0 is active.
    let (mut starts, mut active, mut values) = (vec![0], Vec::new(), Vec::new());
    for sample in input.chunks(inputs) {
        let of_sample = sample.iter().enumerate().filter(|(_, a)| **a != 0.0);
        of_sample.for_each(|(unit, a)| (active.push(unit as u32), values.push(*a)).0);
        starts.push(active.len() as u32);
    }
    let codes = Lists::new(&starts[..n], &starts[1..], &active, &values);
    let mut gradients = vec![0.0; values.len()];
    CodeGradient { codes, delta: d, weights: b }.run(isa, &mut gradients);
    all.extend(&gradients);
    code_delta(isa, codes, activation, penalty, &mut gradients);
    all.extend(&gradients);
    let decode = Gemm::new(Operand::Sparse(codes), b, MatrixMut::new(&mut output, n, units));
    decode.run(isa, scratch);
    all.extend(&output);

    let adam = AdamOptions { learning_rate: 0.01, weight_decay: 1e-3, ..AdamOptions::default() };
    let rule = adam.at_step(u64::from(case.step) + 1);
    let skip = skip && delta.iter().all(|value| value.is_finite());
    let parameters = [&mut weights, &mut first, &mut second];
    let [weights_out, first_moment, second_moment] =
        parameters.map(|flat| MatrixMut::new(flat, inputs, units));
    let update = Update {
        rule,
        a: Operand::new(a.transposed(), skip),
        delta: d,
        weights: weights_out,
        first_moment,
        second_moment,
        correction: None,
    };
    update.run(isa, scratch);
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
