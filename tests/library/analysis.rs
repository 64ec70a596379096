//! Evaluations and preferred inputs.

use crate::common::{pixels, uniform};
use sae::{
    Activation, Autoencoder, Code, Engine, Evaluation, Initialization, Isa, Loss, Samples, Scaling,
    Settings,
    analysis::{Labeled, Probe, probe},
    compute::ThreadPool,
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
            let other = evaluation(&settings, &samples, threads);
            // As text, which has every bit: the number of a constant feature, NaN, is not equal to itself.
            assert!(format!("{one:?}") == format!("{other:?}"), "{threads} threads");
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

/// A network of linear units whose weights are 0: it outputs its last biases.
fn constant(features: usize, units: f32, outputs: f32) -> Autoencoder {
    let settings = Settings {
        layers: vec![features, 1, features],
        activation: Activation::Linear,
        output_activation: Activation::Linear,
        beta: 0.0,
        ..Settings::default()
    };
    let mut net = Autoencoder::new(settings, Scaling::AsIs).unwrap();
    let layers = net.layers();
    let parameters = net.parameters_mut();
    parameters.fill(0.0);
    parameters[layers[0].biases()].fill(units);
    parameters[layers[1].biases()].fill(outputs);
    net
}

fn evaluated(net: &Autoencoder, values: Vec<f32>) -> Evaluation {
    let samples = Samples::from_values(values, net.settings().layers[0]).unwrap();
    let evaluations = [1, 3].map(|threads| {
        let mut engine = Engine::new(Isa::detect(), ThreadPool::exactly(threads));
        net.evaluate(&mut engine, &samples).unwrap()
    });
    let [one, three] = &evaluations;
    assert_eq!(format!("{one:?}"), format!("{three:?}"));
    one.clone()
}

/// The variance is right whatever the offset and the number of the samples: the sum of squares minus
/// the square of the sum is not.
#[test]
fn the_explained_variance_does_not_depend_on_an_offset() {
    for constant_value in [14.62f32, -0.1, 1e8, 3e38, 1e-40] {
        for count in [1, 7, 250, 1003] {
            let of = evaluated(&constant(1, 0.0, 0.0), vec![constant_value; count]);
            assert!(of.explained_variance.is_nan(), "{constant_value} {count}");
            assert!(of.explained_variance_per_feature[0].is_nan());
            assert_eq!(of.worst_feature(), None);
        }
    }
    for (low, step, count) in
        [(1e8f32, 8.0f32, 1000), (-14.62, 1e-5, 999), (1e30, 1e23, 251), (0.0, 1.0, 10_000)]
    {
        let values: Vec<f32> =
            (0..count).map(|at| if at % 2 == 0 { low } else { low + step }).collect();
        let wide: Vec<f64> = values.iter().map(|&x| f64::from(x) - f64::from(low)).collect();
        let n = count as f64;
        let mean = wide.iter().sum::<f64>() / n;
        let spread: f64 = wide.iter().map(|x| (x - mean).powi(2)).sum();
        let errors: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
        let of = evaluated(&constant(1, 0.0, 0.0), values);
        let expected = 1.0 - errors / spread;
        for found in [of.explained_variance, of.explained_variance_per_feature[0]] {
            assert!((found / expected - 1.0).abs() < 1e-9, "{low}: {found}, not {expected}");
        }
    }
    // A network that outputs the mean explains nothing, wherever the mean is.
    let values: Vec<f32> =
        (0..2000).map(|at| if at % 2 == 0 { 65536.0 } else { 65538.0 }).collect();
    let of = evaluated(&constant(1, 0.0, 65537.0), values);
    assert_eq!((of.explained_variance, of.worst_feature()), (0.0, Some((0, 0.0))));
}

/// The mean activation of a unit that is always the same is that, over any number of samples.
#[test]
fn mean_activations_do_not_drift() {
    for (activation, count) in [(0.1f32, 1_000_000), (-3.3, 70_000), (1e30, 1001), (0.1, 3)] {
        let of = evaluated(&constant(1, activation, 0.0), vec![0.5; count]);
        let relative = f64::from(of.units[0][0]) / f64::from(activation) - 1.0;
        assert!(relative.abs() < 5e-6, "{activation}: {}", of.units[0][0]);
        if activation == 0.1 {
            assert!((of.units[0][0] - 0.1).abs() < 1e-6);
        }
        assert!((of.mean_activations()[0] / f64::from(activation) - 1.0).abs() < 5e-6);
    }
}

/// A feature of a narrow range has its own number, which those of wide ranges hide in the total.
#[test]
fn each_feature_has_its_explained_variance() {
    let features = 21;
    let count = 700;
    let value = |at: usize| match at % features {
        0 => 1e4 * ((at / features) % 7) as f32,
        3 => 5.0,
        feature => ((at / features) % (feature + 2)) as f32,
    };
    let values: Vec<f32> = (0..count * features).map(value).collect();
    for loss in [Loss::SquaredError, Loss::CrossEntropy] {
        let scale = if loss == Loss::CrossEntropy { 6e4 } else { 1.0 };
        let values: Vec<f32> = values.iter().map(|x| x / scale).collect();
        let settings = Settings {
            layers: vec![features, 4, features],
            loss,
            initialization: Initialization::Xavier,
            ..Settings::default()
        };
        let net = Autoencoder::new(settings, Scaling::AsIs).unwrap();
        let of = evaluated(&net, values.clone());
        let samples = Samples::from_values(values.clone(), features).unwrap();
        let mut engine = Engine::new(Isa::detect(), ThreadPool::exactly(1));
        let outputs = net.reconstruct(&mut engine, &samples).unwrap();
        assert_eq!(of.explained_variance_per_feature.len(), features);
        let (mut all, mut all_errors) = (0.0, 0.0);
        for feature in 0..features {
            let column = |of: &[f32]| -> Vec<f64> {
                of[feature..].iter().step_by(features).map(|&x| x.into()).collect()
            };
            let (x, a) = (column(&values), column(&outputs));
            let mean = x.iter().sum::<f64>() / count as f64;
            let spread: f64 = x.iter().map(|x| (x - mean).powi(2)).sum();
            let errors: f64 = x.iter().zip(&a).map(|(x, a)| (a - x).powi(2)).sum();
            (all, all_errors) = (all + spread, all_errors + errors);
            let found = of.explained_variance_per_feature[feature];
            if feature == 3 {
                assert!(found.is_nan());
                continue;
            }
            let expected = 1.0 - errors / spread;
            assert!((found / expected - 1.0).abs() < 1e-5, "{feature}: {found}, not {expected}");
        }
        let expected = 1.0 - all_errors / all;
        assert!((of.explained_variance - expected).abs() < 1e-5);
        let least = of.explained_variance_per_feature.iter().filter(|x| !x.is_nan());
        let least = least.copied().fold(f64::INFINITY, f64::min);
        assert_eq!(of.worst_feature().unwrap().1, least);
    }
}

fn probed(units: usize, codes: &[f32], labels: &[u8]) -> sae::Result<Probe> {
    let all = Labeled { codes, labels };
    probe(&mut Engine::new(Isa::detect(), ThreadPool::exactly(2)), units, all, all)
}

/// Neither the offset nor the range of a unit matters to a probe.
#[test]
fn probes_do_not_depend_on_offsets_and_ranges() {
    let found = probed(1, &[1000.0, 1000.1], &[0, 1]).unwrap();
    assert_eq!((found.linear, found.nearest), (1.0, 1.0));
    for offset in [0.0f32, 1000.0, -1e6, 3e7] {
        // Two classes, 1 (or what a number there can differ by) apart.
        let step = (offset.abs() * 1e-7).max(1.0);
        let codes: Vec<f32> =
            (0..100).map(|at| if at % 2 == 0 { offset } else { offset + 4.0 * step }).collect();
        let labels: Vec<u8> = (0..100).map(|at| (at % 2) as u8).collect();
        let found = probed(1, &codes, &labels).unwrap();
        assert_eq!((found.linear, found.nearest), (1.0, 1.0), "{offset}");
        // Beside a unit of another range that says nothing, and a constant one.
        for range in [1e-6f32, 1e6, 1e20] {
            let wide = |at: usize| range * (at * 37 % 11) as f32;
            let codes: Vec<f32> =
                codes.iter().enumerate().flat_map(|(at, &x)| [wide(at), x, 7.3]).collect();
            let found = probed(3, &codes, &labels).unwrap();
            assert_eq!(found.linear, 1.0, "{offset} {range}");
        }
    }
    // The constant unit alone: the most frequent label, and that of the first sample.
    let labels: Vec<u8> = (0..100).map(|at| u8::from(at % 4 > 0)).collect();
    let found = probed(1, &[14.62; 100], &labels).unwrap();
    assert_eq!((found.linear, found.nearest), (0.75, 0.25));
}

/// A class that is rare is not moved by the ridge, and many samples add up.
#[test]
fn probes_of_many_samples_are_right() {
    let count = 300_000;
    let codes: Vec<f32> = (0..count).map(|at| 100.0 + u8::from(at % 1000 == 0) as f32).collect();
    let labels: Vec<u8> = (0..count).map(|at| u8::from(at % 1000 == 0)).collect();
    let few = Labeled { codes: &codes[..1001], labels: &labels[..1001] };
    let all = Labeled { codes: &codes, labels: &labels };
    let mut engine = Engine::new(Isa::detect(), ThreadPool::exactly(2));
    assert_eq!(probe(&mut engine, 1, all, few).unwrap().linear, 1.0);
}

#[test]
fn codes_that_cannot_be_probed_are_refused() {
    for (units, codes, labels, sentence) in [
        (0, &[][..], &[0u8, 1][..], "units: expected codes of at least 1 unit, got 0"),
        (0, &[], &[], "units: expected codes of at least 1 unit, got 0"),
        (2, &[], &[], "training samples of the probe: expected at least one label, got none"),
        (2, &[1.0; 3], &[0, 1], "a code of 2 numbers for each of 2 labels, got 3 numbers"),
        (usize::MAX, &[1.0; 3], &[0, 1], "for each of 2 labels, got 3 numbers"),
        (
            2,
            &[1.0, 2.0, 3.0, f32::NAN],
            &[0, 1],
            "expected finite numbers, got NaN for unit 1 of sample 1",
        ),
        (1, &[f32::INFINITY], &[0], "expected finite numbers, got inf for unit 0 of sample 0"),
    ] {
        let problem = probed(units, codes, labels).unwrap_err().to_string();
        assert!(problem.contains(sentence), "{problem}");
    }
    let mut engine = Engine::new(Isa::detect(), ThreadPool::exactly(1));
    let good = Labeled { codes: &[1.0, 2.0], labels: &[0, 1] };
    let bad = Labeled { codes: &[f32::NAN], labels: &[0] };
    let problem = probe(&mut engine, 1, good, bad).unwrap_err().to_string();
    assert!(problem.starts_with("test samples of the probe: expected finite"), "{problem}");
}
