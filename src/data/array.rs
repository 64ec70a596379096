//! Arrays of samples, mapped or in memory.

use std::fmt;
use std::fs::{File, Metadata};
use std::marker::PhantomData;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::{Mmap, MmapOptions};

use sae_kernels::{Isa, convert};

use crate::data::element::{Element, ElementType};
use crate::data::fortran;
use crate::data::header::{Header, Layout, Rows, shape};
use crate::data::row::Row;
use crate::data::source::{Source, whole_samples};
use crate::error::{Error, Result};

/// An array of numbers, each row of them a sample: all numbers of an index of the first dimension, or,
/// by default where they are floats in more than two dimensions, those along the last one ([`Rows`]).
///
/// [`Array::open`] maps a file: nothing is copied, and processes that map the same file share its
/// pages. [`Array::read`] loads it into memory: for files that something else may write to
/// meanwhile, and for pipes. [`Array::from_values`] takes numbers in memory.
pub struct Array {
    path: PathBuf,
    header: Header,
    bytes: Bytes,
    layout: Layout,
    followed: bool,
}

enum Bytes {
    /// They are asked for once a row, not once a number.
    Memory(Box<dyn Memory>),
    /// The map is as long as the header says, the file at least.
    Mapped { map: Mmap, file: Option<Locked>, state: FileState },
}

/// What a file was like when it was opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileState {
    length: u64,
    modified: Option<SystemTime>,
}

impl FileState {
    pub fn of(metadata: &Metadata) -> Self {
        FileState { length: metadata.len(), modified: metadata.modified().ok() }
    }

    /// Fails if the file at `path` is another by its present state.
    pub fn check(self, path: &Path, now: &Metadata) -> Result<()> {
        let problem = if now.len() != self.length {
            format!("changed while mapped: {} bytes became {}", self.length, now.len())
        } else if now.modified().ok() != self.modified {
            "changed while mapped: it was written to since it was opened".to_owned()
        } else {
            return Ok(());
        };
        let advice = "; use Array::read (--copy) for files that may change";
        Err(Error::format(path, None, problem + advice))
    }
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

/// Maps the first bytes of a file, which has as many.
pub(crate) fn map(path: &Path, file: &File, length: usize) -> Result<Mmap> {
    // SAFETY: the map is read-only and its length was checked against the file's; any bytes are valid
    // `u8`. That nobody truncates or rewrites the file meanwhile cannot be checked: the docs of
    // `Array::open` ask it of the caller and name `Array::read` for other files.
    #[allow(unsafe_code)]
    let map = unsafe { MmapOptions::new().len(length).map(file) };
    map.map_err(|e| Error::io("map", path, e))
}

impl Array {
    /// Takes numbers in memory, row-major `[samples, features]`, without a copy: a `Vec<T>`, an
    /// `Arc<[T]>`, or a type that holds another language's array. The slice has to be the same at
    /// every call of `as_ref`, in length and content, as long as the array lives.
    ///
    /// # Errors
    /// [`Error::Shape`] unless they are one or more whole samples.
    pub fn from_values<T: Element>(
        values: impl AsRef<[T]> + Send + Sync + 'static,
        features: usize,
    ) -> Result<Self> {
        let samples = whole_samples(values.as_ref().len(), features)?;
        let header = Header {
            element_type: T::TYPE,
            big_endian: cfg!(target_endian = "big"),
            dims: vec![samples, features],
            fortran_order: false,
            start: 0,
            is_idx: false,
            tail: 0,
        };
        let values: Values<_, T> = Values(values, PhantomData);
        Ok(Self::new(PathBuf::new(), header, Bytes::Memory(Box::new(values)), false))
    }

    fn new(path: PathBuf, header: Header, bytes: Bytes, followed: bool) -> Self {
        let layout = header.layout(None);
        Array { path, header, bytes, layout, followed }
    }

    /// The same array with the name that errors call it.
    #[doc(hidden)]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = path.into();
        self
    }

    /// The same array with other rows.
    pub fn with_rows(mut self, rows: Rows) -> Self {
        self.layout = self.header.layout(Some(rows));
        self
    }

    /// Its rows, and how long they are.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// A file's content, which has at least the elements that the header says. Elements in Fortran
    /// order are copied to C order.
    pub(crate) fn in_memory(
        path: PathBuf,
        mut header: Header,
        mut bytes: Vec<u8>,
        followed: bool,
    ) -> Result<Self> {
        if header.fortran_order {
            bytes = fortran::reordered(&path, &header, &bytes)?;
            (header.fortran_order, header.start) = (false, 0);
        }
        let bytes: Values<_, u8> = Values(bytes, PhantomData);
        Ok(Self::new(path, header, Bytes::Memory(Box::new(bytes)), followed))
    }

    /// An array in a mapped file, which is at least as long as its header says. Elements in Fortran order
    /// are copied to C order, in memory. `file` is locked, where there is one.
    pub(crate) fn mapped(
        path: &Path,
        header: Header,
        map: Mmap,
        file: Option<File>,
        state: FileState,
    ) -> Result<Self> {
        if header.fortran_order {
            let bytes = fortran::reordered(path, &header, &map)?;
            let header = Header { fortran_order: false, start: 0, ..header };
            return Self::in_memory(path.to_owned(), header, bytes, false);
        }
        // Where the system has no locks, there is none.
        let lock = |file: File| {
            let _ = file.try_lock_shared();
            Locked(file)
        };
        let bytes = Bytes::Mapped { map, file: file.map(lock), state };
        Ok(Self::new(path.to_owned(), header, bytes, false))
    }

    /// The header of a mapped file, and what the file was like.
    pub(crate) fn of_mapped(&self) -> Option<(&Header, FileState)> {
        match self.bytes {
            Bytes::Mapped { state, .. } => Some((&self.header, state)),
            Bytes::Memory(_) => None,
        }
    }

    /// Notes that another array follows in the file.
    pub(crate) fn followed_by(mut self, followed: bool) -> Self {
        self.followed = followed;
        self
    }

    /// The type of the elements.
    pub fn element_type(&self) -> ElementType {
        self.header.element_type
    }

    /// The dimensions, outermost first: `[60000, 28, 28]` for MNIST's training images.
    pub fn dims(&self) -> &[usize] {
        &self.header.dims
    }

    /// Number of samples: of rows.
    #[doc(hidden)]
    pub fn samples(&self) -> usize {
        self.layout.samples
    }

    /// Numbers of a sample.
    #[doc(hidden)]
    pub fn features(&self) -> usize {
        self.layout.features
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

    /// Whether another NumPy array follows this one in its file, as after `np.save` twice to one
    /// handle. Only the first is taken.
    #[doc(hidden)]
    pub fn is_followed(&self) -> bool {
        self.followed
    }

    /// Converts sample `row`, flattened, to `f32`, unscaled; integers of four or eight bytes and `f64`
    /// are rounded to the nearest `f32` (beyond its range: infinity).
    ///
    /// # Panics
    /// If `row >= samples()` or `out.len() != features()`.
    #[doc(hidden)]
    pub fn read_row(&self, row: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.layout.features, "out must hold one sample's features");
        self.stored(row).to_f32(Isa::detect(), out);
    }

    /// Converts sample `row`, flattened, to `f64`, unscaled; integers beyond 2^53 are rounded to the
    /// nearest `f64`.
    ///
    /// # Panics
    /// If `row >= samples()` or `out.len() != features()`.
    #[doc(hidden)]
    pub fn read_row_f64(&self, row: usize, out: &mut [f64]) {
        assert_eq!(out.len(), self.layout.features, "out must hold one sample's features");
        self.stored(row).map(Isa::detect(), out, |_, number| number);
    }

    /// A row as it is stored.
    pub(crate) fn stored(&self, row: usize) -> Row<'_> {
        Row::from_bytes(self.row_bytes(row), self.header.element_type, self.header.big_endian)
    }

    /// The bytes of sample `row`, in the array's byte order.
    fn row_bytes(&self, row: usize) -> &[u8] {
        assert!(row < self.layout.samples, "row {row} of {} samples", self.layout.samples);
        let size = self.layout.features * self.header.element_type.size();
        &self.elements()[row * size..][..size]
    }

    fn elements(&self) -> &[u8] {
        let bytes = match &self.bytes {
            Bytes::Memory(memory) => memory.bytes(),
            Bytes::Mapped { map, .. } => &map[..],
        };
        &bytes[self.header.start..self.header.end()]
    }
}

impl Source for Array {
    fn samples(&self) -> usize {
        self.layout.samples
    }

    fn features(&self) -> usize {
        self.layout.features
    }

    fn row<'a>(&'a self, row: usize, _: &'a mut Vec<f32>) -> Result<Row<'a>> {
        Ok(self.stored(row))
    }

    fn prefetch(&self, row: usize) {
        convert::prefetch(self.row_bytes(row));
    }

    fn read_ahead(&self, rows: Range<usize>) {
        #[cfg(unix)]
        if let Bytes::Mapped { map, .. } = &self.bytes {
            let size = self.layout.features * self.header.element_type.size();
            let (start, length) = (self.header.start + rows.start * size, rows.len() * size);
            // Advice that the system does not take changes nothing.
            let _ = map.advise_range(memmap2::Advice::WillNeed, start, length);
        }
        #[cfg(not(unix))]
        let _ = rows;
    }

    fn expect_random(&self) {
        #[cfg(unix)]
        if let Bytes::Mapped { map, .. } = &self.bytes {
            // As above.
            let _ = map.advise(memmap2::Advice::Random);
        }
    }

    fn resident_bytes(&self) -> Option<u64> {
        match &self.bytes {
            Bytes::Memory(_) => Some(0),
            Bytes::Mapped { map, .. } => Some(map.len() as u64),
        }
    }

    fn element_type(&self) -> Option<ElementType> {
        Some(self.header.element_type)
    }

    fn row_dims(&self) -> &[usize] {
        self.layout.row_dims(&self.header)
    }

    fn place(&self, row: usize) -> (PathBuf, usize) {
        (self.path.clone(), row)
    }

    fn unchanged(&self) -> Result<()> {
        let Bytes::Mapped { file, state, .. } = &self.bytes else { return Ok(()) };
        let now = match file {
            Some(Locked(file)) => file.metadata(),
            None => self.path.metadata(),
        };
        let now = now.map_err(|e| Error::io("look at", &self.path, e))?;
        state.check(&self.path, &now)
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
