//! NumPy's archives (`.npz`): ZIP archives of NumPy files, stored or deflated.

use std::fs::File;
use std::io::{self, Read, Write};

use flate2::read::DeflateDecoder;
use rawzip::time::UtcDateTime;
use rawzip::{
    CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder,
    ZipArchiveWriter,
};

/// The longest header of an array that is read.
const MAX_HEADER: usize = 1 << 12;

/// Arrays of an archive, at most.
const MAX_ARRAYS: usize = 64;

/// 1980, where a ZIP archive's times begin: the same arrays give the same bytes.
const EPOCH: i64 = 315_532_800;

/// A result whose error is a sentence.
type Checked<T> = std::result::Result<T, String>;

/// Writes an archive, uncompressed.
pub struct Writer<W> {
    archive: ZipArchiveWriter<W>,
}

impl<W: Write> Writer<W> {
    /// Begins an archive.
    pub fn new(out: W) -> Self {
        Writer { archive: ZipArchiveWriter::new(out) }
    }

    /// Writes an array: its type in NumPy's text (`<f4`), its shape as in Python (`(2, 3)`), and its bytes
    /// in order, which `content` writes.
    ///
    /// # Errors
    /// Those of writing.
    pub fn array(
        &mut self,
        name: &str,
        descr: &str,
        shape: &str,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let name = format!("{name}.npy");
        let member = self.archive.new_file(&name).last_modified(UtcDateTime::from_unix(EPOCH));
        let (mut member, config) = member.start().map_err(as_io)?;
        let mut out = config.wrap(&mut member);
        out.write_all(&header(descr, shape))?;
        content(&mut out)?;
        let (_, descriptor) = out.finish().map_err(as_io)?;
        member.finish(descriptor).map_err(as_io)?;
        Ok(())
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(self) -> io::Result<()> {
        self.archive.finish().map_err(as_io)?.flush()
    }
}

fn as_io(error: rawzip::Error) -> io::Error {
    match error.into_kind() {
        rawzip::ErrorKind::IO(error) => error,
        kind => io::Error::other(rawzip::Error::from(kind)),
    }
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

/// An archive to read.
pub struct Reader {
    archive: ZipArchive<FileReader>,
    places: Vec<(String, ZipArchiveEntryWayfinder, CompressionMethod)>,
}

impl Reader {
    /// Reads the directory of an archive.
    ///
    /// # Errors
    /// It is no ZIP archive, or one of more than 64 files.
    pub fn open(file: File) -> Checked<Self> {
        let wrong = |e| format!("not an .npz file (a ZIP archive): {e}");
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let archive = ZipArchive::from_file(file, &mut buffer).map_err(wrong)?;
        let mut places = Vec::new();
        let mut entries = archive.entries(&mut buffer);
        while let Some(entry) = entries.next_entry().map_err(wrong)? {
            let name = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
            places.push((name, entry.wayfinder(), entry.compression_method()));
            if places.len() > MAX_ARRAYS {
                return Err(format!("an archive of more than {MAX_ARRAYS} files"));
            }
        }
        Ok(Reader { archive, places })
    }

    /// The names of the arrays, without `.npy`; other files have their whole name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(|(name, ..)| name.strip_suffix(".npy").unwrap_or(name))
    }

    /// Reads an array, whose bytes after its header `content` reads to their end; `None` if there is no
    /// such array.
    ///
    /// # Errors
    /// It is not a NumPy file, is damaged, or is longer than what `content` reads; and those of `content`.
    pub fn read<T>(
        &self,
        name: &str,
        content: impl FnOnce(&mut dyn Read, &Array) -> Checked<T>,
    ) -> Option<Checked<T>> {
        let file = format!("{name}.npy");
        let &(_, place, method) = self.places.iter().find(|(name, ..)| *name == file)?;
        let in_file = |problem: String| format!("{file}: {problem}");
        let read = || {
            let entry = self.archive.get_entry(place).map_err(|e| e.to_string())?;
            let bytes = entry.reader();
            match method {
                CompressionMethod::STORE => read_array(&mut entry.verifying_reader(bytes), content),
                CompressionMethod::DEFLATE => {
                    read_array(&mut entry.verifying_reader(DeflateDecoder::new(bytes)), content)
                }
                _ => Err("an unknown compression; expected none, or deflate".to_owned()),
            }
        };
        Some(read().map_err(in_file))
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
pub struct Array {
    /// The type in NumPy's text, such as `<f4`.
    pub descr: String,
    /// The size of each dimension.
    pub shape: Vec<usize>,
    /// The index of the first dimension changes fastest.
    pub fortran_order: bool,
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
        Self::parse(&text)
            .ok_or_else(|| format!("expected the header of a NumPy file, got {text:.80}"))
    }

    /// Of a Python dictionary.
    fn parse(text: &str) -> Option<Self> {
        let after = |key: &str| Some(text.split_once(key)?.1.trim_start());
        let descr = after("'descr':")?.strip_prefix('\'')?.split_once('\'')?.0.to_owned();
        let fortran_order = after("'fortran_order':")?.starts_with("True");
        let shape = after("'shape':")?.strip_prefix('(')?.split_once(')')?.0;
        let numbers = shape.split(',').map(str::trim).filter(|number| !number.is_empty());
        let shape = numbers.map(|number| number.parse().ok()).collect::<Option<_>>()?;
        Some(Array { descr, shape, fortran_order })
    }
}
