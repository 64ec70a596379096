//! The crate `wide`: 8 lanes of whatever the target is compiled for. `mul_add` is fused only
//! where the target is, so this set promises closeness, not the same bits.

use super::vector::{Kernel, Simd, Tile};
use crate::half::f16_to_f32;
use bytemuck::cast;
use wide::{f32x8, i32x8};

/// Always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portable(());

impl Portable {
    pub fn new() -> Option<Portable> {
        Some(Portable(()))
    }
}

impl super::vector::sealed::Sealed for Portable {}

impl Simd for Portable {
    const LANES: usize = 8;
    type Tile = Tile<4, 1, 1>;
    type SparseTile = Tile<4, 1, 1>;
    const BLOCK_K: usize = 384;
    const IS_FUSED: bool = false;
    const GEMM_BY_LIBRARY: bool = true;

    type V = f32x8;
    type I = i32x8;
    type M = f32x8;

    #[inline(never)]
    unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
    #[inline(always)]
    fn splat(self, x: f32) -> f32x8 {
        f32x8::splat(x)
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> f32x8 {
        // SAFETY: the caller vouches for 8 floats.
        f32x8::from(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: f32x8) {
        // SAFETY: the caller vouches for 8 floats.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(v.into()) }
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> f32x8 {
        let mut lanes = [0.0f32; 8];
        // SAFETY: the caller vouches for `n` < 8 floats.
        unsafe { core::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), n) };
        f32x8::from(lanes)
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize, v: f32x8) {
        let lanes: [f32; 8] = v.into();
        // SAFETY: the caller vouches for `n` < 8 floats.
        unsafe { core::ptr::copy_nonoverlapping(lanes.as_ptr(), to, n) };
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const [u8; 2]) -> f32x8 {
        // SAFETY: the caller vouches for 8 pairs.
        let pairs = unsafe { *from.cast::<[[u8; 2]; 8]>() };
        f32x8::from(pairs.map(|pair| f16_to_f32(u16::from_le_bytes(pair))))
    }
    #[inline(always)]
    fn mul_add(self, a: f32x8, b: f32x8, c: f32x8) -> f32x8 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn add(self, a: f32x8, b: f32x8) -> f32x8 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32x8, b: f32x8) -> f32x8 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32x8, b: f32x8) -> f32x8 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f32x8, b: f32x8) -> f32x8 {
        a / b
    }
    #[inline(always)]
    fn sqrt(self, a: f32x8) -> f32x8 {
        a.sqrt()
    }
    #[inline(always)]
    fn min(self, a: f32x8, b: f32x8) -> f32x8 {
        self.select(self.lt(a, b), a, b)
    }
    #[inline(always)]
    fn max(self, a: f32x8, b: f32x8) -> f32x8 {
        self.select(self.lt(b, a), a, b)
    }
    #[inline(always)]
    fn lt(self, a: f32x8, b: f32x8) -> f32x8 {
        a.simd_lt(b)
    }
    #[inline(always)]
    fn select(self, m: f32x8, a: f32x8, b: f32x8) -> f32x8 {
        m.bitselect(a, b)
    }
    #[inline(always)]
    fn mask_bits(self, m: f32x8) -> u32 {
        let lanes = m.to_array();
        (0..8).map(|i| (lanes[i].to_bits() >> 31) << i).sum()
    }
    #[inline(always)]
    fn splat_int(self, x: i32) -> i32x8 {
        i32x8::splat(x)
    }
    #[inline(always)]
    fn to_bits(self, v: f32x8) -> i32x8 {
        cast(v)
    }
    #[inline(always)]
    fn from_bits(self, i: i32x8) -> f32x8 {
        cast(i)
    }
    #[inline(always)]
    fn add_int(self, a: i32x8, b: i32x8) -> i32x8 {
        a + b
    }
    #[inline(always)]
    fn sub_int(self, a: i32x8, b: i32x8) -> i32x8 {
        a - b
    }
    #[inline(always)]
    fn and_int(self, a: i32x8, b: i32x8) -> i32x8 {
        a & b
    }
    #[inline(always)]
    fn or_int(self, a: i32x8, b: i32x8) -> i32x8 {
        a | b
    }
    #[inline(always)]
    fn shift_left<const BITS: i32>(self, a: i32x8) -> i32x8 {
        a << BITS
    }
    #[inline(always)]
    fn shift_right<const BITS: i32>(self, a: i32x8) -> i32x8 {
        a >> BITS
    }
    #[inline(always)]
    fn nonzero(self, a: i32x8) -> u32 {
        let lanes = a.to_array();
        (0..8).map(|i| u32::from(lanes[i] != 0) << i).sum()
    }
}
