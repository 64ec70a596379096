//! The trait of an instruction set: vectors of `f32` and the operations on them.

pub(super) mod sealed {
    pub trait Sealed {}
}

/// A register tile of the GEMM, `R` rows of A by `V` vectors of B; `HALF` is half of `V`, rounded
/// up.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Tile<const R: usize, const V: usize, const HALF: usize>;

/// A [`Tile`], whatever its sides.
#[doc(hidden)]
pub trait RegisterTile: sealed::Sealed {
    /// Rows of A.
    const ROWS: usize;
    /// Vectors of B.
    const VECTORS: usize;
    /// Runs a kernel with the sides as constants.
    fn run<S: Simd, K: TileKernel>(s: S, kernel: K);
}

impl<const R: usize, const V: usize, const HALF: usize> sealed::Sealed for Tile<R, V, HALF> {}

impl<const R: usize, const V: usize, const HALF: usize> RegisterTile for Tile<R, V, HALF> {
    const ROWS: usize = R;
    const VECTORS: usize = V;
    #[inline(always)]
    fn run<S: Simd, K: TileKernel>(s: S, kernel: K) {
        kernel.run::<S, R, V, HALF>(s);
    }
}

/// One body of source, instantiated for the sides of a [`Tile`].
#[doc(hidden)]
pub trait TileKernel {
    /// The body; mark it `#[inline(always)]`.
    fn run<S: Simd, const R: usize, const V: usize, const HALF: usize>(self, s: S);
}

/// Adding and subtracting 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// `f32` lanes and what may be done with them.
///
/// Every operation is IEEE 754's, rounded once, on every set; [`Simd::mul_add`] is fused except
/// on the portable set. Only this crate implements it. `min` and `max` are `if a < b { a } else { b }` and
/// `if a > b { a } else { b }`, so a NaN in `b` comes through and one in `a` does not.
///
/// ```
/// use sae_kernels::Isa;
/// use sae_kernels::simd::{Kernel, Simd};
///
/// /// Doubles each number.
/// struct Double<'a>(&'a mut [f32]);
/// impl Kernel for Double<'_> {
///     type Output = ();
///     #[inline(always)]
///     fn run<S: Simd>(self, s: S) {
///         for chunk in self.0.chunks_mut(S::LANES) {
///             // SAFETY: the chunk has `chunk.len()` floats.
///             unsafe {
///                 let x = s.load_upto(chunk.as_ptr(), chunk.len());
///                 s.store_upto(chunk.as_mut_ptr(), chunk.len(), s.add(x, x));
///             }
///         }
///     }
/// }
/// let mut numbers = [1.0, 2.0, 3.0];
/// Isa::detect().run(Double(&mut numbers));
/// assert_eq!(numbers, [2.0, 4.0, 6.0]);
/// ```
pub trait Simd: Copy + sealed::Sealed {
    /// Lanes of a vector.
    const LANES: usize;
    /// The GEMM's register tile.
    type Tile: RegisterTile;
    /// The register tile where zeros are skipped: as many sums in fewer rows, since a k is left
    /// out only where all rows of the tile are 0.
    type SparseTile: RegisterTile;
    /// Whether the two tiles differ.
    const HAS_SPARSE_TILE: bool = Self::Tile::ROWS != Self::SparseTile::ROWS
        || Self::Tile::VECTORS != Self::SparseTile::VECTORS;
    /// Longest block of k of the GEMM.
    const BLOCK_K: usize;
    /// Whether `mul_add` is fused.
    const IS_FUSED: bool = true;
    /// Whether GEMM goes to the crate `matrixmultiply`, since no tile is tuned for this set.
    const GEMM_BY_LIBRARY: bool = false;

    /// A vector of `f32`.
    type V: Copy;
    /// A vector of `i32`, as wide.
    type I: Copy;
    /// What a comparison gives.
    type M: Copy;

    /// Runs a kernel's body compiled for this set, in a function of its own: mark it
    /// `#[inline(never)]`.
    /// # Safety
    /// The machine has the set, as a value of it proves.
    unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output;

    /// Every lane `x`.
    fn splat(self, x: f32) -> Self::V;
    /// `LANES` floats from memory, at any alignment.
    /// # Safety
    /// `LANES` floats are readable at `from`.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// All lanes to memory, at any alignment.
    /// # Safety
    /// `LANES` floats are writable at `to`.
    unsafe fn store(self, to: *mut f32, v: Self::V);
    /// The first `n < LANES` lanes from memory, 0 in the others.
    /// # Safety
    /// `n` floats are readable at `from`; no other is touched.
    unsafe fn load_first(self, from: *const f32, n: usize) -> Self::V;
    /// The first `n < LANES` lanes to memory.
    /// # Safety
    /// `n` floats are writable at `to`; no other is touched.
    unsafe fn store_first(self, to: *mut f32, n: usize, v: Self::V);
    /// `LANES` numbers of half precision (IEEE 754 binary16) from memory, little-endian pairs of
    /// bytes at any alignment, as `f32`. A signaling NaN becomes quiet.
    /// # Safety
    /// `LANES` pairs are readable at `from`.
    unsafe fn load_f16(self, from: *const [u8; 2]) -> Self::V;
    /// Asks for the cache line at an address that will be written soon; any address may be asked.
    #[inline(always)]
    fn prefetch(self, _at: *const f32) {}
    /// Asks for the cache line at an address that will be read after a while, to the L2 cache.
    #[inline(always)]
    fn prefetch_far(self, _at: *const f32) {}
    /// `a * b + c`.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// The square root.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// The smaller; see the trait for NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The larger; see the trait for NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a < b`.
    fn lt(self, a: Self::V, b: Self::V) -> Self::M;
    /// `a` where the mask holds, else `b`.
    fn select(self, m: Self::M, a: Self::V, b: Self::V) -> Self::V;
    /// A bit for each lane, the first lowest, set where the mask holds.
    fn mask_bits(self, m: Self::M) -> u32;
    /// Every lane `x`.
    fn splat_int(self, x: i32) -> Self::I;
    /// The bits of the floats.
    fn to_bits(self, v: Self::V) -> Self::I;
    /// The floats of the bits.
    fn from_bits(self, i: Self::I) -> Self::V;
    /// Wrapping `a + b`.
    fn add_int(self, a: Self::I, b: Self::I) -> Self::I;
    /// Wrapping `a - b`.
    fn sub_int(self, a: Self::I, b: Self::I) -> Self::I;
    /// `a & b`.
    fn and_int(self, a: Self::I, b: Self::I) -> Self::I;
    /// `a | b`.
    fn or_int(self, a: Self::I, b: Self::I) -> Self::I;
    /// `a << BITS`.
    fn shift_left<const BITS: i32>(self, a: Self::I) -> Self::I;
    /// `a >> BITS`, the sign shifted in.
    fn shift_right<const BITS: i32>(self, a: Self::I) -> Self::I;

    /// A bit for each lane, the first lowest, set where the lane is not 0.
    fn nonzero(self, a: Self::I) -> u32;

    /// Copies a `LANES` x `LANES` block transposed: `to[c * to_stride + r] = from[r * from_stride + c]`.
    /// # Safety
    /// `LANES` rows of `LANES` floats are readable at `from`, and as many writable at `to`.
    #[inline(always)]
    unsafe fn transpose(
        self,
        from: *const f32,
        from_stride: usize,
        to: *mut f32,
        to_stride: usize,
    ) {
        for r in 0..Self::LANES {
            for c in 0..Self::LANES {
                // SAFETY: both lie in the blocks that the caller vouches for.
                unsafe { *to.add(c * to_stride + r) = *from.add(r * from_stride + c) };
            }
        }
    }

    /// `a * 2^n`, rounded once, for integers n from -252 to 254. (In two halves, so that neither
    /// overflows on the way nor loses a subnormal result; not for a subnormal `a`.)
    #[inline(always)]
    fn scale(self, a: Self::V, n: Self::V) -> Self::V {
        let round = self.splat(ROUND);
        let n = self.sub_int(self.to_bits(self.add(n, round)), self.to_bits(round));
        let half = self.shift_right::<1>(n);
        let power_of_two =
            |n| self.from_bits(self.shift_left::<23>(self.add_int(n, self.splat_int(127))));
        self.mul(self.mul(a, power_of_two(half)), power_of_two(self.sub_int(n, half)))
    }

    /// `|a|`.
    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        self.from_bits(self.and_int(self.to_bits(a), self.splat_int(0x7fff_ffff)))
    }

    /// The first `n <= LANES` lanes from memory, 0 in the others.
    /// # Safety
    /// `n` floats are readable at `from`; no other is touched.
    #[inline(always)]
    unsafe fn load_upto(self, from: *const f32, n: usize) -> Self::V {
        if n == Self::LANES {
            // SAFETY: the caller vouches for `n` floats.
            unsafe { self.load(from) }
        } else {
            // SAFETY: the caller vouches for `n` floats.
            unsafe { self.load_first(from, n) }
        }
    }

    /// The first `n <= LANES` lanes to memory.
    /// # Safety
    /// `n` floats are writable at `to`; no other is touched.
    #[inline(always)]
    unsafe fn store_upto(self, to: *mut f32, n: usize, v: Self::V) {
        if n == Self::LANES {
            // SAFETY: the caller vouches for `n` floats.
            unsafe { self.store(to, v) }
        } else {
            // SAFETY: the caller vouches for `n` floats.
            unsafe { self.store_first(to, n, v) }
        }
    }
}

/// One body of source, instantiated for each instruction set by [`Isa::run`](crate::Isa::run).
///
/// ```
/// use sae_kernels::Isa;
/// use sae_kernels::simd::{Kernel, Simd};
///
/// /// Doubles each number.
/// struct Double<'a>(&'a mut [f32]);
/// impl Kernel for Double<'_> {
///     type Output = ();
///     #[inline(always)]
///     fn run<S: Simd>(self, s: S) {
///         for chunk in self.0.chunks_mut(S::LANES) {
///             // SAFETY: the chunk has `chunk.len()` floats.
///             unsafe {
///                 let x = s.load_upto(chunk.as_ptr(), chunk.len());
///                 s.store_upto(chunk.as_mut_ptr(), chunk.len(), s.add(x, x));
///             }
///         }
///     }
/// }
/// let mut numbers = [1.0, 2.0, 3.0];
/// Isa::detect().run(Double(&mut numbers));
/// assert_eq!(numbers, [2.0, 4.0, 6.0]);
/// ```
pub trait Kernel {
    /// What it returns.
    type Output;
    /// The body; mark it `#[inline(always)]`.
    fn run<S: Simd>(self, s: S) -> Self::Output;
}
