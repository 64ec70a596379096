//! IDX, the format of the MNIST files.
//!
//! A file is two zero bytes, the element type, the rank, one big-endian `u32` a dimension, then
//! the elements, row-major and big-endian, and nothing after them.

use std::io::Read;
use std::path::Path;

use crate::data::element::ElementType;
use crate::data::header::{Header, NO_SAMPLES, has_no_samples};
use crate::data::reading::Input;
use crate::error::{Error, Result};

const TYPES: &str = "0x08 u8, 0x09 i8, 0x0B i16, 0x0C i32, 0x0D f32, 0x0E f64";

fn code(element_type: ElementType) -> Option<u8> {
    match element_type {
        ElementType::U8 => Some(0x08),
        ElementType::I8 => Some(0x09),
        ElementType::I16 => Some(0x0B),
        ElementType::I32 => Some(0x0C),
        ElementType::F32 => Some(0x0D),
        ElementType::F64 => Some(0x0E),
        _ => None,
    }
}

/// Reads a header into `bytes`, which may hold its first bytes already.
pub(crate) fn read_header(
    input: Input<'_>,
    from: &mut impl Read,
    bytes: &mut Vec<u8>,
) -> Result<Header> {
    input.fill(from, bytes, 4, 0)?;
    let Some(&[zero0, zero1, type_code, rank]) = bytes.first_chunk() else {
        let problem = match bytes.len() {
            0 => "the file is empty, an IDX, NumPy or safetensors file was expected".to_owned(),
            n => format!("the file ends after {n} bytes, the 4 of an IDX magic were expected"),
        };
        return Err(input.error(bytes.len(), problem));
    };
    if (zero0, zero1) != (0, 0) {
        let problem = format!(
            "an IDX file begins with 00 00 and a NumPy file with 93 4e, this one with {zero0:02x} \
             {zero1:02x}; give a file of one of these formats"
        );
        return Err(input.error(0, problem));
    }
    let element_type = ElementType::ALL.into_iter().find(|&one| code(one) == Some(type_code));
    let element_type = element_type.ok_or_else(|| {
        input.error(2, format!("element type 0x{type_code:02X} is not one of IDX's ({TYPES})"))
    })?;
    if rank == 0 {
        return Err(input.error(3, "rank 0, at least 1 dimension was expected"));
    }
    let start = 4 + 4 * usize::from(rank);
    input.fill(from, bytes, start, 0)?;
    if bytes.len() < start {
        let n = bytes.len();
        let problem = format!("the header ends after {n} bytes, rank {rank} takes {start}");
        return Err(input.error(n, problem));
    }
    let dims = bytes[4..start].as_chunks().0.iter().map(|&dim| u32::from_be_bytes(dim) as usize);
    let dims: Vec<usize> = dims.collect();
    if let Some(at) = dims.iter().position(|&dim| dim == 0) {
        let problem = match has_no_samples(&dims) {
            true => format!("dimension {} of {rank} is 0; {NO_SAMPLES}", at + 1),
            false => format!("dimension {} of {rank} is 0, 1 or more was expected", at + 1),
        };
        return Err(input.error(4 + 4 * at, problem));
    }
    let (big_endian, fortran_order, is_idx) = (true, false, true);
    let header = Header { element_type, big_endian, fortran_order, dims, start, is_idx, tail: 0 };
    header.checked().map_err(|problem| input.error(4, problem))
}

/// A header's bytes; `path` is what errors call the file.
///
/// # Errors
/// [`Error::Shape`] unless `dims` are 1 to 255 numbers from 1 to 2^32 - 1 and IDX has the type.
pub(crate) fn header(path: &Path, element_type: ElementType, dims: &[usize]) -> Result<Vec<u8>> {
    let wrong = |what: String| Err(Error::Shape(format!("{}: {what}", path.display())));
    if !(1..=255).contains(&dims.len()) {
        return wrong(format!("{} dimensions, an IDX file has 1 to 255", dims.len()));
    }
    let Some(code) = code(element_type) else {
        return wrong(format!(
            "an IDX file cannot have elements of type {element_type}; write a NumPy file (.npy)"
        ));
    };
    let mut header = vec![0, 0, code, dims.len() as u8];
    for &dim in dims {
        match u32::try_from(dim) {
            Ok(dim @ 1..) => header.extend(dim.to_be_bytes()),
            _ => return wrong(format!("dimension {dim}, 1 to {} was expected", u32::MAX)),
        }
    }
    Ok(header)
}
