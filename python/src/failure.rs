//! Errors of the library as Python exceptions, in the words of Python.

use pyo3::PyErr;
use pyo3::exceptions::{PyOSError, PyValueError};
use sae::Settings;

/// What the library's sentences name that Python has under another name, or not at all.
const WORDS: [(&str, &str); 5] = [
    (
        "scale each feature by itself, by mean-deviation:feature for example",
        "scale each feature by itself, by StandardScaler for example",
    ),
    ("scale the data by min-max", "scale the data by MinMaxScaler"),
    ("(--tensor NAME)", "(open_data(path, tensor=NAME))"),
    ("use Array::read (--copy)", "use open_data(path, copy=True)"),
    ("set the parameter allow_unreachable", "set allow_unreachable=True"),
];

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
        sae::Error::Setting { field, problem } => {
            PyValueError::new_err(format!("{}: {}", parameter(field), in_python(problem)))
        }
        _ => PyValueError::new_err(in_python(&error.to_string())),
    }
}

/// A sentence of the library with what its words are in Python: a field is a parameter.
pub fn in_python(sentence: &str) -> String {
    let mut text = sentence.to_owned();
    for field in Settings::fields() {
        let (here, there) = (format!("field {}", field.name), parameter(field.name));
        text = text.replace(&here, &format!("parameter {there}"));
    }
    WORDS.iter().fold(text, |text, (here, there)| text.replace(here, there))
}

/// The name of a setting in Python.
fn parameter(field: &str) -> &str {
    match field {
        "lambda" => "lambda_",
        "seed" => "random_state",
        name => name,
    }
}
