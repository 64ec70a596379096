//! Errors of the command: a sentence, perhaps a hint, and an exit code.

mod options;

pub use options::know_options;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Why a command ends early.
pub struct Failure {
    code: u8,
    /// One sentence; empty if nothing is to be printed.
    pub problem: String,
    hint: Option<String>,
    /// A file is not there.
    is_missing: bool,
}

/// The code that a shell reports for a program ended by SIGPIPE.
const CLOSED_PIPE: u8 = 141;

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Invalid input or usage.
    ///
    /// A sentence that begins with an option's name and a colon gets the dashes of the option.
    pub fn input(problem: impl Into<String>) -> Self {
        Failure::new(options::with_dashes(problem.into()))
    }

    fn new(problem: String) -> Self {
        let problem = without_numbers(problem);
        Failure { code: 2, problem, hint: None, is_missing: false }
    }

    /// Invalid content or use of a file or folder.
    pub fn at(path: &Path, problem: impl AsRef<str>) -> Self {
        Failure::new(format!("{}: {}", path.display(), problem.as_ref()))
    }

    /// With the path of a file before its sentence.
    pub fn within(self, path: &Path) -> Self {
        Failure { problem: format!("{}: {}", path.display(), self.problem), ..self }
    }

    /// Of an argument that is no option.
    pub fn without_dashes(self) -> Self {
        let problem = self.problem.trim_start_matches("--").to_owned();
        Failure { problem, ..self }
    }

    /// Ended by a signal, 2 for Ctrl-C.
    pub fn interrupted(signal: u8) -> Self {
        Failure::silent(128 + signal)
    }

    /// A failure that input and usage are not to blame for.
    pub fn other(problem: impl Into<String>) -> Self {
        Failure { code: 1, ..Failure::new(problem.into()) }
    }

    /// An exit code without a message.
    pub fn silent(code: u8) -> Self {
        Failure { code, ..Failure::input("") }
    }

    /// Names the rank in the message; rank 0 goes without.
    pub fn of_rank(mut self, rank: usize, count: usize) -> Self {
        if rank > 0 && !self.problem.is_empty() {
            self.problem = format!("rank {rank} of {count}: {}", self.problem);
        }
        self
    }

    pub fn code(&self) -> u8 {
        self.code
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With this hint if it has none.
    pub fn or_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Whether stdout was closed.
    pub fn is_closed_pipe(&self) -> bool {
        self.code == CLOSED_PIPE
    }

    /// Whether a file is not there.
    pub fn is_missing(&self) -> bool {
        self.is_missing
    }

    /// What is printed, without "error: " before it.
    pub fn text_after_error(&self) -> String {
        let hint = self.hint.as_ref().map_or(String::new(), |hint| format!("hint: {hint}\n"));
        if self.problem.is_empty() { hint } else { format!("{}\n{hint}", self.problem) }
    }

    /// Prints it to stderr.
    pub fn report(self) -> ExitCode {
        let error = if self.problem.is_empty() { "" } else { "error: " };
        let text = format!("{error}{}", self.text_after_error());
        // One write, because other processes may write to stderr, too. If it is closed, nobody is
        // left to tell.
        let _ = io::stderr().write_all(text.as_bytes());
        ExitCode::from(self.code)
    }
}

/// A sentence without the numbers of the system's errors behind their words, ` (os error 2)`.
fn without_numbers(mut problem: String) -> String {
    const BEGINNING: &str = " (os error ";
    while let Some(start) = problem.find(BEGINNING) {
        let number = &problem[start + BEGINNING.len()..];
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 || !number[digits..].starts_with(')') {
            break;
        }
        problem.replace_range(start..start + BEGINNING.len() + digits + 1, "");
    }
    problem
}

impl From<sae::Error> for Failure {
    fn from(error: sae::Error) -> Self {
        match error {
            // The other rank prints the sentence.
            sae::Error::OtherRank => Failure::silent(2),
            error => {
                let is_missing = matches!(&error, sae::Error::Io { source, .. }
                    if source.kind() == io::ErrorKind::NotFound);
                if let sae::Error::Setting { field, problem } = &error {
                    let hint = options::near(field, problem);
                    let problem = options::listed(&options::named(problem));
                    let failure = Failure::input(format!("{}: {problem}", options::kebab(field)));
                    return Failure { hint, ..failure };
                }
                let problem = options::named(&error.to_string());
                let is_csv = problem.contains("this looks like a CSV file");
                let hint = "sae itself reads CSV from files whose names end in .csv or .tsv";
                let hint = is_csv.then(|| hint.to_owned());
                Failure { is_missing, hint, ..Failure::new(problem) }
            }
        }
    }
}

impl From<sae_report::Error> for Failure {
    fn from(error: sae_report::Error) -> Self {
        match error {
            sae_report::Error::Model(error) => error.into(),
            error @ sae_report::Error::Encoding(_) => Failure::other(error.to_string()),
            error => Failure::input(error.to_string()),
        }
    }
}

/// From writing to stdout; errors of files are [`sae::Error::Io`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::silent(CLOSED_PIPE);
        }
        Failure::other(format!("cannot write to stdout: {error}"))
    }
}

/// Makes a failed `action` on a file an error, as in `.map_err(io_error("open", path))`.
pub fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> sae::Error {
    move |source| sae::Error::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_system_errors_are_left_out() {
        for (problem, expected) in [
            ("cannot open a: No such file (os error 2)", "cannot open a: No such file"),
            ("a (os error 13); b (os error 2): c", "a; b: c"),
            ("a (os error x) (os error 2", "a (os error x) (os error 2"),
        ] {
            assert_eq!(Failure::input(problem).problem, expected);
        }
    }
}
