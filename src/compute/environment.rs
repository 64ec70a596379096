//! The number of threads that environment variables ask for.

use std::env;

use crate::compute::pool::available_threads;
use crate::error::{Error, Result};

/// The number of threads that the environment asks for, or else that of the cores.
///
/// That is `SAE_NUM_THREADS`, or else the first number of `OMP_NUM_THREADS`, which schedulers of jobs
/// and pools of processes set; at most [`available_threads`], which is the default. An empty variable
/// is an unset one. The command and the Python package ask this where no number of threads is given;
/// the library itself never does.
///
/// # Errors
/// [`Error::Setting`] if `SAE_NUM_THREADS` is not a number of 1 or more. (An `OMP_NUM_THREADS` that is
/// not is ignored, as OpenMP does.)
#[doc(hidden)]
pub fn threads_from_environment() -> Result<usize> {
    let variable = |name| env::var_os(name).map(|text| text.to_string_lossy().into_owned());
    let asked = asked(variable("SAE_NUM_THREADS"), variable("OMP_NUM_THREADS"))?;
    Ok(asked.unwrap_or(usize::MAX).min(available_threads()))
}

fn asked(own: Option<String>, openmp: Option<String>) -> Result<Option<usize>> {
    let number = |text: &str| text.trim().parse().ok().filter(|&threads: &usize| threads > 0);
    match own.as_deref().map(str::trim) {
        None | Some("") => {
            let first = openmp.as_deref().and_then(|list| list.split(',').next());
            Ok(first.and_then(number))
        }
        Some(text) => match number(text) {
            Some(threads) => Ok(Some(threads)),
            None => {
                let problem = format!("expected a number of threads, at least 1, got '{text}'");
                Err(Error::setting("SAE_NUM_THREADS", problem))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_variable_comes_first() {
        let of = |own: Option<&str>, openmp: Option<&str>| {
            asked(own.map(str::to_owned), openmp.map(str::to_owned)).map_err(|e| e.to_string())
        };
        assert_eq!(of(None, None), Ok(None));
        assert_eq!(of(Some("3"), Some("2")), Ok(Some(3)));
        assert_eq!(of(Some(" "), Some("2")), Ok(Some(2)));
        assert_eq!(of(None, Some(" 4,2 ")), Ok(Some(4)));
        for ignored in ["", "0", "-1", "many", ",2"] {
            assert_eq!(of(None, Some(ignored)), Ok(None));
        }
        for wrong in ["0", "-1", "many", "1.5", "4,2"] {
            let problem = of(Some(wrong), Some("2")).unwrap_err();
            assert!(
                problem.starts_with("SAE_NUM_THREADS: expected a number of threads"),
                "{problem}"
            );
            assert!(problem.ends_with(&format!("got '{wrong}'")), "{problem}");
        }
    }
}
