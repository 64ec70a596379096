//! IDX, the format of the MNIST files: map, check, read, write.
//!
//! A file is two zero bytes, the element type, the rank, one big-endian `u32` a dimension, then
//! the elements, row-major and big-endian, and nothing after them. It is checked whole, against
//! its true length, before a byte of it is given out.

use std::fmt;
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use memmap2::{Mmap, MmapOptions};

use crate::data::npy;
use crate::error::{Error, Result};

const GZIP: [u8; 2] = [0x1f, 0x8b];
const TYPES: &str = "0x08 u8, 0x09 i8, 0x0B i16, 0x0C i32, 0x0D f32, 0x0E f64";

/// The type of a file's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say all
pub enum ElementType {
    U8 = 0x08,
    I8 = 0x09,
    I16 = 0x0B,
    I32 = 0x0C,
    F32 = 0x0D,
    F64 = 0x0E,
}

impl ElementType {
    /// Bytes an element takes in the file.
    pub fn size(self) -> usize {
        use ElementType::*;
        match self {
            U8 | I8 => 1,
            I16 => 2,
            I32 | F32 => 4,
            F64 => 8,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        use ElementType::*;
        [U8, I8, I16, I32, F32, F64].into_iter().find(|&kind| kind as u8 == code)
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

/// An IDX file, checked: samples along the first dimension, features along all the others.
///
/// [`Idx::open`] maps the file: nothing is copied, and processes that map the same file share its
/// pages; for files that stay as they are. [`Idx::read`] loads it into memory; for files that
/// something else may write to meanwhile, and for pipes. Both unpack gzip into memory.
pub struct Idx {
    path: PathBuf,
    header: Header,
    bytes: Bytes,
}

enum Bytes {
    Memory(Vec<u8>),
    /// The length is that of the header, which was also the file's.
    Mapped {
        map: Mmap,
        file: Locked,
        modified: Option<SystemTime>,
    },
}

/// Gives its lock back even where a process that this one just started holds the file, too: it
/// does until its program begins.
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Idx {
    /// Maps a file read-only; one packed with gzip, whatever its name, is unpacked into memory,
    /// and what cannot be mapped, like a pipe, is read. NumPy's files ([`npy`]) are read,
    /// too.
    ///
    /// A mapped file should stay as it is. While it is open it bears a shared advisory lock, which
    /// [`write()`] respects; other programs need not. If one of them makes the file shorter, the next
    /// look at a page that is gone ends this process with the signal SIGBUS: that cannot be excluded
    /// without copying what is read, so use [`Idx::read`] (the command's `--copy`) for files that
    /// may change. Whatever else is written to the file is noticed by [`Idx::unchanged`], which a
    /// training asks at the end of every epoch.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened or mapped; [`Error::Format`] if it is a folder,
    /// no IDX file, shorter or longer than its header says, or damaged gzip.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (mut file, metadata) = open_file(path)?;
        let source = Source { path, packed: false };
        let mut start = Vec::new();
        source.fill(&mut file, &mut start, 4, 0)?;
        if start == npy::START {
            return npy::read(path, start, file);
        }
        if start.starts_with(&GZIP) || !metadata.is_file() {
            return Self::load(path, start, file, None);
        }
        // The header comes through ordinary reads, so the map is made only of a proven length.
        let header = Header::read(source, &mut file, &mut start)?;
        header.check_length(source, metadata.len(), "")?;
        // SAFETY: the map is read-only and its length was checked against the file's; any bytes
        // are valid `u8`. That nobody truncates or rewrites the file meanwhile cannot be checked:
        // the docs above ask it of the caller and name `Idx::read` for other files.
        #[allow(unsafe_code)]
        let map = unsafe { MmapOptions::new().len(header.end()).map(&file) };
        let map = map.map_err(|e| Error::io("map", path, e))?;
        // Where there are no locks, there is none.
        let _ = file.try_lock_shared();
        let bytes = Bytes::Mapped { map, file: Locked(file), modified: metadata.modified().ok() };
        Ok(Idx { path: path.to_owned(), header, bytes })
    }

    /// Loads a file into memory, unpacking gzip: for files that may change under the reader.
    ///
    /// Memory grows as data arrives, to at most twice what has arrived and never past what the
    /// header says; a header alone allocates nothing.
    ///
    /// # Errors
    /// As [`Idx::open`], but for mapping.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (mut file, metadata) = open_file(path)?;
        let mut start = Vec::new();
        Source { path, packed: false }.fill(&mut file, &mut start, 4, 0)?;
        if start == npy::START {
            return npy::read(path, start, file);
        }
        Self::load(path, start, file, metadata.is_file().then_some(metadata.len()))
    }

    /// Takes a file's content from memory, unpacking gzip and NumPy's files; `name` is what errors
    /// call it.
    ///
    /// # Errors
    /// [`Error::Format`] if the bytes are no IDX file, fewer or more than their header says, or
    /// damaged gzip.
    pub fn from_bytes(name: impl Into<PathBuf>, bytes: Vec<u8>) -> Result<Self> {
        let path = name.into();
        if bytes.starts_with(&npy::START) {
            return npy::idx(&path, bytes);
        }
        if bytes.starts_with(&GZIP) {
            let (header, bytes) = unpack(&path, &bytes[..])?;
            return Ok(Idx { path, header, bytes: Bytes::Memory(bytes) });
        }
        let source = Source { path: &path, packed: false };
        let header = Header::read(source, &mut &bytes[..], &mut Vec::new())?;
        header.check_length(source, bytes.len() as u64, "")?;
        Ok(Idx { path, header, bytes: Bytes::Memory(bytes) })
    }

    /// `start` is what has been read of `file` already; `length` the file's, if it has one.
    fn load(path: &Path, mut start: Vec<u8>, mut file: File, length: Option<u64>) -> Result<Self> {
        let (header, bytes) = if start.starts_with(&GZIP) {
            unpack(path, start.chain(BufReader::new(file)))?
        } else {
            let source = Source { path, packed: false };
            let header = Header::read(source, &mut file, &mut start)?;
            // Data that the file's length proves gets its memory in one piece.
            let step = length.map_or(0, |_| header.end());
            header.check_length(source, length.unwrap_or(header.end() as u64), "")?;
            header.read_data(source, &mut file, &mut start, step)?;
            (header, start)
        };
        Ok(Idx { path: path.to_owned(), header, bytes: Bytes::Memory(bytes) })
    }

    /// The type of the elements.
    pub fn element_type(&self) -> ElementType {
        self.header.kind
    }

    /// The dimensions, outermost first: `[60000, 28, 28]` for MNIST's training images.
    pub fn dims(&self) -> &[usize] {
        &self.header.dims
    }

    /// Number of samples: the first dimension, at least 1.
    pub fn samples(&self) -> usize {
        self.header.dims[0]
    }

    /// Elements a sample: the product of all dimensions but the first, 1 if there is only one.
    pub fn features(&self) -> usize {
        self.header.dims[1..].iter().product()
    }

    /// The file, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All elements, `samples() * features()` of them, without a copy, if they are `u8`.
    pub fn as_u8(&self) -> Option<&[u8]> {
        (self.header.kind == ElementType::U8).then(|| self.data())
    }

    /// The bytes of sample `row`, as an IDX file has them: each element's high byte first.
    ///
    /// # Panics
    /// If `row >= samples()`.
    pub fn row_bytes(&self, row: usize) -> &[u8] {
        assert!(row < self.samples(), "row {row} of {} samples", self.samples());
        let size = self.features() * self.header.kind.size();
        &self.data()[row * size..][..size]
    }

    /// Converts sample `row`, flattened, to `f32`, unscaled; `i32` and `f64` are rounded to the
    /// nearest `f32` (beyond its range: infinity).
    ///
    /// # Panics
    /// If `row >= samples()` or `out.len() != features()`.
    pub fn read_row(&self, row: usize, out: &mut [f32]) {
        let bytes = self.row_bytes(row);
        assert_eq!(out.len(), self.features(), "out must hold one sample's features");
        match self.header.kind {
            ElementType::U8 => convert(bytes, out, |[b]| f32::from(b)),
            ElementType::I8 => convert(bytes, out, |b| f32::from(i8::from_be_bytes(b))),
            ElementType::I16 => convert(bytes, out, |b| f32::from(i16::from_be_bytes(b))),
            ElementType::I32 => convert(bytes, out, |b| i32::from_be_bytes(b) as f32),
            ElementType::F32 => convert(bytes, out, f32::from_be_bytes),
            ElementType::F64 => convert(bytes, out, |b| f64::from_be_bytes(b) as f32),
        }
    }

    /// Whether a mapped file is still as it was opened; always `Ok` for one in memory.
    ///
    /// # Errors
    /// [`Error::Format`] if the file's length or modification time has changed; [`Error::Io`] if
    /// the system does not tell.
    pub fn unchanged(&self) -> Result<()> {
        let Bytes::Mapped { file: Locked(file), modified, .. } = &self.bytes else { return Ok(()) };
        let now = file.metadata().map_err(|e| Error::io("look at", &self.path, e))?;
        let problem = if now.len() != self.header.end() as u64 {
            format!("changed while mapped: {} bytes became {}", self.header.end(), now.len())
        } else if now.modified().ok() != *modified {
            "changed while mapped: it was written to since it was opened".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::format(&self.path, None, problem + "; use Idx::read for files that may change"))
    }

    fn data(&self) -> &[u8] {
        let bytes = match &self.bytes {
            Bytes::Memory(bytes) => &bytes[..],
            Bytes::Mapped { map, .. } => &map[..],
        };
        &bytes[self.header.start()..]
    }
}

impl fmt::Debug for Idx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Idx({}: {} {})", self.path.display(), shape(self.dims()), self.header.kind)
    }
}

fn convert<const N: usize>(bytes: &[u8], out: &mut [f32], number: impl Fn([u8; N]) -> f32) {
    for (out, &bytes) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *out = number(bytes);
    }
}

fn open_file(path: &Path) -> Result<(File, Metadata)> {
    let opened = File::open(path).and_then(|file| file.metadata().map(|m| (file, m)));
    // Opening a folder works on Unix and is "permission denied" on Windows.
    if opened.as_ref().map_or_else(|_| path.is_dir(), |(_, m)| m.is_dir()) {
        return Err(Error::format(path, None, "this is a folder, an IDX file was expected"));
    }
    opened.map_err(|e| Error::io("open", path, e))
}

/// Where bytes come from, for the errors.
#[derive(Clone, Copy)]
struct Source<'a> {
    path: &'a Path,
    packed: bool,
}

impl Source<'_> {
    fn error(self, offset: usize, problem: impl fmt::Display) -> Error {
        let place = if self.packed { " (counted in the unpacked content)" } else { "" };
        Error::format(self.path, Some(offset as u64), format!("{problem}{place}"))
    }

    /// Reads until `bytes` holds `target` bytes or the input ends. Memory grows with what arrives,
    /// at most to twice that, or by `step` if so much is known to come.
    fn fill(self, from: impl Read, bytes: &mut Vec<u8>, target: usize, step: usize) -> Result<()> {
        let mut from = from;
        while bytes.len() < target {
            let room = (target - bytes.len()).min(bytes.len().max(64 << 10).max(step));
            bytes.try_reserve_exact(room).map_err(|_| {
                Error::io("read", self.path, io::Error::from(io::ErrorKind::OutOfMemory))
            })?;
            match from.by_ref().take(room as u64).read_to_end(bytes) {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) => return Err(self.read_error(e, bytes.len())),
            }
        }
        Ok(())
    }

    fn read_error(self, error: io::Error, arrived: usize) -> Error {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        let problem = match error.kind() {
            UnexpectedEof if self.packed => "the gzip data is cut off".to_owned(),
            InvalidData | InvalidInput if self.packed => format!("bad gzip data: {error}"),
            _ => return Error::io("read", self.path, error),
        };
        Error::format(self.path, None, format!("{problem} (after {arrived} unpacked bytes)"))
    }
}

struct Header {
    kind: ElementType,
    dims: Vec<usize>,
    /// Bytes of all elements; with the header no more than `isize::MAX`.
    data: usize,
}

impl Header {
    /// Where the data starts, in bytes.
    fn start(&self) -> usize {
        4 + 4 * self.dims.len()
    }

    /// Where the data, and with it the file, ends.
    fn end(&self) -> usize {
        self.start() + self.data
    }

    /// Reads into `bytes`, which may hold the file's first four already, up to the data.
    fn read(source: Source, from: &mut impl Read, bytes: &mut Vec<u8>) -> Result<Self> {
        source.fill(&mut *from, bytes, 4, 0)?;
        let &[zero0, zero1, code, rank] = &bytes[..] else {
            let problem = match bytes.len() {
                0 => "the file is empty, an IDX file was expected".to_owned(),
                n => format!("the file ends after {n} bytes, the 4 of an IDX magic were expected"),
            };
            return Err(source.error(bytes.len(), problem));
        };
        if (zero0, zero1) != (0, 0) {
            let hint = match [zero0, zero1, code, rank] {
                [0x89, b'P', b'N', b'G'] => "; this looks like a PNG image",
                [b'P', b'K', ..] => "; this looks like a zip archive, unpack it first",
                [0x1f, 0x8b, ..] => "; this looks packed with gzip twice",
                _ => "",
            };
            let problem = format!(
                "an IDX file begins with 00 00, this one with {zero0:02x} {zero1:02x}{hint}"
            );
            return Err(source.error(0, problem));
        }
        let kind = ElementType::from_code(code).ok_or_else(|| {
            source.error(2, format!("element type 0x{code:02X} is not one of IDX's ({TYPES})"))
        })?;
        if rank == 0 {
            return Err(source.error(3, "rank 0, at least 1 dimension was expected"));
        }
        let start = 4 + 4 * usize::from(rank);
        source.fill(from, bytes, start, 0)?;
        if bytes.len() < start {
            let n = bytes.len();
            let problem = format!("the header ends after {n} bytes, rank {rank} takes {start}");
            return Err(source.error(n, problem));
        }
        let mut dims = Vec::with_capacity(usize::from(rank));
        for (i, &bytes) in bytes[4..].as_chunks().0.iter().enumerate() {
            let dim = u32::from_be_bytes(bytes);
            if dim == 0 {
                let nth = i + 1;
                let problem = format!("dimension {nth} of {rank} is 0, 1 or more was expected");
                return Err(source.error(4 + 4 * i, problem));
            }
            dims.push(dim as usize);
        }
        // `isize::MAX` is what memory can hold; one less leaves room to notice excess.
        let data = dims.iter().try_fold(kind.size(), |n, &dim| n.checked_mul(dim));
        let data = data.filter(|&n| n < isize::MAX as usize - start).ok_or_else(|| {
            let dims = shape(&dims);
            source.error(4, format!("{dims} {kind} elements are more than memory can address"))
        })?;
        Ok(Header { kind, dims, data })
    }

    /// Reads the data, and no more than a byte after it, into `bytes`, which hold the header.
    fn read_data(
        &self,
        source: Source,
        from: impl Read,
        bytes: &mut Vec<u8>,
        step: usize,
    ) -> Result<()> {
        source.fill(from, bytes, self.end() + 1, step)?;
        let more = if bytes.len() > self.end() { " or more" } else { "" };
        self.check_length(source, bytes.len() as u64, more)
    }

    fn check_length(&self, source: Source, length: u64, more: &str) -> Result<()> {
        if length == self.end() as u64 {
            return Ok(());
        }
        let has = if source.packed { "the unpacked content" } else { "the file" };
        let (shape, kind, end) = (shape(&self.dims), self.kind, self.end());
        let says = format!("header says {shape} {kind} = {end} bytes with the header");
        Err(Error::format(source.path, None, format!("{says}, {has} has {length}{more}")))
    }
}

/// Dimensions as `60000 x 28 x 28`, cut after eight.
fn shape(dims: &[usize]) -> String {
    let shown: Vec<_> = dims.iter().take(8).map(usize::to_string).collect();
    shown.join(" x ") + if dims.len() > 8 { " x ..." } else { "" }
}

#[cfg(feature = "gz")]
fn unpack(path: &Path, packed: impl BufRead) -> Result<(Header, Vec<u8>)> {
    let source = Source { path, packed: true };
    let mut members = Members(Some(flate2::bufread::GzDecoder::new(packed)));
    let mut bytes = Vec::new();
    let header = Header::read(source, &mut members, &mut bytes)?;
    header.read_data(source, &mut members, &mut bytes, 0)?;
    Ok((header, bytes))
}

#[cfg(not(feature = "gz"))]
fn unpack(path: &Path, _: impl BufRead) -> Result<(Header, Vec<u8>)> {
    let problem = "packed with gzip; unpack it first, or build `sae` with the feature `gz`";
    Err(Error::format(path, Some(0), problem))
}

/// A gzip file's members, one after another, and nothing after them: flate2's own
/// `MultiGzDecoder` does not tell a tail of other bytes from a member cut off.
#[cfg(feature = "gz")]
struct Members<R>(Option<flate2::bufread::GzDecoder<R>>);

#[cfg(feature = "gz")]
impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let n = member.read(buf)?;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            let rest = member.get_mut().fill_buf()?;
            if rest.is_empty() {
                break;
            }
            if rest[0] != GZIP[0] {
                let problem = "bytes that are not gzip's follow its end";
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
            self.0 = self.0.take().map(|m| flate2::bufread::GzDecoder::new(m.into_inner()));
        }
        Ok(0)
    }
}

/// A type that IDX files hold: `u8`, `i8`, `i16`, `i32`, `f32` or `f64`.
pub trait Element: sealed::Element {
    /// Its name in the header.
    const TYPE: ElementType;
}

mod sealed {
    pub trait Element: Copy {
        fn write(values: &[Self], out: &mut impl std::io::Write) -> std::io::Result<()>;
        fn write_little_endian(
            values: &[Self],
            out: &mut impl std::io::Write,
        ) -> std::io::Result<()>;
    }
}

macro_rules! element {
    ($($number:ident $kind:ident),*) => { $(
        impl Element for $number {
            const TYPE: ElementType = ElementType::$kind;
        }

        impl sealed::Element for $number {
            fn write(values: &[Self], out: &mut impl Write) -> io::Result<()> {
                if size_of::<Self>() == 1 {
                    return out.write_all(bytemuck::cast_slice(values));
                }
                values.iter().try_for_each(|value| out.write_all(&value.to_be_bytes()))
            }
            fn write_little_endian(values: &[Self], out: &mut impl Write) -> io::Result<()> {
                values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
            }
        }
    )* };
}
element!(u8 U8, i8 I8, i16 I16, i32 I32, f32 F32, f64 F64);

/// A file to write from its beginning, unless it is mapped by an [`Idx`].
pub(crate) fn create(path: &Path) -> Result<File> {
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

/// Writes `values`, row-major, as an IDX file of the dimensions `dims`, outermost first.
///
/// A file of that name is overwritten in place, unless it is mapped by an [`Idx`].
///
/// # Errors
/// [`Error::Shape`] if `dims` are not 1 to 255 numbers in `1..=u32::MAX` with the product
/// `values.len()` (nothing is written then); [`Error::Io`] if the file cannot be written, or is
/// mapped.
pub fn write<T: Element>(path: impl AsRef<Path>, dims: &[usize], values: &[T]) -> Result<()> {
    let path = path.as_ref();
    let header = header(path, T::TYPE, dims)?;
    if dims.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim)) != Some(values.len()) {
        let (path, count) = (path.display(), values.len());
        let problem = format!("{path}: {count} values were given for {}", shape(dims));
        return Err(Error::Shape(problem));
    }
    let mut out = BufWriter::with_capacity(1 << 16, create(path)?);
    out.write_all(&header)
        .and_then(|()| T::write(values, &mut out))
        .and_then(|()| out.flush())
        .map_err(|e| Error::io("write", path, e))
}

/// How a file begins; `path` is what errors call it.
pub(crate) fn header(path: &Path, kind: ElementType, dims: &[usize]) -> Result<Vec<u8>> {
    let wrong = |what: String| Err(Error::Shape(format!("{}: {what}", path.display())));
    if !(1..=255).contains(&dims.len()) {
        return wrong(format!("{} dimensions, an IDX file has 1 to 255", dims.len()));
    }
    let mut header = vec![0, 0, kind as u8, dims.len() as u8];
    for &dim in dims {
        match u32::try_from(dim) {
            Ok(dim @ 1..) => header.extend(dim.to_be_bytes()),
            _ => return wrong(format!("dimension {dim}, 1 to {} was expected", u32::MAX)),
        }
    }
    Ok(header)
}
