//! SciPy's `.npz` of a sparse matrix, as `scipy.sparse.save_npz` writes it and `load_npz` reads it: a ZIP
//! archive of NumPy's files `indices`, `indptr`, `format`, `shape` and `data`.

use std::fs::File;
use std::io::{self, Read, Write};

use sae::files::npz::{Array, Reader, Writer};

use super::numbers::{Kind, Matrix, Number, index, read_numbers, value, write_indices};
use super::spool::Spool;
use crate::output::counted;

/// Writes codes, uncompressed.
pub fn write(out: impl Write, codes: &mut Spool) -> io::Result<()> {
    let kind = codes.kind_of_indices();
    let descr = if let Kind::I32 = kind { "<i4" } else { "<i8" };
    let (samples, entries) = (codes.samples(), codes.entries());
    let shape = [samples as u64, codes.units as u64];
    let mut archive = Writer::new(out);
    archive.array("indices", descr, &format!("({entries},)"), |out| codes.write_indices(out))?;
    archive.array("indptr", descr, &format!("({},)", samples + 1), |out| {
        write_indices(out, codes.indptr.iter().copied(), kind)
    })?;
    archive.array("format", "|S3", "()", |out| out.write_all(b"csr"))?;
    archive
        .array("shape", "<i8", "(2,)", |out| write_indices(out, shape.into_iter(), Kind::I64))?;
    archive.array("data", "<f4", &format!("({entries},)"), |out| codes.write_values(out))?;
    archive.finish()
}

/// A result whose error is a sentence.
type Checked<T> = std::result::Result<T, String>;

/// Reads a matrix, compressed or not.
pub fn read(file: File) -> Checked<Matrix> {
    let members = Members::open(file)?;
    let format = members.read("format", |from, array| {
        let mut text = String::new();
        from.take(64).read_to_string(&mut text).map_err(|e| e.to_string())?;
        match array.descr.starts_with(['|', '<']) {
            true => Ok(text.replace('\0', "")),
            false => Err(format!("elements are '{}'; expected a text", array.descr)),
        }
    })?;
    if format != "csr" {
        return Err(format!("a matrix in the format {format}; expected csr (matrix.tocsr())"));
    }
    let shape: Vec<usize> = members.numbers("shape", 2, index)?;
    let shape = <[usize; 2]>::try_from(shape)
        .map_err(|shape| format!("a matrix of shape {shape:?}; expected [samples, units]"))?;
    // No member is read that has more numbers than the one before says.
    let indptr: Vec<u64> = members.numbers("indptr", shape[0].saturating_add(1), index)?;
    let entries = indptr.last().map_or(0, |&end| usize::try_from(end).unwrap_or(usize::MAX));
    let indices = members.numbers("indices", entries, index)?;
    let values = members.numbers("data", entries, value)?;
    Ok(Matrix { indptr, indices, values, shape })
}

/// The arrays of an archive, by name.
struct Members(Reader);

impl Members {
    fn open(file: File) -> Checked<Self> {
        Ok(Members(Reader::open(file)?))
    }

    /// Reads a vector of as many numbers as are expected.
    fn numbers<T>(
        &self,
        name: &str,
        expected: usize,
        convert: impl Fn(Number) -> Checked<T>,
    ) -> Checked<Vec<T>> {
        self.read(name, |from, array| {
            let [count] = array.shape[..] else {
                let shape = match array.shape.is_empty() {
                    true => "a single number without dimensions".to_owned(),
                    false => format!("an array of shape {:?}", array.shape),
                };
                return Err(format!("{shape}; expected a vector"));
            };
            if count != expected {
                return Err(format!(
                    "an array of {}; expected {expected}",
                    counted(count, "number")
                ));
            }
            read_numbers(from, count, kind(array)?, convert)
        })
    }

    fn read<T>(
        &self,
        name: &str,
        content: impl FnOnce(&mut dyn Read, &Array) -> Checked<T>,
    ) -> Checked<T> {
        self.0.read(name, content).unwrap_or_else(|| {
            Err(format!(
                "{name}.npy is missing; expected a sparse matrix, as scipy.sparse.save_npz writes it"
            ))
        })
    }
}

fn kind(array: &Array) -> Checked<Kind> {
    Ok(match array.descr.as_str() {
        "<i4" => Kind::I32,
        "<i8" => Kind::I64,
        "<u4" => Kind::U32,
        "<u8" => Kind::U64,
        "<f4" => Kind::F32,
        "<f8" => Kind::F64,
        descr => {
            return Err(format!(
                "elements are '{descr}'; integers and floats of 32 or 64 bits were expected"
            ));
        }
    })
}
