//! Update rules: Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), and gradient
//! descent with momentum.
//!
//! A [`Rule`] holds the constants of one step. [`Rule::update_rows`] applies it to a gradient in
//! memory; [`crate::products::Update`] applies the same function to a gradient block by block,
//! while the block is in the L2 cache.

mod orthogonal;

use core::ops::Range;

use crate::matrix::{Matrix, MatrixMut};
use crate::simd::{Isa, Kernel, Simd};

pub(crate) use orthogonal::Along;

/// The settings of Adam and AdamW; the default is PyTorch's, without decay.
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

/// How one step turns gradients into weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Adam or AdamW.
    Adam(Adam),
    /// Gradient descent with momentum.
    Momentum(Momentum),
}

impl Rule {
    /// The same step without weight decay of any kind, as biases are updated.
    pub fn without_weight_decay(self) -> Rule {
        match self {
            Rule::Adam(adam) => Rule::Adam(Adam { weight_decay: 0.0, keep: 1.0, ..adam }),
            Rule::Momentum(momentum) => Rule::Momentum(Momentum { weight_decay: 0.0, ..momentum }),
        }
    }

    /// The same step, but that of Adam leaves rows alone whose gradient is all 0, and their moments, as
    /// PyTorch's `SparseAdam` does.
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
    pub fn is_by_row(&self) -> bool {
        self.is_lazy() || self.is_orthogonal()
    }

    /// Whether rows are left alone whose gradient is all 0.
    pub fn is_lazy(&self) -> bool {
        matches!(self, Rule::Adam(Adam { lazy: true, .. }))
    }

    /// The same step with Adam's learning rate and epsilon multiplied by these factors; that of momentum
    /// is the same.
    ///
    /// Epsilon does not fall below 2^-58: second moments are multiples of 2^-124, and gradients whose
    /// squares they do not hold would be divided by epsilon alone, for steps of any length.
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

    /// Updates weights and their moments with their gradient; all four have one shape, and a slice
    /// is one row ([`Matrix::from_row`]).
    ///
    /// Momentum neither reads nor writes the second moment, which may then have any shape.
    ///
    /// Returns the largest magnitude of the new weights, those that are NaN left out: with it a
    /// caller bounds the next step's gradient without reading the weights again. (Rows that a lazy
    /// rule leaves alone do not count.)
    ///
    /// # Panics
    /// The shapes differ, or the gradient's rows are not contiguous.
    pub fn update_rows(
        &self,
        isa: Isa,
        weights: MatrixMut<'_>,
        first_moment: MatrixMut<'_>,
        second_moment: MatrixMut<'_>,
        gradient: Matrix<'_>,
    ) -> f32 {
        let shape = weights.shape();
        assert_eq!(gradient.shape(), shape, "the gradient has another shape than the weights");
        assert!(gradient.col_stride == 1, "the gradient's rows are contiguous");
        self.check_moments(shape, &first_moment, &second_moment);
        if self.is_orthogonal() {
            return self.update_rows_across(isa, weights, first_moment, second_moment, gradient);
        }
        isa.run(UpdateRows { rule: *self, weights, first_moment, second_moment, gradient })
    }

    /// Panics unless the moments that the rule uses have this shape.
    pub(crate) fn check_moments(
        &self,
        shape: (usize, usize),
        first_moment: &MatrixMut<'_>,
        second_moment: &MatrixMut<'_>,
    ) {
        let first = first_moment.shape();
        assert_eq!(first, shape, "the first moment has another shape than the weights");
        if let Rule::Adam(_) = self {
            let second = second_moment.shape();
            assert_eq!(second, shape, "the second moment has another shape than the weights");
        }
    }
}

/// [`Rule::update_rows`] with its arguments checked.
struct UpdateRows<'a> {
    rule: Rule,
    weights: MatrixMut<'a>,
    first_moment: MatrixMut<'a>,
    second_moment: MatrixMut<'a>,
    gradient: Matrix<'a>,
}

impl Kernel for UpdateRows<'_> {
    /// The largest magnitude of the new weights.
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        match self.rule {
            Rule::Adam(adam) => self.sweep(s, AdamLanes::new(s, &adam)),
            Rule::Momentum(momentum) => self.sweep(s, MomentumLanes::new(s, &momentum)),
        }
    }
}

impl UpdateRows<'_> {
    #[inline(always)]
    fn sweep<S: Simd, L: Lanes<S>>(self, s: S, rule: L) -> f32 {
        let is_lazy = self.rule.is_lazy();
        let UpdateRows { weights, first_moment, second_moment, gradient, .. } = self;
        let (mut rows, mut cols) = weights.shape();
        // Rows without gaps are one long row: no short vector at the end of each.
        let strides = [weights.row_stride, first_moment.row_stride, gradient.row_stride];
        let no_gap_in_second = !L::USES_SECOND_MOMENT || second_moment.row_stride == cols;
        if strides == [cols; 3] && no_gap_in_second && !is_lazy {
            (rows, cols) = (1, rows * cols);
        }
        let mut largest = s.splat(0.0);
        for row in 0..rows {
            if is_lazy && gradient.row(row).iter().all(|&g| g == 0.0) {
                continue;
            }
            let mut place = Place {
                weights: weights.at(row, 0),
                first: first_moment.at(row, 0),
                second: second_moment.at(row, 0),
                gradient: gradient.at(row, 0),
            };
            let whole = cols / S::LANES;
            for _ in 0..whole {
                // SAFETY: the matrices have these rows and columns.
                let weight = unsafe { rule.update(s, S::LANES, place) };
                largest = s.max(s.abs(weight), largest);
                place = place.next(S::LANES);
            }
            let rest = cols - whole * S::LANES;
            if rest > 0 {
                // SAFETY: as above.
                let weight = unsafe { rule.update(s, rest, place) };
                largest = s.max(s.abs(weight), largest);
            }
        }
        const { assert!(S::LANES <= 16) };
        let mut lanes = [0.0; 16];
        // SAFETY: there is room for a vector.
        unsafe { s.store(lanes.as_mut_ptr(), largest) };
        lanes.into_iter().fold(0.0, f32::max)
    }
}

/// Where some weights are, their moments and their gradient.
#[derive(Clone, Copy)]
struct Place {
    weights: *mut f32,
    first: *mut f32,
    second: *mut f32,
    gradient: *const f32,
}

impl Place {
    #[inline(always)]
    fn next(self, lanes: usize) -> Place {
        Place {
            weights: self.weights.wrapping_add(lanes),
            first: self.first.wrapping_add(lanes),
            second: self.second.wrapping_add(lanes),
            gradient: self.gradient.wrapping_add(lanes),
        }
    }
}

/// A rule with its constants in every lane.
trait Lanes<S: Simd>: Copy {
    const USES_SECOND_MOMENT: bool;

    /// Updates `lanes` weights and returns them, 0 in the other lanes.
    ///
    /// # Safety
    /// `lanes` gradients are readable; `lanes` weights, and as many of each moment that the rule
    /// uses, are readable and writable.
    unsafe fn update(self, s: S, lanes: usize, place: Place) -> S::V;
}

#[derive(Clone, Copy)]
struct AdamLanes<S: Simd> {
    beta1: S::V,
    rest1: S::V,
    beta2: S::V,
    rest2: S::V,
    rate: S::V,
    epsilon: S::V,
    weight_decay: S::V,
    keep: S::V,
}

impl<S: Simd> AdamLanes<S> {
    #[inline(always)]
    fn new(s: S, adam: &Adam) -> Self {
        AdamLanes {
            beta1: s.splat(adam.beta1),
            rest1: s.splat(adam.rest1),
            beta2: s.splat(adam.beta2),
            rest2: s.splat(adam.rest2),
            rate: s.splat(adam.rate),
            epsilon: s.splat(adam.epsilon),
            weight_decay: s.splat(adam.weight_decay),
            keep: s.splat(adam.keep),
        }
    }
}

impl<S: Simd> Lanes<S> for AdamLanes<S> {
    const USES_SECOND_MOMENT: bool = true;

    #[inline(always)]
    unsafe fn update(self, s: S, lanes: usize, place: Place) -> S::V {
        // SAFETY: the caller vouches for the addresses.
        unsafe {
            let weight = s.load_upto(place.weights, lanes);
            let gradient = s.load_upto(place.gradient, lanes);
            let g = s.mul_add(self.weight_decay, weight, gradient);
            let first =
                s.mul_add(self.beta1, s.load_upto(place.first, lanes), s.mul(self.rest1, g));
            let square = s.mul(s.mul(self.rest2, g), g);
            let second = s.mul_add(self.beta2, s.load_upto(place.second, lanes), square);
            let (first, second) = (flush(s, first), flush(s, second));
            let root = s.add(s.sqrt(second), self.epsilon);
            let kept = s.mul(self.keep, weight);
            let weight = s.sub(kept, s.div(s.mul(self.rate, first), root));
            s.store_upto(place.weights, lanes, weight);
            s.store_upto(place.first, lanes, first);
            s.store_upto(place.second, lanes, second);
            weight
        }
    }
}

#[derive(Clone, Copy)]
struct MomentumLanes<S: Simd> {
    rate: S::V,
    momentum: S::V,
    weight_decay: S::V,
}

impl<S: Simd> MomentumLanes<S> {
    #[inline(always)]
    fn new(s: S, momentum: &Momentum) -> Self {
        MomentumLanes {
            rate: s.splat(momentum.learning_rate as f32),
            momentum: s.splat(momentum.momentum as f32),
            weight_decay: s.splat(momentum.weight_decay as f32),
        }
    }
}

impl<S: Simd> Lanes<S> for MomentumLanes<S> {
    const USES_SECOND_MOMENT: bool = false;

    #[inline(always)]
    unsafe fn update(self, s: S, lanes: usize, place: Place) -> S::V {
        // SAFETY: the caller vouches for the addresses.
        unsafe {
            let weight = s.load_upto(place.weights, lanes);
            let gradient = s.load_upto(place.gradient, lanes);
            let g = s.mul_add(self.weight_decay, weight, gradient);
            let velocity = flush(s, s.mul_add(self.momentum, s.load_upto(place.first, lanes), g));
            s.store_upto(place.first, lanes, velocity);
            let weight = s.sub(weight, s.mul(self.rate, velocity));
            s.store_upto(place.weights, lanes, weight);
            weight
        }
    }
}

/// Adding it and taking it away leaves multiples of 2^-124 of numbers below 2^-75, so nothing
/// subnormal; larger ones stay as they are.
const FLUSH: f32 = f32::from_bits(27 << 23);

/// Adds the weight decay's gradient: `gradient += weight_decay weights`, rounded once, as a
/// [`Rule`] with weight decay does it. Slices of one length.
///
/// # Panics
/// The lengths differ.
pub fn add_weight_decay(isa: Isa, weight_decay: f32, weights: &[f32], gradient: &mut [f32]) {
    struct Add<'a>(f32, &'a [f32], &'a mut [f32]);
    impl Kernel for Add<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for (w, g) in self.1.chunks(S::LANES).zip(self.2.chunks_mut(S::LANES)) {
                // SAFETY: both chunks have one length.
                unsafe {
                    let (lanes, old) = (g.len(), s.load_upto(g.as_ptr(), g.len()));
                    let weight = s.load_upto(w.as_ptr(), lanes);
                    let new = s.mul_add(s.splat(self.0), weight, old);
                    s.store_upto(g.as_mut_ptr(), lanes, new);
                }
            }
        }
    }
    assert_eq!(weights.len(), gradient.len(), "a gradient for each weight");
    isa.run(Add(weight_decay, weights, gradient));
}

/// The product of a column and a row: a matrix of rank one.
#[derive(Clone, Copy, Debug)]
pub struct Outer<'a> {
    /// A number for each row.
    pub rows: &'a [f32],
    /// A number for each column.
    pub cols: &'a [f32],
}

impl<'a> Outer<'a> {
    /// A block of it.
    pub fn block(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        Outer { rows: &self.rows[rows], cols: &self.cols[cols] }
    }

    /// Subtracts it from a matrix of its shape, each product fused with its subtraction.
    ///
    /// # Panics
    /// The shapes differ.
    pub fn subtract_from(self, isa: Isa, matrix: MatrixMut<'_>) {
        struct Subtract<'a>(Outer<'a>, MatrixMut<'a>);
        impl Kernel for Subtract<'_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(mut self, s: S) {
                for (row, &number) in self.0.rows.iter().enumerate() {
                    let minus = s.splat(-number);
                    let numbers = self.1.row_mut(row).chunks_mut(S::LANES);
                    for (to, by) in numbers.zip(self.0.cols.chunks(S::LANES)) {
                        // SAFETY: both chunks have one length.
                        unsafe {
                            let (lanes, old) = (to.len(), s.load_upto(to.as_ptr(), to.len()));
                            let by = s.load_upto(by.as_ptr(), lanes);
                            s.store_upto(to.as_mut_ptr(), lanes, s.mul_add(minus, by, old));
                        }
                    }
                }
            }
        }
        let shape = (self.rows.len(), self.cols.len());
        assert_eq!(matrix.shape(), shape, "a row and a column for each number");
        isa.run(Subtract(self, matrix));
    }
}

/// See [`FLUSH`]. (Two additions, which wait for nothing: multiplications, divisions and stores
/// are what Adam's sweep keeps busy. Comparing and selecting takes a fifth longer.)
#[inline(always)]
fn flush<S: Simd>(s: S, x: S::V) -> S::V {
    let flush = s.splat(FLUSH);
    s.sub(s.add(x, flush), flush)
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
