//! Tests that read `../shared`, the data beside the workspace: MNIST, and the article's figures on it. `.ci/run`
//! runs them where the folder is there.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::folder::Folder;
use sae::data::{Array, ElementType, write_idx};
use sae::{
    Activation, Code, Evaluation, Initialization, Preset, Samples, Scaling, Settings, Trainer,
};

fn mnist(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mnist").join(file)
}

/// The training and the test images.
fn images() -> [Samples; 2] {
    ["train", "t10k"]
        .map(|part| Samples::open(mnist(&format!("{part}-images-idx3-ubyte.gz"))).unwrap())
}

#[test]
#[ignore = "reads ../shared/data/mnist"]
fn files_of_mnist() {
    for (part, n, first) in [("train", 60_000, [5, 0, 4, 1, 9]), ("t10k", 10_000, [7, 2, 1, 0, 4])]
    {
        let images = Array::open(mnist(&format!("{part}-images-idx3-ubyte.gz"))).unwrap();
        assert_eq!((images.element_type(), images.dims()), (ElementType::U8, &[n, 28, 28][..]));
        assert_eq!((images.samples(), images.features()), (n, 784));
        assert_eq!(images.as_u8().unwrap().len(), n * 784);
        let mut row = vec![-1.0; 784];
        images.read_row(n - 1, &mut row);
        assert!(row.iter().all(|v| (0.0..=255.0).contains(v)) && row.iter().sum::<f32>() > 1000.0);

        let labels = Array::read(mnist(&format!("{part}-labels-idx1-ubyte.gz"))).unwrap();
        assert_eq!((labels.dims(), labels.features()), (&[n][..], 1));
        assert_eq!(labels.as_u8().unwrap()[..5], first);

        // Decompressed and mapped, it is the same.
        let own = Folder::new("mnist");
        let path = own.0.join("images.idx");
        write_idx(&path, images.dims(), images.as_u8().unwrap()).unwrap();
        let mapped = Array::open(&path).unwrap();
        assert!(mapped.as_u8() == images.as_u8());
    }
}

fn trained([train, test]: &[Samples; 2], preset: Preset, seed: u64, steps: u64) -> Evaluation {
    let start = Instant::now();
    let settings = Settings { seed, ..Settings::preset(preset) };
    let mut trainer = Trainer::new(settings, train).unwrap();
    trainer.run(steps, |_, _| ControlFlow::Continue(())).unwrap();
    let evaluation = trainer.evaluate(test).unwrap();
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
#[ignore = "reads ../shared/data/mnist"]
fn soon_the_sparse_network_is_sparse() {
    let evaluation = trained(&images(), Preset::Sparse, 1, 1700);
    assert!((0.037..0.0415).contains(&evaluation.objective), "{}", evaluation.objective);
    let mean = evaluation.mean_activations()[0];
    assert!((0.03..0.08).contains(&mean), "{mean}");
}

fn median(mut numbers: [f64; 3]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[1]
}

/// The article reports 0.00885361 for "normal", and 0.0355583 for "sparse" with a mean
/// activation of 0.0529726 in the first layer.
#[test]
#[ignore = "reads ../shared/data/mnist; six trainings of 20 000 steps"]
fn the_articles_figures() {
    let data = images();
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

/// Real activations, whose mean is not 0: subtracting it beforehand changes hardly anything.
#[test]
#[ignore = "reads ../shared/data/minilm"]
fn an_offset_of_real_activations_does_not_matter() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/minilm");
    let array = Array::open(folder.join("train-0.npy")).unwrap();
    let (n, d) = (array.samples(), array.features());
    let raw = Samples::new(array, Scaling::AsIs);
    let mut values = vec![0.0; n * d];
    values.chunks_mut(d).enumerate().for_each(|(at, row)| raw.gather(at, row).unwrap());
    let mut means = vec![0.0; d];
    for row in values.chunks(d) {
        means.iter_mut().zip(row).for_each(|(mean, &x)| *mean += f64::from(x) / n as f64);
    }
    for row in values.chunks_mut(d) {
        row.iter_mut().zip(&means).for_each(|(x, &mean)| *x -= mean as f32);
    }
    let centered = Samples::from_values(values, d).unwrap();
    let quality = |samples: &Samples| {
        let settings = Settings {
            layers: vec![d, 1024, d],
            activation: Activation::Relu,
            initialization: Initialization::He,
            code: Code::TopK(32),
            beta: 0.0,
            lambda: 0.0,
            learning_rate: 1e-3,
            batch: 256,
            ..Settings::default()
        };
        let settings = settings.fitted_to(samples);
        let mut trainer = Trainer::new(settings, samples).unwrap();
        trainer.run(1000, |_, _| ControlFlow::Continue(())).unwrap();
        let evaluation = trainer.evaluate(samples).unwrap();
        (evaluation.explained_variance, evaluation.layers[0].dead_units().count())
    };
    let ((raw, raw_dead), (own, own_dead)) = (quality(&raw), quality(&centered));
    println!("explained variance {raw:.4} and {own:.4}, dead {raw_dead} and {own_dead} of 1024");
    assert!((raw - own).abs() < 0.01 && raw > 0.6, "{raw} {own}");
    assert!(raw_dead.abs_diff(own_dead) < 50, "{raw_dead} {own_dead}");
}

/// Real activations as their own targets: the bits of the autoencoder.
#[test]
#[ignore = "reads ../shared/data/minilm"]
fn real_activations_that_are_their_own_targets() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/minilm");
    let samples = Samples::open(folder.join("train-0.npy")).unwrap();
    let pairs = samples.with_targets(samples.clone()).unwrap();
    let settings = Settings {
        layers: vec![samples.features(), 256, samples.features()],
        activation: Activation::Relu,
        initialization: Initialization::Transpose,
        code: Code::TopK(16),
        unit_norm: true,
        beta: 0.0,
        batch: 128,
        ..Settings::default()
    };
    let [plain, other] = [&samples, &pairs].map(|samples| {
        let settings = settings.fitted_to(samples);
        let mut trainer = Trainer::new(settings, samples).unwrap();
        trainer.run(50, |_, _| ControlFlow::Continue(())).unwrap();
        (trainer.evaluate(samples).unwrap(), trainer.into_autoencoder())
    });
    assert_eq!(plain.0, other.0);
    assert!(plain.1.parameters() == other.1.parameters());
}
