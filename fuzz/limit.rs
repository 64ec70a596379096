//! An allocator that aborts where a reader takes more memory than it may.
//!
//! A vector that grows holds the old bytes and the new ones at once: `realloc` is left to its
//! default, the worst that a system does.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

pub struct Limited;

thread_local! {
    /// Bytes that this thread may still take, if there is a limit.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

fn take(size: usize) {
    LEFT.with(|left| {
        if let Some(have) = left.get() {
            let rest = have.checked_sub(size);
            if rest.is_none() {
                // The report of the failure needs memory, too; an allocator must not unwind.
                left.set(None);
                eprintln!("{size} bytes asked for, {have} left");
                std::process::abort();
            }
            left.set(rest);
        }
    });
}

fn give(size: usize) {
    LEFT.with(|left| left.set(left.get().map(|have| have.saturating_add(size))));
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        give(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Runs `f`, which may hold at most `bytes` bytes at a time.
pub fn within<T>(most: usize, f: impl FnOnce() -> T) -> T {
    LEFT.with(|left| left.set(Some(most)));
    let done = f();
    LEFT.with(|left| left.set(None));
    done
}
