//! The types of number that files of samples hold.

use std::fmt;

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
    BF16,
    F32,
    F64,
}

impl ElementType {
    pub(crate) const ALL: [Self; 13] = [
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
        Self::BF16,
        Self::F32,
        Self::F64,
    ];

    /// Bytes of an element.
    pub(crate) fn size(self) -> usize {
        use ElementType::*;
        match self {
            Bool | U8 | I8 => 1,
            U16 | I16 | F16 | BF16 => 2,
            U32 | I32 | F32 => 4,
            U64 | I64 | F64 => 8,
        }
    }

    /// Whether all its numbers are whole.
    #[doc(hidden)]
    pub fn is_integer(self) -> bool {
        !matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }

    /// Whether an IDX file may have it.
    #[doc(hidden)]
    pub fn is_idx(self) -> bool {
        use ElementType::*;
        matches!(self, U8 | I8 | I16 | I32 | F32 | F64)
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

/// A type that arrays of samples hold: `bool`, `u8`, `i8`, `u16`, `i16`, `u32`, `i32`, `u64`, `i64`,
/// `f32` or `f64`. ([`Row`](crate::data::Row) also takes [`ElementType::F16`] and
/// [`ElementType::BF16`], which Rust has no stable types for.)
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
