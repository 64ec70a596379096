//! What units look for.

use crate::common::uniform;
use sae::{
    Activation, Autoencoder, Engine, Initialization, Isa, Scaling, Settings, compute::ThreadPool,
};

const FEATURES: usize = 9;
const NORM: f32 = 3.0;

fn net(activation: Activation) -> Autoencoder {
    let mut settings = Settings::default();
    (settings.layers, settings.beta) = (vec![FEATURES, 7, 5, 7, FEATURES], 0.0);
    (settings.activation, settings.initialization) = (activation, Initialization::Xavier);
    Autoencoder::new(settings, Scaling::AsIs).unwrap()
}

/// The unit's sum, before its activation, in `f64` and plain loops.
fn sum(net: &Autoencoder, layer: usize, unit: usize, input: &[f32]) -> f64 {
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

fn length(input: &[f32]) -> f32 {
    input.iter().map(|x| x * x).sum::<f32>().sqrt()
}

/// No input near it, as long, excites the unit more; for the first layer none at all.
#[test]
fn they_are_summits() {
    for activation in [Activation::Sigmoid, Activation::Tanh, Activation::Relu] {
        let net = net(activation);
        let mut engine = Engine::new(Isa::detect(), ThreadPool::new(2));
        for (layer, reach) in [(0, 10.0), (1, 0.3)] {
            let inputs = net.preferred_inputs(&mut engine, layer, NORM).unwrap();
            assert_eq!(inputs.len(), FEATURES * net.settings().layers[layer + 1]);
            for (unit, input) in inputs.chunks(FEATURES).enumerate() {
                assert!((length(input) - NORM).abs() < 1e-4, "{}", length(input));
                let summit = sum(&net, layer, unit, input);
                for seed in 0..200 {
                    let moves = uniform(seed, FEATURES);
                    let moved = input.iter().zip(moves).map(|(x, by)| x + reach * (by - 0.5));
                    let mut other: Vec<f32> = moved.collect();
                    let by = NORM / length(&other);
                    other.iter_mut().for_each(|x| *x *= by);
                    let height = sum(&net, layer, unit, &other);
                    assert!(height < summit + 1e-4, "{activation:?}, {layer}, {unit}: {height}");
                }
            }
        }
    }
}

#[test]
fn what_there_is_not_is_refused() {
    let mut engine = Engine::new(Isa::detect(), ThreadPool::new(1));
    let net = net(Activation::Sigmoid);
    let problem = net.preferred_inputs(&mut engine, 2, 1.0).unwrap_err().to_string();
    assert!(problem.contains("layer: layer 2; 0 to 1 were expected"), "{problem}");
    assert!(net.preferred_inputs(&mut engine, 0, f32::NAN).is_err());
}
