//! The labels of a folder of sub-folders: each PNG's is the number of its sub-folder.

use std::path::Path;

use sae::{data::ElementType, files};

use super::formats::{Kind, NUMBERS_EXPECTED};
use super::png_folder::Folder;
use crate::failure::{Failure, Result};

/// The file of the labels.
pub struct Labels<'a> {
    pub path: &'a Path,
    kind: Kind,
}

impl<'a> Labels<'a> {
    /// Fails if the folder has no labels, or their file could not be written.
    pub fn new(path: &'a Path, images: &Path, folder: &Folder) -> Result<Self> {
        let count = folder.classes.len();
        if count == 0 {
            let problem = "labels: expected PNGs in sub-folders, which number the labels";
            return Err(Failure::input(problem));
        }
        // A label is a byte.
        if count > 256 {
            let problem = format!("labels: expected at most 256 sub-folders, got {count}");
            return Err(Failure::input(problem));
        }
        let kind = Kind::of(path)?;
        if !matches!(kind, Kind::Idx | Kind::Npy) {
            return Err(Failure::at(path, NUMBERS_EXPECTED));
        }
        if path == images {
            return Err(Failure::at(path, "the labels need a file of their own"));
        }
        files::check_writable(path)?;
        Ok(Labels { path, kind })
    }

    /// Writes the labels, a byte each.
    pub fn write(&self, folder: &Folder) -> Result<()> {
        files::replace(self.path, |path| -> Result<()> {
            let mut out = self.kind.begin(path, ElementType::U8, &[folder.files.len()])?;
            for (label, (_, count)) in folder.classes.iter().enumerate() {
                out.write(&vec![label as u8; *count])?;
            }
            Ok(out.finish()?)
        })
    }
}
