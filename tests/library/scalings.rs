//! The scalings center, unit-rms and layer-norm against their definitions; statistics in one pass against
//! two passes of higher precision; random hold-outs.

use std::collections::HashSet;

use crate::common::uniform;
use crate::formats::npy;
use sae::compute::ThreadPool;
use sae::data::{Array, Element, HeldOut, ScalingKind, Source, Summary};
use sae::{Engine, Isa, Samples, Scaling};

fn engine(threads: usize) -> Engine {
    Engine::new(Isa::detect(), ThreadPool::exactly(threads))
}

fn gathered(samples: &Samples) -> Vec<f32> {
    let mut row = vec![0.0; samples.features()];
    let mut all = Vec::new();
    for sample in 0..samples.len() {
        samples.gather(sample, &mut row).unwrap();
        all.extend(&row);
    }
    all
}

/// A sum whose error is of the order of one rounding (Ogita, Rump and Oishi's Sum2, 2005).
fn exact_sum(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut rest) = (0.0f64, 0.0);
    for number in numbers {
        let next = sum + number;
        let part = next - sum;
        rest += (sum - (next - part)) + (number - part);
        sum = next;
    }
    sum + rest
}

fn mean_of(numbers: &[f64]) -> f64 {
    exact_sum(numbers.iter().copied()) / numbers.len() as f64
}

/// The standard deviation with divisor n, in two passes.
fn deviation_of(numbers: &[f64]) -> f64 {
    let mean = mean_of(numbers);
    let squares = numbers.iter().map(|x| (x - mean) * (x - mean));
    (exact_sum(squares) / numbers.len() as f64).sqrt()
}

fn column(numbers: &[f64], features: usize, feature: usize) -> Vec<f64> {
    numbers.iter().skip(feature).step_by(features).copied().collect()
}

/// The numbers of an array.
fn numbers(array: &Array) -> Vec<f64> {
    let mut all = vec![0.0; array.samples() * array.features()];
    let rows = all.chunks_mut(array.features()).enumerate();
    rows.for_each(|(sample, row)| array.read_row_f64(sample, row));
    all
}

const FEATURES: usize = 37;
const SAMPLES: usize = 203;

/// Arrays of several types, of features that do not fill whole vectors.
fn arrays() -> Vec<Array> {
    let count = SAMPLES * FEATURES;
    let uniform = uniform(3, count);
    let offset = |at: usize| (at % FEATURES) as f32 - 10.0;
    let singles: Vec<f32> =
        uniform.iter().enumerate().map(|(at, x)| 3.0 * x + offset(at)).collect();
    let bytes: Vec<u8> = uniform.iter().map(|x| (256.0 * x) as u8).collect();
    let doubles: Vec<f64> = singles.iter().map(|&x| 1e9 + f64::from(x)).collect();
    let longs: Vec<i64> = uniform.iter().map(|x| (1 << 40) + (1000.0 * x) as i64).collect();
    // Normal ones, of either sign.
    let bits = |x: &f32| (0x2c00 + (8192.0 * x) as u16) | ((4096.0 * x) as u16) << 15;
    let halves: Vec<u8> = uniform.iter().flat_map(|x| bits(x).to_le_bytes()).collect();
    let shape = format!("({SAMPLES}, {FEATURES})");
    fn array<T: Element>(values: Vec<T>) -> Array {
        Array::from_values::<T>(values, FEATURES).unwrap()
    }
    vec![
        array(singles),
        array(bytes),
        Array::from_bytes("halves", npy("<f2", "False", &shape, &halves)).unwrap(),
        array(doubles),
        array(longs),
    ]
}

/// Half an `f32`'s spacing, and that of the `f64`s that it is computed of.
fn near(have: f32, want: f64, x: f64, what: &str) {
    let tolerance = 6.1e-8 * want.abs().max(1.0) + 2.0 * f64::EPSILON * x.abs();
    assert!((f64::from(have) - want).abs() <= tolerance, "{what}: {have}, not {want}");
}

#[test]
fn scalings_are_their_definitions() {
    for array in arrays() {
        let all = numbers(&array);
        let name = format!("{array:?}");
        let centered = ScalingKind::Center.fit(&array).unwrap();
        let unit = ScalingKind::UnitRms.fit(&array).unwrap();
        let Scaling::Center { mean } = &centered else { panic!() };
        let Scaling::UnitRms { rms } = unit else { panic!() };
        let means: Vec<f64> =
            (0..FEATURES).map(|at| mean_of(&column(&all, FEATURES, at))).collect();
        for (have, want) in mean.iter().zip(&means) {
            assert!((have - want).abs() <= 1e-14 * want.abs().max(1.0), "{name}: {have} {want}");
        }
        let squares = all.iter().map(|x| x * x);
        let want = (exact_sum(squares) / all.len() as f64).sqrt();
        assert!((rms / want - 1.0).abs() < 1e-14, "{name}: {rms} {want}");
        let array = std::sync::Arc::new(array);
        let samples = |scaling| Samples::new(Shared(array.clone()), scaling);
        let features = gathered(&samples(centered));
        for (at, (&have, x)) in features.iter().zip(&all).enumerate() {
            near(have, x - means[at % FEATURES], *x, &name);
        }
        let features = gathered(&samples(unit));
        let mut lengths = 0.0;
        for (&have, x) in features.iter().zip(&all) {
            near(have, x / want, *x, &name);
            lengths += f64::from(have) * f64::from(have);
        }
        assert!((lengths / all.len() as f64 - 1.0).abs() < 1e-6);
        let features = gathered(&samples(Scaling::LayerNorm));
        for (row, numbers) in features.chunks(FEATURES).zip(all.chunks(FEATURES)) {
            let (mean, deviation) = (mean_of(numbers), deviation_of(numbers));
            for (&have, x) in row.iter().zip(numbers) {
                near(have, (x - mean) / (deviation * deviation + 1e-5).sqrt(), *x, &name);
            }
        }
    }
}

/// An array that several samples have.
#[derive(Debug)]
struct Shared(std::sync::Arc<Array>);

impl Source for Shared {
    fn samples(&self) -> usize {
        self.0.samples()
    }

    fn features(&self) -> usize {
        self.0.features()
    }

    fn row<'a>(&'a self, row: usize, memory: &'a mut Vec<f32>) -> sae::Result<sae::data::Row<'a>> {
        Source::row(&*self.0, row, memory)
    }
}

/// Layer normalization is the same bits whatever type the same numbers have, and on every instruction set.
#[test]
fn layer_norm_does_not_depend_on_the_type() {
    fn bits<T: Element>(values: Vec<T>) -> Vec<u32> {
        let samples =
            Samples::new(Array::from_values(values, FEATURES).unwrap(), Scaling::LayerNorm);
        gathered(&samples).iter().map(|x| x.to_bits()).collect()
    }
    let bytes: Vec<u8> = uniform(4, 20 * FEATURES).iter().map(|x| (256.0 * x) as u8).collect();
    let want = bits(bytes.clone());
    assert!(bits(bytes.iter().map(|&x| f32::from(x)).collect::<Vec<_>>()) == want);
    assert!(bits(bytes.iter().map(|&x| f64::from(x)).collect::<Vec<_>>()) == want);
    assert!(bits(bytes.iter().map(|&x| i64::from(x)).collect::<Vec<_>>()) == want);
    assert!(bits(bytes.iter().map(|&x| u32::from(x)).collect::<Vec<_>>()) == want);
    // A constant row is 0; what is not finite, or whose variance is not, is refused.
    let one = |row: Vec<f64>| {
        let samples = Samples::new(Array::from_values(row, 3).unwrap(), Scaling::LayerNorm);
        let mut out = [0.0; 3];
        samples.gather(0, &mut out).map(|()| out).map_err(|e| e.to_string())
    };
    assert_eq!(one(vec![7.5; 3]), Ok([0.0; 3]));
    assert_eq!(one(vec![1e30; 3]), Ok([0.0; 3]));
    let problem = one(vec![1.0, f64::INFINITY, 2.0]).unwrap_err();
    assert!(problem.contains("feature 1 is inf; finite numbers were expected"), "{problem}");
    let problem = one(vec![1e200, -1e200, 0.0]).unwrap_err();
    assert!(problem.contains("which the scaling layer-norm makes NaN"), "{problem}");
}

#[test]
fn constant_data_become_0_and_errors_name_the_number() {
    let constant = || Array::from_values(vec![14.62f32; 30], 3).unwrap();
    let center = ScalingKind::Center.fit(&constant()).unwrap();
    assert_eq!(gathered(&Samples::new(constant(), center)), [0.0; 30]);
    let zeros = || Array::from_values(vec![0.0f64; 30], 3).unwrap();
    let unit = ScalingKind::UnitRms.fit(&zeros()).unwrap();
    assert_eq!(unit, Scaling::UnitRms { rms: 0.0 });
    assert_eq!(gathered(&Samples::new(zeros(), unit)), [0.0; 30]);
    let huge = Array::from_values(vec![1e308, -1e308, 1.7e308, 1e308], 2).unwrap();
    let Scaling::UnitRms { rms } = ScalingKind::UnitRms.fit(&huge).unwrap() else { panic!() };
    assert!((rms / 1e308 - ((3.0 + 1.7 * 1.7) / 4.0f64).sqrt()).abs() < 1e-14, "{rms}");
    for kind in [ScalingKind::Center, ScalingKind::UnitRms] {
        let bad = Array::from_values(vec![0.0, 1.0, f64::NAN, 2.0], 2).unwrap();
        let problem = kind.fit(&bad).unwrap_err().to_string();
        assert_eq!(problem, "sample 1, feature 0 is NaN; finite numbers were expected");
    }
}

#[test]
fn a_summary_is_that_of_two_passes() {
    for array in arrays() {
        let all = numbers(&array);
        let summaries = [1, 2, 3].map(|threads| {
            let summary = Summary::of(&mut engine(threads), &array, None).unwrap();
            format!("{summary:?}")
        });
        assert!(summaries[0] == summaries[1] && summaries[1] == summaries[2]);
        let summary = Summary::of(&mut engine(2), &array, None).unwrap();
        assert_eq!(summary.all, array.statistics());
        let close = |have: f64, want: f64| {
            // Relative to the numbers, or to the deviation, which is about 1.
            let size =
                if want == mean_of(&all) { summary.all.max.abs() } else { want.abs().max(1e-2) };
            assert!((have - want).abs() <= 1e-13 * size, "{array:?}: {have}, not {want}");
        };
        close(summary.all.deviation, deviation_of(&all));
        close(summary.all.mean, mean_of(&all));
        assert_eq!(summary.all.zeros, all.iter().filter(|&&x| x == 0.0).count() as u64);
        assert_eq!((summary.all.count, summary.all.not_finite), (all.len() as u64, 0));
        for feature in 0..FEATURES {
            let column = column(&all, FEATURES, feature);
            close(summary.deviation[feature], deviation_of(&column));
            close(summary.mean[feature], mean_of(&column));
            assert_eq!(summary.min[feature], column.iter().copied().fold(f64::INFINITY, f64::min));
            assert_eq!(summary.max[feature], column.iter().copied().fold(-f64::INFINITY, f64::max));
        }
    }
    // More than one round of blocks, in few features.
    let many: Vec<f64> = uniform(8, 3 * 7001).iter().map(|&x| 1e6 + f64::from(x)).collect();
    let array = Array::from_values(many.clone(), 3).unwrap();
    let want = Summary::of(&mut engine(1), &array, None).unwrap();
    for threads in [2, 3] {
        let summary = Summary::of(&mut engine(threads), &array, None).unwrap();
        assert_eq!(format!("{summary:?}"), format!("{want:?}"));
    }
    let deviation = deviation_of(&many);
    assert!((want.all.deviation / deviation - 1.0).abs() < 1e-12);
}

#[test]
fn a_scaling_is_fitted_to_some_rows() {
    let rows: Vec<f64> = (0..100).map(f64::from).collect();
    let array = Array::from_values(rows, 1).unwrap();
    let fitted = |count| ScalingKind::Center.fit_on(&mut engine(2), &array, count).unwrap();
    let center = |mean: f64| Scaling::Center { mean: [mean].into() };
    assert_eq!(fitted(None), center(49.5));
    assert_eq!(fitted(Some(1000)), center(49.5));
    // Rows 0, 25, 50 and 75.
    assert_eq!(fitted(Some(4)), center(37.5));
    assert_eq!(fitted(Some(1)), center(0.0));
    let problem = ScalingKind::Center.fit_on(&mut engine(1), &array, Some(0)).unwrap_err();
    assert_eq!(problem.to_string(), "statistics of no numbers");
    // Without constants nothing is read.
    assert_eq!(
        ScalingKind::LayerNorm.fit_on(&mut engine(1), &array, Some(0)).unwrap(),
        Scaling::LayerNorm
    );
}

#[test]
fn samples_are_held_out_at_random() {
    let numbers: Vec<f32> = (0..100).map(|at| at as f32).collect();
    let samples = Samples::from_values(numbers, 1).unwrap();
    let split = |count, seed| {
        let (left, held_out) = samples.hold_out(random(count, seed)).unwrap();
        [left, held_out]
            .map(|samples| gathered(&samples).iter().map(|&x| x as u32).collect::<Vec<_>>())
    };
    for count in [1, 10, 50, 99] {
        let [left, held_out] = split(count, 7);
        assert_eq!([left.len(), held_out.len()], [100 - count, count]);
        let all: HashSet<_> = left.iter().chain(&held_out).copied().collect();
        assert_eq!(all.len(), 100);
        assert!(left.is_sorted() && held_out.is_sorted());
        assert_eq!(split(count, 7), [left, held_out.clone()]);
        assert_ne!(split(count, 8)[1], held_out);
    }
    for count in [0, 100, 101] {
        let problem = samples.hold_out(random(count, 1)).unwrap_err().to_string();
        assert!(problem.contains("of 100 samples leave one side empty"), "{problem}");
    }
    for count in [0, 100, 101] {
        let problem = samples.split(count).unwrap_err().to_string();
        assert_eq!(problem, format!("holdout: {count} of 100 samples leave one side empty"));
    }
    // The last ones, and a part of a part.
    let (left, held_out) = samples.hold_out(HeldOut::Last(10)).unwrap();
    assert_eq!((left.len(), gathered(&held_out)[0]), (90, 90.0));
    let (rest, some) = left.hold_out(random(5, 3)).unwrap();
    assert_eq!((rest.len(), some.len()), (85, 5));
    assert!(gathered(&some).iter().all(|&x| x < 90.0));
}

fn random(count: usize, seed: u64) -> HeldOut {
    HeldOut::Random { count, seed }
}
