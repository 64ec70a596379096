//! Conversion of bytes, as images hold them, and of half precision to numbers.

use crate::simd::{Isa, Kernel, Simd};

/// Scales bytes: `out[i] = (bytes[i] - subtract) / divide`, `divide` not 0, in the same bits on
/// every set.
///
/// # Panics
/// The lengths differ.
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

/// Converts half precision (IEEE 754 binary16), given as its bits, to the same number. A NaN stays one,
/// with its sign and payload.
pub const fn f16_to_f32(bits: u16) -> f32 {
    const INFINITY: u32 = 0x7c00;
    /// The difference of the exponents' biases, as a factor: 2^112.
    const REBIAS: f32 = f32::from_bits((127 + 112) << 23);
    let (sign, rest) = ((bits as u32 & 0x8000) << 16, bits as u32 & 0x7fff);
    let magnitude = match rest < INFINITY {
        // Exact, for subnormal numbers too, which are normal ones in single precision.
        true => (f32::from_bits(rest << 13) * REBIAS).to_bits(),
        false => 0x7f80_0000 | (rest & 0x3ff) << 13,
    };
    f32::from_bits(sign | magnitude)
}
