//! The reference implementation: the mathematics in simple loops, which every other kernel is tested
//! against.
//!
//! Nothing here is fast, and every sum has one order, that of its text. Matrices are row-major
//! slices, their shapes come first. A slice of another length than its shape panics. It is for tests
//! and may change in any version.
//!
//! ```
//! use sae_kernels::reference;
//!
//! let mut c = [0.0f64; 2];
//! reference::gemm(1, 2, 2, &[1.0, 2.0], &[3.0, 4.0, 5.0, 6.0], &mut c);
//! assert_eq!(c, [13.0, 16.0]);
//! ```

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::activation::Activation;
use crate::loss::Loss;

mod jump;

pub use jump::JumpPenalty;

mod sealed {
    pub trait Sealed {}
}

/// The two number types of the reference: `f32` to compare bits, `f64` for exact values.
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

/// f(z). The leaky ReLU is 0.01 z below 0.
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

/// f'(z), from the activation a = f(z). At a kink it is the smaller of both sides' derivatives.
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

/// `rho_hat` is clamped to [`RHO_EPSILON`, 1 - `RHO_EPSILON`] wherever it divides.
pub const RHO_EPSILON: f64 = 1e-6;

fn clamp_rho_hat<T: Real>(rho_hat: T) -> T {
    let (low, high) = (T::from_f64(RHO_EPSILON), T::from_f64(1.0 - RHO_EPSILON));
    if_above(rho_hat, high, high, if_above(low, rho_hat, low, rho_hat))
}

/// KL(rho || rho_hat) of one unit: rho ln(rho / rho_hat) + (1 - rho) ln((1 - rho) / (1 - rho_hat)).
/// 0 ln 0 = 0. For rho in \[0, 1\] and any rho_hat: it is clamped, see [`RHO_EPSILON`].
pub fn kl_value<T: Real>(rho: T, rho_hat: T) -> T {
    let (zero, one) = (T::from_f64(0.0), T::from_f64(1.0));
    let rho_hat = clamp_rho_hat(rho_hat);
    let term = |p: T, q: T| if p == zero { zero } else { p * (p / q).ln() };
    term(rho, rho_hat) + term(one - rho, one - rho_hat)
}

/// d KL / d rho_hat of one unit = -rho / rho_hat + (1 - rho) / (1 - rho_hat), rho_hat clamped as in
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

/// The cross-entropy -x ln a - (1 - x) ln(1 - a) of a = sigmoid(z), from z.
pub fn cross_entropy<T: Real>(z: T, x: T) -> T {
    let (zero, one) = (T::from_f64(0.0), T::from_f64(1.0));
    let size = if_above(z, zero, z, -z);
    if_above(z, zero, z, zero) - x * z + (one + (-size).exp()).ln()
}

/// Keeps the `k` largest numbers, of equal ones the first, and makes the others 0. Returns the
/// smallest kept.
pub fn keep_largest<T: Real>(k: usize, a: &mut [T]) -> T {
    let before = |i: usize, j: usize, a: &[T]| a[i] > a[j] || (a[i] == a[j] && i < j);
    let rank = |i: usize| (0..a.len()).filter(|&j| before(j, i, a)).count();
    let ranks: Vec<usize> = (0..a.len()).map(rank).collect();
    let last = ranks.iter().position(|&rank| rank == k - 1).map(|i| a[i]);
    for (a, rank) in a.iter_mut().zip(ranks) {
        if rank >= k {
            *a = T::from_f64(0.0);
        }
    }
    last.unwrap_or(T::from_f64(0.0))
}

/// Gradient descent with momentum: `v = momentum v + g; w -= rate v`.
pub fn momentum<T: Real>(rate: T, momentum: T, w: &mut [T], v: &mut [T], g: &[T]) {
    for i in 0..g.len() {
        v[i] = momentum.mul_add(v[i], g[i]);
        w[i] = w[i] - rate * v[i];
    }
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

/// The sparsity penalties of one layer: beta KL(rho || rho_hat), summed over units, and l1 |a|,
/// summed over units, the mean over samples.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Penalty {
    pub rho: f64,
    pub beta: f64,
    pub l1: f64,
}

/// Which of the code layer's activations are kept; see [`crate::sparse`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate {
    /// All.
    Open,
    /// The largest of each sample: their number.
    TopK(usize),
    /// The largest of a batch: their number.
    BatchTopK(usize),
    /// Those above the unit's threshold. The thresholds are parameters behind those of the layers, and
    /// behind them stands the scale that they and the bandwidth are multiples of.
    Jump {
        /// Width of the band in which the threshold has a gradient.
        bandwidth: f64,
        /// Weight of the penalty.
        l0: f64,
        /// What it is the weight of.
        penalty: JumpPenalty,
    },
}

/// A net and its objective, in `f64`.
///
/// The parameters are one flat slice: for each layer l its weights `[sizes[l], sizes[l + 1]]`, then
/// its biases `[sizes[l + 1]]`; then thresholds and their scale, if there are. A batch x is `[n,
/// sizes[0]]`, and the last size equals the first.
#[derive(Clone, Copy, Debug)]
pub struct Net<'a> {
    /// Features, then the units of every layer: one more than there are layers.
    pub sizes: &'a [usize],
    /// One for each layer.
    pub activations: &'a [Activation],
    /// Of the first layers, one after the other.
    pub penalties: &'a [Penalty],
    /// The data term.
    pub loss: Loss,
    /// Of the encoder's last layer.
    pub gate: Gate,
    /// Factor of the weight decay.
    pub lambda: f64,
}

/// The objective's terms and their total: the data term, all sparsity penalties with their weights,
/// R as it is.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    pub loss: f64,
    pub penalty: f64,
    pub weight_decay: f64,
    pub total: f64,
}

/// One layer's numbers before its activation, after it, and after the gate.
#[allow(missing_docs)]
#[derive(Clone, Debug)]
pub struct Outputs {
    pub z: Vec<f64>,
    pub pre: Vec<f64>,
    pub a: Vec<f64>,
}

impl Net<'_> {
    /// How many layers the encoder has: the first half, up to and with the code layer.
    pub fn encoder_layers(sizes: &[usize]) -> usize {
        sizes.len().saturating_sub(1) / 2
    }

    /// Numbers in the flat parameters, without thresholds.
    pub fn parameters(&self) -> usize {
        self.sizes.windows(2).map(|s| (s[0] + 1) * s[1]).sum()
    }

    /// Weights and biases of each layer.
    pub fn split<'p>(&self, mut params: &'p [f64]) -> Vec<(&'p [f64], &'p [f64])> {
        let mut layers = Vec::new();
        for s in self.sizes.windows(2) {
            let (w, rest) = params.split_at(s[0] * s[1]);
            let (b, rest) = rest.split_at(s[1]);
            layers.push((w, b));
            params = rest;
        }
        layers
    }

    fn code_layer(&self) -> usize {
        Self::encoder_layers(self.sizes) - 1
    }

    fn thresholds(&self, params: &[f64]) -> Vec<f64> {
        let (scale, thresholds) = params[self.parameters()..].split_last().expect("a scale");
        thresholds.iter().map(|multiple| multiple * scale).collect()
    }

    fn gated(&self, params: &[f64], pre: &[f64], units: usize) -> Vec<f64> {
        let mut a = pre.to_vec();
        match self.gate {
            Gate::Open => {}
            Gate::TopK(k) => a.chunks_mut(units).for_each(|sample| {
                keep_largest(k, sample);
            }),
            Gate::BatchTopK(k) => {
                keep_largest(k, &mut a);
            }
            Gate::Jump { .. } => {
                let thresholds = self.thresholds(params);
                for (i, a) in a.iter_mut().enumerate() {
                    *a = if_above(*a, thresholds[i % units], *a, 0.0);
                }
            }
        }
        a
    }

    /// All layers: a_l = f_l(a_{l-1} W_l + b_l), gated at the code, a_0 = x; each `[n, sizes[l]]`.
    pub fn forward(&self, params: &[f64], x: &[f64], n: usize) -> Vec<Outputs> {
        assert_eq!(self.activations.len() + 1, self.sizes.len());
        let mut layers: Vec<Outputs> = Vec::new();
        for (l, (w, b)) in self.split(params).into_iter().enumerate() {
            let (inputs, units) = (self.sizes[l], self.sizes[l + 1]);
            let mut z = vec![0.0; n * units];
            gemm(n, inputs, units, layers.last().map_or(x, |layer| &layer.a), w, &mut z);
            z.iter_mut().enumerate().for_each(|(i, z)| *z += b[i % units]);
            let pre: Vec<f64> = z.iter().map(|&z| activation(self.activations[l], z)).collect();
            let coded = l == self.code_layer();
            let a = if coded { self.gated(params, &pre, units) } else { pre.clone() };
            layers.push(Outputs { z, pre, a });
        }
        layers
    }

    /// rho_hat: the mean activation of each of `units` over the batch.
    pub fn mean_activations(n: usize, units: usize, a: &[f64]) -> Vec<f64> {
        let mut means = vec![0.0; units];
        column_sums(n, units, a, &mut means);
        means.iter().map(|sum| sum / n as f64).collect()
    }

    /// E over a batch of n samples.
    pub fn objective(&self, params: &[f64], x: &[f64], n: usize) -> Terms {
        self.objective_of(params, x, x, n)
    }

    /// E over a batch of n inputs that are to become x.
    pub fn objective_of(&self, params: &[f64], input: &[f64], x: &[f64], n: usize) -> Terms {
        let layers = self.forward(params, input, n);
        let last = &layers[layers.len() - 1];
        let loss = match self.loss {
            Loss::SquaredError | Loss::Fvu => squared_error(&last.a, x),
            Loss::CrossEntropy => last.z.iter().zip(x).map(|(&z, &x)| cross_entropy(z, x)).sum(),
        } / x.len() as f64;
        let mut penalty = 0.0;
        for (l, of) in self.penalties.iter().enumerate() {
            let (units, a) = (self.sizes[l + 1], &layers[l].a);
            let rho_hat = Self::mean_activations(n, units, a);
            if of.beta > 0.0 {
                penalty += of.beta * rho_hat.iter().map(|&hat| kl_value(of.rho, hat)).sum::<f64>();
            }
            penalty += of.l1 * a.iter().map(|a| a.abs()).sum::<f64>() / n as f64;
        }
        if let Gate::Jump { l0, penalty: of, .. } = self.gate {
            let a = &layers[self.code_layer()].a;
            penalty += l0 * of.value(a, params[params.len() - 1], n);
        }
        let weight_decay: f64 = self.split(params).iter().map(|(w, _)| weight_decay(w)).sum();
        let total = loss + penalty + self.lambda * weight_decay;
        Terms { loss, penalty, weight_decay, total }
    }

    /// d E / d parameters, laid out like them, by backpropagation; what a gate keeps counts as
    /// fixed, and thresholds learn as [`crate::sparse::Jump::threshold_gradient`] defines. Weight decay is in
    /// it: give [`adam`] a `weight_decay` of 0.
    pub fn gradient(&self, params: &[f64], x: &[f64], n: usize) -> Vec<f64> {
        self.gradient_of(params, x, x, n)
    }

    /// The same, of a batch of n inputs that are to become x.
    pub fn gradient_of(&self, params: &[f64], input: &[f64], x: &[f64], n: usize) -> Vec<f64> {
        let layers = self.forward(params, input, n);
        let last = layers.len() - 1;
        let scale = self.loss.gradient_factor() / x.len() as f64;
        // d E / d a_l, from the last layer to the first.
        let pairs = layers[last].a.iter().zip(x);
        let mut upstream: Vec<f64> = pairs.map(|(a, x)| scale * (a - x)).collect();
        let (mut gradients, mut of_thresholds) = (Vec::new(), Vec::new());
        for (l, (w, _)) in self.split(params).into_iter().enumerate().rev() {
            let (inputs, units) = (self.sizes[l], self.sizes[l + 1]);
            let Outputs { z, pre, a } = &layers[l];
            let mut delta = upstream;
            if l == self.code_layer()
                && let Gate::Jump { bandwidth, l0, penalty } = self.gate
            {
                let thresholds = self.thresholds(params);
                let scale = params[params.len() - 1];
                of_thresholds = vec![0.0; units + 1];
                // Far below a threshold a ReLU is as near to it as any 0.
                let relu = self.activations[l] == Activation::Relu;
                let numbers = if relu { z } else { pre };
                for (i, (&z, g)) in numbers.iter().zip(&delta).enumerate() {
                    let threshold = thresholds[i % units];
                    if z != 0.0 && (z - threshold).abs() < scale * bandwidth / 2.0 {
                        let slope = penalty.jump(a, scale, threshold, n);
                        let inside = threshold * g + l0 * slope / n as f64;
                        of_thresholds[i % units] -= inside / bandwidth;
                    }
                }
            }
            if l == self.code_layer()
                && let Gate::Jump { l0, penalty, .. } = self.gate
            {
                let scale = params[params.len() - 1];
                for (d, &a) in delta.iter_mut().zip(a) {
                    *d += l0 / n as f64 * penalty.derivative(a, scale);
                }
            }
            if let Some(of) = self.penalties.get(l) {
                let rho_hat = Self::mean_activations(n, units, a);
                for (i, d) in delta.iter_mut().enumerate() {
                    if of.beta > 0.0 {
                        *d += of.beta / n as f64 * kl_gradient(of.rho, rho_hat[i % units]);
                    }
                    *d += of.l1 / n as f64 * if a[i] == 0.0 { 0.0 } else { a[i].signum() };
                }
            }
            if l < last || self.loss != Loss::CrossEntropy {
                let f = self.activations[l];
                delta.iter_mut().zip(a).for_each(|(d, &a)| *d *= derivative(f, a));
            }
            if l == self.code_layer() && self.gate != Gate::Open {
                delta.iter_mut().zip(a).for_each(|(d, &a)| *d = if a == 0.0 { 0.0 } else { *d });
            }
            let mut layer = vec![0.0; (inputs + 1) * units];
            let (dw, db) = layer.split_at_mut(inputs * units);
            gemm_at(inputs, n, units, if l == 0 { input } else { &layers[l - 1].a }, &delta, dw);
            dw.iter_mut().zip(w).for_each(|(g, &w)| *g = self.lambda.mul_add(w, *g));
            column_sums(n, units, &delta, db);
            gradients.push(layer);
            upstream = vec![0.0; n * inputs];
            gemm_bt(n, units, inputs, &delta, w, &mut upstream);
        }
        gradients.reverse();
        gradients.push(of_thresholds);
        gradients.concat()
    }
}
