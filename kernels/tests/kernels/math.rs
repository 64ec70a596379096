//! exp, ln, sigmoid and tanh against the `f64` functions of std: largest errors, special values,
//! the same bits on every fused set.

use sae_kernels::Isa;
use sae_kernels::math::{Function, largest_magnitude, map};

use crate::common;

const FUNCTIONS: [Function; 4] = [Function::Exp, Function::Ln, Function::Sigmoid, Function::Tanh];

/// Largest error allowed, in ULP.
fn bound(function: Function) -> f64 {
    match function {
        Function::Exp | Function::Ln => 1.0,
        _ => 2.0,
    }
}

fn truth(function: Function, x: f32) -> f64 {
    let x = f64::from(x);
    match function {
        Function::Exp => x.exp(),
        Function::Ln => x.ln(),
        Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        _ => x.tanh(),
    }
}

/// How far `got` is off, in units of the last place of the `f32` nearest to the truth; of a
/// subnormal number's last place where that is subnormal. An overflow counts as 2^128.
fn error(got: f32, truth: f64) -> f64 {
    let nearest = truth as f32;
    if got == nearest || got.is_nan() && truth.is_nan() {
        return if nearest.is_finite() { in_ulp(f64::from(got) - truth, nearest) } else { 0.0 };
    }
    if got.is_nan() || truth.is_nan() {
        return f64::INFINITY;
    }
    let got = if got.is_infinite() { 2f64.powi(128).copysign(got.into()) } else { got.into() };
    in_ulp(got - truth, nearest)
}

fn in_ulp(off: f64, nearest: f32) -> f64 {
    let exponent = (nearest.abs().min(f32::MAX).to_bits() >> 23).max(1);
    // 2^(exponent - 127 - 23), put together from its bits.
    off.abs() / f64::from_bits(u64::from(exponent + 1023 - 127 - 23) << 52)
}

/// The largest error so far, and where.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    ulp: f64,
    x: f32,
    got: f32,
}

impl Worst {
    fn or(self, other: Worst) -> Worst {
        if other.ulp > self.ulp { other } else { self }
    }
}

/// Runs a function on the numbers of these bits, and compares every fused set with the first bit
/// for bit. Gives the largest error of the fused sets and that of the portable one.
fn measure(function: Function, bits: impl Iterator<Item = u32>) -> [Worst; 2] {
    let inputs: Vec<f32> = bits.map(f32::from_bits).collect();
    let run = |isa: Isa| {
        let mut values = inputs.clone();
        map(isa, function, &mut values);
        values
    };
    let portable = run(Isa::forced("portable").expect("the portable set is on every machine"));
    let fused = common::fused();
    let values = run(fused[0]);
    for isa in &fused[1..] {
        for (i, (got, want)) in run(*isa).iter().zip(&values).enumerate() {
            let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
            let (x, names) = (inputs[i], (isa.name(), fused[0].name()));
            assert!(same, "{function:?} of {x:e}: {got:e} and {want:e} on {names:?}");
        }
    }
    let mut worst = [Worst::default(); 2];
    for (i, &x) in inputs.iter().enumerate() {
        let truth = truth(function, x);
        for (worst, got) in worst.iter_mut().zip([values[i], portable[i]]) {
            *worst = worst.or(Worst { ulp: error(got, truth), x, got });
        }
    }
    worst
}

fn check_bound(function: Function, worst: [Worst; 2]) {
    for (worst, sets) in worst.into_iter().zip(["fused", "portable"]) {
        let Worst { ulp, x, got } = worst;
        let most = bound(function);
        assert!(ulp <= most, "{function:?}, {sets}: {ulp} ULP, for {x:e} it gives {got:e}");
    }
}

fn print(function: Function, worst: [Worst; 2]) {
    for (worst, sets) in worst.into_iter().zip(["fused", "portable"]) {
        let Worst { ulp, x, got } = worst;
        println!("{function:?}, {sets}: {ulp:.4} ULP, for {x:e} ({:#x}) {got:e}", x.to_bits());
    }
}

fn check_sample(function: Function) {
    let worst = measure(function, (0..=u32::MAX).step_by(997));
    print(function, worst);
    check_bound(function, worst);
}

#[test]
fn sample_of_exp() {
    check_sample(Function::Exp);
}

#[test]
fn sample_of_ln() {
    check_sample(Function::Ln);
}

#[test]
fn sample_of_sigmoid() {
    check_sample(Function::Sigmoid);
}

#[test]
fn sample_of_tanh() {
    check_sample(Function::Tanh);
}

/// Every number about the places where a function's formula changes.
#[test]
fn neighborhoods_of_the_seams() {
    use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};
    let seams = [
        0.0,
        1e-45,
        1.175_494_4e-38,
        0.346_573_6,
        0.5,
        0.625,
        FRAC_1_SQRT_2,
        1.0,
        SQRT_2,
        2.0,
        9.010_914,
        16.635_532,
        87.336_54,
        88.722_84,
        89.0,
        103.278_93,
        103.972_08,
        104.0,
        f32::MAX,
    ];
    for function in FUNCTIONS {
        for seam in seams {
            for sign in [0, 1 << 31] {
                let middle = f32::to_bits(seam);
                let bits = middle.saturating_sub(3000)..=middle + 3000;
                check_bound(function, measure(function, bits.map(|bits| bits | sign)));
            }
        }
    }
}

/// All 2^32 numbers, on all cores: minutes in release, see `--nocapture` for the figures.
#[test]
#[ignore = "minutes in release"]
fn every_number() {
    use std::sync::atomic::{AtomicU32, Ordering};
    const CHUNK: u32 = 1 << 16;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for function in FUNCTIONS {
        let next = AtomicU32::new(0);
        let work = || {
            let mut worst = [Worst::default(); 2];
            loop {
                let chunk = next.fetch_add(1, Ordering::Relaxed);
                if chunk >= CHUNK {
                    return worst;
                }
                let more = measure(function, (0..CHUNK).map(|low| chunk << 16 | low));
                worst = [0, 1].map(|i| worst[i].or(more[i]));
            }
        };
        let worst = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let worsts = workers.into_iter().map(|worker| worker.join().expect("a worker"));
            worsts.reduce(|a, b| [0, 1].map(|i| a[i].or(b[i]))).expect("a worker")
        });
        print(function, worst);
        check_bound(function, worst);
    }
}

/// What a function gives on every set, which must agree.
#[track_caller]
fn expect(function: Function, x: f32, want: f32) {
    for isa in Isa::all() {
        // A whole vector and a rest of one.
        let mut values = vec![x; isa.lanes() + 1];
        map(isa, function, &mut values);
        for got in values {
            let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
            assert!(same, "{function:?} of {x:e} on {}: {got:e}, not {want:e}", isa.name());
        }
    }
}

const INF: f32 = f32::INFINITY;
/// The smallest number above 0, and the largest subnormal one.
const SUBNORMAL: [f32; 2] = [f32::from_bits(1), f32::from_bits(0x007f_ffff)];

#[test]
fn special_values_of_exp() {
    use Function::Exp;
    let cases = [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (f32::NAN, f32::NAN)];
    cases.into_iter().for_each(|(x, want)| expect(Exp, x, want));
    [88.73, 89.0, 100.0, 1e10, f32::MAX].into_iter().for_each(|x| expect(Exp, x, INF));
    [-104.0, -105.0, -1e10, f32::MIN].into_iter().for_each(|x| expect(Exp, x, 0.0));
    for x in SUBNORMAL {
        expect(Exp, x, 1.0);
        expect(Exp, -x, 1.0);
    }
    // The last two results above 0.
    expect(Exp, -103.0, f32::from_bits(1));
    expect(Exp, -102.6, f32::from_bits(2));
}

#[test]
fn special_values_of_ln() {
    use Function::Ln;
    let cases = [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (INF, INF), (f32::NAN, f32::NAN)];
    cases.into_iter().for_each(|(x, want)| expect(Ln, x, want));
    let negative = [-1.0, -INF, f32::MIN, -f32::MIN_POSITIVE, -SUBNORMAL[0], -SUBNORMAL[1]];
    negative.into_iter().for_each(|x| expect(Ln, x, f32::NAN));
    SUBNORMAL.into_iter().for_each(|x| expect(Ln, x, f64::from(x).ln() as f32));
}

#[test]
fn special_values_of_sigmoid() {
    use Function::Sigmoid;
    let cases = [(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (f32::NAN, f32::NAN)];
    cases.into_iter().for_each(|(x, want)| expect(Sigmoid, x, want));
    [20.0, 1e10, f32::MAX].into_iter().for_each(|x| expect(Sigmoid, x, 1.0));
    [-104.0, -1e10, f32::MIN].into_iter().for_each(|x| expect(Sigmoid, x, 0.0));
    for x in SUBNORMAL {
        expect(Sigmoid, x, 0.5);
        expect(Sigmoid, -x, 0.5);
    }
}

#[test]
fn special_values_of_tanh() {
    use Function::Tanh;
    let cases = [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (f32::NAN, f32::NAN)];
    cases.into_iter().for_each(|(x, want)| expect(Tanh, x, want));
    for x in [10.0, 100.0, f32::MAX] {
        expect(Tanh, x, 1.0);
        expect(Tanh, -x, -1.0);
    }
    for x in SUBNORMAL {
        expect(Tanh, x, x);
        expect(Tanh, -x, -x);
    }
}

/// A NaN of either sign, quiet or signalling, with any payload, comes out as one.
#[test]
fn not_a_number() {
    for bits in [0x7f80_0001, 0x7fa0_0000, 0x7fc0_0000, 0x7fff_ffff, 0xff80_0001, 0xffc0_0001] {
        FUNCTIONS.into_iter().for_each(|function| expect(function, f32::from_bits(bits), f32::NAN));
    }
}

/// A lane's result depends on no other lane, and no memory beside the slice is touched.
#[test]
fn slices_of_every_length() {
    let mut random = common::Random(1);
    for isa in Isa::all() {
        for len in 0..40 {
            let numbers = random.numbers(len);
            for function in FUNCTIONS {
                let mut values = common::guarded(&numbers);
                map(isa, function, &mut values);
                for (x, got) in numbers.iter().zip(values.iter()) {
                    let mut alone = [*x];
                    map(isa, function, &mut alone);
                    let same = got.to_bits() == alone[0].to_bits();
                    assert!(same || got.is_nan() && alone[0].is_nan());
                }
            }
        }
    }
}

/// The largest magnitude, wherever it stands; what is not finite counts as infinite.
#[test]
fn the_largest_magnitude_on_every_set() {
    for isa in Isa::all() {
        assert_eq!(largest_magnitude(isa, &[]), 0.0);
        for len in [1, 7, 16, 63, 64, 65, 300] {
            for at in 0..len {
                let mut numbers = vec![0.25f32; len];
                for (number, largest) in [
                    (-3.5, 3.5),
                    (f32::MAX, f32::MAX),
                    (f32::NAN, f32::INFINITY),
                    (f32::NEG_INFINITY, f32::INFINITY),
                ] {
                    numbers[at] = number;
                    assert_eq!(largest_magnitude(isa, &numbers), largest, "{}", isa.name());
                }
            }
        }
    }
}
