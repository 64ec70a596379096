//! SciPy's `.npz` of a sparse matrix, as `scipy.sparse.save_npz` writes it and `load_npz` reads it: a ZIP
//! archive of NumPy's files `indices`, `indptr`, `format`, `shape` and `data`.

use std::fs::File;
use std::io::{self, Read, Write};

use flate2::read::DeflateDecoder;
use rawzip::time::UtcDateTime;
use rawzip::{
    CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder,
    ZipArchiveWriter,
};
use sae::network::SparseCodes;

use super::numbers::{
    Kind, Matrix, Number, index, read_numbers, value, write_indices, write_values,
};

/// The longest header of a member that is read.
const MAX_HEADER: usize = 1 << 12;

/// 1980, where a ZIP archive's times begin: the same codes give the same bytes.
const EPOCH: i64 = 315_532_800;

/// Writes codes, uncompressed.
pub fn write(out: impl Write, codes: &SparseCodes) -> io::Result<()> {
    let kind = Kind::of_indices(codes);
    let descr = if let Kind::I32 = kind { "<i4" } else { "<i8" };
    let (samples, entries) = (codes.samples(), codes.indices.len());
    let shape = [samples as u64, codes.units as u64];
    let mut archive = ZipArchiveWriter::new(out);
    write_member(&mut archive, "indices", descr, &format!("({entries},)"), |out| {
        write_indices(out, codes.indices.iter().map(|&unit| u64::from(unit)), kind)
    })?;
    write_member(&mut archive, "indptr", descr, &format!("({},)", samples + 1), |out| {
        write_indices(out, codes.indptr.iter().copied(), kind)
    })?;
    write_member(&mut archive, "format", "|S3", "()", |out| out.write_all(b"csr"))?;
    write_member(&mut archive, "shape", "<i8", "(2,)", |out| {
        write_indices(out, shape.into_iter(), Kind::I64)
    })?;
    write_member(&mut archive, "data", "<f4", &format!("({entries},)"), |out| {
        write_values(out, &codes.values)
    })?;
    archive.finish().map_err(as_io)?.flush()
}

fn as_io(error: rawzip::Error) -> io::Error {
    match error.into_kind() {
        rawzip::ErrorKind::IO(error) => error,
        kind => io::Error::other(rawzip::Error::from(kind)),
    }
}

/// Writes an array as a member of the archive.
fn write_member<W: Write>(
    archive: &mut ZipArchiveWriter<W>,
    name: &str,
    descr: &str,
    shape: &str,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let name = format!("{name}.npy");
    let member = archive.new_file(&name).last_modified(UtcDateTime::from_unix(EPOCH));
    let (mut member, config) = member.start().map_err(as_io)?;
    let mut out = config.wrap(&mut member);
    out.write_all(&header(descr, shape))?;
    content(&mut out)?;
    let (_, descriptor) = out.finish().map_err(as_io)?;
    member.finish(descriptor).map_err(as_io)?;
    Ok(())
}

/// The header of a NumPy file, its length a multiple of 64.
fn header(descr: &str, shape: &str) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((length as u16).to_le_bytes());
    header.extend(format!("{text:<0$}\n", length - 1).bytes());
    header
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

/// The members of an archive that this reads, by name.
struct Members {
    archive: ZipArchive<FileReader>,
    places: Vec<(String, ZipArchiveEntryWayfinder, CompressionMethod)>,
}

impl Members {
    fn open(file: File) -> Checked<Self> {
        let wrong = |e| format!("not an .npz file (a ZIP archive): {e}");
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let archive = ZipArchive::from_file(file, &mut buffer).map_err(wrong)?;
        let mut places = Vec::new();
        let mut entries = archive.entries(&mut buffer);
        while let Some(entry) = entries.next_entry().map_err(wrong)? {
            let name = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
            places.push((name, entry.wayfinder(), entry.compression_method()));
            if places.len() > 64 {
                return Err("an archive of more than 64 files; expected a sparse matrix".into());
            }
        }
        Ok(Members { archive, places })
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
                return Err(format!("an array of shape {:?}; expected a vector", array.shape));
            };
            if count != expected {
                return Err(format!("an array of {count} numbers; expected {expected}"));
            }
            read_numbers(from, count, array.kind()?, convert)
        })
    }

    /// Reads a member, whose content after its header `content` reads to its end.
    fn read<T>(
        &self,
        name: &str,
        content: impl FnOnce(&mut dyn Read, &Array) -> Checked<T>,
    ) -> Checked<T> {
        let file = format!("{name}.npy");
        let found = self.places.iter().find(|(name, ..)| *name == file);
        let &(_, place, method) = found.ok_or_else(|| {
            format!(
                "{file} is missing; expected a sparse matrix, as scipy.sparse.save_npz writes it"
            )
        })?;
        let in_file = |problem: String| format!("{file}: {problem}");
        let entry = self.archive.get_entry(place).map_err(|e| in_file(e.to_string()))?;
        let bytes = entry.reader();
        let read = match method {
            CompressionMethod::STORE => read_array(&mut entry.verifying_reader(bytes), content),
            CompressionMethod::DEFLATE => {
                read_array(&mut entry.verifying_reader(DeflateDecoder::new(bytes)), content)
            }
            _ => Err("an unknown compression; expected none, or deflate".to_owned()),
        };
        read.map_err(in_file)
    }
}

/// Reads a NumPy file to its end, where its checksum is compared.
fn read_array<T>(
    from: &mut dyn Read,
    content: impl FnOnce(&mut dyn Read, &Array) -> Checked<T>,
) -> Checked<T> {
    let array = Array::read(from)?;
    let content = content(from, &array)?;
    match from.read(&mut [0]).map_err(|e| e.to_string())? {
        0 => Ok(content),
        _ => Err("bytes follow the numbers of its header".to_owned()),
    }
}

/// What the header of a NumPy file says.
struct Array {
    descr: String,
    shape: Vec<usize>,
}

impl Array {
    fn read(from: &mut dyn Read) -> Checked<Self> {
        let mut read = |count: usize| {
            let mut bytes = vec![0; count];
            let read = from.read_exact(&mut bytes);
            read.map(|()| bytes).map_err(|e| format!("no header of a NumPy file: {e}"))
        };
        let start = read(8)?;
        if !start.starts_with(b"\x93NUMPY") {
            return Err("not a NumPy file".to_owned());
        }
        let length = read(if start[6] == 1 { 2 } else { 4 })?;
        let length = length.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        if length > MAX_HEADER {
            return Err(format!("a header of {length} bytes; at most {MAX_HEADER} are read"));
        }
        let text = String::from_utf8_lossy(&read(length)?).into_owned();
        Self::parse(&text).ok_or_else(|| format!("a header that is no NumPy file's: {text:.80}"))
    }

    /// Of a Python dictionary.
    fn parse(text: &str) -> Option<Self> {
        let after = |key: &str| Some(text.split_once(key)?.1.trim_start());
        let descr = after("'descr':")?.strip_prefix('\'')?.split_once('\'')?.0.to_owned();
        let shape = after("'shape':")?.strip_prefix('(')?.split_once(')')?.0;
        let numbers = shape.split(',').map(str::trim).filter(|number| !number.is_empty());
        let shape = numbers.map(|number| number.parse().ok()).collect::<Option<_>>()?;
        Some(Array { descr, shape })
    }

    fn kind(&self) -> Checked<Kind> {
        Ok(match self.descr.as_str() {
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
}
