//! Update rules over gradients in memory: Adam, AdamW and momentum.

use proptest::prelude::*;
use sae_kernels::{
    AdamOptions, Isa, Matrix, MatrixMut, Momentum, Rule, add_weight_decay, reference,
};

use crate::common::{self, Random};

/// The kernels' options of the reference's.
pub fn options_of(settings: &reference::Adam) -> AdamOptions {
    AdamOptions {
        learning_rate: settings.learning_rate,
        beta1: settings.beta1,
        beta2: settings.beta2,
        epsilon: settings.epsilon,
        weight_decay: settings.weight_decay,
        decoupled_decay: 0.0,
    }
}

/// One step of a rule over slices: weights and both moments. Checks what it returns.
pub fn update_slices(isa: Isa, rule: Rule, numbers: &mut [Vec<f32>; 3], gradient: &[f32]) {
    let [w, m, v] = numbers.each_mut().map(|flat| MatrixMut::from_row(flat));
    let largest = rule.update_rows(isa, w, m, v, Matrix::from_row(gradient));
    let expected = numbers[0].iter().map(|w| w.abs()).fold(0.0, f32::max);
    assert_eq!(largest, expected, "{}: the largest new weight", isa.name());
}

/// A sweep is the reference's step in `f32` within roundings, through many steps and at the
/// edges: the moments of a unit that no longer learns come to rest near 0, never subnormal.
#[test]
fn adam_through_many_steps() {
    let mut random = Random(6);
    let len = 67;
    for weight_decay in [0.0, 1e-2] {
        let start = random.numbers(len);
        let seed = random.bits();
        let run = |isa: Isa| {
            let mut random = Random(seed);
            let mut have = [start.clone(), vec![0.0; len], vec![0.0; len]];
            let [mut w, mut m, mut v] = have.clone();
            for step in 1..=300 {
                let settings = reference::Adam {
                    learning_rate: 1e-2,
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: 1e-8,
                    step,
                    weight_decay,
                };
                let g = common::guarded(&random.numbers(len));
                update_slices(isa, options_of(&settings).at_step(step), &mut have, &g);
                reference::adam(&settings, &mut w, &mut m, &mut v, &g);
            }
            for (got, want) in have[0].iter().zip(&w) {
                assert!((got - want).abs() < 1e-4, "{}: {got} {want}", isa.name());
            }
            have
        };
        let want = run(common::scalar());
        for isa in Isa::all() {
            let got = run(isa);
            for (got, want) in got.iter().zip(&want).filter(|_| isa.is_fused()) {
                common::assert_bits(isa.name(), got, want);
            }
        }
    }
}

#[test]
fn adam_of_a_gradient_of_0() {
    let options = AdamOptions { learning_rate: 1e-2, ..AdamOptions::default() };
    for isa in Isa::all() {
        let mut numbers = [vec![0.5; 33], vec![1e-30; 33], vec![1e-36; 33]];
        let zero = vec![0.0; 33];
        for step in 1..10_000 {
            update_slices(isa, options.at_step(step), &mut numbers, &zero);
            let [w, m, v] = &numbers;
            assert!(w.iter().all(|w| (w - 0.5).abs() < 1e-6));
            assert!(!m.iter().chain(v).any(|x| x.is_subnormal()));
        }
        assert!(numbers[1..].iter().flatten().all(|x| x.abs() < 1e-34));
    }
}

/// Strided rows have the bits of rows without gaps, and nothing between them is touched.
#[test]
fn rows_with_gaps() {
    use crate::common::{Block, Layout};
    let (rows, cols) = (5, 37);
    let mut random = Random(12);
    let squares = random.numbers(rows * cols).iter().map(|x| x * x).collect();
    let start = [random.numbers(rows * cols), random.numbers(rows * cols), squares];
    let g = random.numbers(rows * cols);
    let momentum =
        Momentum { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.01, orthogonal: false };
    for rule in [AdamOptions::default().at_step(2), Rule::Momentum(momentum)] {
        for isa in Isa::all() {
            let mut want = start.clone();
            update_slices(isa, rule, &mut want, &g);
            let layout = |gap| Layout { lead: 1, gap, ..Layout::default() };
            let block = |i: usize| Block::holding(&start[i], rows, cols, layout(3 * i));
            let mut blocks = [0, 1, 2].map(block);
            let [w, m, v] = blocks.each_mut().map(Block::view_mut);
            let gradient = Block::holding(&g, rows, cols, layout(2));
            rule.update_rows(isa, w, m, v, gradient.view());
            for (block, want) in blocks.iter().zip(&want) {
                common::assert_bits(isa.name(), &block.numbers(), want);
            }
        }
    }
}

#[test]
#[should_panic(expected = "the second moment has another shape than the weights")]
fn adam_of_other_lengths() {
    let rule = AdamOptions::default().at_step(1);
    let mut numbers = [vec![0.0; 2], vec![0.0; 2], vec![0.0; 3]];
    update_slices(common::scalar(), rule, &mut numbers, &[0.0; 2]);
}

#[test]
#[should_panic(expected = "the gradient has another shape than the weights")]
fn a_gradient_of_another_length() {
    let rule = AdamOptions::default().at_step(1);
    update_slices(common::scalar(), rule, &mut [(); 3].map(|()| vec![0.0; 2]), &[0.0; 3]);
}

#[test]
fn biases_are_not_decayed() {
    let options = AdamOptions::default();
    let decayed = AdamOptions { weight_decay: 0.5, decoupled_decay: 0.25, ..options };
    assert_ne!(decayed.at_step(3), options.at_step(3));
    assert_eq!(decayed.at_step(3).without_weight_decay(), options.at_step(3));
    let momentum =
        Momentum { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.0, orthogonal: false };
    let decayed = Rule::Momentum(Momentum { weight_decay: 0.5, ..momentum });
    assert_eq!(decayed.without_weight_decay(), Rule::Momentum(momentum));
}

proptest! {
    #[test]
    fn momentum_and_weight_decay_are_the_reference(seed in any::<u64>(), length in 1usize..100) {
        let mut random = Random(seed);
        let [w, v, g] = [0; 3].map(|_| random.numbers(length));
        let decayed: Vec<f32> = g.iter().zip(&w).map(|(g, w)| 0.3f32.mul_add(*w, *g)).collect();
        for (weight_decay, g_of_rule) in [(0.0, &g), (0.3, &decayed)] {
            let (mut want_w, mut want_v) = (w.clone(), v.clone());
            reference::momentum(0.01f32, 0.9, &mut want_w, &mut want_v, g_of_rule);
            let momentum = Momentum { learning_rate: 0.01, momentum: 0.9, weight_decay, orthogonal: false };
            for isa in common::fused() {
                let mut have = [w.clone(), v.clone(), vec![f32::NAN; length]];
                update_slices(isa, Rule::Momentum(momentum), &mut have, &g);
                common::assert_bits("weights", &have[0], &want_w);
                common::assert_bits("velocity", &have[1], &want_v);
                prop_assert!(have[2].iter().all(|x| x.is_nan()));
                let mut have_g = g.clone();
                add_weight_decay(isa, weight_decay as f32, &w, &mut have_g);
                common::assert_bits("gradient", &have_g, g_of_rule);
            }
        }
    }

    /// AdamW: the weights shrink, then Adam's step; biases do not.
    #[test]
    fn decoupled_decay_shrinks_weights(seed in any::<u64>(), length in 1usize..60) {
        let mut random = Random(seed);
        let [w, g] = [0; 2].map(|_| random.numbers(length));
        let plain = AdamOptions { learning_rate: 0.01, ..AdamOptions::default() };
        let decoupled = AdamOptions { decoupled_decay: 25.0, ..plain };
        for isa in Isa::all() {
            let run = |rule: Rule| {
                let mut numbers = [w.clone(), vec![0.0; length], vec![0.0; length]];
                update_slices(isa, rule, &mut numbers, &g);
                let [w, ..] = numbers;
                w
            };
            let (plain, decayed) = (run(plain.at_step(1)), run(decoupled.at_step(1)));
            for ((plain, decayed), w) in plain.iter().zip(&decayed).zip(&w) {
                prop_assert!((plain - decayed - 0.25 * w).abs() < 1e-6);
            }
            let without = run(decoupled.at_step(1).without_weight_decay());
            prop_assert_eq!(&plain, &without);
        }
    }
}
