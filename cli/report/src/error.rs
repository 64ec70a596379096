//! Why there is no page.

use std::{fmt, io};

/// What was wrong, and what was expected, in one sentence.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Of a model or its samples.
    Model(sae::Error),
    /// What is given with the samples does not fit them, or is missing.
    Input {
        /// The field of [`Report`](crate::Report).
        field: &'static str,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A picture or the arrays of the page could not be encoded.
    Encoding(io::Error),
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn input(field: &'static str, problem: impl Into<String>) -> Self {
        Error::Input { field, problem: problem.into() }
    }
}

impl From<sae::Error> for Error {
    fn from(error: sae::Error) -> Self {
        Error::Model(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Model(error) => error.fmt(f),
            Error::Input { field, problem } => write!(f, "{field}: {problem}"),
            Error::Encoding(error) => write!(f, "cannot encode a picture or array: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Model(error) => Some(error),
            Error::Input { .. } => None,
            Error::Encoding(error) => Some(error),
        }
    }
}
