//! Times the training step of a preset: `step_time DATA_DIR THREADS STEPS [plain|sparse]`.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use sae::{Preset, Samples, Settings, Trainer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, data, threads, steps, rest @ ..] = &arguments[..] else {
        return Err("usage: step_time DATA_DIR THREADS STEPS [plain|sparse]".into());
    };
    let preset: Preset = rest.first().map_or(Ok(Preset::Sparse), |name| name.parse())?;
    let (threads, steps): (usize, u64) = (threads.parse()?, steps.parse()?);
    let training = Samples::open(Path::new(data).join("train-images-idx3-ubyte"))?;
    let test = Samples::open(Path::new(data).join("t10k-images-idx3-ubyte"))?;
    let mut trainer =
        Trainer::builder(Settings::preset(preset)).threads(threads).build(&training)?;
    let to_the_end = |_: &mut Trainer, _| ControlFlow::Continue(());
    trainer.run(200, to_the_end)?;
    let start = Instant::now();
    trainer.run(steps, to_the_end)?;
    let time = start.elapsed().as_secs_f64() / steps as f64;
    let report = trainer.evaluate(&test)?;
    println!(
        "sae {} threads={threads} ms/step={:.4} test_objective={:.6} mean_activations={:.4?}",
        trainer.parts().0.isa().name(),
        time * 1e3,
        report.objective,
        report.mean_activations()
    );
    Ok(())
}
