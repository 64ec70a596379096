//! exp, ln, sigmoid, tanh, Adam, momentum and the sparsity penalty on any numbers: every fused instruction
//! set gives the scalar one's bits (any NaN for a NaN).
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sae_kernels::math::{Function, map};
use sae_kernels::{AdamOptions, Isa, Matrix, MatrixMut, Momentum, Rule, sparsity};

#[derive(Arbitrary, Debug)]
struct Case {
    rho: u16,
    step: u16,
    values: Vec<[f32; 4]>,
}

fn results(isa: Isa, case: &Case) -> Vec<f32> {
    let column = |at: usize| -> Vec<f32> { case.values.iter().map(|row| row[at]).collect() };
    let mut all = Vec::new();
    for function in [Function::Exp, Function::Ln, Function::Sigmoid, Function::Tanh] {
        let mut values = column(0);
        map(isa, function, &mut values);
        all.extend(values);
    }
    let adam = AdamOptions { learning_rate: 0.01, weight_decay: 1e-3, ..AdamOptions::default() };
    let momentum =
        Momentum { learning_rate: 0.01, momentum: 0.9, weight_decay: 1e-3, orthogonal: false };
    for rule in [adam.at_step(u64::from(case.step) + 1), Rule::Momentum(momentum)] {
        let mut numbers = [column(0), column(1), column(2)];
        let [w, m, v] = numbers.each_mut().map(|flat| MatrixMut::from_row(flat));
        rule.update_rows(isa, w, m, v, Matrix::from_row(&column(3)));
        all.extend(numbers.concat());
    }
    let rho = (f32::from(case.rho) + 1.0) / 65_537.0;
    let rho_hat = column(1);
    let mut gradient = vec![0.0; rho_hat.len()];
    sparsity::kl_gradient(isa, rho, 0.5, &rho_hat, &mut gradient);
    all.extend(gradient);
    all.push(sparsity::kl_value(isa, rho, &rho_hat) as f32);
    all
}

fuzz_target!(|case: Case| {
    let scalar = Isa::forced("scalar").expect("every machine has it");
    let want = results(scalar, &case);
    for isa in Isa::all().filter(|isa| isa.is_fused() && *isa != scalar) {
        for (at, (have, want)) in results(isa, &case).iter().zip(&want).enumerate() {
            let same = have.to_bits() == want.to_bits() || (have.is_nan() && want.is_nan());
            assert!(same, "{}: number {at} is {have:?}, not {want:?}", isa.name());
        }
    }
});
