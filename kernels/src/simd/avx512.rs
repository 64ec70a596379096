//! AVX-512 (foundation): 16 lanes, 32 registers, masks.

use super::vector::{Kernel, Simd, Tile};
use core::arch::x86_64::*;

/// Proof that the machine has AVX-512F, and AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(());

impl Avx512 {
    pub fn new() -> Option<Avx512> {
        #[cfg(feature = "std")]
        let present = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        #[cfg(not(feature = "std"))]
        let present =
            cfg!(all(target_feature = "avx512f", target_feature = "avx2", target_feature = "fma"));
        present.then_some(Avx512(()))
    }
}

/// Calls intrinsics that take values only.
macro_rules! op {
    ($e:expr) => {
        // SAFETY: `self` proves AVX-512F, and no memory is touched.
        unsafe { $e }
    };
}

impl super::vector::sealed::Sealed for Avx512 {}

impl Simd for Avx512 {
    const LANES: usize = 16;
    // 12 x 2 accumulators and 2 vectors of B leave registers for constants; A is broadcast from
    // memory by the multiply itself. 12 divides the batch of 60 and the 300 units of the article.
    type Tile = Tile<12, 2, 1>;
    type SparseTile = Tile<4, 6, 3>;
    const BLOCK_K: usize = 1024;

    type V = __m512;
    type I = __m512i;
    type M = __mmask16;

    #[inline(never)]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        op!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // SAFETY: the caller vouches for 16 floats.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: __m512) {
        // SAFETY: the caller vouches for 16 floats.
        unsafe { _mm512_storeu_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> __m512 {
        // SAFETY: masked lanes are not touched; the caller vouches for the others.
        unsafe { _mm512_maskz_loadu_ps(((1u32 << n) - 1) as __mmask16, from) }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize, v: __m512) {
        // SAFETY: masked lanes are not touched; the caller vouches for the others.
        unsafe { _mm512_mask_storeu_ps(to, ((1u32 << n) - 1) as __mmask16, v) }
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const [u8; 2]) -> __m512 {
        // SAFETY: the caller vouches for 16 pairs.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        op!(_mm_prefetch::<_MM_HINT_T0>(at.cast()))
    }
    #[inline(always)]
    fn prefetch_far(self, at: *const f32) {
        op!(_mm_prefetch::<_MM_HINT_T1>(at.cast()))
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        op!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        op!(_mm512_sqrt_ps(a))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn scale(self, a: __m512, n: __m512) -> __m512 {
        op!(_mm512_scalef_ps(a, n))
    }
    #[inline(always)]
    fn lt(self, a: __m512, b: __m512) -> __mmask16 {
        op!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    fn select(self, m: __mmask16, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_mask_blend_ps(m, b, a))
    }
    #[inline(always)]
    fn mask_bits(self, m: __mmask16) -> u32 {
        u32::from(m)
    }
    #[inline(always)]
    fn splat_int(self, x: i32) -> __m512i {
        op!(_mm512_set1_epi32(x))
    }
    #[inline(always)]
    fn to_bits(self, v: __m512) -> __m512i {
        op!(_mm512_castps_si512(v))
    }
    #[inline(always)]
    fn from_bits(self, i: __m512i) -> __m512 {
        op!(_mm512_castsi512_ps(i))
    }
    #[inline(always)]
    fn add_int(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_add_epi32(a, b))
    }
    #[inline(always)]
    fn sub_int(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_sub_epi32(a, b))
    }
    #[inline(always)]
    fn and_int(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_and_si512(a, b))
    }
    #[inline(always)]
    fn or_int(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_or_si512(a, b))
    }
    #[inline(always)]
    fn shift_left<const BITS: i32>(self, a: __m512i) -> __m512i {
        op!(_mm512_sllv_epi32(a, _mm512_set1_epi32(BITS)))
    }
    #[inline(always)]
    fn shift_right<const BITS: i32>(self, a: __m512i) -> __m512i {
        op!(_mm512_srav_epi32(a, _mm512_set1_epi32(BITS)))
    }
    #[inline(always)]
    fn nonzero(self, a: __m512i) -> u32 {
        u32::from(op!(_mm512_test_epi32_mask(a, a)))
    }

    #[inline(always)]
    unsafe fn transpose(
        self,
        from: *const f32,
        from_stride: usize,
        to: *mut f32,
        to_stride: usize,
    ) {
        // SAFETY: `self` proves AVX-512F; the caller vouches for both 16 x 16 blocks.
        unsafe {
            // Quarters of rows r, r + 4, r + 8 and r + 12 meet in one register, so that only
            // shuffles within 128-bit lanes are left.
            let mut c = 0;
            while c < 16 {
                let mut rows = [_mm512_setzero_ps(); 4];
                let mut r = 0;
                while r < 4 {
                    let at = from.add(r * from_stride + c);
                    let v = _mm512_castps128_ps512(_mm_loadu_ps(at));
                    let v = _mm512_insertf32x4::<1>(v, _mm_loadu_ps(at.add(4 * from_stride)));
                    let v = _mm512_insertf32x4::<2>(v, _mm_loadu_ps(at.add(8 * from_stride)));
                    rows[r] = _mm512_insertf32x4::<3>(v, _mm_loadu_ps(at.add(12 * from_stride)));
                    r += 1;
                }
                let [r0, r1, r2, r3] = rows;
                let (a, b) = (_mm512_unpacklo_ps(r0, r1), _mm512_unpackhi_ps(r0, r1));
                let (d, e) = (_mm512_unpacklo_ps(r2, r3), _mm512_unpackhi_ps(r2, r3));
                let column = [
                    _mm512_shuffle_ps::<0x44>(a, d),
                    _mm512_shuffle_ps::<0xee>(a, d),
                    _mm512_shuffle_ps::<0x44>(b, e),
                    _mm512_shuffle_ps::<0xee>(b, e),
                ];
                let mut i = 0;
                while i < 4 {
                    _mm512_storeu_ps(to.add((c + i) * to_stride), column[i]);
                    i += 1;
                }
                c += 4;
            }
        }
    }
}
