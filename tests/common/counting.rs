//! An allocator that counts: how often all threads together ask for memory, and of each thread the
//! largest piece, the bytes it holds and the most it ever held.
#![allow(dead_code)] // each test file uses its own share

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of all threads.
pub static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    pub static LARGEST: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn hold(change: isize) {
    // Not there any more while a thread ends.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: every call goes on to `System` unchanged. `realloc` is left to its default, which holds
// the old bytes and the new ones at once: the worst that a system does.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        hold(layout.size() as isize);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        hold(-(layout.size() as isize));
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(at, layout) }
    }
}

/// What `f` gives, and the most bytes this thread held beyond those there were before.
pub fn peak<T>(f: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let done = f();
    (done, (PEAK.get() - before) as usize)
}
