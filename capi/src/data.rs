//! Data sets: from files, from C's memory, and generated digits.

use std::ffi::c_char;

use sae::{
    Error, Samples, Scaling,
    data::{Array, ScalingKind, digits},
};

use crate::error::{Result, SaeStatus, guard, invalid, invalid_setting, value_or};
use crate::pointers::{
    check_length, copy, free_handle, handle, new_handle, optional_text, text, write, write_handle,
};
use crate::strided::Strided;

/// A data set: samples and their scaling. It is immutable, so several threads may use it at once.
/// A trainer keeps the data it needs: samples may be freed before the trainers made from them.
pub struct SaeSamples(pub(crate) Samples);

fn scaled(array: Array, scaling: &str) -> Result<Samples> {
    let kind = scaling.parse::<ScalingKind>().map_err(|error| match error {
        Error::Setting { field, problem } => invalid(field, problem),
        error => error.into(),
    })?;
    let scaling = kind.fit(&array)?;
    Ok(Samples::new(array, scaling))
}

/// Maps an IDX or NumPy file, or decompresses a gzip-compressed one into memory. Samples are along
/// the first dimension, features along the others.
///
/// `scaling` is "byte" (divided by 255), "as-is", or one that is fitted to the file: "min-max" or
/// "mean-deviation" of all numbers together, "min-max:feature" or "mean-deviation:feature" of each
/// feature. NULL is "byte" for a file of bytes and an error for others. A mapped file must not
/// be truncated while it is in use.
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
