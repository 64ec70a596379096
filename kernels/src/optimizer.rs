//! Adam (Kingma and Ba 2015), bias-corrected, the weight decay's gradient being part of the
//! gradient; its decay may be decoupled, too (Loshchilov and Hutter 2019). And momentum.

use crate::simd::{Isa, Kernel, Simd};

/// One step's constants.
///
/// With g the gradient and w the weight: g' = g + lambda w; m = beta1 m + (1 - beta1) g';
/// v = beta2 v + (1 - beta2) g'^2; w = keep w - rate m^ / (sqrt v^ + epsilon), where m^ = m / (1 -
/// beta1^t) and v^ = v / (1 - beta2^t). Both corrections are folded into rate and epsilon; keep is
/// 1 without decoupled decay.
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

impl Adam {
    /// The constants of step `step` (the first is 1; at 0 the corrections divide by 0), both betas in
    /// [0, 1). `weight_decay` is lambda, the weight of half the sum of squares in the objective.
    pub fn new(
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        epsilon: f64,
        weight_decay: f64,
        step: u64,
    ) -> Adam {
        let root2 = root(1.0 - power(beta2, step));
        Adam {
            beta1: beta1 as f32,
            rest1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            rest2: (1.0 - beta2) as f32,
            rate: (learning_rate * root2 / (1.0 - power(beta1, step))) as f32,
            epsilon: (epsilon * root2) as f32,
            weight_decay: weight_decay as f32,
            keep: 1.0,
        }
    }

    /// The same step with decoupled decay, as in AdamW: weights shrink by `rate` of themselves.
    pub fn with_decoupled_decay(self, rate: f64) -> Adam {
        Adam { keep: (1.0 - rate) as f32, ..self }
    }

    /// The same step without decay of any kind, as biases are updated.
    pub fn without_weight_decay(self) -> Adam {
        Adam { weight_decay: 0.0, keep: 1.0, ..self }
    }
}

/// Adding it and taking it away leaves multiples of 2^-124 of numbers below 2^-75, so nothing
/// subnormal; larger ones stay as they are.
pub(crate) const FLUSH: f32 = f32::from_bits(27 << 23);

/// See [`FLUSH`]. (Two additions, which wait for nothing: multiplications, divisions and stores
/// are what Adam's sweep keeps busy. Comparing and selecting takes a fifth longer.)
#[inline(always)]
fn flush<S: Simd>(s: S, x: S::V) -> S::V {
    let flush = s.splat(FLUSH);
    s.sub(s.add(x, flush), flush)
}

/// The constants in every lane.
#[derive(Clone, Copy)]
pub(crate) struct AdamLanes<S: Simd> {
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
    pub fn new(s: S, adam: &Adam) -> Self {
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

    /// Updates `length` weights and their moments with their gradients.
    ///
    /// # Safety
    /// `length` floats are readable at `gradient`, and writable too at `w`, `m` and `v`.
    #[inline(always)]
    pub unsafe fn sweep(
        &self,
        s: S,
        length: usize,
        w: *mut f32,
        m: *mut f32,
        v: *mut f32,
        gradient: *const f32,
    ) {
        let whole = length / S::LANES * S::LANES;
        let mut at = 0;
        // SAFETY: the caller vouches for `length` floats.
        unsafe {
            while at < whole {
                let g = s.load(gradient.add(at));
                self.update(s, S::LANES, w.add(at), m.add(at), v.add(at), g);
                at += S::LANES;
            }
            if at < length {
                let g = s.load_first(gradient.add(at), length - at);
                self.update(s, length - at, w.add(at), m.add(at), v.add(at), g);
            }
        }
    }

    /// Updates `lanes` weights and their moments with the gradient.
    ///
    /// # Safety
    /// `lanes` floats are readable and writable at `w`, `m` and `v`.
    #[inline(always)]
    unsafe fn update(
        &self,
        s: S,
        lanes: usize,
        w: *mut f32,
        m: *mut f32,
        v: *mut f32,
        gradient: S::V,
    ) {
        // SAFETY: the caller vouches for the addresses.
        unsafe {
            let weight = s.load_upto(w, lanes);
            let g = s.mul_add(self.weight_decay, weight, gradient);
            let first = s.mul_add(self.beta1, s.load_upto(m, lanes), s.mul(self.rest1, g));
            let second =
                s.mul_add(self.beta2, s.load_upto(v, lanes), s.mul(s.mul(self.rest2, g), g));
            let (first, second) = (flush(s, first), flush(s, second));
            let root = s.add(s.sqrt(second), self.epsilon);
            let kept = s.mul(self.keep, weight);
            let weight = s.sub(kept, s.div(s.mul(self.rate, first), root));
            s.store_upto(w, lanes, weight);
            s.store_upto(m, lanes, first);
            s.store_upto(v, lanes, second);
        }
    }
}

/// Updates weights and moments with gradients that are in memory, slices of one length.
///
/// # Panics
/// The lengths differ.
pub fn adam_sweep(
    isa: Isa,
    adam: &Adam,
    weights: &mut [f32],
    first_moment: &mut [f32],
    second_moment: &mut [f32],
    gradient: &[f32],
) {
    struct Sweep<'a>(&'a Adam, [&'a mut [f32]; 3], &'a [f32]);
    impl Kernel for Sweep<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let adam = AdamLanes::new(s, self.0);
            let [w, m, v] = self.1;
            let pointers = (w.as_mut_ptr(), m.as_mut_ptr(), v.as_mut_ptr());
            // SAFETY: the four slices have one length.
            unsafe { adam.sweep(s, w.len(), pointers.0, pointers.1, pointers.2, self.2.as_ptr()) }
        }
    }
    let lengths = [first_moment.len(), second_moment.len(), gradient.len()];
    assert!(lengths == [weights.len(); 3], "a moment and a gradient for each weight");
    isa.run(Sweep(adam, [weights, first_moment, second_moment], gradient));
}

/// Gradient descent with momentum, in PyTorch's form: `velocity = momentum velocity + gradient`,
/// `weights -= rate velocity`. Slices of one length.
///
/// # Panics
/// The lengths differ.
pub fn momentum_sweep(
    isa: Isa,
    rate: f32,
    momentum: f32,
    weights: &mut [f32],
    velocity: &mut [f32],
    gradient: &[f32],
) {
    struct Sweep<'a>(f32, f32, [&'a mut [f32]; 2], &'a [f32]);
    impl Kernel for Sweep<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Sweep(rate, momentum, [weights, velocity], gradient) = self;
            let chunks = weights.chunks_mut(S::LANES).zip(velocity.chunks_mut(S::LANES));
            for ((w, v), g) in chunks.zip(gradient.chunks(S::LANES)) {
                // SAFETY: the three chunks have one length.
                unsafe {
                    let (lanes, old) = (w.len(), s.load_upto(v.as_ptr(), w.len()));
                    let g = s.load_upto(g.as_ptr(), lanes);
                    let new = flush(s, s.mul_add(s.splat(momentum), old, g));
                    let step = s.mul(s.splat(rate), new);
                    let weight = s.sub(s.load_upto(w.as_ptr(), lanes), step);
                    s.store_upto(v.as_mut_ptr(), lanes, new);
                    s.store_upto(w.as_mut_ptr(), lanes, weight);
                }
            }
        }
    }
    let lengths = [velocity.len(), gradient.len()];
    assert!(lengths == [weights.len(); 2], "a velocity and a gradient for each weight");
    isa.run(Sweep(rate, momentum, [weights, velocity], gradient));
}

/// Adds the weight decay's part to a gradient: `gradient += weight_decay weights`, rounded once, as
/// where Adam does it. Slices of one length.
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
