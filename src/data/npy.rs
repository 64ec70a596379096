//! NumPy's files (`.npy`) of booleans, integers, and floating-point numbers of 16, 32 or 64 bits, as
//! Python 2 and 3 write them
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use std::io::Read;

use crate::data::element::ElementType;
use crate::data::header::{Header, expected_instead};
use crate::data::reading::Input;
use crate::error::{Error, Result};

/// How such a file begins, as far as other files do not.
pub(crate) const START: [u8; 4] = *b"\x93NUM";

/// How such a file begins.
pub(crate) const MAGIC: [u8; 6] = *b"\x93NUMPY";

/// The longest header that is read; NumPy's own bound is lower.
const MAX_HEADER: usize = 1 << 16;

/// Reads a header into `bytes`, which may hold its first bytes already.
pub(crate) fn read_header(
    input: Input<'_>,
    from: &mut impl Read,
    bytes: &mut Vec<u8>,
) -> Result<Header> {
    let wrong = |problem: &str| Error::format(input.path, None, problem);
    let mut fill = |bytes: &mut Vec<u8>, end: usize| {
        input.fill(from, bytes, end, 0)?;
        if bytes.len() < end {
            return Err(wrong("a NumPy file cut off within its header"));
        }
        Ok(())
    };
    fill(bytes, 8)?;
    // Where the text begins: the length of the header's length depends on the version.
    let begin = match bytes[6] {
        1 => 10,
        2 | 3 => 12,
        version => {
            return Err(wrong(&format!("NumPy file of version {version}; 1 to 3 are known")));
        }
    };
    fill(bytes, begin)?;
    let length = bytes[8..begin].iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    if length > MAX_HEADER {
        return Err(wrong(&format!("NumPy header of {length} bytes; at most 65536 are read")));
    }
    let start = begin + length;
    fill(bytes, start)?;
    let text = std::str::from_utf8(&bytes[begin..start])
        .map_err(|_| wrong("NumPy header that is no text"))?;
    let header = parse(text, start).map_err(|problem| wrong(&format!("NumPy file: {problem}")))?;
    let dims = &header.dims;
    if let Some(expected) = expected_instead(dims) {
        // Of Python's `np.save("x.npy", 3.0)` for one.
        let shape = match dims.len() {
            0 => "a single number without dimensions".to_owned(),
            9.. => format!("an array of {} dimensions", dims.len()),
            _ => format!("an array of shape {dims:?}"),
        };
        return Err(wrong(&format!("NumPy file: {shape}; {expected}")));
    }
    header.checked().map_err(|problem| wrong(&format!("NumPy file: {problem}")))
}

/// What a header's text says: a Python dictionary of three entries, in any order. The elements begin
/// at `start`.
fn parse(text: &str, start: usize) -> std::result::Result<Header, String> {
    let mut rest = text.trim().strip_prefix('{').ok_or("a header that is no dictionary")?;
    let (mut element_type, mut fortran_order, mut dims) = (None, None, None);
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
                if rest.starts_with(['[', '(']) {
                    return Err(
                        "elements are structured, of several fields; save each field as an \
                                array of its own, with np.save(file, array['field'])"
                            .to_owned(),
                    );
                }
                let (name, after) = quoted(rest)?;
                element_type = Some(parse_type(name)?);
                rest = after;
            }
            "fortran_order" => {
                let value = if rest.starts_with("False") { "False" } else { "True" };
                rest = rest.strip_prefix(value).ok_or("fortran_order is neither True nor False")?;
                fortran_order = Some(value == "True");
            }
            "shape" => {
                let (list, after) = rest
                    .strip_prefix('(')
                    .and_then(|rest| rest.split_once(')'))
                    .ok_or("a shape without parentheses")?;
                let numbers = list.trim().trim_end_matches(',').split(',').map(str::trim);
                // Python 2 wrote long integers as 60L.
                let number = |text: &str| text.strip_suffix('L').unwrap_or(text).parse();
                let numbers = numbers.filter(|_| !list.trim().is_empty()).map(number);
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
    let fortran_order = fortran_order.ok_or("a header without fortran_order")?;
    let (element_type, big_endian) = element_type.ok_or("a header without descr")?;
    let dims = dims.ok_or("a header without shape")?;
    Ok(Header { element_type, big_endian, fortran_order, dims, start, is_idx: false, tail: 0 })
}

/// Splits off a text in quotes at the beginning; Python 2 wrote `u` before some.
fn quoted(text: &str) -> std::result::Result<(&str, &str), String> {
    let text = text.strip_prefix(['u', 'b']).unwrap_or(text);
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let inner = quote.and_then(|quote| text[1..].split_once(quote));
    inner.ok_or_else(|| "a header without quotes where they belong".to_owned())
}

/// The type of NumPy's name for it, such as `<f4`, and whether its high byte comes first.
pub(crate) fn parse_type(name: &str) -> std::result::Result<(ElementType, bool), String> {
    let (order, kind) = match name.chars().next() {
        Some(order @ ('<' | '>' | '|' | '=')) => (Some(order), &name[1..]),
        _ => (None, name),
    };
    let element_type = ElementType::ALL
        .into_iter()
        .find(|&one| self::name(one).is_some_and(|name| name[1..] == *kind));
    let element_type = if kind == "?" { Some(ElementType::Bool) } else { element_type };
    match (element_type, order) {
        (Some(one), Some('<')) => Ok((one, false)),
        (Some(one), Some('>')) => Ok((one, true)),
        (Some(one), _) if one.size() == 1 => Ok((one, false)),
        // The machine's own order.
        (Some(one), Some('=') | None) => Ok((one, cfg!(target_endian = "big"))),
        _ => Err(unknown_type(name, kind)),
    }
}

/// What is wrong with a type, and what to do.
fn unknown_type(name: &str, kind: &str) -> String {
    let advice = match kind.chars().next() {
        Some('c' | 'F' | 'D' | 'G') => {
            "complex numbers; save real and imaginary parts as features of their own, or np.abs of them"
        }
        Some('O') => "Python objects; make numbers of them, with np.stack or .astype(np.float32)",
        Some('M' | 'm') => "dates or times; save them as numbers, with .astype(np.int64)",
        Some('U' | 'S' | 'a') => "text; make numbers of it, with .astype(np.float32)",
        Some('V') if kind == "V2" => {
            "raw bytes, as of bfloat16, which NumPy files cannot name; save .astype(np.float32), or the \
             tensor with safetensors"
        }
        Some('V') => "raw bytes or records; save the numbers in them, with .view or array['field']",
        Some('f' | 'g') if kind != "f4" => "floats of unusual size; save .astype(np.float64)",
        _ => {
            "and b1, u1, i1, u2, i2, u4, i4, u8, i8, f2, f4 or f8 with a byte order were expected; \
             save .astype(np.float32)"
        }
    };
    format!("elements are '{name}', {advice}")
}

/// NumPy's name for a type, little-endian, if it has one.
fn name(element_type: ElementType) -> Option<&'static str> {
    Some(match element_type {
        ElementType::Bool => "|b1",
        ElementType::U8 => "|u1",
        ElementType::I8 => "|i1",
        ElementType::U16 => "<u2",
        ElementType::I16 => "<i2",
        ElementType::U32 => "<u4",
        ElementType::I32 => "<i4",
        ElementType::U64 => "<u8",
        ElementType::I64 => "<i8",
        ElementType::F16 => "<f2",
        ElementType::BF16 => return None,
        ElementType::F32 => "<f4",
        ElementType::F64 => "<f8",
    })
}

/// A header's bytes, of version 1, their number a multiple of 64 as in NumPy's own; `None` if NumPy has no
/// such type.
pub(crate) fn header(element_type: ElementType, dims: &[usize]) -> Option<Vec<u8>> {
    let name = name(element_type)?;
    let mut shape: Vec<String> = dims.iter().map(|dim| format!("{dim}, ")).collect();
    if shape.len() > 1 {
        let last = shape.len() - 1;
        shape[last] = dims[last].to_string();
    }
    let shape = shape.concat();
    let mut text =
        format!("{{'descr': '{name}', 'fortran_order': False, 'shape': ({}), }}", shape.trim_end());
    let padded = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text.extend(std::iter::repeat_n(' ', padded - 1 - text.len()));
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.into_bytes());
    Some(header)
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
            let bytes = header(ElementType::F32, dims).unwrap();
            assert_eq!(bytes.len() % 64, 0);
            let have = std::str::from_utf8(&bytes[10..]).unwrap();
            assert_eq!(have.trim_end(), text);
            assert!(have.ends_with('\n'));
            let (element_type, start) = (ElementType::F32, bytes.len());
            let (big_endian, fortran_order, dims) = (false, false, dims.to_vec());
            let want = Header {
                element_type,
                big_endian,
                fortran_order,
                dims,
                start,
                is_idx: false,
                tail: 0,
            };
            assert_eq!(parse(have, start).unwrap(), want);
        }
    }
}
