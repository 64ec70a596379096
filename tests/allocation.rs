//! A training step allocates nothing. One test in a process of its own: every thread is watched.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use sae::{Idx, Preset, Samples, Scaling, Settings, Team, Trainer, idx};

/// Counts the allocations of all threads.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes on to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Fails if one of 50 steps, or one on a batch of the caller's, allocates after the first step.
fn check(what: &str, settings: Settings, samples: &Samples, threads: usize) {
    let team = Team::exactly(threads);
    assert_eq!(team.threads(), threads);
    let batch = vec![0.5; settings.batch * samples.features()];
    let mut trainer = Trainer::builder().settings(settings).team(team).build(samples).unwrap();
    trainer.step().unwrap();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    assert!(before > 0, "nothing is counted");
    for _ in 0..25 {
        trainer.step().unwrap();
    }
    trainer.run(25, |_, _| ControlFlow::Continue(())).unwrap();
    trainer.step_on(&batch).unwrap();
    let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!(count, 0, "{what}, {threads} threads: allocations in 51 steps");
    assert_eq!(trainer.steps(), 52);
}

#[test]
fn steps_allocate_nothing() {
    let path = std::env::temp_dir().join(format!("sae-allocation-{}", std::process::id()));
    let (rows, side) = (130, 28);
    let pixels = common::pixels(1, rows, side * side);
    let bytes: Vec<_> = pixels.iter().map(|pixel| (pixel * 255.0) as u8).collect();
    idx::write(&path, &[rows, side, side], &bytes).unwrap();
    // 130 samples, batches of 60: an epoch ends every other step, inside a batch.
    let mapped = Samples::open(&path).unwrap();
    let numbers = std::env::temp_dir().join(format!("sae-allocation-f-{}", std::process::id()));
    idx::write(&numbers, &[rows, side * side], &pixels).unwrap();
    let floats = Idx::open(&numbers).unwrap();
    let scaling = Scaling::fit_min_max(&floats);
    let floats = Samples::new(floats, scaling);
    let memory = Samples::from_values(pixels, side * side).unwrap();
    let (part, _) = mapped.split(100).unwrap();

    for threads in [1, 2] {
        for preset in [Preset::Normal, Preset::Sparse] {
            let settings = Settings::preset(preset);
            check("mapped bytes", settings.clone(), &mapped, threads);
            check("part of them", settings.clone(), &part, threads);
            check("mapped floats", settings.clone(), &floats, threads);
            check("memory", settings, &memory, threads);
        }
        let mut long = Settings::default();
        (long.layers, long.batch) = (vec![784, 20, 784], 450);
        check("a long batch", long, &memory, threads);
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(&numbers).unwrap();
}
