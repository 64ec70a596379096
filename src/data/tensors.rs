//! Safetensors files from outside, read within bounds of memory.
//!
//! The format and its checks are those of the crate `safetensors`
//! (<https://github.com/huggingface/safetensors>).

use std::io::Read;
use std::ops::Range;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::data::element::ElementType;
use crate::data::header::{self, shape};
use crate::data::reading::Input;
use crate::data::scaling::Scaling;
use crate::error::{Error, Result};
use crate::settings::json::check_memory;

/// Maximum length of a header in bytes.
pub(crate) const MAX_HEADER: u64 = 1 << 18;

/// Bytes from the beginning of a file that tell whether it is one.
pub(crate) const START: usize = 9;

/// Whether a file can be one, by its first bytes: a length of less than 2^32 in eight bytes, and then
/// JSON. (As an IDX file it would have a dimension of 0.)
pub(crate) fn is_start(bytes: &[u8]) -> bool {
    bytes.get(4..START) == Some(&[0, 0, 0, 0, b'{'])
}

/// The header of a file, which was checked: its tensors are all the rest of the file.
pub(crate) struct Header {
    metadata: Metadata,
    /// Where the tensors begin.
    data: usize,
}

impl Header {
    /// Reads the header of a file's bytes. Takes at most 1 MiB of memory.
    pub fn read(bytes: &[u8]) -> std::result::Result<Self, String> {
        let header = Self::parse(bytes)?;
        let (data, count) = (header.data, header.metadata.data_len());
        match data.checked_add(count) {
            Some(end) if end == bytes.len() => Ok(header),
            _ => Err(format!("its tensors take {count} bytes, and it has {}", bytes.len() - data)),
        }
    }

    /// The header alone, of a file's first bytes, whatever follows it.
    fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let (length, rest) = bytes.split_first_chunk().ok_or("it has no eight bytes")?;
        let length = u64::from_le_bytes(*length);
        let text = usize::try_from(length).ok().filter(|_| length <= MAX_HEADER);
        let text = text.and_then(|length| rest.get(..length));
        let text = text.ok_or_else(|| match length <= MAX_HEADER {
            true => format!("the header takes {length} bytes, and {} follow", rest.len()),
            false => format!("the header takes {length} bytes; at most {MAX_HEADER} are read"),
        })?;
        // serde buffers a value in 32 bytes, and four of them, or pairs, for the first of a list
        // or an object.
        check_memory(text, 384, 172).map_err(|e| format!("the header: {e}"))?;
        // `SafeTensors::read_metadata` would add these lengths without a check.
        let metadata: Metadata =
            serde_json::from_slice(text).map_err(|e| format!("the header: {e}"))?;
        Ok(Header { metadata, data: 8 + text.len() })
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

    /// The type of a tensor's numbers and its shape; no type if arrays cannot have it.
    #[cfg(feature = "exchange")]
    pub fn array(&self, name: &str) -> Option<(Option<ElementType>, &[usize])> {
        let info = self.metadata.info(name)?;
        Some((element_type(info.dtype), &info.shape))
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
        (prefix, scaling): (&str, &Scaling),
        features: usize,
    ) -> std::result::Result<Scaling, String> {
        let constants = |name| -> std::result::Result<Vec<f64>, String> {
            let name = format!("{prefix}{name}");
            let numbers = self.numbers(bytes, &name, Dtype::F64, &[features])?;
            Ok(numbers.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect())
        };
        let mut lists = scaling.constant_names().iter().map(|&name| constants(name));
        let (first, second) = (lists.next(), lists.next());
        Ok(match first {
            Some(first) => scaling.with_constants(first?, second.unwrap_or(Ok(Vec::new()))?),
            None => scaling.clone(),
        })
    }
}

/// The element type of a tensor's type, if arrays can have it.
fn element_type(dtype: Dtype) -> Option<ElementType> {
    Some(match dtype {
        Dtype::BOOL => ElementType::Bool,
        Dtype::U8 => ElementType::U8,
        Dtype::I8 => ElementType::I8,
        Dtype::U16 => ElementType::U16,
        Dtype::I16 => ElementType::I16,
        Dtype::U32 => ElementType::U32,
        Dtype::I32 => ElementType::I32,
        Dtype::U64 => ElementType::U64,
        Dtype::I64 => ElementType::I64,
        Dtype::F16 => ElementType::F16,
        Dtype::BF16 => ElementType::BF16,
        Dtype::F32 => ElementType::F32,
        Dtype::F64 => ElementType::F64,
        _ => return None,
    })
}

/// Reads the header of the array that a tensor is into `bytes`, which may hold its first bytes already:
/// of the tensor of this name, or the only one of two dimensions, or else the only one of more.
pub(crate) fn read_header(
    input: Input<'_>,
    from: &mut impl Read,
    bytes: &mut Vec<u8>,
    name: Option<&str>,
) -> Result<header::Header> {
    input.fill(from, bytes, START, 0)?;
    let length = bytes.first_chunk().map_or(0, |&length| u64::from_le_bytes(length));
    input.fill(from, bytes, 8 + length.min(MAX_HEADER) as usize, 0)?;
    let wrong = |problem: String| Error::format(input.path, None, problem);
    let file = Header::parse(bytes).map_err(|e| wrong(format!("not a safetensors file: {e}")))?;
    array_header(&file, name).map_err(wrong)
}

/// A name as a message can have it.
fn visible(name: &str) -> String {
    const SHOWN: usize = 60;
    let shown = name.chars().take(SHOWN).flat_map(char::escape_debug).collect::<String>();
    shown + if name.chars().nth(SHOWN).is_some() { "..." } else { "" }
}

fn array_header(file: &Header, name: Option<&str>) -> std::result::Result<header::Header, String> {
    let mut tensors = file.metadata.offset_keys();
    tensors.sort_unstable();
    let named = |name: &str| file.metadata.info(name).map(|info| (name.to_owned(), info));
    let of_dimensions = |is: fn(usize) -> bool| {
        let infos = tensors.iter().filter_map(|name| named(name));
        let mut found = infos.filter(|(_, info)| is(info.shape.len()));
        found.next().filter(|_| found.next().is_none())
    };
    let found = match name {
        Some(name) => named(name),
        None => of_dimensions(|count| count == 2).or_else(|| of_dimensions(|count| count > 2)),
    };
    let (name, info) = found.ok_or_else(|| {
        let shown = tensors.iter().filter_map(|name| named(name)).take(8);
        let shown =
            shown.map(|(name, info)| format!("'{}' ({})", visible(&name), shape(&info.shape)));
        let list = shown.collect::<Vec<_>>().join(", ");
        let more = match tensors.len() {
            0 => "none",
            1..=8 => "",
            _ => ", ...",
        };
        match name {
            Some(name) => format!("no tensor '{}'; the file has {list}{more}", visible(name)),
            None => format!(
                "expected one tensor of two dimensions, or the name of a tensor (--tensor NAME); \
                 the file has {list}{more}"
            ),
        }
    })?;
    let TensorInfo { dtype, shape: dims, data_offsets: (start, end) } = info;
    let name = visible(&name);
    let element_type = element_type(*dtype).ok_or_else(|| {
        format!(
            "tensor '{name}' is {dtype}; save it as F16, BF16, F32, F64, U8 or another integer type"
        )
    })?;
    if let Some(expected) = header::expected_instead(dims) {
        let shown = match dims.len() {
            0 => "is a single number without dimensions".to_owned(),
            9.. => format!("has {} dimensions", dims.len()),
            _ => format!("has the shape {dims:?}"),
        };
        return Err(format!("tensor '{name}' {shown}; {expected}"));
    }
    // Offsets may be any numbers, as long as each tensor begins where the one before it ends.
    let start = file.data.checked_add(*start).ok_or_else(|| {
        format!("tensor '{name}' begins at byte {start}, beyond what memory can address")
    })?;
    let header = header::Header {
        element_type,
        big_endian: false,
        fortran_order: false,
        dims: dims.clone(),
        start,
        is_idx: false,
        tail: file.metadata.data_len() - end,
    };
    header.checked()
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
