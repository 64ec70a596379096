//! Why the command ends early, and with which exit code.

use std::io::{self, Write};
use std::process::ExitCode;

/// A sentence for the person, perhaps a hint, and an exit code.
pub struct Failure {
    code: u8,
    /// Empty if there is nothing to say.
    pub problem: String,
    hint: Option<String>,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Bad input or usage.
    pub fn input(problem: impl Into<String>) -> Self {
        Failure { code: 2, problem: problem.into(), hint: None }
    }

    /// Ended by a signal, 2 for Ctrl-C.
    pub fn interrupted(signal: u8) -> Self {
        Failure { code: 128 + signal, problem: String::new(), hint: None }
    }

    pub fn other(problem: impl Into<String>) -> Self {
        Failure { code: 1, problem: problem.into(), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn report(self) -> ExitCode {
        // Nobody is left to tell that stderr is closed.
        let mut stderr = io::stderr().lock();
        if !self.problem.is_empty() {
            let _ = writeln!(stderr, "error: {}", self.problem);
        }
        if let Some(hint) = self.hint {
            let _ = writeln!(stderr, "hint: {hint}");
        }
        ExitCode::from(self.code)
    }
}

impl From<sae::Error> for Failure {
    fn from(error: sae::Error) -> Self {
        Failure::input(error.to_string())
    }
}

/// Of writing to stdout; those of files are [`sae::Error::Io`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            // What the shell reports for a program that SIGPIPE ends.
            return Failure { code: 141, problem: String::new(), hint: None };
        }
        Failure::other(format!("cannot write to stdout: {error}"))
    }
}
