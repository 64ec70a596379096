//! Real MNIST, where its files lie beside the workspace: the seed article's figures.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sae::{Evaluation, Preset, Samples, Settings, Trainer};

/// The training and the test images, or none.
fn mnist() -> Option<(Samples, Samples)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mnist");
    let [train, test]: [PathBuf; 2] =
        ["train", "t10k"].map(|name| folder.join(format!("{name}-images-idx3-ubyte.gz")));
    if !cfg!(feature = "gz") || !train.exists() || !test.exists() {
        println!("skipped: no MNIST in {}, or no feature gz", folder.display());
        return None;
    }
    Some((Samples::open(train).unwrap(), Samples::open(test).unwrap()))
}

fn trained(data: &(Samples, Samples), preset: Preset, seed: u64, steps: u64) -> Evaluation {
    let start = Instant::now();
    let settings = Settings { seed, ..Settings::preset(preset) };
    let mut trainer = Trainer::new(settings, &data.0).unwrap();
    trainer.run(steps, |_, _| ControlFlow::Continue(())).unwrap();
    let evaluation = trainer.evaluate(&data.1).unwrap();
    println!(
        "{preset:?}, seed {seed}, {steps} steps in {:.1?}: objective {:.7}, loss {:.7}, \
         mean activations {:.5?}",
        start.elapsed(),
        evaluation.objective,
        evaluation.loss,
        evaluation.mean_activations()
    );
    evaluation
}

/// About two epochs.
#[test]
fn soon_the_sparse_network_is_sparse() {
    let Some(data) = mnist() else { return };
    let evaluation = trained(&data, Preset::Sparse, 1, 1700);
    assert!((0.037..0.0415).contains(&evaluation.objective), "{}", evaluation.objective);
    let mean = evaluation.mean_activations()[0];
    assert!((0.03..0.08).contains(&mean), "{mean}");
}

fn median(mut numbers: [f64; 3]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[1]
}

/// The seed article reports 0.00885361 for "normal", and 0.0355583 for "sparse" with a mean
/// activation of 0.0529726 in the first layer.
#[test]
#[ignore = "six trainings of 20 000 steps"]
fn the_seeds_figures() {
    let data = mnist().expect("MNIST");
    let normal = [1, 2, 3].map(|seed| trained(&data, Preset::Plain, seed, 20_000));
    let sparse = [1, 2, 3].map(|seed| trained(&data, Preset::Sparse, seed, 20_000));
    let objective = |evaluation: &Evaluation| evaluation.objective;
    let normal = median(normal.each_ref().map(objective));
    assert!(normal <= 0.0095, "normal: median objective {normal}");
    let mean = median(sparse.each_ref().map(|evaluation| evaluation.mean_activations()[0]));
    let sparse = median(sparse.each_ref().map(objective));
    assert!(sparse <= 0.0362, "sparse: median objective {sparse}");
    assert!((0.045..0.06).contains(&mean), "sparse: median mean activation {mean}");
}
