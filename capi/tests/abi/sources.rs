//! Data sets of several files, and of rows that a callback writes.

use std::ffi::{c_char, c_int, c_void};
use std::path::PathBuf;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

use sae::data::write_npy;
use sae_capi::*;

use crate::common::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sae-capi-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The parameters after some steps on samples, which are freed before them.
fn trained(samples: *mut SaeSamples) -> Vec<u32> {
    let json = c(r#"{"preset": "plain", "layers": [12, 4, 12], "batch": 7, "seed": 3}"#);
    // SAFETY: handles and texts are valid.
    unsafe {
        let trainer = made(|place| sae_trainer_new(json.as_ptr(), samples, 2, place));
        sae_samples_free(samples);
        fine(sae_trainer_run(trainer, 9, None, null_mut()));
        let mut numbers = vec![0.0f32; sae_trainer_parameter_count(trainer)];
        fine(sae_trainer_parameters(trainer, numbers.as_mut_ptr(), numbers.len()));
        sae_trainer_free(trainer);
        numbers.iter().map(|number| number.to_bits()).collect()
    }
}

#[test]
fn several_files_are_one_data_set() {
    let folder = Folder::new("open-all");
    let all = values(20);
    for (name, range) in [("a-1.npy", 0..5), ("a-2.npy", 5..6), ("a-10.npy", 6..20)] {
        let numbers = &all[range.start * FEATURES..range.end * FEATURES];
        write_npy(folder.0.join(name), &[range.len(), FEATURES], numbers).unwrap();
    }
    let text = |name: &str| c(folder.0.join(name).to_str().unwrap());
    let expected = trained(samples_of(&all));
    let open = |names: &[&str], scaling: *const c_char| {
        let texts: Vec<_> = names.iter().map(|name| text(name)).collect();
        let paths: Vec<_> = texts.iter().map(|text| text.as_ptr()).collect();
        // SAFETY: the texts are valid.
        made(|place| unsafe { sae_samples_open_all(paths.as_ptr(), paths.len(), scaling, place) })
    };
    for names in [&[""][..], &["a-*.npy"], &["a-10.npy", "a-1.npy", "a-2.npy"]] {
        let samples = open(names, null());
        // SAFETY: the handle is valid.
        unsafe {
            assert_eq!((sae_samples_count(samples), sae_samples_features(samples)), (20, FEATURES));
        }
        assert_eq!(trained(samples), expected, "{names:?}");
    }
    let unit = c("unit-rms");
    let (one, three) = (samples_of(&all), open(&[""], unit.as_ptr()));
    assert_ne!(trained(three), trained(one));
    std::fs::write(folder.0.join("list.txt"), "a-1.npy\na-2.npy\n").unwrap();
    let listed = open(&["list.txt"], null());
    // SAFETY: handles and texts are valid, or NULL.
    unsafe {
        assert_eq!(sae_samples_count(listed), 6);
        sae_samples_free(listed);
        let (good, bad) = (text("a-1.npy"), text("a-3.npy"));
        let mut place = listed;
        let mut refuse = |paths: &[*const c_char], scaling, status, sentence: &str| {
            let all = sae_samples_open_all(paths.as_ptr(), paths.len(), scaling, &mut place);
            refused(all, status, sentence);
            assert!(place.is_null());
        };
        let path = good.as_ptr();
        refuse(&[path, bad.as_ptr()], null(), SaeStatus::Io, "a-3.npy");
        refuse(&[path, null()], null(), SaeStatus::Argument, "paths[1]: expected a pointer");
        refuse(&[], null(), SaeStatus::Argument, "count: expected at least 1 path, got 0");
        let unknown = c("max-min");
        refuse(&[path], unknown.as_ptr(), SaeStatus::Argument, "scaling: expected byte, as-is");
        write_npy(folder.0.join("a-3.npy"), &[1, 5], &[0f32; 5]).unwrap();
        let sentence = "a-3.npy: this file has 5 features; expected 12, as in";
        refuse(&[path, bad.as_ptr()], null(), SaeStatus::Format, sentence);
    }
}

/// Rows in memory, and how often they were released.
struct Rows {
    numbers: Vec<f32>,
    fails_at: usize,
    released: AtomicUsize,
}

impl Rows {
    fn new(fails_at: usize) -> Self {
        Rows { numbers: values(20), fails_at, released: AtomicUsize::new(0) }
    }

    fn user(&self) -> *mut c_void {
        (&raw const *self).cast_mut().cast()
    }

    fn released(&self) -> usize {
        self.released.load(Ordering::Relaxed)
    }
}

unsafe extern "C" fn read_row(
    user: *mut c_void,
    row: usize,
    numbers: *mut f32,
    count: usize,
) -> c_int {
    // SAFETY: the tests pass a `Rows` that lives longer than its samples.
    let rows = unsafe { &*user.cast::<Rows>() };
    if row == rows.fails_at {
        return 7;
    }
    assert_eq!(count, FEATURES);
    let from = &rows.numbers[row * FEATURES..][..count];
    // SAFETY: there is memory for as many numbers.
    unsafe { numbers.copy_from_nonoverlapping(from.as_ptr(), count) };
    0
}

unsafe extern "C" fn release(user: *mut c_void) {
    // SAFETY: as for `read_row`.
    unsafe { &*user.cast::<Rows>() }.released.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn a_callback_writes_the_rows() {
    let rows = Rows::new(usize::MAX);
    let source = |scaling: *const c_char| {
        // SAFETY: the callbacks are as they have to be, and `rows` outlives the samples.
        made(|place| unsafe {
            let (read, free) = (Some(read_row as _), Some(release as _));
            sae_samples_from_source(20, FEATURES, read, rows.user(), free, scaling, place)
        })
    };
    let samples = source(null());
    // SAFETY: the handle is valid.
    unsafe {
        assert_eq!((sae_samples_count(samples), sae_samples_features(samples)), (20, FEATURES));
    }
    assert_eq!(rows.released(), 0);
    // They are freed with the trainer, after the samples.
    assert_eq!(trained(samples), trained(samples_of(&values(20))));
    assert_eq!(rows.released(), 1);
    let scaling = c("min-max");
    let samples = source(scaling.as_ptr());
    let (mut first, mut others) = (null_mut(), null_mut());
    // SAFETY: handles are valid.
    unsafe {
        fine(sae_samples_split(samples, 13, &mut first, &mut others));
        sae_samples_free(samples);
        sae_samples_free(first);
        assert_eq!((rows.released(), sae_samples_count(others)), (1, 7));
        sae_samples_free(others);
    }
    assert_eq!(rows.released(), 2);
}

#[test]
fn what_a_callback_refuses_is_an_error() {
    let rows = Rows::new(17);
    let (mut place, unit) = (null_mut(), c("unit-rms"));
    let user = rows.user();
    // SAFETY: the callbacks are as they have to be, and `rows` outlives the samples.
    unsafe {
        let (read, free): (SaeReadRow, SaeRelease) = (Some(read_row), Some(release));
        // Every call that fails releases the rows.
        let unit = unit.as_ptr();
        let status = sae_samples_from_source(20, FEATURES, read, user, free, unit, &mut place);
        refused(status, SaeStatus::Shape, "row 17: the callback returned 7");
        assert!(place.is_null());
        let status = sae_samples_from_source(0, FEATURES, read, user, free, null(), &mut place);
        refused(status, SaeStatus::Argument, "expected at least 1 row and 1 column, got 0 x 12");
        let status = sae_samples_from_source(1, 1 << 62, read, user, free, null(), &mut place);
        refused(status, SaeStatus::Argument, "exceed the address space");
        let status = sae_samples_from_source(20, FEATURES, None, user, free, null(), &mut place);
        refused(status, SaeStatus::Argument, "read_row: expected a function, got NULL");
        let status = sae_samples_from_source(20, FEATURES, read, user, free, null(), null_mut());
        refused(status, SaeStatus::Argument, "samples: expected a pointer, got NULL");
        assert_eq!(rows.released(), 5);
        let samples =
            made(|place| sae_samples_from_source(20, FEATURES, read, user, None, null(), place));
        let json = c(r#"{"preset": "plain", "layers": [12, 4, 12], "batch": 20,
            "output_activation": "sigmoid"}"#);
        let mut codes = [0f32; 20 * 4];
        let trainer = made(|place| sae_trainer_new(json.as_ptr(), samples, 2, place));
        let status = sae_trainer_step(trainer, null_mut());
        refused(status, SaeStatus::Shape, "row 17: the callback returned 7");
        let status = sae_trainer_encode(trainer, samples, codes.as_mut_ptr(), codes.len());
        refused(status, SaeStatus::Shape, "row 17: the callback returned 7");
        sae_trainer_free(trainer);
        sae_samples_free(samples);
        assert_eq!(rows.released(), 5);
    }
}
