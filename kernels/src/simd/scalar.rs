//! One lane, plain Rust: the reference for the same bits, on any machine.

use super::vector::{Kernel, Simd, Tile};
use crate::half::f16_to_f32;

/// One lane. On x86-64 it notes whether the FMA instruction is there, without which every
/// `mul_add` is a call of the C library's (the same bits, many times slower).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalar {
    #[cfg(target_arch = "x86_64")]
    fma: bool,
}

impl Scalar {
    pub fn new() -> Option<Scalar> {
        Some(Scalar {
            #[cfg(all(target_arch = "x86_64", feature = "std"))]
            fma: is_x86_feature_detected!("fma"),
            #[cfg(all(target_arch = "x86_64", not(feature = "std")))]
            fma: cfg!(target_feature = "fma"),
        })
    }
}

#[cfg(feature = "std")]
#[inline(always)]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    a.mul_add(b, c)
}

#[cfg(feature = "std")]
#[inline(always)]
fn root(a: f32) -> f32 {
    a.sqrt()
}

// core has neither; libm's are correctly rounded too.
#[cfg(not(feature = "std"))]
#[inline(always)]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    libm::fmaf(a, b, c)
}

#[cfg(not(feature = "std"))]
#[inline(always)]
fn root(a: f32) -> f32 {
    libm::sqrtf(a)
}

impl super::vector::sealed::Sealed for Scalar {}

impl Simd for Scalar {
    const LANES: usize = 1;
    type Tile = Tile<4, 4, 2>;
    type SparseTile = Tile<4, 4, 2>;
    const BLOCK_K: usize = 384;

    type V = f32;
    type I = i32;
    type M = bool;

    #[inline(never)]
    unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        if self.fma {
            #[target_feature(enable = "fma")]
            fn entry<K: Kernel>(s: Scalar, kernel: K) -> K::Output {
                kernel.run(s)
            }
            // SAFETY: `fma` says that the machine has the feature.
            return unsafe { entry(self, kernel) };
        }
        kernel.run(self)
    }
    #[inline(always)]
    fn splat(self, x: f32) -> f32 {
        x
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> f32 {
        // SAFETY: the caller vouches for one float.
        unsafe { *from }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: f32) {
        // SAFETY: the caller vouches for one float.
        unsafe { *to = v }
    }
    #[inline(always)]
    unsafe fn load_first(self, _: *const f32, _: usize) -> f32 {
        0.0
    }
    #[inline(always)]
    unsafe fn store_first(self, _: *mut f32, _: usize, _: f32) {}
    #[inline(always)]
    unsafe fn load_f16(self, from: *const [u8; 2]) -> f32 {
        // SAFETY: the caller vouches for one pair.
        f16_to_f32(u16::from_le_bytes(unsafe { *from }))
    }
    #[inline(always)]
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        fused(a, b, c)
    }
    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f32, b: f32) -> f32 {
        a / b
    }
    #[inline(always)]
    fn sqrt(self, a: f32) -> f32 {
        root(a)
    }
    #[inline(always)]
    fn min(self, a: f32, b: f32) -> f32 {
        if a < b { a } else { b }
    }
    #[inline(always)]
    fn max(self, a: f32, b: f32) -> f32 {
        if a > b { a } else { b }
    }
    #[inline(always)]
    fn lt(self, a: f32, b: f32) -> bool {
        a < b
    }
    #[inline(always)]
    fn select(self, m: bool, a: f32, b: f32) -> f32 {
        if m { a } else { b }
    }
    #[inline(always)]
    fn mask_bits(self, m: bool) -> u32 {
        u32::from(m)
    }
    #[inline(always)]
    fn splat_int(self, x: i32) -> i32 {
        x
    }
    #[inline(always)]
    fn to_bits(self, v: f32) -> i32 {
        v.to_bits() as i32
    }
    #[inline(always)]
    fn from_bits(self, i: i32) -> f32 {
        f32::from_bits(i as u32)
    }
    #[inline(always)]
    fn add_int(self, a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn sub_int(self, a: i32, b: i32) -> i32 {
        a.wrapping_sub(b)
    }
    #[inline(always)]
    fn and_int(self, a: i32, b: i32) -> i32 {
        a & b
    }
    #[inline(always)]
    fn or_int(self, a: i32, b: i32) -> i32 {
        a | b
    }
    #[inline(always)]
    fn shift_left<const BITS: i32>(self, a: i32) -> i32 {
        a << BITS
    }
    #[inline(always)]
    fn shift_right<const BITS: i32>(self, a: i32) -> i32 {
        a >> BITS
    }
    #[inline(always)]
    fn nonzero(self, a: i32) -> u32 {
        u32::from(a != 0)
    }
}
