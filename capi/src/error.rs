//! Statuses, the message of the last error, and panics.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sae::Error;

/// The result of a call. `sae_last_error` has the message of a call that failed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum SaeStatus {
    /// Success.
    Ok = 0,
    /// An argument is NULL, misaligned or not UTF-8, or has a wrong length or stride.
    Argument = 1,
    /// A setting is invalid, by itself or for this data.
    Setting = 2,
    /// The data has the wrong shape, or a value that is not finite.
    Shape = 3,
    /// The content of a file does not follow its format.
    Format = 4,
    /// A file could not be opened, read, mapped or written.
    Io = 5,
    /// The objective is no longer finite.
    Diverged = 6,
    /// The handle is in use by another call: in another thread, or by the one that called this
    /// callback.
    Busy = 7,
    /// Internal error (a panic). The handle can only be freed.
    Panic = 8,
    /// Any other error.
    Other = 9,
}

/// The status and the message of a call that failed.
#[derive(Debug)]
pub struct Failure {
    pub status: SaeStatus,
    pub text: String,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Io { .. } => SaeStatus::Io,
            Error::Format { .. } => SaeStatus::Format,
            Error::Setting { .. } => SaeStatus::Setting,
            Error::Shape(_) => SaeStatus::Shape,
            Error::Diverged { .. } => SaeStatus::Diverged,
            _ => SaeStatus::Other,
        };
        Failure { status, text: error.to_string() }
    }
}

/// The failure for an invalid argument.
pub fn invalid(name: &str, problem: impl Display) -> Failure {
    Failure { status: SaeStatus::Argument, text: format!("{name}: {problem}") }
}

/// The failure for an invalid setting.
pub fn invalid_setting(name: &str, problem: impl Display) -> Failure {
    Failure { status: SaeStatus::Setting, text: format!("{name}: {problem}") }
}

/// The failure for a handle that another call is using.
pub fn busy(name: &str, problem: &str) -> Failure {
    Failure { status: SaeStatus::Busy, text: format!("{name}: in use by another call{problem}") }
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

fn set_last_error(text: String) {
    // A C string ends at its first NUL.
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    // It fails while the thread ends, when nobody can ask any more.
    let _ = LAST_ERROR.try_with(|last| last.replace(text));
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("internal error: {}", text.unwrap_or("a panic without a message"))
}

/// Calls `work`; an error or a panic becomes a status and the thread's last error.
pub fn guard(work: impl FnOnce() -> Result<()>) -> SaeStatus {
    let failure = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return SaeStatus::Ok,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure { status: SaeStatus::Panic, text: panic_text(&*panic) },
    };
    set_last_error(failure.text);
    failure.status
}

/// As [`guard`] for functions that return a value: `otherwise` if `work` fails.
pub fn value_or<T>(otherwise: T, work: impl FnOnce() -> Result<T>) -> T {
    let mut value = otherwise;
    let _ = guard(|| {
        value = work()?;
        Ok(())
    });
    value
}

/// The message of this thread's last call that failed; "" if none has. It stays valid until the
/// thread's next call that fails, and must not be freed.
#[unsafe(no_mangle)]
pub extern "C" fn sae_last_error() -> *const c_char {
    LAST_ERROR.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// The version of the library, for example "0.2.0". It must not be freed.
#[unsafe(no_mangle)]
pub extern "C" fn sae_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("a version with a NUL"),
        };
    VERSION.as_ptr()
}

/// Frees a string that a function of this library has allocated. NULL is ignored.
///
/// # Safety
/// `string` is NULL or from a function that refers to this one, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_string_free(string: *mut c_char) {
    let _ = guard(|| {
        if !string.is_null() {
            // SAFETY: it came from `CString::into_raw`, and is freed once.
            drop(unsafe { CString::from_raw(string) });
        }
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_error() -> String {
        // SAFETY: the text stays valid until this thread's next error.
        unsafe { CStr::from_ptr(sae_last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_becomes_a_status() {
        let out_of_range = [1, 2, 3].len();
        assert_eq!(guard(|| panic!("at {out_of_range}")), SaeStatus::Panic);
        assert_eq!(last_error(), "internal error: at 3");
        assert_eq!(guard(|| std::panic::resume_unwind(Box::new(7))), SaeStatus::Panic);
        assert_eq!(last_error(), "internal error: a panic without a message");
        assert_eq!(value_or(5, || panic!("no")), 5);
        assert_eq!(last_error(), "internal error: no");
    }

    #[test]
    fn errors_are_per_thread() {
        assert_eq!(guard(|| Err(invalid("here", "a 0\0within"))), SaeStatus::Argument);
        std::thread::spawn(|| assert_eq!(last_error(), "")).join().unwrap();
        assert_eq!(last_error(), "here: a 0 within");
        assert_eq!(guard(|| Ok(())), SaeStatus::Ok);
        assert_eq!(last_error(), "here: a 0 within");
    }
}
