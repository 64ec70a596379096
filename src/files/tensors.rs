//! Safetensors files from outside, read within bounds of memory.
//!
//! The format and its checks are those of the crate `safetensors`
//! (<https://github.com/huggingface/safetensors>).

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata};

use crate::data::recognize;
use crate::data::scaling::Scaling;
use crate::error::{Error, Result};
use crate::settings::json::check_memory;

/// Maximum length of a header in bytes.
const MAX_HEADER: u64 = 1 << 18;

/// The header of a file, which was checked: its tensors are all the rest of the file.
pub(crate) struct Header {
    metadata: Metadata,
    /// Where the tensors begin.
    data: usize,
}

impl Header {
    /// Reads the header of a file's bytes. Takes at most 1 MiB of memory.
    pub fn read(bytes: &[u8]) -> std::result::Result<Self, String> {
        let (length, rest) = bytes.split_first_chunk().ok_or("it has no eight bytes")?;
        let length = u64::from_le_bytes(*length);
        let text = usize::try_from(length).ok().filter(|_| length <= MAX_HEADER);
        let text = text.and_then(|length| rest.get(..length));
        let text = text.ok_or_else(|| format!("the header takes {length} bytes"))?;
        // serde buffers a value in 32 bytes, and four of them, or pairs, for the first of a list
        // or an object.
        check_memory(text, 384, 172).map_err(|e| format!("the header: {e}"))?;
        // `SafeTensors::read_metadata` would add these lengths without a check.
        let metadata: Metadata =
            serde_json::from_slice(text).map_err(|e| format!("the header: {e}"))?;
        let (data, count) = (8 + text.len(), metadata.data_len());
        match data.checked_add(count) {
            Some(end) if end == bytes.len() => Ok(Header { metadata, data }),
            _ => Err(format!("its tensors take {count} bytes, and it has {}", bytes.len() - data)),
        }
    }

    /// A text of the file's own metadata.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.metadata.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// The names of all tensors.
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// Where in the file a tensor's bytes are.
    pub fn range(&self, name: &str) -> Option<Range<usize>> {
        let (start, end) = self.metadata.info(name)?.data_offsets;
        Some(self.data + start..self.data + end)
    }

    /// The numbers of a tensor whose numbers have `N` bytes each.
    pub fn numbers<'a, const N: usize>(
        &self,
        bytes: &'a [u8],
        name: &str,
        dtype: Dtype,
        shape: &[usize],
    ) -> std::result::Result<&'a [[u8; N]], String> {
        let found = self.metadata.info(name).zip(self.range(name));
        let (found, range) =
            found.ok_or_else(|| format!("tensor '{name}', {shape:?}, is missing"))?;
        if found.dtype != dtype {
            return Err(format!("tensor '{name}' is {}; {dtype} was expected", found.dtype));
        }
        if found.shape != shape {
            return Err(format!("tensor '{name}' is {:?}; {shape:?} was expected", found.shape));
        }
        Ok(bytes[range].as_chunks().0)
    }

    /// A scaling with its constants for each feature, if it is of such a kind.
    pub fn scaling(
        &self,
        bytes: &[u8],
        scaling: &Scaling,
        features: usize,
    ) -> std::result::Result<Scaling, String> {
        let Some(names) = scaling.constant_names() else { return Ok(scaling.clone()) };
        let constants = |name| -> std::result::Result<Vec<f64>, String> {
            let numbers = self.numbers(bytes, name, Dtype::F64, &[features])?;
            Ok(numbers.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect())
        };
        let [first, second] = names.map(constants);
        Ok(scaling.with_constants(first?, second?))
    }
}

/// A number that is not finite, if there is one, and where.
pub(crate) fn not_finite(numbers: &[f32]) -> Option<(usize, f32)> {
    let at = numbers.iter().position(|number| !number.is_finite())?;
    Some((at, numbers[at]))
}

/// Reads a file if its first bytes can be those of a safetensors file, so that a large file of
/// another kind is refused at once. Errors call what it should be `expected`.
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
                return wrong(format!("not {expected}: its header has an invalid length"));
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
        _ => {
            let more = (&mut file).take(recognize::LENGTH as u64 - 9).read_to_end(&mut bytes);
            more.map_err(|e| Error::io("read", path, e))?;
            let what = recognize::kind(&bytes)
                .map_or(String::new(), |(what, _)| format!("; this looks like {what}"));
            return wrong(format!("not {expected} (safetensors){what}"));
        }
    }
    file.read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn small() -> Vec<u8> {
        let numbers = [7; 24];
        let view = |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), bytes);
        let tensors = [
            ("text", view(Dtype::U8, &[5], &b"hello"[..]).unwrap()),
            ("b.weight", view(Dtype::F32, &[2, 3], &numbers).unwrap()),
            ("a", view(Dtype::U32, &[1], &[1, 2, 3, 4]).unwrap()),
            ("empty", view(Dtype::F32, &[0, 4], &[]).unwrap()),
        ];
        let metadata = [("key", "a \"text\"\n"), ("other", "")];
        let metadata = metadata.map(|(key, text)| (key.to_owned(), text.to_owned()));
        safetensors::serialize(tensors, Some(metadata.into_iter().collect())).unwrap()
    }

    #[test]
    fn a_file_is_read() {
        let bytes = small();
        let header = Header::read(&bytes).unwrap();
        assert_eq!(header.text("key"), Some("a \"text\"\n"));
        assert_eq!(header.text("keys"), None);
        assert_eq!(bytes[header.range("text").unwrap()], *b"hello");
        assert_eq!(header.numbers(&bytes, "b.weight", Dtype::F32, &[2, 3]).unwrap(), [[7; 4]; 6]);
        for (name, dtype, shape, sentence) in [
            ("c", Dtype::F32, &[1][..], "tensor 'c', [1], is missing"),
            ("a", Dtype::F32, &[1], "tensor 'a' is U32; F32 was expected"),
            ("a", Dtype::U32, &[1, 1], "tensor 'a' is [1]; [1, 1] was expected"),
        ] {
            assert_eq!(header.numbers::<4>(&bytes, name, dtype, shape).unwrap_err(), sentence);
        }
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
        check_memory(format!("{{{}}}", lines.join(",")).as_bytes(), 384, 172).unwrap();
    }

    #[test]
    fn every_cut_and_every_lie_is_refused() {
        let bytes = small();
        for end in 0..bytes.len() {
            assert!(Header::read(&bytes[..end]).is_err());
        }
        let refused = |text: &str| {
            let length = (text.len() as u64).to_le_bytes();
            Header::read(&[&length[..], text.as_bytes(), &[0; 8]].concat()).err().unwrap()
        };
        for (text, sentence) in [
            ("[]", "the header: "),
            (r#"{"a":1}"#, "the header: "),
            (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,7]}}"#, "invalid shape"),
            (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, "tensor `a`"),
            (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, "tensor `a`"),
            (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, "its tensors take"),
            (r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}"#, "its tensors take"),
            (r#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#, "the header: "),
            (
                r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#,
                "overflow",
            ),
            (
                r#"{"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,18446744073709551615]}}"#,
                "overflow",
            ),
            (r#"{"a":{"dtype":"C128","shape":[1],"data_offsets":[0,8]}}"#, "C128"),
            (r#"{"__metadata__":{"a":1}}"#, "the header: "),
            (r#"{"__metadata__":[]}"#, "the header: "),
        ] {
            let problem = refused(text);
            assert!(problem.contains(sentence), "{text}: {problem}");
        }
        // A header that claims more than there is, and more than there may be.
        for length in [1u64 << 17, 1 << 19, u64::MAX] {
            let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
            assert!(Header::read(&bytes).err().unwrap().contains("the header takes"));
        }
    }
}
