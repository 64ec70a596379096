//! The types of number that files of samples hold.

use std::fmt;

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say all
pub enum ElementType {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl ElementType {
    pub(crate) const ALL: [Self; 6] =
        [Self::U8, Self::I8, Self::I16, Self::I32, Self::F32, Self::F64];

    /// Bytes of an element.
    pub(crate) fn size(self) -> usize {
        use ElementType::*;
        match self {
            U8 | I8 => 1,
            I16 => 2,
            I32 | F32 => 4,
            F64 => 8,
        }
    }

    /// Converts `out.len()` elements to the nearest `f32` (beyond its range: infinity).
    pub(crate) fn convert(self, bytes: &[u8], big_endian: bool, out: &mut [f32]) {
        match self {
            ElementType::U8 => convert(bytes, big_endian, out, |[b]| f32::from(b)),
            ElementType::I8 => convert(bytes, big_endian, out, |b| f32::from(i8::from_le_bytes(b))),
            ElementType::I16 => {
                convert(bytes, big_endian, out, |b| f32::from(i16::from_le_bytes(b)))
            }
            ElementType::I32 => convert(bytes, big_endian, out, |b| i32::from_le_bytes(b) as f32),
            ElementType::F32 => convert(bytes, big_endian, out, f32::from_le_bytes),
            ElementType::F64 => convert(bytes, big_endian, out, |b| f64::from_le_bytes(b) as f32),
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

fn convert<const N: usize>(
    bytes: &[u8],
    big_endian: bool,
    out: &mut [f32],
    number: impl Fn([u8; N]) -> f32,
) {
    let pairs = out.iter_mut().zip(bytes.as_chunks::<N>().0);
    // Two loops, so that each is vectorized.
    if big_endian {
        pairs.for_each(|(out, &bytes)| {
            let mut bytes = bytes;
            bytes.reverse();
            *out = number(bytes);
        });
    } else {
        pairs.for_each(|(out, &bytes)| *out = number(bytes));
    }
}

/// A type that files of samples hold: `u8`, `i8`, `i16`, `i32`, `f32` or `f64`.
pub trait Element: sealed::Element {
    /// The name of the type.
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
elements!(u8 U8, i8 I8, i16 I16, i32 I32, f32 F32, f64 F64);
