//! The mathematics in plain loops: what every other kernel is tested against.
//!
//! Nothing here is fast, and nothing is left to chance: every sum runs in the order its text gives.
//! Matrices are row-major slices, their shapes come first. A slice of another length than its shape
//! panics: the callers are tests.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::activation::Activation;

mod sealed {
    pub trait Sealed {}
}

/// The two number types of the reference: `f32` to compare bits, `f64` to compare with the truth.
#[allow(missing_docs)]
pub trait Real:
    sealed::Sealed
    + Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// `self * a + b`, rounded once.
    fn mul_add(self, a: Self, b: Self) -> Self;
    fn sqrt(self) -> Self;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn tanh(self) -> Self;
    /// The nearest number of this type.
    fn from_f64(x: f64) -> Self;
    fn to_f64(self) -> f64;
}

macro_rules! real {
    ($($t:ident)*) => {$(
        impl sealed::Sealed for $t {}
        impl Real for $t {
            fn mul_add(self, a: Self, b: Self) -> Self { $t::mul_add(self, a, b) }
            fn sqrt(self) -> Self { $t::sqrt(self) }
            fn exp(self) -> Self { $t::exp(self) }
            fn ln(self) -> Self { $t::ln(self) }
            fn tanh(self) -> Self { $t::tanh(self) }
            fn from_f64(x: f64) -> Self { x as $t }
            fn to_f64(self) -> f64 { f64::from(self) }
        }
    )*};
}
real!(f32 f64);

/// C = A B, with A `[m, k]`, B `[k, n]`, C `[m, n]`: each element is one chain of fused
/// multiply-adds in the order of k, from 0.
pub fn gemm<T: Real>(m: usize, k: usize, n: usize, a: &[T], b: &[T], c: &mut [T]) {
    assert_eq!((a.len(), b.len(), c.len()), (m * k, k * n, m * n));
    product(k, n, c, &|i, p| a[i * k + p], &|p, j| b[p * n + j]);
}

/// C = A B^T, with A `[m, k]`, B `[n, k]`, C `[m, n]`; sums as in [`gemm`].
pub fn gemm_bt<T: Real>(m: usize, k: usize, n: usize, a: &[T], b: &[T], c: &mut [T]) {
    assert_eq!((a.len(), b.len(), c.len()), (m * k, n * k, m * n));
    product(k, n, c, &|i, p| a[i * k + p], &|p, j| b[j * k + p]);
}

/// C = A^T B, with A `[k, m]`, B `[k, n]`, C `[m, n]`; sums as in [`gemm`].
pub fn gemm_at<T: Real>(m: usize, k: usize, n: usize, a: &[T], b: &[T], c: &mut [T]) {
    assert_eq!((a.len(), b.len(), c.len()), (k * m, k * n, m * n));
    product(k, n, c, &|i, p| a[p * m + i], &|p, j| b[p * n + j]);
}

type At<'a, T> = &'a dyn Fn(usize, usize) -> T;

fn product<T: Real>(k: usize, n: usize, c: &mut [T], a: At<T>, b: At<T>) {
    for (ij, c) in c.iter_mut().enumerate() {
        *c = chain(k, |p| (a(ij / n, p), b(p, ij % n)));
    }
}

fn chain<T: Real>(k: usize, factors: impl Fn(usize) -> (T, T)) -> T {
    (0..k).map(factors).fold(T::from_f64(0.0), |acc, (a, b)| a.mul_add(b, acc))
}

/// f(z). The leaky ReLU's slope below 0 is 0.01.
pub fn activation<T: Real>(kind: Activation, z: T) -> T {
    let (zero, one) = (T::from_f64(0.0), T::from_f64(1.0));
    match kind {
        Activation::Sigmoid => one / (one + (-z).exp()),
        Activation::Tanh => z.tanh(),
        Activation::Relu => if_above(z, zero, z, zero),
        Activation::LeakyRelu => if_above(z, zero, z, T::from_f64(0.01) * z),
        Activation::Linear => z,
        Activation::SaturatingLinear => if_above(z, one, one, if_above(z, zero, z, zero)),
    }
}

/// f'(z), told from the activation a = f(z). At a kink it is the slope on the flatter side.
pub fn derivative<T: Real>(kind: Activation, a: T) -> T {
    let (zero, one) = (T::from_f64(0.0), T::from_f64(1.0));
    match kind {
        Activation::Sigmoid => a * (one - a),
        Activation::Tanh => (-a).mul_add(a, one),
        Activation::Relu => if_above(a, zero, one, zero),
        Activation::LeakyRelu => if_above(a, zero, one, T::from_f64(0.01)),
        Activation::Linear => one,
        Activation::SaturatingLinear => if_above(a, zero, if_above(one, a, one, zero), zero),
    }
}

fn if_above<T: Real>(x: T, bound: T, above: T, otherwise: T) -> T {
    if x > bound { above } else { otherwise }
}

/// out`[cols]` = the sums of the columns of a `[rows, cols]`, added in row order from 0.
pub fn column_sums<T: Real>(rows: usize, cols: usize, a: &[T], out: &mut [T]) {
    assert_eq!((a.len(), out.len()), (rows * cols, cols));
    for (j, sum) in out.iter_mut().enumerate() {
        *sum = (0..rows).fold(T::from_f64(0.0), |acc, i| acc + a[i * cols + j]);
    }
}

/// `rho_hat` is cut to [`RHO_EPSILON`, 1 - `RHO_EPSILON`] wherever it divides.
pub const RHO_EPSILON: f64 = 1e-6;

fn clamp_rho_hat<T: Real>(rho_hat: T) -> T {
    let (low, high) = (T::from_f64(RHO_EPSILON), T::from_f64(1.0 - RHO_EPSILON));
    if_above(rho_hat, high, high, if_above(low, rho_hat, low, rho_hat))
}

/// KL(rho || rho_hat) of one unit: rho ln(rho / rho_hat) + (1 - rho) ln((1 - rho) / (1 - rho_hat)).
/// 0 ln 0 = 0. For rho in \[0, 1\] and any rho_hat: it is cut, see [`RHO_EPSILON`].
pub fn kl_value<T: Real>(rho: T, rho_hat: T) -> T {
    let (zero, one) = (T::from_f64(0.0), T::from_f64(1.0));
    let rho_hat = clamp_rho_hat(rho_hat);
    let term = |p: T, q: T| if p == zero { zero } else { p * (p / q).ln() };
    term(rho, rho_hat) + term(one - rho, one - rho_hat)
}

/// d KL / d rho_hat of one unit = -rho / rho_hat + (1 - rho) / (1 - rho_hat), rho_hat cut as in
/// [`kl_value`]. For d S / d a_ij divide by the number of samples.
pub fn kl_gradient<T: Real>(rho: T, rho_hat: T) -> T {
    let one = T::from_f64(1.0);
    let rho_hat = clamp_rho_hat(rho_hat);
    (one - rho) / (one - rho_hat) - rho / rho_hat
}

/// Sum of (a - x)^2, one chain of fused multiply-adds. The MSE divides it.
pub fn squared_error<T: Real>(a: &[T], x: &[T]) -> T {
    assert_eq!(a.len(), x.len());
    chain(a.len(), |i| (a[i] - x[i], a[i] - x[i]))
}

/// R = 1/2 sum w^2, one chain of fused multiply-adds.
pub fn weight_decay<T: Real>(w: &[T]) -> T {
    T::from_f64(0.5) * chain(w.len(), |i| (w[i], w[i]))
}

/// Settings of one step of Adam: named as its authors do, `epsilon` above 0, `step` from 1, and
/// `weight_decay` the lambda of the lambda w that is added to the gradient (0 for biases).
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    pub learning_rate: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    pub step: u64,
    pub weight_decay: f64,
}

/// One step on weights w with gradient g and means m, v, all of one length:
/// `g' = g + lambda w; m = b1 m + (1 - b1) g'; v = b2 v + (1 - b2) g'^2;`
/// `w -= lr c2 / (1 - b1^t) m / (sqrt(v) + eps c2)` with `c2 = sqrt(1 - b2^t)`.
///
/// That is Kingma and Ba's bias-corrected `lr m_hat / (sqrt(v_hat) + eps)`. What depends on the
/// settings alone is computed in `f64` and rounded once.
pub fn adam<T: Real>(settings: &Adam, w: &mut [T], m: &mut [T], v: &mut [T], g: &[T]) {
    assert_eq!((w.len(), m.len(), v.len()), (g.len(), g.len(), g.len()));
    let &Adam { learning_rate, beta1, beta2, epsilon, step, weight_decay } = settings;
    let c1 = 1.0 - beta1.powf(step as f64);
    let c2 = (1.0 - beta2.powf(step as f64)).sqrt();
    let (b1, one_minus_b1) = (T::from_f64(beta1), T::from_f64(1.0 - beta1));
    let (b2, one_minus_b2) = (T::from_f64(beta2), T::from_f64(1.0 - beta2));
    let (rate, eps) = (T::from_f64(learning_rate * c2 / c1), T::from_f64(epsilon * c2));
    let lambda = T::from_f64(weight_decay);
    for i in 0..g.len() {
        let g = lambda.mul_add(w[i], g[i]);
        m[i] = b1.mul_add(m[i], one_minus_b1 * g);
        v[i] = b2.mul_add(v[i], one_minus_b2 * g * g);
        w[i] = w[i] - rate * m[i] / (v[i].sqrt() + eps);
    }
}

/// A net and its objective, in `f64`.
///
/// The parameters are one flat slice: for each layer l its weights `[sizes[l], sizes[l + 1]]`, then
/// its biases `[sizes[l + 1]]`. A batch x is `[n, sizes[0]]`, and the last size equals the first.
#[derive(Clone, Copy, Debug)]
pub struct Net<'a> {
    /// Features, then the units of every layer: one more than there are layers.
    pub sizes: &'a [usize],
    /// One for each layer.
    pub activations: &'a [Activation],
    /// Target activation.
    pub rho: f64,
    /// Factor of the sparsity penalty.
    pub beta: f64,
    /// Factor of the weight decay.
    pub lambda: f64,
    /// So many layers from the first get the penalty; see [`Net::encoder_layers`].
    pub sparse_layers: usize,
}

/// The objective's terms MSE, S and R as they are, and its total MSE + beta S + lambda R.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    pub loss: f64,
    pub sparsity: f64,
    pub weight_decay: f64,
    pub total: f64,
}

impl Net<'_> {
    /// How many layers the encoder has: the first half, up to and with the code layer.
    pub fn encoder_layers(sizes: &[usize]) -> usize {
        sizes.len().saturating_sub(1) / 2
    }

    /// Numbers in the flat parameters.
    pub fn parameters(&self) -> usize {
        self.sizes.windows(2).map(|s| (s[0] + 1) * s[1]).sum()
    }

    /// Weights and biases of each layer.
    pub fn split<'p>(&self, mut params: &'p [f64]) -> Vec<(&'p [f64], &'p [f64])> {
        assert_eq!(params.len(), self.parameters());
        let mut layers = Vec::new();
        for s in self.sizes.windows(2) {
            let (w, rest) = params.split_at(s[0] * s[1]);
            let (b, rest) = rest.split_at(s[1]);
            layers.push((w, b));
            params = rest;
        }
        layers
    }

    /// a_1 .. a_L, each `[n, sizes[l]]`: a_l = f_l(a_{l-1} W_l + b_l), a_0 = x.
    pub fn forward(&self, params: &[f64], x: &[f64], n: usize) -> Vec<Vec<f64>> {
        assert_eq!(self.activations.len() + 1, self.sizes.len());
        let mut layers: Vec<Vec<f64>> = Vec::new();
        for (l, (w, b)) in self.split(params).into_iter().enumerate() {
            let (inputs, units) = (self.sizes[l], self.sizes[l + 1]);
            let mut a = vec![0.0; n * units];
            gemm(n, inputs, units, layers.last().map_or(x, |a| a), w, &mut a);
            for (i, z) in a.iter_mut().enumerate() {
                *z = activation(self.activations[l], *z + b[i % units]);
            }
            layers.push(a);
        }
        layers
    }

    /// rho_hat: the mean activation of each of `units` over the batch.
    pub fn mean_activations(n: usize, units: usize, a: &[f64]) -> Vec<f64> {
        let mut means = vec![0.0; units];
        column_sums(n, units, a, &mut means);
        means.iter().map(|sum| sum / n as f64).collect()
    }

    /// E = MSE + beta S + lambda R over a batch of n samples.
    pub fn objective(&self, params: &[f64], x: &[f64], n: usize) -> Terms {
        let layers = self.forward(params, x, n);
        let loss = squared_error(&layers[layers.len() - 1], x) / x.len() as f64;
        let sparse = layers.iter().zip(&self.sizes[1..]).take(self.sparse_layers);
        let rho_hat = sparse.flat_map(|(a, &units)| Self::mean_activations(n, units, a));
        let sparsity: f64 = rho_hat.map(|rho_hat| kl_value(self.rho, rho_hat)).sum();
        let weight_decay: f64 = self.split(params).iter().map(|(w, _)| weight_decay(w)).sum();
        let total = loss + self.beta * sparsity + self.lambda * weight_decay;
        Terms { loss, sparsity, weight_decay, total }
    }

    /// d E / d parameters, laid out like them, by backpropagation. Weight decay is in it: give
    /// [`adam`] a `weight_decay` of 0.
    pub fn gradient(&self, params: &[f64], x: &[f64], n: usize) -> Vec<f64> {
        let layers = self.forward(params, x, n);
        let last = &layers[layers.len() - 1];
        let scale = 2.0 / x.len() as f64;
        // d E / d a_l, from the last layer to the first.
        let mut upstream: Vec<f64> = last.iter().zip(x).map(|(a, x)| scale * (a - x)).collect();
        let mut gradients = Vec::new();
        for (l, (w, _)) in self.split(params).into_iter().enumerate().rev() {
            let (inputs, units) = (self.sizes[l], self.sizes[l + 1]);
            let a = &layers[l];
            let mut delta = upstream;
            if l < self.sparse_layers {
                let rho_hat = Self::mean_activations(n, units, a);
                for (i, d) in delta.iter_mut().enumerate() {
                    *d += self.beta / n as f64 * kl_gradient(self.rho, rho_hat[i % units]);
                }
            }
            let f = self.activations[l];
            delta.iter_mut().zip(a).for_each(|(d, &a)| *d *= derivative(f, a));
            let mut layer = vec![0.0; (inputs + 1) * units];
            let (dw, db) = layer.split_at_mut(inputs * units);
            gemm_at(inputs, n, units, if l == 0 { x } else { &layers[l - 1] }, &delta, dw);
            dw.iter_mut().zip(w).for_each(|(g, &w)| *g = self.lambda.mul_add(w, *g));
            column_sums(n, units, &delta, db);
            gradients.push(layer);
            upstream = vec![0.0; n * inputs];
            gemm_bt(n, units, inputs, &delta, w, &mut upstream);
        }
        gradients.reverse();
        gradients.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::Activation::*;
    use super::*;

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
            let slope = (high - low) / 2e-5;
            assert!((g - slope).abs() < 1e-8, "{net:?}, n {n}, {i}: {g} {slope}");
        }
    }

    #[test]
    fn gradient_is_the_slope_of_the_objective() {
        let (rho, beta, lambda) = (0.1, 0.3, 0.01);
        let shapes: [&[_]; 5] = [&[1; 3], &[4; 2], &[5, 2, 5], &[7, 5, 3, 5, 7], &[11, 1, 2, 11]];
        for (seed, sizes) in (1..).zip(shapes) {
            for kind in [Sigmoid, Tanh, Relu, LeakyRelu, Linear, SaturatingLinear] {
                for sparse_layers in [0, Net::encoder_layers(sizes)] {
                    let mut activations = vec![kind; sizes.len() - 1];
                    activations[..sparse_layers].fill(Sigmoid);
                    let activations = &activations;
                    let net = Net { sizes, activations, rho, beta, lambda, sparse_layers };
                    check_gradient(&net, 1, seed);
                    check_gradient(&net, 13, seed);
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
}
