//! NumPy files of every type, version, byte order and layout: an error, or the numbers that an index into
//! the data has.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sae::data::{Array, Rows};

const TYPES: [(&str, usize); 13] = [
    ("b1", 1),
    ("?", 1),
    ("u1", 1),
    ("i1", 1),
    ("u2", 2),
    ("i2", 2),
    ("u4", 4),
    ("i4", 4),
    ("u8", 8),
    ("i8", 8),
    ("f2", 2),
    ("f4", 4),
    ("f8", 8),
];

#[derive(Arbitrary, Debug)]
struct File<'a> {
    version: u8,
    kind: u8,
    order: u8,
    fortran: bool,
    dims: Vec<u8>,
    /// More bytes than there should be, or fewer.
    excess: i8,
    space: u8,
    data: &'a [u8],
}

fuzz_target!(|file: File<'_>| {
    let (kind, size) = TYPES[usize::from(file.kind) % TYPES.len()];
    let order = ["<", ">", "|", "=", ""][usize::from(file.order) % 5];
    let dims: Vec<usize> = file.dims.iter().take(5).map(|&dim| usize::from(dim % 9)).collect();
    let count: usize = dims.iter().product();
    let shape: String = dims.iter().map(|dim| format!("{dim}, ")).collect();
    let fortran = if file.fortran { "True" } else { "False" };
    let space = " ".repeat(usize::from(file.space));
    let text = format!(
        "{{'descr': '{order}{kind}', 'fortran_order': {fortran},{space} 'shape': ({shape})}}\n"
    );
    let length = (text.len() as u32).to_le_bytes();
    let length = if file.version <= 1 { &length[..2] } else { &length[..] };
    let mut data: Vec<u8> = file.data.iter().copied().cycle().take(count * size).collect();
    data.resize(count * size, 7);
    let wanted = data.clone();
    let excess = (count * size).saturating_add_signed(isize::from(file.excess / 32));
    data.resize(excess, 0);
    let bytes = [b"\x93NUMPY", &[file.version, 0][..], length, text.as_bytes(), &data].concat();
    let array = Array::from_bytes("fuzz.npy", bytes);
    let known = matches!(file.version, 1..=3)
        && !dims.is_empty()
        && count > 0
        && excess == count * size
        && (order != "|" || size == 1);
    assert_eq!(array.is_ok(), known, "{array:?}");
    let Ok(array) = array else { return };
    let array = array.with_rows(Rows::First);
    assert_eq!((array.dims(), array.samples()), (&dims[..], dims[0]));
    let mut row = vec![0.0; array.features()];
    for sample in 0..array.samples() {
        array.read_row_f64(sample, &mut row);
        for (feature, &have) in row.iter().enumerate() {
            // The place of the element in the data, by its index.
            let (mut rest, mut index) = (sample * row.len() + feature, vec![0; dims.len()]);
            for (at, &dim) in dims.iter().enumerate().rev() {
                index[at] = rest % dim;
                rest /= dim;
            }
            let place = |pairs: &mut dyn Iterator<Item = (&usize, &usize)>| {
                pairs.fold(0, |sum, (&index, &dim)| sum * dim + index)
            };
            let place = match file.fortran {
                true => place(&mut index.iter().zip(&dims).rev()),
                false => place(&mut index.iter().zip(&dims)),
            };
            let mut element = wanted[place * size..][..size].to_vec();
            if order == ">" {
                element.reverse();
            }
            let want = number(kind, &element);
            assert!(have == want || have.is_nan() && want.is_nan(), "{have}, not {want}");
        }
    }
});

/// An element, low byte first.
fn number(kind: &str, bytes: &[u8]) -> f64 {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let unsigned = u64::from_le_bytes(wide);
    // The sign bit to the top and back.
    let shift = 64 - 8 * bytes.len() as u32;
    let signed = (unsigned << shift) as i64 >> shift;
    match kind {
        "b1" | "?" => f64::from(u8::from(unsigned != 0)),
        "f4" => f32::from_bits(unsigned as u32).into(),
        "f8" => f64::from_bits(unsigned),
        "f2" => {
            let (exponent, mantissa) = (unsigned >> 10 & 31, (unsigned & 1023) as f64);
            let size = match exponent {
                0 => mantissa * 2f64.powi(-24),
                31 if mantissa == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                _ => (1024.0 + mantissa) * 2f64.powi(exponent as i32 - 25),
            };
            if unsigned >> 15 == 1 { -size } else { size }
        }
        _ if kind.starts_with('u') => unsigned as f64,
        _ => signed as f64,
    }
}
