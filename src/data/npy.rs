//! NumPy's files (`.npy`), C-ordered, of the element types that IDX files have
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).
//!
//! [`Idx::open`] and [`Idx::read`] take them, too: into memory, as the IDX file of the same
//! numbers.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use crate::data::idx::{Element, ElementType, Idx, create};
use crate::error::{Error, Result};

/// How such a file begins, as far as other files do not.
pub(crate) const START: [u8; 4] = *b"\x93NUM";

/// The longest header that is read; NumPy's own bound is lower.
const MAX_HEADER: usize = 1 << 16;

/// What a header says.
#[derive(Debug, PartialEq)]
struct Header {
    kind: ElementType,
    big_endian: bool,
    dims: Vec<usize>,
}

/// A file's content as an IDX file; `bytes` is all of it.
pub(crate) fn idx(path: &Path, mut bytes: Vec<u8>) -> Result<Idx> {
    let wrong = |problem: &str| Error::format(path, None, problem);
    let cut = || wrong("a NumPy file cut off within its header");
    let (start, rest) = bytes.split_at_checked(8).ok_or_else(cut)?;
    // Length of the header's length, by the version.
    let long = match start[6] {
        1 => 2,
        2 | 3 => 4,
        version => {
            return Err(wrong(&format!("NumPy file of version {version}; 1 to 3 are known")));
        }
    };
    let (length, rest) = rest.split_at_checked(long).ok_or_else(cut)?;
    let length = length.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    if length > MAX_HEADER {
        return Err(wrong(&format!("NumPy header of {length} bytes; at most 65536 are read")));
    }
    let (header, data) = rest.split_at_checked(length).ok_or_else(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| wrong("NumPy header that is no text"))?;
    let header = parse(header).map_err(|problem| wrong(&format!("NumPy file: {problem}")))?;
    let Header { kind, big_endian, dims } = header;
    let size = dims.iter().try_fold(kind.size(), |size, &dim| size.checked_mul(dim));
    if size != Some(data.len()) {
        return Err(wrong(&format!(
            "NumPy file: {dims:?} of {kind} do not take the {} bytes that follow the header",
            data.len()
        )));
    }
    if dims.is_empty() || dims.len() > 255 || dims.iter().any(|&dim| dim == 0 || dim >> 32 > 0) {
        return Err(wrong(&format!(
            "NumPy file: an array of shape {dims:?}; samples by features were expected"
        )));
    }
    // In place: the one header gives way to the other.
    let mut header = vec![0, 0, kind as u8, dims.len() as u8];
    header.extend(dims.iter().flat_map(|&dim| (dim as u32).to_be_bytes()));
    let before = bytes.len() - data.len();
    bytes.splice(..before, header.iter().copied());
    if !big_endian && kind.size() > 1 {
        bytes[header.len()..].chunks_exact_mut(kind.size()).for_each(<[u8]>::reverse);
    }
    Idx::from_bytes(path, bytes)
}

/// The rest of a file whose first bytes are in `start`, as an IDX file.
pub(crate) fn read(path: &Path, mut start: Vec<u8>, mut file: File) -> Result<Idx> {
    file.read_to_end(&mut start).map_err(|e| Error::io("read", path, e))?;
    idx(path, start)
}

/// A header's text: a Python dictionary of three entries, in any order.
fn parse(text: &str) -> std::result::Result<Header, String> {
    let mut rest = text.trim().strip_prefix('{').ok_or("a header that is no dictionary")?;
    let (mut kind, mut order, mut dims) = (None, None, None);
    loop {
        rest = rest.trim_start();
        if let Some(end) = rest.strip_prefix('}') {
            if !end.trim().is_empty() {
                return Err("a header with something after its dictionary".to_owned());
            }
            break;
        }
        let (key, after) = quoted(rest)?;
        rest = after.trim_start().strip_prefix(':').ok_or("a header without ':'")?.trim_start();
        match key {
            "descr" => {
                let (name, after) = quoted(rest)?;
                kind = Some(element_type(name)?);
                rest = after;
            }
            "fortran_order" => {
                let word = if rest.starts_with("False") { "False" } else { "True" };
                rest = rest.strip_prefix(word).ok_or("fortran_order is neither True nor False")?;
                order = Some(word == "True");
            }
            "shape" => {
                let (list, after) = rest
                    .strip_prefix('(')
                    .and_then(|rest| rest.split_once(')'))
                    .ok_or("a shape without parentheses")?;
                let numbers = list.trim().trim_end_matches(',').split(',').map(str::trim);
                let numbers = numbers.filter(|_| !list.trim().is_empty()).map(str::parse);
                let numbers = numbers.collect::<std::result::Result<Vec<usize>, _>>();
                dims = Some(numbers.map_err(|_| format!("shape ({list}) is no list of sizes"))?);
                rest = after;
            }
            key => return Err(format!("unknown entry '{key}' in the header")),
        }
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err("a header without ','".to_owned()),
        }
    }
    if order.ok_or("a header without fortran_order")? {
        return Err("an array in Fortran's order; np.ascontiguousarray reorders it".to_owned());
    }
    let (kind, big_endian) = kind.ok_or("a header without descr")?;
    Ok(Header { kind, big_endian, dims: dims.ok_or("a header without shape")? })
}

/// A text in quotes at the beginning, and what follows.
fn quoted(text: &str) -> std::result::Result<(&str, &str), String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let inner = quote.and_then(|quote| text[1..].split_once(quote));
    inner.ok_or_else(|| "a header without quotes where they belong".to_owned())
}

/// NumPy's name of a type, such as `<f4`, and whether its numbers begin with the high byte.
fn element_type(name: &str) -> std::result::Result<(ElementType, bool), String> {
    let unknown = || format!("elements are '{name}'; u1, i1, i2, i4, f4 or f8 were expected");
    let (order, kind) = name.split_at_checked(1).ok_or_else(unknown)?;
    let kind = match kind {
        "u1" => ElementType::U8,
        "i1" => ElementType::I8,
        "i2" => ElementType::I16,
        "i4" => ElementType::I32,
        "f4" => ElementType::F32,
        "f8" => ElementType::F64,
        _ => return Err(unknown()),
    };
    match order {
        "<" => Ok((kind, false)),
        ">" => Ok((kind, true)),
        "|" if kind.size() == 1 => Ok((kind, false)),
        _ => Err(unknown()),
    }
}

fn name(kind: ElementType) -> &'static str {
    match kind {
        ElementType::U8 => "|u1",
        ElementType::I8 => "|i1",
        ElementType::I16 => "<i2",
        ElementType::I32 => "<i4",
        ElementType::F32 => "<f4",
        ElementType::F64 => "<f8",
    }
}

/// Writes `values`, row-major, as a NumPy file of the shape `dims`, outermost first.
///
/// A file of that name is overwritten in place, unless it is mapped by an [`Idx`].
///
/// # Errors
/// [`Error::Shape`] if the product of `dims` is not `values.len()` (nothing is written then);
/// [`Error::Io`] if the file cannot be written.
pub fn write<T: Element>(path: impl AsRef<Path>, dims: &[usize], values: &[T]) -> Result<()> {
    let path = path.as_ref();
    if dims.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim)) != Some(values.len()) {
        let (path, count) = (path.display(), values.len());
        return Err(Error::Shape(format!("{path}: {count} values were given for {dims:?}")));
    }
    let mut out = BufWriter::with_capacity(1 << 16, create(path)?);
    out.write_all(&header(T::TYPE, dims))
        .and_then(|()| T::write_little_endian(values, &mut out))
        .and_then(|()| out.flush())
        .map_err(|e| Error::io("write", path, e))
}

/// How a file begins: of version 1, its length a multiple of 64 as NumPy's own.
pub(crate) fn header(kind: ElementType, dims: &[usize]) -> Vec<u8> {
    let kind = name(kind);
    let mut shape: Vec<String> = dims.iter().map(|dim| format!("{dim}, ")).collect();
    if shape.len() > 1 {
        let last = shape.len() - 1;
        shape[last] = dims[last].to_string();
    }
    let shape = shape.concat();
    let mut text =
        format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}), }}", shape.trim_end());
    let padded = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text.extend(std::iter::repeat_n(' ', padded - 1 - text.len()));
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.into_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_numpys_own() {
        // As np.save wrote them (NumPy 2.4).
        for (dims, text) in [
            (&[5][..], "{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }"),
            (&[5, 3], "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 3), }"),
            (
                &[60000, 28, 28],
                "{'descr': '<f4', 'fortran_order': False, 'shape': (60000, 28, 28), }",
            ),
        ] {
            let bytes = header(ElementType::F32, dims);
            assert_eq!(bytes.len() % 64, 0);
            let have = std::str::from_utf8(&bytes[10..]).unwrap();
            assert_eq!(have.trim_end(), text);
            assert!(have.ends_with('\n'));
            let kind = ElementType::F32;
            let want = Header { kind, big_endian: false, dims: dims.to_vec() };
            assert_eq!(parse(have).unwrap(), want);
        }
    }

    fn file(text: &str, data: &[u8]) -> Vec<u8> {
        let length = (text.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), data].concat()
    }

    #[test]
    fn both_orders_of_bytes() {
        for (order, bytes) in [("<", 1.5f32.to_le_bytes()), (">", 1.5f32.to_be_bytes())] {
            let text = format!("{{\"shape\":(1,1),'fortran_order':False,'descr':'{order}f4'}}");
            let idx = idx(Path::new("a.npy"), file(&text, &bytes)).unwrap();
            let mut row = [0.0];
            idx.read_row(0, &mut row);
            assert_eq!((idx.dims(), row), (&[1, 1][..], [1.5]));
        }
    }

    #[test]
    fn what_is_wrong_has_its_sentence() {
        let refused =
            |bytes: &[u8]| idx(Path::new("a.npy"), bytes.to_vec()).unwrap_err().to_string();
        let entry = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}")
        };
        let good = file(&entry("|u1", "False", "(2, 2)"), &[1, 2, 3, 4]);
        idx(Path::new("a.npy"), good.clone()).unwrap();
        for end in 0..good.len() {
            refused(&good[..end]);
        }
        for (text, sentence) in [
            (entry("<f4", "True", "(1, 1)"), "np.ascontiguousarray"),
            (entry("<c8", "False", "(1, 1)"), "elements are '<c8'"),
            (entry("|f4", "False", "(1, 1)"), "elements are '|f4'"),
            (entry("|O", "False", "(1, 1)"), "elements are '|O'"),
            (entry("<f4", "False", "(1, 2)"), "do not take the 4 bytes"),
            (entry("<f4", "False", "(1, -1)"), "no list of sizes"),
            (entry("<f4", "False", "()"), "samples by features"),
            (entry("<f4", "False", "(0, 4)"), "do not take the 4 bytes"),
            (entry("<f4", "False", "(18446744073709551615, 2)"), "do not take"),
            (entry("<f4", "maybe", "(1, 1)"), "neither True nor False"),
            ("{'descr': '<f4'}".to_owned(), "without fortran_order"),
            ("{'descr': '<f4' 'shape': (1,)}".to_owned(), "without ','"),
            ("{'colour': 'red'}".to_owned(), "unknown entry 'colour'"),
            ("[1]".to_owned(), "no dictionary"),
            ("{é".to_owned(), "without quotes"),
        ] {
            let problem = refused(&file(&text, &[0; 4]));
            assert!(problem.contains(sentence), "{text}: {problem}");
        }
        let mut newer = good.clone();
        newer[6] = 9;
        assert!(refused(&newer).contains("version 9"));
    }
}
