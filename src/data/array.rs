//! Arrays of samples, mapped or in memory.

use std::fmt;
use std::fs::{File, Metadata};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::{Mmap, MmapOptions};

use crate::data::element::{Element, ElementType};
use crate::data::fortran;
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
    followed: bool,
}

enum Bytes {
    /// They are asked for once a row, not once a number.
    Memory(Box<dyn Memory>),
    /// The map is as long as the header says, the file at least.
    Mapped { map: Mmap, file: Locked, length: u64, modified: Option<SystemTime> },
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
            fortran_order: false,
            start: 0,
        };
        let values: Values<_, T> = Values(values, PhantomData);
        Ok(Array {
            path: PathBuf::new(),
            header,
            bytes: Bytes::Memory(Box::new(values)),
            followed: false,
        })
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
        Ok(Array { path, header, bytes: Bytes::Memory(Box::new(bytes)), followed })
    }

    /// Maps a file, which is at least as long as its header says. Elements in Fortran order are copied
    /// to C order, in memory.
    pub(crate) fn map(
        path: &Path,
        header: Header,
        file: File,
        metadata: &Metadata,
        followed: bool,
    ) -> Result<Self> {
        // SAFETY: the map is read-only and its length was checked against the file's; any bytes
        // are valid `u8`. That nobody truncates or rewrites the file meanwhile cannot be checked:
        // the docs of `Array::open` ask it of the caller and name `Array::read` for other files.
        #[allow(unsafe_code)]
        let map = unsafe { MmapOptions::new().len(header.end()).map(&file) };
        let map = map.map_err(|e| Error::io("map", path, e))?;
        if header.fortran_order {
            let bytes = fortran::reordered(path, &header, &map)?;
            let header = Header { fortran_order: false, start: 0, ..header };
            return Self::in_memory(path.to_owned(), header, bytes, followed);
        }
        // Where the system has no locks, there is none.
        let _ = file.try_lock_shared();
        let (length, modified) = (metadata.len(), metadata.modified().ok());
        let bytes = Bytes::Mapped { map, file: Locked(file), length, modified };
        Ok(Array { path: path.to_owned(), header, bytes, followed })
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
        let bytes = self.row_bytes(row);
        assert_eq!(out.len(), self.features(), "out must hold one sample's features");
        self.element_type().convert(bytes, self.header.big_endian, out);
    }

    /// Converts sample `row`, flattened, to `f64`, unscaled; integers beyond 2^53 are rounded to the
    /// nearest `f64`.
    ///
    /// # Panics
    /// If `row >= samples()` or `out.len() != features()`.
    #[doc(hidden)]
    pub fn read_row_f64(&self, row: usize, out: &mut [f64]) {
        assert_eq!(out.len(), self.features(), "out must hold one sample's features");
        self.map_row(row, out, |_, number| number);
    }

    /// Sets each `out[i]` to `f(i, number i of sample row)`.
    #[inline]
    pub(crate) fn map_row<T>(&self, row: usize, out: &mut [T], f: impl Fn(usize, f64) -> T) {
        self.element_type().map(self.row_bytes(row), self.header.big_endian, out, f);
    }

    /// One number.
    fn number(&self, sample: usize, feature: usize) -> f64 {
        let size = self.element_type().size();
        let bytes = &self.row_bytes(sample)[feature * size..][..size];
        let mut number = [0.0];
        self.element_type().map(bytes, self.header.big_endian, &mut number, |_, number| number);
        number[0]
    }

    /// The error for a number that is not what was expected.
    pub(crate) fn refused(
        &self,
        sample: usize,
        feature: usize,
        problem: impl FnOnce(f64) -> String,
    ) -> Error {
        let number = self.number(sample, feature);
        let is_short = matches!(self.element_type(), ElementType::F16 | ElementType::F32);
        let shown = match number.abs() {
            size if size.is_normal() && !(1e-5..1e16).contains(&size) => match is_short {
                true => format!("{:e}", number as f32),
                false => format!("{number:e}"),
            },
            _ if is_short => format!("{}", number as f32),
            _ => format!("{number}"),
        };
        self.wrong(format!("sample {sample}, feature {feature} is {shown}{}", problem(number)))
    }

    /// The error for a number that is infinite or NaN.
    pub(crate) fn not_finite(&self, sample: usize, feature: usize) -> Error {
        self.refused(sample, feature, |_| "; finite numbers were expected".to_owned())
    }

    /// Fails if one of these features is an integer that no `f64` is.
    pub(crate) fn check_exact(&self, is_checked: impl Fn(usize) -> bool) -> Result<()> {
        let size = self.element_type().size();
        for sample in 0..self.samples() {
            let elements = self.row_bytes(sample).chunks_exact(size).enumerate();
            for (feature, bytes) in elements.filter(|(feature, _)| is_checked(*feature)) {
                let inexact = self.element_type().inexact(bytes, self.header.big_endian);
                if let Some(number) = inexact {
                    return Err(self.wrong(format!(
                        "sample {sample}, feature {feature} is {number}, and these integers beyond \
                         2^53 are too close to each other for f64 to tell them apart; subtract an \
                         offset from them, such as the smallest"
                    )));
                }
            }
        }
        Ok(())
    }

    /// An error that names the file, if there is one.
    pub(crate) fn wrong(&self, problem: String) -> Error {
        match self.path.as_os_str().is_empty() {
            true => Error::Shape(problem),
            false => Error::format(&self.path, None, problem),
        }
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
        let Bytes::Mapped { file: Locked(file), length, modified, .. } = &self.bytes else {
            return Ok(());
        };
        let now = file.metadata().map_err(|e| Error::io("look at", &self.path, e))?;
        let problem = if now.len() != *length {
            format!("changed while mapped: {length} bytes became {}", now.len())
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
        &bytes[self.header.start..self.header.end()]
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
