//! NEON (AArch64): 4 lanes, 32 registers.

use super::vector::{Kernel, Simd, Tile};
use core::arch::aarch64::*;

/// Proof that the machine has NEON (every AArch64 with floats has).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neon(());

impl Neon {
    pub fn new() -> Option<Neon> {
        cfg!(target_feature = "neon").then_some(Neon(()))
    }
}

/// Calls intrinsics that take values only.
macro_rules! op {
    ($e:expr) => {
        // SAFETY: `self` proves NEON, and no memory is touched.
        #[allow(unused_unsafe)]
        unsafe {
            $e
        }
    };
}

impl super::vector::sealed::Sealed for Neon {}

impl Simd for Neon {
    const LANES: usize = 4;
    // 8 x 2 accumulators of 4 lanes, 2 vectors of B and broadcasts of A: 16 chains cover
    // four FMA units of latency 4.
    type Tile = Tile<8, 2, 1>;
    type SparseTile = Tile<4, 4, 2>;
    const BLOCK_K: usize = 384;

    type V = float32x4_t;
    type I = int32x4_t;
    type M = uint32x4_t;

    #[inline(never)]
    unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        op!(vdupq_n_f32(x))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> float32x4_t {
        // SAFETY: the caller vouches for 4 floats.
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: float32x4_t) {
        // SAFETY: the caller vouches for 4 floats.
        unsafe { vst1q_f32(to, v) }
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> float32x4_t {
        let mut lanes = [0.0f32; 4];
        // SAFETY: the caller vouches for `n` < 4 floats.
        unsafe {
            core::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), n);
            vld1q_f32(lanes.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize, v: float32x4_t) {
        let mut lanes = [0.0f32; 4];
        // SAFETY: the caller vouches for `n` < 4 floats.
        unsafe {
            vst1q_f32(lanes.as_mut_ptr(), v);
            core::ptr::copy_nonoverlapping(lanes.as_ptr(), to, n);
        }
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const [u8; 2]) -> float32x4_t {
        // SAFETY: the caller vouches for 4 pairs.
        let pairs = unsafe { *from.cast::<[[u8; 2]; 4]>() };
        let halves = pairs.map(u16::from_le_bytes);
        // SAFETY: NEON is proved by `self`, and four numbers are read.
        unsafe { vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(halves.as_ptr()))) }
    }
    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        op!(vfmaq_f32(c, a, b))
    }
    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vaddq_f32(a, b))
    }
    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vsubq_f32(a, b))
    }
    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vmulq_f32(a, b))
    }
    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vdivq_f32(a, b))
    }
    #[inline(always)]
    fn sqrt(self, a: float32x4_t) -> float32x4_t {
        op!(vsqrtq_f32(a))
    }
    // vminq and vmaxq treat NaN otherwise than x86; the comparison gives the trait's rule.
    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        self.select(self.lt(a, b), a, b)
    }
    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        self.select(self.lt(b, a), a, b)
    }
    #[inline(always)]
    fn lt(self, a: float32x4_t, b: float32x4_t) -> uint32x4_t {
        op!(vcltq_f32(a, b))
    }
    #[inline(always)]
    fn select(self, m: uint32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        op!(vbslq_f32(m, a, b))
    }
    #[inline(always)]
    fn mask_bits(self, m: uint32x4_t) -> u32 {
        const BITS: [u32; 4] = [1, 2, 4, 8];
        // SAFETY: NEON is proved by `self`, and four numbers are read.
        unsafe { vaddvq_u32(vandq_u32(m, vld1q_u32(BITS.as_ptr()))) }
    }
    #[inline(always)]
    fn splat_int(self, x: i32) -> int32x4_t {
        op!(vdupq_n_s32(x))
    }
    #[inline(always)]
    fn to_bits(self, v: float32x4_t) -> int32x4_t {
        op!(vreinterpretq_s32_f32(v))
    }
    #[inline(always)]
    fn from_bits(self, i: int32x4_t) -> float32x4_t {
        op!(vreinterpretq_f32_s32(i))
    }
    #[inline(always)]
    fn add_int(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        op!(vaddq_s32(a, b))
    }
    #[inline(always)]
    fn sub_int(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        op!(vsubq_s32(a, b))
    }
    #[inline(always)]
    fn and_int(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        op!(vandq_s32(a, b))
    }
    #[inline(always)]
    fn or_int(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        op!(vorrq_s32(a, b))
    }
    #[inline(always)]
    fn shift_left<const BITS: i32>(self, a: int32x4_t) -> int32x4_t {
        op!(vshlq_n_s32::<BITS>(a))
    }
    #[inline(always)]
    fn shift_right<const BITS: i32>(self, a: int32x4_t) -> int32x4_t {
        op!(vshrq_n_s32::<BITS>(a))
    }
    #[inline(always)]
    fn nonzero(self, a: int32x4_t) -> u32 {
        const BITS: [u32; 4] = [1, 2, 4, 8];
        // SAFETY: NEON is proved by `self`, and four numbers are read.
        unsafe { vaddvq_u32(vandq_u32(vtstq_s32(a, a), vld1q_u32(BITS.as_ptr()))) }
    }
}
