//! The library's errors as Python's.

use pyo3::PyErr;
use pyo3::exceptions::{PyOSError, PyValueError};

/// A file that cannot be opened is an `OSError`, `FileNotFoundError` and the like among them; all
/// else is a `ValueError`.
pub fn of(error: sae::Error) -> PyErr {
    match &error {
        sae::Error::Io { path, source, .. } => match source.raw_os_error() {
            Some(code) => PyOSError::new_err((code, error.to_string(), path.clone())),
            None => PyOSError::new_err(error.to_string()),
        },
        _ => PyValueError::new_err(error.to_string()),
    }
}
