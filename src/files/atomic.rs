//! Files that are replaced whole: until the new content is on the disk, the name stands for the
//! old one.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What replacing a file asks of the system; tests give one that fails.
pub(crate) trait Disk {
    /// Makes a file that is not there, writes it and waits until it is on the disk.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Waits until a file is on the disk.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// A second name for a file.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Waits until a folder's names are on the disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// The real one.
pub(crate) struct System;

/// Bytes in memory at a multiple of this go to the disk without a copy in the system's cache, which
/// would cost a core more than all else about a checkpoint.
pub(crate) const BLOCK: usize = 4096;

/// Writes what of the bytes it can without the system's cache, and tells how much that is: 0 where
/// there is no such way.
#[cfg(target_os = "linux")]
fn write_past_cache(path: &Path, bytes: &[u8]) -> usize {
    use std::os::unix::fs::OpenOptionsExt;
    let whole = bytes.len() / BLOCK * BLOCK;
    if !bytes.as_ptr().addr().is_multiple_of(BLOCK) {
        return 0;
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).custom_flags(libc::O_DIRECT).open(path);
    // Where it fails half-way, all is written again the usual way, which tells why.
    match file.and_then(|mut file| file.write_all(&bytes[..whole])) {
        Ok(()) => whole,
        Err(_) => 0,
    }
}

#[cfg(not(target_os = "linux"))]
fn write_past_cache(_: &Path, _: &[u8]) -> usize {
    0
}

impl Disk for System {
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let written = write_past_cache(path, bytes);
        file.seek(SeekFrom::Start(written as u64))?;
        file.write_all(&bytes[written..])?;
        file.sync_all()
    }
    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        // Not every file system has second names; a copy is as good, only slower.
        fs::hard_link(from, to).or_else(|_| {
            fs::copy(from, to)?;
            self.sync(to)
        })
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        match File::open(path) {
            Ok(folder) => folder.sync_all(),
            // Systems that cannot open a folder do without.
            Err(_) => Ok(()),
        }
    }
}

/// Replaces a file: `write` writes the new content to the path that it is given, in the same
/// folder; once that is on the disk it gets the name. Whatever fails, the name stands for the
/// whole old content or the whole new one. A link stays, and what it leads to is replaced; a
/// device or a pipe is written as it is.
///
/// # Errors
/// [`Error::Io`], and those of `write`.
pub fn replace<E: From<Error>>(
    path: impl AsRef<Path>,
    write: impl FnOnce(&Path) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let path = path.as_ref();
    let wrong = |e| Error::io("write", path, e);
    let target = resolved(path).map_err(wrong)?;
    if fs::metadata(&target).is_ok_and(|m| !m.is_file() && !m.is_dir()) {
        return write(&target);
    }
    let temporary = temporary(&target).map_err(wrong)?;
    let done = write(&temporary).and_then(|()| {
        let put = System.sync(&temporary).and_then(|()| put(&System, &temporary, &target));
        put.map_err(|e| wrong(e).into())
    });
    if done.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    done
}

/// Fails if a file could not be replaced there, as it would after long work; removes what a writer
/// of the same file that was killed has left beside it.
///
/// # Errors
/// [`Error::Io`] if its folder cannot be written, [`Error::Format`] if it is a folder.
pub fn check_writable(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    if path.is_dir() {
        return Err(Error::format(path, None, "this is a folder, a file's name was expected"));
    }
    let wrong = |e| Error::io("write", path, e);
    let target = resolved(path).map_err(wrong)?;
    if target.exists() && !target.is_file() {
        return Ok(());
    }
    let trial = temporary(&target).map_err(wrong)?;
    File::create_new(&trial).map_err(wrong)?;
    remove_temporary(&target).map_err(wrong)
}

/// What a link leads to.
pub(crate) fn resolved(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        target => target,
    }
}

/// Gives a file that is on the disk its name.
pub(crate) fn put(disk: &impl Disk, temporary: &Path, target: &Path) -> io::Result<()> {
    disk.rename(temporary, target)?;
    disk.sync_folder(folder(target))
}

/// A random name beside `path`.
pub(crate) fn temporary(path: &Path) -> io::Result<PathBuf> {
    let (start, end) = temporary_names(path)?;
    // The standard library's hasher is seeded at random.
    let random = RandomState::new().build_hasher().finish();
    Ok(path.with_file_name(format!("{start}{random:016x}{end}")))
}

/// Removes what writers of `path` that were killed left behind.
pub(crate) fn remove_temporary(path: &Path) -> io::Result<()> {
    let (start, end) = temporary_names(path)?;
    for entry in fs::read_dir(folder(path))? {
        let entry = entry?;
        let name = entry.file_name();
        let random = name.to_str().and_then(|n| n.strip_prefix(&start)?.strip_suffix(end));
        if random.is_some_and(|r| r.len() == 16 && r.bytes().all(|b| b.is_ascii_hexdigit())) {
            match fs::remove_file(entry.path()) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
    }
    Ok(())
}

/// How the names of temporary files for `path` begin and end.
fn temporary_names(path: &Path) -> io::Result<(String, &'static str)> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    Ok((format!(".{}.", name.to_string_lossy()), ".tmp"))
}

pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
