//! Sparse codes: what is kept is what the reference keeps, deltas are those of simple loops, and
//! matrices divide by units and samples in the same bits.

use proptest::prelude::*;
use sae_kernels::sparse::{self, Jump};
use sae_kernels::{Activation, Division, Isa, Matrix, MatrixMut, Parts, Penalty, reference};

use crate::common::{self, Random, wide};
use crate::layer::{ACTIVATIONS, activate, unsigned_zeros};

/// Numbers of which many are equal; no NaN, no -0.
fn numbers() -> impl Strategy<Value = Vec<f32>> {
    let number = prop_oneof![Just(0.0f32), Just(-0.5), Just(1.0), -2.0f32..2.0, any::<f32>()];
    let number = number.prop_map(|x| if x.is_nan() { 0.25 } else { x + 0.0 });
    prop::collection::vec(number, 1..70)
}

/// The `k` largest of values that stand in several parts, by radix passes over the parts: what
/// threads and ranks do. Returns the smallest that is kept.
fn keep_largest_of_parts(parts: &mut [Vec<f32>], k: usize) -> f32 {
    let (mut known, mut left, mut equals) = (0, k as u32, Vec::new());
    for shift in [24, 16, 8, 0] {
        let of_part = |part: &Vec<f32>| {
            let mut counts = [0; 256];
            sparse::count_keys(part, known, shift, &mut counts);
            counts
        };
        let counts: Vec<[u32; 256]> = parts.iter().map(of_part).collect();
        for bits in 0..256 {
            let count: u32 = counts.iter().map(|counts| counts[bits]).sum();
            if left <= count {
                known |= (bits as u32) << shift;
                equals = counts.iter().map(|counts| counts[bits]).collect();
                break;
            }
            left -= count;
        }
    }
    for (part, equals) in parts.iter_mut().zip(equals) {
        let seen = sparse::keep_from(part, known, left as usize);
        assert_eq!(seen, equals as usize);
        left = left.saturating_sub(equals);
    }
    sparse::from_order_key(known)
}

/// A sparse layer's delta against simple loops, on every set, all units at once and divided.
fn check_open_delta(seed: u64, n: usize, units: usize, activation: Activation, l1: f32) {
    let mut random = Random(seed);
    let mut a = random.numbers(n * units);
    activate(activation, &mut a);
    a.iter_mut().for_each(|a| *a = if random.unit() < 0.6 { 0.0 } else { *a });
    let (gradient, penalty) = (random.numbers(n * units), random.numbers(units));
    let before = random.numbers(units);
    let (mut want, mut sums) = (gradient.clone(), before.clone());
    for (ij, delta) in want.iter_mut().enumerate() {
        let sign = if a[ij] == 0.0 { 0.0 } else { l1 * a[ij].signum() };
        let derivative = reference::derivative(activation, a[ij]);
        *delta =
            if a[ij] == 0.0 { 0.0 } else { ((*delta + penalty[ij % units]) + sign) * derivative };
        sums[ij % units] += *delta;
    }
    let a = Matrix::new(&a, n, units);
    for (isa, parts) in Isa::all().flat_map(|isa| [(isa, 1), (isa, 3)]) {
        let (mut delta, mut got) = (gradient.clone(), common::guarded(&before));
        let division = Division::new(units, 4, parts);
        let deltas = Parts::columns(MatrixMut::new(&mut delta, n, units), division);
        for part in (0..division.parts()).rev() {
            let range = division.range(part);
            let of_part = Penalty { units: Some(&penalty[range.clone()]), l1 };
            let (a, delta) = (a.columns(range.clone()), deltas.take(part));
            sparse::open_delta(isa, a, activation, of_part, delta, &mut got[range]);
        }
        if isa.is_fused() {
            let (delta, want) = (unsigned_zeros(&delta), unsigned_zeros(&want));
            common::assert_bits(&format!("delta on {}, {activation:?}", isa.name()), &delta, &want);
            common::assert_bits(&format!("sums on {}, {activation:?}", isa.name()), &got, &sums);
        }
        let (exact, error) = (wide(&want), vec![1e-5; n * units]);
        common::assert_close(&format!("delta on {}", isa.name()), &delta, &exact, &error);
    }
}

proptest! {
    #[test]
    fn keep_largest_is_the_reference(numbers in numbers(), k in 0usize..70) {
        let k = 1 + k % numbers.len();
        let mut want = numbers.clone();
        let smallest = reference::keep_largest(k, &mut want);
        let (mut have, mut keys) = (numbers.clone(), vec![0; numbers.len()]);
        prop_assert_eq!(sparse::keep_largest(&mut have, k, &mut keys), smallest);
        prop_assert_eq!(&have, &want);
    }

    /// A selection over parts keeps what one over all keeps.
    #[test]
    fn radix_passes_are_keep_largest(numbers in numbers(), k in 0usize..70, parts in 1usize..6) {
        let k = 1 + k % numbers.len();
        let (mut want, mut keys) = (numbers.clone(), vec![0; numbers.len()]);
        let smallest = sparse::keep_largest(&mut want, k, &mut keys);
        let length = numbers.len().div_ceil(parts);
        let mut parts: Vec<Vec<f32>> = numbers.chunks(length).map(<[f32]>::to_vec).collect();
        prop_assert_eq!(keep_largest_of_parts(&mut parts, k), smallest);
        prop_assert_eq!(parts.concat(), want);
    }

    #[test]
    fn order_keys_are_in_descending_order(a in any::<f32>(), b in any::<f32>()) {
        let (key_a, key_b) = (sparse::order_key(a), sparse::order_key(b));
        prop_assert_eq!(sparse::from_order_key(key_a).to_bits(), a.to_bits());
        prop_assert_eq!(key_a.cmp(&key_b), b.total_cmp(&a));
    }

    #[test]
    fn open_delta_is_penalty_and_derivative(
        seed in any::<u64>(),
        n in 1usize..9,
        units in 1usize..70,
        activation in prop::sample::select(ACTIVATIONS.to_vec()),
        l1 in prop_oneof![Just(0.0f32), Just(0.25)],
    ) {
        check_open_delta(seed, n, units, activation, l1);
    }

    #[test]
    fn thresholds_learn_as_published(seed in any::<u64>(), n in 1usize..9, units in 1usize..20) {
        let mut random = Random(seed);
        let (pre, gradient) = (random.numbers(n * units), random.numbers(n * units));
        let thresholds: Vec<f32> = (0..units).map(|_| random.unit() + 0.01).collect();
        let jump = Jump { bandwidth: 0.5, l0: 0.125 };
        let mut a = vec![9.0; n * units];
        let view = |x| Matrix::new(x, n, units);
        sparse::jump(view(&pre), &thresholds, MatrixMut::new(&mut a, n, units));
        let mut got = vec![9.0; units];
        sparse::threshold_gradient(jump, view(&pre), view(&gradient), &thresholds, &mut got);
        for j in 0..units {
            let mut want = 0.0;
            for i in 0..n {
                let (z, g) = (f64::from(pre[i * units + j]), f64::from(gradient[i * units + j]));
                let threshold = f64::from(thresholds[j]);
                let kernel = if ((z - threshold) / 0.5).abs() < 0.5 { 1.0 } else { 0.0 };
                // d a / d threshold and d H / d threshold.
                want += -threshold / 0.5 * kernel * g - 0.125 / 0.5 * kernel;
                prop_assert_eq!(a[i * units + j] != 0.0, z > threshold);
            }
            prop_assert!((f64::from(got[j]) - want).abs() < 1e-4, "{} {}", got[j], want);
        }
    }

    /// The activations, sums and gradients of some units, or samples, are those of all.
    #[test]
    fn views_divide_in_the_same_bits(
        seed in any::<u64>(),
        n in 1usize..9,
        units in 1usize..40,
        parts in 1usize..5,
    ) {
        let mut random = Random(seed);
        let (pre, gradient) = (random.numbers(n * units), random.numbers(n * units));
        let (pre, gradient) = (Matrix::new(&pre, n, units), Matrix::new(&gradient, n, units));
        let thresholds: Vec<f32> = (0..units).map(|_| random.unit()).collect();
        let jump = Jump { bandwidth: 0.5, l0: 0.125 };
        let results = [1, parts].map(|parts| {
            let (mut a, mut sums, mut out) =
                (vec![9.0; n * units], vec![0.5; units], vec![9.0; units]);
            let samples = Division::new(n, 2, parts);
            let of_samples = Parts::rows(MatrixMut::new(&mut a, n, units), samples);
            for part in (0..samples.parts()).rev() {
                let pre = pre.rows(samples.range(part));
                sparse::jump(pre, &thresholds, of_samples.take(part));
            }
            let a = Matrix::new(&a, n, units);
            let division = Division::new(units, 3, parts);
            for part in (0..division.parts()).rev() {
                let range = division.range(part);
                sparse::add_columns(a.columns(range.clone()), &mut sums[range.clone()]);
                let (pre, gradient) =
                    (pre.columns(range.clone()), gradient.columns(range.clone()));
                let (thresholds, out) = (&thresholds[range.clone()], &mut out[range]);
                sparse::threshold_gradient(jump, pre, gradient, thresholds, out);
            }
            ((0..n).flat_map(|row| a.row(row).to_vec()).collect::<Vec<f32>>(), sums, out)
        });
        prop_assert_eq!(&results[0], &results[1]);
    }
}

#[test]
#[should_panic(expected = "a threshold for each unit")]
fn thresholds_of_other_units() {
    let mut a = [0.0; 6];
    sparse::jump(Matrix::new(&[1.0; 6], 2, 3), &[0.5; 2], MatrixMut::new(&mut a, 2, 3));
}
