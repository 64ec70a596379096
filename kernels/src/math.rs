//! exp, ln, sigmoid and tanh: one polynomial each, the same bits on every fused set.
//!
//! Coefficients are minimax fits (Lawson's iteration) of the remainder named in each function.
//! The largest errors, against `f64` over every `f32`, stand in each function's doc;
//! `tests/math.rs` measures them.

use crate::simd::{Isa, Kernel, ROUND, Several, Simd};

/// High part of ln 2: 15 bits, so that its product with an exponent is exact.
const LN2_HIGH: f32 = f32::from_bits(0x3f31_7200);
/// ln 2 - `LN2_HIGH`.
const LN2_LOW: f32 = 1.428_606_8e-6;

/// e^x. NaN gives NaN. Largest error 0.795 ULP, at -5.858587; of a subnormal result, in units of
/// its last place.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; e^r = 1 + r + r^2 q(r).
///
/// ```
/// use sae_kernels::simd::{Isa, Kernel, Simd};
/// use sae_kernels::math;
///
/// struct Apply(f32);
/// impl Kernel for Apply {
///     type Output = f32;
///     #[inline(always)]
///     fn run<S: Simd>(self, s: S) -> f32 {
///         let mut lanes = [0.0; 16];
///         // SAFETY: there is room for a vector of any set.
///         unsafe { s.store(lanes.as_mut_ptr(), math::exp(s, s.splat(self.0))) };
///         lanes[0]
///     }
/// }
/// assert_eq!(Isa::detect().run(Apply(0.0)), 1.0);
/// ```
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    // A NaN stands second in min, so it comes through.
    exp_up_to_89(s, s.min(s.splat(89.0), x))
}

/// [`exp`] for x <= 89.
#[inline(always)]
fn exp_up_to_89<S: Simd>(s: S, x: S::V) -> S::V {
    // A NaN stands second in max, so it comes through.
    let x = s.max(s.splat(-104.0), x);
    let shifted = s.mul_add(x, s.splat(core::f32::consts::LOG2_E), s.splat(ROUND));
    let n = s.sub(shifted, s.splat(ROUND));
    let r = s.mul_add(n, s.splat(-LN2_HIGH), x);
    let r = s.mul_add(n, s.splat(-LN2_LOW), r);
    let q = s.splat(0.001_381_453_9);
    let q = s.mul_add(q, r, s.splat(0.008_368_745));
    let q = s.mul_add(q, r, s.splat(0.041_668_39));
    let q = s.mul_add(q, r, s.splat(0.166_665_21));
    let q = s.mul_add(q, r, s.splat(0.499_999_94));
    // 1 + r rounds; `lost` is what the rounding took (exact, since 1 >= |r|).
    let head = s.add(s.splat(1.0), r);
    let lost = s.sub(r, s.sub(head, s.splat(1.0)));
    let p = s.add(head, s.mul_add(s.mul(r, r), q, lost));
    s.scale(p, n)
}

/// 1 / (1 + e^-x). NaN gives NaN, infinities 0 and 1. Largest error 1.981 ULP, at -6.237272.
///
/// With e = e^-|x| it is 1 / (1 + e) or e / (1 + e): nothing overflows, and the small side keeps
/// its relative accuracy.
///
/// ```
/// use sae_kernels::simd::{Isa, Kernel, Simd};
/// use sae_kernels::math;
///
/// struct Apply(f32);
/// impl Kernel for Apply {
///     type Output = f32;
///     #[inline(always)]
///     fn run<S: Simd>(self, s: S) -> f32 {
///         let mut lanes = [0.0; 16];
///         // SAFETY: there is room for a vector of any set.
///         unsafe { s.store(lanes.as_mut_ptr(), math::sigmoid(s, s.splat(self.0))) };
///         lanes[0]
///     }
/// }
/// assert_eq!(Isa::detect().run(Apply(0.0)), 0.5);
/// ```
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    let sign = s.splat_int(i32::MIN);
    let e = exp_up_to_89(s, s.from_bits(s.or_int(s.to_bits(x), sign)));
    let numerator = s.select(s.lt(x, s.splat(0.0)), e, one);
    let d = s.add(one, e);
    let q = s.div(numerator, d);
    // 1 + e rounds; `lost` is what the rounding took (exact, since 1 >= e), and takes q lost / d
    // from the quotient. Two digits of 1 / d are enough for that: 0.957 - e / 2.
    let lost = s.sub(e, s.sub(d, one));
    let minus_reciprocal = s.mul_add(s.splat(0.5), e, s.splat(-0.957));
    s.mul_add(s.mul(q, lost), minus_reciprocal, q)
}

/// tanh x. NaN gives NaN, -0 gives -0. Largest error 1.344 ULP, at 0.632552.
///
/// Below 0.625, x + x^3 p(x^2); above, 1 - 2 / (e^2|x| + 1) with x's sign.
///
/// ```
/// use sae_kernels::simd::{Isa, Kernel, Simd};
/// use sae_kernels::math;
///
/// struct Apply(f32);
/// impl Kernel for Apply {
///     type Output = f32;
///     #[inline(always)]
///     fn run<S: Simd>(self, s: S) -> f32 {
///         let mut lanes = [0.0; 16];
///         // SAFETY: there is room for a vector of any set.
///         unsafe { s.store(lanes.as_mut_ptr(), math::tanh(s, s.splat(self.0))) };
///         lanes[0]
///     }
/// }
/// assert_eq!(Isa::detect().run(Apply(0.0)), 0.0);
/// ```
#[inline(always)]
pub fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let square = s.mul(x, x);
    let p = s.splat(0.002_126_193_6);
    let p = s.mul_add(p, square, s.splat(-0.008_159_518));
    let p = s.mul_add(p, square, s.splat(0.021_693_666));
    let p = s.mul_add(p, square, s.splat(-0.053_945_52));
    let p = s.mul_add(p, square, s.splat(0.133_331_97));
    let p = s.mul_add(p, square, s.splat(-0.333_333_3));
    let small = s.mul_add(s.mul(square, x), p, x);

    let size = s.abs(x);
    let e = exp(s, s.add(size, size));
    let one = s.splat(1.0);
    let large = s.sub(one, s.div(s.splat(2.0), s.add(e, one)));
    let sign = s.and_int(s.to_bits(x), s.splat_int(i32::MIN));
    let y = s.select(s.lt(size, s.splat(0.625)), small, large);
    s.from_bits(s.or_int(s.to_bits(y), sign))
}

/// ln x; 0 gives -inf, a negative number NaN, subnormals their logarithm. Largest error 0.852 ULP,
/// at 1.4113426 (0.869 at 0.7042024 on the portable set; the other functions do not differ there).
///
/// x = 2^e m with m in [sqrt 1/2, sqrt 2); with f = m - 1, ln m = f - f^2/2 + f^3 p(f).
///
/// ```
/// use sae_kernels::simd::{Isa, Kernel, Simd};
/// use sae_kernels::math;
///
/// struct Apply(f32);
/// impl Kernel for Apply {
///     type Output = f32;
///     #[inline(always)]
///     fn run<S: Simd>(self, s: S) -> f32 {
///         let mut lanes = [0.0; 16];
///         // SAFETY: there is room for a vector of any set.
///         unsafe { s.store(lanes.as_mut_ptr(), math::ln(s, s.splat(self.0))) };
///         lanes[0]
///     }
/// }
/// assert_eq!(Isa::detect().run(Apply(1.0)), 0.0);
/// ```
#[inline(always)]
pub fn ln<S: Simd>(s: S, x: S::V) -> S::V {
    let zero = s.splat(0.0);
    let smallest_normal = s.splat(f32::MIN_POSITIVE);
    let subnormal = s.lt(x, smallest_normal);
    let scaled = s.select(subnormal, s.mul(x, s.splat(8_388_608.0)), x);
    let bits = s.to_bits(scaled);
    let root_half = s.splat_int(core::f32::consts::FRAC_1_SQRT_2.to_bits() as i32);
    let e = s.shift_right::<23>(s.sub_int(bits, root_half));
    let m = s.from_bits(s.sub_int(bits, s.shift_left::<23>(e)));
    // Exact: an integer below 2^22 added to ROUND's bits is added to its value.
    let e = s.sub(s.from_bits(s.add_int(e, s.splat_int(ROUND.to_bits() as i32))), s.splat(ROUND));
    let e = s.sub(e, s.select(subnormal, s.splat(23.0), zero));

    let f = s.sub(m, s.splat(1.0));
    let p = s.splat(0.067_477_09);
    let p = s.mul_add(p, f, s.splat(-0.116_775_1));
    let p = s.mul_add(p, f, s.splat(0.118_887_04));
    let p = s.mul_add(p, f, s.splat(-0.124_053_41));
    let p = s.mul_add(p, f, s.splat(0.142_194_52));
    let p = s.mul_add(p, f, s.splat(-0.166_680_05));
    let p = s.mul_add(p, f, s.splat(0.200_021_24));
    let p = s.mul_add(p, f, s.splat(-0.250_000_1));
    let p = s.mul_add(p, f, s.splat(0.333_333_13));
    let p = s.mul_add(p, f, s.splat(-0.5));
    let tail = s.mul_add(s.mul(f, f), p, s.mul(e, s.splat(LN2_LOW)));
    // e ln 2 + f rounds; `lost` is what the rounding took (exact, since |e ln 2| >= |f| or e = 0).
    let whole = s.mul(e, s.splat(LN2_HIGH));
    let head = s.add(whole, f);
    let lost = s.sub(f, s.sub(head, whole));
    let y = s.add(head, s.add(tail, lost));

    let y = s.select(s.lt(x, s.splat(f32::INFINITY)), y, x);
    let y = s.select(s.lt(x, zero), s.splat(f32::NAN), y);
    let is_zero = s.lt(s.abs(x), s.from_bits(s.splat_int(1)));
    s.select(is_zero, s.splat(f32::NEG_INFINITY), y)
}

/// A function of one number.
///
/// ```
/// use sae_kernels::Isa;
/// use sae_kernels::math::{Function, map};
///
/// let mut values = [0.0, 1.0];
/// map(Isa::detect(), Function::Exp, &mut values);
/// assert!(values[0] == 1.0 && (values[1] - core::f32::consts::E).abs() < 1e-6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Function {
    /// e^x.
    Exp,
    /// Natural logarithm.
    Ln,
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
}

/// The smallest and the largest of these numbers, those that are NaN left out; infinity and -infinity
/// without any.
///
/// ```
/// use sae_kernels::{Isa, math};
///
/// assert_eq!(math::range(Isa::detect(), &[3.0, f32::NAN, -1.0]), (-1.0, 3.0));
/// ```
pub fn range(isa: Isa, values: &[f32]) -> (f32, f32) {
    struct Range<'a>(&'a [f32]);
    impl Kernel for Range<'_> {
        type Output = (f32, f32);
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> (f32, f32) {
            self.in_vectors(Several::<S, 4>(s))
        }
    }
    impl Range<'_> {
        #[inline(always)]
        fn in_vectors<S: Simd>(self, s: S) -> (f32, f32) {
            const { assert!(S::LANES <= 64) };
            let (mut low, mut high) = (s.splat(f32::INFINITY), s.splat(f32::NEG_INFINITY));
            let (whole, rest) = self.0.split_at(self.0.len() / S::LANES * S::LANES);
            for chunk in whole.chunks(S::LANES) {
                // SAFETY: the chunk has a vector's floats.
                let x = unsafe { s.load(chunk.as_ptr()) };
                low = s.min(x, low);
                high = s.max(x, high);
            }
            let (mut lows, mut highs) = ([f32::INFINITY; 64], [f32::NEG_INFINITY; 64]);
            // SAFETY: there is room for the vectors.
            unsafe {
                s.store(lows.as_mut_ptr(), low);
                s.store(highs.as_mut_ptr(), high);
            }
            let low = lows.iter().chain(rest).copied().fold(f32::INFINITY, f32::min);
            (low, highs.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max))
        }
    }
    isa.run(Range(values))
}

/// The largest magnitude among these numbers: 0 without any, infinity if one is NaN or infinite.
///
/// ```
/// use sae_kernels::{Isa, math};
///
/// assert_eq!(math::largest_magnitude(Isa::detect(), &[3.0, -4.0]), 4.0);
/// assert_eq!(math::largest_magnitude(Isa::detect(), &[3.0, f32::NAN]), f32::INFINITY);
/// ```
pub fn largest_magnitude(isa: Isa, values: &[f32]) -> f32 {
    struct Largest<'a>(&'a [f32]);
    impl Kernel for Largest<'_> {
        type Output = f32;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> f32 {
            self.in_vectors(Several::<S, 4>(s))
        }
    }
    impl Largest<'_> {
        #[inline(always)]
        fn in_vectors<S: Simd>(self, s: S) -> f32 {
            const { assert!(S::LANES <= 64) };
            // x - x is 0, but NaN for what is not finite.
            let (mut largest, mut zeros) = (s.splat(0.0), s.splat(0.0));
            for chunk in self.0.chunks(S::LANES) {
                // SAFETY: the chunk has `chunk.len()` floats.
                let x = unsafe { s.load_upto(chunk.as_ptr(), chunk.len()) };
                largest = s.max(s.abs(x), largest);
                zeros = s.add(zeros, s.sub(x, x));
            }
            let (mut all, mut lanes) = ([0.0; 64], [0.0; 64]);
            // SAFETY: there is room for the vectors.
            unsafe {
                s.store(all.as_mut_ptr(), largest);
                s.store(lanes.as_mut_ptr(), zeros);
            }
            let is_finite = lanes.iter().all(|&zero| zero == 0.0);
            if is_finite { all.into_iter().fold(0.0, f32::max) } else { f32::INFINITY }
        }
    }
    isa.run(Largest(values))
}

/// `values[i] = function(values[i])`.
///
/// ```
/// use sae_kernels::Isa;
/// use sae_kernels::math::{Function, map};
///
/// let mut values = [0.0, 100.0];
/// map(Isa::detect(), Function::Sigmoid, &mut values);
/// assert_eq!(values, [0.5, 1.0]);
/// ```
pub fn map(isa: Isa, function: Function, values: &mut [f32]) {
    struct Map<'a>(Function, &'a mut [f32]);
    impl Kernel for Map<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            self.in_vectors(Several::<S, 4>(s));
        }
    }
    impl Map<'_> {
        #[inline(always)]
        fn in_vectors<S: Simd>(self, s: S) {
            for chunk in self.1.chunks_mut(S::LANES) {
                // SAFETY: the chunk has `chunk.len()` floats.
                unsafe {
                    let x = s.load_upto(chunk.as_ptr(), chunk.len());
                    let y = match self.0 {
                        Function::Exp => exp(s, x),
                        Function::Ln => ln(s, x),
                        Function::Sigmoid => sigmoid(s, x),
                        Function::Tanh => tanh(s, x),
                    };
                    s.store_upto(chunk.as_mut_ptr(), chunk.len(), y);
                }
            }
        }
    }
    isa.run(Map(function, values));
}
