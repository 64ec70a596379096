//! The numbers of one sample, as they are stored, and their conversion.

use sae_kernels::Isa;
use sae_kernels::convert::{self, bf16_to_f32, f16_to_f32};
use sae_kernels::simd::{Kernel, Simd};

use crate::data::element::{Element, ElementType};

/// The numbers of a sample, in memory, of the type that they are stored in.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    bytes: &'a [u8],
    element_type: ElementType,
    big_endian: bool,
}

/// Invokes a macro with how an element of the type becomes a number: `bytes => number`.
macro_rules! by_type {
    ($element_type:expr, $convert:ident) => {
        match $element_type {
            ElementType::Bool => $convert!([b] => u8::from(b != 0)),
            ElementType::U8 => $convert!([b] => b),
            ElementType::I8 => $convert!(b => i8::from_le_bytes(b)),
            ElementType::U16 => $convert!(b => u16::from_le_bytes(b)),
            ElementType::I16 => $convert!(b => i16::from_le_bytes(b)),
            ElementType::U32 => $convert!(b => u32::from_le_bytes(b)),
            ElementType::I32 => $convert!(b => i32::from_le_bytes(b)),
            ElementType::U64 => $convert!(b => u64::from_le_bytes(b)),
            ElementType::I64 => $convert!(b => i64::from_le_bytes(b)),
            ElementType::F16 => $convert!(b => f16_to_f32(u16::from_le_bytes(b))),
            ElementType::BF16 => $convert!(b => bf16_to_f32(u16::from_le_bytes(b))),
            ElementType::F32 => $convert!(b => f32::from_le_bytes(b)),
            ElementType::F64 => $convert!(b => f64::from_le_bytes(b)),
        }
    };
}

impl<'a> Row<'a> {
    /// Takes numbers of one of Rust's types.
    pub fn new<T: Element>(numbers: &'a [T]) -> Self {
        let bytes = bytemuck::cast_slice(numbers);
        Row { bytes, element_type: T::TYPE, big_endian: cfg!(target_endian = "big") }
    }

    /// Takes the bytes of numbers of any type, low byte first or, if `big_endian`, high byte first.
    ///
    /// # Panics
    /// The bytes are no whole numbers.
    pub fn from_bytes(bytes: &'a [u8], element_type: ElementType, big_endian: bool) -> Self {
        let size = element_type.size();
        let length = bytes.len();
        assert!(length.is_multiple_of(size), "{length} bytes are no numbers of {size} bytes");
        Row { bytes, element_type, big_endian }
    }

    /// Brings the numbers to the cache, without waiting for them: for a [`Source`](crate::data::Source)
    /// of numbers in memory, whose `prefetch` is this.
    pub fn prefetch(self) {
        convert::prefetch(self.bytes);
    }

    /// How many numbers there are.
    pub(crate) fn len(self) -> usize {
        self.bytes.len() / self.element_type.size()
    }

    pub(crate) fn element_type(self) -> ElementType {
        self.element_type
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn is_big_endian(self) -> bool {
        self.big_endian
    }

    /// Converts the numbers to the nearest `f32` (beyond its range: infinity).
    pub(crate) fn to_f32(self, isa: Isa, out: &mut [f32]) {
        let Row { bytes, element_type, big_endian } = self;
        match element_type {
            ElementType::F16 if !big_endian => return convert::f16_to_f32s(isa, bytes, out),
            ElementType::BF16 if !big_endian => return convert::bf16_to_f32s(isa, bytes, out),
            ElementType::U8 => return convert::scale_bytes(isa, bytes, 0.0, 1.0, out),
            _ => {}
        }
        macro_rules! nearest {
            ($bytes:pat => $number:expr) => {
                isa.run(Map { bytes, big_endian, out, number: |_, $bytes| $number as f32 })
            };
        }
        by_type!(element_type, nearest)
    }

    /// Sets each `out[i]` to `f(i, number i)`, where the number is the nearest `f64`: itself, but for
    /// integers beyond 2^53.
    #[inline]
    pub(crate) fn map<T>(self, isa: Isa, out: &mut [T], f: impl Fn(usize, f64) -> T) {
        let Row { bytes, element_type, big_endian } = self;
        macro_rules! mapped {
            ($bytes:pat => $number:expr) => {
                isa.run(Map { bytes, big_endian, out, number: |i, $bytes| f(i, $number as f64) })
            };
        }
        by_type!(element_type, mapped)
    }

    /// One of the numbers.
    pub(crate) fn number(self, at: usize) -> f64 {
        let size = self.element_type.size();
        let mut number = [0.0];
        let one = Row { bytes: &self.bytes[at * size..][..size], ..self };
        one.map(Isa::detect(), &mut number, |_, number| number);
        number[0]
    }

    /// The numbers that are integers which no `f64` is, with their places.
    pub(crate) fn inexact(self) -> impl Iterator<Item = (usize, i128)> {
        let elements = self.bytes.chunks_exact(self.element_type.size()).enumerate();
        elements.filter_map(move |(at, bytes)| {
            Some((at, self.element_type.inexact(bytes, self.big_endian)?))
        })
    }
}

/// Sets each `out[i]` to `number(i, element i)` of elements of `N` bytes, low byte first; compiled for
/// each instruction set.
struct Map<'a, const N: usize, T, F: Fn(usize, [u8; N]) -> T> {
    bytes: &'a [u8],
    big_endian: bool,
    out: &'a mut [T],
    number: F,
}

impl<const N: usize, T, F: Fn(usize, [u8; N]) -> T> Kernel for Map<'_, N, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Map { bytes, big_endian, out, number } = self;
        let pairs = out.iter_mut().zip(bytes.as_chunks::<N>().0).enumerate();
        // Two loops, so that each is vectorized.
        if big_endian {
            for (i, (out, &bytes)) in pairs {
                let mut bytes = bytes;
                bytes.reverse();
                *out = number(i, bytes);
            }
        } else {
            for (i, (out, &bytes)) in pairs {
                *out = number(i, bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefetch_changes_nothing() {
        let numbers = [1.0f32, -2.5, 3.0];
        for length in 0..=3 {
            let row = Row::new(&numbers[..length]);
            row.prefetch();
            let mut out = vec![0.0; length];
            row.to_f32(Isa::detect(), &mut out);
            assert_eq!(out, numbers[..length]);
        }
    }
}
