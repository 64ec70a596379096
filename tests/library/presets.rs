//! Every preset trains, on any data.

use sae::{Activation, Loss, Preset, Samples, Settings, Trainer};

use crate::common::pixels;

/// A few steps with the settings that `options` give, the first of them a preset's.
#[track_caller]
fn train(options: &[(&str, &str)], samples: &Samples, steps: u64) -> Settings {
    let settings = Settings::with_options(None, options, samples, steps).unwrap();
    let mut trainer = Trainer::builder(settings).threads(1).build(samples).unwrap();
    let before = trainer.evaluate(samples).unwrap().squared_error;
    for _ in 0..steps {
        trainer.step().unwrap();
    }
    let after = trainer.evaluate(samples).unwrap().squared_error;
    assert!(after < before, "{options:?}: {before} {after}");
    trainer.autoencoder().settings().clone()
}

#[test]
fn all_train_on_numbers() {
    let values = pixels(3, 200, 12).into_iter().map(|x| 40.0 * x - 3.0).collect();
    let samples = Samples::from_values(values, 12).unwrap();
    for preset in Preset::ALL {
        let settings = train(&[("preset", preset.name()), ("batch", "200")], &samples, 20);
        assert_eq!(settings.output_activation, Activation::Linear);
        assert_eq!((settings.layers[0], settings.layers.last()), (12, Some(&12)));
    }
}

#[cfg(feature = "digits")]
#[test]
fn all_train_on_drawn_digits() {
    use sae::{Scaling, data::Array, data::digits};
    let drawn = digits::draw(300, 1, 1);
    let images = Array::from_values(drawn.images, 784).unwrap();
    let samples = Samples::new(images, Scaling::Byte);
    for preset in Preset::ALL {
        let size = if preset.layers(784).len() == 3 { "784,64,784" } else { "784,32,8,32,784" };
        let options = [("preset", preset.name()), ("batch", "300"), ("layers", size)];
        train(&options, &samples, 10);
    }
}

/// Options come after a preset, and the old names are the article's.
#[test]
fn options_and_old_names() {
    let samples = Samples::from_values(pixels(3, 100, 12), 12).unwrap();
    let with =
        |options: &[(&str, &str)]| Settings::with_options(None, options, &samples, 50).unwrap();
    for (old, new) in
        [("sparse", "article"), ("plain", "article-plain"), ("normal", "article-plain")]
    {
        assert_eq!(with(&[("preset", old)]), with(&[("preset", new)]));
    }
    assert_eq!(with(&[("preset", "article")]), Settings::default().fitted_to(&samples));
    let wide = with(&[("preset", "top-k"), ("layers", "12,512,12"), ("loss", "squared-error")]);
    let narrow = with(&[("preset", "top-k"), ("layers", "12,128,12")]);
    assert!((narrow.learning_rate / wide.learning_rate - 2.0).abs() < 1e-12);
    assert_eq!(wide.loss, Loss::SquaredError);
    let own = with(&[("learning_rate", "0.5"), ("preset", "top-k")]);
    assert_eq!(own.learning_rate, 0.5);
}

/// At MATLAB's weights d times our objective is its own: the sum of squares of a sample, a mean over
/// samples, plus 0.001 times the weight decay and 1 times the KL penalty.
#[test]
fn matlabs_objective() {
    let (features, count) = (12, 80);
    let values = pixels(3, count, features);
    let samples = Samples::from_values(values.clone(), features).unwrap();
    let options = [("preset", "matlab"), ("output_activation", "sigmoid")];
    let settings = Settings::with_options(None, &options, &samples, None).unwrap();
    assert_eq!((settings.batch, &settings.layers[..]), (count, &[12, 10, 12][..]));
    let mut trainer = Trainer::new(settings, &samples).unwrap();
    trainer.step().unwrap();
    let (engine, net) = trainer.parts();
    let outputs = net.reconstruct(engine, &samples).unwrap();
    let squares = outputs.iter().zip(&values).map(|(a, x)| f64::from(a - x).powi(2));
    let squares = squares.sum::<f64>() / count as f64;
    let evaluation = net.evaluate(engine, &samples).unwrap();
    let theirs = squares + 1e-3 * evaluation.weight_decay + evaluation.sparsity;
    let ours = features as f64 * evaluation.objective;
    assert!((ours / theirs - 1.0).abs() < 1e-5, "{ours} {theirs}");
}
