//! Files of reconstructions, in the units of the data: a picture, a folder of PNGs, or numbers.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use sae::data::{ElementType, RowWriter, ScalingKind};
use sae::{Autoencoder, Scaling, files};
use serde_json::{Value, json};

use crate::drawing::shape::{Shape, square};
use crate::drawing::{picture, png_folder};
use crate::endings::{ending_of, is_folder};
use crate::failure::{Failure, Result, io_error};
use crate::interrupt;
use crate::output::{counted, exact, join};

/// What is written.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Picture,
    Folder,
    Npy,
    Idx,
    Csv,
}

impl Kind {
    /// The kind that belongs to the name.
    pub fn of(out: &Path) -> Result<Self> {
        match ending_of(out).as_str() {
            _ if is_folder(out) => Ok(Kind::Folder),
            "png" => Ok(Kind::Picture),
            "npy" => Ok(Kind::Npy),
            "idx" | "ubyte" => Ok(Kind::Idx),
            "csv" => Ok(Kind::Csv),
            _ => {
                let problem = "expected a name ending in .png, .npy, .idx, ubyte or .csv, or that of a folder";
                Err(Failure::at(out, problem)
                    .hint("the name of a folder has no ending, or ends in /"))
            }
        }
    }
}

/// The type of what was written, its dimensions, and a line that says so.
pub type Done = (Value, Value, String);

/// Calls what it is given with each reconstruction in order.
pub type Each<'a> = &'a mut dyn FnMut(&mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()>;

/// Reconstructions of a model, in the units of the data.
pub struct Reconstructed {
    pub count: usize,
    pub features: usize,
    /// Whether they are bytes, as the data.
    pub are_bytes: bool,
    /// The dimensions of each, if the data have them, such as rows, columns and channels.
    pub row_dims: Option<Vec<usize>>,
}

impl Reconstructed {
    /// Of a model: those dimensions that fit, the own ones of samples or else those of its training.
    pub fn of(net: &Autoencoder, count: usize, own: &[usize]) -> Self {
        let features = net.settings().layers.last().copied().unwrap_or_default();
        let scaling = net.target_scaling().map_or(net.scaling().kind(), |it: Scaling| it.kind());
        let of_training = net.training_data().map_or(&[][..], |data| data.sample_shape());
        let fits = |dims: &&[usize]| dims.len() > 1 && dims.iter().product::<usize>() == features;
        let row_dims = [own, of_training].into_iter().find(fits).map(<[usize]>::to_vec);
        Reconstructed { count, features, are_bytes: scaling == ScalingKind::Byte, row_dims }
    }

    /// The shape of the images that they are, or a square of as many numbers.
    pub fn shape(&self) -> Option<Shape> {
        self.row_dims.as_deref().and_then(Shape::of_dims).or_else(|| square(self.features))
    }

    /// Writes numbers: an IDX or NumPy file, or CSV with a line for each, after one of these names.
    pub fn write_file(
        &self,
        out: &Path,
        kind: Kind,
        names: Option<&[String]>,
        each: Each<'_>,
    ) -> Result<Done> {
        let mut dims = vec![self.count];
        match &self.row_dims {
            Some(own) if kind != Kind::Csv => dims.extend(own),
            _ => dims.push(self.features),
        }
        let element_type = if self.are_bytes { ElementType::U8 } else { ElementType::F32 };
        interrupt::interruptible(|| {
            files::replace(out, |path| match kind {
                Kind::Csv => self.write_csv(path, names, each),
                Kind::Npy => self.write_rows(RowWriter::npy(path, element_type, &dims)?, each),
                _ => self.write_rows(RowWriter::idx(path, element_type, &dims)?, each),
            })
        })?;
        let line = format!("{} of {element_type}: {}", join(&dims, " x "), out.display());
        Ok((json!(element_type.to_string()), json!(dims), line))
    }

    fn write_rows(&self, mut file: RowWriter, each: Each<'_>) -> Result<()> {
        each(&mut |row| {
            interrupt::check()?;
            let written = if self.are_bytes { file.write(&bytes(row)) } else { file.write(row) };
            Ok(written?)
        })?;
        Ok(file.finish()?)
    }

    fn write_csv(&self, path: &Path, names: Option<&[String]>, each: Each<'_>) -> Result<()> {
        let wrong = |error| Failure::from(io_error("write", path)(error));
        let file = BufWriter::new(File::create(path).map_err(wrong)?);
        let mut csv = csv::WriterBuilder::new().from_writer(file);
        let wrong_record = |error: csv::Error| wrong(error.into());
        if let Some(names) = names.filter(|names| names.len() == self.features) {
            csv.write_record(names).map_err(wrong_record)?;
        }
        each(&mut |row| {
            interrupt::check()?;
            let cells: Vec<String> = match self.are_bytes {
                true => bytes(row).iter().map(u8::to_string).collect(),
                false => row.iter().map(|&number| exact(number)).collect(),
            };
            csv.write_record(cells).map_err(wrong_record)
        })?;
        let mut file = csv.into_inner().map_err(|error| wrong(error.into_error()))?;
        file.flush().map_err(wrong)
    }

    /// Writes a folder of PNGs of these names; black and white are the ends of `range`, of bytes 0 and 255.
    pub fn write_folder(
        &self,
        out: &Path,
        (shape, range): (Shape, (f32, f32)),
        name: &dyn Fn(usize) -> PathBuf,
        each: Each<'_>,
    ) -> Result<Done> {
        let Shape { rows, columns, .. } = shape;
        png_folder::check_size(out, rows, columns)?;
        png_folder::write(out, name, shape, |put| each(&mut |row| put(&self.tile(row, range))))?;
        let (mut dims, mut size) = (vec![self.count, rows, columns], format!("{rows} x {columns}"));
        if shape.depth() > 1 {
            dims.push(shape.depth());
            size += " in color";
        }
        let line = format!("{} of {size}: {}", counted(self.count, "PNG"), out.display());
        Ok((json!("png"), json!(dims), line))
    }

    /// A reconstruction as the pixels of a tile.
    pub fn tile(&self, row: &[f32], range: (f32, f32)) -> Vec<u8> {
        let (low, high) = if self.are_bytes { (0.0, 255.0) } else { range };
        row.iter().map(|&value| picture::gray(value, low, high)).collect()
    }
}

/// Numbers as bytes: rounded, and at most 255. (The cast saturates.)
fn bytes(row: &[f32]) -> Vec<u8> {
    row.iter().map(|value| value.round() as u8).collect()
}
