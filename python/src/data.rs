//! What Python gives as data: arrays, read where they lie, and the names of files.

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

/// Data in a call's argument. While it is here, arrays are borrowed: code that asks NumPy's crate
/// cannot write to them.
pub enum Data<'py> {
    Bytes(PyReadonlyArray2<'py, u8>),
    Values(PyReadonlyArray2<'py, f32>),
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
        if object.cast::<PyUntypedArray>().is_ok() {
            let problem = "an array [samples, features] of uint8 or float32 was expected";
            return Err(PyTypeError::new_err(problem));
        }
        object.extract().map(Data::File)
    }
}

impl Data<'_> {
    /// The samples, without a copy. Bytes are brought to [0, 1] and other numbers are taken as they
    /// stand, unless a model was trained on data of another scaling.
    pub fn samples(&self, model: Option<Scaling>) -> PyResult<Samples> {
        let own = |usual| match model {
            None | Some(Scaling::Byte | Scaling::AsIs) => usual,
            Some(fitted) => fitted,
        };
        match self {
            Data::Bytes(array) => {
                let features = array.shape()[1];
                Array::from_values::<u8>(Held::new(array)?, features)
                    .map(|array| Samples::new(array, own(Scaling::Byte)))
            }
            Data::Values(array) => {
                let features = array.shape()[1];
                Array::from_values::<f32>(Held::new(array)?, features)
                    .map(|array| Samples::new(array, own(Scaling::AsIs)))
            }
            Data::File(path) => {
                let file = Array::open(path).map_err(failure::of)?;
                if let [count] = *file.dims() {
                    return Err(PyValueError::new_err(format!(
                        "{}: {count} single numbers, labels perhaps; samples of several features \
                         were expected",
                        path.display()
                    )));
                }
                let usual = match file.element_type() {
                    ElementType::U8 => Scaling::Byte,
                    _ => Scaling::AsIs,
                };
                Ok(Samples::new(file, own(usual)))
            }
        }
        .map_err(failure::of)
    }
}

/// An array's numbers, and the reference that keeps them alive.
struct Held<T> {
    _array: Py<PyArray2<T>>,
    start: AtomicPtr<T>,
    length: usize,
}

impl<T: Element> Held<T> {
    fn new(array: &PyReadonlyArray2<'_, T>) -> PyResult<Self> {
        if !array.is_c_contiguous() {
            return Err(PyValueError::new_err("a C-ordered array was expected"));
        }
        let numbers = array.as_slice()?;
        let start = AtomicPtr::new(numbers.as_ptr().cast_mut());
        Ok(Held { length: numbers.len(), start, _array: (**array).clone().unbind() })
    }
}

impl<T> AsRef<[T]> for Held<T> {
    fn as_ref(&self) -> &[T] {
        // SAFETY: the place and the length are those of a slice of the array, which the reference
        // keeps alive and in its place (NumPy resizes no array that others refer to). It lives no
        // longer than the call that borrowed the array for reading; that Python code in another
        // thread does not write to it meanwhile is asked of the caller, as by all of NumPy.
        unsafe { std::slice::from_raw_parts(self.start.load(Ordering::Relaxed), self.length) }
    }
}
