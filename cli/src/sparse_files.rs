//! Files of sparse codes, as matrices in CSR format: SciPy's `.npz`, and safetensors.

mod npz;
mod numbers;
mod safetensors;
mod spool;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use numbers::Matrix;
use sae::network::SparseCodes;
use spool::Spool;

use crate::failure::{Failure, Result, io_error};

/// The format of a file.
#[derive(Clone, Copy, PartialEq)]
pub enum Format {
    Npz,
    Safetensors,
}

impl Format {
    /// The format that a file's name asks for.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "npz" => Some(Format::Npz),
            "safetensors" => Some(Format::Safetensors),
            _ => None,
        }
    }
}

/// Writes codes to a new file: `fill` adds them to the spool. Returns samples and entries.
pub fn write(
    path: &Path,
    format: Format,
    units: usize,
    fill: impl FnOnce(&mut dyn FnMut(&SparseCodes) -> Result<()>) -> Result<()>,
) -> Result<(usize, u64)> {
    let wrong = io_error("write", path);
    let mut spool = Spool::new(path, units).map_err(&wrong)?;
    fill(&mut |codes| Ok(spool.add(codes).map_err(&wrong)?))?;
    let mut write = || {
        let out = BufWriter::new(File::create(path)?);
        match format {
            Format::Npz => npz::write(out, &mut spool),
            Format::Safetensors => safetensors::write(out, &mut spool),
        }
    };
    write().map_err(&wrong)?;
    Ok((spool.samples(), spool.entries()))
}

/// Reads codes. That their units rise and exist is left to the library.
pub fn read(path: &Path, format: Format) -> Result<SparseCodes> {
    let file = File::open(path).map_err(io_error("open", path))?;
    let Matrix { indptr, indices, values, shape: [samples, units] } = match format {
        Format::Npz => npz::read(file),
        Format::Safetensors => safetensors::read(file),
    }
    .map_err(|problem| Failure::at(path, problem))?;
    if samples.checked_add(1) != Some(indptr.len()) {
        let have = indptr.len();
        let problem =
            format!("indptr has {have} numbers; expected one more than {samples} samples");
        return Err(Failure::at(path, problem));
    }
    Ok(SparseCodes { indptr, indices, values, units })
}
