//! The page's numbers: arrays in one block of bytes, compressed, with their places as JSON.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::pictures;

/// Arrays by name. Each begins at a multiple of four bytes, as typed arrays of a browser need it.
#[derive(Default)]
pub struct Arrays {
    bytes: Vec<u8>,
    places: Map<String, Value>,
    /// Where arrays of some content begin.
    starts: HashMap<u64, Vec<usize>>,
}

impl Arrays {
    /// Arrays of the same content, as the samples of several models, are one.
    fn add(&mut self, name: String, kind: &str, count: usize, bytes: impl Iterator<Item = u8>) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let start = self.bytes.len();
        self.bytes.extend(bytes);
        let mut hasher = DefaultHasher::new();
        self.bytes[start..].hash(&mut hasher);
        let same = self.starts.entry(hasher.finish()).or_default();
        let (before, own) = self.bytes.split_at(start);
        let is_same = |&&other: &&usize| before[other..].starts_with(own);
        let place = same.iter().find(is_same).copied().unwrap_or(start);
        if place == start {
            same.push(start);
        } else {
            self.bytes.truncate(start);
        }
        self.places.insert(name, json!([kind, place, count]));
    }

    pub fn f32(&mut self, name: impl Into<String>, values: &[f32]) {
        self.add(name.into(), "f32", values.len(), values.iter().flat_map(|v| v.to_le_bytes()));
    }

    pub fn u32(&mut self, name: impl Into<String>, values: &[u32]) {
        self.add(name.into(), "u32", values.len(), values.iter().flat_map(|v| v.to_le_bytes()));
    }

    pub fn u8(&mut self, name: impl Into<String>, values: &[u8]) {
        self.add(name.into(), "u8", values.len(), values.iter().copied());
    }

    pub fn i8(&mut self, name: impl Into<String>, values: &[i8]) {
        self.add(name.into(), "i8", values.len(), values.iter().map(|&v| v as u8));
    }

    /// A matrix of signed rows, `[rows, columns]`, in 8 bits a number, with a scale for each row.
    pub fn signed_rows(&mut self, name: &str, rows: &[f32], columns: usize) {
        let (mut all, mut scales) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows.chunks(columns) {
            let scale = row.iter().fold(0.0, |max: f32, v| max.max(v.abs())) / 127.0;
            scales.push(scale);
            // The cast makes a row of zeros, 0 / 0, zeros.
            all.extend(row.iter().map(|&v| (v / scale).round() as i8));
        }
        self.i8(name, &all);
        self.f32(format!("{name}.scale"), &scales);
    }

    /// A matrix of rows, `[rows, columns]`, in 8 bits a number, each from its own minimum to its maximum,
    /// or all within one range, for which 8 bits may be exact.
    pub fn ranged_rows(
        &mut self,
        name: &str,
        rows: &[f32],
        columns: usize,
        range: Option<(f32, f32)>,
    ) {
        let (mut all, mut ends) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows.chunks(columns) {
            let (low, high) = range.unwrap_or_else(|| pictures::range(row));
            let step = (high - low) / 255.0;
            ends.extend([low, step]);
            all.extend(row.iter().map(|&v| ((v - low) / step).round() as u8));
        }
        self.u8(name, &all);
        self.f32(format!("{name}.range"), &ends);
    }

    /// The places, and the bytes: base64 of a zlib stream.
    pub fn finish(self) -> Result<(Value, String)> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        let written = encoder.write_all(&self.bytes).and_then(|()| encoder.finish());
        let compressed = written.map_err(Error::Encoding)?;
        Ok((Value::Object(self.places), STANDARD.encode(compressed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_arrays_are_one() {
        let mut arrays = Arrays::default();
        arrays.u8("a", &[1, 2, 3]);
        arrays.u32("b", &[7]);
        arrays.u8("c", &[1, 2, 3]);
        arrays.u8("d", &[1, 2]);
        let at = |name: &str| arrays.places[name][1].as_u64();
        assert_eq!((at("a"), at("b"), at("c"), at("d")), (Some(0), Some(4), Some(0), Some(8)));
        assert_eq!(arrays.bytes.len(), 10);
    }

    #[test]
    fn rows_in_8_bits_are_near() {
        let mut arrays = Arrays::default();
        arrays.u8("odd", &[1, 2, 3]);
        arrays.signed_rows("w", &[0.5, -1.0, 0.25, 0.0, 0.0, 0.0], 3);
        arrays.ranged_rows("x", &[0.0, 1.0, 128.0 / 255.0], 3, Some((0.0, 1.0)));
        arrays.ranged_rows("c", &[3.0, 3.0], 2, None);
        let at = |name: &str| arrays.places[name][1].as_u64().unwrap_or(0) as usize;
        assert_eq!(&arrays.bytes[at("w")..][..6], [64, 129, 32, 0, 0, 0]);
        assert_eq!(&arrays.bytes[at("x")..][..3], [0, 255, 128]);
        // A constant row is its minimum.
        assert_eq!(&arrays.bytes[at("c")..][..2], [0, 0]);
        assert!(arrays.places.values().all(|place| place[1].as_u64().unwrap_or(1) % 4 == 0));
    }
}
