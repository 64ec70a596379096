//! The tanh penalty of a sparse code is that of simple loops, on every set.

use proptest::prelude::*;
use sae_kernels::sparse::{add_tanh_gradient, tanh_value};
use sae_kernels::{Isa, math};

use crate::common::{self, Listed, Random, Zeros, wide};

/// tanh by the scalar kernels, whose bits every fused set has.
fn tanh(x: f32) -> f32 {
    let mut one = [x];
    math::map(Isa::forced("scalar").unwrap(), math::Function::Tanh, &mut one);
    one[0]
}

proptest! {
    #![proptest_config(common::settings())]

    #[test]
    fn value_and_gradient_are_those_of_loops(
        n in 1..12usize,
        units in common::side(),
        gap in 0..3usize,
        scale in prop_oneof![Just(4.0f32), 1e-3f32..1e3],
        weight in 0.0f32..2.0,
        seed in any::<u64>(),
    ) {
        let mut random = Random(seed);
        let zeros = Zeros { columns: 0.0, numbers: random.unit() };
        let listed = Listed::of(&random.sparse(n, units, zeros), n, units, gap);
        let lists = listed.lists();
        let before = random.numbers(listed.values.len());
        // In bits with the fused operations, and exactly in f64.
        let mut want = before.clone();
        let mut exact = wide(&before);
        let mut sums = (0.0f64, 0.0f64);
        for row in 0..n {
            for at in lists.entries(row) {
                let a = listed.values[at];
                let t = tanh(a * scale);
                want[at] = (weight * scale).mul_add((1.0 - t) * (1.0 + t), before[at]);
                let smooth = (f64::from(a) * f64::from(scale)).tanh();
                let slope = f64::from(weight) * f64::from(scale) * (1.0 - smooth * smooth);
                exact[at] += slope;
                sums = (sums.0 + f64::from(t), sums.1 + smooth);
            }
        }
        for isa in Isa::all() {
            let mut got = before.clone();
            add_tanh_gradient(isa, lists, scale, weight, &mut got[lists.entries(0).start..]);
            if isa.is_fused() {
                common::assert_bits(isa.name(), &got, &want);
            }
            let allowed = 1e-5 * (1.0 + f64::from(weight) * f64::from(scale));
            common::assert_close(isa.name(), &got, &exact, &vec![allowed; exact.len()]);
            let all: Vec<f32> =
                (0..n).flat_map(|row| listed.values[lists.entries(row)].to_vec()).collect();
            let value = tanh_value(isa, scale, &all);
            if isa.is_fused() {
                prop_assert_eq!(value, sums.0);
            }
            prop_assert!((value - sums.1).abs() <= 1e-6 * (1.0 + all.len() as f64));
        }
    }
}
