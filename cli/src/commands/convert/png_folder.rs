//! Folders of PNGs.

use std::path::Path;

use sae::{
    data::{Array, ElementType},
    files,
};

use super::formats::{Kind, NUMBERS_EXPECTED};
use crate::drawing::picture::image_of_dims;
use crate::drawing::png_files::Folder;
use crate::drawing::png_folder::{self as folder, check_size};
use crate::drawing::shape::Shape;
use crate::failure::{Failure, Result};
use crate::outputs::check_writable;

impl Folder {
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
    let name = |at| folder::numbered(at, array.samples()).into();
    folder::write(to, &name, shape, |put| samples.chunks(shape.numbers()).try_for_each(put))?;
    Ok(shape)
}
