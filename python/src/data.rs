//! Data from Python: arrays, which are not copied, and files.

use std::ffi::CString;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread;

use numpy::{
    PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray2, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyUserWarning, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use sae::{
    Error, Samples, Scaling,
    data::{ElementType, ReadOptions, Row, Rows, ScalingKind, Shards, Source},
};

use crate::failure;

/// Data as an argument of a call.
pub enum Data<'py> {
    Array(Numbers<'py>),
    Files(Samples),
    /// A tuple: samples and their targets.
    Pair(Box<[Data<'py>; 2]>),
}

/// A NumPy array `[samples, features]` of any type of number, each row of it without gaps. It is borrowed
/// while this value exists: code that uses the crate `numpy` cannot write to it.
pub struct Numbers<'py> {
    /// The rows as bytes.
    bytes: PyReadonlyArray2<'py, u8>,
    features: usize,
    element_type: ElementType,
    is_big_endian: bool,
    /// Whether they are those of a mapped file.
    is_mapped: bool,
    /// The number of the first sample in errors.
    start: usize,
}

impl<'py> FromPyObject<'_, 'py> for Data<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(files) = object.cast::<Files>() {
            return Ok(Data::Files(files.get().samples.clone()));
        }
        if let Ok(pair) = object.cast::<PyTuple>() {
            let (samples, targets) = pair.extract()?;
            return Ok(Data::Pair(Box::new([samples, targets])));
        }
        Ok(Data::Array(Numbers::new(&*object.cast::<PyUntypedArray>()?)?))
    }
}

impl<'py> Numbers<'py> {
    fn new(array: &Bound<'py, PyUntypedArray>) -> PyResult<Self> {
        let dtype = array.dtype();
        let Some(element_type) = element_type(dtype.kind(), dtype.itemsize()) else {
            let problem = format!("expected an array of numbers, got one of {dtype}");
            return Err(PyTypeError::new_err(problem));
        };
        let &[samples, features] = array.shape() else {
            let problem = format!("expected two dimensions, got {}", array.ndim());
            return Err(PyValueError::new_err(problem));
        };
        let has_gaps = array.strides()[1] != dtype.itemsize() as isize;
        if samples == 0 || features == 0 || has_gaps {
            let problem = "expected an array [samples, features] whose rows have no gaps";
            return Err(PyValueError::new_err(problem));
        }
        let bytes = array.call_method1("view", ("u1",))?.extract()?;
        let is_big_endian = match dtype.byteorder() {
            b'>' => true,
            b'<' => false,
            _ => cfg!(target_endian = "big"),
        };
        let is_mapped = is_mapped(array)?;
        Ok(Numbers { bytes, features, element_type, is_big_endian, is_mapped, start: 0 })
    }
}

/// The type of NumPy's elements of this kind and size. Numbers of bfloat16, which NumPy does not have, are
/// raw data of two bytes.
fn element_type(kind: u8, size: usize) -> Option<ElementType> {
    use ElementType::*;
    Some(match (kind, size) {
        (b'b', 1) => Bool,
        (b'u', 1) => U8,
        (b'i', 1) => I8,
        (b'u', 2) => U16,
        (b'i', 2) => I16,
        (b'u', 4) => U32,
        (b'i', 4) => I32,
        (b'u', 8) => U64,
        (b'i', 8) => I64,
        (b'f', 2) => F16,
        (b'V', 2) => BF16,
        (b'f', 4) => F32,
        (b'f', 8) => F64,
        _ => return None,
    })
}

/// Whether an array's memory is a mapped file, as that of `numpy.memmap` is.
#[pyfunction]
pub fn is_mapped(array: &Bound<'_, PyUntypedArray>) -> PyResult<bool> {
    let map = array.py().import("mmap")?.getattr("mmap")?;
    let mut owner = array.getattr("base")?;
    while !owner.is_none() {
        if owner.is_instance(&map)? {
            return Ok(true);
        }
        let Some(next) = owner.getattr_opt("base")? else { break };
        owner = next;
    }
    Ok(false)
}

impl Data<'_> {
    /// Has errors number its samples from `start` on.
    pub fn number_from(&mut self, start: usize) {
        if let Data::Array(numbers) = self {
            numbers.start = start;
        }
    }

    /// The samples, without a copy, scaled as those that a model was trained on. Without a model bytes
    /// are scaled to [0, 1] and other values used as they are.
    pub fn samples(&self, model: Option<Scaling>) -> PyResult<Samples> {
        let samples = match self {
            Data::Array(numbers) => Samples::new(Shared::new(numbers)?, Scaling::AsIs),
            Data::Files(samples) => samples.clone(),
            Data::Pair(pair) => return pair[0].samples(model),
        };
        let default = match samples.source().element_type() {
            Some(ElementType::U8) => Scaling::Byte,
            _ => Scaling::AsIs,
        };
        Ok(samples.scaled(model.unwrap_or(default)))
    }

    /// [`Data::samples`] with the targets, if there are some, scaled as those that a model was trained on.
    pub fn pairs(&self, [model, targets]: [Option<Scaling>; 2]) -> PyResult<Samples> {
        let samples = self.samples(model)?;
        let Data::Pair(pair) = self else { return Ok(samples) };
        samples.with_targets(pair[1].samples(targets)?).map_err(failure::of)
    }

    /// The exception for an error about samples of `X`, or about their targets.
    pub fn refused(&self, py: Python<'_>, samples: &Samples, error: Error) -> PyErr {
        match (self, &error) {
            // Only one of the two has a number that is wrong.
            (Data::Pair(_), Error::Shape(_)) => {
                self.check(py, "X", samples, 1).err().unwrap_or_else(|| failure::of(error))
            }
            _ => named("X", error),
        }
    }

    /// Checks every number of an array in memory, on some threads; those of files, and of mapped ones, are
    /// checked as they are read.
    pub fn check(
        &self,
        py: Python<'_>,
        name: &str,
        samples: &Samples,
        threads: usize,
    ) -> PyResult<()> {
        if let Data::Pair(pair) = self {
            pair[0].check(py, name, &samples.without_targets(), threads)?;
            let targets = samples.targets().into_iter();
            let mut checked = targets.map(|targets| pair[1].check(py, "targets", targets, threads));
            return checked.next().unwrap_or(Ok(()));
        }
        let Data::Array(Numbers { element_type, is_mapped: false, .. }) = self else {
            return Ok(());
        };
        let is_safe = match samples.scaling().kind() {
            ScalingKind::Byte => *element_type == ElementType::U8,
            ScalingKind::AsIs => element_type.is_integer(),
            _ => false,
        };
        if is_safe {
            return Ok(());
        }
        py.detach(|| check(samples, threads)).map_err(|error| named(name, error))
    }
}

/// The exception for an error about the samples of an argument.
pub fn named(name: &str, error: Error) -> PyErr {
    match error {
        Error::Shape(problem) => {
            PyValueError::new_err(format!("{name}: {}", failure::in_python(&problem)))
        }
        error => failure::of(error),
    }
}

/// Scales all samples, for the error of the first that cannot be.
fn check(samples: &Samples, threads: usize) -> sae::Result<()> {
    /// Fewer numbers than these are not worth a thread.
    const NUMBERS: usize = 1 << 18;
    let (count, features) = (samples.len(), samples.features());
    let chunks = threads.min(count * features / NUMBERS).max(1);
    let check_chunk = |chunk: usize| {
        let mut row = vec![0.0; features];
        let mut rows = count * chunk / chunks..count * (chunk + 1) / chunks;
        rows.try_for_each(|sample| samples.gather(sample, &mut row))
    };
    thread::scope(|scope| {
        let others: Vec<_> =
            (1..chunks).map(|chunk| scope.spawn(move || check_chunk(chunk))).collect();
        let first = check_chunk(0);
        let others = others
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        std::iter::once(first).chain(others).collect()
    })
}

/// Rows of numbers in NumPy's memory, and the reference that keeps it.
#[derive(Debug)]
struct Shared {
    _array: Py<PyArray2<u8>>,
    first: AtomicPtr<u8>,
    rows: usize,
    /// Bytes from one row to the next.
    stride: isize,
    row_bytes: usize,
    features: usize,
    element_type: ElementType,
    is_big_endian: bool,
    is_mapped: bool,
    start: usize,
}

impl Shared {
    fn new(numbers: &Numbers<'_>) -> PyResult<Self> {
        let &Numbers { ref bytes, features, element_type, is_big_endian, is_mapped, start } =
            numbers;
        let (&[rows, row_bytes], &[stride, 1]) = (bytes.shape(), bytes.strides()) else {
            return Err(PyValueError::new_err("expected rows of bytes next to each other"));
        };
        Ok(Shared {
            first: AtomicPtr::new(bytes.data()),
            _array: (**bytes).clone().unbind(),
            rows,
            stride,
            row_bytes,
            features,
            element_type,
            is_big_endian,
            is_mapped,
            start,
        })
    }

    /// The bytes of a row.
    fn bytes(&self, row: usize) -> &[u8] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let (first, offset) = (self.first.load(Ordering::Relaxed), row as isize * self.stride);
        // SAFETY: pointer, number of rows, stride and bytes of a row, which are next to each other, are
        // those of an array of bytes, whose elements all are where NumPy says. The reference keeps its
        // memory alive and in place (NumPy does not resize an array that has other references). That
        // Python code in another thread does not write to it meanwhile is the caller's obligation, as
        // everywhere in NumPy.
        unsafe { std::slice::from_raw_parts(first.offset(offset), self.row_bytes) }
    }

    fn stored(&self, row: usize) -> Row<'_> {
        Row::from_bytes(self.bytes(row), self.element_type, self.is_big_endian)
    }
}

impl Source for Shared {
    fn samples(&self) -> usize {
        self.rows
    }

    fn features(&self) -> usize {
        self.features
    }

    fn row<'a>(&'a self, row: usize, _: &'a mut Vec<f32>) -> sae::Result<Row<'a>> {
        Ok(self.stored(row))
    }

    fn prefetch(&self, row: usize) {
        self.stored(row).prefetch();
    }

    fn resident_bytes(&self) -> Option<u64> {
        Some(if self.is_mapped { (self.rows * self.row_bytes) as u64 } else { 0 })
    }

    fn element_type(&self) -> Option<ElementType> {
        Some(self.element_type)
    }

    fn place(&self, row: usize) -> (PathBuf, usize) {
        (PathBuf::new(), self.start + row)
    }
}

/// Files as one data set.
#[pyclass(frozen, module = "sae._sae")]
pub struct Files {
    samples: Samples,
    paths: Vec<PathBuf>,
}

#[pymethods]
impl Files {
    /// Opens files, folders, patterns and lists of files as one data set.
    #[new]
    #[allow(clippy::needless_update)] // there may be more options
    fn new(
        py: Python<'_>,
        paths: Vec<PathBuf>,
        tensor: Option<String>,
        last: Option<bool>,
        copy: bool,
    ) -> PyResult<Self> {
        let rows = last.map(|last| if last { Rows::Last } else { Rows::First });
        let options = ReadOptions { tensor, rows, copy, ..ReadOptions::default() };
        let shards = py.detach(|| Shards::open(paths, &options)).map_err(failure::of)?;
        if let [first, others @ ..] = shards.left_out() {
            let first = first.display();
            let problem = match others.len() {
                0 => format!("{first} has no samples, and is left out"),
                n => format!("{first} and {n} other files have no samples, and are left out"),
            };
            let problem = CString::new(problem).unwrap_or_default();
            // Of the line outside of this package that has opened them.
            let level = py.import("sae._checks")?.call_method0("caller")?.extract()?;
            PyErr::warn(py, &py.get_type::<PyUserWarning>(), &problem, level)?;
        }
        for array in shards.arrays() {
            if let [count] = *array.dims() {
                return Err(PyValueError::new_err(format!(
                    "{}: expected an array [samples, features], got {count} values of one \
                     dimension, perhaps labels",
                    array.path().display()
                )));
            }
        }
        let paths = shards.paths().map(PathBuf::from).collect();
        Ok(Files { samples: Samples::new(shards, Scaling::AsIs), paths })
    }

    /// Numbers of samples and features.
    #[getter]
    fn shape(&self) -> (usize, usize) {
        (self.samples.len(), self.samples.features())
    }

    /// The type of the numbers, such as "u8", "bf16" or "f32"; None if that of the files differs.
    #[getter]
    fn element_type(&self) -> Option<String> {
        self.samples.source().element_type().map(|element_type| element_type.to_string())
    }

    /// The files, in the order of their samples.
    #[getter]
    fn paths(&self) -> Vec<PathBuf> {
        self.paths.clone()
    }

    fn __len__(&self) -> usize {
        self.samples.len()
    }

    fn __repr__(&self) -> String {
        let (samples, features) = self.shape();
        let kind = self.element_type().unwrap_or_else(|| "several types".to_owned());
        match &self.paths[..] {
            [path] => format!("<{}: {samples} x {features}, {kind}>", path.display()),
            [first, ..] => {
                let (count, first) = (self.paths.len(), first.display());
                format!("<{count} files from {first}: {samples} x {features}, {kind}>")
            }
            [] => format!("<no files: {samples} x {features}>"),
        }
    }
}
