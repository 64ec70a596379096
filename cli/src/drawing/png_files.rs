//! Reading PNGs: a folder of them, and their pixels.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use alphanumeric_sort::compare_str;
use png::{ColorType, DecodingError, Reader, Transformations};

use crate::drawing::png_folder::check_size;
use crate::failure::{Failure, Result, io_error};
use crate::output::counted;
use crate::runs;

/// A folder's PNGs, sorted.
pub struct Folder {
    pub files: Vec<PathBuf>,
    /// The names of the sub-folders that contain the PNGs, and the number of PNGs in each.
    pub classes: Vec<(OsString, usize)>,
    /// Files whose names do not end in .png.
    pub left_out: usize,
}

impl Folder {
    pub fn list(path: &Path) -> Result<Self> {
        let (files, folders, mut left_out) = entries(path)?;
        let (count, others) = (files.len(), folders.len());
        if count > 0 && others > 0 {
            let problem = format!(
                "expected PNGs or sub-folders, got {} and {}",
                counted(count, "PNG"),
                counted(others, "sub-folder")
            );
            return Err(Failure::at(path, problem));
        }
        let mut all: Vec<_> = files.iter().map(|name| path.join(name)).collect();
        let mut classes = Vec::new();
        for name in folders {
            let folder = path.join(&name);
            let (files, deeper, left) = entries(&folder)?;
            if let Some(deeper) = deeper.first() {
                let problem = "expected only PNGs in a sub-folder, got a folder";
                return Err(Failure::at(&folder.join(deeper), problem));
            }
            all.extend(files.iter().map(|name| folder.join(name)));
            left_out += left;
            classes.push((name, files.len()));
        }
        if all.is_empty() {
            let others = match left_out {
                0 => String::new(),
                _ => {
                    format!(", but {} without a name that ends in .png", counted(left_out, "file"))
                }
            };
            return Err(Failure::at(path, format!("no PNGs in this folder{others}")));
        }
        Ok(Folder { files: all, classes, left_out })
    }
}

/// Whether a folder has PNGs, or sub-folders that have some.
pub fn are_in(path: &Path) -> Result<bool> {
    let (files, folders, _) = entries(path)?;
    let mut below = folders.iter().map(|name| entries(&path.join(name)));
    Ok(!files.is_empty() || below.any(|it| it.is_ok_and(|(files, ..)| !files.is_empty())))
}

/// The names of a folder's PNGs and sub-folders, each sorted, and the number of other files.
///
/// Hidden files are ignored, and what trainings have left: the picture beside a model, and the folder of runs.
fn entries(path: &Path) -> Result<(Vec<OsString>, Vec<OsString>, usize)> {
    let read_error = io_error("read", path);
    let all = fs::read_dir(path).map_err(&read_error)?;
    let all: io::Result<Vec<_>> = all.map(|entry| Ok(entry?.file_name())).collect();
    let all = all.map_err(&read_error)?;
    let text = |name: &OsStr| name.to_string_lossy().to_lowercase();
    let models: HashSet<_> = all
        .iter()
        .filter_map(|name| Some(text(name).strip_suffix(".data.json")?.to_owned()))
        .collect();
    let (mut files, mut folders, mut others) = (Vec::new(), Vec::new(), 0);
    for name in all {
        let shown = text(&name);
        if shown.starts_with('.') {
            continue;
        }
        // Follows links.
        if path.join(&name).is_dir() {
            if name != runs::RUNS || !entries(&path.join(&name))?.0.is_empty() {
                folders.push(name);
            }
        } else if let Some(stem) = shown.strip_suffix(".png") {
            if !models.contains(stem) {
                files.push(name);
            }
        } else {
            others += 1;
        }
    }
    for names in [&mut files, &mut folders] {
        names.sort_by(|a, b| compare(a, b));
    }
    Ok((files, folders, others))
}

/// Orders names with numbers by value; of equal numbers the one with fewer leading zeros is first.
fn compare(a: &OsStr, b: &OsStr) -> Ordering {
    // Names that are not valid text can be equal as text.
    compare_str(a.to_string_lossy(), b.to_string_lossy()).then_with(|| a.cmp(b))
}

fn refused(path: &Path, error: DecodingError) -> Failure {
    match error {
        DecodingError::IoError(e) if e.kind() != io::ErrorKind::UnexpectedEof => {
            io_error("read", path)(e).into()
        }
        DecodingError::IoError(_) => Failure::at(path, "this PNG is truncated"),
        DecodingError::LimitsExceeded => Failure::at(path, "this PNG needs too much memory"),
        error => Failure::at(path, format!("not a valid PNG: {error}")),
    }
}

/// Opens a PNG and reads its header.
fn open(path: &Path) -> Result<Reader<BufReader<File>>> {
    let file = File::open(path).map_err(io_error("open", path))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    // Palettes become colors, every number a byte.
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.read_info().map_err(|e| refused(path, e))
}

fn rows_and_columns(reader: &Reader<BufReader<File>>) -> (usize, usize) {
    let info = reader.info();
    (info.height as usize, info.width as usize)
}

/// Rows and columns of a PNG.
pub fn size(path: &Path) -> Result<(usize, usize)> {
    let (rows, cols) = rows_and_columns(&open(path)?);
    check_size(path, rows, cols)?;
    Ok((rows, cols))
}

/// The pixels of a PNG, which must have the size of the first PNG: gray ones, or with `in_color` of three bytes.
/// Also whether gray ones have lost colors.
pub fn read(
    path: &Path,
    size: (usize, usize),
    first: &Path,
    in_color: bool,
) -> Result<(Vec<u8>, bool)> {
    let mut reader = open(path)?;
    let have = rows_and_columns(&reader);
    if have != size {
        let ((rows, cols), (first_rows, first_cols)) = (have, size);
        let problem = format!(
            "expected the {first_rows} x {first_cols} pixels of {}, got {rows} x {cols}",
            first.display()
        );
        let hint = format!(
            "ImageMagick makes them equal: mogrify -resize {first_cols}x{first_rows}! *.png"
        );
        return Err(Failure::at(path, problem).hint(hint));
    }
    let length = reader.output_buffer_size().ok_or_else(|| Failure::at(path, "too large"))?;
    let mut pixels = vec![0; length];
    let info = reader.next_frame(&mut pixels).map_err(|e| refused(path, e))?;
    // Also checks what follows the pixels.
    reader.finish().map_err(|e| refused(path, e))?;
    pixels.truncate(info.buffer_size());
    let opaque = match info.color_type {
        ColorType::GrayscaleAlpha => pixels.iter().skip(1).step_by(2).all(|&alpha| alpha == 255),
        ColorType::Rgba => pixels.iter().skip(3).step_by(4).all(|&alpha| alpha == 255),
        _ => true,
    };
    if !opaque {
        let problem = "some pixels are transparent; expected opaque pixels";
        let hint = "ImageMagick adds a background: mogrify -background black -alpha remove *.png";
        return Err(Failure::at(path, problem).hint(hint));
    }
    let pixels: Vec<u8> = match info.color_type {
        ColorType::Rgba => pixels.chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect(),
        ColorType::GrayscaleAlpha => pixels.into_iter().step_by(2).collect(),
        _ => pixels,
    };
    let has_colors = matches!(info.color_type, ColorType::Rgb | ColorType::Rgba);
    let is_gray = |pixel: &[u8]| pixel[0] == pixel[1] && pixel[1] == pixel[2];
    Ok(match (has_colors, in_color) {
        (true, false) => {
            let loses = !pixels.chunks_exact(3).all(is_gray);
            (pixels.chunks_exact(3).map(gray).collect(), loses)
        }
        (false, true) => (pixels.iter().flat_map(|&gray| [gray; 3]).collect(), false),
        _ => (pixels, false),
    })
}

/// The luma of ITU-R BT.601, rounded.
fn gray(color: &[u8]) -> u8 {
    let [red, green, blue] = [0, 1, 2].map(|at| u32::from(color[at]));
    ((299 * red + 587 * green + 114 * blue + 500) / 1000) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        // A sort may panic where this does not hold.
        #[test]
        fn names_have_a_total_order(names in prop::collection::vec("[0-2a.\u{70b9}-]{0,5}", 3)) {
            let order = |a: usize, b: usize| compare(names[a].as_ref(), names[b].as_ref());
            prop_assert_eq!(order(0, 1), order(1, 0).reverse());
            prop_assert_eq!(order(0, 1).is_eq(), names[0] == names[1]);
            if order(0, 1) == order(1, 2) {
                prop_assert_eq!(order(0, 2), order(0, 1), "{:?}", names);
            }
        }
    }

    #[test]
    fn colors_become_gray() {
        for (color, want) in [([0; 3], 0), ([255; 3], 255), ([255, 0, 0], 76), ([1, 2, 3], 2)] {
            assert_eq!(gray(&color), want);
        }
    }
}
