//! Numbers of the smallest type that has all of them.

use std::io;

use super::problem::{Error, Result};

/// Numbers of the smallest type that has all of them: whole numbers from 0 to 255, then those that
/// `f32` has exactly.
#[derive(Debug, PartialEq)]
pub enum Numbers {
    U8(Vec<u8>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Numbers {
    /// Makes room for `more` numbers.
    pub fn reserve(&mut self, more: usize) -> Result<()> {
        match self {
            Numbers::U8(numbers) => reserve(numbers, more),
            Numbers::F32(numbers) => reserve(numbers, more),
            Numbers::F64(numbers) => reserve(numbers, more),
        }
    }

    /// Adds a number, for which there is room, and changes to a type that has it.
    pub fn push(&mut self, number: f64) -> Result<()> {
        match self {
            Numbers::U8(numbers) if f64::from(number as u8) == number => numbers.push(number as u8),
            Numbers::F32(numbers) if f64::from(number as f32) == number => {
                numbers.push(number as f32);
            }
            Numbers::F64(numbers) => numbers.push(number),
            Numbers::U8(numbers) if f64::from(number as f32) == number => {
                *self = Numbers::F32(converted(numbers)?);
                return self.push(number);
            }
            Numbers::U8(numbers) => {
                *self = Numbers::F64(converted(numbers)?);
                return self.push(number);
            }
            Numbers::F32(numbers) => {
                *self = Numbers::F64(converted(numbers)?);
                return self.push(number);
            }
        }
        Ok(())
    }

    /// Gives back what memory is left over.
    pub fn finish(mut self) -> Self {
        match &mut self {
            Numbers::U8(numbers) => numbers.shrink_to_fit(),
            Numbers::F32(numbers) => numbers.shrink_to_fit(),
            Numbers::F64(numbers) => numbers.shrink_to_fit(),
        }
        self
    }
}

/// Makes room, a quarter at a time: the old numbers and the new room are there at once.
fn reserve<T>(numbers: &mut Vec<T>, more: usize) -> Result<()> {
    if numbers.capacity() - numbers.len() >= more {
        return Ok(());
    }
    let more = more.max(numbers.len() / 4).max(1 << 10);
    numbers.try_reserve_exact(more).map_err(|_| out_of_memory())
}

/// The same numbers in another type.
fn converted<T: Copy, U: From<T>>(numbers: &[T]) -> Result<Vec<U>> {
    let mut other = Vec::new();
    other.try_reserve_exact(numbers.len()).map_err(|_| out_of_memory())?;
    other.extend(numbers.iter().map(|&number| U::from(number)));
    Ok(other)
}

fn out_of_memory() -> Error {
    Error::Read(io::Error::from(io::ErrorKind::OutOfMemory))
}
