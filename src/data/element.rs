//! The types of number that files of samples hold.

use std::fmt;

use sae_kernels::convert::f16_to_f32;

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say all
#[non_exhaustive]
pub enum ElementType {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
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
            ElementType::F32 => $convert!(b => f32::from_le_bytes(b)),
            ElementType::F64 => $convert!(b => f64::from_le_bytes(b)),
        }
    };
}

impl ElementType {
    pub(crate) const ALL: [Self; 12] = [
        Self::Bool,
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::U64,
        Self::I64,
        Self::F16,
        Self::F32,
        Self::F64,
    ];

    /// Bytes of an element.
    pub(crate) fn size(self) -> usize {
        use ElementType::*;
        match self {
            Bool | U8 | I8 => 1,
            U16 | I16 | F16 => 2,
            U32 | I32 | F32 => 4,
            U64 | I64 | F64 => 8,
        }
    }

    /// Whether all its numbers are whole.
    #[doc(hidden)]
    pub fn is_integer(self) -> bool {
        !matches!(self, Self::F16 | Self::F32 | Self::F64)
    }

    /// Whether an IDX file may have it.
    #[doc(hidden)]
    pub fn is_idx(self) -> bool {
        use ElementType::*;
        matches!(self, U8 | I8 | I16 | I32 | F32 | F64)
    }

    /// Converts `out.len()` elements to the nearest `f32` (beyond its range: infinity).
    pub(crate) fn convert(self, bytes: &[u8], big_endian: bool, out: &mut [f32]) {
        macro_rules! nearest {
            ($bytes:pat => $number:expr) => {
                convert(bytes, big_endian, out, |_, $bytes| $number as f32)
            };
        }
        by_type!(self, nearest)
    }

    /// Sets each `out[i]` to `f(i, element i)`, where the element is the nearest `f64`: itself, but
    /// for integers beyond 2^53.
    #[inline]
    pub(crate) fn map<T>(
        self,
        bytes: &[u8],
        big_endian: bool,
        out: &mut [T],
        f: impl Fn(usize, f64) -> T,
    ) {
        macro_rules! mapped {
            ($bytes:pat => $number:expr) => {
                convert(bytes, big_endian, out, |i, $bytes| f(i, $number as f64))
            };
        }
        by_type!(self, mapped)
    }

    /// An element, if it is an integer that no `f64` is.
    pub(crate) fn inexact(self, bytes: &[u8], big_endian: bool) -> Option<i128> {
        let &[bytes] = bytes.as_chunks::<8>().0 else { return None };
        let bits = if big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) };
        let integer = match self {
            Self::I64 => i128::from(bits as i64),
            Self::U64 => i128::from(bits),
            _ => return None,
        };
        (integer as f64 as i128 != integer).then_some(integer)
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

#[inline]
fn convert<const N: usize, T>(
    bytes: &[u8],
    big_endian: bool,
    out: &mut [T],
    number: impl Fn(usize, [u8; N]) -> T,
) {
    let pairs = out.iter_mut().zip(bytes.as_chunks::<N>().0).enumerate();
    // Two loops, so that each is vectorized.
    if big_endian {
        pairs.for_each(|(i, (out, &bytes))| {
            let mut bytes = bytes;
            bytes.reverse();
            *out = number(i, bytes);
        });
    } else {
        pairs.for_each(|(i, (out, &bytes))| *out = number(i, bytes));
    }
}

/// A type that arrays of samples hold: `bool`, `u8`, `i8`, `u16`, `i16`, `u32`, `i32`, `u64`, `i64`,
/// `f32` or `f64`. (Files may also hold [`ElementType::F16`], which Rust has no stable type for.)
pub trait Element: sealed::Element {
    /// The name of the type.
    #[doc(hidden)]
    const TYPE: ElementType;
}

mod sealed {
    pub trait Element: bytemuck::NoUninit + Send + Sync {}
}

macro_rules! elements {
    ($($number:ident $name:ident),*) => { $(
        impl Element for $number {
            const TYPE: ElementType = ElementType::$name;
        }
        impl sealed::Element for $number {}
    )* };
}
elements!(
    bool Bool, u8 U8, i8 I8, u16 U16, i16 I16, u32 U32, i32 I32, u64 U64, i64 I64, f32 F32, f64 F64
);
