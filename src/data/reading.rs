//! Reading a file of samples, whatever its format: memory that grows with what arrives, gzip, and
//! errors that say where.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, Read};
use std::path::Path;

use crate::data::header::{Header, shape};
use crate::error::{Error, Result};

/// How gzip-compressed content begins.
pub(crate) const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Opens a file for reading.
pub(crate) fn open_file(path: &Path) -> Result<(File, Metadata)> {
    let opened = File::open(path).and_then(|file| file.metadata().map(|m| (file, m)));
    // Opening a folder works on Unix and is "permission denied" on Windows.
    if opened.as_ref().map_or_else(|_| path.is_dir(), |(_, m)| m.is_dir()) {
        return Err(Error::format(path, None, "this is a folder, a file was expected"));
    }
    opened.map_err(|e| Error::io("open", path, e))
}

/// Where bytes come from, for the errors.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub path: &'a Path,
    /// The bytes are the uncompressed content of a gzip file.
    pub compressed: bool,
}

impl Input<'_> {
    /// What is wrong at a byte of the content.
    pub fn error(self, offset: usize, problem: impl fmt::Display) -> Error {
        let place = if self.compressed { " (counted in the uncompressed content)" } else { "" };
        Error::format(self.path, Some(offset as u64), format!("{problem}{place}"))
    }

    /// Reads until `bytes` holds `target` bytes or the input ends. Memory grows with what arrives,
    /// at most to twice that, or by `step` if the file is known to have as much.
    pub fn fill(
        self,
        from: &mut impl Read,
        bytes: &mut Vec<u8>,
        target: usize,
        step: usize,
    ) -> Result<()> {
        while bytes.len() < target {
            let more = (target - bytes.len()).min(bytes.len().max(64 << 10).max(step));
            bytes.try_reserve_exact(more).map_err(|_| {
                Error::io("read", self.path, io::Error::from(io::ErrorKind::OutOfMemory))
            })?;
            match from.take(more as u64).read_to_end(bytes) {
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
            UnexpectedEof if self.compressed => "the gzip data is cut off".to_owned(),
            InvalidData | InvalidInput if self.compressed => format!("bad gzip data: {error}"),
            _ => return Error::io("read", self.path, error),
        };
        Error::format(self.path, None, format!("{problem} (after {arrived} uncompressed bytes)"))
    }

    /// Reads the elements into `bytes`, which hold the header, and checks that the content ends there,
    /// or that what follows begins as `next` says. Returns whether something follows, which is read, too.
    pub fn read_elements(
        self,
        header: &Header,
        next: Option<&[u8]>,
        from: &mut impl Read,
        bytes: &mut Vec<u8>,
        step: usize,
    ) -> Result<bool> {
        let end = header.end_of_file();
        self.fill(from, bytes, end + 1, step)?;
        let length = bytes.len();
        if let Some(next) = next.filter(|_| length > end) {
            self.fill(from, bytes, end + next.len(), 0)?;
            if bytes[end..].starts_with(next) {
                bytes.truncate(end);
                // A pipe's writer ends well, and damaged gzip is noticed.
                io::copy(from, &mut io::sink()).map_err(|e| self.read_error(e, end))?;
                return Ok(true);
            }
        }
        let more = if length > end { " or more" } else { "" };
        self.check_length(header, length as u64, more)?;
        Ok(false)
    }

    /// Checks that the content is as long as its header says.
    pub fn check_length(self, header: &Header, length: u64, more: &str) -> Result<()> {
        let (dims, element, end) = (shape(&header.dims), header.element_type, header.end_of_file());
        if length == end as u64 {
            return Ok(());
        }
        let has = if self.compressed { "the uncompressed content" } else { "the file" };
        let says = match header.tail {
            0 => format!("header says {dims} {element} = {end} bytes with the header"),
            _ => format!("header says {end} bytes with all tensors"),
        };
        Err(Error::format(self.path, None, format!("{says}, {has} has {length}{more}")))
    }
}

/// The uncompressed content of a gzip file.
#[cfg(feature = "gz")]
pub(crate) fn gunzip(_: &Path, compressed: impl BufRead) -> Result<impl Read> {
    Ok(Members(Some(flate2::bufread::GzDecoder::new(compressed))))
}

#[cfg(not(feature = "gz"))]
pub(crate) fn gunzip(path: &Path, _: impl BufRead) -> Result<impl Read> {
    let problem = "gzip-compressed; decompress it first, or build `sae` with the feature `gz`";
    Err::<io::Empty, _>(Error::format(path, Some(0), problem))
}

/// A gzip file's members, one after another, with zeros after them, as tapes and some mirrors add, and
/// nothing else: flate2's own `MultiGzDecoder` does not tell a tail of other bytes from a member cut
/// off.
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
            let rest = loop {
                let rest = member.get_mut().fill_buf()?;
                let zeros = rest.iter().take_while(|&&byte| byte == 0).count();
                if zeros == 0 {
                    break rest;
                }
                member.get_mut().consume(zeros);
            };
            if rest.is_empty() {
                break;
            }
            if rest[0] != GZIP[0] {
                let problem = "bytes that are neither gzip's nor zeros follow its end";
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
            self.0 = self.0.take().map(|m| flate2::bufread::GzDecoder::new(m.into_inner()));
        }
        Ok(0)
    }
}
