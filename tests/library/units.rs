//! Summaries of units against a naive computation from codes, for any number of threads.

use crate::common::{pixels, uniform};
use crate::counting::peak;
use sae::analysis::{TopSample, UnitOptions, UnitSummary};
use sae::data::{Row, Source};
use sae::{
    Activation, Autoencoder, Code, Engine, Error, Initialization, Isa, Samples, Scaling, Settings,
    compute::ThreadPool,
};

const FEATURES: usize = 12;
/// More than a chunk of any code, and no multiple of one.
const SAMPLES: usize = 1300;

fn engine(threads: usize) -> Engine {
    Engine::new(Isa::detect(), ThreadPool::exactly(threads))
}

fn samples() -> Samples {
    let mut values = pixels(5, SAMPLES, FEATURES);
    // Equal samples, whose activations are equal.
    values.copy_within(3 * FEATURES..4 * FEATURES, 1200 * FEATURES);
    values.copy_within(3 * FEATURES..4 * FEATURES, 700 * FEATURES);
    Samples::from_values(values, FEATURES).unwrap()
}

fn labels() -> Vec<u8> {
    (0..SAMPLES).map(|i| (i * i / 3 % 7) as u8).collect()
}

fn network(layers: &[usize], activation: Activation, code: &str) -> Autoencoder {
    let settings = Settings {
        layers: layers.into(),
        activation,
        initialization: Initialization::He,
        code: code.parse().unwrap(),
        beta: 0.0,
        ..Settings::default()
    };
    let mut net = Autoencoder::new(settings, Scaling::AsIs).unwrap();
    // Biases and thresholds that differ, and two units that are never active with ReLU.
    let layers = net.layers();
    let code = net.settings().encoder_layers() - 1;
    let numbers = uniform(9, 4096);
    for layer in &layers {
        let biases = net.parameters_mut()[layer.biases()].iter_mut().zip(&numbers);
        biases.for_each(|(bias, x)| *bias = 0.6 * x - 0.4);
    }
    let dead = layers[code].biases();
    net.parameters_mut()[dead.start + 1] = -1e3;
    net.parameters_mut()[dead.end - 1] = -1e3;
    if matches!(net.settings().code, Code::BatchTopK(_)) {
        *net.parameters_mut().last_mut().unwrap() = 0.2;
    }
    net
}

fn networks() -> Vec<(String, Autoencoder)> {
    let (relu, sigmoid, tanh) = (Activation::Relu, Activation::Sigmoid, Activation::Tanh);
    let mut all = Vec::new();
    for layers in [&[FEATURES, 33, FEATURES][..], &[FEATURES, 17, 40, 9, FEATURES]] {
        for (activation, code) in [
            (relu, "dense"),
            (sigmoid, "dense"),
            (tanh, "dense"),
            (relu, "top-k:3"),
            (tanh, "top-k:5"),
            (relu, "batch-top-k:3"),
            (relu, "jump-relu:0.05"),
        ] {
            let name = format!("{layers:?} {activation:?} {code}");
            all.push((name, network(layers, activation, code)));
        }
    }
    all
}

/// The network of which a hidden layer of the encoder is the code.
fn up_to(net: &Autoencoder, layer: usize) -> Autoencoder {
    let mut sizes = net.settings().layers[..layer + 2].to_vec();
    sizes.extend(net.settings().layers[..layer + 1].iter().rev());
    let settings = Settings { layers: sizes, code: Code::Dense, ..net.settings().clone() };
    let mut part = Autoencoder::new(settings, Scaling::AsIs).unwrap();
    let end = part.layers()[layer].biases().end;
    part.parameters_mut()[..end].copy_from_slice(&net.parameters()[..end]);
    part
}

/// What a unit's activations say.
fn check_unit(unit: &UnitSummary, column: &[f32], threshold: f32, top: usize, name: &str) {
    let active = |sample: &usize| column[*sample].abs() > threshold;
    let mut order: Vec<usize> = (0..column.len()).filter(active).collect();
    assert_eq!(unit.active, order.len() as u64, "{name}");
    assert_eq!(unit.frequency, order.len() as f64 / column.len() as f64, "{name}");
    let sum: f64 = order.iter().map(|&at| f64::from(column[at])).sum();
    let mean_active = sum / order.len() as f64;
    let is_mean = unit.mean_active == mean_active || order.is_empty();
    assert!(is_mean && unit.mean_active.is_nan() == order.is_empty(), "{name}");
    let mut bins = [0; 64];
    for &sample in &order {
        let log = f64::from(column[sample].abs()).log10();
        bins[((log + 4.0) * 8.0).ceil().clamp(1.0, 64.0) as usize - 1] += 1;
    }
    assert_eq!(unit.histogram.counts, bins, "{name}");
    assert_eq!((unit.histogram.low, unit.histogram.high), (-4.0, 4.0));
    assert_eq!(unit.histogram.zeros, (column.len() - order.len()) as u64, "{name}");
    let mut of_labels = [0; 7];
    let labels = labels();
    order.iter().for_each(|&sample| of_labels[usize::from(labels[sample])] += 1);
    assert_eq!(unit.labels, of_labels, "{name}");
    let most = *of_labels.iter().max().unwrap();
    let purest = of_labels.iter().position(|&count| count == most).unwrap();
    let share = most as f64 / order.len() as f64;
    let expected = (!order.is_empty()).then_some((purest as u8, share));
    assert_eq!(unit.purest_label(), expected, "{name}");
    // Stable: of equal ones the smaller sample is first.
    order.sort_by(|&a, &b| column[b].abs().total_cmp(&column[a].abs()));
    let found: Vec<_> = unit.top.iter().map(|top| (top.sample, top.activation)).collect();
    let expected: Vec<_> = order.iter().take(top).map(|&at| (at, column[at])).collect();
    assert_eq!(found, expected, "{name}");
    let max = order.first().map_or(0.0, |&at| column[at].abs());
    assert_eq!(unit.max.abs(), max, "{name}");
}

fn norm(weights: impl Iterator<Item = f32>) -> f64 {
    weights.map(|w| f64::from(w).powi(2)).sum::<f64>().sqrt()
}

fn check_weights(net: &Autoencoder, layer: usize, unit: &UnitSummary, name: &str) {
    let (into, out) = (net.layers()[layer], net.layers()[layer + 1]);
    let (into_weights, weights) = (net.weights(layer), net.weights(layer + 1));
    let row = |unit: usize| weights[unit * out.outputs..(unit + 1) * out.outputs].to_vec();
    let column = into_weights[unit.unit..].iter().step_by(into.outputs);
    assert!((unit.norm_in - norm(column.copied())).abs() < 1e-6, "{name}");
    assert!((unit.norm_out - norm(row(unit.unit).into_iter())).abs() < 1e-6, "{name}");
    let own = row(unit.unit);
    let cosine = |other: usize| {
        let other = row(other);
        let product: f64 = own.iter().zip(&other).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        product / norm(own.iter().copied()) / norm(other.into_iter())
    };
    let others = (0..out.inputs).filter(|other| *other != unit.unit);
    let largest = others.map(cosine).fold(f64::NEG_INFINITY, f64::max);
    let (nearest, found) = unit.nearest.unwrap();
    assert!((f64::from(found) - largest).abs() < 1e-5, "{name}: {found}, not {largest}");
    assert!((cosine(nearest) - largest).abs() < 1e-5 && nearest != unit.unit, "{name}");
}

#[test]
fn summaries_are_those_of_the_codes() {
    let (samples, labels) = (samples(), labels());
    for (name, net) in networks() {
        let code = net.settings().encoder_layers() - 1;
        let evaluation = net.evaluate(&mut engine(2), &samples).unwrap();
        for layer in 0..net.settings().layers.len() - 2 {
            let options = UnitOptions { layer: Some(layer), ..UnitOptions::default() };
            let options = UnitOptions { top: 7, labels: Some(&labels), ..options };
            let units = net.unit_summaries(&mut engine(1), &samples, &options).unwrap();
            let name = format!("{name}, layer {layer}");
            let activity = &evaluation.layers[layer];
            let dead: Vec<_> = units.iter().filter(|unit| unit.is_dead).map(|u| u.unit).collect();
            assert_eq!(dead, activity.dead_units().collect::<Vec<_>>(), "{name}");
            let dense: Vec<_> = units.iter().filter(|u| u.is_dense()).map(|u| u.unit).collect();
            assert_eq!(dense, activity.dense_units().collect::<Vec<_>>(), "{name}");
            let activations = match layer {
                _ if layer == code => Some(net.encode(&mut engine(1), &samples).unwrap()),
                _ if layer < code => {
                    Some(up_to(&net, layer).encode(&mut engine(1), &samples).unwrap())
                }
                _ => None,
            };
            for (number, unit) in units.iter().enumerate() {
                let name = format!("{name}, unit {number}");
                assert_eq!(unit.unit, number);
                assert_eq!(unit.frequency, activity.frequencies[number], "{name}");
                assert_eq!(unit.mean, evaluation.units[layer][number], "{name}");
                if unit.active > 0 {
                    assert_eq!(unit.max.abs(), activity.largest[number], "{name}");
                }
                check_weights(&net, layer, unit, &name);
                if let Some(activations) = &activations {
                    let column = activations[number..].iter().step_by(units.len());
                    let column: Vec<f32> = column.copied().collect();
                    check_unit(unit, &column, activity.threshold, 7, &name);
                }
            }
        }
    }
}

#[test]
fn they_are_the_same_for_any_number_of_threads() {
    let (samples, labels) = (samples(), labels());
    for (name, net) in networks() {
        for layer in 0..net.settings().layers.len() - 2 {
            let options = UnitOptions { layer: Some(layer), ..UnitOptions::default() };
            let options = UnitOptions { labels: Some(&labels), ..options };
            let [one, three] = [1, 3].map(|threads| {
                let units = net.unit_summaries(&mut engine(threads), &samples, &options);
                // NaN is not equal to itself.
                format!("{:?}", units.unwrap())
            });
            assert!(one == three, "{name}, layer {layer}");
        }
    }
}

#[test]
fn nothing_is_found_that_was_not_asked_for() {
    let net = network(&[FEATURES, 33, FEATURES], Activation::Relu, "top-k:3");
    let done = std::cell::RefCell::new(Vec::new());
    let progress = |samples: usize| done.borrow_mut().push(samples);
    let options =
        UnitOptions { top: 0, nearest: false, progress: Some(&progress), ..UnitOptions::default() };
    let units = net.unit_summaries(&mut engine(2), &samples(), &options).unwrap();
    for unit in &units {
        assert!(unit.top.is_empty() && unit.labels.is_empty());
        assert_eq!((unit.nearest, unit.purest_label()), (None, None));
    }
    assert_eq!(*done.borrow(), [1024, SAMPLES]);
    // More than there are: all in which it is active.
    let options = UnitOptions { top: usize::MAX, ..UnitOptions::default() };
    let units = net.unit_summaries(&mut engine(2), &samples(), &options).unwrap();
    assert!(units.iter().all(|unit| unit.top.len() as u64 == unit.active));
    // A code of one unit has no other.
    let net = network(&[FEATURES, 4, 1, 4, FEATURES], Activation::Relu, "dense");
    let units = net.unit_summaries(&mut engine(2), &samples(), &UnitOptions::default()).unwrap();
    assert_eq!((units.len(), units[0].nearest), (1, None));
}

#[test]
fn equal_activations_are_in_the_order_of_their_samples() {
    let values = vec![0.5; 40 * FEATURES];
    let samples = Samples::from_values(values, FEATURES).unwrap();
    for code in ["dense", "top-k:3", "jump-relu:0.05"] {
        let net = network(&[FEATURES, 33, FEATURES], Activation::Relu, code);
        let units = net.unit_summaries(&mut engine(2), &samples, &UnitOptions::default()).unwrap();
        let active: Vec<_> = units.iter().filter(|unit| unit.active > 0).collect();
        assert!(!active.is_empty(), "{code}");
        for unit in active {
            let samples = unit.top.iter().map(|top| top.sample);
            assert!(samples.eq(0..10), "{code}");
        }
    }
}

#[test]
fn activations_that_are_no_numbers_are_not_active() {
    for (code, is_listed) in [("dense", false), ("jump-relu:0.05", true), ("top-k:3", true)] {
        let mut net = network(&[FEATURES, 33, FEATURES], Activation::Relu, code);
        let place = net.layers()[0].place(0, 5);
        net.parameters_mut()[place] = f32::NAN;
        let infinite = net.layers()[0].biases().start + 7;
        net.parameters_mut()[infinite] = f32::INFINITY;
        let units = net.unit_summaries(&mut engine(3), &samples(), &UnitOptions::default());
        let units = units.unwrap();
        assert!(units.iter().all(|u| u.top.iter().all(|top| !top.activation.is_nan())), "{code}");
        assert!(!units[5].top.iter().any(|top| top.activation.is_nan()), "{code}");
        assert!(units[5].mean.is_nan() || !is_listed, "{code}: {:?}", units[5].mean);
        let seven: TopSample = units[7].top[0];
        assert_eq!((seven.sample, seven.activation), (0, f32::INFINITY), "{code}");
        assert_eq!(units[7].histogram.counts[63], units[7].active, "{code}");
    }
}

/// Samples that are computed when they are needed.
#[derive(Debug)]
struct Computed(usize);

impl Source for Computed {
    fn samples(&self) -> usize {
        self.0
    }

    fn features(&self) -> usize {
        FEATURES
    }

    fn row<'a>(&'a self, row: usize, memory: &'a mut Vec<f32>) -> sae::Result<Row<'a>> {
        memory.clear();
        memory.extend((0..FEATURES).map(|at| ((row * 7 + at * at * row) % 101) as f32 / 101.0));
        Ok(Row::new(&memory[..]))
    }
}

#[test]
fn memory_depends_on_the_units_alone() {
    for code in ["dense", "top-k:3", "jump-relu:0.05"] {
        let net = network(&[FEATURES, 33, FEATURES], Activation::Relu, code);
        let bytes = [3_000, 30_000].map(|count| {
            let samples = Samples::new(Computed(count), Scaling::AsIs);
            let mut engine = engine(1);
            let options = UnitOptions::default();
            let (units, bytes) = peak(|| net.unit_summaries(&mut engine, &samples, &options));
            assert_eq!(units.unwrap().len(), 33);
            let scores = peak(|| net.score(&mut engine, &samples, |_| Ok::<(), Error>(())));
            let visit = |_: &[f32]| Ok::<(), Error>(());
            let rows = peak(|| net.for_activations(&mut engine, &samples, 1, visit));
            [bytes, scores.1, rows.1]
        });
        for (few, many) in bytes[0].into_iter().zip(bytes[1]) {
            assert!(many <= few + few / 10, "{code}: {few} and {many} bytes");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let net = network(&[FEATURES, 33, FEATURES], Activation::Relu, "top-k:3");
    let summaries = |options: UnitOptions<'_>, samples: &Samples| {
        net.unit_summaries(&mut engine(1), samples, &options).unwrap_err()
    };
    let error = summaries(UnitOptions { layer: Some(1), ..UnitOptions::default() }, &samples());
    assert_eq!(error.to_string(), "layer: expected a hidden layer, 0 to 0, got 1");
    let options = UnitOptions { labels: Some(&[1, 2]), ..UnitOptions::default() };
    let error = summaries(options, &samples());
    assert!(matches!(error, Error::Shape(_)));
    let text = "2 labels for 1300 samples; expected one label per sample";
    assert_eq!(error.to_string(), text);
    let others = Samples::from_values(vec![0.5; 26], 13).unwrap();
    assert!(matches!(summaries(UnitOptions::default(), &others), Error::Shape(_)));
    let not_finite = Samples::from_values(vec![f32::NAN; FEATURES], FEATURES).unwrap();
    summaries(UnitOptions::default(), &not_finite);
}
