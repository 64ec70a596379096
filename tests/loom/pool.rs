//! The orders of events that the threads of a pool can meet (`scripts/loom.sh`).
#![cfg(loom)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::atomic::{AtomicUsize, Ordering};
use sae_loom::ThreadPool;

/// Tries every order of events with at most three preemptions.
fn model(f: impl Fn() + Send + Sync + 'static) {
    bounded(3, f);
}

/// Tries every order of events with a bound on preemptions.
fn bounded(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

/// Every task of every job runs once, and before `run` returns.
#[test]
fn jobs_one_after_another() {
    model(|| {
        let mut pool = ThreadPool::exactly(2);
        for _ in 0..2 {
            let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
            pool.run(2, |task, _| {
                counts[task].fetch_add(1, Ordering::Relaxed);
            });
            let counts = counts.map(|count| count.into_inner());
            assert_eq!(counts, [1, 1]);
        }
    });
}

/// What a task wrote is seen after `run` returns, without further synchronization.
#[test]
fn results_are_seen() {
    model(|| {
        let mut pool = ThreadPool::exactly(2);
        let cells = [UnsafeCell::new(0), UnsafeCell::new(0)];
        struct Shared<'a>(&'a [UnsafeCell<u32>; 2]);
        // SAFETY: each task has a cell of its own, and loom checks that.
        unsafe impl Sync for Shared<'_> {}
        let shared = Shared(&cells);
        for round in 1..3 {
            pool.run(2, |task, _| {
                let Shared(cells) = &shared;
                cells[task].with_mut(|cell| {
                    // SAFETY: as above.
                    unsafe {
                        *cell += round;
                    }
                });
            });
        }
        // SAFETY: no job is running.
        let sums = cells.map(|cell| cell.with(|cell| unsafe { *cell }));
        assert_eq!(sums, [3, 3]);
    });
}

/// Every worker ends, asleep or not, when the pool is dropped.
#[test]
fn a_pool_without_a_job() {
    model(|| drop(ThreadPool::exactly(2)));
}

/// A task that panics, in either thread, ends its job and no other.
#[test]
fn a_panic() {
    bounded(2, || {
        let mut pool = ThreadPool::exactly(2);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            // Unlike `panic!`, it does not print, which would be thousands of times.
            pool.run(2, |task, _| {
                if task == 1 {
                    resume_unwind(Box::new(()))
                }
            });
        }));
        assert!(outcome.is_err());
        let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
        pool.run(2, |task, _| {
            counts[task].fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(counts.map(|count| count.into_inner()), [1, 1]);
    });
}

#[test]
fn three_threads() {
    bounded(1, || {
        let mut pool = ThreadPool::exactly(3);
        let count = AtomicUsize::new(0);
        pool.run(3, |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 3);
    });
}
