//! PNGs as data: a folder of them, or single ones.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sae::data::{self, Array};

use crate::csv;
use crate::drawing::png_files::{self, Folder};
use crate::endings::ending_of;
use crate::failure::{Failure, Result};
use crate::output::{counted, note};
use crate::ranks;

/// Whether a path that was found is of PNGs: a folder of them, or one.
pub fn is_of_pngs(path: &Path) -> bool {
    ending_of(path) == "png" || path.is_dir()
}

/// The files that paths, folders, patterns and lists name; a folder of PNGs stays as it is, and so does a .txt file
/// of numbers, which is no list.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let (mut found, mut others, mut has_tables) = (Vec::new(), Vec::new(), false);
    for path in paths {
        let is_table = csv::is_text_of_numbers(path);
        has_tables |= is_table;
        match is_table || is_folder(path)? {
            true => found.push(path.clone()),
            false => others.push(path.clone()),
        }
    }
    if found.is_empty() {
        return data::find(paths).map_err(|error| with_formats(error.into(), paths));
    }
    if !others.is_empty() {
        found.extend(data::find(&others).map_err(|error| with_formats(error.into(), &others))?);
    }
    if has_tables || !others.is_empty() {
        alphanumeric_sort::sort_path_slice(&mut found);
    }
    Ok(found)
}

/// A failure to find data, with what makes PNGs of other pictures.
fn with_formats(failure: Failure, paths: &[PathBuf]) -> Failure {
    let is_picture = |path: &Path| {
        let endings = ["jpg", "jpeg", "gif", "bmp", "tif", "tiff", "webp"];
        endings.contains(&ending_of(path).as_str())
    };
    let has_pictures = |folder: &Path| {
        let entries = folder.read_dir().into_iter().flatten().flatten();
        entries.take(1000).any(|entry| is_picture(&entry.path()))
    };
    if paths.iter().any(|path| is_picture(path) || has_pictures(path)) {
        return failure.or_hint(
            "pictures are read as PNGs of one size: ImageMagick makes some, mogrify -format png -resize 64x64! *.jpg",
        );
    }
    let Some(folder) = paths.iter().find(|path| path.is_dir()) else { return failure };
    let entries = || folder.read_dir().into_iter().flatten().flatten();
    if entries().next().is_none() {
        return Failure::at(
            folder,
            "this folder is empty; files of samples, or PNGs, were expected",
        );
    }
    if entries().take(1000).all(|entry| entry.path().is_dir()) {
        return failure
            .or_hint("it has only folders, which have no PNGs; give the one with the files");
    }
    failure.or_hint("PNGs are data, too; --samples FILE takes CSV text in a file of any name")
}

/// Whether this is a folder of PNGs. Fails if it has data files, too.
pub fn is_folder(path: &Path) -> Result<bool> {
    if !path.is_dir() || !png_files::are_in(path)? {
        return Ok(false);
    }
    let Ok(files) = data::find(&[path.to_owned()]) else { return Ok(true) };
    let is_png = |path: &PathBuf| ending_of(path) == "png";
    let below = |folder: &Path| folder.read_dir().into_iter().flatten().flatten();
    if !below(path).any(|entry| is_png(&entry.path())) {
        // Those in its sub-folders are not meant.
        return Ok(false);
    }
    let name = files[0].file_name().unwrap_or_default().display();
    let problem =
        format!("this folder has PNGs and data files, such as {name}; one kind is expected");
    let pattern = path.join("*.png");
    Err(Failure::at(path, problem)
        .hint(format!("a pattern names those that are meant: --samples '{}'", pattern.display())))
}

/// The PNGs of folders and single ones, in this order.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() { all.extend(Folder::list(path)?.files) } else { all.push(path.clone()) }
    }
    Ok(all)
}

/// PNGs as an array in memory.
pub struct Pngs {
    pub array: Array,
    /// The number of each one's sub-folder, if all are in sub-folders of one folder.
    pub labels: Option<Vec<u8>>,
    /// The names of these sub-folders.
    pub classes: Vec<String>,
    /// Of each its path in the folder, or the name of its file.
    pub names: Vec<PathBuf>,
    pub are_in_color: bool,
    /// Files of the folders that are none.
    pub left_out: usize,
}

impl Pngs {
    /// Reads the PNGs of folders and single ones, in this order. All must have the size of the first.
    ///
    /// They are in color if `in_color` says so, or without it if a pixel of one is.
    pub fn read(paths: &[PathBuf], name: &Path, in_color: Option<bool>) -> Result<Self> {
        let (mut files, mut labels, mut names) = (Vec::new(), None, Vec::new());
        let (mut classes, mut left_out) = (Vec::new(), 0);
        for path in paths {
            if !path.is_dir() {
                names.push(path.file_name().unwrap_or_default().into());
                files.push(path.clone());
                continue;
            }
            let folder = Folder::list(path)?;
            if paths.len() == 1 {
                labels = labels_of(&folder);
                let name = |class: &(OsString, usize)| class.0.to_string_lossy().into_owned();
                classes = folder.classes.iter().map(name).collect();
            }
            let within = |file: &PathBuf| file.strip_prefix(path).unwrap_or(file).to_owned();
            names.extend(folder.files.iter().map(within));
            files.extend(folder.files);
            left_out += folder.left_out;
        }
        let (bytes, are_in_color) = match in_color {
            Some(true) => (content(&files, true, false)?, true),
            Some(false) => (content(&files, false, false)?, false),
            None => match content(&files, false, true)? {
                None => (content(&files, true, false)?, true),
                gray => (gray, false),
            },
        };
        let array = Array::from_bytes(name, bytes.unwrap_or_default())?;
        Ok(Pngs { array, labels, classes, names, are_in_color, left_out })
    }
}

/// The number of each PNG's sub-folder; none if there are none, or more than a byte numbers.
fn labels_of(folder: &Folder) -> Option<Vec<u8>> {
    let classes = &folder.classes;
    let of = |(label, (_, count)): (usize, &(_, usize))| vec![label as u8; *count];
    let is_numbered = (1..=256).contains(&classes.len());
    is_numbered.then(|| classes.iter().enumerate().flat_map(of).collect())
}

/// The content of an IDX file of these images, or none if `stops` and one has colors that gray would lose.
fn content(files: &[PathBuf], in_color: bool, stops: bool) -> Result<Option<Vec<u8>>> {
    let size = png_files::size(&files[0])?;
    let mut dims = vec![files.len(), size.0, size.1];
    dims.extend(in_color.then_some(3));
    // Of an IDX file of bytes.
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|&dim| (dim as u32).to_be_bytes()));
    let length = dims.iter().try_fold(1, |length: usize, &dim| length.checked_mul(dim));
    let reserved = length.map(|length| bytes.try_reserve_exact(length));
    if !matches!(reserved, Some(Ok(()))) {
        let problem = format!("out of memory for the pixels of {}", counted(files.len(), "PNG"));
        return Err(Failure::other(problem)
            .hint("sae convert FOLDER images.idx makes a file of them, which is mapped"));
    }
    let mut lost = 0;
    for file in files {
        let (pixels, loses) = png_files::read(file, size, &files[0], in_color)?;
        if loses && stops {
            return Ok(None);
        }
        lost += usize::from(loses);
        bytes.extend(pixels);
    }
    if lost > 0 && !ranks::is_other_rank() {
        note(&format!(
            "{} in color became gray, as the training samples are",
            counted(lost, "PNG")
        ));
    }
    Ok(Some(bytes))
}
