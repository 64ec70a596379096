//! Update rules: Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), and gradient
//! descent with momentum.
//!
//! A [`Rule`] holds the constants of one step. [`Rule::update_rows`] applies it to a gradient in
//! memory; [`crate::products::Update`] applies the same function to a gradient block by block,
//! while the block is in the L2 cache.

mod orthogonal;
mod outer;
mod sweep;

pub(crate) use orthogonal::Along;
pub use outer::{Outer, add_weight_decay};

/// The settings of Adam and AdamW; the default is PyTorch's, without decay.
///
/// ```
/// use sae_kernels::AdamOptions;
///
/// let options = AdamOptions { learning_rate: 0.01, ..AdamOptions::default() };
/// assert_eq!((options.beta1, options.beta2), (0.9, 0.999));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamOptions {
    /// The learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment, in [0, 1).
    pub beta1: f64,
    /// Decay of the second moment, in [0, 1).
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Lambda: the weight of half the sum of squares in the objective. Its gradient passes through
    /// the moments.
    pub weight_decay: f64,
    /// AdamW's decay: a step multiplies weights by `1 - learning_rate * decoupled_decay` besides.
    pub decoupled_decay: f64,
}

impl Default for AdamOptions {
    fn default() -> Self {
        AdamOptions {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decoupled_decay: 0.0,
        }
    }
}

impl AdamOptions {
    /// The rule of step `step`; the first step is 1 (at 0 the bias corrections divide by 0).
    ///
    /// ```
    /// use sae_kernels::AdamOptions;
    ///
    /// let adam = AdamOptions::default();
    /// assert_ne!(adam.at_step(1), adam.at_step(2));
    /// ```
    pub fn at_step(&self, step: u64) -> Rule {
        let &AdamOptions { learning_rate, beta1, beta2, epsilon, weight_decay, decoupled_decay } =
            self;
        let root2 = root(1.0 - power(beta2, step));
        Rule::Adam(Adam {
            beta1: beta1 as f32,
            rest1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            rest2: (1.0 - beta2) as f32,
            rate: (learning_rate * root2 / (1.0 - power(beta1, step))) as f32,
            epsilon: (epsilon * root2) as f32,
            weight_decay: weight_decay as f32,
            keep: (1.0 - learning_rate * decoupled_decay) as f32,
            lazy: false,
            orthogonal: false,
        })
    }
}

/// One step's constants of Adam, made by [`AdamOptions::at_step`].
///
/// With g the gradient and w the weight: g' = g + lambda w; m = beta1 m + (1 - beta1) g';
/// v = beta2 v + (1 - beta2) g'^2; w = keep w - rate m^ / (sqrt v^ + epsilon), where m^ = m / (1 -
/// beta1^t) and v^ = v / (1 - beta2^t). Both corrections are folded into rate and epsilon; keep is
/// 1 without decoupled decay.
///
/// Moments below 2^-75 are rounded to multiples of 2^-124, so that a unit that no longer learns
/// does not slow every step by subnormal arithmetic.
///
/// ```
/// use sae_kernels::{AdamOptions, Rule};
///
/// assert!(matches!(AdamOptions::default().at_step(1), Rule::Adam(_)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    rate: f32,
    epsilon: f32,
    weight_decay: f32,
    keep: f32,
    lazy: bool,
    orthogonal: bool,
}

/// Gradient descent with momentum, in PyTorch's form.
///
/// With g the gradient and w the weight: g' = g + lambda w; v = momentum v + g';
/// w = w - learning_rate v. The velocity v is the first moment; the second is not used.
///
/// ```
/// use sae_kernels::{Momentum, Rule};
///
/// let rule = Rule::Momentum(Momentum { momentum: 0.9, ..Momentum::default() });
/// assert!(!rule.is_orthogonal());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Momentum {
    /// The learning rate.
    pub learning_rate: f64,
    /// How much of the velocity stays in each step, in [0, 1).
    pub momentum: f64,
    /// Lambda: the weight of half the sum of squares in the objective.
    pub weight_decay: f64,
    /// Whether the gradient's component along each row of weights is left out: [`Rule::orthogonal`].
    pub orthogonal: bool,
}

impl Default for Momentum {
    /// PyTorch's: a learning rate of 0.001, and nothing else.
    fn default() -> Self {
        Momentum { learning_rate: 1e-3, momentum: 0.0, weight_decay: 0.0, orthogonal: false }
    }
}

/// How one step turns gradients into weights.
///
/// ```
/// use sae_kernels::{AdamOptions, Isa, Matrix, MatrixMut};
///
/// // The first step of Adam is the learning rate, whatever the gradient's size.
/// let rule = AdamOptions { learning_rate: 0.25, epsilon: 0.0, ..AdamOptions::default() }.at_step(1);
/// let [mut weights, mut first, mut second] = [[1.0, 1.0], [0.0; 2], [0.0; 2]];
/// let [w, m, v] = [&mut weights, &mut first, &mut second].map(|x| MatrixMut::from_row(x));
/// let largest = rule.update_rows(Isa::detect(), w, m, v, Matrix::from_row(&[3.0, -0.5]));
/// assert!((weights[0] - 0.75).abs() < 1e-5 && (weights[1] - 1.25).abs() < 1e-5);
/// assert_eq!(largest, weights[1]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Adam or AdamW.
    Adam(Adam),
    /// Gradient descent with momentum.
    Momentum(Momentum),
}

impl Rule {
    /// The same step without weight decay of any kind, as biases are updated.
    ///
    /// ```
    /// use sae_kernels::{Momentum, Rule};
    ///
    /// let momentum = Momentum { weight_decay: 0.1, ..Momentum::default() };
    /// let plain = Rule::Momentum(Momentum { weight_decay: 0.0, ..momentum });
    /// assert_eq!(Rule::Momentum(momentum).without_weight_decay(), plain);
    /// ```
    pub fn without_weight_decay(self) -> Rule {
        match self {
            Rule::Adam(adam) => Rule::Adam(Adam { weight_decay: 0.0, keep: 1.0, ..adam }),
            Rule::Momentum(momentum) => Rule::Momentum(Momentum { weight_decay: 0.0, ..momentum }),
        }
    }

    /// The same step, but that of Adam leaves rows alone whose gradient is all 0, and their moments, as
    /// PyTorch's `SparseAdam` does.
    ///
    /// ```
    /// use sae_kernels::{AdamOptions, Isa, Matrix, MatrixMut};
    ///
    /// // A moment of before moves a weight without a gradient, unless the rule is lazy.
    /// let rule = AdamOptions::default().at_step(5);
    /// for (rule, moves) in [(rule, true), (rule.lazy(), false)] {
    ///     let [mut weight, mut first, mut second] = [[1.0f32], [1.0], [1.0]];
    ///     let [w, m, v] = [&mut weight, &mut first, &mut second].map(|x| MatrixMut::from_row(x));
    ///     rule.update_rows(Isa::detect(), w, m, v, Matrix::from_row(&[0.0]));
    ///     assert_eq!(weight[0] != 1.0, moves);
    /// }
    /// ```
    pub fn lazy(self) -> Rule {
        match self {
            Rule::Adam(adam) => Rule::Adam(Adam { lazy: true, ..adam }),
            Rule::Momentum(_) => self,
        }
    }

    /// The same step, of every row.
    pub(crate) fn eager(self) -> Rule {
        match self {
            Rule::Adam(adam) => Rule::Adam(Adam { lazy: false, ..adam }),
            Rule::Momentum(_) => self,
        }
    }

    /// Whether an update looks at whole rows.
    ///
    /// ```
    /// let rule = sae_kernels::AdamOptions::default().at_step(1);
    /// assert!(rule.orthogonal().is_by_row() && !rule.is_by_row());
    /// ```
    pub fn is_by_row(&self) -> bool {
        self.is_lazy() || self.is_orthogonal()
    }

    /// Whether rows are left alone whose gradient is all 0.
    ///
    /// ```
    /// let rule = sae_kernels::AdamOptions::default().at_step(1);
    /// assert!(rule.lazy().is_lazy() && !rule.is_lazy());
    /// ```
    pub fn is_lazy(&self) -> bool {
        matches!(self, Rule::Adam(Adam { lazy: true, .. }))
    }

    /// The same step with Adam's learning rate and epsilon multiplied by these factors; that of momentum
    /// is the same.
    ///
    /// Epsilon does not fall below 2^-58: second moments are multiples of 2^-124, and gradients whose
    /// squares they do not hold would be divided by epsilon alone, for steps of any length.
    ///
    /// ```
    /// use sae_kernels::AdamOptions;
    ///
    /// let double = AdamOptions { learning_rate: 0.5, ..AdamOptions::default() }.at_step(1);
    /// let single = AdamOptions { learning_rate: 0.25, ..AdamOptions::default() }.at_step(1);
    /// assert_eq!(single.scaled(2.0, 1.0), double);
    /// ```
    pub fn scaled(self, rate: f64, epsilon: f64) -> Rule {
        const SMALLEST: f32 = 1.0 / (1u64 << 58) as f32;
        match self {
            Rule::Adam(adam) => Rule::Adam(Adam {
                rate: (f64::from(adam.rate) * rate) as f32,
                epsilon: ((f64::from(adam.epsilon) * epsilon) as f32)
                    .max(SMALLEST.min(adam.epsilon)),
                ..adam
            }),
            Rule::Momentum(_) => self,
        }
    }
}

/// `base^exponent` by squaring: the same bits everywhere, unlike a C library's `pow`.
fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut product = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            product *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    product
}

/// Square root by Newton's iteration; `core` has none.
fn root(x: f64) -> f64 {
    let mut y = if x > 1.0 { x } else { 1.0 };
    for _ in 0..64 {
        y = 0.5 * (y + x / y);
    }
    y
}
