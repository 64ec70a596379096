//! Tensors from files of other libraries, as `f32`, and the bytes of such files.

use std::fs::File;
use std::io::{self, Read, Write};

use sae_kernels::Isa;
use safetensors::tensor::{Dtype, TensorView};

use crate::data::{ElementType, Row, type_of_numpy};
use crate::files::model::little_endian;
use crate::files::npz::{Array, Reader, Writer};
use crate::files::tensors::{Header, not_finite};

/// A result whose error is a sentence without its beginning.
pub(super) type Parsed<T> = std::result::Result<T, String>;

/// A named array of numbers, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The name.
    pub name: String,
    /// The size of each dimension; empty for a single number.
    pub shape: Vec<usize>,
    /// The numbers.
    pub values: Vec<f32>,
}

impl Tensor {
    pub(super) fn new(name: &str, shape: &[usize], values: Vec<f32>) -> Self {
        Tensor { name: name.to_owned(), shape: shape.to_vec(), values }
    }
}

/// Where tensors come from.
enum Place {
    Safetensors(Vec<u8>, Header),
    Npz(Reader),
    Memory(Vec<Tensor>),
}

/// The tensors of a dictionary, each of which is taken once.
pub(super) struct Tensors {
    place: Place,
    taken: Vec<String>,
}

impl Tensors {
    /// Those of the bytes of a safetensors file.
    pub fn of_safetensors(bytes: Vec<u8>) -> Parsed<Self> {
        let header =
            Header::read(&bytes).map_err(|e| format!("not a whole safetensors file: {e}"))?;
        Ok(Tensors { place: Place::Safetensors(bytes, header), taken: Vec::new() })
    }

    /// Those of a NumPy archive.
    pub fn of_npz(file: File) -> Parsed<Self> {
        Ok(Tensors { place: Place::Npz(Reader::open(file)?), taken: Vec::new() })
    }

    /// Those in memory.
    pub fn of(tensors: Vec<Tensor>) -> Self {
        Tensors { place: Place::Memory(tensors), taken: Vec::new() }
    }

    pub fn has(&self, name: &str) -> bool {
        self.names().iter().any(|other| other == name)
    }

    /// The names of all tensors.
    pub fn names(&self) -> Vec<String> {
        match &self.place {
            Place::Safetensors(_, header) => header.names(),
            Place::Npz(reader) => reader.names().map(str::to_owned).collect(),
            Place::Memory(tensors) => tensors.iter().map(|tensor| tensor.name.clone()).collect(),
        }
    }

    /// The numbers of a tensor of this shape.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Parsed<Vec<f32>> {
        let is = |have: &[usize]| match have == shape {
            true => Ok(()),
            false => Err(format!("tensor '{name}' is {have:?}; {shape:?} was expected")),
        };
        let found = self.read(name, is)?;
        let (_, values) = found.ok_or_else(|| format!("tensor '{name}', {shape:?}, is missing"))?;
        Ok(values)
    }

    /// The numbers of a tensor of one dimension.
    pub fn take_vector(&mut self, name: &str) -> Parsed<Vec<f32>> {
        let is = |have: &[usize]| match have {
            [_] => Ok(()),
            _ => Err(format!("tensor '{name}' is {have:?}; one dimension was expected")),
        };
        let found = self.read(name, is)?;
        found.map(|(_, values)| values).ok_or_else(|| format!("tensor '{name}' is missing"))
    }

    /// The shape and numbers of a tensor of two dimensions.
    pub fn take_matrix(&mut self, name: &str) -> Parsed<([usize; 2], Vec<f32>)> {
        let is = |have: &[usize]| match have {
            [_, _] => Ok(()),
            _ => Err(format!("tensor '{name}' is {have:?}; two dimensions were expected")),
        };
        let found = self.read(name, is)?;
        let (shape, values) = found.ok_or_else(|| format!("tensor '{name}' is missing"))?;
        Ok(([shape[0], shape[1]], values))
    }

    /// The one number of a tensor, if there is such a tensor.
    pub fn take_number(&mut self, name: &str) -> Parsed<Option<f32>> {
        let is = |have: &[usize]| match have.iter().all(|&size| size == 1) {
            true => Ok(()),
            false => Err(format!("tensor '{name}' is {have:?}; one number was expected")),
        };
        Ok(self.read(name, is)?.map(|(_, values)| values[0]))
    }

    /// The numbers of a tensor of any shape, if there is such a tensor.
    pub fn take_any(&mut self, name: &str) -> Parsed<Option<Vec<f32>>> {
        Ok(self.read(name, |_| Ok(()))?.map(|(_, values)| values))
    }

    /// Fails if a tensor was not taken: nobody knows what it is for.
    pub fn finish(self) -> Parsed<()> {
        let mut names = self.names();
        names.sort_unstable();
        match names.iter().find(|name| !self.taken.contains(name)) {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().take(60).flat_map(char::escape_debug).collect();
                Err(format!("tensor '{name}' has no counterpart here, so it would be ignored"))
            }
        }
    }

    /// The shape and numbers of a tensor whose shape passes a check, if there is such a tensor.
    fn read(
        &mut self,
        name: &str,
        check: impl Fn(&[usize]) -> Parsed<()>,
    ) -> Parsed<Option<(Vec<usize>, Vec<f32>)>> {
        let found = match &mut self.place {
            Place::Safetensors(bytes, header) => {
                let Some((element_type, shape)) = header.array(name) else { return Ok(None) };
                check(shape)?;
                let element_type = element_type
                    .ok_or_else(|| format!("tensor '{name}' is of a type that is not read"))?;
                let bytes = &bytes[header.range(name).unwrap_or_default()];
                (shape.to_vec(), numbers(bytes, element_type, false)?)
            }
            Place::Npz(reader) => {
                let read = reader.read(name, |from, array| {
                    check(&array.shape)?;
                    Ok((array.shape.clone(), array_numbers(from, array)?))
                });
                let Some(found) = read else { return Ok(None) };
                found?
            }
            Place::Memory(tensors) => {
                let Some(tensor) = tensors.iter_mut().find(|tensor| tensor.name == name) else {
                    return Ok(None);
                };
                check(&tensor.shape)?;
                let count = tensor.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
                if count != Some(tensor.values.len()) {
                    let (have, shape) = (tensor.values.len(), &tensor.shape);
                    return Err(format!("tensor '{name}' is {shape:?} and has {have} numbers"));
                }
                (tensor.shape.clone(), std::mem::take(&mut tensor.values))
            }
        };
        if let Some((at, number)) = not_finite(&found.1) {
            return Err(format!(
                "tensor '{name}' has the number {number} at place {at}; expected finite numbers"
            ));
        }
        self.taken.push(name.to_owned());
        Ok(Some(found))
    }
}

/// Numbers of any type, rounded to `f32`.
fn numbers(bytes: &[u8], element_type: ElementType, big_endian: bool) -> Parsed<Vec<f32>> {
    let count = bytes.len() / element_type.size();
    let mut numbers = Vec::new();
    let fits = numbers.try_reserve_exact(count);
    fits.map_err(|_| format!("{count} numbers do not fit in memory"))?;
    numbers.resize(count, 0.0);
    Row::from_bytes(bytes, element_type, big_endian).to_f32(Isa::detect(), &mut numbers);
    Ok(numbers)
}

/// The numbers of an array in a NumPy archive. Memory grows with what arrives.
fn array_numbers(from: &mut dyn Read, array: &Array) -> Parsed<Vec<f32>> {
    /// Bytes at a time: a whole number of elements of any type.
    const BLOCK: usize = 1 << 16;
    let (element_type, big_endian) = type_of_numpy(&array.descr)?;
    let length = array.shape.iter().try_fold(element_type.size(), |n, &size| n.checked_mul(size));
    let mut left = length.ok_or("more numbers than memory can address")?;
    let mut block = vec![0; BLOCK];
    let mut all: Vec<f32> = Vec::new();
    while left > 0 {
        let bytes = &mut block[..left.min(BLOCK)];
        from.read_exact(bytes).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => "cut off".to_owned(),
            _ => e.to_string(),
        })?;
        let more = numbers(bytes, element_type, big_endian)?;
        all.try_reserve(more.len()).map_err(|_| "more numbers than fit in memory")?;
        all.extend(more);
        left -= bytes.len();
    }
    match array.shape[..] {
        [rows, cols] if array.fortran_order => Ok(transposed(&all, cols, rows)),
        [_, _, _, ..] if array.fortran_order => {
            Err("an array of more than two dimensions in Fortran's order".to_owned())
        }
        _ => Ok(all),
    }
}

/// A matrix `[cols, rows]` of a matrix `[rows, cols]`.
pub(super) fn transposed(values: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    /// Rows and columns at a time, for the cache.
    const BLOCK: usize = 32;
    let mut out = vec![0.0; values.len()];
    for first_row in (0..rows).step_by(BLOCK) {
        for first_col in (0..cols).step_by(BLOCK) {
            for row in first_row..rows.min(first_row + BLOCK) {
                for col in first_col..cols.min(first_col + BLOCK) {
                    out[col * rows + row] = values[row * cols + col];
                }
            }
        }
    }
    out
}

/// The bytes of a safetensors file of these tensors.
pub(super) fn safetensors(tensors: &[Tensor]) -> Parsed<Vec<u8>> {
    let bytes: Vec<_> = tensors.iter().map(|tensor| little_endian(&tensor.values)).collect();
    let views = tensors.iter().zip(&bytes).map(|(tensor, bytes)| {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
        view.map(|view| (&tensor.name, view))
    });
    let views = views.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    // As PyTorch's users of the format write it.
    let metadata = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    safetensors::serialize(views, Some(metadata)).map_err(|e| e.to_string())
}

/// Writes a NumPy archive of these tensors.
pub(super) fn write_npz(out: impl Write, tensors: &[Tensor]) -> io::Result<()> {
    let mut archive = Writer::new(out);
    for Tensor { name, shape, values } in tensors {
        let sizes: Vec<_> = shape.iter().map(|size| format!("{size},")).collect();
        let shape = format!("({})", sizes.join(" "));
        archive.array(name, "<f4", &shape, |out| {
            values.chunks(1 << 14).try_for_each(|block| out.write_all(&little_endian(block)))
        })?;
    }
    archive.finish()
}
