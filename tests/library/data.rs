//! Scalings, statistics, and files of every kind: right values, and sentences where there are none.

use std::fmt::Debug;

use crate::folder::Folder;
use sae::data::{Array, Element, ElementType, RowWriter, ScalingKind, write_idx, write_npy};
use sae::{Autoencoder, Samples, Scaling, Settings, Trainer};

fn array<T: Element>(values: Vec<T>, features: usize) -> Array {
    Array::from_values::<T>(values, features).unwrap()
}

fn fit<T: Element>(kind: &str, values: Vec<T>, features: usize) -> Scaling {
    kind.parse::<ScalingKind>().unwrap().fit(&array(values, features)).unwrap()
}

/// All features of an array under the scaling of this kind that fits it.
fn scaled<T: Element>(kind: &str, values: Vec<T>, features: usize) -> Vec<f32> {
    let array = array(values, features);
    let scaling = kind.parse::<ScalingKind>().unwrap().fit(&array).unwrap();
    gathered(&Samples::new(array, scaling)).unwrap()
}

fn gathered(samples: &Samples) -> sae::Result<Vec<f32>> {
    let mut all = Vec::new();
    let mut row = vec![0.0; samples.features()];
    for sample in 0..samples.len() {
        samples.gather(sample, &mut row)?;
        all.extend(&row);
    }
    Ok(all)
}

fn refused<T: Debug>(result: sae::Result<T>) -> String {
    let problem = result.unwrap_err().to_string();
    assert!(!problem.contains('\n') && problem.len() < 500, "{problem}");
    problem
}

fn close(have: f64, want: f64, tolerance: f64) {
    assert!((have - want).abs() <= tolerance * want.abs(), "{have}, not {want}");
}

fn mean_deviation(scaling: &Scaling) -> (f64, f64) {
    match *scaling {
        Scaling::MeanDeviation { mean, deviation } => (mean, deviation),
        _ => panic!("{scaling:?}"),
    }
}

#[test]
fn deviations_are_right_for_any_offset_and_size() {
    let pair = |a: f64, b: f64, count: usize| -> Vec<f64> {
        (0..count).map(|i| if i % 2 == 0 { a } else { b }).collect()
    };
    for (a, b) in [
        (1e6, 1e6 + 0.25),
        (1e9, 1e9 + 64.0),
        (-1e15, -1e15 + 1.0),
        (1e300, 3e300),
        (-1.7e308, 1.7e308),
        (1e-300, 3e-300),
        (5e-324, 2e-322),
        (0.0, 1.0),
    ] {
        let (mean, deviation) = mean_deviation(&fit("mean-deviation", pair(a, b, 10_000), 4));
        close(mean, 0.5 * a + 0.5 * b, 1e-15);
        close(deviation, 0.5 * b - 0.5 * a, 1e-14);
        let features = scaled("mean-deviation", pair(a, b, 100), 4);
        if a > 1e-200 || a <= 0.0 {
            assert!(features.iter().all(|x| (x.abs() - 1.0).abs() < 1e-6), "{a} {b}: {features:?}");
        }
    }
    let floats: Vec<f32> = pair(1e6, 1e6 + 0.25, 10_000).iter().map(|&x| x as f32).collect();
    assert_eq!(mean_deviation(&fit("mean-deviation", floats, 1)), (1e6 + 0.125, 0.125));
    // One far value among many: the differences of the others count.
    let mut values = pair(-1.0, 1.0, 100_000);
    values.push(1e9);
    let (mean, deviation) = mean_deviation(&fit("mean-deviation", values, 1));
    let (n, far) = (100_001.0f64, 1e9f64);
    close(mean, far / n, 1e-15);
    close(deviation, ((1e5 + far * far) / n - (far / n) * (far / n)).sqrt(), 1e-12);
    // Many values that no sum holds exactly.
    let (mean, deviation) = mean_deviation(&fit("mean-deviation", pair(0.1, 0.3, 3_000_000), 3));
    close(mean, 0.2, 1e-15);
    close(deviation, 0.1, 1e-14);
}

#[test]
fn constant_data_become_0() {
    for kind in ["min-max", "mean-deviation", "min-max:feature", "mean-deviation:feature"] {
        assert_eq!(scaled(kind, vec![14.62f32; 3000], 3), [0.0; 3000]);
        assert_eq!(scaled(kind, vec![0.1f64; 3000], 3), [0.0; 3000]);
        assert_eq!(scaled(kind, vec![-1e300f64; 30], 3), [0.0; 30]);
        assert_eq!(scaled(kind, vec![7u8; 30], 3), [0.0; 30]);
    }
    let (mean, deviation) = mean_deviation(&fit("mean-deviation", vec![14.62f32; 1000], 1));
    assert_eq!((mean, deviation), (f64::from(14.62f32), 0.0));
}

#[test]
fn numbers_are_scaled_before_they_are_rounded() {
    fn check<T: Element>(values: Vec<T>) {
        for kind in ["min-max", "min-max:feature"] {
            let features = scaled(kind, values.clone(), 1);
            for (i, &feature) in features.iter().enumerate() {
                assert_eq!(feature, (i as f64 / 99.0) as f32, "{kind} {}", T::TYPE);
            }
        }
        for kind in ["mean-deviation", "mean-deviation:feature"] {
            let features = scaled(kind, values.clone(), 1);
            assert!((features[0] + features[99]).abs() < 1e-6);
            assert!((f64::from(features[99]) - 49.5 / (9999.0f64 / 12.0).sqrt()).abs() < 1e-6);
        }
        let statistics = array(values, 1).statistics();
        assert_eq!(statistics.max - statistics.min, 99.0);
        assert_eq!(statistics.mean - statistics.min, 49.5);
        close(statistics.deviation, (9999.0f64 / 12.0).sqrt(), 1e-14);
    }
    check((0..100).map(|i| 1.7e9 + f64::from(i)).collect());
    check((0..100).map(|i| 1_700_000_000 + i).collect::<Vec<i32>>());
    check((0..100).map(|i| -1_700_000_000 + i).collect::<Vec<i32>>());
    check((0..100).map(|i| 1_700_000_000_000_000 + i).collect::<Vec<i64>>());
    check((0..100).map(|i| 4_000_000_000 + i).collect::<Vec<u32>>());
    check((0..100).map(|i| 2_000_000_000_000_000 + i).collect::<Vec<u64>>());
    check((0..100).map(|i| 60_000 + i).collect::<Vec<u16>>());
    check((0..100).collect::<Vec<u8>>());
    check((0..100).map(f32::from as fn(u8) -> f32).collect::<Vec<f32>>());
    // Beyond 2^53, where `f64` does not tell neighbors apart.
    let nanoseconds = |i: i64| 1_700_000_000_000_000_000 + i;
    let near: Vec<i64> = (1..100).map(nanoseconds).collect();
    let problem = refused(Scaling::fit_min_max(&array(near, 1)));
    let start = "sample 0, feature 0 is 1700000000000000001, and these integers beyond 2^53 are too \
                 close to each other";
    assert!(problem.starts_with(start), "{problem}");
    let far: Vec<i64> = (0..100).map(|i| nanoseconds(i * 3_600_000_000_001)).collect();
    let features = scaled("min-max", far, 1);
    assert!((features[50] - 50.0 / 99.0).abs() < 1e-6);
    assert_eq!(scaled("min-max", vec![1u64 << 63; 4], 1), [0.0; 4]);
}

#[test]
fn ranges_beyond_the_type_are_scaled() {
    let wide = vec![-3e38f32, 3e38, 0.0, 1.0];
    assert_eq!(scaled("min-max", wide.clone(), 2), [0.0, 1.0, 0.5, 0.5]);
    let features = scaled("mean-deviation", wide.clone(), 2);
    assert!((features[1] - 2f32.sqrt()).abs() < 1e-6 && features[2].abs() < 1e-30, "{features:?}");
    assert_eq!(scaled("min-max:feature", wide, 2), [0.0, 1.0, 1.0, 0.0]);
    let wide = vec![f64::MIN, f64::MAX, 0.0, f64::MAX / 2.0];
    assert_eq!(scaled("min-max", wide.clone(), 2), [0.0, 1.0, 0.5, 0.75]);
    assert_eq!(scaled("min-max:feature", wide.clone(), 2), [0.0, 1.0, 1.0, 0.0]);
    let features = scaled("mean-deviation", wide.clone(), 2);
    let want = [-1.5212777, 1.183216, -0.16903085, 0.50709254];
    assert!(features.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{features:?}");
    let statistics = array(wide, 2).statistics();
    close(statistics.mean, f64::MAX / 8.0, 1e-15);
    // Other data than those of the fit, so far away that a difference overflows.
    let scaling = Scaling::MeanDeviation { mean: -1e308, deviation: 1e300 };
    let features = gathered(&Samples::new(array(vec![1.7e308], 1), scaling)).unwrap();
    assert_eq!(features, [2.7e8]);
}

#[test]
fn what_is_not_finite_is_refused_by_name() {
    let kinds = ["min-max", "mean-deviation", "min-max:feature", "mean-deviation:feature"];
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for other in [0.0, 5.0] {
            let values = vec![other, bad, other, 1.0];
            let want = format!("sample 0, feature 1 is {bad}; finite numbers were expected");
            for kind in kinds {
                let kind = kind.parse::<ScalingKind>().unwrap();
                assert_eq!(refused(kind.fit(&array(values.clone(), 2))), want);
                // Under a scaling of other data, constant ones too.
                for fitted_to in [vec![1.0f32, 1.0, 1.0, 1.0], vec![1.0, 2.0, 4.0, 8.0]] {
                    let scaling = kind.fit(&array(fitted_to, 2)).unwrap();
                    let samples = Samples::new(array(values.clone(), 2), scaling);
                    assert_eq!(refused(gathered(&samples)), want);
                }
            }
            for scaling in [Scaling::AsIs, Scaling::Byte] {
                let samples = Samples::new(array(values.clone(), 2), scaling);
                let problem = refused(gathered(&samples));
                assert_eq!(problem, want);
            }
        }
    }
    let samples = Samples::new(array(vec![0.0, 1e300], 2), Scaling::AsIs);
    let problem = refused(gathered(&samples));
    let want = "sample 0, feature 1 is 1e300, beyond the range of f32 (3.4e38)";
    assert!(problem.starts_with(want), "{problem}");
    let scaling = Scaling::MinMax { min: 0.0, max: 1e-300 };
    let problem = refused(gathered(&Samples::new(array(vec![1.0], 1), scaling)));
    assert!(problem.contains("feature 0 is 1, which the scaling min-max makes inf"), "{problem}");
    // In a file, the file is named.
    let folder = Folder::new("data");
    let path = folder.0.join("bad.npy");
    write_npy(&path, &[1, 2], &[0.0, f64::NAN]).unwrap();
    let problem = refused(Scaling::fit_min_max(&Array::open(&path).unwrap()));
    assert!(problem.ends_with("bad.npy: sample 0, feature 1 is NaN; finite numbers were expected"));
    // A network is not made with such a scaling.
    let settings = Settings { layers: vec![2, 1, 2], ..Settings::default() };
    let nan = Scaling::MeanDeviation { mean: f64::NAN, deviation: 1.0 };
    let problem = refused(Autoencoder::new(settings, nan));
    assert_eq!(problem, "scaling: a constant of mean-deviation is NaN; fit it to finite numbers");
}

#[test]
fn each_feature_has_its_own_scaling() {
    let values: Vec<f64> = (0..400)
        .flat_map(|i| {
            let x = f64::from(i) / 399.0;
            [x, 1e3 * x, 1e-3 * x, 1e6 * x + 1e9, 7.0]
        })
        .collect();
    let features = scaled("min-max:feature", values.clone(), 5);
    for (i, row) in features.chunks(5).enumerate() {
        let want = (i as f64 / 399.0) as f32;
        assert!(row[..4].iter().all(|x| (x - want).abs() < 1e-6) && row[4] == 0.0, "{row:?}");
    }
    let features = scaled("mean-deviation:feature", values.clone(), 5);
    for feature in 0..5 {
        let column = features.iter().skip(feature).step_by(5);
        let (mut sum, mut squares) = (0.0, 0.0);
        column.for_each(|&x| (sum, squares) = (sum + f64::from(x), squares + f64::from(x * x)));
        let want = if feature == 4 { 0.0 } else { 400.0 };
        assert!(sum.abs() < 1e-3 && (squares - want).abs() < 1e-3, "{sum} {squares}");
    }
    // They fit the columns that scalings of all numbers see one by one.
    let by_feature = fit("mean-deviation:feature", values.clone(), 5);
    let Scaling::MeanDeviationByFeature { mean, deviation } = &by_feature else { panic!() };
    for feature in 0..5 {
        let column = values.iter().skip(feature).step_by(5).copied().collect::<Vec<f64>>();
        let (want_mean, want_deviation) = mean_deviation(&fit("mean-deviation", column, 1));
        close(mean[feature], want_mean, 1e-14);
        close(deviation[feature], want_deviation, 1e-13);
    }
    // Other features do not fit it.
    let problem = refused(gathered(&Samples::new(array(vec![1.0; 8], 4), by_feature.clone())));
    let want =
        "the scaling mean-deviation:feature has constants for 5 features, but the samples have 4";
    assert!(problem.starts_with(want), "{problem}");
    let settings = Settings { layers: vec![4, 2, 4], ..Settings::default() };
    assert!(refused(Autoencoder::new(settings, by_feature)).contains("for 5 features"));
}

fn bytes() -> Vec<u8> {
    (0..240).map(|i| (i * i % 256) as u8).collect()
}

/// A scaling belongs to a model: the same codes from the same numbers, whatever their type.
#[test]
fn numbers_of_another_type_are_scaled_by_the_model() {
    fn check<T: Element>(net: &Autoencoder, want: &[f32], values: Vec<T>) {
        let samples = Samples::new(array(values, 6), net.scaling());
        let mut engine = engine();
        let codes = net.encode(&mut engine, &samples).unwrap();
        assert!(codes.iter().zip(want).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", T::TYPE);
    }
    fn engine() -> sae::Engine {
        sae::Engine::new(sae::Isa::detect(), sae::compute::ThreadPool::new(1))
    }
    for kind in ["byte", "as-is", "min-max", "mean-deviation:feature"] {
        let samples = Samples::new(array(bytes(), 6), fit(kind, bytes(), 6));
        let settings = Settings { layers: vec![6, 3, 6], batch: 8, ..Settings::default() };
        let mut trainer = Trainer::new(settings.fitted_to(&samples), &samples).unwrap();
        for _ in 0..3 {
            trainer.step().unwrap();
        }
        let net = trainer.autoencoder().clone();
        let want = net.encode(&mut engine(), &samples).unwrap();
        check(&net, &want, bytes().into_iter().map(f32::from).collect());
        check(&net, &want, bytes().into_iter().map(f64::from).collect());
        check(&net, &want, bytes().into_iter().map(u16::from).collect());
        check(&net, &want, bytes().into_iter().map(i32::from).collect());
        check(&net, &want, bytes().into_iter().map(i64::from).collect());
        check(&net, &want, bytes().into_iter().map(u64::from).collect());
    }
    for bad in [0.5, -1.0, 256.0, 1e30, -0.25, 254.999] {
        let values = vec![0.0, 255.0, 3.0, bad];
        let samples = Samples::new(array(values, 2), Scaling::Byte);
        samples.gather(0, &mut [0.0; 2]).unwrap();
        let problem = refused(samples.gather(1, &mut [0.0; 2]));
        assert!(problem.starts_with("sample 1, feature 1 is "), "{problem}");
        assert!(problem.contains("a model trained on bytes"), "{problem}");
        assert!(problem.contains("multiply numbers from 0 to 1 by 255"), "{problem}");
    }
    let zero = gathered(&Samples::new(array(vec![-0.0f32], 1), Scaling::Byte)).unwrap();
    assert_eq!(zero[0].to_bits(), 0);
    assert!(
        refused(gathered(&Samples::new(array(vec![300i64], 1), Scaling::Byte))).contains("is 300")
    );
}

#[cfg(feature = "model")]
#[test]
fn models_and_checkpoints_keep_a_scaling_for_each_feature() {
    use sae::files::{Checkpoint, Checkpoints};
    let folder = Folder::new("data");
    let values: Vec<f64> =
        (0..240).map(|i| f64::from(i % 6).exp() * f64::from(i * i % 17)).collect();
    for kind in [
        "min-max:feature",
        "mean-deviation:feature",
        "mean-deviation",
        "center",
        "unit-rms",
        "layer-norm",
    ] {
        let samples = || Samples::new(array(values.clone(), 6), fit(kind, values.clone(), 6));
        let settings = Settings { layers: vec![6, 3, 6], batch: 8, ..Settings::default() };
        let settings = settings.fitted_to(&samples());
        let mut trainer = Trainer::new(settings.clone(), &samples()).unwrap();
        for _ in 0..5 {
            trainer.step().unwrap();
        }
        let path = folder.0.join("run.ckpt");
        let mut checkpoints = Checkpoints::new(&path, 1, &trainer).unwrap();
        checkpoints.save(&mut trainer).unwrap();
        checkpoints.finish().unwrap();
        let checkpoint = Checkpoint::load(&path).unwrap();
        assert_eq!(checkpoint.scaling(), samples().scaling());
        let mut resumed =
            Trainer::builder(settings.clone()).resume(checkpoint).build(&samples()).unwrap();
        for trainer in [&mut trainer, &mut resumed] {
            for _ in 0..5 {
                trainer.step().unwrap();
            }
        }
        let net = trainer.autoencoder();
        assert_eq!(net, resumed.autoencoder());
        let bytes = net.to_bytes().unwrap();
        let again = Autoencoder::from_bytes("m", &bytes).unwrap();
        assert_eq!((net, &bytes), (&again, &again.to_bytes().unwrap()));
        assert_eq!(again.scaling(), samples().scaling());
        // Another scaling is another training.
        let others = Samples::new(array(values.clone(), 6), fit("min-max", values.clone(), 6));
        let checkpoint = Checkpoint::load(&path).unwrap();
        let built = Trainer::builder(settings).resume(checkpoint).build(&others);
        assert!(refused(built.map(drop)).contains("another scaling"));
    }
    // Constants of many features are not in the header.
    let many = 131_072;
    let scaling = Scaling::MinMaxByFeature {
        min: vec![0.1; many].into(),
        max: (0..many).map(|i| 1.0 + i as f64).collect(),
    };
    let settings = Settings { layers: vec![many, 1, many], ..Settings::default() };
    let net = Autoencoder::new(settings, scaling).unwrap();
    let bytes = net.to_bytes().unwrap();
    assert!(bytes.len() < 4 * (3 * many + 1) + 16 * many + 4096, "{}", bytes.len());
    assert_eq!(Autoencoder::from_bytes("m", &bytes).unwrap(), net);
}

fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}");
    let length = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), data].concat()
}

fn numbers(array: &Array) -> Vec<f32> {
    let mut all = vec![0.0; array.samples() * array.features()];
    let rows = all.chunks_mut(array.features()).enumerate();
    rows.for_each(|(sample, row)| array.read_row(sample, row));
    all
}

#[test]
fn npy_has_every_plain_type() {
    let folder = Folder::new("data");
    let path = folder.0.join("a.npy");
    fn check<T: Element>(path: &std::path::Path, values: &[T], want: &[f32]) {
        write_npy(path, &[2, values.len() / 2], values).unwrap();
        for array in [Array::open(path), Array::read(path)].map(Result::unwrap) {
            assert_eq!((array.element_type(), &numbers(&array)[..]), (T::TYPE, want));
        }
    }
    check(&path, &[true, false, false, true], &[1.0, 0.0, 0.0, 1.0]);
    check(&path, &[0u16, 65_535], &[0.0, 65_535.0]);
    check(&path, &[7u32, u32::MAX], &[7.0, 4_294_967_296.0]);
    check(&path, &[i64::MIN, 16_777_219], &[-9_223_372_036_854_775_808.0, 16_777_220.0]);
    check(&path, &[u64::MAX, 5], &[18_446_744_073_709_551_616.0, 5.0]);
    // IDX has some of them only.
    for kind in [ElementType::I64, ElementType::Bool, ElementType::F16] {
        let problem = refused(RowWriter::idx(&path, kind, &[2, 2]).map(drop));
        assert!(problem.contains("write a NumPy file"), "{problem}");
    }
    assert!(refused(write_idx(&path, &[1], &[1u32])).contains("type u32"));
    // As Python 2 wrote them, and in the machine's order.
    for (descr, shape) in [
        ("'|u1'", "(2L, 2L)"),
        ("u'|u1'", "(2, 2)"),
        ("'=u1'", "(2L, 2L,)"),
        ("'<u1'", "(2, 2)"),
        ("'u1'", "(2, 2)"),
    ] {
        let array = Array::from_bytes("a", npy(descr, "False", shape, &[1, 2, 3, 4])).unwrap();
        assert_eq!((array.dims(), numbers(&array)), (&[2, 2][..], vec![1.0, 2.0, 3.0, 4.0]));
    }
    let native = npy("'=i2'", "False", "(1, 1)", &258i16.to_ne_bytes());
    assert_eq!(numbers(&Array::from_bytes("a", native).unwrap()), [258.0]);
    let big = npy("'>i8'", "False", "(1, 1)", &(-3i64).to_be_bytes());
    assert_eq!(numbers(&Array::from_bytes("a", big).unwrap()), [-3.0]);
    let unicode =
        b"\x93NUMPY\x01\x00\x3c\x00{u'descr': u'<i2', u'fortran_order': False, u'shape': (1L, 1L)}";
    let unicode = [&unicode[..], b"\n"].concat();
    let length = unicode.len() - 10;
    let mut unicode = [unicode, vec![5, 0]].concat();
    unicode[8] = length as u8;
    assert_eq!(numbers(&Array::from_bytes("a", unicode).unwrap()), [5.0]);
}

#[test]
fn every_half_is_the_same_number() {
    let halves: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let array = Array::from_bytes("a", npy("'<f2'", "False", "(1, 65536)", &halves)).unwrap();
    let mut doubles = vec![0.0; 65_536];
    array.read_row_f64(0, &mut doubles);
    for (bits, (single, double)) in (0..=u16::MAX).zip(numbers(&array).into_iter().zip(doubles)) {
        let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        let want = sign
            * match exponent {
                0 => mantissa * 2f64.powi(-24),
                31 if mantissa == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                _ => (1024.0 + mantissa) * 2f64.powi(exponent - 25),
            };
        if want.is_nan() {
            assert!(single.is_nan() && double.is_nan());
        } else {
            assert_eq!(f64::from(single).to_bits(), want.to_bits(), "{bits:#06x}");
            assert_eq!(double.to_bits(), want.to_bits(), "{bits:#06x}");
        }
    }
    let big: Vec<u8> = [0x3c, 0x00].into();
    let array = Array::from_bytes("a", npy("'>f2'", "False", "(1, 1)", &big)).unwrap();
    assert_eq!((array.element_type(), numbers(&array)), (ElementType::F16, vec![1.0]));
}

#[test]
fn fortran_order_is_read_in_c_order() {
    let folder = Folder::new("data");
    for dims in [&[5][..], &[3, 4], &[150, 3], &[2, 3, 4], &[3, 1, 2, 5], &[1, 7]] {
        let count: usize = dims.iter().product();
        // The number at each index is what C order counts.
        let mut fortran = vec![0u16; count];
        for (at, number) in fortran.iter_mut().enumerate() {
            let (mut rest, mut index) = (at, vec![]);
            dims.iter().for_each(|dim| {
                index.push(rest % dim);
                rest /= dim;
            });
            *number = index.iter().zip(dims).fold(0, |c, (i, dim)| c * dim + i) as u16;
        }
        let shape: String = dims.iter().map(|dim| format!("{dim}, ")).collect();
        let data: Vec<u8> = fortran.iter().flat_map(|number| number.to_be_bytes()).collect();
        let bytes = npy("'>u2'", "True", &format!("({shape})"), &data);
        let path = folder.file("f.npy", &bytes);
        for array in [Array::open(&path), Array::read(&path), Array::from_bytes("f", bytes)] {
            let array = array.unwrap();
            assert_eq!(array.dims(), dims);
            let want: Vec<f32> = (0..count as u16).map(f32::from).collect();
            assert_eq!(numbers(&array), want);
            Samples::new(array, Scaling::AsIs).unchanged().unwrap();
        }
    }
}

#[test]
fn of_several_arrays_the_first_is_taken() {
    let folder = Folder::new("data");
    let one = npy("'|u1'", "False", "(2, 2)", &[1, 2, 3, 4]);
    let other = npy("'<f4'", "False", "(1, 1)", &1f32.to_le_bytes());
    let both = [&one[..], &other].concat();
    let path = folder.file("two.npy", &both);
    let mut arrays =
        vec![Array::open(&path), Array::read(&path), Array::from_bytes("a", both.clone())];
    #[cfg(feature = "gz")]
    {
        arrays.push(Array::open(folder.file("two.npy.gz", &gz(&both))));
        arrays.push(Array::from_bytes("a", gz(&both)));
    }
    for array in arrays {
        let array = array.unwrap();
        assert!(array.is_followed());
        assert_eq!((array.dims(), numbers(&array)), (&[2, 2][..], vec![1.0, 2.0, 3.0, 4.0]));
        Samples::new(array, Scaling::Byte).unchanged().unwrap();
    }
    for tail in [&b"x"[..], b"\x93NUMP", b"\x93NUMPX", &[0; 20]] {
        let longer = [&one[..], tail].concat();
        let path = folder.file("long.npy", &longer);
        for array in [Array::open(&path), Array::read(&path), Array::from_bytes("a", longer)] {
            assert!(refused(array).contains("header says 2 x 2 u8"));
        }
    }
    assert!(!Array::from_bytes("a", one).unwrap().is_followed());
}

#[cfg(feature = "gz")]
fn gz(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

#[cfg(feature = "gz")]
#[test]
fn zeros_may_follow_gzip() {
    let folder = Folder::new("data");
    let npy = npy("'|u1'", "False", "(2, 2)", &[1, 2, 3, 4]);
    let two = [gz(&npy[..30]), vec![0; 7], gz(&npy[30..])].concat();
    for packed in [gz(&npy), two] {
        for zeros in [0, 1, 511, 100_000] {
            let padded = [&packed[..], &vec![0; zeros]].concat();
            let path = folder.file("a.npy.gz", &padded);
            for array in [Array::open(&path), Array::read(&path), Array::from_bytes("a", padded)] {
                assert_eq!(numbers(&array.unwrap()), [1.0, 2.0, 3.0, 4.0]);
            }
        }
        for tail in [&b"x"[..], b"\0\0x", b"\0\x1f\x8b", b"\x1f"] {
            refused(Array::from_bytes("a", [&packed[..], tail].concat()));
        }
    }
}

#[test]
fn other_files_are_named() {
    let tar = [&[b'a'; 257][..], b"ustar\0", &[0; 249]].concat();
    let table: &[(&[u8], &str)] = &[
        (b"<!DOCTYPE html>\n<html lang=\"en\">", "an HTML page, as a failed download leaves"),
        (b"\n  <html><head>", "an HTML page"),
        (b"<?xml version=\"1.0\"?><Error/>", "an XML file"),
        (b"label,p0,p1\n1,2,3\n", "a CSV file"),
        (b"1;2;3\n", "a CSV file"),
        (b"\xef\xbb\xbfa,b\n1,2\n", "a CSV file"),
        (b"1\t2\n", "a table of text"),
        (b"1 2 3\n4 5 6\n", "text"),
        (b"hi", "text"),
        (b"\xff\xfea\0,\0", "text in UTF-16"),
        (b"{\"data\": [1, 2]}", "a JSON file"),
        (b"[[1, 2], [3, 4]]", "a JSON file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS"),
        (b"\xfd7zXZ\0\0\x04", "compressed with xz"),
        (b"\x28\xb5\x2f\xfd\x04\0", "compressed with zstd"),
        (b"BZh91AY&SY", "compressed with bzip2"),
        (b"PK\x03\x04\x14\0\0\0\0\0images", "a zip archive"),
        (b"PK\x03\x04\x14\0\0\0\0\0arr_0.npy\x93NUMPY", "an .npz archive of NumPy arrays"),
        (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file"),
        (b"\x80\x04\x95\x10\0", "a Python pickle"),
        (b"\x80\x02}q\0", "a Python pickle"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG image"),
        (&tar, "a tar archive"),
    ];
    for (bytes, what) in table {
        let check = |content: Vec<u8>| {
            let problem = refused(Array::from_bytes("some.file", content));
            assert!(problem.starts_with("some.file, byte 0: this looks like "), "{problem}");
            assert!(problem.contains(what) && problem.contains("; "), "{what}: {problem}");
            let expected = "an IDX, NumPy or safetensors file was expected";
            assert!(problem.contains(expected), "{problem}");
        };
        check(bytes.to_vec());
        #[cfg(feature = "gz")]
        check(gz(bytes));
    }
}
