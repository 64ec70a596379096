//! Files of samples written one sample at a time: data that need not be in memory at once.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::data::idx::{self, ElementType};
use crate::data::npy;
use crate::error::{Error, Result};

/// Writes an IDX file or one of NumPy's, a sample at a time.
#[derive(Debug)]
pub struct RowWriter {
    path: PathBuf,
    out: BufWriter<File>,
    /// An element's bytes, if the file has their order turned round.
    turned: Option<usize>,
    /// Bytes still to come.
    left: usize,
    /// A sample in the file's order.
    row: Vec<u8>,
}

impl RowWriter {
    /// Begins an IDX file of the dimensions `dims`, outermost first. A file of that name is
    /// overwritten in place, unless it is mapped by an [`Idx`](crate::data::Idx).
    ///
    /// # Errors
    /// [`Error::Shape`] if `dims` are not 1 to 255 numbers in `1..=u32::MAX`, or more than memory
    /// can address; [`Error::Io`] if the file cannot be written, or is mapped.
    pub fn idx(path: impl AsRef<Path>, kind: ElementType, dims: &[usize]) -> Result<Self> {
        let path = path.as_ref();
        let header = idx::header(path, kind, dims)?;
        Self::begin(path, kind, dims, &header, None)
    }

    /// Begins a NumPy file of the shape `dims`, outermost first, as [`RowWriter::idx`] does.
    ///
    /// # Errors
    /// As for [`RowWriter::idx`]: what is written can be read again.
    pub fn npy(path: impl AsRef<Path>, kind: ElementType, dims: &[usize]) -> Result<Self> {
        let path = path.as_ref();
        idx::header(path, kind, dims)?;
        let turned = (kind.size() > 1).then(|| kind.size());
        Self::begin(path, kind, dims, &npy::header(kind, dims), turned)
    }

    fn begin(
        path: &Path,
        kind: ElementType,
        dims: &[usize],
        header: &[u8],
        turned: Option<usize>,
    ) -> Result<Self> {
        let left = dims.iter().try_fold(kind.size(), |n, &dim| n.checked_mul(dim));
        let left = left.filter(|&n| n <= isize::MAX as usize).ok_or_else(|| {
            let path = path.display();
            Error::Shape(format!("{path}: {dims:?} of {kind} are more than memory can address"))
        })?;
        let mut out = BufWriter::with_capacity(1 << 16, idx::create(path)?);
        out.write_all(header).map_err(|e| Error::io("write", path, e))?;
        Ok(RowWriter { path: path.to_owned(), out, turned, left, row: Vec::new() })
    }

    /// Writes a sample, or any number of whole elements, whose high bytes stand first, as
    /// [`Idx::row_bytes`](crate::data::Idx::row_bytes) gives them.
    ///
    /// # Errors
    /// [`Error::Shape`] if that is more than the dimensions have, or its last element is not whole;
    /// [`Error::Io`] if it cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let whole = bytes.len().is_multiple_of(self.turned.unwrap_or(1));
        if bytes.len() > self.left || !whole {
            return Err(Error::Shape(format!(
                "{}: {} bytes were given where {} are left",
                self.path.display(),
                bytes.len(),
                self.left
            )));
        }
        let written = match self.turned {
            None => self.out.write_all(bytes),
            Some(size) => {
                self.row.clear();
                self.row.extend_from_slice(bytes);
                self.row.chunks_exact_mut(size).for_each(<[u8]>::reverse);
                self.out.write_all(&self.row)
            }
        };
        self.left -= bytes.len();
        written.map_err(|e| Error::io("write", &self.path, e))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`Error::Shape`] if samples are missing; [`Error::Io`] if it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        if self.left > 0 {
            let (path, left) = (self.path.display(), self.left);
            return Err(Error::Shape(format!("{path}: {left} bytes of samples are missing")));
        }
        self.out.flush().map_err(|e| Error::io("write", &self.path, e))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::data::Idx;

    #[test]
    fn rows_make_the_files_that_whole_arrays_make() {
        let path = |name: &str| {
            std::env::temp_dir().join(format!("sae-rows-{}-{name}", std::process::id()))
        };
        let (one, all) = (path("one"), path("all"));
        let values = [1.5f32, -2.0, 3e8, 4.0, f32::MIN_POSITIVE, -0.0];
        let rows = |mut writer: RowWriter| {
            for row in values.chunks(2) {
                let bytes: Vec<u8> = row.iter().flat_map(|x| x.to_be_bytes()).collect();
                writer.write(&bytes).unwrap();
            }
            assert!(writer.write(&[0; 4]).unwrap_err().to_string().contains("0 are left"));
            writer.finish().unwrap();
            fs::read(&one).unwrap()
        };
        idx::write(&all, &[3, 2, 1], &values).unwrap();
        let written = rows(RowWriter::idx(&one, ElementType::F32, &[3, 2, 1]).unwrap());
        assert_eq!(written, fs::read(&all).unwrap());
        let file = Idx::read(&one).unwrap();
        assert_eq!(file.row_bytes(1), [3e8f32.to_be_bytes(), 4f32.to_be_bytes()].concat());
        npy::write(&all, &[3, 2, 1], &values).unwrap();
        let written = rows(RowWriter::npy(&one, ElementType::F32, &[3, 2, 1]).unwrap());
        assert_eq!(written, fs::read(&all).unwrap());

        let mut short = RowWriter::npy(&one, ElementType::I16, &[2]).unwrap();
        assert!(short.write(&[0; 3]).unwrap_err().to_string().contains("3 bytes were given"));
        short.write(&[0; 2]).unwrap();
        assert!(short.finish().unwrap_err().to_string().contains("2 bytes of samples are missing"));
        for dims in [&[][..], &[0], &[1 << 33], &[1 << 31, 1 << 31, 1 << 31]] {
            assert!(matches!(RowWriter::npy(&one, ElementType::U8, dims), Err(Error::Shape(_))));
            assert!(matches!(RowWriter::idx(&one, ElementType::U8, dims), Err(Error::Shape(_))));
        }
        let _ = (fs::remove_file(one), fs::remove_file(all));
    }
}
