//! The labels of a folder of sub-folders: each PNG's is the number of its sub-folder.

use std::path::Path;

use sae::{data::ElementType, files};
use serde_json::json;

use super::pictures::Folder;
use super::{Done, Kind, wrong};
use crate::failure::{Failure, Result};

/// The file for them.
pub struct Labels<'a> {
    path: &'a Path,
    kind: Kind,
}

impl<'a> Labels<'a> {
    /// Fails if such a file could not be written, or has nothing to say.
    pub fn of(path: Option<&'a Path>, images: &Path, folder: &Folder) -> Result<Option<Self>> {
        let Some(path) = path else { return Ok(None) };
        if folder.classes.is_empty() {
            let problem = "labels: the PNGs are in no sub-folders that could be their labels";
            return Err(Failure::input(problem));
        }
        // One byte each.
        if folder.classes.len() > 256 {
            let count = folder.classes.len();
            let problem = format!("labels: {count} sub-folders; at most 256 were expected");
            return Err(Failure::input(problem));
        }
        let kind = Kind::of(path)?;
        if !matches!(kind, Kind::Idx | Kind::Npy) {
            return Err(wrong(path, "a name ending in .idx, ubyte or .npy was expected"));
        }
        if path == images {
            return Err(wrong(path, "the labels need a file of their own"));
        }
        files::check_writable(path)?;
        Ok(Some(Labels { path, kind }))
    }

    /// Writes them, a byte each.
    pub fn write(&self, folder: &Folder) -> Result<()> {
        files::replace(self.path, |path| -> Result<()> {
            let mut out = self.kind.begin(path, ElementType::U8, &[folder.files.len()])?;
            for (label, (_, count)) in folder.classes.iter().enumerate() {
                out.write(&vec![label as u8; *count])?;
            }
            Ok(out.finish()?)
        })
    }

    /// What they mean.
    pub fn tell(&self, folder: &Folder, done: &mut Done) {
        let names: Vec<_> = folder.classes.iter().map(|(name, _)| name.to_string_lossy()).collect();
        let shown: Vec<_> =
            names.iter().enumerate().map(|(label, name)| format!("{label} {name}")).collect();
        done.text += &format!("\nlabels {}: {}", shown.join(", "), self.path.display());
        done.value["labels"] = json!(self.path);
        done.value["classes"] = json!(names);
    }
}
