//! The two experiments of the article "Tensorflow Day17 Sparse Autoencoder"
//! (blog.c1mone.com.tw/tensorflow-note-day-17.html): 784-300-30-300-784 without and with a sparsity
//! penalty, beside the figures that the article reports.
//!
//! `cargo run --release --features digits --example article -- [STEPS [FOLDER]]`
//!
//! FOLDER has MNIST's `train-images-idx3-ubyte` and `t10k-images-idx3-ubyte`, or both with `.gz`;
//! without it, digits are drawn. The article takes 20 000 steps, about 20 s per preset.

use std::ops::ControlFlow;
use std::path::Path;

use sae::{Error, Preset, Samples, Settings, Trainer, compute::available_threads, data::digits};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let steps: u64 = arguments.next().map_or(Ok(1000), |steps| steps.parse())?;
    let (training, test) = match arguments.next() {
        Some(folder) => (
            open(Path::new(&folder), "train-images-idx3-ubyte")?,
            open(Path::new(&folder), "t10k-images-idx3-ubyte")?,
        ),
        None => draw()?.split(10_000)?,
    };
    println!("{} training and {} test images, {steps} steps", training.len(), test.len());
    println!("in brackets: the article's figures, after 20 000 steps on MNIST");

    for (name, preset, theirs, [first, code]) in [
        ("plain", Preset::Plain, 0.008_854, [0.1913, 0.3784]),
        ("sparse", Preset::Sparse, 0.035_558, [0.0530, 0.3986]),
    ] {
        let mut trainer = Trainer::new(Settings::preset(preset), &training)?;
        trainer.run(steps, |trainer, report| {
            if trainer.steps().is_multiple_of((steps / 4).max(1)) {
                let (step, objective) = (trainer.steps(), trainer.objective(report));
                println!("{name}: step {step:5}, objective on its batch {objective:.6}");
            }
            ControlFlow::Continue(())
        })?;
        let report = trainer.evaluate(&test)?;
        // Of the layers of 300, 30 and 300 units; the article prints those of the encoder.
        let means = report.mean_activations();
        println!(
            "{name}: test objective {:.6} ({theirs:.6}), mean activations {:.4} ({first:.4}) of the \
             first layer and {:.4} ({code:.4}) of the code",
            report.objective, means[0], means[1]
        );
    }
    Ok(())
}

/// A file of bytes, gzip-compressed or mapped, scaled to [0, 1].
fn open(folder: &Path, name: &str) -> Result<Samples, Error> {
    let plain = folder.join(name);
    let compressed = folder.join(format!("{name}.gz"));
    Samples::open(if compressed.exists() && !plain.exists() { compressed } else { plain })
}

/// Drawn digits, as many as a fifth of MNIST's.
fn draw() -> Result<Samples, Error> {
    let images = digits::draw(12_000, 1, available_threads()).images;
    let pixels = images.into_iter().map(|ink| f32::from(ink) / 255.0).collect();
    Samples::from_values(pixels, digits::SIDE * digits::SIDE)
}
