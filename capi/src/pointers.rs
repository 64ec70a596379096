//! Checked access to what C's pointers point to.

use std::ffi::{CStr, CString, c_char};
use std::sync::{Mutex, MutexGuard, TryLockError};

use crate::error::{Failure, Result, SaeStatus, busy, guard, invalid};

/// Locks a handle for one call, without waiting for another.
pub fn lock<'a, T>(name: &str, handle: &'a Mutex<T>) -> Result<MutexGuard<'a, T>> {
    handle.try_lock().map_err(|problem| match problem {
        TryLockError::WouldBlock => busy(name, "; only one at a time is allowed"),
        TryLockError::Poisoned(_) => Failure {
            status: SaeStatus::Panic,
            text: format!("{name}: unusable after an internal error; it can only be freed"),
        },
    })
}

/// Whether a call is using a handle.
pub fn is_busy<T>(handle: &Mutex<T>) -> bool {
    matches!(handle.try_lock(), Err(TryLockError::WouldBlock))
}

/// Fails if a pointer is NULL or misaligned.
pub fn check<T>(name: &str, pointer: *const T) -> Result<()> {
    if pointer.is_null() {
        return Err(invalid(name, "expected a pointer, got NULL"));
    }
    if !pointer.is_aligned() {
        let problem = format!("expected an address that is a multiple of {}", align_of::<T>());
        return Err(invalid(name, format!("{problem}, got {pointer:p}")));
    }
    Ok(())
}

/// Fails if `length` values exceed the address space.
pub fn check_size<T>(name: &str, length: usize) -> Result<()> {
    match length.checked_mul(size_of::<T>()) {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(()),
        _ => Err(invalid(name, format!("{length} values exceed the address space"))),
    }
}

/// Fails if a buffer has not exactly the required length.
pub fn check_length(name: &str, length: usize, required: usize) -> Result<()> {
    if length == required {
        return Ok(());
    }
    Err(invalid(name, format!("expected a length of {required}, got {length}")))
}

/// Dereferences a handle.
///
/// # Safety
/// The pointer is NULL or to a `T` that lives through `'a` and is not written to but by itself.
pub unsafe fn handle<'a, T>(name: &str, pointer: *const T) -> Result<&'a T> {
    check(name, pointer)?;
    // SAFETY: it is neither NULL nor misaligned; the rest is the caller's obligation.
    Ok(unsafe { &*pointer })
}

/// Reads a string, which must be UTF-8.
///
/// # Safety
/// The pointer is NULL or to a NUL-terminated string that is valid and unchanged through `'a`.
pub unsafe fn text<'a>(name: &str, pointer: *const c_char) -> Result<&'a str> {
    check(name, pointer)?;
    // SAFETY: it is not NULL; the rest is the caller's obligation.
    let text = unsafe { CStr::from_ptr(pointer) };
    let problem = |valid| format!("expected UTF-8, got an invalid byte at {valid}");
    text.to_str().map_err(|e| invalid(name, problem(e.valid_up_to())))
}

/// As [`text`], with `None` for NULL.
///
/// # Safety
/// As for [`text`].
pub unsafe fn optional_text<'a>(name: &str, pointer: *const c_char) -> Result<Option<&'a str>> {
    // SAFETY: passed on.
    if pointer.is_null() { Ok(None) } else { unsafe { text(name, pointer) }.map(Some) }
}

/// A slice of values to read. The pointer may be NULL if the length is 0.
///
/// # Safety
/// The pointer is NULL or to `length` values, which nobody writes to through `'a`.
pub unsafe fn slice<'a, T>(name: &str, pointer: *const T, length: usize) -> Result<&'a [T]> {
    if length == 0 {
        return Ok(&[]);
    }
    check(name, pointer)?;
    check_size::<T>(name, length)?;
    // SAFETY: neither NULL, misaligned nor too long; the rest is the caller's obligation.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// A slice of values to change. The pointer may be NULL if the length is 0.
///
/// # Safety
/// The pointer is NULL or to `length` values, which nobody else reads or writes through `'a`.
pub unsafe fn slice_mut<'a, T>(name: &str, pointer: *mut T, length: usize) -> Result<&'a mut [T]> {
    if length == 0 {
        return Ok(&mut []);
    }
    check(name, pointer)?;
    check_size::<T>(name, length)?;
    // SAFETY: neither NULL, misaligned nor too long; the rest is the caller's obligation.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, length) })
}

/// Copies values to a buffer of exactly their length.
///
/// # Safety
/// The pointer is NULL or to memory for `length` values, which nobody else reads or writes.
pub unsafe fn copy<T: Copy>(name: &str, values: &[T], out: *mut T, length: usize) -> Result<()> {
    check_length(name, length, values.len())?;
    if length == 0 {
        return Ok(());
    }
    check(name, out)?;
    // SAFETY: there is memory for `length`, the caller's obligation; `values` belongs to this
    // library, so they do not overlap.
    unsafe { out.copy_from_nonoverlapping(values.as_ptr(), length) };
    Ok(())
}

/// Writes one value. (The previous one is not dropped: it belongs to C.)
///
/// # Safety
/// The pointer is NULL or to memory for a `T`, which nobody else reads or writes.
pub unsafe fn write<T: Copy>(name: &str, out: *mut T, value: T) -> Result<()> {
    // SAFETY: passed on.
    unsafe { copy(name, &[value], out, 1) }
}

/// As [`write`], but does nothing for NULL.
///
/// # Safety
/// As for [`write`].
pub unsafe fn write_optional<T: Copy>(name: &str, out: *mut T, value: T) -> Result<()> {
    // SAFETY: passed on.
    if out.is_null() { Ok(()) } else { unsafe { write(name, out, value) } }
}

/// Makes a handle and writes it to `out`, NULL if it could not be made.
///
/// # Safety
/// As for [`write`].
pub unsafe fn write_handle<T>(
    name: &str,
    out: *mut *mut T,
    make: impl FnOnce() -> Result<T>,
) -> Result<()> {
    // SAFETY: passed on.
    unsafe { write(name, out, std::ptr::null_mut()) }?;
    let made = Box::into_raw(Box::new(make()?));
    // SAFETY: passed on.
    unsafe { write(name, out, made) }
}

/// [`write_handle`] as the whole body of a function.
///
/// # Safety
/// As for [`write`].
pub unsafe fn new_handle<T>(
    name: &str,
    out: *mut *mut T,
    make: impl FnOnce() -> Result<T>,
) -> SaeStatus {
    // SAFETY: passed on.
    guard(|| unsafe { write_handle(name, out, make) })
}

/// Frees a handle, unless a call is using it. NULL is ignored.
///
/// # Safety
/// The pointer is NULL or came from [`write_handle`], and is not used again unless it was busy.
pub unsafe fn free_handle<T>(name: &str, pointer: *mut T, is_busy: impl FnOnce(&T) -> bool) {
    let _ = guard(|| {
        if pointer.is_null() {
            return Ok(());
        }
        // SAFETY: passed on.
        if is_busy(unsafe { handle(name, pointer) }?) {
            return Err(busy(name, ", so not freed"));
        }
        // SAFETY: it came from `Box::into_raw`, and is freed once.
        drop(unsafe { Box::from_raw(pointer) });
        Ok(())
    });
}

/// Makes a string and writes it to `out`, NULL if it could not be made; `sae_string_free` frees it.
///
/// # Safety
/// As for [`write`].
pub unsafe fn new_string(
    name: &str,
    out: *mut *mut c_char,
    make: impl FnOnce() -> Result<String>,
) -> SaeStatus {
    guard(|| {
        // SAFETY: passed on.
        unsafe { write(name, out, std::ptr::null_mut()) }?;
        let made = CString::new(make()?).map_err(|_| invalid(name, "a text with a NUL"))?;
        // SAFETY: passed on.
        unsafe { write(name, out, made.into_raw()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_unusable_after_a_panic() {
        let handle = Mutex::new(0);
        let status = guard(|| {
            let mut inside = lock("handle", &handle)?;
            *inside = 1;
            panic!("half-way")
        });
        assert_eq!(status, SaeStatus::Panic);
        let again = lock("handle", &handle).unwrap_err();
        assert_eq!(again.status, SaeStatus::Panic);
        assert!(again.text.contains("can only be freed"), "{}", again.text);
    }

    #[test]
    fn a_handle_accepts_one_call_at_a_time() {
        let handle = Mutex::new(0);
        let inside = lock("trainer", &handle).unwrap();
        let second = lock("trainer", &handle).unwrap_err();
        assert_eq!(second.status, SaeStatus::Busy);
        assert!(second.text.starts_with("trainer: in use by another call"), "{}", second.text);
        drop(inside);
        *lock("trainer", &handle).unwrap() += 1;
    }
}
