//! Half precision to `f32`: every value against the scalar functions on every set, and those
//! against the definition of the formats.

use std::panic::catch_unwind;

use sae_kernels::Isa;
use sae_kernels::convert::{bf16_to_f32, bf16_to_f32s, f16_to_f32, f16_to_f32s};

use crate::common::{self, CANARY, Guard, Guarded, Random};

/// A format of 16 bits: how it is converted, and what its bits are.
struct Format {
    name: &'static str,
    scalar: fn(u16) -> f32,
    slices: fn(Isa, &[u8], &mut [f32]),
    /// Bits of the significand without the leading one.
    fraction_bits: u32,
    bias: i32,
    /// Whether a signaling NaN becomes quiet.
    quiets: bool,
}

const F16: Format = Format {
    name: "f16",
    scalar: f16_to_f32,
    slices: f16_to_f32s,
    fraction_bits: 10,
    bias: 15,
    quiets: true,
};
const BF16: Format = Format {
    name: "bf16",
    scalar: bf16_to_f32,
    slices: bf16_to_f32s,
    fraction_bits: 7,
    bias: 127,
    quiets: false,
};

/// All values; under Miri some, with each exponent and either sign.
fn every_value() -> impl Iterator<Item = u16> {
    (0..=u16::MAX).step_by(if cfg!(miri) { 61 } else { 1 })
}

/// 2^n, put together from its bits.
fn power_of_two(n: i32) -> f64 {
    f64::from_bits(((1023 + n) as u64) << 52)
}

/// The number of these bits, by the definition of the format.
fn definition(format: &Format, bits: u16) -> f32 {
    let all_ones = (1 << (15 - format.fraction_bits)) - 1;
    let exponent = i32::from(bits & 0x7fff) >> format.fraction_bits;
    let fraction = u32::from(bits) & ((1 << format.fraction_bits) - 1);
    let part = f64::from(fraction) / f64::from(1 << format.fraction_bits);
    let magnitude = match exponent {
        0 => power_of_two(1 - format.bias) * part,
        exponent if exponent < all_ones => power_of_two(exponent - format.bias) * (1.0 + part),
        _ if fraction == 0 => f64::INFINITY,
        _ => {
            // The payload's highest bit, which marks a quiet NaN, stays the highest.
            let payload = fraction << (23 - format.fraction_bits);
            let quiet = if format.quiets { 1 << 22 } else { 0 };
            let sign = u32::from(bits >> 15) << 31;
            return f32::from_bits(sign | 0x7f80_0000 | payload | quiet);
        }
    };
    // Exact: all these numbers are also in single precision.
    (if bits >> 15 == 1 { -magnitude } else { magnitude }) as f32
}

/// The bytes of some values, `lead` bytes behind the beginning of a page.
fn bytes_at(lead: usize, values: &[u16]) -> Guarded<u8> {
    let mut bytes = Guarded::filled(lead + 2 * values.len(), 0xa5, Guard::Before);
    let pairs = bytes[lead..].chunks_exact_mut(2);
    pairs.zip(values).for_each(|(pair, value)| pair.copy_from_slice(&value.to_le_bytes()));
    bytes
}

/// Converts the values on every set, from addresses that are and are not multiples of 2, 4 and 8,
/// and compares with the scalar function.
fn check(format: &Format, values: &[u16]) {
    let want: Vec<f32> = values.iter().map(|&bits| (format.scalar)(bits)).collect();
    for lead in [0, 1, 2, 3, 5] {
        let bytes = bytes_at(lead, values);
        for isa in Isa::all() {
            let mut got = common::guarded(&vec![CANARY; values.len()]);
            (format.slices)(isa, &bytes[lead..], &mut got);
            let what = format!("{} on {}, {lead} bytes in", format.name, isa.name());
            common::assert_bits(&what, &got, &want);
        }
    }
}

#[test]
fn scalar_conversions_are_the_definition() {
    for format in [F16, BF16] {
        let (values, want): (Vec<f32>, Vec<f32>) =
            every_value().map(|bits| ((format.scalar)(bits), definition(&format, bits))).unzip();
        common::assert_bits(format.name, &values, &want);
    }
}

/// Values that anybody can look up.
#[test]
fn known_values() {
    let cases = [
        (0x0000, 0x0000_0000),
        (0x8000, 0x8000_0000),
        (0x0001, 0x3380_0000),
        (0x03ff, 0x387f_c000),
        (0x0400, 0x3880_0000),
        (0x3555, 0x3eaa_a000),
        (0x3c00, 0x3f80_0000),
        (0xc000, 0xc000_0000),
        (0x7bff, 0x477f_e000),
        (0x7c00, 0x7f80_0000),
        (0xfc00, 0xff80_0000),
        (0x7c01, 0x7fc0_2000),
        (0x7e00, 0x7fc0_0000),
        (0xffff, 0xffff_e000),
    ];
    for (bits, want) in cases {
        assert_eq!(f16_to_f32(bits).to_bits(), want, "f16 {bits:#06x}");
    }
    for (bits, want) in [(0x3f80, 1.0), (0xc049, -3.140_625), (0x0001, 9.183_55e-41)] {
        assert_eq!(bf16_to_f32(bits), want, "bf16 {bits:#06x}");
    }
    const { assert!(f16_to_f32(0x3c00) == bf16_to_f32(0x3f80)) };
}

#[test]
fn every_value_on_every_set() {
    let values: Vec<u16> = every_value().collect();
    for format in [F16, BF16] {
        check(&format, &values);
    }
}

/// Every kind of value stands in every lane, and in the rest behind whole vectors.
#[test]
fn slices_of_every_length() {
    let mut random = Random(12);
    for len in 0..=if cfg!(miri) { 19 } else { 70 } {
        let values: Vec<u16> = (0..len).map(|_| random.bits() as u16).collect();
        for format in [F16, BF16] {
            check(&format, &values);
        }
    }
    // Signaling NaNs, subnormal numbers, zeros and infinities, each alone among ones.
    let one = |format: &Format| (format.bias as u16) << format.fraction_bits;
    for format in [F16, BF16] {
        for special in [0x7f81, 0xff81, 0x7c01, 0xfd55, 0x0001, 0x8001, 0x8000, 0x7c00, 0x7f80] {
            for at in 0..if cfg!(miri) { 9 } else { 35 } {
                let mut values = [one(&format); 35];
                values[at] = special;
                check(&format, &values);
            }
        }
    }
}

#[test]
fn lengths_that_differ() {
    for format in [F16, BF16] {
        for isa in Isa::all() {
            for (bytes, numbers) in [(0, 1), (1, 0), (2, 0), (5, 2), (5, 3), (32, 32), (64, 16)] {
                let convert = || {
                    let mut out = vec![0.0; numbers];
                    (format.slices)(isa, &vec![0; bytes], &mut out);
                };
                let what = format!("{} on {}: {bytes}, {numbers}", format.name, isa.name());
                let panic = catch_unwind(convert).expect_err(&what);
                let message = panic.downcast_ref::<String>().expect("a message");
                assert!(message.contains("two bytes for each number"), "{what}: {message}");
            }
        }
    }
}
