//! Activations, row by row: to CSV, and to files of numbers.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;
use sae::{
    Autoencoder, Engine, Samples,
    data::{ElementType, RowWriter},
};

use crate::data::{Chosen, Labels};
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::output::{csv_field, exact};

/// The activations of a layer, as they are computed.
pub struct Rows<'a> {
    pub net: &'a Autoencoder,
    pub engine: &'a mut Engine,
    pub samples: &'a Samples,
    pub layer: usize,
}

impl Rows<'_> {
    /// Calls `visit` with those of each sample in order.
    pub fn each(&mut self, mut visit: impl FnMut(&[f32]) -> Result<()>) -> Result<()> {
        let units = self.net.settings().layers[self.layer + 1];
        self.net.for_activations(self.engine, self.samples, self.layer, |rows| {
            rows.chunks_exact(units).try_for_each(&mut visit)
        })
    }
}

/// An IDX or NumPy file.
pub struct Numbers {
    pub is_npy: bool,
    pub dims: [usize; 2],
}

impl Numbers {
    pub fn write(self, path: &Path, rows: &mut Rows<'_>) -> Result<()> {
        let begin = if self.is_npy { RowWriter::npy } else { RowWriter::idx };
        let mut file = begin(path, ElementType::F32, &self.dims)?;
        rows.each(|row| {
            interrupt::check()?;
            Ok(file.write(row)?)
        })?;
        Ok(file.finish()?)
    }
}

/// A column before those of the units.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Column {
    /// The number of the sample, from 0
    Index,
    /// Its label
    Label,
}

/// Lines of CSV.
pub struct Csv<'a> {
    pub chosen: &'a Chosen,
    pub columns: &'a [Column],
    pub labels: Option<&'a Labels>,
    pub units: usize,
    /// Called before each line.
    pub check: fn() -> Result<()>,
}

impl Csv<'_> {
    /// What the label of a sample is called, as a field.
    fn label(&self, sample: usize) -> String {
        let name = self.labels.map(|labels| labels.name_of(labels.values[sample]));
        name.map_or(String::new(), |name| csv_field(&name))
    }

    /// Writes all lines; `wrong` makes a failure of an error.
    pub fn write(
        &self,
        mut out: impl Write,
        header: bool,
        rows: &mut Rows<'_>,
        wrong: &dyn Fn(io::Error) -> Failure,
    ) -> Result<()> {
        let mut line = String::new();
        if header {
            let columns = self.columns.iter().map(|column| match column {
                Column::Index => "index".to_owned(),
                Column::Label => "label".to_owned(),
            });
            let units = (0..self.units).map(|unit| format!("unit_{unit}"));
            let names: Vec<String> = columns.chain(units).collect();
            writeln!(out, "{}", names.join(",")).map_err(wrong)?;
        }
        let mut sample = 0;
        rows.each(|row| {
            (self.check)()?;
            line.clear();
            let mut add = |cell: &dyn Display| {
                let comma = if line.is_empty() { "" } else { "," };
                // Writing to a string does not fail.
                let _ = fmt::Write::write_fmt(&mut line, format_args!("{comma}{cell}"));
            };
            for column in self.columns {
                match column {
                    Column::Index => add(&self.chosen.number(sample)),
                    Column::Label => add(&self.label(sample)),
                }
            }
            row.iter().for_each(|&value| add(&exact(value)));
            sample += 1;
            writeln!(out, "{line}").map_err(wrong)
        })?;
        out.flush().map_err(wrong)
    }
}
