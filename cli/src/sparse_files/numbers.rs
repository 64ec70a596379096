//! The numbers of a file of sparse codes.

use std::io::{self, ErrorKind, Read, Write};

use crate::output::counted;

/// What a file has.
pub struct Matrix {
    pub indptr: Vec<u64>,
    pub indices: Vec<u32>,
    pub values: Vec<f32>,
    /// Samples and units.
    pub shape: [usize; 2],
}

/// The types of numbers in these files, little-endian.
#[derive(Clone, Copy)]
pub enum Kind {
    I32,
    I64,
    U32,
    U64,
    F32,
    F64,
}

impl Kind {
    /// Bytes of a number.
    pub fn size(self) -> usize {
        match self {
            Kind::I32 | Kind::U32 | Kind::F32 => 4,
            Kind::I64 | Kind::U64 | Kind::F64 => 8,
        }
    }
}

/// Bytes that are read or written at a time: a whole number of numbers of any type.
const BLOCK: usize = 1 << 16;

/// Writes whole numbers as numbers of a type that has them.
pub fn write_indices(
    out: &mut dyn Write,
    numbers: impl Iterator<Item = u64>,
    kind: Kind,
) -> io::Result<()> {
    match kind {
        Kind::I32 | Kind::U32 => {
            write_all(out, numbers.map(|number| (number as u32).to_le_bytes()))
        }
        _ => write_all(out, numbers.map(u64::to_le_bytes)),
    }
}

/// Writes activations.
pub fn write_values(out: &mut dyn Write, values: &[f32]) -> io::Result<()> {
    write_all(out, values.iter().map(|value| value.to_le_bytes()))
}

fn write_all<const N: usize>(
    out: &mut dyn Write,
    numbers: impl Iterator<Item = [u8; N]>,
) -> io::Result<()> {
    let mut block = Vec::with_capacity(BLOCK);
    for number in numbers {
        block.extend(number);
        if block.len() == BLOCK {
            out.write_all(&block)?;
            block.clear();
        }
    }
    out.write_all(&block)
}

/// A number of any type.
#[derive(Clone, Copy)]
pub enum Number {
    Whole(i128),
    Float(f64),
}

/// Reads `count` numbers of a type. Memory grows with what arrives.
pub fn read_numbers<T>(
    mut from: impl Read,
    count: usize,
    kind: Kind,
    convert: impl Fn(Number) -> std::result::Result<T, String>,
) -> std::result::Result<Vec<T>, String> {
    let mut block = vec![0; BLOCK];
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let bytes = &mut block[..((count - numbers.len()).saturating_mul(kind.size())).min(BLOCK)];
        from.read_exact(bytes).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => format!("cut off; expected {}", counted(count, "number")),
            _ => e.to_string(),
        })?;
        let fits = numbers.try_reserve(bytes.len() / kind.size());
        fits.map_err(|_| format!("{count} numbers do not fit in memory"))?;
        for bytes in bytes.chunks_exact(kind.size()) {
            numbers.push(convert(number(bytes, kind))?);
        }
    }
    Ok(numbers)
}

/// The number with these bytes, as many as the type has.
fn number(bytes: &[u8], kind: Kind) -> Number {
    let mut eight = [0; 8];
    eight[..bytes.len()].copy_from_slice(bytes);
    let (wide, narrow) = (u64::from_le_bytes(eight), u64::from_le_bytes(eight) as u32);
    match kind {
        Kind::I32 => Number::Whole(i128::from(narrow.cast_signed())),
        Kind::I64 => Number::Whole(i128::from(wide.cast_signed())),
        Kind::U32 => Number::Whole(i128::from(narrow)),
        Kind::U64 => Number::Whole(i128::from(wide)),
        Kind::F32 => Number::Float(f64::from(f32::from_bits(narrow))),
        Kind::F64 => Number::Float(f64::from_bits(wide)),
    }
}

/// A number as a place or a unit.
pub fn index<T: TryFrom<i128>>(number: Number) -> std::result::Result<T, String> {
    match number {
        Number::Whole(number) => T::try_from(number)
            .map_err(|_| format!("{number} is out of range; expected whole numbers from 0")),
        Number::Float(number) => Err(format!("{number} is a float; expected whole numbers")),
    }
}

/// A number as an activation.
pub fn value(number: Number) -> std::result::Result<f32, String> {
    match number {
        Number::Whole(number) => Ok(number as f32),
        Number::Float(number) => Ok(number as f32),
    }
}
