//! What the header of a file of samples says, whatever its format.

use crate::data::element::ElementType;
use crate::error::Error;

/// What the header of a file says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    pub element_type: ElementType,
    pub big_endian: bool,
    /// The index of the first dimension changes fastest, that of the last one otherwise.
    pub fortran_order: bool,
    /// From 1 to 255 numbers from 1 to 2^32 - 1.
    pub dims: Vec<usize>,
    /// Where the elements begin, in bytes.
    pub start: usize,
    /// Whether the file is an IDX file.
    pub is_idx: bool,
    /// Bytes of the file after the elements: other tensors of a safetensors file.
    pub tail: usize,
}

impl Header {
    /// Where the elements end, in bytes; `None` if that or the file's end is beyond what memory holds.
    fn checked_end(&self) -> Option<usize> {
        let size = self.element_type.size();
        let data = self.dims.iter().try_fold(size, |n, &dim| n.checked_mul(dim))?;
        let end = data.checked_add(self.start)?;
        // One less than `isize::MAX` leaves space to notice excess.
        end.checked_add(self.tail).filter(|&end| end < isize::MAX as usize)?;
        Some(end)
    }

    /// Where the elements end, in bytes, of a header that [`Header::checked`] has passed.
    pub fn end(&self) -> usize {
        self.checked_end().expect("a header that was checked")
    }

    /// Where the file ends, in bytes, of a header that [`Header::checked`] has passed.
    pub fn end_of_file(&self) -> usize {
        self.end() + self.tail
    }

    /// Checks that memory can hold the file.
    pub fn checked(self) -> std::result::Result<Self, String> {
        match self.checked_end() {
            Some(_) => Ok(self),
            None => Err(format!(
                "{} {} elements are more than memory can address",
                shape(&self.dims),
                self.element_type
            )),
        }
    }
}

/// What is a row of an array of more than two dimensions, and so a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rows {
    /// All numbers of an index of the first dimension, as of images: an array `[60000, 28, 28]` is 60 000
    /// rows of 784 numbers.
    First,
    /// The numbers along the last dimension, as of activations: an array `[texts, tokens, 384]` is
    /// texts x tokens rows of 384 numbers.
    Last,
}

/// Rows of an array, and how long they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub rows: Rows,
    pub samples: usize,
    pub features: usize,
}

impl Layout {
    /// The dimensions of a row.
    pub fn row_dims(self, header: &Header) -> &[usize] {
        match self.rows {
            Rows::First => &header.dims[1..],
            Rows::Last => &[],
        }
    }
}

impl Header {
    /// The rows of this kind; by default along the last dimension if the elements are floats in more than
    /// two dimensions, but for IDX files, in which there are images.
    pub fn layout(&self, rows: Option<Rows>) -> Layout {
        let is_deep = self.dims.len() > 2 && !self.element_type.is_integer() && !self.is_idx;
        let rows = rows.unwrap_or(if is_deep { Rows::Last } else { Rows::First });
        let (first, rest) = self.dims.split_first().expect("a dimension");
        match (rows, rest.split_last()) {
            (Rows::Last, Some((last, between))) => {
                let samples = first * between.iter().product::<usize>();
                Layout { rows, samples, features: *last }
            }
            _ => {
                let (rows, features) = (Rows::First, rest.iter().product());
                Layout { rows, samples: *first, features }
            }
        }
    }
}

/// What an error says of an array without samples.
pub(crate) const NO_SAMPLES: &str = "it has no samples, 1 or more were expected";

/// Whether an array of these dimensions has no samples, and does not only lack features.
pub(crate) fn has_no_samples(dims: &[usize]) -> bool {
    let before_features = if dims.len() > 1 { &dims[..dims.len() - 1] } else { dims };
    before_features.contains(&0)
}

/// What was expected instead of dimensions that no samples can have; `None` if these can be theirs.
pub(crate) fn expected_instead(dims: &[usize]) -> Option<&'static str> {
    let is_wrong = |&dim: &usize| dim == 0 || u32::try_from(dim).is_err();
    let fits = !dims.is_empty() && dims.len() <= 255 && !dims.iter().any(is_wrong);
    match has_no_samples(dims) {
        _ if fits => None,
        true => Some(NO_SAMPLES),
        false => Some("samples by features were expected"),
    }
}

/// Whether an error is that of an array without samples.
pub(crate) fn is_of_no_samples(error: &Error) -> bool {
    matches!(error, Error::Format { problem, .. } if problem.contains(NO_SAMPLES))
}

/// Dimensions as `60000 x 28 x 28`, cut after eight.
pub(crate) fn shape(dims: &[usize]) -> String {
    let shown: Vec<_> = dims.iter().take(8).map(usize::to_string).collect();
    shown.join(" x ") + if dims.len() > 8 { " x ..." } else { "" }
}
