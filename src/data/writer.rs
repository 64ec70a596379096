//! Writing files of samples, whole or some elements at a time.

use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::data::array::Array;
use crate::data::element::{Element, ElementType};
use crate::data::header::shape;
use crate::data::{idx, npy};
use crate::error::{Error, Result};

/// Writes `values`, row-major, as an IDX file of the dimensions `dims`, outermost first.
///
/// A file of that name is overwritten in place, unless it is mapped by an [`Array`].
///
/// # Errors
/// [`Error::Shape`] if `dims` are not 1 to 255 numbers from 1 to 2^32 - 1 with the product
/// `values.len()`, or IDX has no such type (nothing is written then); [`Error::Io`] if the file cannot be written, or is
/// mapped.
pub fn write_idx<T: Element>(path: impl AsRef<Path>, dims: &[usize], values: &[T]) -> Result<()> {
    let path = path.as_ref();
    check_count(path, dims, values.len())?;
    RowWriter::idx(path, T::TYPE, dims)?.all(values)
}

/// Writes `values`, row-major, as a NumPy file of the shape `dims`, outermost first, as
/// [`write_idx`] does.
///
/// # Errors
/// As for [`write_idx`]: what is written can be read again.
pub fn write_npy<T: Element>(path: impl AsRef<Path>, dims: &[usize], values: &[T]) -> Result<()> {
    let path = path.as_ref();
    check_count(path, dims, values.len())?;
    RowWriter::npy(path, T::TYPE, dims)?.all(values)
}

fn check_count(path: &Path, dims: &[usize], count: usize) -> Result<()> {
    // What is wrong with the dimensions themselves is said first.
    idx::header(path, ElementType::U8, dims)?;
    if dims.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim)) == Some(count) {
        return Ok(());
    }
    let (path, dims) = (path.display(), shape(dims));
    Err(Error::Shape(format!("{path}: {count} values were given for {dims}")))
}

/// Writes an IDX or NumPy file some elements at a time: data that need not be in memory at once.
#[doc(hidden)]
#[derive(Debug)]
pub struct RowWriter {
    path: PathBuf,
    out: BufWriter<File>,
    element_type: ElementType,
    big_endian: bool,
    /// Elements still to come.
    left: usize,
}

impl RowWriter {
    /// Begins an IDX file of the dimensions `dims`, outermost first. A file of that name is
    /// overwritten in place, unless it is mapped by an [`Array`].
    ///
    /// # Errors
    /// [`Error::Shape`] if `dims` are not 1 to 255 numbers from 1 to 2^32 - 1, or more than memory
    /// can address, or IDX has no such type; [`Error::Io`] if the file cannot be written, or is mapped.
    pub fn idx(path: impl AsRef<Path>, element_type: ElementType, dims: &[usize]) -> Result<Self> {
        let path = path.as_ref();
        let header = idx::header(path, element_type, dims)?;
        Self::begin(path, element_type, dims, &header, true)
    }

    /// Begins a NumPy file of the shape `dims`, outermost first, as [`RowWriter::idx`] does.
    ///
    /// # Errors
    /// As for [`RowWriter::idx`]: what is written can be read again.
    pub fn npy(path: impl AsRef<Path>, element_type: ElementType, dims: &[usize]) -> Result<Self> {
        let path = path.as_ref();
        // The dimensions alone are checked: a NumPy file may have any type.
        idx::header(path, ElementType::U8, dims)?;
        let header = npy::header(element_type, dims).ok_or_else(|| {
            let path = path.display();
            Error::Shape(format!(
                "{path}: a NumPy file cannot have elements of type {element_type}"
            ))
        })?;
        Self::begin(path, element_type, dims, &header, false)
    }

    fn begin(
        path: &Path,
        element_type: ElementType,
        dims: &[usize],
        header: &[u8],
        big_endian: bool,
    ) -> Result<Self> {
        let bytes = dims.iter().try_fold(element_type.size(), |n, &dim| n.checked_mul(dim));
        let bytes = bytes.filter(|&n| n <= isize::MAX as usize).ok_or_else(|| {
            let (path, dims) = (path.display(), shape(dims));
            Error::Shape(format!(
                "{path}: {dims} {element_type} elements are more than memory can address"
            ))
        })?;
        let mut out = BufWriter::with_capacity(1 << 16, create(path)?);
        out.write_all(header).map_err(|e| Error::io("write", path, e))?;
        let left = bytes / element_type.size();
        Ok(RowWriter { path: path.to_owned(), out, element_type, big_endian, left })
    }

    /// Writes a sample, or any number of elements.
    ///
    /// # Errors
    /// [`Error::Shape`] if they are of another type than the file's or more than its dimensions
    /// have; [`Error::Io`] if they cannot be written.
    pub fn write<T: Element>(&mut self, values: &[T]) -> Result<()> {
        self.write_bytes(T::TYPE, cfg!(target_endian = "big"), bytemuck::cast_slice(values))
    }

    /// Writes sample `row` of an array.
    ///
    /// # Errors
    /// As for [`RowWriter::write`].
    ///
    /// # Panics
    /// The array has no such sample.
    pub fn copy(&mut self, array: &Array, row: usize) -> Result<()> {
        let row = array.stored(row);
        self.write_bytes(row.element_type(), row.is_big_endian(), row.bytes())
    }

    fn write_bytes(&mut self, kind: ElementType, big_endian: bool, bytes: &[u8]) -> Result<()> {
        let (size, path, left) = (kind.size(), self.path.display(), self.left);
        let count = bytes.len() / size;
        if count > left || kind != self.element_type {
            let expected = self.element_type;
            return Err(Error::Shape(format!(
                "{path}: {count} elements of {kind} were given where {left} of {expected} are left"
            )));
        }
        self.left -= count;
        let written = if size == 1 || big_endian == self.big_endian {
            self.out.write_all(bytes)
        } else {
            bytes.chunks_exact(size).try_for_each(|element| {
                let mut reversed = [0; 8];
                let reversed = &mut reversed[..size];
                reversed.iter_mut().zip(element.iter().rev()).for_each(|(to, &from)| *to = from);
                self.out.write_all(reversed)
            })
        };
        written.map_err(|e| Error::io("write", &self.path, e))
    }

    fn all<T: Element>(mut self, values: &[T]) -> Result<()> {
        self.write(values)?;
        self.finish()
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`Error::Shape`] if elements are missing; [`Error::Io`] if it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        if self.left > 0 {
            let (path, left) = (self.path.display(), self.left);
            return Err(Error::Shape(format!("{path}: {left} elements are missing")));
        }
        self.out.flush().map_err(|e| Error::io("write", &self.path, e))
    }
}

/// Opens a file to write it from its beginning, unless it is mapped by an [`Array`].
fn create(path: &Path) -> Result<File> {
    let wrong = |e| Error::io("create", path, e);
    let file = File::options().write(true).create(true).truncate(false).open(path);
    let file = file.map_err(wrong)?;
    // What another thread wrote may be held a moment longer by a process just started.
    let held = |_: &u32| {
        let held = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        if held {
            thread::sleep(Duration::from_millis(5));
        }
        held
    };
    if (0..50).take_while(held).count() == 50 {
        let problem = "it is mapped, by a training perhaps; another name was expected";
        return Err(wrong(io::Error::new(io::ErrorKind::ResourceBusy, problem)));
    }
    // A device has no length.
    let _ = file.set_len(0);
    Ok(file)
}
