//! Data from Python: arrays, which are not copied, and paths of files.

use std::path::PathBuf;
use std::sync::atomic::{AtomicPtr, Ordering};

use numpy::{Element, PyArray2, PyReadonlyArray2, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use sae::{
    Samples, Scaling,
    data::{Array, ElementType},
};

use crate::failure;

/// Data as an argument of a call. Arrays are borrowed while it exists: code that uses the crate
/// `numpy` cannot write to them.
pub enum Data<'py> {
    Bytes(PyReadonlyArray2<'py, u8>),
    Values(PyReadonlyArray2<'py, f32>),
    Doubles(PyReadonlyArray2<'py, f64>),
    File(PathBuf),
}

impl<'py> FromPyObject<'_, 'py> for Data<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(array) = object.extract() {
            return Ok(Data::Bytes(array));
        }
        if let Ok(array) = object.extract() {
            return Ok(Data::Values(array));
        }
        if let Ok(array) = object.extract() {
            return Ok(Data::Doubles(array));
        }
        if object.cast::<PyUntypedArray>().is_ok() {
            let problem = "expected an array [samples, features] of uint8, float32 or float64";
            return Err(PyTypeError::new_err(problem));
        }
        object.extract().map(Data::File)
    }
}

impl Data<'_> {
    /// Features of a sample, if they are known without opening a file.
    pub fn features(&self) -> Option<usize> {
        match self {
            Data::Bytes(array) => Some(array.shape()[1]),
            Data::Values(array) => Some(array.shape()[1]),
            Data::Doubles(array) => Some(array.shape()[1]),
            Data::File(_) => None,
        }
    }

    /// The samples, without a copy, scaled as those that a model was trained on. Without a model bytes
    /// are scaled to [0, 1] and other values used as they are.
    pub fn samples(&self, model: Option<Scaling>) -> PyResult<Samples> {
        match self {
            Data::Bytes(array) => {
                let features = array.shape()[1];
                Array::from_values::<u8>(Shared::new(array)?, features)
                    .map(|array| Samples::new(array, model.unwrap_or(Scaling::Byte)))
            }
            Data::Values(array) => {
                let features = array.shape()[1];
                Array::from_values::<f32>(Shared::new(array)?, features)
                    .map(|array| Samples::new(array, model.unwrap_or(Scaling::AsIs)))
            }
            Data::Doubles(array) => {
                let features = array.shape()[1];
                Array::from_values::<f64>(Shared::new(array)?, features)
                    .map(|array| Samples::new(array, model.unwrap_or(Scaling::AsIs)))
            }
            Data::File(path) => {
                let file = Array::open(path).map_err(failure::of)?;
                if let [count] = *file.dims() {
                    return Err(PyValueError::new_err(format!(
                        "{}: expected an array [samples, features], got {count} values of one \
                         dimension, perhaps labels",
                        path.display()
                    )));
                }
                let default = match file.element_type() {
                    ElementType::U8 => Scaling::Byte,
                    _ => Scaling::AsIs,
                };
                Ok(Samples::new(file, model.unwrap_or(default)))
            }
        }
        .map_err(failure::of)
    }
}

/// The values of an array, and the reference that keeps them alive.
struct Shared<T> {
    _array: Py<PyArray2<T>>,
    start: AtomicPtr<T>,
    length: usize,
}

impl<T: Element> Shared<T> {
    fn new(array: &PyReadonlyArray2<'_, T>) -> PyResult<Self> {
        if !array.is_c_contiguous() {
            return Err(PyValueError::new_err("expected a C-ordered array"));
        }
        let values = array.as_slice()?;
        let start = AtomicPtr::new(values.as_ptr().cast_mut());
        Ok(Shared { length: values.len(), start, _array: (**array).clone().unbind() })
    }
}

impl<T> AsRef<[T]> for Shared<T> {
    fn as_ref(&self) -> &[T] {
        // SAFETY: pointer and length are those of a slice of the array, which the reference keeps
        // alive and in place (NumPy does not resize an array that has other references). It lives
        // no longer than the call that borrowed the array for reading; that Python code in another
        // thread does not write to it meanwhile is the caller's obligation, as everywhere in NumPy.
        unsafe { std::slice::from_raw_parts(self.start.load(Ordering::Relaxed), self.length) }
    }
}
