//! Evaluations and preferred inputs.

use crate::common::{pixels, uniform};
use sae::{
    Activation, Autoencoder, Code, Engine, Evaluation, Initialization, Isa, Loss, Samples, Scaling,
    Settings, compute::ThreadPool,
};

const FEATURES: usize = 9;
const NORM: f32 = 3.0;

fn net(activation: Activation) -> Autoencoder {
    let settings = Settings {
        layers: vec![FEATURES, 7, 5, 7, FEATURES],
        beta: 0.0,
        activation,
        initialization: Initialization::Xavier,
        ..Settings::default()
    };
    Autoencoder::new(settings, Scaling::AsIs).unwrap()
}

/// The unit's pre-activation, computed in `f64`.
fn pre_activation(net: &Autoencoder, layer: usize, unit: usize, input: &[f32]) -> f64 {
    let mut values: Vec<f64> = input.iter().map(|&x| x.into()).collect();
    for l in 0..=layer {
        let (weights, biases) = (net.weights(l), net.biases(l));
        let sums = biases.iter().enumerate().map(|(unit, &bias)| {
            let weights = weights[unit..].iter().step_by(biases.len());
            let products = values.iter().zip(weights).map(|(x, &w)| x * f64::from(w));
            products.sum::<f64>() + f64::from(bias)
        });
        let activation = net.settings().activation;
        values = sums
            .map(|z| match activation {
                _ if l == layer => z,
                Activation::Sigmoid => 1.0 / (1.0 + (-z).exp()),
                Activation::Tanh => z.tanh(),
                _ => z.max(0.0),
            })
            .collect();
    }
    values[unit]
}

fn norm(input: &[f32]) -> f32 {
    input.iter().map(|x| x * x).sum::<f32>().sqrt()
}

/// No input of the same norm near it has a larger pre-activation; for the first layer none at all.
#[test]
fn preferred_inputs_are_maxima() {
    for activation in [Activation::Sigmoid, Activation::Tanh, Activation::Relu] {
        let net = net(activation);
        let mut engine = Engine::new(Isa::detect(), ThreadPool::new(2));
        for (layer, reach) in [(0, 10.0), (1, 0.3)] {
            let inputs = net.preferred_inputs(&mut engine, layer, NORM).unwrap();
            assert_eq!(inputs.len(), FEATURES * net.settings().layers[layer + 1]);
            for (unit, input) in inputs.chunks(FEATURES).enumerate() {
                assert!((norm(input) - NORM).abs() < 1e-4, "{}", norm(input));
                let max = pre_activation(&net, layer, unit, input);
                for seed in 0..200 {
                    let changes = uniform(seed, FEATURES);
                    let changed = input.iter().zip(changes).map(|(x, by)| x + reach * (by - 0.5));
                    let mut other: Vec<f32> = changed.collect();
                    let by = NORM / norm(&other);
                    other.iter_mut().for_each(|x| *x *= by);
                    let value = pre_activation(&net, layer, unit, &other);
                    assert!(value < max + 1e-4, "{activation:?}, {layer}, {unit}: {value}");
                }
            }
        }
    }
}

#[test]
fn layers_and_norms_that_make_no_sense_are_refused() {
    let mut engine = Engine::new(Isa::detect(), ThreadPool::new(1));
    let net = net(Activation::Sigmoid);
    let problem = net.preferred_inputs(&mut engine, 2, 1.0).unwrap_err().to_string();
    assert!(problem.contains("layer: layer 2; 0 to 1 were expected"), "{problem}");
    assert!(net.preferred_inputs(&mut engine, 0, f32::NAN).is_err());
}

fn evaluation(settings: &Settings, samples: &Samples, threads: usize) -> Evaluation {
    let net = Autoencoder::new(settings.clone(), Scaling::AsIs).unwrap();
    let mut engine = Engine::new(Isa::detect(), ThreadPool::exactly(threads));
    net.evaluate(&mut engine, samples).unwrap()
}

/// Explained variance is right for numbers with a large offset, too.
#[test]
fn explained_variance_has_no_offset() {
    for offset in [0.0f32, 1e6] {
        let values: Vec<f32> = (0..900).map(|i| offset + 0.125 * (i * i % 7) as f32).collect();
        let samples = Samples::from_values(values.clone(), 3).unwrap();
        let settings = Settings { layers: vec![3, 2, 3], ..Settings::default() };
        let settings = settings.fitted_to(&samples);
        let have = evaluation(&settings, &samples, 2);
        let mut spread = 0.0;
        for feature in 0..3 {
            let column = || values.iter().skip(feature).step_by(3).map(|&x| f64::from(x));
            let mean = column().sum::<f64>() / 300.0;
            spread += column().map(|x| (x - mean) * (x - mean)).sum::<f64>();
        }
        let want = 1.0 - 900.0 * have.squared_error / spread;
        let error = (have.explained_variance / want - 1.0).abs();
        assert!(error < 1e-9, "{offset}: {} and {want}", have.explained_variance);
    }
}

/// Every number of an evaluation has the same bits for any number of threads, also where the last
/// chunk of samples is short.
#[test]
fn threads_do_not_change_an_evaluation() {
    let (features, count) = (200, 601);
    let samples = Samples::from_values(pixels(5, count, features), features).unwrap();
    let settings =
        Settings { layers: vec![features, 130, 40, 130, features], ..Settings::default() };
    let with = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings.clone();
        change(&mut settings);
        settings
    };
    let relu = |settings: &mut Settings| {
        settings.activation = Activation::Relu;
        settings.initialization = Initialization::Xavier;
        settings.beta = 0.0;
        settings.l1 = 1e-3;
    };
    for settings in [
        settings.clone(),
        with(&|settings| settings.loss = Loss::CrossEntropy),
        with(&relu),
        with(&|settings| {
            relu(settings);
            settings.activation = Activation::Tanh;
        }),
        with(&|settings| {
            relu(settings);
            settings.code = Code::TopK(7);
        }),
        with(&|settings| {
            relu(settings);
            settings.code = Code::JumpRelu { l0: 1e-3, bandwidth: 0.1, threshold: 0.1 };
        }),
    ] {
        let one = evaluation(&settings, &samples, 1);
        assert!(one.objective.is_finite() && one.explained_variance.is_finite());
        for threads in [2, 3, 7] {
            assert_eq!(one, evaluation(&settings, &samples, threads), "{threads} threads");
        }
    }
}

/// The sums of an evaluation are those of the reconstructions and codes, taken one by one.
#[test]
fn an_evaluation_adds_up_what_the_network_gives() {
    let (features, count) = (200, 601);
    let samples = Samples::from_values(pixels(6, count, features), features).unwrap();
    let settings = Settings { layers: vec![features, 40, features], ..Settings::default() };
    let net = Autoencoder::new(settings.clone(), Scaling::AsIs).unwrap();
    let mut engine = Engine::new(Isa::detect(), ThreadPool::exactly(3));
    let evaluation = net.evaluate(&mut engine, &samples).unwrap();
    let outputs = net.reconstruct(&mut engine, &samples).unwrap();
    let codes = net.encode(&mut engine, &samples).unwrap();
    let inputs = pixels(6, count, features);
    let square = |(x, a): (&f32, &f32)| (f64::from(*x) - f64::from(*a)).powi(2);
    let error = inputs.iter().zip(&outputs).map(square).sum::<f64>() / inputs.len() as f64;
    assert!((evaluation.squared_error / error - 1.0).abs() < 1e-12);
    let layer = &evaluation.layers[0];
    let active = codes.iter().filter(|a| a.abs() > layer.threshold).count();
    assert_eq!(layer.l0, active as f64 / count as f64);
    for (unit, &largest) in layer.largest.iter().enumerate() {
        let of_unit = codes[unit..].iter().step_by(40);
        assert_eq!(largest, of_unit.fold(0.0, |max: f32, a| max.max(a.abs())));
    }
    let histogram = &layer.histogram;
    assert_eq!(histogram.counts.iter().sum::<u64>() + histogram.zeros, codes.len() as u64);
}

/// Of samples that are not finite the first is named, whatever thread meets it.
#[test]
fn the_first_bad_sample_is_named() {
    let (features, count) = (200, 240);
    let mut values = pixels(7, count, features);
    for row in [230, 110, 30] {
        values[row * features + 7] = f32::NAN;
    }
    let samples = Samples::from_values(values, features).unwrap();
    let settings = Settings { layers: vec![features, 5, features], ..Settings::default() };
    let net = Autoencoder::new(settings, Scaling::AsIs).unwrap();
    for threads in [1, 2, 3, 7] {
        let mut engine = Engine::new(Isa::detect(), ThreadPool::exactly(threads));
        let problem = net.encode(&mut engine, &samples).unwrap_err().to_string();
        assert!(problem.starts_with("sample 30, feature 7 is NaN"), "{problem}");
    }
}
