//! The one error type of the library.

use std::fmt;
use std::path::{Path, PathBuf};

/// What went wrong, where, and what was expected, in one sentence.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read, mapped or written.
    Io {
        /// What was being done, for example `open`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A file's content is not what its format asks for.
    Format {
        /// The file.
        path: PathBuf,
        /// Where in the file, in bytes from its start, if one place is to blame.
        offset: Option<u64>,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A setting has a value that makes no sense.
    Setting {
        /// The name of the setting.
        field: &'static str,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// Data of a shape that does not fit the network.
    Shape(String),
    /// Another rank of the training failed; what is wrong is known there.
    OtherRank,
    /// The objective, a gradient or its square is not a finite number; nothing has changed.
    Diverged {
        /// The step at which it was noticed.
        step: u64,
    },
}

/// `1 feature` or `2 features`.
#[doc(hidden)]
pub fn counted(count: usize, of: &str) -> String {
    if count == 1 { format!("1 {of}") } else { format!("{count} {of}s") }
}

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Error::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn format(path: &Path, offset: Option<u64>, problem: impl Into<String>) -> Self {
        Error::Format { path: path.to_owned(), offset, problem: problem.into() }
    }

    pub(crate) fn setting(field: &'static str, problem: impl Into<String>) -> Self {
        Error::Setting { field, problem: problem.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { action, path, source } => {
                write!(f, "cannot {action} {}: {source}", path.display())
            }
            Error::Format { path, offset: Some(offset), problem } => {
                write!(f, "{}, byte {offset}: {problem}", path.display())
            }
            Error::Format { path, offset: None, problem } => {
                write!(f, "{}: {problem}", path.display())
            }
            Error::Setting { field, problem } => write!(f, "{field}: {problem}"),
            Error::Shape(problem) => f.write_str(problem),
            Error::OtherRank => f.write_str("another rank failed, and has the reason"),
            Error::Diverged { step } => write!(
                f,
                "the objective is not finite at step {step}, or the square of a gradient is not; \
                 scale the data, lower the learning rate, or clip the gradient"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
