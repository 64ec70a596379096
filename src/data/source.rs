//! Where samples come from: rows of numbers, one for each sample.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use crate::data::element::ElementType;
use crate::data::row::Row;
use crate::error::{Error, Result, counted};

/// Rows of numbers, one for each sample, all of one length.
///
/// Arrays and sets of files are such sources. Others, of a database or a network store for example,
/// need [`Source::samples`], [`Source::features`] and [`Source::row`]; a training then gathers its
/// batches some steps ahead, on a thread of its own, so that a row may take its time.
///
/// ```
/// use sae::data::{Row, Source};
///
/// /// Points on a circle, computed when they are needed.
/// #[derive(Debug)]
/// struct Circle;
///
/// impl Source for Circle {
///     fn samples(&self) -> usize {
///         1000
///     }
///
///     fn features(&self) -> usize {
///         2
///     }
///
///     fn row<'a>(&'a self, row: usize, memory: &'a mut Vec<f32>) -> sae::Result<Row<'a>> {
///         let angle = row as f32 / 1000.0 * std::f32::consts::TAU;
///         memory.clear();
///         memory.extend([angle.cos(), angle.sin()]);
///         Ok(Row::new(&memory[..]))
///     }
/// }
///
/// let samples = sae::Samples::new(Circle, sae::Scaling::AsIs);
/// let mut first = [0.0; 2];
/// samples.gather(0, &mut first)?;
/// assert_eq!(first, [1.0, 0.0]);
/// # Ok::<(), sae::Error>(())
/// ```
pub trait Source: fmt::Debug + Send + Sync {
    /// How many rows there are.
    fn samples(&self) -> usize;

    /// How many numbers a row has.
    fn features(&self) -> usize;

    /// A row's numbers. They are where the source has them in memory, or else the source writes them to
    /// `memory`, whose content means nothing before and which serves row after row.
    ///
    /// The same row always has the same numbers. Called by several threads at a time.
    ///
    /// # Errors
    /// The row cannot be read.
    ///
    /// # Panics
    /// There is no such row.
    fn row<'a>(&'a self, row: usize, memory: &'a mut Vec<f32>) -> Result<Row<'a>>;

    /// Brings a row, which will be read within microseconds, to the cache. Does nothing by default.
    fn prefetch(&self, row: usize) {
        let _ = row;
    }

    /// Asks for rows that will be read some batches later, such as of the disk, without waiting for them.
    /// Does nothing by default.
    fn read_ahead(&self, rows: Range<usize>) {
        let _ = rows;
    }

    /// Says that from now on rows are read in random order, most of them after they were asked for with
    /// [`Source::read_ahead`]: their neighbors need not be read with them. Does nothing by default.
    fn expect_random(&self) {}

    /// Bytes of memory with which reading rows never waits: those of mapped files and of numbers in
    /// memory. `None`, the default, if reading may always wait.
    fn resident_bytes(&self) -> Option<u64> {
        None
    }

    /// The type of the numbers, if it is one for all rows.
    fn element_type(&self) -> Option<ElementType> {
        None
    }

    /// What the dimensions of a row are, such as `[28, 28]`; none if it has only one.
    fn row_dims(&self) -> &[usize] {
        &[]
    }

    /// The file that a row is from, if any, and its number there.
    #[doc(hidden)]
    fn place(&self, row: usize) -> (PathBuf, usize) {
        (PathBuf::new(), row)
    }

    /// Checks that the rows are still as they were when the source was opened; a training does at the end
    /// of every epoch. `Ok` by default.
    ///
    /// # Errors
    /// They are not: a file has changed.
    fn unchanged(&self) -> Result<()> {
        Ok(())
    }
}

/// How many samples these numbers are.
///
/// # Errors
/// [`Error::Shape`] unless they are one or more whole ones.
pub(crate) fn whole_samples(numbers: usize, features: usize) -> Result<usize> {
    match numbers.checked_div(features) {
        Some(samples) if samples > 0 && samples * features == numbers => Ok(samples),
        _ => Err(Error::Shape(format!(
            "{numbers} numbers are not one or more samples of {features} features"
        ))),
    }
}

impl dyn Source + '_ {
    /// A row, which has as many numbers as the source says.
    pub(crate) fn whole_row<'a>(&'a self, row: usize, memory: &'a mut Vec<f32>) -> Result<Row<'a>> {
        let (stored, expected) = (self.row(row, memory)?, self.features());
        let have = stored.len();
        if have != expected {
            return Err(self.wrong(row, |row| {
                format!(
                    "sample {row} has {}; expected {expected}, as in the others",
                    counted(have, "number")
                )
            }));
        }
        Ok(stored)
    }

    /// The error for a row's number that is not what was expected.
    pub(crate) fn refused(
        &self,
        row: usize,
        (feature, number, element_type): (usize, f64, ElementType),
        problem: &str,
    ) -> Error {
        use ElementType::{BF16, F16, F32};
        let is_short = matches!(element_type, F16 | BF16 | F32);
        let shown = match number.abs() {
            size if size.is_normal() && !(1e-5..1e16).contains(&size) => match is_short {
                true => format!("{:e}", number as f32),
                false => format!("{number:e}"),
            },
            _ if is_short => format!("{}", number as f32),
            _ => format!("{number}"),
        };
        self.wrong(row, |row| format!("sample {row}, feature {feature} is {shown}{problem}"))
    }

    /// An error about a row, by its number in its file, that names the file if there is one.
    pub(crate) fn wrong(&self, row: usize, problem: impl FnOnce(usize) -> String) -> Error {
        let (path, row) = self.place(row);
        match path.as_os_str().is_empty() {
            true => Error::Shape(problem(row)),
            false => Error::format(&path, None, problem(row)),
        }
    }
}
