//! Errors of the library as Python exceptions.

use pyo3::PyErr;
use pyo3::exceptions::{PyOSError, PyValueError};

/// The exception for an error: `OSError` (or a subclass such as `FileNotFoundError`) where a file
/// could not be opened, read or written, `ValueError` otherwise.
pub fn of(error: sae::Error) -> PyErr {
    match &error {
        sae::Error::Io { action, path, source } => match source.raw_os_error() {
            // Python prints the code before the text and the path after it.
            Some(code) => {
                let reason = source.to_string();
                let reason = reason.split(" (os error").next().unwrap_or_default();
                let path = path.as_os_str().to_owned();
                PyOSError::new_err((code, format!("cannot {action}: {reason}"), path))
            }
            None => PyOSError::new_err(error.to_string()),
        },
        _ => PyValueError::new_err(error.to_string()),
    }
}
