//! Arrays in Fortran order: the index of the first dimension, the samples, changes fastest.

use std::io;
use std::path::Path;

use crate::data::header::Header;
use crate::error::{Error, Result};

/// Samples that are copied at a time, so that what is read of a cache line is used soon.
const BLOCK: usize = 64;

/// The elements of a file's content in C order.
///
/// # Errors
/// [`Error::Io`] if there is no memory for them.
pub(crate) fn reordered(path: &Path, header: &Header, content: &[u8]) -> Result<Vec<u8>> {
    let (size, dims) = (header.element_type.size(), &header.dims);
    let elements = &content[header.start..header.end()];
    let mut out = Vec::new();
    out.try_reserve_exact(elements.len())
        .map_err(|_| Error::io("read", path, io::ErrorKind::OutOfMemory.into()))?;
    out.resize(elements.len(), 0);
    match size {
        1 => copy::<1>(elements, dims, &mut out),
        2 => copy::<2>(elements, dims, &mut out),
        4 => copy::<4>(elements, dims, &mut out),
        _ => copy::<8>(elements, dims, &mut out),
    }
    Ok(out)
}

fn copy<const N: usize>(elements: &[u8], dims: &[usize], out: &mut [u8]) {
    let (elements, out) = (elements.as_chunks::<N>().0, out.as_chunks_mut::<N>().0);
    let (samples, features) = (dims[0], dims[1..].iter().product::<usize>());
    // Where the samples of each feature begin.
    let columns: Vec<usize> =
        (0..features).map(|feature| samples * column(dims, feature)).collect();
    for first in (0..samples).step_by(BLOCK) {
        let block = first..samples.min(first + BLOCK);
        for (feature, column) in columns.iter().enumerate() {
            for sample in block.clone() {
                out[sample * features + feature] = elements[column + sample];
            }
        }
    }
}

/// The number in Fortran order of a feature with this number in C order.
fn column(dims: &[usize], feature: usize) -> usize {
    let (mut rest, mut stride) = (feature, dims[1..].iter().product::<usize>());
    let mut column = 0;
    // The last dimension changes fastest in C order, and slowest in Fortran order.
    for &dim in dims[1..].iter().rev() {
        stride /= dim;
        column += rest % dim * stride;
        rest /= dim;
    }
    column
}
