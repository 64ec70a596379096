//! Times the article's training step: `step_time DATA_DIR THREADS STEPS [plain|sparse]`.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use sae::{Samples, Settings, Trainer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().collect();
    let [_, data, threads, steps, rest @ ..] = &words[..] else {
        return Err("usage: step_time DATA_DIR THREADS STEPS [plain|sparse]".into());
    };
    let preset = rest.first().map_or("sparse", String::as_str).parse()?;
    let (threads, steps): (usize, u64) = (threads.parse()?, steps.parse()?);
    let training = Samples::open(Path::new(data).join("train-images-idx3-ubyte"))?;
    let test = Samples::open(Path::new(data).join("t10k-images-idx3-ubyte"))?;
    let mut trainer =
        Trainer::builder(Settings::preset(preset)).threads(threads).build(&training)?;
    let go_on = |_: &mut Trainer, _| ControlFlow::Continue(());
    trainer.run(200, go_on)?;
    let start = Instant::now();
    trainer.run(steps, go_on)?;
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
