//! The safetensors format: eight bytes of length, a header of so many bytes of JSON, then the
//! numbers of all tensors without gaps (<https://github.com/huggingface/safetensors>).
//!
//! Read and written here, and not by the crate, which would be a third of all that a program with
//! model files links; the tests hold both against each other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::json::{parse, sizes};

/// Longest header that is read.
const MAX_HEADER: u64 = 1 << 18;

/// What numbers a tensor has. (The format has more; these are written here.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    F32,
    U32,
    U8,
}

impl Dtype {
    const ALL: [Dtype; 3] = [Dtype::F32, Dtype::U32, Dtype::U8];

    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "F32",
            Dtype::U32 => "U32",
            Dtype::U8 => "U8",
        }
    }

    fn size(self) -> usize {
        match self {
            Dtype::F32 | Dtype::U32 => 4,
            Dtype::U8 => 1,
        }
    }
}

/// One tensor: its shape, and where in the file its numbers are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Range<usize>,
}

/// A file's header.
#[derive(Debug)]
pub(crate) struct Header {
    pub tensors: BTreeMap<String, Entry>,
    pub metadata: BTreeMap<String, String>,
}

impl Header {
    /// Reads a file's header, and checks that its tensors are all the rest of the file.
    pub fn read(bytes: &[u8]) -> std::result::Result<Self, String> {
        let (length, rest) = bytes.split_first_chunk().ok_or("it has no eight bytes")?;
        let length = u64::from_le_bytes(*length);
        let text = usize::try_from(length)
            .ok()
            .filter(|_| length <= MAX_HEADER)
            .and_then(|length| rest.get(..length))
            .ok_or_else(|| format!("the header takes {length} bytes"))?;
        let data = 8 + text.len();
        let map = match parse(text).map_err(|e| format!("the header: {e}"))? {
            Value::Object(map) => map,
            _ => return Err("the header: it is no object".to_owned()),
        };
        let mut header = Header { tensors: BTreeMap::new(), metadata: BTreeMap::new() };
        for (name, value) in map {
            if name == "__metadata__" {
                let Value::Object(map) = value else {
                    return Err("the metadata is no object of texts".to_owned());
                };
                for (key, value) in map {
                    let Value::String(text) = value else {
                        return Err(format!("metadata '{key}' is no text"));
                    };
                    header.metadata.insert(key, text);
                }
            } else {
                let entry = entry(&value, data).map_err(|e| format!("tensor '{name}': {e}"))?;
                header.tensors.insert(name, entry);
            }
        }
        let mut places: Vec<_> = header.tensors.values().map(|entry| &entry.bytes).collect();
        places.sort_by_key(|bytes| (bytes.start, bytes.end));
        let end = places
            .into_iter()
            .try_fold(data, |end, bytes| (bytes.start == end).then_some(bytes.end));
        match end {
            Some(end) if end == bytes.len() => Ok(header),
            Some(end) => Err(format!("its tensors end at byte {end} of {}", bytes.len())),
            None => Err("its tensors overlap or leave gaps".to_owned()),
        }
    }

    /// A tensor of numbers of four bytes each.
    pub fn numbers<'a>(
        &self,
        bytes: &'a [u8],
        name: &str,
        dtype: Dtype,
        shape: &[usize],
    ) -> std::result::Result<&'a [[u8; 4]], String> {
        let Some(found) = self.tensors.get(name) else {
            return Err(format!("tensor '{name}', {shape:?}, is missing"));
        };
        if found.dtype != dtype {
            let (have, want) = (found.dtype.name(), dtype.name());
            return Err(format!("tensor '{name}' is {have}; {want} was expected"));
        }
        if found.shape != shape {
            return Err(format!("tensor '{name}' is {:?}; {shape:?} was expected", found.shape));
        }
        Ok(bytes[found.bytes.clone()].as_chunks().0)
    }
}

/// A tensor's line of the header; `data` is where the numbers of all begin.
fn entry(value: &Value, data: usize) -> std::result::Result<Entry, String> {
    let list = |key: &str| {
        let list = value.get(key).and_then(sizes);
        list.ok_or_else(|| format!("{key} is no list of whole numbers"))
    };
    let name = value.get("dtype").and_then(Value::as_str).ok_or("dtype is no text")?;
    let dtype = Dtype::ALL.into_iter().find(|dtype| dtype.name() == name);
    let dtype = dtype.ok_or_else(|| format!("dtype is {name}; F32, U32 or U8 was expected"))?;
    let shape = list("shape")?;
    let size = shape.iter().try_fold(dtype.size(), |size, &side| size.checked_mul(side));
    let offsets = list("data_offsets")?;
    let [start, end] = offsets[..] else {
        return Err("data_offsets are not two".to_owned());
    };
    let place = start.checked_add(data).zip(end.checked_add(data));
    match place {
        Some((from, to)) if from <= to && size == Some(to - from) => {
            Ok(Entry { dtype, shape, bytes: from..to })
        }
        _ => Err(format!("the bytes {start} to {end} are not of the shape {shape:?}")),
    }
}

/// A file of these tensors and texts: the larger numbers first, as the format's own writer has
/// them, so that every number stands at a multiple of its size.
pub(crate) fn file(
    tensors: &[(&str, Dtype, &[usize], &[u8])],
    metadata: &[(&str, &str)],
) -> Vec<u8> {
    let mut sorted: Vec<_> = tensors.iter().collect();
    sorted.sort_by_key(|(name, dtype, ..)| (std::cmp::Reverse(dtype.size()), *name));
    let mut header = Map::new();
    let mut at = 0;
    for (name, dtype, shape, bytes) in &sorted {
        let end = at + bytes.len();
        let line =
            serde_json::json!({"dtype": dtype.name(), "shape": shape, "data_offsets": [at, end]});
        header.insert((*name).to_owned(), line);
        at = end;
    }
    if !metadata.is_empty() {
        let texts = metadata.iter().map(|(key, text)| ((*key).to_owned(), Value::from(*text)));
        header.insert("__metadata__".to_owned(), Value::Object(texts.collect()));
    }
    let mut text = Value::Object(header).to_string();
    // The numbers begin at a multiple of eight bytes.
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    let mut file = Vec::with_capacity(8 + text.len() + at);
    file.extend((text.len() as u64).to_le_bytes());
    file.extend(text.into_bytes());
    for (.., bytes) in sorted {
        file.extend_from_slice(bytes);
    }
    file
}

/// Reads a file whole once its first bytes can be one's of this format, so that a great file of
/// another kind is refused at once. `expected` is what errors call it.
pub(crate) fn read_file(path: &Path, expected: &str) -> Result<Vec<u8>> {
    let wrong = |problem: String| Err(Error::format(path, None, problem));
    if path.is_dir() {
        return wrong(format!("this is a folder, {expected} was expected"));
    }
    let mut file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let metadata = file.metadata().map_err(|e| Error::io("look at", path, e))?;
    if !metadata.is_file() {
        return wrong(format!("not a regular file, {expected} was expected"));
    }
    let mut bytes = Vec::new();
    let start = (&mut file).take(9).read_to_end(&mut bytes);
    start.map_err(|e| Error::io("read", path, e))?;
    match (bytes.first_chunk(), bytes.get(8)) {
        (Some(&length), Some(b'{')) => {
            let length = u64::from_le_bytes(length);
            if length > MAX_HEADER {
                return wrong(format!("not {expected}: its header's length makes no sense"));
            }
            if length + 8 > metadata.len() {
                return wrong(format!(
                    "the header takes {length} bytes, which the file does not have"
                ));
            }
        }
        _ if bytes.is_empty() => {
            return wrong(format!("the file is empty, {expected} was expected"));
        }
        _ if bytes.starts_with(&[0, 0]) => {
            return wrong(format!("not {expected} (safetensors); this looks like an IDX file"));
        }
        _ => return wrong(format!("not {expected} (safetensors)")),
    }
    file.read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [u8; 24] = [7; 24];

    fn small() -> Vec<u8> {
        let tensors: [(&str, Dtype, &[usize], &[u8]); 4] = [
            ("text", Dtype::U8, &[5], b"hello"),
            ("b.weight", Dtype::F32, &[2, 3], &NUMBERS),
            ("a", Dtype::U32, &[1], &[1, 2, 3, 4]),
            ("empty", Dtype::F32, &[0, 4], &[]),
        ];
        file(&tensors, &[("key", "a \"text\"\n"), ("other", "")])
    }

    #[test]
    fn the_formats_own_reader_reads_it() {
        let bytes = small();
        let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let ours = Header::read(&bytes).unwrap();
        assert_eq!(theirs.len(), ours.tensors.len());
        for (name, tensor) in theirs.iter() {
            let entry = &ours.tensors[name];
            assert_eq!(format!("{:?}", tensor.dtype()), entry.dtype.name());
            assert_eq!(tensor.shape(), entry.shape);
            assert_eq!(tensor.data(), &bytes[entry.bytes.clone()]);
            let aligned = entry.bytes.start.is_multiple_of(entry.dtype.size());
            assert!(aligned, "{name} at {}", entry.bytes.start);
        }
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = metadata.metadata().clone().unwrap();
        assert!(metadata.into_iter().collect::<BTreeMap<_, _>>() == ours.metadata);
    }

    #[test]
    fn it_reads_what_the_formats_own_writer_writes() {
        let view = |shape: Vec<usize>| {
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &NUMBERS).unwrap()
        };
        let views = [("z", view(vec![6])), ("a", view(vec![1, 2, 3]))];
        let metadata = [("key".to_owned(), "text".to_owned())].into();
        let bytes = safetensors::serialize(views, Some(metadata)).unwrap();
        let header = Header::read(&bytes).unwrap();
        assert_eq!(header.metadata["key"], "text");
        assert_eq!(header.numbers(&bytes, "z", Dtype::F32, &[6]).unwrap(), [[7; 4]; 6]);
        assert_eq!(header.tensors["a"].shape, [1, 2, 3]);
    }

    /// Whatever one bit of damage does to the header, both readers refuse it or both read the
    /// same.
    #[test]
    fn damage_is_judged_as_by_the_formats_own_reader() {
        let bytes = small();
        let data = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        let mut refused = 0;
        for at in 0..data {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let theirs = safetensors::SafeTensors::deserialize(&damaged);
                match (theirs, Header::read(&damaged)) {
                    (Ok(theirs), Ok(ours)) => assert_eq!(theirs.len(), ours.tensors.len()),
                    // Dtypes and headers that are not read here.
                    (_, Err(_)) => refused += 1,
                    (Err(e), Ok(_)) => panic!("bit {bit} of byte {at}: {e}"),
                }
            }
        }
        assert!(refused > 100);
    }

    /// The header of the most layers, with the longest numbers, takes no more than it may.
    #[test]
    fn the_longest_header_is_read() {
        let mut lines = Vec::new();
        for i in 0..127 {
            for half in ["encoder", "decoder"] {
                let at = format!("[{0},{0}]", 1u64 << 53);
                for (kind, shape) in [("weight", "[16777216,16777216]"), ("bias", "[16777216]")] {
                    lines.push(format!(
                        r#""{half}.{}.{kind}":{{"data_offsets":{at},"dtype":"F32","shape":{shape}}}"#,
                        2 * i
                    ));
                }
            }
        }
        let sizes = vec!["16777216"; 255].join(",");
        lines.push(format!(r#""__metadata__":{{"sae":"{sizes}{}"}}"#, ",".repeat(60)));
        parse(format!("{{{}}}", lines.join(",")).as_bytes()).unwrap();
    }

    #[test]
    fn every_cut_and_every_lie_is_refused() {
        let bytes = small();
        for end in 0..bytes.len() {
            Header::read(&bytes[..end]).unwrap_err();
        }
        let with = |text: &str, data: &[u8]| {
            [&(text.len() as u64).to_le_bytes(), text.as_bytes(), data].concat()
        };
        let refused = |text: &str, data: &[u8]| Header::read(&with(text, data)).unwrap_err();
        for (text, sentence) in [
            ("[]", "the header: it is no object"),
            (r#"{"a":1}"#, "tensor 'a': dtype is no text"),
            (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,7]}}"#, "not of the shape [2]"),
            (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, "not of the shape [2]"),
            (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, "overlap or leave gaps"),
            (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, "end at byte"),
            (r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}"#, "end at byte"),
            (r#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#, "whole numbers"),
            (
                r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#,
                "not of the shape",
            ),
            (
                r#"{"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,18446744073709551615]}}"#,
                "not of the shape",
            ),
            (r#"{"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}"#, "dtype is C64"),
            (r#"{"__metadata__":{"a":1}}"#, "metadata 'a' is no text"),
            (r#"{"__metadata__":[]}"#, "no object of texts"),
        ] {
            let problem = refused(text, &[0; 8]);
            assert!(problem.contains(sentence), "{text}: {problem}");
        }
        // A header that claims more than there is, and more than there may be.
        for length in [1u64 << 17, 1 << 19, u64::MAX] {
            let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
            assert!(Header::read(&bytes).unwrap_err().contains("the header takes"));
        }
    }
}
