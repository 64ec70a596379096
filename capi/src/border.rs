//! The border: statuses, the last error's text, panics, and what pointers of C's become.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, TryLockError};

use sae::Error;

/// How a call ended. What went wrong is told in a sentence by `sae_last_error`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum SaeStatus {
    /// As it should.
    Ok = 0,
    /// An argument is NULL, not aligned, no UTF-8, of the wrong length, or a stride that makes no
    /// sense.
    Argument = 1,
    /// A setting has a value that makes no sense, by itself or for this data.
    Setting = 2,
    /// Data of a shape that does not fit, or with a number that is not finite.
    Shape = 3,
    /// A file's content is not what its format asks for.
    Format = 4,
    /// A file could not be opened, read, mapped or written.
    Io = 5,
    /// The objective is no longer a finite number.
    Diverged = 6,
    /// The handle is at work in another call: in another thread, or in the one whose callback this
    /// is.
    Busy = 7,
    /// A fault of the library's own. The handle can only be freed.
    Panic = 8,
    /// Something else.
    Other = 9,
}

/// What a call that did not succeed leaves behind.
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

/// An argument that cannot be used.
pub fn wrong(name: &str, problem: impl std::fmt::Display) -> Failure {
    Failure { status: SaeStatus::Argument, text: format!("{name}: {problem}") }
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

fn remember(text: String) {
    // A C string ends at the first 0.
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    // Where the thread is about to end there is nobody left to ask.
    let _ = LAST_ERROR.try_with(|last| last.replace(text));
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a fault of the library: {}", text.unwrap_or("a panic without words"))
}

/// What every function of the border does its work in.
pub fn guard(work: impl FnOnce() -> Result<()>) -> SaeStatus {
    let failure = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return SaeStatus::Ok,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure { status: SaeStatus::Panic, text: panic_text(&*panic) },
    };
    remember(failure.text);
    failure.status
}

/// The same for a function that returns its answer: `otherwise` where there is none.
pub fn answer<T>(otherwise: T, work: impl FnOnce() -> Result<T>) -> T {
    let mut answer = otherwise;
    let _ = guard(|| {
        answer = work()?;
        Ok(())
    });
    answer
}

/// The only call that is at work on a handle.
pub fn enter<'a, T>(name: &str, handle: &'a Mutex<T>) -> Result<MutexGuard<'a, T>> {
    handle.try_lock().map_err(|problem| match problem {
        TryLockError::WouldBlock => Failure {
            status: SaeStatus::Busy,
            text: format!("{name}: at work in another call; one at a time was expected"),
        },
        TryLockError::Poisoned(_) => Failure {
            status: SaeStatus::Panic,
            text: format!("{name}: a call met a fault of the library; it can only be freed"),
        },
    })
}

fn check<T>(name: &str, pointer: *const T) -> Result<()> {
    if pointer.is_null() {
        return Err(wrong(name, "NULL; a pointer was expected"));
    }
    if !pointer.is_aligned() {
        let problem = format!("not aligned; a multiple of {} was expected", align_of::<T>());
        return Err(wrong(name, problem));
    }
    Ok(())
}

/// What a handle points to.
///
/// # Safety
/// The pointer is NULL or to a `T` that lives through `'a` and is not written to but by itself.
pub unsafe fn handle<'a, T>(name: &str, pointer: *const T) -> Result<&'a T> {
    check(name, pointer)?;
    // SAFETY: it is neither NULL nor unaligned; the rest is the caller's duty.
    Ok(unsafe { &*pointer })
}

/// A string, which must be UTF-8.
///
/// # Safety
/// The pointer is NULL or to a string that ends in 0 and stays through `'a`.
pub unsafe fn text<'a>(name: &str, pointer: *const c_char) -> Result<&'a str> {
    check(name, pointer)?;
    // SAFETY: it is not NULL; the rest is the caller's duty.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|e| wrong(name, format!("not UTF-8 after {} bytes", e.valid_up_to())))
}

/// As [`text`], but NULL is nothing.
///
/// # Safety
/// As for [`text`].
pub unsafe fn text_if_any<'a>(name: &str, pointer: *const c_char) -> Result<Option<&'a str>> {
    // SAFETY: passed on.
    if pointer.is_null() { Ok(None) } else { unsafe { text(name, pointer) }.map(Some) }
}

fn check_length<T>(name: &str, length: usize) -> Result<()> {
    match length.checked_mul(size_of::<T>()) {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(()),
        _ => Err(wrong(name, format!("{length} numbers are more than the address space"))),
    }
}

/// Numbers to read. Where there are none the pointer may be NULL.
///
/// # Safety
/// The pointer is NULL or to so many numbers, which nobody writes to through `'a`.
pub unsafe fn numbers<'a, T>(name: &str, pointer: *const T, length: usize) -> Result<&'a [T]> {
    if length == 0 {
        return Ok(&[]);
    }
    check(name, pointer)?;
    check_length::<T>(name, length)?;
    // SAFETY: neither NULL, unaligned nor too long; the rest is the caller's duty.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// Numbers to change. Where there are none the pointer may be NULL.
///
/// # Safety
/// The pointer is NULL or to so many numbers, which nobody else reads or writes through `'a`.
pub unsafe fn numbers_mut<'a, T>(
    name: &str,
    pointer: *mut T,
    length: usize,
) -> Result<&'a mut [T]> {
    if length == 0 {
        return Ok(&mut []);
    }
    check(name, pointer)?;
    check_length::<T>(name, length)?;
    // SAFETY: neither NULL, unaligned nor too long; the rest is the caller's duty.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, length) })
}

/// Whether a buffer to fill is of the length that is needed.
pub fn check_room(name: &str, have: usize, want: usize) -> Result<()> {
    if have == want {
        return Ok(());
    }
    Err(wrong(name, format!("room for {have} numbers; {want} were expected")))
}

/// Fills a buffer of exactly so many numbers.
///
/// # Safety
/// The pointer is NULL or to room for `length` numbers, which nobody else reads or writes.
pub unsafe fn fill<T: Copy>(name: &str, values: &[T], out: *mut T, length: usize) -> Result<()> {
    check_room(name, length, values.len())?;
    if length == 0 {
        return Ok(());
    }
    check(name, out)?;
    // SAFETY: there is room for `length`, by the caller's duty; `values` is this library's.
    unsafe { out.copy_from_nonoverlapping(values.as_ptr(), length) };
    Ok(())
}

/// Writes one value. (What was there is not dropped: it is C's.)
///
/// # Safety
/// The pointer is NULL or to room for a `T`, which nobody else reads or writes.
pub unsafe fn put<T: Copy>(name: &str, place: *mut T, value: T) -> Result<()> {
    // SAFETY: passed on.
    unsafe { fill(name, &[value], place, 1) }
}

/// As [`put`], but NULL is not written to.
///
/// # Safety
/// As for [`put`].
pub unsafe fn put_if_asked<T: Copy>(name: &str, place: *mut T, value: T) -> Result<()> {
    // SAFETY: passed on.
    if place.is_null() { Ok(()) } else { unsafe { put(name, place, value) } }
}

/// Makes a handle and writes it to `place`: NULL where it could not be made.
///
/// # Safety
/// As for [`put`].
pub unsafe fn hand_over<T>(
    name: &str,
    place: *mut *mut T,
    make: impl FnOnce() -> Result<T>,
) -> Result<()> {
    // SAFETY: passed on.
    unsafe { put(name, place, std::ptr::null_mut()) }?;
    let made = Box::into_raw(Box::new(make()?));
    // SAFETY: passed on.
    unsafe { put(name, place, made) }
}

/// Whether a call is at work on a handle.
pub fn is_busy<T>(handle: &Mutex<T>) -> bool {
    matches!(handle.try_lock(), Err(TryLockError::WouldBlock))
}

/// Takes a handle back, unless a call is at work on it. NULL is none.
///
/// # Safety
/// The pointer is NULL or came from [`hand_over`], and is not used again unless it was busy.
pub unsafe fn take_back<T>(name: &str, pointer: *mut T, is_busy: impl FnOnce(&T) -> bool) {
    let _ = guard(|| {
        if pointer.is_null() {
            return Ok(());
        }
        // SAFETY: passed on.
        if is_busy(unsafe { handle(name, pointer) }?) {
            let text = format!("{name}: at work in another call, so not freed");
            return Err(Failure { status: SaeStatus::Busy, text });
        }
        // SAFETY: it came from `Box::into_raw`, once.
        drop(unsafe { Box::from_raw(pointer) });
        Ok(())
    });
}

/// Writes a string to `place`, to be freed by `sae_string_free`.
///
/// # Safety
/// As for [`put`].
pub unsafe fn put_text(
    name: &str,
    place: *mut *mut c_char,
    make: impl FnOnce() -> Result<String>,
) -> Result<()> {
    // SAFETY: passed on.
    unsafe { put(name, place, std::ptr::null_mut()) }?;
    let made = CString::new(make()?).map_err(|_| wrong(name, "a text with a 0 within"))?;
    // SAFETY: passed on.
    unsafe { put(name, place, made.into_raw()) }
}

/// Numbers of C's, `[rows, cols]`, whose rows and columns begin so many numbers apart.
#[derive(Clone, Copy, Debug)]
pub struct Strided<T> {
    data: *const T,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<T: Copy> Strided<T> {
    /// Checks all that can be: that the memory is there is the caller's duty.
    pub fn new(
        name: &str,
        data: *const T,
        (rows, cols): (usize, usize),
        (row_stride, col_stride): (usize, usize),
    ) -> Result<Self> {
        check(name, data)?;
        if rows == 0 || cols == 0 {
            return Err(wrong(name, format!("{rows} x {cols} numbers; at least one was expected")));
        }
        if row_stride == 0 || col_stride == 0 {
            let problem = format!(
                "strides of {row_stride} and {col_stride}; they count numbers, from 1 (rows of \
                 {cols}, one after the other, have {cols} and 1)"
            );
            return Err(wrong(name, problem));
        }
        let last = |count: usize, stride: usize| (count - 1).checked_mul(stride);
        let span = last(rows, row_stride).zip(last(cols, col_stride));
        let span = span.and_then(|(down, along)| down.checked_add(along)?.checked_add(1));
        check_length::<T>(name, span.unwrap_or(usize::MAX))?;
        Ok(Strided { data, rows, cols, row_stride, col_stride })
    }

    /// Numbers from the first to behind the last, those between them included.
    pub fn span(&self) -> usize {
        (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride + 1
    }

    /// All of them as they lie, if they lie row by row without a gap.
    ///
    /// # Safety
    /// The memory is as [`Strided::new`] was told, and nobody writes to it through `'a`.
    pub unsafe fn whole<'a>(self) -> Option<&'a [T]> {
        let dense = self.col_stride == 1 && (self.row_stride == self.cols || self.rows == 1);
        // SAFETY: `new` has checked the pointer and the length.
        dense.then(|| unsafe { std::slice::from_raw_parts(self.data, self.rows * self.cols) })
    }

    /// Appends them to `to`, row by row.
    ///
    /// # Safety
    /// The memory is as [`Strided::new`] was told, and nobody writes to it meanwhile.
    pub unsafe fn append_to(self, name: &str, to: &mut Vec<T>) -> Result<()> {
        let count = self.rows.checked_mul(self.cols);
        if count.is_none_or(|count| to.try_reserve_exact(count).is_err()) {
            let problem = format!("{} x {} numbers find no memory", self.rows, self.cols);
            return Err(wrong(name, problem));
        }
        for row in 0..self.rows {
            // SAFETY: `new` has checked that no place overflows; the rest is the caller's duty.
            let place = |col: usize| unsafe {
                self.data.add(row * self.row_stride + col * self.col_stride).read()
            };
            to.extend((0..self.cols).map(place));
        }
        Ok(())
    }
}

/// The text of this thread's last call that did not succeed; "" if there was none. It stays until
/// this thread's next one that does not, and is not to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn sae_last_error() -> *const c_char {
    LAST_ERROR.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// The library's version, for example "0.1.0". It is not to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn sae_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("a version with a 0 within"),
        };
    VERSION.as_ptr()
}

/// Frees a string that a function of this library has made. NULL is none.
///
/// # Safety
/// `string` is NULL or from a function that says so, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_string_free(string: *mut c_char) {
    let _ = guard(|| {
        if !string.is_null() {
            // SAFETY: it came from `CString::into_raw`, once.
            drop(unsafe { CString::from_raw(string) });
        }
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_error() -> String {
        // SAFETY: the text stays until this thread's next error.
        unsafe { text("last error", sae_last_error()) }.unwrap().to_owned()
    }

    #[test]
    fn a_panic_becomes_a_status() {
        let out_of_range = [1, 2, 3].len();
        assert_eq!(guard(|| panic!("at {out_of_range}")), SaeStatus::Panic);
        assert_eq!(last_error(), "a fault of the library: at 3");
        assert_eq!(guard(|| std::panic::resume_unwind(Box::new(7))), SaeStatus::Panic);
        assert_eq!(last_error(), "a fault of the library: a panic without words");
        assert_eq!(answer(5, || panic!("no")), 5);
        assert_eq!(last_error(), "a fault of the library: no");
    }

    #[test]
    fn a_handle_that_met_a_panic_lets_nobody_in() {
        let handle = Mutex::new(0);
        let status = guard(|| {
            let mut inside = enter("handle", &handle)?;
            *inside = 1;
            panic!("half-way")
        });
        assert_eq!(status, SaeStatus::Panic);
        let again = enter("handle", &handle).unwrap_err();
        assert_eq!(again.status, SaeStatus::Panic);
        assert!(again.text.contains("can only be freed"), "{}", again.text);
    }

    #[test]
    fn a_handle_lets_one_call_in() {
        let handle = Mutex::new(0);
        let inside = enter("trainer", &handle).unwrap();
        let second = enter("trainer", &handle).unwrap_err();
        assert_eq!(second.status, SaeStatus::Busy);
        assert!(second.text.starts_with("trainer: at work in another call"), "{}", second.text);
        drop(inside);
        *enter("trainer", &handle).unwrap() += 1;
    }

    #[test]
    fn errors_are_of_the_thread_that_met_them() {
        assert_eq!(guard(|| Err(wrong("here", "a 0\0within"))), SaeStatus::Argument);
        std::thread::spawn(|| assert_eq!(last_error(), "")).join().unwrap();
        assert_eq!(last_error(), "here: a 0 within");
        assert_eq!(guard(|| Ok(())), SaeStatus::Ok);
        assert_eq!(last_error(), "here: a 0 within");
    }

    #[test]
    fn strides_are_checked_before_memory_is_touched() {
        let data = [1u8; 4].as_ptr();
        let refused = |shape, strides| Strided::new("data", data, shape, strides).unwrap_err().text;
        assert!(refused((0, 1), (1, 1)).contains("0 x 1 numbers"));
        assert!(refused((2, 2), (0, 1)).contains("strides of 0 and 1"));
        assert!(refused((2, 2), (2, 0)).contains("strides of 2 and 0"));
        for (shape, strides) in [
            ((usize::MAX, 1), (2, 1)),
            ((2, 2), (usize::MAX, 1)),
            ((2, 2), (usize::MAX / 2, usize::MAX / 2 + 1)),
            ((1, usize::MAX), (1, 1)),
        ] {
            assert!(refused(shape, strides).contains("more than the address space"));
        }
        let view = Strided::new("data", data, (2, 2), (2, 1)).unwrap();
        assert_eq!(view.span(), 4);
        let odd = data.wrapping_add(1).cast::<f32>();
        if !odd.is_aligned() {
            let problem = Strided::new("data", odd, (1, 1), (1, 1)).unwrap_err().text;
            assert!(problem.contains("not aligned"), "{problem}");
        }
    }

    #[test]
    fn strided_numbers_come_row_by_row() {
        // [3, 2] in columns, with a gap of one number between them.
        let data = [1, 3, 5, 0, 2, 4, 6];
        let view = Strided::new("data", data.as_ptr(), (3, 2), (1, 4)).unwrap();
        let mut rows = Vec::new();
        // SAFETY: the last place is (3 - 1) + 4 = 6, which `data` has.
        unsafe { view.append_to("data", &mut rows).unwrap() };
        assert_eq!(rows, [1, 2, 3, 4, 5, 6]);
        assert_eq!(view.span(), data.len());
        // SAFETY: as above.
        assert!(unsafe { view.whole() }.is_none());
        let view = Strided::new("data", data.as_ptr(), (2, 3), (3, 1)).unwrap();
        // SAFETY: six of the seven.
        assert_eq!(unsafe { view.whole() }, Some(&data[..6]));
    }
}
