//! Why a text is no table.

use std::io;

/// Why a table cannot be read.
#[derive(Debug)]
pub enum Error {
    /// The reader failed.
    Read(io::Error),
    /// The text is wrong.
    Content(Problem),
}

/// What is wrong in a text, where, and what to do.
#[derive(Debug)]
pub struct Problem {
    /// The line, counted from 1, if one is to blame.
    pub line: Option<u64>,
    /// The column, counted from 1, and its name in the header, in quotes.
    pub column: Option<(usize, Option<String>)>,
    /// One sentence.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Problem {
    pub fn error(line: Option<u64>, problem: impl Into<String>, hint: impl Into<String>) -> Error {
        let (problem, hint) = (problem.into(), hint.into());
        Error::Content(Problem { line, column: None, problem, hint })
    }
}
