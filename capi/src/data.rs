//! Data sets: from files, from C's memory, and generated digits.

use std::ffi::{c_char, c_int, c_void};
use std::fmt;

use sae::{
    Error, Samples, Scaling,
    data::{Array, ReadOptions, Row, ScalingKind, Shards, Source, digits},
};

use crate::error::{Result, SaeStatus, guard, invalid, invalid_setting, value_or};
use crate::pointers::{
    check_length, check_size, copy, free_handle, handle, new_handle, optional_text, slice, text,
    write, write_handle,
};
use crate::strided::Strided;

/// A data set: samples and their scaling. It is immutable, so several threads may use it at once.
/// A trainer keeps the data it needs: samples may be freed before the trainers made from them.
pub struct SaeSamples(pub(crate) Samples);

fn scaled(source: impl Source + 'static, scaling: &str) -> Result<Samples> {
    let kind = scaling.parse::<ScalingKind>().map_err(|error| match error {
        Error::Setting { field, problem } => invalid(field, problem),
        error => error.into(),
    })?;
    let scaling = kind.fit(&source)?;
    Ok(Samples::new(source, scaling))
}

/// Maps an IDX, NumPy or safetensors file, or decompresses a gzip-compressed one into memory. Samples
/// are along the first dimension, features along the others; in NumPy and safetensors files with
/// floats of more than two dimensions, features are along the last one, samples along the others.
///
/// `scaling` is "byte" (divided by 255), "as-is", "layer-norm" (each sample by itself), or one that
/// is fitted to the file: "unit-rms", "min-max" or "mean-deviation" of all numbers together,
/// "center", "min-max:feature" or "mean-deviation:feature" of each feature. NULL is "byte" for a file
/// of bytes, "as-is" for floats, and an error for others. A mapped file must not be truncated while it
/// is in use.
///
/// # Safety
/// `path` and `scaling` are NULL or NUL-terminated strings; `samples` is NULL or points to memory
/// for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_open(
    path: *const c_char,
    scaling: *const c_char,
    samples: *mut *mut SaeSamples,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_handle("samples", samples, || {
            let path = text("path", path)?;
            Ok(SaeSamples(match optional_text("scaling", scaling)? {
                None => Samples::open(path)?,
                Some(scaling) => scaled(Array::open(path)?, scaling)?,
            }))
        })
    }
}

/// Opens several files as one data set: the rows of one follow those of another. A path may also be a
/// folder, whose data files are taken, a pattern with `*`, `?` or `[...]`, or a list: a text file, its
/// name ending in ".txt", of one path per line, relative to its folder. The files are sorted by their
/// paths, with numbers by value; those of a list that is the only path keep its order. All have the
/// same features; their types may differ.
///
/// `scaling` is as for `sae_samples_open`; NULL is "as-is" for files of different types.
///
/// # Safety
/// `paths` is NULL or points to `count` strings, each NULL or NUL-terminated; `scaling` is NULL or a
/// NUL-terminated string; `samples` is NULL or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_open_all(
    paths: *const *const c_char,
    count: usize,
    scaling: *const c_char,
    samples: *mut *mut SaeSamples,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_handle("samples", samples, || {
            let paths = slice("paths", paths, count)?;
            let named = |(at, &path)| text(&format!("paths[{at}]"), path);
            let paths = paths.iter().enumerate().map(named).collect::<Result<Vec<_>>>()?;
            if paths.is_empty() {
                return Err(invalid("count", "expected at least 1 path, got 0"));
            }
            Ok(SaeSamples(match optional_text("scaling", scaling)? {
                None => Samples::open_all(paths)?,
                Some(scaling) => scaled(Shards::open(paths, &ReadOptions::default())?, scaling)?,
            }))
        })
    }
}

/// A callback that writes the `count` values of row `row` to `values`, with the pointer `user` that was
/// passed to `sae_samples_from_source`. A result other than 0 is an error: the call that needs the row
/// fails with it. The same row always has the same values. Several threads call it at the same time,
/// also after `sae_samples_from_source` has returned. It must return: no longjmp, no C++ exception.
pub type SaeReadRow = Option<
    unsafe extern "C" fn(user: *mut c_void, row: usize, values: *mut f32, count: usize) -> c_int,
>;

/// A callback that releases `user`: it is called once, by any thread, when nothing reads rows any
/// more.
pub type SaeRelease = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// Rows that a callback of C writes.
struct Callback {
    read_row: SaeReadRow,
    release: SaeRelease,
    user: *mut c_void,
    rows: usize,
    cols: usize,
}

// SAFETY: the callbacks may be called by any thread, the obligation of `sae_samples_from_source`.
unsafe impl Send for Callback {}
// SAFETY: also by several at a time.
unsafe impl Sync for Callback {}

impl Source for Callback {
    fn samples(&self) -> usize {
        self.rows
    }

    fn features(&self) -> usize {
        self.cols
    }

    fn row<'a>(&'a self, row: usize, memory: &'a mut Vec<f32>) -> sae::Result<Row<'a>> {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        memory.clear();
        memory.resize(self.cols, 0.0);
        let Some(read_row) = self.read_row else {
            return Err(Error::Shape(format!("row {row}: there is no callback")));
        };
        // SAFETY: the caller's obligation; there is memory for `cols` values.
        match unsafe { read_row(self.user, row, memory.as_mut_ptr(), self.cols) } {
            0 => Ok(Row::new(&memory[..])),
            code => Err(Error::Shape(format!("row {row}: the callback returned {code}"))),
        }
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: the caller's obligation; nothing else has the rows.
            unsafe { release(self.user) };
        }
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Callback({} x {})", self.rows, self.cols)
    }
}

/// Samples whose `rows` rows of `cols` values a callback writes when they are needed: those of a
/// database or of a file format of your own. A training calls it some batches ahead, in a thread of its
/// own, so that it may wait.
///
/// `scaling` is as for `sae_samples_open`; NULL is "as-is". One that is fitted reads all rows first.
/// `release`, which may be NULL, is called with `user` when the samples and all that was made from
/// them, such as trainers, have been freed; if this call fails, before it returns.
///
/// # Safety
/// `read_row` and `release` may be called with `user` as their types say; `scaling` is NULL or a
/// NUL-terminated string; `samples` is NULL or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_from_source(
    rows: usize,
    cols: usize,
    read_row: SaeReadRow,
    user: *mut c_void,
    release: SaeRelease,
    scaling: *const c_char,
    samples: *mut *mut SaeSamples,
) -> SaeStatus {
    // Dropped, and released, whatever fails.
    let source = Callback { read_row, release, user, rows, cols };
    // SAFETY: the caller's obligations.
    unsafe {
        new_handle("samples", samples, move || {
            let source = source;
            if source.read_row.is_none() {
                return Err(invalid("read_row", "expected a function, got NULL"));
            }
            if rows == 0 || cols == 0 {
                let problem = format!("expected at least 1 row and 1 column, got {rows} x {cols}");
                return Err(invalid("rows", problem));
            }
            check_size::<f32>("cols", cols)?;
            Ok(SaeSamples(match optional_text("scaling", scaling)? {
                None => Samples::new(source, Scaling::AsIs),
                Some(scaling) => scaled(source, scaling)?,
            }))
        })
    }
}

/// Opens a file as `sae_samples_open` does, with the scaling of other samples: test data with that
/// of its training data.
///
/// # Safety
/// `path` is NULL or a NUL-terminated string; `like` is NULL or a valid handle; `samples` is NULL
/// or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_open_like(
    path: *const c_char,
    like: *const SaeSamples,
    samples: *mut *mut SaeSamples,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_handle("samples", samples, || {
            let (path, SaeSamples(like)) = (text("path", path)?, handle("like", like)?);
            Ok(SaeSamples(Samples::new(Array::open(path)?, like.scaling())))
        })
    }
}

/// Copies samples from memory, `[rows, cols]`: value (i, j) is `data[i * row_stride + j *
/// col_stride]`. They are used as they are, without scaling.
///
/// # Safety
/// `data` is NULL or points to memory with all these values; `samples` is NULL or points to memory
/// for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_from_f32(
    data: *const f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
    samples: *mut *mut SaeSamples,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_handle("samples", samples, || {
            let data = Strided::new("data", data, (rows, cols), (row_stride, col_stride))?;
            Ok(SaeSamples(Samples::from_values(data.to_vec("data")?, cols)?))
        })
    }
}

/// Copies bytes from memory as `sae_samples_from_f32` does. They are stored as bytes, and scaled as
/// those of a file: divided by 255.
///
/// # Safety
/// As for `sae_samples_from_f32`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_from_u8(
    data: *const u8,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
    samples: *mut *mut SaeSamples,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_handle("samples", samples, || {
            let data = Strided::new("data", data, (rows, cols), (row_stride, col_stride))?;
            // The limit of an array, checked before the memory is read.
            if rows.max(cols) > u32::MAX as usize {
                let problem = "expected at most 4294967295 rows and columns, got";
                return Err(invalid("data", format!("{problem} {rows} x {cols}")));
            }
            let array = Array::from_values::<u8>(data.to_vec("data")?, cols)?;
            Ok(SaeSamples(Samples::new(array, Scaling::Byte)))
        })
    }
}

/// Samples with targets: what a network is to predict from each, instead of reconstructing it. There is
/// one target for each sample, in the same order, with features and a scaling of its own. Trainers made
/// from the result predict targets, and their evaluations need samples with targets. Both parts of a
/// split keep theirs. The data is shared, not copied.
///
/// # Safety
/// `samples` and `targets` are NULL or valid handles; `pairs` is NULL or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_with_targets(
    samples: *const SaeSamples,
    targets: *const SaeSamples,
    pairs: *mut *mut SaeSamples,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_handle("pairs", pairs, || {
            let SaeSamples(samples) = handle("samples", samples)?;
            let SaeSamples(targets) = handle("targets", targets)?;
            Ok(SaeSamples(samples.with_targets(targets.clone())?))
        })
    }
}

/// Splits samples: the first `count`, and the others. Neither part may be empty. The data is shared,
/// not copied.
///
/// # Safety
/// `samples` is NULL or a valid handle; `first` and `others` are NULL or point to memory for a
/// pointer each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_split(
    samples: *const SaeSamples,
    count: usize,
    first: *mut *mut SaeSamples,
    others: *mut *mut SaeSamples,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    guard(|| unsafe {
        write("first", first, std::ptr::null_mut())?;
        write_handle("others", others, || {
            let SaeSamples(samples) = handle("samples", samples)?;
            let (before, after) = samples.split(count).map_err(|error| match error {
                // The name of the argument here.
                Error::Setting { problem, .. } => invalid_setting("count", problem),
                error => error.into(),
            })?;
            write_handle("first", first, || Ok(SaeSamples(before)))?;
            Ok(SaeSamples(after))
        })
    })
}

/// The number of samples; 0 if `samples` is NULL.
///
/// # Safety
/// `samples` is NULL or a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_count(samples: *const SaeSamples) -> usize {
    // SAFETY: the caller's obligation.
    value_or(0, || Ok(unsafe { handle("samples", samples) }?.0.len()))
}

/// The number of features of a sample; 0 if `samples` is NULL.
///
/// # Safety
/// `samples` is NULL or a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_features(samples: *const SaeSamples) -> usize {
    // SAFETY: the caller's obligation.
    value_or(0, || Ok(unsafe { handle("samples", samples) }?.0.features()))
}

/// Frees samples. NULL is ignored.
///
/// # Safety
/// `samples` is NULL or a valid handle, not in use by another call, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_free(samples: *mut SaeSamples) {
    // SAFETY: the caller's obligation.
    unsafe { free_handle("samples", samples, |_| false) }
}

/// Generates images of digits, a substitute for MNIST: `count` images of 28 x 28 bytes, row-major (0
/// is paper, 255 is ink), and the digit that each shows. A seed gives the same images on every
/// machine; a smaller `count` gives the first of them.
///
/// `images_length` is 784 times `count`. `labels_length` is `count`, or 0 without labels, and then
/// `labels` may be NULL.
///
/// # Safety
/// `images` and `labels` are NULL or point to memory for `images_length` and `labels_length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_draw_digits(
    count: usize,
    seed: u64,
    images: *mut u8,
    images_length: usize,
    labels: *mut u8,
    labels_length: usize,
) -> SaeStatus {
    guard(|| {
        let memory = || invalid("count", format!("out of memory for {count} images"));
        let pixels = count.checked_mul(digits::SIDE * digits::SIDE).ok_or_else(memory)?;
        check_length("images", images_length, pixels)?;
        if labels_length > 0 {
            check_length("labels", labels_length, count)?;
        }
        if Vec::<u8>::new().try_reserve_exact(pixels).is_err() {
            return Err(memory());
        }
        let drawn = digits::draw(count, seed, 1);
        // SAFETY: the caller's obligations.
        unsafe {
            copy("images", &drawn.images, images, images_length)?;
            copy("labels", &drawn.labels[..labels_length], labels, labels_length)
        }
    })
}
