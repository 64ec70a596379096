//! Samples in CSV and TSV files.

mod table;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use sae::data::Array;

use crate::endings::ending_of;
use crate::failure::{Failure, Result, io_error};
use table::{Error, Numbers, Problem};

/// A file of samples, with labels if a column has them.
#[derive(Debug)]
pub struct Table {
    /// The columns but that of the labels, as `u8` if all numbers are whole and from 0 to 255, as `f32`
    /// if it has all of them exactly, or as `f64`.
    pub array: Array,
    /// One for each sample, if a label column was given.
    pub labels: Option<Vec<u8>>,
    /// What the labels 0, 1, ... stand for; empty where the column has the labels themselves.
    pub classes: Vec<String>,
    /// The header's names of the features, one for each column of the array.
    pub names: Option<Vec<String>>,
}

/// Whether a file is CSV or TSV: by its name, one that ends in .csv, .tsv or .tab, or these with .gz; or by its
/// first lines, where its name is of no other kind of file.
pub fn is_csv(path: &Path) -> bool {
    has_ending(path) || is_text_of_numbers(path)
}

/// Whether a file is CSV or TSV by its name.
pub fn has_ending(path: &Path) -> bool {
    ending(path).is_some()
}

/// Whether a file whose name says nothing has lines of numbers, with text in fewer than half of the fields.
pub fn is_text_of_numbers(path: &Path) -> bool {
    /// Endings of other kinds of files.
    const OTHERS: [&str; 7] = ["npy", "npz", "safetensors", "idx", "ubyte", "png", "gz"];
    // Regular files only: what is read from a pipe is gone.
    if has_ending(path) || OTHERS.contains(&ending_of(path).as_str()) || !path.is_file() {
        return false;
    }
    let mut start = Vec::new();
    let file = File::open(path).map(|file| file.take(1 << 16));
    if file.and_then(|mut file| file.read_to_end(&mut start)).is_err() {
        return false;
    }
    // The last line may be cut off, also within a character.
    let text = String::from_utf8_lossy(&start);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let Some(first) = lines.next() else { return false };
    // A list of files may have one with such a name.
    if path.with_file_name(first).exists() {
        return false;
    }
    // The first line may be a header.
    let line = lines.next().unwrap_or(first);
    let fields = line.split([',', ';', '\t', ' ']).map(str::trim).filter(|it| !it.is_empty());
    let (numbers, texts): (Vec<_>, Vec<_>) = fields.partition(|it| it.parse::<f64>().is_ok());
    numbers.len() > texts.len()
}

#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Csv,
    Tsv,
}

fn ending(path: &Path) -> Option<Ending> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "csv" => Some(Ending::Csv),
        "tsv" | "tab" => Some(Ending::Tsv),
        _ => None,
    }
}

/// Reads a file, plain or gzip-compressed. In one whose name ends in .tsv or .tab, tabs separate the
/// fields; in all others commas, or semicolons or tabs if the first line has these and no comma.
///
/// The first record may be a header. `label_column` is one of its names or, if none is the same, a number
/// counted from 1; see [`table::read`] for the rules.
pub fn read(path: &Path, label_column: Option<&str>) -> Result<Table> {
    let file = File::open(path).map_err(io_error("open", path))?;
    if file.metadata().map_err(io_error("look at", path))?.is_dir() {
        return Err(Failure::at(path, "this is a folder, a file was expected"));
    }
    let delimiter = (ending(path) == Some(Ending::Tsv)).then_some(b'\t');
    let mut file = BufReader::new(file);
    let is_gzip = file.fill_buf().map_err(io_error("read", path))?.starts_with(b"\x1f\x8b");
    let table = if is_gzip {
        table::read(MultiGzDecoder::new(file), delimiter, label_column)
    } else {
        table::read(file, delimiter, label_column)
    };
    let table = table.map_err(|error| failure(path, error, is_gzip))?;
    let array = match table.numbers {
        Numbers::U8(numbers) => Array::from_values(numbers, table.features),
        Numbers::F32(numbers) => Array::from_values(numbers, table.features),
        Numbers::F64(numbers) => Array::from_values(numbers, table.features),
    }?;
    let array = array.with_path(path);
    let (labels, classes) = table.labels.map(|labels| (labels.values, labels.classes)).unzip();
    Ok(Table { array, labels, classes: classes.unwrap_or_default(), names: table.names })
}

fn failure(path: &Path, error: Error, is_gzip: bool) -> Failure {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error {
        Error::Read(error) => match error.kind() {
            UnexpectedEof if is_gzip => Failure::at(path, "the gzip data is cut off"),
            InvalidData | InvalidInput if is_gzip => {
                Failure::at(path, format!("bad gzip data: {error}"))
            }
            _ => io_error("read", path)(error).into(),
        },
        Error::Content(Problem { line, column, problem, hint }) => {
            let mut place = path.display().to_string();
            if let Some(line) = line {
                place += &format!(", line {line}");
            }
            match column {
                Some((column, Some(name))) => place += &format!(", column {column} ({name})"),
                Some((column, None)) => place += &format!(", column {column}"),
                None => {}
            }
            Failure::at(Path::new(&place), problem).hint(hint)
        }
    }
}
