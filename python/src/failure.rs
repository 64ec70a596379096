//! The library's errors as Python's.

use pyo3::PyErr;
use pyo3::exceptions::{PyOSError, PyValueError};

/// A file that cannot be opened is an `OSError`, `FileNotFoundError` and the like among them; all
/// else is a `ValueError`.
pub fn of(error: sae::Error) -> PyErr {
    match &error {
        sae::Error::Io { action, path, source } => match source.raw_os_error() {
            // Python adds the code before it and the path behind it.
            Some(code) => {
                let answer = source.to_string();
                let answer = answer.split(" (os error").next().unwrap_or_default();
                let path = path.as_os_str().to_owned();
                PyOSError::new_err((code, format!("cannot {action}: {answer}"), path))
            }
            None => PyOSError::new_err(error.to_string()),
        },
        _ => PyValueError::new_err(error.to_string()),
    }
}
