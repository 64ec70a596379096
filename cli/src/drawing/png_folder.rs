//! Folders of PNGs, one per image.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::drawing::picture::{MAX_PIXELS, write_png};
use crate::drawing::shape::Shape;
use crate::failure::{Failure, Result, io_error};
use crate::interrupt;

/// Fails if images are larger than a PNG of ours may be; `path` is what they are of.
pub fn check_size(path: &Path, rows: usize, cols: usize) -> Result<()> {
    if rows.saturating_mul(cols) > MAX_PIXELS {
        let problem = format!("images of {rows} x {cols} pixels; expected at most {MAX_PIXELS}");
        return Err(Failure::at(path, problem));
    }
    Ok(())
}

/// Writes images into a new or empty folder: `images` calls the function that it is given with the
/// numbers of each, as its shape has them. The folder is written under a temporary name until it
/// is complete.
///
/// `name` is that of each image, which may be in a sub-folder.
pub fn write(
    to: &Path,
    name: &dyn Fn(usize) -> PathBuf,
    shape: Shape,
    images: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>,
) -> Result<()> {
    let target = target(to)?;
    let temporary = temporary(&target)?;
    fs::create_dir(&temporary).map_err(io_error("create", to))?;
    let done = interrupt::interruptible(|| {
        let mut at = 0;
        images(&mut |pixels| {
            interrupt::check()?;
            let path = temporary.join(name(at));
            if let Some(folder) = path.parent().filter(|folder| *folder != temporary) {
                fs::create_dir_all(folder).map_err(io_error("create", folder))?;
            }
            at += 1;
            Ok(write_png(&path, shape, pixels)?)
        })?;
        Ok(rename(&temporary, &target).map_err(io_error("create", to))?)
    });
    if done.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    done
}

/// The name of an image by its number, with as many digits as the largest of `count` has.
pub fn numbered(number: usize, count: usize) -> String {
    let digits = count.saturating_sub(1).to_string().len();
    format!("{number:0digits$}.png")
}

/// Renames a folder; an empty folder of that name is replaced.
fn rename(temporary: &Path, target: &Path) -> io::Result<()> {
    if target.exists() {
        fs::remove_dir(target)?;
    }
    fs::rename(temporary, target)
}

/// The path of the folder with links resolved. Fails if it is in use.
pub fn target(to: &Path) -> Result<PathBuf> {
    let write_error = io_error("write", to);
    let target = match fs::metadata(to) {
        Err(_) => return Ok(to.to_owned()),
        Ok(metadata) if !metadata.is_dir() => {
            return Err(Failure::at(to, "expected a folder for the PNGs, got a file"));
        }
        Ok(_) => fs::canonicalize(to).map_err(&write_error)?,
    };
    let mut entries = fs::read_dir(&target).map_err(&write_error)?;
    if entries.next().is_some() {
        return Err(Failure::at(to, "expected a new or empty folder, but it has files")
            .hint("give another name; a folder is never replaced, with --overwrite neither"));
    }
    if env::current_dir().is_ok_and(|here| here == target) {
        return Err(Failure::at(to, "expected another folder than the current one"));
    }
    Ok(target)
}

/// A hidden name beside the folder's.
fn temporary(target: &Path) -> Result<PathBuf> {
    let name = target.file_name().ok_or_else(|| Failure::at(target, "expected a folder's name"))?;
    let hidden = format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id());
    Ok(target.with_file_name(hidden))
}
