//! Half precision, given as its bits, to single precision.

/// Converts half precision (IEEE 754 binary16), given as its bits, to the same number. A NaN keeps
/// its sign and payload, and a signaling one becomes quiet, as the conversion of IEEE 754 does it.
///
/// ```
/// assert_eq!(sae_kernels::convert::f16_to_f32(0x3e00), 1.5);
/// ```
pub const fn f16_to_f32(bits: u16) -> f32 {
    const INFINITY: u32 = 0x7c00;
    /// The difference of the exponents' biases, as a factor: 2^112.
    const REBIAS: f32 = f32::from_bits((127 + 112) << 23);
    let (sign, rest) = ((bits as u32 & 0x8000) << 16, bits as u32 & 0x7fff);
    let magnitude = match rest {
        // Exact, for subnormal numbers too, which are normal ones in single precision.
        0..INFINITY => (f32::from_bits(rest << 13) * REBIAS).to_bits(),
        INFINITY => 0x7f80_0000,
        _ => 0x7fc0_0000 | (rest & 0x3ff) << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// Converts bfloat16, given as its bits, to the same number: they are the upper half of its bits in
/// single precision. A NaN keeps all of its bits, and a signaling one stays signaling.
///
/// ```
/// assert_eq!(sae_kernels::convert::bf16_to_f32(0x3fc0), 1.5);
/// ```
pub const fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits((bits as u32) << 16)
}
