//! Opening files of samples, mapped or read; the format is told by their first bytes.
//!
//! A file is checked whole, against its true length, before a byte of it is given out.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::data::array::{Array, FileState, map};
use crate::data::header::{Header, Rows};
use crate::data::reading::{GZIP, Input, gunzip, open_file};
#[cfg(feature = "model")]
use crate::data::tensors;
use crate::data::{idx, npy, recognize};
use crate::error::{Error, Result};

/// How files are opened as arrays. Always end a literal with `..ReadOptions::default()`.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// The tensor of a safetensors file; by default the only one of two dimensions, or else the only one
    /// of more.
    pub tensor: Option<String>,
    /// What the rows of an array of more than two dimensions are; by default [`Rows::Last`] for floats in
    /// NumPy and safetensors files, and [`Rows::First`] for all others.
    pub rows: Option<Rows>,
    /// Whether the content is loaded into memory instead of mapped, for files that may change meanwhile.
    pub copy: bool,
}

impl Array {
    /// Maps an IDX, NumPy or safetensors file read-only, with the default [`ReadOptions`]. One that is
    /// gzip-compressed, whatever its name, is decompressed into memory, and what cannot be mapped, such
    /// as a pipe, is read. A NumPy array in Fortran order is copied into memory, in C order. Of several
    /// arrays in a NumPy file, the first is taken.
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
    /// [`Error::Format`](crate::Error::Format) if it is a folder, a file of another format, shorter or
    /// longer than its header says, or damaged gzip.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &ReadOptions::default())
    }

    /// Loads a file into memory, decompressing gzip: for files that may change under the reader.
    ///
    /// Memory grows as data arrives, to at most twice what has arrived and never past what the
    /// header says; a header alone allocates nothing.
    ///
    /// # Errors
    /// As for [`Array::open`], but for mapping.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &ReadOptions { copy: true, ..ReadOptions::default() })
    }

    /// Maps a file as [`Array::open`] does, or loads it as [`Array::read`] does, with these options.
    ///
    /// # Errors
    /// As for [`Array::open`]; and a safetensors file has no tensor of the name, or without a name not one
    /// of two dimensions.
    pub fn open_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self> {
        match Opened::new(path.as_ref(), options)? {
            Opened::Loaded(array) => Ok(array),
            Opened::Mappable(file) => file.map(options, true),
        }
    }

    fn with_options(self, options: &ReadOptions) -> Self {
        match options.rows {
            Some(rows) => self.with_rows(rows),
            None => self,
        }
    }

    /// Takes the content of an IDX, NumPy or safetensors file from memory, decompressing gzip; `name` is
    /// what errors call it.
    ///
    /// # Errors
    /// As for [`Array::open`], but for opening and mapping.
    pub fn from_bytes(name: impl Into<PathBuf>, bytes: Vec<u8>) -> Result<Self> {
        let (path, options) = (name.into(), ReadOptions::default());
        if bytes.starts_with(&GZIP) {
            return decompress(&path, &bytes[..], &options);
        }
        let input = Input { path: &path, compressed: false };
        let header = read_header(input, &mut &bytes[..], &mut Vec::new(), &options)?;
        let rest = bytes.get(header.end()..).unwrap_or_default();
        let followed = next_array(&bytes).is_some_and(|next| rest.starts_with(next));
        if !followed {
            input.check_length(&header, bytes.len() as u64, "")?;
        }
        Array::in_memory(path, header, bytes, followed)
    }
}

/// A file whose header and length were checked.
pub(crate) enum Opened {
    /// It was loaded: it is compressed, a pipe, or the options say so.
    Loaded(Array),
    /// It can be mapped.
    Mappable(Mappable),
}

/// A file that can be mapped.
pub(crate) struct Mappable {
    pub path: PathBuf,
    pub header: Header,
    pub state: FileState,
    file: File,
    followed: bool,
}

impl Opened {
    pub fn new(path: &Path, options: &ReadOptions) -> Result<Self> {
        let (mut file, metadata) = open_file(path)?;
        let input = Input { path, compressed: false };
        let mut start = Vec::new();
        input.fill(&mut file, &mut start, 4, 0)?;
        if options.copy || start.starts_with(&GZIP) || !metadata.is_file() {
            let length = metadata.is_file().then_some(metadata.len());
            return Ok(Opened::Loaded(load(path, start, file, length, options)?));
        }
        // The header comes through ordinary reads, so the map is made only of a proven length.
        let header = read_header(input, &mut file, &mut start, options)?;
        let mut followed = false;
        if metadata.len() > header.end() as u64
            && let Some(next) = next_array(&start)
        {
            let mut more = Vec::new();
            file.seek(SeekFrom::Start(header.end() as u64))
                .map_err(|e| Error::io("read", path, e))?;
            input.fill(&mut file, &mut more, next.len(), 0)?;
            followed = more == next;
        }
        if !followed {
            input.check_length(&header, metadata.len(), "")?;
        }
        let (path, state) = (path.to_owned(), FileState::of(&metadata));
        Ok(Opened::Mappable(Mappable { path, header, state, file, followed }))
    }
}

impl Mappable {
    /// Maps it, and where it `keeps` the file, locks it.
    pub fn map(self, options: &ReadOptions, keeps: bool) -> Result<Array> {
        let Mappable { path, header, state, file, followed } = self;
        let map = map(&path, &file, header.end())?;
        let array = Array::mapped(&path, header, map, keeps.then_some(file), state)?;
        Ok(array.followed_by(followed).with_options(options))
    }
}

/// Loads a file of which `start` has been read already; `length` is the file's, if it has one.
fn load(
    path: &Path,
    mut start: Vec<u8>,
    mut file: File,
    length: Option<u64>,
    options: &ReadOptions,
) -> Result<Array> {
    if start.starts_with(&GZIP) {
        return decompress(path, start.chain(BufReader::new(file)), options);
    }
    let input = Input { path, compressed: false };
    let header = read_header(input, &mut file, &mut start, options)?;
    let (next, end) = (next_array(&start), header.end_of_file());
    // What is longer may be followed by another array.
    if let Some(length) = length.filter(|&length| next.is_none() || length < end as u64) {
        input.check_length(&header, length, "")?;
    }
    // Data that the file's length proves gets its memory in one piece.
    let step = length.map_or(0, |_| end);
    let followed = input.read_elements(&header, next, &mut file, &mut start, step)?;
    let array = Array::in_memory(path.to_owned(), header, start, followed)?;
    Ok(array.with_options(options))
}

fn decompress(
    path: &Path,
    compressed: impl std::io::BufRead,
    options: &ReadOptions,
) -> Result<Array> {
    let input = Input { path, compressed: true };
    let mut from = gunzip(path, compressed)?;
    let mut bytes = Vec::new();
    let header = read_header(input, &mut from, &mut bytes, options)?;
    let next = next_array(&bytes);
    let followed = input.read_elements(&header, next, &mut from, &mut bytes, 0)?;
    let array = Array::in_memory(path.to_owned(), header, bytes, followed)?;
    Ok(array.with_options(options))
}

/// How another array in a file begins, after one of which these are the first bytes.
fn next_array(bytes: &[u8]) -> Option<&'static [u8]> {
    bytes.starts_with(&npy::START).then_some(&npy::MAGIC)
}

/// Reads the header of any format into `bytes`, which may hold its first four already.
fn read_header(
    input: Input<'_>,
    from: &mut impl Read,
    bytes: &mut Vec<u8>,
    options: &ReadOptions,
) -> Result<Header> {
    input.fill(from, bytes, 4, 0)?;
    if bytes.starts_with(&npy::START) {
        return npy::read_header(input, from, bytes);
    }
    #[cfg(feature = "model")]
    {
        input.fill(from, bytes, tensors::START, 0)?;
        if tensors::is_start(bytes) {
            return tensors::read_header(input, from, bytes, options.tensor.as_deref());
        }
    }
    #[cfg(not(feature = "model"))]
    let _ = options;
    idx::read_header(input, from, bytes).map_err(|error| {
        // Damaged gzip, for one, has its own sentence.
        if !matches!(error, Error::Format { offset: Some(_), .. }) {
            return error;
        }
        let _ = input.fill(from, bytes, recognize::LENGTH, 0);
        match recognize::problem(bytes) {
            Some(problem) => input.error(0, problem),
            None => error,
        }
    })
}
