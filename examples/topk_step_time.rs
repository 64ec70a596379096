//! Times the training step of a top-k dictionary: `topk_step_time FILE.npy BATCH UNITS K STEPS THREADS`.

use std::time::Instant;

use sae::data::Array;
use sae::{Activation, Code, Initialization, Preset, Samples, Scaling, Settings, Trainer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, numbers @ ..] = &arguments[..] else {
        return Err("usage: topk_step_time FILE.npy BATCH UNITS K STEPS THREADS".into());
    };
    let numbers: Vec<usize> = numbers.iter().map(|n| n.parse()).collect::<Result<_, _>>()?;
    let [batch, units, k, steps, threads] = numbers[..] else {
        return Err("expected BATCH UNITS K STEPS THREADS after the file".into());
    };
    let samples = Samples::new(Array::open(file)?, Scaling::AsIs);
    let features = samples.features();
    let settings = Settings {
        layers: vec![features, units, features],
        activation: Activation::Relu,
        output_activation: Activation::Linear,
        code: Code::TopK(k),
        batch,
        initialization: Initialization::He,
        learning_rate: 1e-3,
        ..Settings::preset(Preset::Plain)
    };
    let mut trainer = Trainer::builder(settings).threads(threads).build(&samples)?;
    let mut times = Vec::new();
    let mut loss = 0.0;
    for step in 0..steps + 2 {
        let start = Instant::now();
        loss = trainer.step()?.loss;
        // The first steps find their memory.
        if step >= 2 {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);
    let time = times[times.len() / 2];
    println!(
        "sae {} threads={threads} ms/step={:.1} samples/s={:.0} loss={loss:.5}",
        trainer.parts().0.isa().name(),
        time * 1e3,
        batch as f64 / time
    );
    Ok(())
}
