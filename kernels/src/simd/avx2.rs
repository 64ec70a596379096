//! AVX2 with FMA and F16C: 8 lanes, 16 registers.

use super::vector::{Kernel, Simd, Tile};
use core::arch::x86_64::*;

/// Proof that the machine has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    pub fn new() -> Option<Avx2> {
        #[cfg(feature = "std")]
        let present = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        #[cfg(not(feature = "std"))]
        let present =
            cfg!(all(target_feature = "avx2", target_feature = "fma", target_feature = "f16c"));
        present.then_some(Avx2(()))
    }

    /// All ones in the first `n` lanes.
    #[inline(always)]
    fn first(self, n: usize) -> __m256i {
        const MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        let skip = 8 - n.min(8);
        // SAFETY: `skip + 8 <= 16`; `self` proves AVX2.
        unsafe { _mm256_loadu_si256(MASK.as_ptr().add(skip).cast()) }
    }
}

/// Calls intrinsics that take values only.
macro_rules! op {
    ($e:expr) => {
        // SAFETY: `self` proves AVX2, FMA and F16C, and no memory is touched.
        unsafe { $e }
    };
}

impl super::vector::sealed::Sealed for Avx2 {}

impl Simd for Avx2 {
    const LANES: usize = 8;
    // 6 x 2 accumulators, 2 vectors of B and one broadcast of A fill 15 of the 16 registers;
    // 12 chains cover two FMA units of latency 4.
    type Tile = Tile<6, 2, 1>;
    type SparseTile = Tile<6, 2, 1>;
    const BLOCK_K: usize = 384;

    type V = __m256;
    type I = __m256i;
    type M = __m256;

    #[inline(never)]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        op!(_mm256_set1_ps(x))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        // SAFETY: the caller vouches for 8 floats.
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: __m256) {
        // SAFETY: the caller vouches for 8 floats.
        unsafe { _mm256_storeu_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> __m256 {
        // SAFETY: masked lanes are not touched; the caller vouches for the others.
        unsafe { _mm256_maskload_ps(from, self.first(n)) }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize, v: __m256) {
        // SAFETY: masked lanes are not touched; the caller vouches for the others.
        unsafe { _mm256_maskstore_ps(to, self.first(n), v) }
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const [u8; 2]) -> __m256 {
        // SAFETY: the caller vouches for 8 pairs.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
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
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        op!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        op!(_mm256_sqrt_ps(a))
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn lt(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    fn select(self, m: __m256, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_blendv_ps(b, a, m))
    }
    #[inline(always)]
    fn mask_bits(self, m: __m256) -> u32 {
        op!(_mm256_movemask_ps(m)) as u32
    }
    #[inline(always)]
    fn splat_int(self, x: i32) -> __m256i {
        op!(_mm256_set1_epi32(x))
    }
    #[inline(always)]
    fn to_bits(self, v: __m256) -> __m256i {
        op!(_mm256_castps_si256(v))
    }
    #[inline(always)]
    fn from_bits(self, i: __m256i) -> __m256 {
        op!(_mm256_castsi256_ps(i))
    }
    #[inline(always)]
    fn add_int(self, a: __m256i, b: __m256i) -> __m256i {
        op!(_mm256_add_epi32(a, b))
    }
    #[inline(always)]
    fn sub_int(self, a: __m256i, b: __m256i) -> __m256i {
        op!(_mm256_sub_epi32(a, b))
    }
    #[inline(always)]
    fn and_int(self, a: __m256i, b: __m256i) -> __m256i {
        op!(_mm256_and_si256(a, b))
    }
    #[inline(always)]
    fn or_int(self, a: __m256i, b: __m256i) -> __m256i {
        op!(_mm256_or_si256(a, b))
    }
    #[inline(always)]
    fn shift_left<const BITS: i32>(self, a: __m256i) -> __m256i {
        op!(_mm256_slli_epi32::<BITS>(a))
    }
    #[inline(always)]
    fn shift_right<const BITS: i32>(self, a: __m256i) -> __m256i {
        op!(_mm256_srai_epi32::<BITS>(a))
    }
    #[inline(always)]
    fn nonzero(self, a: __m256i) -> u32 {
        let zero = op!(_mm256_cmpeq_epi32(a, _mm256_setzero_si256()));
        !op!(_mm256_movemask_ps(_mm256_castsi256_ps(zero))) as u32 & 0xff
    }

    #[inline(always)]
    unsafe fn transpose(
        self,
        from: *const f32,
        from_stride: usize,
        to: *mut f32,
        to_stride: usize,
    ) {
        // SAFETY: `self` proves AVX2; the caller vouches for both 8 x 8 blocks.
        unsafe {
            // Halves of rows r and r + 4 meet in one register, so that only shuffles within
            // 128-bit lanes are left: 8 loads, 8 inserts (of memory), 16 shuffles, 8 stores.
            let mut c = 0;
            while c < 8 {
                let mut rows = [_mm256_setzero_ps(); 4];
                let mut r = 0;
                while r < 4 {
                    let low = _mm_loadu_ps(from.add(r * from_stride + c));
                    let high = _mm_loadu_ps(from.add((r + 4) * from_stride + c));
                    rows[r] = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high);
                    r += 1;
                }
                let [r0, r1, r2, r3] = rows;
                let (a, b) = (_mm256_unpacklo_ps(r0, r1), _mm256_unpackhi_ps(r0, r1));
                let (d, e) = (_mm256_unpacklo_ps(r2, r3), _mm256_unpackhi_ps(r2, r3));
                let column = [
                    _mm256_shuffle_ps::<0x44>(a, d),
                    _mm256_shuffle_ps::<0xee>(a, d),
                    _mm256_shuffle_ps::<0x44>(b, e),
                    _mm256_shuffle_ps::<0xee>(b, e),
                ];
                let mut i = 0;
                while i < 4 {
                    _mm256_storeu_ps(to.add((c + i) * to_stride), column[i]);
                    i += 1;
                }
                c += 4;
            }
        }
    }
}
