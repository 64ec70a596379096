//! A penalty of your own on the weights, added to the gradient within each step (`step_with`), and checked by a
//! finite difference. Its value is half the sum of the squares of the weights below 0, so that units
//! learn parts that are added and not subtracted (Hosseini-Asl, Zurada and Nasraoui 2016).
//!
//! `cargo run --release --example custom_penalty -- [STEPS]`

use sae::{Autoencoder, Preset, Result, Samples, Settings, Trainer, data::Order};

const FEATURES: usize = 24;
const BATCH: usize = 50;

/// The penalty P: half the sum of the squares of the weights below 0.
fn penalty(net: &Autoencoder) -> f64 {
    let of_weight = |w: &f32| f64::from(w.min(0.0)).powi(2) / 2.0;
    (0..net.layers().len()).flat_map(|l| net.weights(l).into_owned()).map(|w| of_weight(&w)).sum()
}

/// Adds the gradient of alpha P, alpha w for each weight w below 0, to one that is laid out as the parameters.
fn add_penalty(gradient: &mut [f32], net: &Autoencoder, alpha: f64) {
    for at in net.layers().iter().flat_map(|layer| layer.weights()) {
        gradient[at] += alpha as f32 * net.parameters()[at].min(0.0);
    }
}

/// Prints the norm of the gradient of objective + alpha P, and the finite difference along it, which
/// must be the same.
fn check(trainer: &mut Trainer, batch: &[f32], alpha: f64) -> Result<()> {
    const H: f32 = 0.01;
    let mut gradient = trainer.gradient_on(batch)?.1.to_vec();
    add_penalty(&mut gradient, trainer.autoencoder(), alpha);
    let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
    let here = trainer.autoencoder().parameters().to_vec();
    let mut values = [0.0; 2];
    for (value, side) in values.iter_mut().zip([H, -H]) {
        let moved = here.iter().zip(&gradient).map(|(w, g)| w + side / norm as f32 * g);
        let moved: Vec<f32> = moved.collect();
        trainer.autoencoder_mut().parameters_mut().copy_from_slice(&moved);
        let (report, _) = trainer.gradient_on(batch)?;
        *value = trainer.objective(report) + alpha * penalty(trainer.autoencoder());
    }
    trainer.autoencoder_mut().parameters_mut().copy_from_slice(&here);
    let difference = (values[0] - values[1]) / f64::from(2.0 * H);
    println!("alpha {alpha}: norm of the gradient {norm:.7}, difference along it {difference:.7}");
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let steps: u64 = std::env::args().nth(1).map_or(Ok(2000), |steps| steps.parse())?;
    let samples = Samples::from_values(bars(1000), FEATURES)?;
    for alpha in [0.0, 1e-3] {
        let settings = Settings {
            layers: vec![FEATURES, 12, FEATURES],
            batch: BATCH,
            ..Settings::preset(Preset::Plain)
        };
        let mut trainer = Trainer::new(settings, &samples)?;

        // This loop decides which samples are used, in which order, and what happens to the gradient.
        let (mut order, mut rows) = (Order::new(samples.len(), 1), vec![0; BATCH]);
        let mut batch = vec![0.0; BATCH * FEATURES];
        for step in 0..steps {
            order.next(&mut rows);
            for (&row, sample) in rows.iter().zip(batch.chunks_mut(FEATURES)) {
                samples.gather(row, sample)?;
            }
            if step == steps / 2 {
                check(&mut trainer, &batch, alpha)?;
            }
            trainer.step_with(&batch, |gradient, context| {
                add_penalty(gradient, context.autoencoder(), alpha);
                Ok(())
            })?;
        }
        let (loss, p) = (trainer.evaluate(&samples)?.loss, penalty(trainer.autoencoder()));
        println!("alpha {alpha}: after {steps} steps the loss is {loss:.5} and P {p:.4}");
    }
    Ok(())
}

/// Samples of three bars each, of different brightness, `[count, FEATURES]`.
fn bars(count: usize) -> Vec<f32> {
    let mut values = vec![0.1; count * FEATURES];
    for (i, sample) in values.chunks_mut(FEATURES).enumerate() {
        for (bar, gray) in [(i * 7 % 8, i * 37 % 97), (i * i % 8, i * 11 % 89), (i / 8 % 8, i % 83)]
        {
            sample[bar * 3..][..3].fill(0.3 + gray as f32 / 160.0);
        }
    }
    values
}
