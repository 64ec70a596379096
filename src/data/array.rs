//! Arrays of samples, mapped or in memory.

use std::fmt;
use std::fs::{File, Metadata};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::{Mmap, MmapOptions};

use crate::data::element::{Element, ElementType};
use crate::data::source::{Header, shape};
use crate::error::{Error, Result};

/// An array of numbers: samples along the first dimension, features along all the others.
///
/// [`Array::open`] maps a file: nothing is copied, and processes that map the same file share its
/// pages. [`Array::read`] loads it into memory: for files that something else may write to
/// meanwhile, and for pipes. [`Array::from_values`] takes numbers in memory.
pub struct Array {
    path: PathBuf,
    header: Header,
    bytes: Bytes,
}

enum Bytes {
    /// They are asked for once a row, not once a number.
    Memory(Box<dyn Memory>),
    /// The length is that of the header, which was also the file's.
    Mapped { map: Mmap, file: Locked, modified: Option<SystemTime> },
}

/// Bytes in memory, whoever owns them.
trait Memory: Send + Sync {
    fn bytes(&self) -> &[u8];
}

struct Values<V, T>(V, PhantomData<fn() -> T>);

impl<V: AsRef<[T]> + Send + Sync, T: Element> Memory for Values<V, T> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self.0.as_ref())
    }
}

/// A file whose lock ends with this value. Closing it is not enough: a process that this one just
/// started holds the file, too, until its program begins.
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Array {
    /// Takes numbers in memory, row-major `[samples, features]`, without a copy: a `Vec<T>`, an
    /// `Arc<[T]>`, or a type that holds another language's array. The slice has to be the same at
    /// every call of `as_ref`, in length and content, as long as the array lives.
    ///
    /// # Errors
    /// [`Error::Shape`] unless they are one or more whole samples, at most 2^32 - 1.
    pub fn from_values<T: Element>(
        values: impl AsRef<[T]> + Send + Sync + 'static,
        features: usize,
    ) -> Result<Self> {
        let count = values.as_ref().len();
        if features == 0 || count == 0 || !count.is_multiple_of(features) {
            return Err(Error::Shape(format!(
                "{count} numbers are not one or more samples of {features} features"
            )));
        }
        let samples = count / features;
        if u32::try_from(samples).is_err() {
            return Err(Error::Shape(format!("{samples} samples; at most 2^32 - 1 fit")));
        }
        let header = Header {
            element_type: T::TYPE,
            big_endian: cfg!(target_endian = "big"),
            dims: vec![samples, features],
            start: 0,
        };
        let values: Values<_, T> = Values(values, PhantomData);
        Ok(Array { path: PathBuf::new(), header, bytes: Bytes::Memory(Box::new(values)) })
    }

    /// A file's whole content, which is as long as its header says.
    pub(crate) fn in_memory(path: PathBuf, header: Header, bytes: Vec<u8>) -> Self {
        let bytes: Values<_, u8> = Values(bytes, PhantomData);
        Array { path, header, bytes: Bytes::Memory(Box::new(bytes)) }
    }

    /// Maps a file, which is as long as its header says.
    pub(crate) fn map(
        path: &Path,
        header: Header,
        file: File,
        metadata: &Metadata,
    ) -> Result<Self> {
        // SAFETY: the map is read-only and its length was checked against the file's; any bytes
        // are valid `u8`. That nobody truncates or rewrites the file meanwhile cannot be checked:
        // the docs of `Array::open` ask it of the caller and name `Array::read` for other files.
        #[allow(unsafe_code)]
        let map = unsafe { MmapOptions::new().len(header.end()).map(&file) };
        let map = map.map_err(|e| Error::io("map", path, e))?;
        // Where the system has no locks, there is none.
        let _ = file.try_lock_shared();
        let bytes = Bytes::Mapped { map, file: Locked(file), modified: metadata.modified().ok() };
        Ok(Array { path: path.to_owned(), header, bytes })
    }

    /// The type of the elements.
    pub fn element_type(&self) -> ElementType {
        self.header.element_type
    }

    /// The dimensions, outermost first: `[60000, 28, 28]` for MNIST's training images.
    pub fn dims(&self) -> &[usize] {
        &self.header.dims
    }

    /// Number of samples: the first dimension, from 1 to 2^32 - 1.
    #[doc(hidden)]
    pub fn samples(&self) -> usize {
        self.header.dims[0]
    }

    /// Elements of a sample: the product of all dimensions but the first, 1 if there is only one.
    #[doc(hidden)]
    pub fn features(&self) -> usize {
        self.header.dims[1..].iter().product()
    }

    /// The file, as it was named; empty for numbers in memory.
    #[doc(hidden)]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All elements, `samples() * features()` of them, without a copy, if they are `u8`.
    #[doc(hidden)]
    pub fn as_u8(&self) -> Option<&[u8]> {
        (self.element_type() == ElementType::U8).then(|| self.elements())
    }

    /// Converts sample `row`, flattened, to `f32`, unscaled; `i32` and `f64` are rounded to the
    /// nearest `f32` (beyond its range: infinity).
    ///
    /// # Panics
    /// If `row >= samples()` or `out.len() != features()`.
    #[doc(hidden)]
    pub fn read_row(&self, row: usize, out: &mut [f32]) {
        let bytes = self.row_bytes(row);
        assert_eq!(out.len(), self.features(), "out must hold one sample's features");
        self.element_type().convert(bytes, self.header.big_endian, out);
    }

    /// The bytes of sample `row`, in the array's byte order.
    pub(crate) fn row_bytes(&self, row: usize) -> &[u8] {
        assert!(row < self.samples(), "row {row} of {} samples", self.samples());
        let size = self.features() * self.element_type().size();
        &self.elements()[row * size..][..size]
    }

    /// Whether each element's high byte comes first.
    pub(crate) fn is_big_endian(&self) -> bool {
        self.header.big_endian
    }

    /// Checks that a mapped file is still as it was opened; always `Ok` for one in memory.
    pub(crate) fn unchanged(&self) -> Result<()> {
        let Bytes::Mapped { file: Locked(file), modified, .. } = &self.bytes else { return Ok(()) };
        let now = file.metadata().map_err(|e| Error::io("look at", &self.path, e))?;
        let problem = if now.len() != self.header.end() as u64 {
            format!("changed while mapped: {} bytes became {}", self.header.end(), now.len())
        } else if now.modified().ok() != *modified {
            "changed while mapped: it was written to since it was opened".to_owned()
        } else {
            return Ok(());
        };
        let advice = "; use Array::read (--copy) for files that may change";
        Err(Error::format(&self.path, None, problem + advice))
    }

    fn elements(&self) -> &[u8] {
        let bytes = match &self.bytes {
            Bytes::Memory(memory) => memory.bytes(),
            Bytes::Mapped { map, .. } => &map[..],
        };
        &bytes[self.header.start..]
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.path.as_os_str().is_empty() {
            "memory".into()
        } else {
            self.path.display().to_string()
        };
        write!(f, "Array({name}: {} {})", shape(self.dims()), self.element_type())
    }
}
