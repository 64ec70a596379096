//! The step of a rule, vector by vector along rows.

use super::{Adam, Momentum, Rule};
use crate::matrix::{Matrix, MatrixMut};
use crate::simd::{Isa, Kernel, Simd};

impl Rule {
    /// Updates weights and their moments with their gradient; all four have one shape, and a slice
    /// is one row ([`Matrix::from_row`]).
    ///
    /// Momentum neither reads nor writes the second moment, which may then have any shape.
    ///
    /// Returns the largest magnitude of the new weights, those that are NaN left out: with it a
    /// caller bounds the next step's gradient without reading the weights again. (Rows that a lazy
    /// rule leaves alone do not count.)
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
    ///
    /// # Panics
    /// The shapes differ, or rows are not contiguous.
    #[track_caller]
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
        assert!(gradient.has_contiguous_rows(), "the gradient's rows are not contiguous");
        assert!(weights.has_contiguous_rows(), "the weights' rows are not contiguous");
        self.check_moments(shape, &first_moment, &second_moment);
        if self.is_orthogonal() {
            return self.update_rows_across(isa, weights, first_moment, second_moment, gradient);
        }
        isa.run(UpdateRows { rule: *self, weights, first_moment, second_moment, gradient })
    }

    /// Panics unless the moments that the rule uses have this shape.
    #[track_caller]
    pub(crate) fn check_moments(
        &self,
        shape: (usize, usize),
        first_moment: &MatrixMut<'_>,
        second_moment: &MatrixMut<'_>,
    ) {
        let first = first_moment.shape();
        assert_eq!(first, shape, "the first moment has another shape than the weights");
        let contiguous = "the rows of a moment are not contiguous";
        assert!(first_moment.has_contiguous_rows(), "{contiguous}");
        if let Rule::Adam(_) = self {
            let second = second_moment.shape();
            assert_eq!(second, shape, "the second moment has another shape than the weights");
            assert!(second_moment.has_contiguous_rows(), "{contiguous}");
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

/// See [`FLUSH`]. (Two additions, which wait for nothing: multiplications, divisions and stores
/// are what Adam's sweep keeps busy. Comparing and selecting takes a fifth longer.)
#[inline(always)]
fn flush<S: Simd>(s: S, x: S::V) -> S::V {
    let flush = s.splat(FLUSH);
    s.sub(s.add(x, flush), flush)
}
