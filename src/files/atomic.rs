//! Atomic writes: a file has its old content or its new content, after a crash at any moment.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The operations of the file system that an atomic write needs; tests have one that fails.
pub(crate) trait Disk {
    /// Creates a file, writes it and waits until it is on the disk. Fails if it exists.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Waits until a file is on the disk.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Gives a file a second name.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Waits until the names in a folder are on the disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// The file system of the machine.
pub(crate) struct System;

/// Alignment in memory of bytes that are written without a copy in the page cache. That copy would
/// cost more time of a core than all else about a checkpoint.
pub(crate) const BLOCK: usize = 4096;

/// Writes bytes past the page cache, and returns how many: 0 where the system cannot.
#[cfg(target_os = "linux")]
fn write_past_cache(path: &Path, bytes: &[u8]) -> usize {
    use std::os::unix::fs::OpenOptionsExt;
    let whole = bytes.len() / BLOCK * BLOCK;
    if !bytes.as_ptr().addr().is_multiple_of(BLOCK) {
        return 0;
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).custom_flags(libc::O_DIRECT).open(path);
    // After a failure all is written again the usual way, whose error says why.
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
        // Windows flushes only what a handle may write; elsewhere the file may be read-only.
        OpenOptions::new().read(true).write(cfg!(windows)).open(path)?.sync_all()
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        // Not every file system has hard links; a copy does as well, only slower.
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
            // Not every system can open a folder.
            Err(_) => Ok(()),
        }
    }
}

/// Replaces a file atomically.
///
/// `write` writes the new content to the path it is given, a temporary file in the same folder, which
/// is renamed once it is on the disk. The file is valid after a crash at any moment. Of a symbolic
/// link the target is replaced; a device or a pipe is written directly.
///
/// # Errors
/// [`Error::Io`], and those of `write`.
#[doc(hidden)]
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

/// Replaces a file by these bytes, atomically.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |temporary| {
        // An error names the file that the caller knows.
        fs::write(temporary, bytes).map_err(|e| Error::io("write", path, e))
    })
}

/// Makes a folder of these files, atomically: it is complete or not there. A folder that is there must be
/// empty.
#[cfg(feature = "exchange")]
pub(crate) fn write_folder(path: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
    let wrong = |e| Error::io("write", path, e);
    let target = resolved(path).map_err(wrong)?;
    if target.exists() && !fs::read_dir(&target).is_ok_and(|mut entries| entries.next().is_none()) {
        let problem = "expected a new or empty folder, but it has files";
        return Err(Error::format(path, None, problem));
    }
    let temporary = temporary(&target).map_err(wrong)?;
    let make = || {
        fs::create_dir(&temporary)?;
        for (name, bytes) in files {
            System.write_new(&temporary.join(name), bytes)?;
        }
        System.sync_folder(&temporary)?;
        if target.exists() {
            // Only if it is still empty.
            fs::remove_dir(&target)?;
        }
        put(&System, &temporary, &target)
    };
    let made = make().map_err(wrong);
    if made.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    made
}

/// Fails if a file could not be replaced there, before long work would be lost.
///
/// Removes the temporary files that killed writers of the same file have left beside it.
///
/// # Errors
/// [`Error::Io`] if its folder cannot be written, [`Error::Format`] if it is a folder.
#[doc(hidden)]
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

/// The target of a symbolic link; other paths as they are.
pub(crate) fn resolved(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        target => target,
    }
}

/// Renames a file that is on the disk.
pub(crate) fn put(disk: &impl Disk, temporary: &Path, target: &Path) -> io::Result<()> {
    disk.rename(temporary, target)?;
    disk.sync_folder(folder(target))
}

/// A random name for a temporary file beside `path`.
pub(crate) fn temporary(path: &Path) -> io::Result<PathBuf> {
    let (start, end) = temporary_names(path)?;
    // The standard library's hasher is seeded at random.
    let random = RandomState::new().build_hasher().finish();
    Ok(path.with_file_name(format!("{start}{random:016x}{end}")))
}

/// Removes the temporary files of killed writers of `path`.
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

/// Start and end of the names of temporary files for `path`.
fn temporary_names(path: &Path) -> io::Result<(String, &'static str)> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    Ok((format!(".{}.", name.to_string_lossy()), ".tmp"))
}

/// The folder that a path is in.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
