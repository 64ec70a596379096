//! Opening files of samples: mapped or read, IDX or NumPy by their first bytes.
//!
//! A file is checked whole, against its true length, before a byte of it is given out.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::data::array::Array;
use crate::data::source::{GZIP, Header, Source, gunzip, open_file};
use crate::data::{idx, npy};
use crate::error::Result;

impl Array {
    /// Maps an IDX or NumPy file read-only. One that is gzip-compressed, whatever its name, is
    /// decompressed into memory, and what cannot be mapped, such as a pipe, is read.
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
        source.check_length(&header, metadata.len(), "")?;
        Array::map(path, header, file, &metadata)
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
        source.check_length(&header, bytes.len() as u64, "")?;
        Ok(Array::in_memory(path, header, bytes))
    }
}

/// Loads a file of which `start` has been read already; `length` is the file's, if it has one.
fn load(path: &Path, mut start: Vec<u8>, mut file: File, length: Option<u64>) -> Result<Array> {
    if start.starts_with(&GZIP) {
        return decompress(path, start.chain(BufReader::new(file)));
    }
    let source = Source { path, compressed: false };
    let header = read_header(source, &mut file, &mut start)?;
    // Data that the file's length proves gets its memory in one piece.
    let step = length.map_or(0, |_| header.end());
    source.check_length(&header, length.unwrap_or(header.end() as u64), "")?;
    source.read_elements(&header, &mut file, &mut start, step)?;
    Ok(Array::in_memory(path.to_owned(), header, start))
}

fn decompress(path: &Path, compressed: impl std::io::BufRead) -> Result<Array> {
    let source = Source { path, compressed: true };
    let mut from = gunzip(path, compressed)?;
    let mut bytes = Vec::new();
    let header = read_header(source, &mut from, &mut bytes)?;
    source.read_elements(&header, &mut from, &mut bytes, 0)?;
    Ok(Array::in_memory(path.to_owned(), header, bytes))
}

/// Reads the header of either format into `bytes`, which may hold its first four already.
fn read_header(source: Source<'_>, from: &mut impl Read, bytes: &mut Vec<u8>) -> Result<Header> {
    source.fill(from, bytes, 4, 0)?;
    if bytes.starts_with(&npy::START) {
        npy::read_header(source, from, bytes)
    } else {
        idx::read_header(source, from, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, data: &[u8]) -> Vec<u8> {
        let length = (text.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), data].concat()
    }

    #[test]
    fn numpy_files_of_both_byte_orders() {
        for (order, bytes) in [("<", 1.5f32.to_le_bytes()), (">", 1.5f32.to_be_bytes())] {
            let text = format!("{{\"shape\":(1,1),'fortran_order':False,'descr':'{order}f4'}}");
            let array = Array::from_bytes("a.npy", file(&text, &bytes)).unwrap();
            let mut row = [0.0];
            array.read_row(0, &mut row);
            assert_eq!((array.dims(), row), (&[1, 1][..], [1.5]));
        }
    }

    #[test]
    fn bad_numpy_files_are_refused() {
        let refused =
            |bytes: &[u8]| Array::from_bytes("a.npy", bytes.to_vec()).unwrap_err().to_string();
        let entry = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}")
        };
        let good = file(&entry("|u1", "False", "(2, 2)"), &[1, 2, 3, 4]);
        Array::from_bytes("a.npy", good.clone()).unwrap();
        for end in 0..good.len() {
            refused(&good[..end]);
        }
        for (text, sentence) in [
            (entry("<f4", "True", "(1, 1)"), "np.ascontiguousarray"),
            (entry("<c8", "False", "(1, 1)"), "elements are '<c8'"),
            (entry("|f4", "False", "(1, 1)"), "elements are '|f4'"),
            (entry("|O", "False", "(1, 1)"), "elements are '|O'"),
            (entry("<f4", "False", "(1, 2)"), "header says 1 x 2 f32"),
            (entry("<f4", "False", "(1, -1)"), "no list of sizes"),
            (entry("<f4", "False", "()"), "samples by features"),
            (entry("<f4", "False", "(0, 4)"), "samples by features"),
            (entry("<f4", "False", "(18446744073709551615, 2)"), "samples by features"),
            (entry("<f4", "maybe", "(1, 1)"), "neither True nor False"),
            ("{'descr': '<f4'}".to_owned(), "without fortran_order"),
            ("{'descr': '<f4' 'shape': (1,)}".to_owned(), "without ','"),
            ("{'color': 'red'}".to_owned(), "unknown entry 'color'"),
            ("[1]".to_owned(), "no dictionary"),
            ("{é".to_owned(), "without quotes"),
        ] {
            let problem = refused(&file(&text, &[0; 4]));
            assert!(problem.contains(sentence), "{text}: {problem}");
        }
        let mut newer = good.clone();
        newer[6] = 9;
        assert!(refused(&newer).contains("version 9"));
    }
}
