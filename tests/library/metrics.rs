//! The figures of an evaluation and of decoders, against plain sums in `f64` and SAELens' own numbers.

use sae::{
    Activation, Autoencoder, Code, Engine, Error, Evaluation, Initialization, Isa, Loss, Samples,
    Scaling, Settings, compute::ThreadPool,
};

use crate::common::uniform;

fn engine(threads: usize) -> Engine {
    Engine::new(Isa::detect(), ThreadPool::exactly(threads))
}

/// A network of one hidden layer with a linear output.
fn dictionary(features: usize, units: usize, code: Code) -> Autoencoder {
    let settings = Settings {
        layers: vec![features, units, features],
        activation: Activation::Relu,
        output_activation: Activation::Linear,
        initialization: Initialization::Xavier,
        beta: 0.0,
        code,
        ..Settings::default()
    };
    Autoencoder::new(settings, Scaling::AsIs).unwrap()
}

/// Plain sums of what the network gives.
struct Plain {
    fvu: f64,
    per_batch: f64,
    cosine: f64,
    ratio: f64,
    bias: f64,
}

/// 1 - the explained variance of these samples by these reconstructions.
fn unexplained(x: &[f64], a: &[f64], features: usize) -> f64 {
    let n = (x.len() / features) as f64;
    let mut spread = 0.0;
    for feature in 0..features {
        let column = || x[feature..].iter().step_by(features);
        let mean = column().sum::<f64>() / n;
        spread += column().map(|x| (x - mean).powi(2)).sum::<f64>();
    }
    let error = x.iter().zip(a).map(|(x, a)| (a - x).powi(2)).sum::<f64>();
    if spread > 0.0 { error / spread } else { f64::NAN }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

fn plain(x: &[f64], a: &[f64], features: usize) -> Plain {
    let dot = |x: &[f64], a: &[f64]| x.iter().zip(a).map(|(x, a)| x * a).sum::<f64>();
    let samples = || x.chunks(features).zip(a.chunks(features));
    let batch = features * Evaluation::BATCH;
    let whole = |rows: usize| rows == batch || x.len() < batch;
    let batches = x.chunks(batch).zip(a.chunks(batch)).filter(|(x, _)| whole(x.len()));
    Plain {
        fvu: unexplained(x, a, features),
        per_batch: mean(batches.map(|(x, a)| 1.0 - unexplained(x, a, features))),
        // 0 / 0 is not a number and left out.
        cosine: mean(samples().map(|(x, a)| dot(x, a) / (dot(x, x).sqrt() * dot(a, a).sqrt()))),
        ratio: mean(
            samples().filter(|(x, _)| dot(x, x) > 0.0).map(|(x, a)| (dot(a, a) / dot(x, x)).sqrt()),
        ),
        bias: samples().map(|(_, a)| dot(a, a)).sum::<f64>()
            / samples().map(|(x, a)| dot(x, a)).sum::<f64>(),
    }
}

/// Equal, or both not a number.
fn assert_near(found: f64, expected: f64, what: &str) {
    // (Infinity is not near itself.)
    let near = found == expected || (found - expected).abs() <= 1e-9 * expected.abs().max(1.0);
    assert!(near || found.is_nan() && expected.is_nan(), "{what}: {found}, not {expected}");
}

/// Checks an evaluation against plain sums, and returns it.
fn checked(net: &Autoencoder, values: &[f32], what: &str) -> Evaluation {
    let features = net.settings().layers[0];
    let samples = Samples::from_values(values.to_vec(), features).unwrap();
    let found = net.evaluate(&mut engine(1), &samples).unwrap();
    let other = net.evaluate(&mut engine(3), &samples).unwrap();
    assert_eq!(format!("{found:?}"), format!("{other:?}"), "{what}: with other threads");
    let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let outputs = net.reconstruct(&mut engine(2), &samples).unwrap();
    let expected = plain(&wide(values), &wide(&outputs), features);
    // With a cross-entropy an evaluation takes the outputs from logits, without rounding them.
    let is_exact = net.settings().loss == Loss::SquaredError;
    for (name, found, expected) in [
        ("fvu", found.fvu, expected.fvu),
        ("per batch", found.explained_variance_per_batch, expected.per_batch),
        ("cosine", found.cosine_similarity, expected.cosine),
        ("ratio", found.l2_ratio, expected.ratio),
        ("bias", found.relative_reconstruction_bias, expected.bias),
        ("explained variance", found.explained_variance, 1.0 - expected.fvu),
    ] {
        if is_exact {
            assert_near(found, expected, &format!("{what}, {name}"));
        } else {
            assert!((found - expected).abs() < 1e-5, "{what}, {name}: {found}, not {expected}");
        }
    }
    check_frequencies(net, &samples, &found, what);
    found
}

fn check_frequencies(net: &Autoencoder, samples: &Samples, found: &Evaluation, what: &str) {
    let codes = net.encode(&mut engine(2), samples).unwrap();
    let (units, layer) = (net.settings().code_units(), &found.layers[0]);
    let share = |unit: usize| {
        let of_unit = codes[unit..].iter().step_by(units);
        of_unit.filter(|a| a.abs() > layer.threshold).count() as f64 / samples.len() as f64
    };
    let shares: Vec<f64> = (0..units).map(share).collect();
    assert_eq!(layer.frequencies, shares, "{what}");
    let dense: Vec<usize> = (0..units).filter(|&unit| shares[unit] > 0.1).collect();
    assert_eq!(layer.dense_units().collect::<Vec<_>>(), dense, "{what}");
    let histogram = layer.frequency_histogram();
    assert_eq!(histogram.zeros, shares.iter().filter(|share| **share == 0.0).count() as u64);
    assert_eq!(histogram.counts.iter().sum::<u64>() + histogram.zeros, units as u64);
}

/// Every figure is that of plain sums: with codes of all kinds, a large offset, lengths around those of
/// batches and of chunks, and one sample.
#[test]
fn figures_are_those_of_plain_sums() {
    let jump_relu = Code::JumpRelu { l0: 1e-3, bandwidth: 0.1, threshold: 0.3 };
    for (at, code) in
        [Code::Dense, Code::TopK(3), Code::BatchTopK(2), jump_relu].into_iter().enumerate()
    {
        for (features, count) in
            [(1, 1), (3, 2), (17, 250), (5, 1023), (4, 1024), (33, 1025), (6, 2500)]
        {
            let mut net = dictionary(features, 23, code);
            let last = net.layers()[1].biases();
            for offset in [0.0f32, 1e4] {
                net.parameters_mut()[last.clone()].fill(offset);
                let values = uniform((at * count) as u64 + 1, features * count);
                // Whole steps, for sums without rounding where the offset is large.
                let values: Vec<f32> =
                    values.into_iter().map(|x| offset + (x * 256.0).round() / 64.0).collect();
                let what = format!("{code}, {features} features, {count} samples, {offset}");
                checked(&net, &values, &what);
            }
        }
    }
    // Outputs of logits.
    let settings = Settings {
        layers: vec![7, 5, 7],
        loss: Loss::CrossEntropy,
        initialization: Initialization::Xavier,
        ..Settings::default()
    };
    let net = Autoencoder::new(settings, Scaling::AsIs).unwrap();
    checked(&net, &uniform(3, 7 * 700), "cross-entropy");
}

/// Constant features add nothing to a variance, and where none varies there is no figure of it.
#[test]
fn constant_features_are_no_variance() {
    let net = dictionary(3, 4, Code::Dense);
    let values: Vec<f32> = uniform(5, 900).chunks(3).flat_map(|x| [x[0], 14.62, 1e7]).collect();
    let found = checked(&net, &values, "two constant features");
    assert!(found.fvu.is_finite() && found.explained_variance_per_batch.is_finite());
    let found = checked(&net, &[0.5, 14.62, 1e7].repeat(1030), "all constant");
    assert!(found.fvu.is_nan() && found.explained_variance_per_batch.is_nan());
    assert!(found.cosine_similarity.is_finite());
    let found = checked(&net, &[0.5, 14.62, 1e7], "a single sample");
    assert!(found.fvu.is_nan() && found.l2_ratio.is_finite());
}

/// Samples that are 0 have no angle and no ratio of lengths.
#[test]
fn samples_that_are_0_are_left_out() {
    let mut net = dictionary(2, 1, Code::Dense);
    let layers = net.layers();
    net.parameters_mut().fill(0.0);
    net.parameters_mut()[layers[1].biases()].copy_from_slice(&[3.0, 4.0]);
    // (6, 8) has the cosine 1 and half the length, (-4, 3) the cosine 0 and the same length.
    let values = [0.0, 0.0, 6.0, 8.0, -4.0, 3.0, 0.0, 0.0];
    let found = checked(&net, &values, "some are 0");
    assert_eq!((found.cosine_similarity, found.l2_ratio), (0.5, 0.75));
    assert_eq!(found.relative_reconstruction_bias, 100.0 / 50.0);
    let found = checked(&net, &[0.0; 8], "all are 0");
    assert!(found.cosine_similarity.is_nan() && found.l2_ratio.is_nan());
    assert_eq!(found.relative_reconstruction_bias, f64::INFINITY);
    // Reconstructions that are 0: no cosine, the ratio 0, and a bias of 0 / 0.
    net.parameters_mut().fill(0.0);
    let found = checked(&net, &values, "outputs of 0");
    assert!(found.cosine_similarity.is_nan() && found.relative_reconstruction_bias.is_nan());
    assert_eq!(found.l2_ratio, 0.0);
}

/// Whole numbers without a pattern.
fn numbers(count: usize, multiply: usize, modulus: usize) -> impl Iterator<Item = f32> {
    (0..count).map(move |i| ((i * i * multiply + i) % modulus) as f32)
}

/// The figures of SAELens 6.54.12 (`evals.get_sparsity_and_variance_metrics` of a `TopKSAE`) on the same
/// weights and samples. With an offset of 1 000 it loses digits of the explained variance, whose squares
/// it sums in `f32` (-3.921 for -3.985), so that only its other figures are compared there.
#[test]
fn figures_are_those_of_saelens() {
    let (features, units, count) = (5, 8, 40);
    for (offset, cosine, ratio, bias) in [
        (0.0f32, -0.331_045_776_605_606_1, 0.594_810_366_630_554_2, -1.706_120_729_446_411_1),
        (1000.0, 0.999_999_523_162_841_8, 0.998_510_837_554_931_6, 0.998_511_373_996_734_6),
    ] {
        let mut net = dictionary(features, units, Code::TopK(3));
        let layers = net.layers();
        let encoder: Vec<f32> = numbers(40, 13, 17).map(|w| (w - 8.0) / 16.0).collect();
        let sum = |unit: usize| encoder[unit..].iter().step_by(units).sum::<f32>();
        let biases = numbers(units, 3, 5).enumerate();
        let biases: Vec<f32> =
            biases.map(|(unit, b)| (b - 2.0) / 8.0 - offset * sum(unit)).collect();
        let parameters = net.parameters_mut();
        for (at, &weight) in encoder.iter().enumerate() {
            // Stored unit by unit.
            parameters[layers[0].weights()][at % units * features + at / units] = weight;
        }
        parameters[layers[0].biases()].copy_from_slice(&biases);
        let decoder: Vec<f32> = numbers(40, 11, 19).map(|w| (w - 9.0) / 16.0).collect();
        parameters[layers[1].weights()].copy_from_slice(&decoder);
        let output: Vec<f32> = numbers(features, 3, 7).map(|b| offset + b / 8.0).collect();
        parameters[layers[1].biases()].copy_from_slice(&output);
        let values: Vec<f32> = numbers(count * features, 7, 23).map(|x| x / 8.0 + offset).collect();
        let found = checked(&net, &values, "the values of SAELens");
        let layer = &found.layers[0];
        for (found, expected) in [
            (found.cosine_similarity, cosine),
            (found.l2_ratio, ratio),
            (found.relative_reconstruction_bias, bias),
            (layer.l0, 2.950_000_047_683_716),
            (found.squared_error * features as f64, 17.344_449_996_948_242),
            (found.explained_variance, -3.984_918_317_713_990_6),
            (found.explained_variance_per_batch, -3.984_918_317_713_990_6),
        ] {
            assert!((found - expected).abs() < 2e-6, "{offset}: {found}, not {expected}");
        }
        let frequencies = [0.65, 0.575, 0.0, 0.0, 0.05, 0.05, 0.625, 1.0];
        assert_eq!(layer.frequencies, frequencies);
        assert_eq!(layer.dense_units().collect::<Vec<_>>(), [0, 1, 6, 7]);
        assert_eq!(layer.dead_units().collect::<Vec<_>>(), [2, 3]);
    }
}

/// A network of these decoder rows.
fn with_rows(rows: &[f32], features: usize, scaling: Scaling) -> Autoencoder {
    let units = rows.len() / features;
    let settings = dictionary(features, units, Code::TopK(1)).settings().clone();
    let mut net = Autoencoder::new(settings, scaling).unwrap();
    let decoder = net.layers()[1].weights();
    net.parameters_mut()[decoder].copy_from_slice(rows);
    net
}

/// The largest cosine of a row with rows, and which; `skip` is not counted.
fn nearest(row: &[f32], rows: &[f32], skip: Option<usize>) -> (f64, usize) {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
    };
    let mut best = (f64::NEG_INFINITY, 0);
    for (unit, other) in rows.chunks(row.len()).enumerate().filter(|(unit, _)| Some(*unit) != skip)
    {
        let cosine = dot(row, other) / (dot(row, row) * dot(other, other)).sqrt();
        if cosine > best.0 {
            best = (cosine, unit);
        }
    }
    best
}

/// Redundancy and matched cosines are those of all pairs, with any number of threads; sizes are beyond a
/// tile in both directions.
#[test]
fn nearest_units_are_those_of_all_pairs() {
    for (features, units, others) in [(1, 2, 5), (3, 7, 1), (24, 300, 40), (9, 140, 1100)] {
        let rows = |seed: u64, count: usize| -> Vec<f32> {
            uniform(seed, count * features).into_iter().map(|x| 3.0 * x - 1.4).collect()
        };
        let (a, b) = (rows(7, units), rows(8, others));
        let nets = [&a, &b].map(|rows| with_rows(rows, features, Scaling::AsIs));
        let mut found = Vec::new();
        for threads in [1, 2, 3] {
            let mut engine = engine(threads);
            let redundancy = nets[0].redundancy(&mut engine).unwrap();
            let matched = nets[0].matched_cosines(&mut engine, &nets[1]).unwrap();
            found.push((redundancy, matched));
        }
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{features} {units} {others}");
        let (redundancy, matched) = &found[0];
        for (unit, row) in a.chunks(features).enumerate() {
            for (found, rows, skip) in [(redundancy, &a, Some(unit)), (matched, &b, None)] {
                let expected = nearest(row, rows, skip);
                let cosine = f64::from(found.cosines[unit]);
                assert!((cosine - expected.0).abs() < 1e-6, "{unit}: {cosine} {expected:?}");
                // (Cosines that differ by less than rounding: only of one feature, all of them 1.)
                assert!(features == 1 || found.units[unit] == expected.1, "{unit}: {expected:?}");
            }
        }
        let mean = matched.cosines.iter().map(|&x| f64::from(x)).sum::<f64>() / units as f64;
        assert_eq!(matched.mean(), mean);
        let largest = redundancy.largest().unwrap();
        assert!(redundancy.cosines.iter().all(|&cosine| cosine <= largest.1));
        assert_eq!(redundancy.cosines[largest.0], largest.1);
    }
}

#[test]
fn rows_of_any_length_have_cosines() {
    // Twice the same direction, its opposite, nothing, and lengths whose squares are no numbers.
    let rows = [1.0, 2.0, 3e30, 6e30, -1e-40, -2e-40, 0.0, 0.0, 2.0, -1.0];
    let net = with_rows(&rows, 2, Scaling::AsIs);
    let found = net.redundancy(&mut engine(1)).unwrap();
    for (unit, expected) in [1.0, 1.0, 0.0, 0.0, 0.0].into_iter().enumerate() {
        assert!((found.cosines[unit] - expected).abs() < 1e-5, "{found:?}");
    }
    assert_eq!(&found.units[..2], [1, 0]);
    let same = net.matched_cosines(&mut engine(1), &net).unwrap();
    assert!((same.cosines[2] - 1.0).abs() < 1e-5 && same.cosines[3] == 0.0, "{same:?}");
    // One unit has no other.
    let one = with_rows(&rows[..2], 2, Scaling::AsIs).redundancy(&mut engine(1)).unwrap();
    assert!(one.cosines.is_empty() && one.mean().is_nan() && one.largest().is_none());
}

/// Cosines are those of the folded dictionary: in the data's units.
#[test]
fn scalings_are_unscaled_for_cosines() {
    let (rows, mean) = (uniform(11, 6 * 3), vec![1.0, 2.0, 3.0].into());
    let scaling =
        Scaling::MeanDeviationByFeature { mean, deviation: vec![0.01, 100.0, 1.0].into() };
    let net = with_rows(&rows, 3, scaling);
    let folded = net.fold_scaling().unwrap();
    let found = [&net, &folded].map(|net| net.redundancy(&mut engine(1)).unwrap());
    let pairs = found[0].cosines.iter().zip(&found[1].cosines);
    assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    let plain = with_rows(&rows, 3, Scaling::AsIs).redundancy(&mut engine(1)).unwrap();
    assert!(plain.mean() < found[0].mean() - 0.01, "{plain:?} {found:?}");
    let matched = net.matched_cosines(&mut engine(1), &folded).unwrap();
    assert!((matched.mean() - 1.0).abs() < 1e-6, "{matched:?}");
}

#[test]
fn decoders_that_are_no_dictionary_are_refused() {
    let net = dictionary(3, 4, Code::Dense);
    let settings = Settings { layers: vec![3, 5, 2, 5, 3], ..Settings::default() };
    let deep = Autoencoder::new(settings, Scaling::AsIs).unwrap();
    let refused = |result: sae::Result<_>| match result {
        Err(error @ (Error::Setting { .. } | Error::Shape(_))) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let problem = refused(deep.redundancy(&mut engine(1)));
    assert_eq!(
        problem,
        "layers: the redundancy is that of a decoder of one layer, and this one has 2"
    );
    assert!(refused(net.matched_cosines(&mut engine(1), &deep)).contains("the stability is that"));
    let other = dictionary(5, 4, Code::Dense);
    assert_eq!(
        refused(net.matched_cosines(&mut engine(1), &other)),
        "dictionaries of the same features can be compared, and these have 3 and 5"
    );
}
