//! A training loop outside `sae` that takes its arithmetic from `sae-kernels`: linear regression, its
//! predictions by one product, its gradient and Adam by one fused step.
//!
//! `cargo run --release -p sae-kernels --example foreign_loop -- [STEPS]`

use sae_kernels::{AdamOptions, Isa, Matrix, MatrixMut, Operand, Scratch, Update, gemm};

const SAMPLES: usize = 64;
const INPUTS: usize = 20;
const OUTPUTS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let steps: u64 = std::env::args().nth(1).map_or(Ok(300), |steps| steps.parse())?;
    let isa = Isa::from_environment()?;
    println!("instruction set {}", isa.name());
    train(isa, steps, |step, loss| {
        if step == 1 || step % (steps / 10).max(1) == 0 {
            println!("step {step:5}  loss {loss:.6}");
        }
    });
    Ok(())
}

/// Trains for `steps` steps and reports the number and the loss of each.
fn train(isa: Isa, steps: u64, mut report: impl FnMut(u64, f64)) {
    // All memory is the caller's; the kernels allocate nothing and start no threads.
    let (floats, indices) = Scratch::LENGTHS;
    let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
    let mut scratch = Scratch::new(&mut floats, &mut indices);

    // Inputs, and outputs by weights that training has to find: input i counts i % (o + 2) for output o.
    let x: Vec<f32> = (0..SAMPLES * INPUTS).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let truth: Vec<f32> =
        (0..INPUTS * OUTPUTS).map(|i| (i / OUTPUTS % (i % OUTPUTS + 2)) as f32).collect();
    let x = Matrix::new(&x, SAMPLES, INPUTS);
    let mut target = vec![0.0; SAMPLES * OUTPUTS];
    let out = MatrixMut::new(&mut target, SAMPLES, OUTPUTS);
    gemm(isa, x, Matrix::new(&truth, INPUTS, OUTPUTS), out, &mut scratch);

    let adam = AdamOptions { learning_rate: 0.05, ..AdamOptions::default() };
    let mut weights = vec![0.0; INPUTS * OUTPUTS];
    let (mut first_moment, mut second_moment) = (weights.clone(), weights.clone());
    let mut delta = vec![0.0; SAMPLES * OUTPUTS];
    for step in 1..=steps {
        // predictions = x weights
        let predictions = MatrixMut::new(&mut delta, SAMPLES, OUTPUTS);
        gemm(isa, x, Matrix::new(&weights, INPUTS, OUTPUTS), predictions, &mut scratch);

        // The loop's own loss, a mean of squares, and its gradient by the predictions.
        let mut loss = 0.0;
        for (d, target) in delta.iter_mut().zip(&target) {
            let error = *d - target;
            loss += f64::from(error * error) / (SAMPLES * OUTPUTS) as f64;
            *d = 2.0 * error / (SAMPLES * OUTPUTS) as f32;
        }
        report(step, loss);

        // weights -= Adam of (x^T delta), block by block in cache; no gradient goes to memory.
        let update = Update {
            rule: adam.at_step(step),
            a: Operand::Dense(x.transposed()),
            delta: Matrix::new(&delta, SAMPLES, OUTPUTS),
            weights: MatrixMut::new(&mut weights, INPUTS, OUTPUTS),
            first_moment: MatrixMut::new(&mut first_moment, INPUTS, OUTPUTS),
            second_moment: MatrixMut::new(&mut second_moment, INPUTS, OUTPUTS),
            correction: None,
        };
        update.run(isa, &mut scratch);
    }
}

#[test]
fn the_loss_falls() {
    let mut losses = Vec::new();
    train(Isa::detect(), 100, |step, loss| {
        if step == 1 || step % 10 == 0 {
            losses.push(loss);
        }
    });
    assert!(losses.len() == 11 && losses[10] < 0.2 * losses[0], "{losses:?}");
    assert!(losses.is_sorted_by(|a, b| a > b), "{losses:?}");
}
