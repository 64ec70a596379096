//! Folders of PNGs.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use alphanumeric_sort::compare_str;
use png::{ColorType, DecodingError, Reader, Transformations};
use sae::{
    data::{Array, ElementType},
    files,
};

use super::formats::{Kind, NUMBERS_EXPECTED};
use crate::drawing::picture::image_of_dims;
use crate::drawing::png_folder::{self as folder, check_size};
use crate::drawing::shape::Shape;
use crate::failure::{Failure, Result, io_error};
use crate::output::counted;
use crate::outputs::check_writable;

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

    /// The kind of the file for the labels, the numbers of the PNGs' sub-folders. Fails if there are
    /// no labels, or if their file cannot be written.
    pub fn labels_kind(&self, path: &Path) -> Result<Kind> {
        match self.classes.len() {
            0 => {
                let problem = "labels: expected PNGs in sub-folders, which number the labels";
                return Err(Failure::input(problem));
            }
            // A label is a byte.
            count @ 257.. => {
                let problem = format!("labels: expected at most 256 sub-folders, got {count}");
                return Err(Failure::input(problem));
            }
            _ => {}
        }
        let kind = Kind::of(path)?;
        if !matches!(kind, Kind::Idx | Kind::Npy) {
            return Err(Failure::at(path, NUMBERS_EXPECTED));
        }
        check_writable(&[path])?;
        Ok(kind)
    }

    /// Writes the labels, a byte each.
    pub fn write_labels(&self, path: &Path, kind: Kind) -> Result<()> {
        files::replace(path, |path| {
            let mut out = kind.begin(path, ElementType::U8, &[self.files.len()])?;
            for (label, (_, count)) in self.classes.iter().enumerate() {
                out.write(&vec![label as u8; *count])?;
            }
            Ok(out.finish()?)
        })
    }
}

/// The names of a folder's PNGs and sub-folders, each sorted, and the number of other files. Hidden
/// files are ignored.
fn entries(path: &Path) -> Result<(Vec<OsString>, Vec<OsString>, usize)> {
    let read_error = io_error("read", path);
    let (mut files, mut folders, mut others) = (Vec::new(), Vec::new(), 0);
    for entry in fs::read_dir(path).map_err(&read_error)? {
        let name = entry.map_err(&read_error)?.file_name();
        let shown = name.to_string_lossy().to_lowercase();
        if shown.starts_with('.') {
            continue;
        }
        // Follows links.
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
        return Err(Failure::at(path, problem));
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

/// Writes each sample as a PNG into a new or empty folder, and returns their shape. The folder is written
/// under a temporary name until it is complete.
pub fn write(to: &Path, array: &Array) -> Result<Shape> {
    let samples = array.as_u8().ok_or_else(|| {
        let problem =
            format!("expected elements of type u8 for PNGs, got {}", array.element_type());
        Failure::at(array.path(), problem)
    })?;
    let shape = image_of_dims(array.dims()).ok_or_else(|| {
        Failure::at(
            array.path(),
            "expected images, [samples, rows, columns] or in color [samples, rows, columns, 3], or samples that \
             are squares",
        )
    })?;
    check_size(array.path(), shape.rows, shape.columns)?;
    folder::write(to, (array.samples(), &|at| at), shape, |put| {
        samples.chunks(shape.numbers()).try_for_each(put)
    })?;
    Ok(shape)
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
