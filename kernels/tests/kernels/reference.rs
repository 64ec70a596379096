//! The reference against itself: its gradients are finite differences of its objective.

use sae_kernels::Activation::*;
use sae_kernels::Loss;
use sae_kernels::reference::*;

/// Numbers in [-1, 1), the same for the same seed.
fn numbers(seed: u64, len: usize) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn transposed(rows: usize, cols: usize, a: &[f64]) -> Vec<f64> {
    (0..rows * cols).map(|i| a[i % rows * cols + i / rows]).collect()
}

#[test]
fn gemm_forms_agree() {
    for (m, k, n) in [(1, 1, 1), (2, 3, 5), (7, 1, 4), (3, 0, 2), (5, 11, 13)] {
        let (a, b) = (numbers(1, m * k), numbers(2, k * n));
        let mut c = [vec![9.0; m * n], vec![8.0; m * n], vec![7.0; m * n]];
        gemm(m, k, n, &a, &b, &mut c[0]);
        gemm_bt(m, k, n, &a, &transposed(k, n, &b), &mut c[1]);
        gemm_at(m, k, n, &transposed(m, k, &a), &b, &mut c[2]);
        assert!(c[0] == c[1] && c[0] == c[2]);
    }
    let mut c = [0.0; 4];
    gemm(2, 2, 2, &[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0f32], &mut c);
    assert_eq!(c, [19.0, 22.0, 43.0, 50.0]);
}

fn check_gradient(net: &Net, n: usize, seed: u64) {
    let x = numbers(seed + 100, n * net.sizes[0]);
    let mut params = numbers(seed, net.parameters());
    for (i, g) in net.gradient(&params, &x, n).into_iter().enumerate() {
        let [high, low] = [1e-5, -2e-5].map(|h| {
            params[i] += h;
            net.objective(&params, &x, n).total
        });
        params[i] += 1e-5;
        let difference = (high - low) / 2e-5;
        assert!((g - difference).abs() < 1e-8, "{net:?}, n {n}, {i}: {g} {difference}");
    }
}

#[test]
fn gradient_is_the_finite_difference_of_the_objective() {
    let lambda = 0.01;
    let kl = Penalty { rho: 0.1, beta: 0.3, l1: 0.02 };
    let l1 = Penalty { rho: 0.1, beta: 0.0, l1: 0.05 };
    let shapes: [&[_]; 5] = [&[1; 3], &[4; 3], &[5, 2, 5], &[7, 5, 3, 5, 7], &[11, 1, 2, 3, 11]];
    for (seed, sizes) in (1..).zip(shapes) {
        for kind in [Sigmoid, Tanh, Relu, LeakyRelu, Linear, SaturatingLinear] {
            for penalized in [0, Net::encoder_layers(sizes)] {
                let mut activations = vec![kind; sizes.len() - 1];
                let penalty = if kind == Sigmoid { kl } else { l1 };
                let penalties = &vec![penalty; penalized][..];
                let code = sizes[Net::encoder_layers(sizes)];
                for gate in [Gate::Open, Gate::TopK(code.div_ceil(2)), Gate::BatchTopK(code)] {
                    for loss in Loss::ALL {
                        if loss == Loss::CrossEntropy {
                            *activations.last_mut().unwrap() = Sigmoid;
                        }
                        let activations = &activations[..];
                        let net = Net { sizes, activations, penalties, loss, gate, lambda };
                        check_gradient(&net, 1, seed);
                        check_gradient(&net, 13, seed);
                    }
                }
            }
        }
    }
}

#[test]
fn kl_is_finite_and_points_back_inside() {
    fn check<T: Real>() {
        let t = T::from_f64;
        for rho in [0.02, 0.5, 0.98] {
            for (rho_hat, sign) in [(-1.0, -1.0), (0.0, -1.0), (1.0, 1.0), (2.0, 1.0)] {
                let value = kl_value(t(rho), t(rho_hat)).to_f64();
                let gradient = kl_gradient(t(rho), t(rho_hat)).to_f64();
                assert!(value.is_finite() && value > 0.0);
                assert!(gradient.is_finite() && gradient * sign > 1.0);
            }
            assert_eq!(kl_value(t(rho), t(rho)).to_f64(), 0.0);
            assert!(kl_gradient(t(rho), t(rho)).to_f64().abs() < 1e-6);
        }
        for edge in [0.0, 1.0] {
            assert!(kl_value(t(edge), t(0.3)).to_f64() > 0.0);
            assert!(kl_value(t(edge), t(edge)).to_f64().abs() < 2e-6);
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn adam_is_the_published_one_in_both_types() {
    let (learning_rate, weight_decay) = (1e-2, 5e-3);
    let (beta1, beta2, epsilon) = (0.9, 0.999, 1e-8);
    let (mut w, mut m, mut v) = ([0.3], [0.0], [0.0]);
    let (mut w32, mut m32, mut v32) = ([0.3f32], [0.0], [0.0]);
    let (mut book, mut mean, mut square) = (0.3, 0.0, 0.0);
    for (step, g) in (1..).zip(numbers(1, 1000)) {
        let settings = Adam { learning_rate, beta1, beta2, epsilon, step, weight_decay };
        adam(&settings, &mut w, &mut m, &mut v, &[g]);
        adam(&settings, &mut w32, &mut m32, &mut v32, &[g as f32]);
        let g = g + weight_decay * book;
        mean = beta1 * mean + (1.0 - beta1) * g;
        square = beta2 * square + (1.0 - beta2) * g * g;
        let m_hat = mean / (1.0 - beta1.powi(step as i32));
        let v_hat: f64 = square / (1.0 - beta2.powi(step as i32));
        book -= learning_rate * m_hat / (v_hat.sqrt() + epsilon);
        assert!((w[0] - book).abs() < 1e-12);
        assert!((f64::from(w32[0]) - book).abs() < 1e-5);
    }
}
