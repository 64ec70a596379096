//! Gradients of a sparse code: of the activations that are listed, and of a JumpReLU's thresholds.

use crate::activation::Activation;
use crate::lists::{BLOCK_FLOATS, GROUP_ROWS, Lists};
use crate::matrix::Matrix;
use crate::simd::{Isa, Kernel, Several, Simd};
use crate::sparsity::Penalty;

/// Lanes of a sum of products, on every set.
const LANES: usize = 16;
/// Sums at a time, which share one side's numbers.
const ENTRIES: usize = 4;

/// The gradient of a code's activations: of each active unit the sum of products of the delta of the
/// layer above and the unit's weights in it.
///
/// A sum has 16 interleaved accumulators, which are added in pairs.
///
/// ```
/// use sae_kernels::sparse::CodeGradient;
/// use sae_kernels::{Isa, Lists, Matrix};
///
/// // Of one sample unit 1 is active.
/// let gradient = CodeGradient {
///     codes: Lists::new(&[0], &[1], &[1], &[0.5]),
///     delta: Matrix::from_row(&[1.0, 2.0]),
///     weights: Matrix::new(&[9.0, 9.0, 3.0, 4.0], 2, 2),
/// };
/// let mut gradients = [0.0];
/// gradient.run(Isa::detect(), &mut gradients);
/// assert_eq!(gradients, [11.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CodeGradient<'a> {
    /// Of each sample the active units.
    pub codes: Lists<'a>,
    /// The delta of the layer above, `[samples, outputs]`, rows contiguous.
    pub delta: Matrix<'a>,
    /// The weights of the layer above, `[units, outputs]`, rows contiguous.
    pub weights: Matrix<'a>,
}

impl CodeGradient<'_> {
    /// Stores the gradient of each entry; `gradients` begins with that of the first sample's first
    /// entry.
    ///
    /// ```
    /// use sae_kernels::sparse::CodeGradient;
    /// use sae_kernels::{Isa, Lists, Matrix};
    ///
    /// // Of one sample unit 1 is active.
    /// let gradient = CodeGradient {
    ///     codes: Lists::new(&[0], &[1], &[1], &[0.5]),
    ///     delta: Matrix::from_row(&[1.0, 2.0]),
    ///     weights: Matrix::new(&[9.0, 9.0, 3.0, 4.0], 2, 2),
    /// };
    /// let mut gradients = [0.0];
    /// gradient.run(Isa::detect(), &mut gradients);
    /// assert_eq!(gradients, [11.0]);
    /// ```
    ///
    /// # Panics
    /// The shapes do not fit, or a unit is not one of the weights'.
    #[track_caller]
    pub fn run(self, isa: Isa, gradients: &mut [f32]) {
        let CodeGradient { codes, delta, weights } = self;
        assert_eq!(delta.rows, codes.rows(), "a row of the delta for each sample");
        assert_eq!(delta.cols, weights.cols, "as many weights as numbers of the delta");
        assert!(delta.has_contiguous_rows(), "the delta's rows are not contiguous");
        assert!(weights.has_contiguous_rows(), "the weights' rows are not contiguous");
        codes.check_gradients(gradients.len());
        isa.run(SixteenLanes(Dots(self, gradients)));
    }
}

/// A kernel on vectors of 16 lanes, on every set.
struct SixteenLanes<K>(K);

impl<K: Kernel> Kernel for SixteenLanes<K> {
    type Output = K::Output;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> K::Output {
        match S::LANES {
            16 => self.0.run(s),
            8 => self.0.run(Several::<S, 2>(s)),
            4 => self.0.run(Several::<S, 4>(s)),
            _ => self.0.run(Several::<S, LANES>(s)),
        }
    }
}

/// [`CodeGradient::run`] with its arguments checked; of 16 lanes.
struct Dots<'a>(CodeGradient<'a>, &'a mut [f32]);

impl Kernel for Dots<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Dots(CodeGradient { codes, weights, .. }, gradients) = self;
        if codes.rows() == 0 {
            return;
        }
        let first = codes.entries(0).start;
        // Where lists are long, some samples share a block of the weights after the other, which the
        // L2 cache keeps for them.
        let is_long = codes.is_long(weights.rows);
        let (group, block) = match is_long {
            true => (GROUP_ROWS, (BLOCK_FLOATS / weights.cols.max(1)).max(1)),
            false => (1, weights.rows.max(1)),
        };
        for start in (0..codes.rows()).step_by(group) {
            let rows = start..codes.rows().min(start + group);
            let mut done = [0; GROUP_ROWS];
            for end in (block..weights.rows + block).step_by(block) {
                for (row, done) in rows.clone().zip(&mut done) {
                    let units = &codes.row(row).0[*done..];
                    let count = match end >= weights.rows {
                        true => units.len(),
                        false => units.partition_point(|&unit| (unit as usize) < end),
                    };
                    let place = codes.entries(row).start - first + *done;
                    *done += count;
                    let gradients = &mut gradients[place..place + count];
                    self.0.of_sample(s, row, &units[..count], gradients);
                }
            }
        }
    }
}

impl CodeGradient<'_> {
    /// The gradient of some of a sample's entries.
    #[inline(always)]
    fn of_sample<S: Simd>(self, s: S, row: usize, units: &[u32], gradients: &mut [f32]) {
        let CodeGradient { delta, weights, .. } = self;
        let mut coming = units.chunks(ENTRIES).skip(1);
        for (units, gradients) in units.chunks(ENTRIES).zip(gradients.chunks_mut(ENTRIES)) {
            let mut rows = [weights.data; ENTRIES];
            let mut ahead = rows;
            for (row, &unit) in rows.iter_mut().zip(units) {
                assert!((unit as usize) < weights.rows, "no such unit");
                *row = weights.at(unit as usize, 0);
            }
            for (ahead, &unit) in ahead.iter_mut().zip(coming.next().unwrap_or(units)) {
                *ahead = weights.at(unit as usize, 0);
            }
            // SAFETY: the delta and the weights have these rows, of as many numbers.
            let sums = unsafe { dots(s, delta.at(row, 0), rows, ahead, delta.cols) };
            gradients.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum);
        }
    }
}

/// The product of each row of a matrix and a row of numbers, summed as [`CodeGradient`] does.
///
/// ```
/// use sae_kernels::{Isa, Matrix, sparse};
///
/// let mut products = [0.0; 2];
/// let rows = Matrix::new(&[1.0, 2.0, 3.0, 4.0], 2, 2);
/// sparse::row_products(Isa::detect(), rows, &[10.0, 1.0], &mut products);
/// assert_eq!(products, [12.0, 34.0]);
/// ```
///
/// # Panics
/// The shapes do not fit, or the rows are not contiguous.
#[track_caller]
pub fn row_products(isa: Isa, rows: Matrix<'_>, numbers: &[f32], products: &mut [f32]) {
    assert_eq!(rows.cols, numbers.len(), "a number for each column");
    assert_eq!(rows.rows, products.len(), "a product for each row");
    assert!(rows.has_contiguous_rows(), "the rows are not contiguous");
    isa.run(SixteenLanes(RowProducts { rows, numbers, products }));
}

/// [`row_products`] with its arguments checked; of 16 lanes.
struct RowProducts<'a> {
    rows: Matrix<'a>,
    numbers: &'a [f32],
    products: &'a mut [f32],
}

impl Kernel for RowProducts<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let RowProducts { rows, numbers, products } = self;
        for (at, products) in products.chunks_mut(ENTRIES).enumerate() {
            let mut of_rows = [rows.data; ENTRIES];
            for (i, row) in of_rows[..products.len()].iter_mut().enumerate() {
                *row = rows.at(at * ENTRIES + i, 0);
            }
            // SAFETY: these rows are the matrix's, with as many numbers.
            let sums = unsafe { dots(s, numbers.as_ptr(), of_rows, of_rows, rows.cols) };
            products.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum);
        }
    }
}

/// The sums of products of a row with some others.
///
/// # Safety
/// All rows but those ahead have `count` numbers.
#[inline(always)]
unsafe fn dots<S: Simd, const N: usize>(
    s: S,
    left: *const f32,
    rows: [*const f32; N],
    ahead: [*const f32; N],
    count: usize,
) -> [f32; N] {
    let mut sums = [s.splat(0.0); N];
    let whole = count / LANES * LANES;
    let mut at = 0;
    // SAFETY: the caller's promise.
    unsafe {
        while at < whole {
            let x = s.load(left.add(at));
            for i in 0..N {
                sums[i] = s.mul_add(x, s.load(rows[i].add(at)), sums[i]);
                s.prefetch(ahead[i].wrapping_add(at));
            }
            at += LANES;
        }
        if at < count {
            let x = s.load_upto(left.add(at), count - at);
            for i in 0..N {
                sums[i] = s.mul_add(x, s.load_upto(rows[i].add(at), count - at), sums[i]);
            }
        }
    }
    let mut out = [0.0; N];
    for i in 0..N {
        let mut lanes = [0.0f32; LANES];
        // SAFETY: a vector has as many lanes.
        unsafe { s.store(lanes.as_mut_ptr(), sums[i]) };
        for step in [8, 4, 2, 1] {
            for lane in 0..step {
                lanes[lane] += lanes[lane + step];
            }
        }
        out[i] = lanes[0];
    }
    out
}

/// The delta of a code layer from the gradient of its activations, in place:
/// `(gradient + penalty) f'(z)`, f' taken from the activation a = f(z); 0 where a is 0.
///
/// `gradients` begins with that of the first sample's first entry.
///
/// ```
/// use sae_kernels::{Activation, Isa, Lists, Penalty, sparse};
///
/// let codes = Lists::new(&[0], &[2], &[0, 3], &[0.5, 2.0]);
/// let (mut gradients, penalty) = ([1.0, -1.0], Penalty { l1: 0.25, ..Penalty::default() });
/// sparse::code_delta(Isa::detect(), codes, Activation::Relu, penalty, &mut gradients);
/// assert_eq!(gradients, [1.25, -0.75]);
/// ```
///
/// # Panics
/// There are fewer gradients than entries, or a unit has no penalty.
#[track_caller]
pub fn code_delta(
    isa: Isa,
    codes: Lists<'_>,
    activation: Activation,
    penalty: Penalty<'_>,
    gradients: &mut [f32],
) {
    codes.check_gradients(gradients.len());
    isa.run(Delta { codes, activation, penalty, gradients });
}

/// [`code_delta`] as a kernel.
struct Delta<'a> {
    codes: Lists<'a>,
    activation: Activation,
    penalty: Penalty<'a>,
    gradients: &'a mut [f32],
}

impl Kernel for Delta<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Delta { codes, activation, penalty, gradients } = self;
        if codes.rows() == 0 {
            return;
        }
        let first = codes.entries(0).start;
        let zero = s.splat(0.0);
        for row in 0..codes.rows() {
            let places = codes.entries(row);
            let gradients = &mut gradients[places.start - first..places.end - first];
            let (units, activations) = codes.row(row);
            let entries = units.chunks(S::LANES).zip(activations.chunks(S::LANES));
            for ((units, a), gradients) in entries.zip(gradients.chunks_mut(S::LANES)) {
                let lanes = units.len();
                let mut of_units = [0.0; LANES];
                const { assert!(S::LANES <= LANES) };
                if let Some(penalties) = penalty.units {
                    let to = of_units.iter_mut().zip(units);
                    to.for_each(|(to, &unit)| *to = penalties[unit as usize]);
                }
                // SAFETY: the chunks have as many numbers, `of_units` more.
                unsafe {
                    let a = s.load_upto(a.as_ptr(), lanes);
                    let gradient = s.load_upto(gradients.as_ptr(), lanes);
                    let gradient = penalty.add(s, gradient, s.load(of_units.as_ptr()), a);
                    let delta = activation.chain(s, a, gradient);
                    let delta = s.select(s.lt(zero, s.abs(a)), delta, zero);
                    s.store_upto(gradients.as_mut_ptr(), lanes, delta);
                }
            }
        }
    }
}

/// What the gradient of a JumpReLU's threshold takes from the settings.
///
/// ```
/// let jump = sae_kernels::sparse::Jump { bandwidth: 0.5, l0: 0.0 };
/// assert_eq!(jump.threshold_gradient(1.0, 1.0, 0.25), -0.5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jump {
    /// Width of the band around a threshold in which the step function has a gradient.
    pub bandwidth: f32,
    /// Weight of each activation that is not 0: that of L0 divided by the number of samples.
    pub l0: f32,
}

impl Jump {
    /// What an activation adds to the gradient of its unit's threshold, straight through.
    ///
    /// Of a = z H(z - threshold) and of H itself the derivatives by the threshold are -threshold /
    /// bandwidth and -1 / bandwidth inside the band, 0 outside (Rajamanoharan et al. 2024,
    /// equations 11 and 12). `gradient` is that of the activation, without penalties.
    ///
    /// ```
    /// let jump = sae_kernels::sparse::Jump { bandwidth: 0.5, l0: 0.0 };
    /// assert_eq!(jump.threshold_gradient(1.0, 1.0, 0.25), -0.5);
    /// // Outside of the band there is none.
    /// assert_eq!(jump.threshold_gradient(2.0, 1.0, 0.25), 0.0);
    /// ```
    #[inline(always)]
    pub fn threshold_gradient(self, z: f32, threshold: f32, gradient: f32) -> f32 {
        let is_inside = (z - threshold).abs() < self.bandwidth / 2.0;
        let inside = -(threshold * gradient + self.l0) / self.bandwidth;
        if is_inside { inside } else { 0.0 }
    }

    /// The lowest number within the band of a threshold, or below it for rounding.
    ///
    /// ```
    /// let jump = sae_kernels::sparse::Jump { bandwidth: 0.5, l0: 0.0 };
    /// assert!(jump.floor(1.0) <= 0.75);
    /// ```
    pub fn floor(self, threshold: f32) -> f32 {
        (threshold - self.bandwidth / 2.0).next_down()
    }
}
