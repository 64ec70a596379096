//! Conversion of bytes, as images hold them, and of half precision to numbers.

pub use crate::half::{bf16_to_f32, f16_to_f32};
use crate::simd::{Isa, Kernel, Simd};

/// Scales bytes: `out[i] = (bytes[i] - subtract) / divide`, `divide` not 0, in the same bits on
/// every set.
///
/// ```
/// use sae_kernels::{Isa, convert};
///
/// let mut pixels = [0.0; 3];
/// convert::scale_bytes(Isa::detect(), &[0, 51, 255], 0.0, 255.0, &mut pixels);
/// assert_eq!(pixels, [0.0, 0.2, 1.0]);
/// ```
///
/// # Panics
/// The lengths differ.
#[track_caller]
pub fn scale_bytes(isa: Isa, bytes: &[u8], subtract: f32, divide: f32, out: &mut [f32]) {
    struct Scale<'a>(&'a [u8], f32, f32, &'a mut [f32]);
    impl Kernel for Scale<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            let Scale(bytes, subtract, divide, out) = self;
            for (to, &byte) in out.iter_mut().zip(bytes) {
                *to = (f32::from(byte) - subtract) / divide;
            }
        }
    }
    assert_eq!(bytes.len(), out.len(), "a number for each byte");
    isa.run(Scale(bytes, subtract, divide, out));
}

/// Prefetches bytes that will be read soon to the L1 cache.
///
/// ```
/// let bytes = [1, 2, 3];
/// sae_kernels::convert::prefetch(&bytes);
/// assert_eq!(bytes, [1, 2, 3]);
/// ```
pub fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(64) {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing, and SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

/// Converts half precision (IEEE 754 binary16), of which `bytes` has little-endian pairs at any
/// alignment, in the bits of [`f16_to_f32`] on every set.
///
/// ```
/// use sae_kernels::{Isa, convert};
///
/// let mut numbers = [0.0; 2];
/// convert::f16_to_f32s(Isa::detect(), &[0x00, 0x3c, 0x00, 0xc0], &mut numbers);
/// assert_eq!(numbers, [1.0, -2.0]);
/// ```
///
/// # Panics
/// `bytes` has not two bytes for each number of `out`.
#[track_caller]
pub fn f16_to_f32s(isa: Isa, bytes: &[u8], out: &mut [f32]) {
    struct Convert<'a>(&'a [[u8; 2]], &'a mut [f32]);
    impl Kernel for Convert<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            const MAX_LANES: usize = 16;
            const { assert!(S::LANES <= MAX_LANES) };
            let Convert(pairs, out) = self;
            let whole = out.len() / S::LANES * S::LANES;
            let ((pairs, last), (out, to)) = (pairs.split_at(whole), out.split_at_mut(whole));
            for (to, from) in out.chunks_exact_mut(S::LANES).zip(pairs.chunks_exact(S::LANES)) {
                // SAFETY: both chunks have `LANES` elements.
                unsafe { s.store(to.as_mut_ptr(), s.load_f16(from.as_ptr())) };
            }
            if !to.is_empty() {
                let mut lanes = [[0; 2]; MAX_LANES];
                lanes[..last.len()].copy_from_slice(last);
                // SAFETY: `lanes` has a pair for each lane, `to` has `to.len()` < `LANES` floats.
                unsafe { s.store_first(to.as_mut_ptr(), to.len(), s.load_f16(lanes.as_ptr())) };
            }
        }
    }
    isa.run(Convert(pairs(bytes, out.len()), out));
}

/// Converts bfloat16, of which `bytes` has little-endian pairs at any alignment, in the bits of
/// [`bf16_to_f32`] on every set.
///
/// ```
/// use sae_kernels::{Isa, convert};
///
/// let mut numbers = [0.0; 2];
/// convert::bf16_to_f32s(Isa::detect(), &[0x80, 0x3f, 0x00, 0xc0], &mut numbers);
/// assert_eq!(numbers, [1.0, -2.0]);
/// ```
///
/// # Panics
/// `bytes` has not two bytes for each number of `out`.
#[track_caller]
pub fn bf16_to_f32s(isa: Isa, bytes: &[u8], out: &mut [f32]) {
    struct Convert<'a>(&'a [[u8; 2]], &'a mut [f32]);
    impl Kernel for Convert<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            for (to, &pair) in self.1.iter_mut().zip(self.0) {
                *to = bf16_to_f32(u16::from_le_bytes(pair));
            }
        }
    }
    isa.run(Convert(pairs(bytes, out.len()), out));
}

/// The pairs of bytes of `len` numbers.
#[track_caller]
fn pairs(bytes: &[u8], len: usize) -> &[[u8; 2]] {
    assert_eq!(Some(bytes.len()), len.checked_mul(2), "two bytes for each number");
    bytes.as_chunks().0
}
