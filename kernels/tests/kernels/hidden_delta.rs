//! [`HiddenDelta`]: the bits of a product, penalty and derivative one after the other.

use proptest::prelude::*;
use sae_kernels::{HiddenDelta, Isa, Operand, Parts, Penalty, reference};

use crate::common::{self, Block, Random, wide};
use crate::layer::{
    self, EPSILON, Layer, WAYS, Way, activate, layer, sums, unsigned_zeros, weights,
};

/// Runs the product whole, or part by part.
fn run(isa: Isa, whole: HiddenDelta<'_>, way: Way, layer: &Layer) {
    let (n, _, units) = layer.shape;
    common::with_scratch(|scratch| match way {
        Way::Whole => whole.run(isa, scratch),
        Way::Rows => {
            let division = layer.division(n);
            let deltas = Parts::rows(whole.delta, division);
            for part in 0..division.parts() {
                let range = division.range(part);
                let part = HiddenDelta {
                    next: whole.next.rows(range.clone()),
                    activations: whole.activations.rows(range),
                    delta: deltas.take(part),
                    bias_gradient: &mut *whole.bias_gradient,
                    ..whole
                };
                part.run(isa, scratch);
            }
        }
        Way::Columns => {
            let division = layer.division(units);
            let deltas = Parts::columns(whole.delta, division);
            for part in (0..division.parts()).rev() {
                let range = division.range(part);
                let of_units = whole.penalty.units.map(|penalty| &penalty[range.clone()]);
                let part = HiddenDelta {
                    weights: whole.weights.rows(range.clone()),
                    activations: whole.activations.columns(range.clone()),
                    penalty: Penalty { units: of_units, ..whole.penalty },
                    delta: deltas.take(part),
                    bias_gradient: &mut whole.bias_gradient[range],
                    ..whole
                };
                part.run(isa, scratch);
            }
        }
    });
}

/// Here the layer's inputs are the next layer's deltas, and its weights are read transposed.
fn check(layer: &Layer, with_penalty: bool) {
    let (n, outputs, units) = layer.shape;
    let mut random = Random(layer.seed);
    let next = random.sparse(n, outputs, layer.zeros);
    let w = weights(&mut random, outputs, units);
    let mut a = random.numbers(n * units);
    activate(layer.activation, &mut a);
    let penalty = if with_penalty { random.numbers(units) } else { vec![0.0; units] };
    let before = random.numbers(units);
    let l1 = if with_penalty && layer.seed.is_multiple_of(2) { 0.25 } else { 0.0 };

    let (mut delta, mut exact, mut error) = sums(layer, &next, &w, &penalty);
    let mut gradient = before.clone();
    let mut gradient_exact = wide(&before);
    let mut gradient_error: Vec<f64> =
        before.iter().map(|x| f64::from(x.abs()) * EPSILON * n as f64).collect();
    for ij in 0..n * units {
        let j = ij % units;
        let sign = if a[ij] == 0.0 { 0.0 } else { l1 * a[ij].signum() };
        delta[ij] += sign;
        exact[ij] += f64::from(sign);
        error[ij] += EPSILON * exact[ij].abs();
        delta[ij] *= reference::derivative(layer.activation, a[ij]);
        gradient[j] += delta[ij];
        let upstream = exact[ij];
        exact[ij] *= reference::derivative(layer.activation, f64::from(a[ij]));
        error[ij] += 4.0 * EPSILON * upstream.abs() + 1e-37;
        gradient_exact[j] += exact[ij];
        gradient_error[j] += error[ij] + n as f64 * EPSILON * exact[ij].abs();
    }

    let [next_layout, w_layout, a_layout, out_layout] = layer.layouts;
    let next = Block::holding(&next, n, outputs, next_layout);
    let w = Block::holding(&w, outputs, units, w_layout);
    let a = Block::holding(&a, n, units, a_layout);
    let penalty = with_penalty.then(|| common::guarded(&penalty));
    let penalty = Penalty { units: penalty.as_deref(), l1 };
    let mut first_bits: Option<Vec<f32>> = None;
    for (isa, skip_zeros, way) in common::each_isa(&WAYS) {
        let mut out = Block::unwritten(n, units, out_layout);
        let mut got = common::guarded(&before);
        let whole = HiddenDelta {
            next: Operand::new(next.view(), skip_zeros),
            weights: w.view().transposed(),
            activations: a.view(),
            activation: layer.activation,
            penalty,
            delta: out.view_mut(),
            bias_gradient: &mut got,
        };
        run(isa, whole, way, layer);
        let what = format!(
            "{} with skip_zeros {skip_zeros}, {way:?}, penalty {with_penalty}, {layer:?}",
            isa.name()
        );
        let (out, of_delta) = (out.numbers(), format!("delta, {what}"));
        let of_gradient = format!("gradient, {what}");
        if isa.is_fused() {
            let first = first_bits.get_or_insert_with(|| out.clone());
            common::assert_bits(&of_delta, &out, first);
            common::assert_bits(&of_delta, &unsigned_zeros(&out), &unsigned_zeros(&delta));
            common::assert_bits(&of_gradient, &got, &gradient);
        }
        common::assert_close(&of_delta, &out, &exact, &error);
        common::assert_close(&of_gradient, &got, &gradient_exact, &gradient_error);
    }
}

proptest! {
    #![proptest_config(layer::settings())]

    #[test]
    fn is_product_penalty_and_derivative(layer in layer(), penalty in any::<bool>()) {
        check(&layer, penalty);
    }
}

#[test]
fn of_the_article() {
    for (i, layer) in layer::layers_of_the_article().iter().enumerate() {
        check(layer, i % 4 < 2);
    }
}

#[test]
fn of_nothing() {
    layer::empty_layers().iter().for_each(|layer| check(layer, true));
}
