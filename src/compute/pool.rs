//! A persistent pool of threads that share one job after another.
//!
//! The caller works, too. Workers that are asleep or not scheduled are never waited for: a task is
//! claimed by the first thread that is free, and the caller returns when every task is done and no
//! worker is in the job. So more threads than cores are slower, but work.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use sync::{Arc, JoinHandle, hint, thread};

/// The standard library's primitives, or those of a checker that tries every order of events
/// (`scripts/loom.sh`).
mod sync {
    #[cfg(not(loom))]
    pub use std::{
        hint,
        sync::{Arc, atomic},
        thread::{self, JoinHandle},
    };

    #[cfg(loom)]
    pub use loom::{
        hint,
        sync::{Arc, atomic},
        thread::{self, JoinHandle},
    };
}

/// Computes a task: `(task, thread)`.
type Body<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// The bit of `state` that says that tasks may be claimed. The bits above it are the number of the job.
const OPEN: u64 = 1 << 31;
/// The bits of `state` that count the workers in the job.
const INSIDE: u64 = OPEN - 1;

/// Iterations that a worker spins before it parks: some 100 microseconds, longer than the serial
/// code between the phases of a step.
const SPINS: u32 = if cfg!(loom) { 1 } else { 4_000 };

struct Shared {
    state: AtomicU64,
    /// Points to the caller's `Body` while the job is open or a worker is in it.
    body: AtomicPtr<()>,
    next: AtomicUsize,
    tasks: AtomicUsize,
    parked: AtomicUsize,
    panicked: AtomicBool,
    stop: AtomicBool,
    /// Workers that have begun.
    begun: std::sync::atomic::AtomicUsize,
}

/// A pool of threads, the caller's included.
pub struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ThreadPool").field("threads", &self.threads()).finish()
    }
}

/// Number of cores that this process may use, affinity and cgroup quota respected.
pub fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

impl ThreadPool {
    /// Makes a pool of `threads` threads, but at most [`available_threads`]: more would only wait for
    /// each other.
    pub fn new(threads: usize) -> Self {
        Self::exactly(threads.min(available_threads()))
    }

    /// Makes a pool of `threads` threads, even where they are more than the cores. If the system
    /// refuses some, there are fewer.
    #[doc(hidden)]
    pub fn exactly(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            body: AtomicPtr::new(std::ptr::null_mut()),
            next: AtomicUsize::new(0),
            tasks: AtomicUsize::new(0),
            parked: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            begun: std::sync::atomic::AtomicUsize::new(0),
        });
        let mut workers = Vec::new();
        for thread in 1..threads {
            let shared = Arc::clone(&shared);
            let name = format!("sae-{thread}");
            match thread::Builder::new().name(name).spawn(move || {
                shared.begun.fetch_add(1, Ordering::Relaxed);
                shared.work(thread);
            }) {
                Ok(worker) => workers.push(worker),
                Err(_) => break,
            }
        }
        // A thread allocates as it begins: wait, so that no job sees it.
        while !cfg!(loom) && shared.begun.load(Ordering::Relaxed) < workers.len() {
            thread::yield_now();
        }
        ThreadPool { shared, workers }
    }

    /// Number of threads, the caller's included.
    #[doc(hidden)]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `body(task, thread)` for every task from 0 to `tasks - 1`, shared among the threads, and
    /// returns when all are done. No two calls at a time have the same `thread`.
    ///
    /// # Panics
    /// A call panicked.
    #[doc(hidden)]
    pub fn run(&mut self, tasks: usize, body: impl Fn(usize, usize) + Sync) {
        if tasks <= 1 || self.workers.is_empty() {
            (0..tasks).for_each(|task| body(task, 0));
            return;
        }
        let shared = &*self.shared;
        let body: Body<'_> = &body;
        shared.body.store((&raw const body).cast_mut().cast(), Ordering::Relaxed);
        shared.tasks.store(tasks, Ordering::Relaxed);
        shared.next.store(0, Ordering::Relaxed);
        let job = (shared.state.load(Ordering::Relaxed) >> 32).wrapping_add(1) << 32;
        // Sequentially consistent, as `sleep` is: either the worker sees the job or this sees that it
        // sleeps.
        shared.state.store(job | OPEN, Ordering::SeqCst);
        if shared.parked.load(Ordering::SeqCst) > 0 {
            for worker in &self.workers {
                worker.thread().unpark();
            }
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| shared.claim(body, 0)));
        shared.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0;
        while shared.state.load(Ordering::Acquire) & INSIDE != 0 {
            spins += 1;
            if spins < SPINS { hint::spin_loop() } else { thread::yield_now() }
        }
        // Reset in any case: the next job must not find it.
        let panicked = shared.panicked.swap(false, Ordering::Relaxed);
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
        assert!(!panicked, "a thread of the pool panicked");
    }
}

impl Shared {
    fn claim(&self, body: Body<'_>, thread: usize) {
        loop {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            if task >= self.tasks.load(Ordering::Relaxed) {
                return;
            }
            body(task, thread);
        }
    }

    fn work(&self, thread: usize) {
        let mut done = 0;
        let mut spins = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let state = self.state.load(Ordering::Acquire);
            if state & OPEN == 0 || state >> 32 == done {
                spins += 1;
                if spins < SPINS {
                    hint::spin_loop();
                } else {
                    self.sleep(done);
                }
                continue;
            }
            spins = 0;
            // A worker enters only while the job is open: after that the body may be gone.
            let entered = self.state.compare_exchange_weak(
                state,
                state + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            if entered.is_err() {
                continue;
            }
            done = state >> 32;
            let body = self.body.load(Ordering::Relaxed).cast_const().cast::<Body<'_>>();
            // SAFETY: `run` stored the address of a live `Body` before it opened the job, and does
            // not return before this thread has left the job.
            #[allow(unsafe_code)]
            let body = unsafe { *body };
            if catch_unwind(AssertUnwindSafe(|| self.claim(body, thread))).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.state.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Parks until the caller has another job than `done`, or stops.
    fn sleep(&self, done: u64) {
        self.parked.fetch_add(1, Ordering::SeqCst);
        loop {
            let state = self.state.load(Ordering::SeqCst);
            if (state & OPEN != 0 && state >> 32 != done) || self.stop.load(Ordering::SeqCst) {
                break;
            }
            thread::park();
        }
        self.parked.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker catches the panics of its work.
            let _ = worker.join();
        }
    }
}
