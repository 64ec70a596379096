//! Scores of samples, activations some samples at a time, and reconstructions in the data's units.

use crate::common::{pixels, uniform};
use sae::data::{Array, ScalingKind};
use sae::{
    Activation, Autoencoder, Engine, Error, Initialization, Isa, Samples, Scaling, Settings,
    compute::ThreadPool,
};

const FEATURES: usize = 12;
const SAMPLES: usize = 1300;

fn engine(threads: usize) -> Engine {
    Engine::new(Isa::detect(), ThreadPool::exactly(threads))
}

fn samples() -> Samples {
    Samples::from_values(pixels(5, SAMPLES, FEATURES), FEATURES).unwrap()
}

fn network(layers: &[usize], activation: Activation, code: &str) -> Autoencoder {
    let settings = Settings {
        layers: layers.into(),
        activation,
        output_activation: Activation::Linear,
        initialization: Initialization::He,
        code: code.parse().unwrap(),
        beta: 0.0,
        ..Settings::default()
    };
    Autoencoder::new(settings, Scaling::AsIs).unwrap()
}

fn networks() -> Vec<Autoencoder> {
    let (relu, sigmoid) = (Activation::Relu, Activation::Sigmoid);
    let mut all = Vec::new();
    for layers in [&[FEATURES, 33, FEATURES][..], &[FEATURES, 17, 40, 9, FEATURES]] {
        for (activation, code) in
            [(relu, "dense"), (sigmoid, "dense"), (relu, "top-k:3"), (relu, "jump-relu:0.05")]
        {
            all.push(network(layers, activation, code));
        }
    }
    all
}

#[test]
fn scores_are_those_of_reconstructions_and_codes() {
    let samples = samples();
    let values = pixels(5, SAMPLES, FEATURES);
    for net in networks() {
        let of = |threads| {
            let mut scores = Vec::new();
            net.score(&mut engine(threads), &samples, |some| {
                scores.extend_from_slice(some);
                Ok::<(), Error>(())
            })
            .unwrap();
            scores
        };
        let scores = of(1);
        assert_eq!(scores, of(3));
        let outputs = net.reconstruct(&mut engine(1), &samples).unwrap();
        let codes = net.encode(&mut engine(1), &samples).unwrap();
        let evaluation = net.evaluate(&mut engine(1), &samples).unwrap();
        let code = &evaluation.layers[net.settings().encoder_layers() - 1];
        let units = net.settings().code_units();
        assert_eq!(scores.len(), SAMPLES);
        for (sample, score) in scores.iter().enumerate() {
            let row = sample * FEATURES..(sample + 1) * FEATURES;
            let pairs = outputs[row.clone()].iter().zip(&values[row]);
            let error: f64 = pairs.map(|(a, x)| (f64::from(*a) - f64::from(*x)).powi(2)).sum();
            assert!((score.error - error / FEATURES as f64).abs() < 1e-12 * (1.0 + error));
            let code_of = &codes[sample * units..(sample + 1) * units];
            assert_eq!(score.l0, code_of.iter().filter(|a| a.abs() > code.threshold).count());
        }
        let mean = scores.iter().map(|score| score.error).sum::<f64>() / SAMPLES as f64;
        assert!((mean - evaluation.squared_error).abs() < 1e-12 * mean);
        let l0 = scores.iter().map(|score| score.l0).sum::<usize>() as f64 / SAMPLES as f64;
        assert!((l0 - code.l0).abs() < 1e-9);
    }
}

#[test]
fn scores_end_where_the_caller_fails_and_need_the_right_samples() {
    let net = network(&[FEATURES, 33, FEATURES], Activation::Relu, "top-k:3");
    let mut calls = 0;
    let ended = net.score(&mut engine(2), &samples(), |_| {
        calls += 1;
        Err(Error::Shape("enough".to_owned()))
    });
    assert_eq!((ended.unwrap_err().to_string(), calls), ("enough".to_owned(), 1));
    let paired = samples().with_targets(samples()).unwrap();
    assert!(net.score(&mut engine(2), &paired, |_| Ok::<(), Error>(())).is_err());
}

#[test]
fn activations_come_some_samples_at_a_time() {
    let samples = samples();
    for net in networks() {
        let of = |layer: usize| {
            let mut all = Vec::new();
            net.for_activations(&mut engine(2), &samples, layer, |rows| {
                assert!(rows.len() <= 1024 * net.settings().layers[layer + 1]);
                all.extend_from_slice(rows);
                Ok::<(), Error>(())
            })
            .map(|()| all)
        };
        let last = net.settings().layers.len() - 2;
        let code = net.settings().encoder_layers() - 1;
        assert_eq!(of(code).unwrap(), net.encode(&mut engine(1), &samples).unwrap());
        assert_eq!(of(last).unwrap(), net.reconstruct(&mut engine(1), &samples).unwrap());
        for layer in 0..last {
            let evaluation = net.evaluate(&mut engine(1), &samples).unwrap();
            let activations = of(layer).unwrap();
            let units = net.settings().layers[layer + 1];
            for unit in 0..units {
                let column = activations[unit..].iter().step_by(units);
                let active = column.filter(|a| a.abs() > evaluation.layers[layer].threshold);
                let share = active.count() as f64 / SAMPLES as f64;
                assert_eq!(share, evaluation.layers[layer].frequencies[unit]);
            }
        }
        let error = of(last + 1).unwrap_err().to_string();
        assert!(error.starts_with("layer: expected a layer, 0 to "), "{error}");
    }
}

#[test]
fn scaled_numbers_return_to_the_units_of_the_data() {
    let mut values: Vec<f64> = uniform(3, 50 * 6).iter().map(|&x| f64::from(x) * 900.0).collect();
    // A feature that is constant, and one that is far from 0.
    for row in values.chunks_mut(6) {
        (row[2], row[5]) = (7.5, row[5] + 1e6);
    }
    for kind in ScalingKind::ALL {
        let values: Vec<f64> = match kind {
            ScalingKind::Byte => (0..300).map(|at| f64::from(at * 7 % 256)).collect(),
            _ => values.clone(),
        };
        let largest = values.iter().copied().fold(0.0, f64::max);
        let array = Array::from_values(values.clone(), 6).unwrap();
        let scaling = kind.fit(&array).unwrap();
        let samples = Samples::new(array, scaling.clone());
        let mut row = [0.0; 6];
        for (sample, expected) in values.chunks(6).enumerate() {
            samples.gather(sample, &mut row).unwrap();
            samples.unscale(sample, &mut row).unwrap();
            for (found, expected) in row.iter().zip(expected) {
                // Of the range, which may be all features'.
                let error = (f64::from(*found) - expected).abs();
                assert!(error < 3e-7 * largest, "{kind}: {found}, {expected}");
            }
        }
        let is_alone = matches!(scaling, Scaling::LayerNorm);
        assert_eq!(scaling.unscale(&mut row).is_err(), is_alone, "{kind}");
    }
    let far = Scaling::MinMax { min: 0.0, max: 3e38 };
    assert!(far.unscale(&mut [2.0]).unwrap_err().to_string().contains("beyond the range of f32"));
    assert!(Scaling::Center { mean: [0.0, 1.0].into() }.unscale(&mut [2.0]).is_err());
}
