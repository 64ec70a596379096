//! Why the command ends early, and with which exit code.

use std::io::{self, Write};
use std::process::ExitCode;

/// A sentence for the person, perhaps a hint, and an exit code.
pub struct Failure {
    code: u8,
    /// Empty if there is nothing to say.
    pub problem: String,
    hint: Option<String>,
    agreed: bool,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Bad input or usage.
    pub fn input(problem: impl Into<String>) -> Self {
        Failure { code: 2, problem: problem.into(), hint: None, agreed: false }
    }

    /// Ended by a signal, 2 for Ctrl-C.
    pub fn interrupted(signal: u8) -> Self {
        Failure::silent(128 + signal)
    }

    pub fn other(problem: impl Into<String>) -> Self {
        Failure { code: 1, ..Failure::input(problem) }
    }

    /// With nothing to say, or nobody to say it to.
    pub fn silent(code: u8) -> Self {
        Failure { code, ..Failure::input("") }
    }

    /// As that of one of several processes.
    pub fn of_rank(mut self, rank: usize, count: usize) -> Self {
        if rank > 0 && !self.problem.is_empty() {
            self.problem = format!("rank {rank} of {count}: {}", self.problem);
        }
        self
    }

    pub fn code(&self) -> u8 {
        self.code
    }

    /// All processes of the job know of it.
    pub fn agreed(mut self) -> Self {
        self.agreed = true;
        self
    }

    pub fn is_agreed(&self) -> bool {
        self.agreed
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn report(self) -> ExitCode {
        let mut text = String::new();
        if !self.problem.is_empty() {
            text += &format!("error: {}\n", self.problem);
        }
        if let Some(hint) = self.hint {
            text += &format!("hint: {hint}\n");
        }
        // At once, for others may write there; and nobody is left to tell that it is closed.
        let _ = io::stderr().write_all(text.as_bytes());
        ExitCode::from(self.code)
    }
}

impl From<sae::Error> for Failure {
    fn from(error: sae::Error) -> Self {
        match error {
            // That one has the sentence.
            sae::Error::OtherRank => Failure::silent(2),
            error => Failure::input(error.to_string()),
        }
    }
}

/// Of writing to stdout; those of files are [`sae::Error::Io`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            // What the shell reports for a program that SIGPIPE ends.
            return Failure::silent(141);
        }
        Failure::other(format!("cannot write to stdout: {error}"))
    }
}
