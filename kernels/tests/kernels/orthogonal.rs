//! Updates by the component of the gradient that is orthogonal to each row of weights.

use sae_kernels::{
    AdamOptions, Isa, Matrix, MatrixMut, Momentum, Operand, Rule, Scratch, Update,
    add_weight_decay, gemm,
};

use crate::common::{self, Random};

fn rules(step: u64) -> [Rule; 4] {
    let adam = AdamOptions { learning_rate: 0.05, ..AdamOptions::default() };
    let decayed = AdamOptions { weight_decay: 0.1, decoupled_decay: 0.1, ..adam };
    let momentum =
        Momentum { learning_rate: 0.05, momentum: 0.9, weight_decay: 0.1, orthogonal: false };
    let rules = [adam.at_step(step), decayed.at_step(step), Rule::Momentum(momentum)];
    let [adam, decayed, momentum] = rules.map(Rule::orthogonal);
    [adam, decayed, momentum, adam.lazy()]
}

/// Rows of length 1.
fn unit_rows(random: &mut Random, rows: usize, cols: usize) -> Vec<f32> {
    let mut weights = random.numbers(rows * cols);
    for row in weights.chunks_mut(cols) {
        let length = row.iter().map(|w| w * w).sum::<f32>().sqrt();
        row.iter_mut().for_each(|w| *w /= length);
    }
    weights
}

fn update(isa: Isa, rule: Rule, numbers: &mut [Vec<f32>; 3], cols: usize, gradient: &[f32]) -> f32 {
    let rows = gradient.len() / cols;
    let [w, m, v] = numbers.each_mut().map(|all| MatrixMut::new(all, rows, cols));
    rule.update_rows(isa, w, m, v, Matrix::new(gradient, rows, cols))
}

/// The plain rule's step by a gradient whose component along each row was removed in `f64`.
#[test]
fn the_optimizer_sees_what_is_orthogonal() {
    let mut random = Random(3);
    for (rows, cols) in [(1, 1), (3, 7), (5, 300), (2, 1301)] {
        let weights = unit_rows(&mut random, rows, cols);
        let gradient = random.numbers(rows * cols);
        let momentum =
            Momentum { learning_rate: 0.5, momentum: 0.0, weight_decay: 3.0, orthogonal: false };
        let rule = Rule::Momentum(momentum).orthogonal();
        for isa in Isa::all() {
            let mut numbers = [weights.clone(), vec![0.0; rows * cols], vec![0.0; rows * cols]];
            let largest = update(isa, rule, &mut numbers, cols, &gradient);
            assert_eq!(largest, numbers[0].iter().fold(0.0, |most: f32, w| most.max(w.abs())));
            for row in 0..rows {
                let own = row * cols..(row + 1) * cols;
                let (w, g) = (&weights[own.clone()], &gradient[own.clone()]);
                let dot = |a: &[f32], b: &[f32]| -> f64 {
                    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
                };
                let share = dot(g, w) / dot(w, w);
                // With no momentum the first moment is the gradient that was seen.
                for ((&seen, &g), &w) in numbers[1][own.clone()].iter().zip(g).zip(w) {
                    let want = f64::from(g) - share * f64::from(w);
                    assert!((f64::from(seen) - want).abs() < 2e-6, "{seen} {want}");
                }
                assert!(dot(&numbers[1][own], w).abs() < 1e-5, "{} {rows} {cols}", isa.name());
            }
        }
    }
}

/// A row of zeros has no direction.
#[test]
fn rows_of_zeros_keep_their_gradient() {
    for rule in rules(1) {
        let mut numbers = [vec![0.0; 4], vec![0.0; 4], vec![0.0; 4]];
        update(common::scalar(), rule, &mut numbers, 2, &[1.0, -2.0, 0.0, 0.0]);
        let [weights, first, _] = numbers;
        assert!(weights[0] < 0.0 && weights[1] > 0.0 && first[0] > 0.0 && first[1] < 0.0);
        assert_eq!(weights[2..], [0.0; 2]);
    }
}

/// Fused, through memory, and with the weight decay in the gradient before: the same bits, on every set;
/// rows of a block, of several rows of a block, and of more than a block.
#[test]
fn every_way_has_the_same_bits() {
    let mut random = Random(5);
    for (n, rows, cols) in [(9, 30, 40), (5, 7, 1500), (3, 14, 4100), (2, 3, 50_000)] {
        let weights = unit_rows(&mut random, rows, cols);
        let moments: Vec<f32> = random.numbers(rows * cols).iter().map(|m| m * m).collect();
        let (a, delta) = (random.numbers(n * rows), random.numbers(n * cols));
        for rule in rules(7) {
            // A row that a lazy rule leaves alone.
            let mut a = a.clone();
            a.chunks_mut(rows).for_each(|a| a[1] = 0.0);
            let (a, delta) = (Matrix::new(&a, n, rows).transposed(), Matrix::new(&delta, n, cols));
            let before = [weights.clone(), moments.clone(), moments.clone()];
            let mut gradient = vec![0.0; rows * cols];
            let mut want: Option<[Vec<f32>; 3]> = None;
            for isa in Isa::all().filter(|isa| isa.is_fused()) {
                common::with_scratch(|scratch| {
                    let c = MatrixMut::new(&mut gradient, rows, cols);
                    gemm(isa, a, delta, c, scratch);
                });
                let mut through_memory = before.clone();
                update(isa, rule, &mut through_memory, cols, &gradient);
                let mut fused = before.clone();
                let [w, m, v] = fused.each_mut().map(|all| MatrixMut::new(all, rows, cols));
                let whole = Update {
                    rule,
                    a: Operand::Dense(a),
                    delta,
                    weights: w,
                    first_moment: m,
                    second_moment: v,
                    correction: None,
                };
                common::with_scratch(|scratch: &mut Scratch<'_>| whole.run(isa, scratch));
                assert!(fused == through_memory, "{} {rows} x {cols} {rule:?}", isa.name());
                let want = want.get_or_insert(fused);
                assert!(*want == through_memory, "{} {rows} x {cols} {rule:?}", isa.name());
                if rule.is_lazy() {
                    assert!(want[0][cols..2 * cols] == weights[cols..2 * cols], "row 1 stays");
                }
            }
        }
        // The decay in the gradient, and none in the rule.
        let isa = common::scalar();
        let gradient = random.numbers(rows * cols);
        let decay = |weight_decay| AdamOptions { weight_decay, ..AdamOptions::default() };
        let [own, none] = [0.1, 0.0].map(|of| decay(of).at_step(3).orthogonal());
        let mut by_rule = [weights.clone(), moments.clone(), moments.clone()];
        let mut by_gradient = by_rule.clone();
        update(isa, own, &mut by_rule, cols, &gradient);
        let mut decayed = gradient.clone();
        add_weight_decay(isa, 0.1, &weights, &mut decayed);
        update(isa, none, &mut by_gradient, cols, &decayed);
        assert!(by_rule == by_gradient, "{rows} x {cols}");
    }
}
