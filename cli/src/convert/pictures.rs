//! Folders of PNGs.

use std::cmp::Ordering;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use alphanumeric_sort::compare_str;
use png::{ColorType, DecodingError, Reader, Transformations};
use sae::{Error, data::Array};

use super::{go_on, whole, wrong};
use crate::failure::{Failure, Result};
use crate::output::write_error;
use crate::picture::{MAX_PIXELS, image_of_dims, write_png};

/// A folder's PNGs in their order.
pub struct Folder {
    pub files: Vec<PathBuf>,
    /// The sub-folders, if the PNGs are there, and how many each has.
    pub classes: Vec<(OsString, usize)>,
    /// Files that are no PNGs by their names.
    pub left_out: usize,
}

impl Folder {
    pub fn list(path: &Path) -> Result<Self> {
        let (files, folders, mut left_out) = entries(path)?;
        let (count, others) = (files.len(), folders.len());
        if count > 0 && others > 0 {
            return Err(wrong(
                path,
                &format!("{count} PNGs and {others} sub-folders; one or the other was expected"),
            ));
        }
        let mut all: Vec<_> = files.iter().map(|name| path.join(name)).collect();
        let mut classes = Vec::new();
        for name in folders {
            let folder = path.join(&name);
            let (files, deeper, left) = entries(&folder)?;
            if let Some(deeper) = deeper.first() {
                let problem = "a folder within a sub-folder; PNGs were expected";
                return Err(wrong(&folder.join(deeper), problem));
            }
            all.extend(files.iter().map(|name| folder.join(name)));
            left_out += left;
            classes.push((name, files.len()));
        }
        if all.is_empty() {
            let others = match left_out {
                0 => String::new(),
                _ => format!(", but {left_out} files whose names do not end in .png"),
            };
            return Err(wrong(path, &format!("no PNGs in this folder{others}")));
        }
        Ok(Folder { files: all, classes, left_out })
    }
}

/// Names of a folder's PNGs and sub-folders, each sorted, and how many other files it has. Hidden
/// ones do not count.
fn entries(path: &Path) -> Result<(Vec<OsString>, Vec<OsString>, usize)> {
    let wrong = |source| Error::Io { action: "read", path: path.to_owned(), source };
    let (mut files, mut folders, mut others) = (Vec::new(), Vec::new(), 0);
    for entry in fs::read_dir(path).map_err(wrong)? {
        let name = entry.map_err(wrong)?.file_name();
        let shown = name.to_string_lossy().to_lowercase();
        if shown.starts_with('.') {
            continue;
        }
        // What a link leads to.
        if path.join(&name).is_dir() {
            folders.push(name);
        } else if shown.ends_with(".png") {
            files.push(name);
        } else {
            others += 1;
        }
    }
    for names in [&mut files, &mut folders] {
        names.sort_by(|a, b| compare(a, b));
    }
    Ok((files, folders, others))
}

/// Numbers in names by their value; the same number with fewer zeros before it first.
fn compare(a: &OsStr, b: &OsStr) -> Ordering {
    // Names that are no text need a place among the others, too.
    compare_str(a.to_string_lossy(), b.to_string_lossy()).then_with(|| a.cmp(b))
}

fn refused(path: &Path, error: DecodingError) -> Failure {
    match error {
        DecodingError::IoError(e) if e.kind() != io::ErrorKind::UnexpectedEof => {
            Error::Io { action: "read", path: path.to_owned(), source: e }.into()
        }
        DecodingError::IoError(_) => wrong(path, "this PNG is cut off"),
        DecodingError::LimitsExceeded => wrong(path, "this PNG takes too much memory"),
        error => wrong(path, &format!("not a whole PNG: {error}")),
    }
}

/// A PNG whose header was read.
fn open(path: &Path) -> Result<Reader<BufReader<File>>> {
    let file = File::open(path).map_err(|source| Error::Io {
        action: "open",
        path: path.to_owned(),
        source,
    })?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    // Palettes become colours, every number a byte.
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.read_info().map_err(|e| refused(path, e))
}

fn rows_and_columns<R: io::BufRead + io::Seek>(reader: &Reader<R>) -> (usize, usize) {
    let info = reader.info();
    (info.height as usize, info.width as usize)
}

/// Rows and columns of a PNG.
pub fn size(path: &Path) -> Result<(usize, usize)> {
    let (rows, cols) = rows_and_columns(&open(path)?);
    if rows.saturating_mul(cols) > MAX_PIXELS {
        return Err(wrong(path, &format!("a picture of {rows} x {cols} pixels is too large")));
    }
    Ok((rows, cols))
}

/// The pixels of a PNG, grey, which must be of the size of `first`.
pub fn read(path: &Path, size: (usize, usize), first: &Path) -> Result<Vec<u8>> {
    let mut reader = open(path)?;
    let have = rows_and_columns(&reader);
    if have != size {
        let ((rows, cols), (want_rows, want_cols)) = (have, size);
        return Err(wrong(
            path,
            &format!(
                "{rows} x {cols} pixels, but {} has {want_rows} x {want_cols}; PNGs of one size \
                 were expected",
                first.display()
            ),
        ));
    }
    let length = reader.output_buffer_size().ok_or_else(|| wrong(path, "too large"))?;
    let mut pixels = vec![0; length];
    let info = reader.next_frame(&mut pixels).map_err(|e| refused(path, e))?;
    // What stands behind the pixels is part of a whole file.
    reader.finish().map_err(|e| refused(path, e))?;
    pixels.truncate(info.buffer_size());
    let opaque = match info.color_type {
        ColorType::GrayscaleAlpha => pixels.iter().skip(1).step_by(2).all(|&alpha| alpha == 255),
        ColorType::Rgba => pixels.iter().skip(3).step_by(4).all(|&alpha| alpha == 255),
        _ => true,
    };
    if !opaque {
        let problem = "some pixels are transparent, and no background is known";
        let hint = "with ImageMagick: mogrify -background black -alpha remove *.png";
        return Err(wrong(path, problem).hint(hint));
    }
    Ok(match info.color_type {
        ColorType::Rgb => pixels.chunks_exact(3).map(grey).collect(),
        ColorType::Rgba => pixels.chunks_exact(4).map(grey).collect(),
        ColorType::GrayscaleAlpha => pixels.into_iter().step_by(2).collect(),
        _ => pixels,
    })
}

/// The luma of ITU-R BT.601, rounded.
fn grey(colour: &[u8]) -> u8 {
    let [red, green, blue] = [0, 1, 2].map(|at| u32::from(colour[at]));
    ((299 * red + 587 * green + 114 * blue + 500) / 1000) as u8
}

/// Writes each sample as a PNG into a new or empty folder, and returns their rows and columns. The
/// folder has its name only when it is whole.
pub fn write(to: &Path, array: &Array) -> Result<(usize, usize)> {
    let samples = array.as_u8().ok_or_else(|| {
        let problem = format!("elements are {}; PNGs are made of u8", array.element_type());
        wrong(array.path(), &problem)
    })?;
    let features = array.features();
    let (rows, cols) = image_of_dims(array.dims()).ok_or_else(|| {
        let problem = "its samples are no images of rows and columns, nor squares";
        wrong(array.path(), problem)
    })?;
    if features > MAX_PIXELS {
        return Err(wrong(
            array.path(),
            &format!("images of {rows} x {cols} pixels are too large"),
        ));
    }
    let target = target(to)?;
    let making = making(&target)?;
    let digits = (array.samples() - 1).to_string().len();
    let create = |source| Error::Io { action: "create", path: to.to_owned(), source };
    fs::create_dir(&making).map_err(create)?;
    let done = whole(|| {
        samples.chunks(features).enumerate().try_for_each(|(at, pixels)| {
            go_on()?;
            let path = making.join(format!("{at:0digits$}.png"));
            Ok::<_, Failure>(write_png(&path, (rows, cols), pixels)?)
        })?;
        Ok(put(&making, &target).map_err(create)?)
    });
    if done.is_err() {
        let _ = fs::remove_dir_all(&making);
    }
    done.map(|()| (rows, cols))
}

/// Gives the whole folder its name; an empty folder gives way.
fn put(making: &Path, target: &Path) -> io::Result<()> {
    if target.exists() {
        fs::remove_dir(target)?;
    }
    fs::rename(making, target)
}

/// The folder's true place, which must be free.
fn target(to: &Path) -> Result<PathBuf> {
    let target = match fs::metadata(to) {
        Err(_) => return Ok(to.to_owned()),
        Ok(metadata) if !metadata.is_dir() => {
            return Err(wrong(to, "this is a file; a folder for PNGs was expected"));
        }
        Ok(_) => fs::canonicalize(to).map_err(|e| write_error(to, e))?,
    };
    let mut entries = fs::read_dir(&target).map_err(|e| write_error(to, e))?;
    if entries.next().is_some() {
        return Err(wrong(to, "this folder is not empty; a new or an empty one was expected"));
    }
    if env::current_dir().is_ok_and(|here| here == target) {
        return Err(wrong(to, "this folder is in use; the name of another was expected"));
    }
    Ok(target)
}

/// A name beside the folder's until it is whole.
fn making(target: &Path) -> Result<PathBuf> {
    let name = target.file_name().ok_or_else(|| wrong(target, "this names no folder"))?;
    let hidden = format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id());
    Ok(target.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        // A sort may panic where this does not hold.
        #[test]
        fn names_have_one_order(names in prop::collection::vec("[0-2a.\u{70b9}-]{0,5}", 3)) {
            let order = |a: usize, b: usize| compare(names[a].as_ref(), names[b].as_ref());
            prop_assert_eq!(order(0, 1), order(1, 0).reverse());
            prop_assert_eq!(order(0, 1).is_eq(), names[0] == names[1]);
            if order(0, 1) == order(1, 2) {
                prop_assert_eq!(order(0, 2), order(0, 1), "{:?}", names);
            }
        }
    }

    #[test]
    fn colours_become_grey() {
        for (colour, want) in [([0; 3], 0), ([255; 3], 255), ([255, 0, 0], 76), ([1, 2, 3], 2)] {
            assert_eq!(grey(&colour), want);
        }
    }
}
