//! Updates of rows by the component of their gradient that is orthogonal to them.
//!
//! With g the gradient of a row w, the weight decay's included, the optimizer sees g - s w, where
//! s = g w / w w: for a row that is scaled to length 1 after each step, only that changes its direction
//! (Bricken et al., *Towards monosemanticity*, 2023). A row of zeros keeps its gradient.

use super::{Adam, Momentum, Rule, add_weight_decay};
use crate::matrix::{Matrix, MatrixMut};
use crate::simd::Isa;

/// Columns at a time, a multiple of 8: 2 KiB of the gradient, on the stack.
const CHUNK: usize = 512;

/// The products g w and w w of a row, in eight interleaved accumulators of `f64`: the bits do not depend
/// on the instruction set, nor on how the row is divided into blocks of multiples of 8.
#[derive(Default)]
pub(crate) struct Along {
    products: [f64; 8],
    squares: [f64; 8],
}

impl Along {
    /// Adds the next columns of a row; all but the last of its blocks have a multiple of 8.
    fn add(&mut self, weights: &[f32], gradient: &[f32]) {
        let Along { products, squares } = self;
        for (weights, gradient) in weights.chunks(8).zip(gradient.chunks(8)) {
            for (lane, (&w, &g)) in weights.iter().zip(gradient).enumerate() {
                products[lane] += f64::from(g) * f64::from(w);
                squares[lane] += f64::from(w) * f64::from(w);
            }
        }
    }

    /// s.
    pub fn share(&self) -> f64 {
        let [product, square] =
            [&self.products, &self.squares].map(|sums| sums.iter().sum::<f64>());
        if square > 0.0 { product / square } else { 0.0 }
    }
}

impl Rule {
    /// The same step by the component of the gradient that is orthogonal to each row of weights, which
    /// takes the weight decay's gradient away, too.
    ///
    /// It looks at whole rows: neither they nor the updates of a [`Parts`](crate::Parts) may be columns
    /// alone.
    ///
    /// ```
    /// use sae_kernels::{Isa, Matrix, MatrixMut, Momentum, Rule};
    ///
    /// let rule = Rule::Momentum(Momentum { learning_rate: 1.0, ..Momentum::default() }).orthogonal();
    /// let (mut weights, mut velocity) = ([1.0, 0.0], [0.0; 2]);
    /// let [w, v] = [&mut weights, &mut velocity].map(|x| MatrixMut::from_row(x));
    /// let none = MatrixMut::new(&mut [], 0, 0);
    /// rule.update_rows(Isa::detect(), w, v, none, Matrix::from_row(&[5.0, 2.0]));
    /// // The 5 is along the weights.
    /// assert_eq!(weights, [1.0, -2.0]);
    /// ```
    pub fn orthogonal(self) -> Rule {
        match self {
            Rule::Adam(adam) => Rule::Adam(Adam { orthogonal: true, ..adam }),
            Rule::Momentum(momentum) => Rule::Momentum(Momentum { orthogonal: true, ..momentum }),
        }
    }

    /// Whether only the component orthogonal to each row of weights is used.
    ///
    /// ```
    /// let rule = sae_kernels::AdamOptions::default().at_step(1);
    /// assert!(rule.orthogonal().is_orthogonal() && !rule.is_orthogonal());
    /// ```
    pub fn is_orthogonal(&self) -> bool {
        match self {
            Rule::Adam(adam) => adam.orthogonal,
            Rule::Momentum(momentum) => momentum.orthogonal,
        }
    }

    /// The weight of the decay in the gradient, and the same step of every row by the whole gradient
    /// without it.
    fn with_whole_gradient(self) -> (f32, Rule) {
        match self {
            Rule::Adam(adam) => {
                let plain = Adam { weight_decay: 0.0, orthogonal: false, lazy: false, ..adam };
                (adam.weight_decay, Rule::Adam(plain))
            }
            Rule::Momentum(momentum) => {
                let plain = Momentum { weight_decay: 0.0, orthogonal: false, ..momentum };
                (momentum.weight_decay as f32, Rule::Momentum(plain))
            }
        }
    }

    /// [`Rule::update_rows`] of a rule that is orthogonal, with its arguments checked.
    pub(super) fn update_rows_across(
        &self,
        isa: Isa,
        mut weights: MatrixMut<'_>,
        mut first: MatrixMut<'_>,
        mut second: MatrixMut<'_>,
        gradient: Matrix<'_>,
    ) -> f32 {
        let (rows, cols) = weights.shape();
        let mut largest = 0f32;
        for row in 0..rows {
            let gradient = gradient.row(row);
            if self.is_lazy() && gradient.iter().all(|&g| g == 0.0) {
                continue;
            }
            let mut along = Along::default();
            self.add_along(isa, &mut along, weights.row_mut(row), gradient);
            let second = match self {
                Rule::Adam(_) => second.block(row..row + 1, 0..cols),
                Rule::Momentum(_) => second.block(0..0, 0..0),
            };
            let numbers = [weights.rows_mut(row..row + 1), first.rows_mut(row..row + 1), second];
            largest = largest.max(self.update_across(isa, along.share(), numbers, gradient));
        }
        largest
    }

    /// Adds the next columns of a row and their gradient.
    pub(crate) fn add_along(&self, isa: Isa, along: &mut Along, weights: &[f32], gradient: &[f32]) {
        let (decay, _) = self.with_whole_gradient();
        let mut buffer = [0.0; CHUNK];
        for (weights, gradient) in weights.chunks(CHUNK).zip(gradient.chunks(CHUNK)) {
            along.add(weights, decayed(isa, decay, weights, gradient, &mut buffer));
        }
    }

    /// Updates columns of one row and its moments by g - s w; lazy or not.
    pub(crate) fn update_across(
        &self,
        isa: Isa,
        share: f64,
        [mut weights, mut first, mut second]: [MatrixMut<'_>; 3],
        gradient: &[f32],
    ) -> f32 {
        let (decay, rule) = self.with_whole_gradient();
        let mut buffer = [0.0; CHUNK];
        let mut largest = 0f32;
        for (at, gradient) in gradient.chunks(CHUNK).enumerate() {
            let cols = at * CHUNK..at * CHUNK + gradient.len();
            let mut weights = weights.block(0..1, cols.clone());
            let first = first.block(0..1, cols.clone());
            let second = match self {
                Rule::Adam(_) => second.block(0..1, cols),
                Rule::Momentum(_) => second.block(0..0, 0..0),
            };
            let own = &*weights.row_mut(0);
            let gradient = decayed(isa, decay, own, gradient, &mut buffer);
            for (g, &w) in gradient.iter_mut().zip(own) {
                *g = (f64::from(*g) - share * f64::from(w)) as f32;
            }
            let gradient = Matrix::from_row(gradient);
            largest = largest.max(rule.update_rows(isa, weights, first, second, gradient));
        }
        largest
    }
}

/// At most [`CHUNK`] numbers of a gradient with the weight decay's, in the buffer.
fn decayed<'a>(
    isa: Isa,
    decay: f32,
    weights: &[f32],
    gradient: &[f32],
    buffer: &'a mut [f32; CHUNK],
) -> &'a mut [f32] {
    let buffer = &mut buffer[..gradient.len()];
    buffer.copy_from_slice(gradient);
    if decay != 0.0 {
        add_weight_decay(isa, decay, weights, buffer);
    }
    buffer
}
