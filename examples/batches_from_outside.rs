//! Batches from outside: an endless iterator, such as another framework's data loader, and a trainer
//! that takes one step on each batch.
//!
//! `cargo run --release --example batches_from_outside -- [STEPS]`

use sae::{Samples, Settings, Trainer};

const BATCH: usize = 40;
const FEATURES: usize = 32;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let steps: usize = std::env::args().nth(1).map_or(Ok(2000), |steps| steps.parse())?;
    let mut batches = stream();

    // A trainer is built on samples: their features must fit the layers. Its steps need not use them;
    // here they only serve evaluation.
    let holdout: Vec<f32> = batches.by_ref().take(25).flatten().collect();
    let holdout = Samples::from_values(holdout, FEATURES)?;
    let settings = Settings {
        layers: vec![FEATURES, 20, FEATURES],
        rho: 0.1,
        batch: BATCH,
        ..Settings::default()
    };
    let mut trainer = Trainer::new(settings, &holdout)?;

    println!("held out: objective {:.6} before", trainer.evaluate(&holdout)?.objective);
    for (step, batch) in batches.take(steps).enumerate() {
        let report = trainer.step_on(&batch)?;
        if (step + 1) % (steps / 4).max(1) == 0 {
            let objective = trainer.objective(report);
            println!("step {:5}: objective {objective:.6} on its batch", step + 1);
        }
    }
    let report = trainer.evaluate(&holdout)?;
    println!("held out: objective {:.6} after {} steps", report.objective, trainer.steps());
    println!("held out: mean activation {:.3}", report.mean_activations()[0]);
    Ok(())
}

/// Batches `[BATCH, FEATURES]`, row-major, of windows that slide along a sum of two waves, in [0, 1].
fn stream() -> impl Iterator<Item = Vec<f32>> {
    let wave = |at: usize| {
        let t = at as f32;
        0.5 + 0.3 * (0.21 * t).sin() + 0.2 * (0.057 * t).sin()
    };
    let window = move |start: usize| (start..start + FEATURES).map(wave);
    (0..).map(move |batch| (0..BATCH).flat_map(|row| window((batch * BATCH + row) * 17)).collect())
}
