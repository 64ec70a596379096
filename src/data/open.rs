//! Opening files of samples: mapped or read, IDX or NumPy by their first bytes.
//!
//! A file is checked whole, against its true length, before a byte of it is given out.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::data::array::Array;
use crate::data::source::{GZIP, Header, Source, gunzip, open_file};
use crate::data::{idx, npy, recognize};
use crate::error::{Error, Result};

impl Array {
    /// Maps an IDX or NumPy file read-only. One that is gzip-compressed, whatever its name, is
    /// decompressed into memory, and what cannot be mapped, such as a pipe, is read. A NumPy array in
    /// Fortran order is copied into memory, in C order. Of several arrays in a NumPy file, the first
    /// is taken.
    ///
    /// A mapped file should stay as it is. While it is open it bears a shared advisory lock, which
    /// [`write_idx`](crate::data::write_idx), [`write_npy`](crate::data::write_npy) and
    /// [`RowWriter`](crate::data::RowWriter) respect; other programs need not. If one of them
    /// makes the file shorter, the next access to a page that is gone ends this process with the
    /// signal SIGBUS: that cannot be excluded without a copy, so use [`Array::read`] (the command's
    /// `--copy`) for files that may change. Other changes are noticed by
    /// [`Samples::unchanged`](crate::Samples::unchanged), which a training calls at the end of every
    /// epoch.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the file cannot be opened or mapped;
    /// [`Error::Format`](crate::Error::Format) if it is a folder, neither an IDX nor a NumPy file,
    /// shorter or longer than its header says, or damaged gzip.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (mut file, metadata) = open_file(path)?;
        let source = Source { path, compressed: false };
        let mut start = Vec::new();
        source.fill(&mut file, &mut start, 4, 0)?;
        if start.starts_with(&GZIP) || !metadata.is_file() {
            return load(path, start, file, None);
        }
        // The header comes through ordinary reads, so the map is made only of a proven length.
        let header = read_header(source, &mut file, &mut start)?;
        let mut followed = false;
        if metadata.len() > header.end() as u64
            && let Some(next) = next_array(&start)
        {
            let mut more = Vec::new();
            file.seek(SeekFrom::Start(header.end() as u64))
                .map_err(|e| Error::io("read", path, e))?;
            source.fill(&mut file, &mut more, next.len(), 0)?;
            followed = more == next;
        }
        if !followed {
            source.check_length(&header, metadata.len(), "")?;
        }
        Array::map(path, header, file, &metadata, followed)
    }

    /// Loads an IDX or NumPy file into memory, decompressing gzip: for files that may change under
    /// the reader.
    ///
    /// Memory grows as data arrives, to at most twice what has arrived and never past what the
    /// header says; a header alone allocates nothing.
    ///
    /// # Errors
    /// As for [`Array::open`], but for mapping.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (mut file, metadata) = open_file(path)?;
        let mut start = Vec::new();
        Source { path, compressed: false }.fill(&mut file, &mut start, 4, 0)?;
        load(path, start, file, metadata.is_file().then_some(metadata.len()))
    }

    /// Takes the content of an IDX or NumPy file from memory, decompressing gzip; `name` is what
    /// errors call it.
    ///
    /// # Errors
    /// As for [`Array::open`], but for opening and mapping.
    pub fn from_bytes(name: impl Into<PathBuf>, bytes: Vec<u8>) -> Result<Self> {
        let path = name.into();
        if bytes.starts_with(&GZIP) {
            return decompress(&path, &bytes[..]);
        }
        let source = Source { path: &path, compressed: false };
        let header = read_header(source, &mut &bytes[..], &mut Vec::new())?;
        let rest = bytes.get(header.end()..).unwrap_or_default();
        let followed = next_array(&bytes).is_some_and(|next| rest.starts_with(next));
        if !followed {
            source.check_length(&header, bytes.len() as u64, "")?;
        }
        Array::in_memory(path, header, bytes, followed)
    }
}

/// Loads a file of which `start` has been read already; `length` is the file's, if it has one.
fn load(path: &Path, mut start: Vec<u8>, mut file: File, length: Option<u64>) -> Result<Array> {
    if start.starts_with(&GZIP) {
        return decompress(path, start.chain(BufReader::new(file)));
    }
    let source = Source { path, compressed: false };
    let header = read_header(source, &mut file, &mut start)?;
    let (next, end) = (next_array(&start), header.end());
    // What is longer may be followed by another array.
    if let Some(length) = length.filter(|&length| next.is_none() || length < end as u64) {
        source.check_length(&header, length, "")?;
    }
    // Data that the file's length proves gets its memory in one piece.
    let step = length.map_or(0, |_| end);
    let followed = source.read_elements(&header, next, &mut file, &mut start, step)?;
    Array::in_memory(path.to_owned(), header, start, followed)
}

fn decompress(path: &Path, compressed: impl std::io::BufRead) -> Result<Array> {
    let source = Source { path, compressed: true };
    let mut from = gunzip(path, compressed)?;
    let mut bytes = Vec::new();
    let header = read_header(source, &mut from, &mut bytes)?;
    let next = next_array(&bytes);
    let followed = source.read_elements(&header, next, &mut from, &mut bytes, 0)?;
    Array::in_memory(path.to_owned(), header, bytes, followed)
}

/// How another array in a file begins, after one of which these are the first bytes.
fn next_array(bytes: &[u8]) -> Option<&'static [u8]> {
    bytes.starts_with(&npy::START).then_some(&npy::MAGIC)
}

/// Reads the header of either format into `bytes`, which may hold its first four already.
fn read_header(source: Source<'_>, from: &mut impl Read, bytes: &mut Vec<u8>) -> Result<Header> {
    source.fill(from, bytes, 4, 0)?;
    if bytes.starts_with(&npy::START) {
        return npy::read_header(source, from, bytes);
    }
    idx::read_header(source, from, bytes).map_err(|error| {
        // Damaged gzip, for one, has its own sentence.
        if !matches!(error, Error::Format { offset: Some(_), .. }) {
            return error;
        }
        let _ = source.fill(from, bytes, recognize::LENGTH, 0);
        match recognize::problem(bytes) {
            Some(problem) => source.error(0, problem),
            None => error,
        }
    })
}
