//! Files of samples, byte by byte, of every type of number.

use sae::data::ElementType;

/// A NumPy file of version 1.
pub fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    npy_of(1, descr, order, shape, data)
}

/// A NumPy file of a version from 1 to 3.
pub fn npy_of(version: u8, descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let length = (text.len() as u32).to_le_bytes();
    let length = if version == 1 { &length[..2] } else { &length[..] };
    [b"\x93NUMPY", &[version, 0][..], length, text.as_bytes(), data].concat()
}

/// A safetensors file of this header.
pub fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// A safetensors file of tensors: name, type, shape and bytes; the header is followed by so many spaces.
pub fn safetensors(tensors: &[(&str, &str, &str, &[u8])], spaces: usize) -> Vec<u8> {
    let (mut lines, mut data) = (Vec::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let (start, end) = (data.len(), data.len() + bytes.len());
        lines.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#
        ));
        data.extend(*bytes);
    }
    with_header(&format!("{{{}}}{}", lines.join(","), " ".repeat(spaces)), &data)
}

#[cfg(feature = "gz")]
pub fn gz(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A type of number, and four numbers of it.
pub struct Case {
    pub element_type: ElementType,
    /// The name of the type in safetensors files.
    pub dtype: &'static str,
    /// Its name in NumPy files without the byte order, if it has one.
    pub kind: Option<&'static str>,
    /// The numbers' bits.
    pub bits: [u64; 4],
    /// The numbers, or the nearest `f64`s.
    pub numbers: [f64; 4],
    pub size: usize,
}

impl Case {
    /// The bytes of the numbers.
    pub fn bytes(&self, big_endian: bool) -> Vec<u8> {
        let bytes = |bits: u64| match big_endian {
            true => bits.to_be_bytes()[8 - self.size..].to_vec(),
            false => bits.to_le_bytes()[..self.size].to_vec(),
        };
        self.bits.into_iter().flat_map(bytes).collect()
    }
}

/// One of each type, from the definitions of the formats.
pub fn cases() -> Vec<Case> {
    use ElementType::*;
    let two = |exponent: i32| 2f64.powi(exponent);
    let case = |element_type, dtype, kind, size, bits, numbers| Case {
        element_type,
        dtype,
        kind,
        bits,
        numbers,
        size,
    };
    vec![
        case(Bool, "BOOL", Some("b1"), 1, [0, 1, 1, 0], [0.0, 1.0, 1.0, 0.0]),
        case(U8, "U8", Some("u1"), 1, [0, 255, 128, 7], [0.0, 255.0, 128.0, 7.0]),
        case(I8, "I8", Some("i1"), 1, [0x80, 0xff, 0x7f, 7], [-128.0, -1.0, 127.0, 7.0]),
        case(
            U16,
            "U16",
            Some("u2"),
            2,
            [0xffff, 0x100, 1, 0x8000],
            [65_535.0, 256.0, 1.0, 32_768.0],
        ),
        case(I16, "I16", Some("i2"), 2, [0xffff, 0x100, 1, 0x8000], [-1.0, 256.0, 1.0, -32_768.0]),
        case(
            U32,
            "U32",
            Some("u4"),
            4,
            [0xffff_ffff, 0x0100_0003, 1, 0x8000_0000],
            [two(32) - 1.0, two(24) + 3.0, 1.0, two(31)],
        ),
        case(
            I32,
            "I32",
            Some("i4"),
            4,
            [0xffff_ffff, 0x0100_0003, 1, 0x8000_0000],
            [-1.0, two(24) + 3.0, 1.0, -two(31)],
        ),
        case(
            U64,
            "U64",
            Some("u8"),
            8,
            [u64::MAX, 0x20_0000_0000_0001, 1, 1 << 63],
            [two(64), two(53), 1.0, two(63)],
        ),
        case(
            I64,
            "I64",
            Some("i8"),
            8,
            [u64::MAX, 0x20_0000_0000_0001, 1, 1 << 63],
            [-1.0, two(53), 1.0, -two(63)],
        ),
        case(
            F16,
            "F16",
            Some("f2"),
            2,
            [0x3e00, 0xc000, 1, 0x7bff],
            [1.5, -2.0, two(-24), 65_504.0],
        ),
        case(
            BF16,
            "BF16",
            None,
            2,
            [0x3fc0, 0xc040, 1, 0x7f7f],
            [1.5, -3.0, two(-133), (2.0 - two(-7)) * two(127)],
        ),
        case(
            F32,
            "F32",
            Some("f4"),
            4,
            [0x3fc0_0000, 0xc040_0000, 1, 0x7f7f_ffff],
            [1.5, -3.0, two(-149), (2.0 - two(-23)) * two(127)],
        ),
        case(
            F64,
            "F64",
            Some("f8"),
            8,
            [0x3ff8 << 48, 0xc008 << 48, 0x3ff0_0000_0000_0001, 0x3fb9_9999_9999_999a],
            [1.5, -3.0, 1.0 + two(-52), 0.1],
        ),
    ]
}
