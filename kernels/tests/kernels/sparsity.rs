//! Sparsity penalties: mean activations, KL's value and gradient.

use sae_kernels::{Isa, reference, sparsity};

use crate::common::{self, Random};
use crate::layer::EPSILON;

/// Mean activations from 0 to 1, the ends among them.
fn means(random: &mut Random, len: usize) -> Vec<f32> {
    let edges = [0.0, 1.0, -0.0, 1e-7, 1e-6, 1.0 - f32::EPSILON, f32::from_bits(1), 0.02, 0.5];
    let mean = |i: usize| if i < edges.len() { edges[i] } else { random.unit() };
    (0..len).map(mean).rev().collect()
}

#[test]
fn means_of_sums() {
    let mut random = Random(7);
    for len in 0..50 {
        let sums: Vec<f32> = random.numbers(len).iter().map(|x| x * 60.0).collect();
        for samples in [1, 7, 60, 10_000] {
            let want: Vec<f32> = sums.iter().map(|sum| sum / samples as f32).collect();
            for isa in Isa::all() {
                let mut got = common::guarded(&sums);
                sparsity::mean(isa, samples, &mut got);
                common::assert_bits(isa.name(), &got, &want);
            }
        }
    }
}

#[test]
fn penalties_are_those_of_the_reference() {
    let mut random = Random(8);
    for len in 0..50 {
        let rho_hat = means(&mut random, len);
        for rho in [0.02, 0.3, 0.98] {
            let weight = 7.5e-5 / 60.0;
            let reference_gradient = |rho_hat: &f32| weight * reference::kl_gradient(rho, *rho_hat);
            let want: Vec<f32> = rho_hat.iter().map(reference_gradient).collect();
            let terms = rho_hat.iter().map(|x| {
                // Cut as the kernels cut it: 1 - 1e-6 is not an `f32`.
                let x = f64::from(x.clamp(sparsity::EPSILON, 1.0 - sparsity::EPSILON));
                reference::kl_value(f64::from(rho), x)
            });
            let value: f64 = terms.sum();
            let rho_hat = common::guarded(&rho_hat);
            let bits = sparsity::kl_value(common::scalar(), rho, &rho_hat).to_bits();
            for isa in Isa::all() {
                let mut got = common::guarded(&vec![f32::NAN; len]);
                sparsity::kl_gradient(isa, rho, weight, &rho_hat, &mut got);
                common::assert_bits(isa.name(), &got, &want);
                let got = sparsity::kl_value(isa, rho, &rho_hat);
                // ln's argument is rounded twice, ln and the term once each; terms are below 15.
                let error = 4.0 * EPSILON * (len as f64 + value);
                assert!((got - value).abs() <= error, "{}: {got} {value}", isa.name());
                assert!(!isa.is_fused() || got.to_bits() == bits, "{}", isa.name());
            }
        }
    }
}

/// Whatever the mean, the penalty is a number, and its gradient points back inside.
#[test]
fn penalties_are_finite() {
    let outside = [f32::NEG_INFINITY, f32::MIN, -1.0, -1e-30, -0.0, 0.0, f32::from_bits(1), 1e-7];
    let above = [1.0 - f32::EPSILON / 2.0, 1.0, 1.5, f32::MAX, f32::INFINITY];
    for isa in Isa::all() {
        for rho in [0.001, 0.02, 0.5, 0.98] {
            for (rho_hats, sign) in [(&outside[..], -1.0), (&above[..], 1.0)] {
                let mut gradient = vec![0.0; rho_hats.len()];
                sparsity::kl_gradient(isa, rho, 1.0, rho_hats, &mut gradient);
                for (g, rho_hat) in gradient.iter().zip(rho_hats) {
                    let inside = g.is_finite() && g * sign > 1.0;
                    assert!(inside, "{}: {rho} {rho_hat} {g}", isa.name());
                    let value = sparsity::kl_value(isa, rho, &[*rho_hat]);
                    assert!(value.is_finite() && value > 0.0, "{rho} {rho_hat} {value}");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "a gradient for each unit")]
fn penalties_of_other_lengths() {
    sparsity::kl_gradient(common::scalar(), 0.02, 1.0, &[0.5; 3], &mut [0.0; 4]);
}
