//! Parts of a step on a sparse code: groups of samples are the transposed lists, gradients and deltas
//! are those of simple loops, on every set and whatever the division of the samples.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use sae_kernels::sparse::{self, CodeGradient, Grouped, Jump, code_delta};
use sae_kernels::{Activation, Division, Isa, Lists, Matrix, Penalty, reference};

use crate::common::{self, Block, CANARY, Guard, Guarded, Layout, Listed, Random, Zeros, wide};
use crate::layer::{ACTIVATIONS, EPSILON, activate, unsigned_zeros};

/// A code of some samples: all that is not 0 of `[n, units]`.
fn code(random: &mut Random, n: usize, units: usize, gap: usize) -> (Vec<f32>, Listed) {
    let zeros = Zeros { columns: 0.0, numbers: random.unit() };
    let dense = random.sparse(n, units, zeros);
    let listed = Listed::of(&dense, n, units, gap);
    (dense, listed)
}

/// Gradients of each entry in a buffer with a canary where there is no entry.
fn for_entries(listed: &Listed, mut number: impl FnMut() -> f32) -> Vec<f32> {
    let mut numbers = vec![CANARY; listed.values.len()];
    for row in 0..listed.lists().rows() {
        numbers[listed.lists().entries(row)].iter_mut().for_each(|to| *to = number());
    }
    numbers
}

/// Runs a kernel on each part of the samples, the last first: with the part's samples and lists, and
/// the numbers from its first entry on.
fn in_parts(
    listed: &Listed,
    parts: usize,
    numbers: &mut [f32],
    mut run: impl FnMut(std::ops::Range<usize>, Lists<'_>, &mut [f32]),
) {
    let lists = listed.lists();
    let division = Division::new(lists.rows(), 1, parts);
    for part in (0..division.parts()).rev() {
        let range = division.range(part);
        let entries = match range.is_empty() {
            true => 0..0,
            false => lists.entries(range.start).start..lists.entries(range.end - 1).end,
        };
        run(range.clone(), lists.slice(range), &mut numbers[entries]);
    }
}

fn check_grouped(n: usize, units: usize, gap: usize, seed: u64) {
    let (dense, listed) = code(&mut Random(seed), n, units, gap);
    let lists = listed.lists();
    let entries: usize = (0..n).map(|row| lists.entries(row).len()).sum();
    // With room for more.
    let room = entries + seed as usize % 2;
    let [mut starts, mut ends] = [(); 2].map(|()| Guarded::filled(units, 77, Guard::Behind));
    let [mut samples, mut places] =
        [(); 2].map(|()| Guarded::filled(room, u32::MAX, Guard::Behind));
    let mut grouped = Grouped {
        starts: &mut starts,
        ends: &mut ends,
        samples: &mut samples,
        places: &mut places,
    };
    assert_eq!(grouped.fill(lists), entries);
    let mut values = vec![0.0; room];
    for (value, &place) in values.iter_mut().zip(&*places).take(entries) {
        *value = listed.values[place as usize];
    }
    let transposed: Vec<f32> =
        (0..units * n).map(|ij| dense[ij % n.max(1) * units + ij / n.max(1)]).collect();
    let want = Listed::of(&transposed, units, n, 0);
    assert_eq!((&starts[..], &ends[..]), (&want.starts[..], &want.ends[..]));
    assert_eq!(&samples[..entries], &want.indices[..]);
    common::assert_bits("values", &values[..entries], &want.values);
    assert!(places[entries..].iter().all(|&place| place == u32::MAX));
}

/// The sum of products with 16 accumulators that are added in pairs.
fn interleaved(x: &[f32], y: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    for (at, (x, y)) in x.iter().zip(y).enumerate() {
        sums[at % 16] = x.mul_add(*y, sums[at % 16]);
    }
    for step in [8, 4, 2, 1] {
        for lane in 0..step {
            sums[lane] += sums[lane + step];
        }
    }
    sums[0]
}

#[derive(Clone, Debug)]
struct Shape {
    n: usize,
    units: usize,
    outputs: usize,
    gap: usize,
    parts: usize,
    layouts: [Layout; 2],
}

fn shape() -> impl Strategy<Value = Shape> {
    let outputs = prop_oneof![4 => common::side(), 1 => 250..=270usize];
    let layouts = [common::rows_layout().boxed(), common::rows_layout().boxed()];
    (1..20usize, common::side(), outputs, 0..3usize, 1..5usize, layouts).prop_map(
        |(n, units, outputs, gap, parts, layouts)| Shape { n, units, outputs, gap, parts, layouts },
    )
}

fn check_code_gradient(shape: &Shape, seed: u64) {
    let &Shape { n, units, outputs, gap, parts, layouts } = shape;
    let mut random = Random(seed);
    let (_, listed) = code(&mut random, n, units, gap);
    let (delta, weights) = (random.numbers(n * outputs), random.numbers(units * outputs));
    let (mut want, mut exact, mut error) = (Vec::new(), Vec::new(), Vec::new());
    for sample in 0..n {
        let delta = &delta[sample * outputs..][..outputs];
        for &unit in listed.lists().row(sample).0 {
            let weights = &weights[unit as usize * outputs..][..outputs];
            want.push(interleaved(delta, weights));
            let terms = delta.iter().zip(weights).map(|(&d, &w)| f64::from(d) * f64::from(w));
            exact.push(terms.clone().sum::<f64>());
            error.push(terms.map(f64::abs).sum::<f64>() * outputs as f64 * EPSILON);
        }
    }
    let mut want_bits = want.iter().copied();
    let want = for_entries(&listed, || want_bits.next().expect("an entry"));
    let delta = Block::holding(&delta, n, outputs, layouts[0]);
    let weights = Block::holding(&weights, units, outputs, layouts[1]);
    for (isa, parts) in Isa::all().flat_map(|isa| [(isa, 1), (isa, parts)]) {
        let mut got = Guarded::filled(listed.values.len(), CANARY, Guard::Behind);
        in_parts(&listed, parts, &mut got, |range, codes, gradients| {
            let delta = delta.view().rows(range);
            CodeGradient { codes, delta, weights: weights.view() }.run(isa, gradients);
        });
        let what = format!("{}, {parts} parts, {shape:?}", isa.name());
        if isa.is_fused() {
            common::assert_bits(&what, &got, &want);
        }
        let entries: Vec<f32> =
            (0..n).flat_map(|row| got[listed.lists().entries(row)].to_vec()).collect();
        common::assert_close(&what, &entries, &exact, &error);
    }
}

/// A code's delta against simple loops, on every set, all samples at once and divided.
fn check_code_delta(shape: &Shape, activation: Activation, penalized: bool, l1: f32, seed: u64) {
    let &Shape { n, units, gap, parts, .. } = shape;
    let mut random = Random(seed);
    let mut a = random.numbers(n * units);
    activate(activation, &mut a);
    a.iter_mut().for_each(|a| *a = if random.unit() < 0.6 { 0.0 } else { *a });
    let mut listed = Listed::of(&a, n, units, gap);
    // An entry may be 0, too.
    if let Some(at) = (0..n).map(|row| listed.lists().entries(row)).find(|row| !row.is_empty()) {
        listed.values[at.start] = 0.0;
    }
    let before = for_entries(&listed, || random.number());
    let penalties = common::guarded(&random.numbers(units));
    let mut want = before.clone();
    for row in 0..n {
        let (of_units, activations) = listed.lists().row(row);
        let entries = of_units.iter().zip(activations);
        for (delta, (&unit, &a)) in want[listed.lists().entries(row)].iter_mut().zip(entries) {
            let sign = if a == 0.0 { 0.0 } else { l1 * a.signum() };
            let penalty = if penalized { penalties[unit as usize] } else { 0.0 };
            let derivative = reference::derivative(activation, a);
            *delta = if a == 0.0 { 0.0 } else { ((*delta + penalty) + sign) * derivative };
        }
    }
    for (isa, parts) in Isa::all().flat_map(|isa| [(isa, 1), (isa, parts)]) {
        let mut got = common::guarded(&before);
        let penalty = Penalty { units: penalized.then_some(&penalties[..]), l1 };
        in_parts(&listed, parts, &mut got, |_, codes, gradients| {
            code_delta(isa, codes, activation, penalty, gradients);
        });
        let what = format!("{}, {parts} parts, {activation:?}, {shape:?}", isa.name());
        for row in 0..n {
            let entries = listed.lists().entries(row);
            let (got, want) =
                (unsigned_zeros(&got[entries.clone()]), unsigned_zeros(&want[entries]));
            if isa.is_fused() {
                common::assert_bits(&what, &got, &want);
            }
            common::assert_close(&what, &got, &wide(&want), &vec![1e-5; want.len()]);
        }
        let canaries = |numbers: &[f32]| {
            numbers.iter().filter(|number| number.to_bits() == CANARY.to_bits()).count()
        };
        assert_eq!(canaries(&got), canaries(&before), "{what}: between the lists");
    }
}

proptest! {
    #![proptest_config(common::settings())]

    #[test]
    fn order_keys_are_in_descending_order(a in any::<f32>(), b in any::<f32>()) {
        let (key_a, key_b) = (sparse::order_key(a), sparse::order_key(b));
        if a.is_nan() {
            prop_assert!(key_a == 0 && sparse::from_order_key(key_a).is_nan());
        } else {
            prop_assert_eq!(sparse::from_order_key(key_a).to_bits(), a.to_bits());
            prop_assert!(key_a > 0);
        }
        if !a.is_nan() && !b.is_nan() {
            prop_assert_eq!(key_a.cmp(&key_b), b.total_cmp(&a));
        }
    }

    #[test]
    fn groups_are_the_transposed_lists(
        n in 1..30usize,
        units in common::side(),
        gap in 0..3usize,
        seed in any::<u64>(),
    ) {
        check_grouped(n, units, gap, seed);
    }

    #[test]
    fn code_gradients_are_products(shape in shape(), seed in any::<u64>()) {
        check_code_gradient(&shape, seed);
    }

    #[test]
    fn code_deltas_are_penalty_and_derivative(
        shape in shape(),
        activation in prop::sample::select(ACTIVATIONS.to_vec()),
        penalized in any::<bool>(),
        l1 in prop_oneof![Just(0.0f32), Just(0.25)],
        seed in any::<u64>(),
    ) {
        check_code_delta(&shape, activation, penalized, l1, seed);
    }

    /// Rajamanoharan et al. 2024, equations 11 and 12, with a rectangle as the kernel.
    #[test]
    fn thresholds_learn_as_published(
        z in -1.0f32..2.0,
        threshold in 0.01f32..1.0,
        gradient in -8.0f32..8.0,
        bandwidth in prop_oneof![Just(0.5f32), 1e-3f32..2.0],
        l0 in prop_oneof![Just(0.0f32), 0.0f32..1.0],
    ) {
        let jump = Jump { bandwidth, l0 };
        let got = f64::from(jump.threshold_gradient(z, threshold, gradient));
        let [z, threshold, gradient, bandwidth, l0] =
            [z, threshold, gradient, bandwidth, l0].map(f64::from);
        let at = (z - threshold) / bandwidth;
        // Rounding may move what is at the band's edge.
        prop_assume!((at.abs() - 0.5).abs() > 1e-3);
        let kernel = if at.abs() < 0.5 { 1.0 } else { 0.0 };
        let of_activation = -threshold / bandwidth * kernel;
        let of_count = -kernel / bandwidth;
        let want = of_activation * gradient + of_count * l0;
        let size = (threshold * gradient.abs() + l0) / bandwidth;
        prop_assert!((got - want).abs() <= 4.0 * EPSILON * size, "{} {}", got, want);
    }

    /// What is inside a band is above its floor, also within rounding of the band's edge.
    #[test]
    fn floors_are_below_bands(
        threshold in prop_oneof![-1.0f32..1.0, 1e-6f32..1e-3, 100.0f32..1e6],
        bandwidth in prop_oneof![1e-6f32..1.0, Just(0.001f32), 1.0f32..10.0],
        steps in -4i32..40,
        share in 0.0f32..1.0,
    ) {
        let jump = Jump { bandwidth, l0: 1.0 };
        let floor = jump.floor(threshold);
        let mut edge = threshold - bandwidth / 2.0;
        for _ in 0..steps.abs() {
            edge = if steps < 0 { edge.next_down() } else { edge.next_up() };
        }
        for z in [edge, threshold - share * bandwidth, threshold + share * bandwidth] {
            let is_inside = jump.threshold_gradient(z, threshold, 0.0) != 0.0;
            prop_assert!(!is_inside || floor < z, "{} is not below {}", floor, z);
        }
    }
}

/// Every number of entries modulo those at a time, and outputs that end within 16 lanes.
#[test]
fn every_length_of_list() {
    for outputs in [0, 1, 15, 16, 17, 31, 32, 33, 48, 784] {
        for n in 1..6 {
            let layouts = [Layout::default(); 2];
            let shape = Shape { n, units: 9, outputs, gap: n % 2, parts: 2, layouts };
            check_code_gradient(&shape, outputs as u64);
            check_code_delta(&shape, Activation::Tanh, true, 0.25, n as u64);
        }
    }
}

#[test]
fn of_nothing() {
    let none = Listed::of(&[], 0, 5, 0);
    for isa in Isa::all() {
        let (delta, weights) = (Matrix::new(&[], 0, 3), Matrix::new(&[1.0; 15], 5, 3));
        CodeGradient { codes: none.lists(), delta, weights }.run(isa, &mut []);
        code_delta(isa, none.lists(), Activation::Relu, Penalty::default(), &mut []);
    }
    check_grouped(0, 5, 0, 0);
    check_grouped(3, 0, 0, 0);
}

/// A unit that is not there panics, and is not read.
#[test]
fn units_that_are_not_there() {
    let weights = Block::holding(&[1.0; 6 * 20], 6, 20, Layout::default());
    let penalties = common::guarded(&[0.5; 6]);
    let delta = [1.0; 20];
    for isa in Isa::all() {
        for at in 0..5 {
            for wrong in [6, 1000, u32::MAX] {
                let mut units = [0, 1, 2, 4, 5];
                units[at] = wrong;
                let codes = Lists::new(&[0], &[5], &units, &[1.0; 5]);
                let gradient = || {
                    let delta = Matrix::new(&delta, 1, 20);
                    CodeGradient { codes, delta, weights: weights.view() }.run(isa, &mut [0.0; 5]);
                };
                assert!(catch_unwind(AssertUnwindSafe(gradient)).is_err());
                let delta = || {
                    let penalty = Penalty { units: Some(&penalties), l1: 0.0 };
                    code_delta(isa, codes, Activation::Relu, penalty, &mut [0.0; 5]);
                };
                assert!(catch_unwind(AssertUnwindSafe(delta)).is_err());
                let group = || {
                    let [mut starts, mut ends] = [[0; 6]; 2];
                    let [mut samples, mut places] = [[0; 5]; 2];
                    let mut grouped = Grouped {
                        starts: &mut starts,
                        ends: &mut ends,
                        samples: &mut samples,
                        places: &mut places,
                    };
                    grouped.fill(codes)
                };
                assert!(catch_unwind(group).is_err());
            }
        }
    }
}

/// With fewer gradients than entries nothing is written past them.
#[test]
fn gradients_too_few() {
    let codes = Lists::new(&[0, 3], &[3, 5], &[0, 1, 2, 0, 1], &[1.0; 5]);
    let (delta, weights) = (Matrix::new(&[1.0; 4], 2, 2), Matrix::new(&[1.0; 6], 3, 2));
    for isa in Isa::all() {
        let mut few = common::guarded(&[0.0; 4]);
        let run = || CodeGradient { codes, delta, weights }.run(isa, &mut few);
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        let run = || code_delta(isa, codes, Activation::Relu, Penalty::default(), &mut few);
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    }
}

#[test]
#[should_panic(expected = "as many weights as numbers of the delta")]
fn weights_of_other_outputs() {
    let codes = Lists::new(&[0], &[1], &[0], &[1.0]);
    let (delta, weights) = (Matrix::new(&[1.0; 3], 1, 3), Matrix::new(&[1.0; 4], 2, 2));
    CodeGradient { codes, delta, weights }.run(Isa::detect(), &mut [0.0]);
}

#[test]
#[should_panic(expected = "a row of the delta for each sample")]
fn a_delta_of_other_samples() {
    let codes = Lists::new(&[0], &[1], &[0], &[1.0]);
    let (delta, weights) = (Matrix::new(&[1.0; 4], 2, 2), Matrix::new(&[1.0; 4], 2, 2));
    CodeGradient { codes, delta, weights }.run(Isa::detect(), &mut [0.0]);
}
