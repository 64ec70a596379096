//! Several vectors side by side, used as one: what needs many cycles for one vector, as the
//! exponential does, then works on all of them at once.

use super::vector::{Kernel, Simd};

/// `N` vectors of `S`.
#[derive(Clone, Copy)]
pub(crate) struct Several<S, const N: usize>(pub S);

/// Lane by lane, a vector at a time.
macro_rules! each {
    ($name:ident($($arg:ident: $from:ident),*) -> $to:ident) => {
        #[inline(always)]
        fn $name(self, $($arg: Self::$from),*) -> Self::$to {
            // Any value of the type: every element is written.
            let mut out = [self.0.$name($($arg[0]),*); N];
            for i in 1..N {
                out[i] = self.0.$name($($arg[i]),*);
            }
            out
        }
    };
}

impl<S: Simd, const N: usize> Several<S, N> {
    /// How many of the first `n` lanes are vector `i`'s.
    #[inline(always)]
    fn lanes(n: usize, i: usize) -> usize {
        n.saturating_sub(i * S::LANES).min(S::LANES)
    }
}

impl<S: Simd, const N: usize> super::vector::sealed::Sealed for Several<S, N> {}

impl<S: Simd, const N: usize> Simd for Several<S, N> {
    const LANES: usize = N * S::LANES;
    type Tile = S::Tile;
    type SparseTile = S::SparseTile;
    const BLOCK_K: usize = S::BLOCK_K;

    type V = [S::V; N];
    type I = [S::I; N];
    type M = [S::M; N];

    #[inline(never)]
    unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [self.0.splat(x); N]
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        let mut out = self.splat(0.0);
        for i in 0..N {
            // SAFETY: the caller vouches for all lanes.
            out[i] = unsafe { self.0.load(from.add(i * S::LANES)) };
        }
        out
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::V) {
        for i in 0..N {
            // SAFETY: the caller vouches for all lanes.
            unsafe { self.0.store(to.add(i * S::LANES), v[i]) };
        }
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> Self::V {
        let mut out = self.splat(0.0);
        for i in 0..N {
            // SAFETY: the caller vouches for these lanes; where there are none, none is touched.
            out[i] =
                unsafe { self.0.load_upto(from.wrapping_add(i * S::LANES), Self::lanes(n, i)) };
        }
        out
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize, v: Self::V) {
        for i in 0..N {
            // SAFETY: as for `load_first`.
            unsafe { self.0.store_upto(to.wrapping_add(i * S::LANES), Self::lanes(n, i), v[i]) };
        }
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const [u8; 2]) -> Self::V {
        let mut out = self.splat(0.0);
        for i in 0..N {
            // SAFETY: the caller vouches for all lanes.
            out[i] = unsafe { self.0.load_f16(from.add(i * S::LANES)) };
        }
        out
    }
    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        self.0.prefetch(at);
    }
    #[inline(always)]
    fn prefetch_far(self, at: *const f32) {
        self.0.prefetch_far(at);
    }
    each!(mul_add(a: V, b: V, c: V) -> V);
    each!(add(a: V, b: V) -> V);
    each!(sub(a: V, b: V) -> V);
    each!(mul(a: V, b: V) -> V);
    each!(div(a: V, b: V) -> V);
    each!(sqrt(a: V) -> V);
    each!(min(a: V, b: V) -> V);
    each!(max(a: V, b: V) -> V);
    each!(scale(a: V, n: V) -> V);
    each!(lt(a: V, b: V) -> M);
    each!(select(m: M, a: V, b: V) -> V);
    #[inline(always)]
    fn mask_bits(self, m: Self::M) -> u32 {
        let mut bits = 0;
        for i in 0..N {
            bits |= self.0.mask_bits(m[i]) << (i * S::LANES);
        }
        bits
    }
    #[inline(always)]
    fn splat_int(self, x: i32) -> Self::I {
        [self.0.splat_int(x); N]
    }
    each!(to_bits(v: V) -> I);
    each!(from_bits(bits: I) -> V);
    each!(add_int(a: I, b: I) -> I);
    each!(sub_int(a: I, b: I) -> I);
    each!(and_int(a: I, b: I) -> I);
    each!(or_int(a: I, b: I) -> I);
    #[inline(always)]
    fn shift_left<const BITS: i32>(self, a: Self::I) -> Self::I {
        let mut out = a;
        for i in 0..N {
            out[i] = self.0.shift_left::<BITS>(a[i]);
        }
        out
    }
    #[inline(always)]
    fn shift_right<const BITS: i32>(self, a: Self::I) -> Self::I {
        let mut out = a;
        for i in 0..N {
            out[i] = self.0.shift_right::<BITS>(a[i]);
        }
        out
    }
    #[inline(always)]
    fn nonzero(self, a: Self::I) -> u32 {
        let mut bits = 0;
        for i in 0..N {
            bits |= self.0.nonzero(a[i]) << (i * S::LANES);
        }
        bits
    }
}
