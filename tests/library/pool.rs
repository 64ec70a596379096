//! The threads: every part once, panics passed on, teams beside each other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sae::compute::{ThreadPool, available_threads};

/// Runs a job and checks that each part was done once and no two at a time by one thread.
fn job(pool: &mut ThreadPool, parts: usize) {
    let threads = pool.threads();
    let done: Vec<_> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
    let busy: Vec<_> = (0..threads).map(|_| AtomicBool::new(false)).collect();
    pool.run(parts, |part, thread| {
        assert!(!busy[thread].swap(true, Ordering::SeqCst), "a thread number used twice");
        done[part].fetch_add(1, Ordering::SeqCst);
        // Now and then the others come first, on one core too.
        if part % 2 == 1 {
            std::thread::yield_now();
        }
        busy[thread].store(false, Ordering::SeqCst);
    });
    assert!(done.iter().all(|count| count.load(Ordering::SeqCst) == 1));
}

#[test]
fn sizes() {
    assert!(available_threads() >= 1);
    assert_eq!(ThreadPool::new(1).threads(), 1);
    assert_eq!(ThreadPool::new(1000).threads(), available_threads());
    assert_eq!(ThreadPool::exactly(5).threads(), 5);
    assert_eq!(ThreadPool::exactly(0).threads(), 1);
}

#[test]
fn many_small_jobs_from_several_teams() {
    std::thread::scope(|scope| {
        for threads in 1..=4 {
            scope.spawn(move || {
                let mut pool = ThreadPool::exactly(threads);
                for round in 0..3000 {
                    job(&mut pool, round % 9);
                    if round % 1000 == 0 {
                        // Long enough for the workers to fall asleep.
                        std::thread::sleep(Duration::from_millis(2));
                    }
                }
            });
        }
    });
}

#[test]
fn more_threads_than_cores() {
    let threads = 8 * available_threads() + 1;
    let mut pool = ThreadPool::exactly(threads);
    assert_eq!(pool.threads(), threads);
    for round in 0..500 {
        job(&mut pool, round % (2 * threads));
    }
}

#[test]
fn all_threads_work() {
    let mut pool = ThreadPool::exactly(3);
    for _ in 0..100 {
        let together = Barrier::new(3);
        pool.run(3, |_, _| {
            together.wait();
        });
    }
}

/// What a job of three parts, each in a thread of its own, panics with if thread `guilty` does.
fn panic_of(pool: &mut ThreadPool, guilty: usize) -> String {
    let together = Barrier::new(3);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        pool.run(3, |_, thread| {
            together.wait();
            assert!(thread != guilty, "on purpose, in thread {thread}");
        });
    }));
    let panic = outcome.expect_err("a panic is passed on");
    let text = panic.downcast_ref::<String>().cloned();
    text.unwrap_or_else(|| (*panic.downcast_ref::<&str>().unwrap()).to_owned())
}

#[test]
fn a_panic_is_passed_on_and_the_team_works_afterwards() {
    let mut pool = ThreadPool::exactly(3);
    for _ in 0..20 {
        assert_eq!(panic_of(&mut pool, 0), "on purpose, in thread 0");
        job(&mut pool, 50);
        for guilty in [1, 2] {
            assert_eq!(panic_of(&mut pool, guilty), "a thread of the pool panicked");
            job(&mut pool, 50);
        }
    }
    let mut alone = ThreadPool::exactly(1);
    assert!(catch_unwind(AssertUnwindSafe(|| alone.run(2, |_, _| panic!("on purpose")))).is_err());
    job(&mut alone, 5);
}

/// Both the caller and a worker panic: the caller's panic comes through, and the next job is clean.
#[test]
fn two_panics_at_once() {
    let mut pool = ThreadPool::exactly(2);
    for _ in 0..20 {
        let together = Barrier::new(2);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.run(2, |_, thread| {
                together.wait();
                panic!("on purpose, in thread {thread}");
            });
        }));
        let panic = outcome.expect_err("a panic is passed on");
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "on purpose, in thread 0");
        job(&mut pool, 20);
    }
}

#[test]
fn teams_come_and_go() {
    for threads in [1, 2, 3, 9].repeat(20) {
        let mut pool = ThreadPool::exactly(threads);
        if threads != 3 {
            job(&mut pool, 10);
        }
    }
}
