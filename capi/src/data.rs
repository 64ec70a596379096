//! Data sets: from files, from buffers of C's, and drawn digits.

use std::ffi::c_char;

use sae::{
    Error, Samples, Scaling,
    data::{Array, digits},
};

use crate::border::{
    Failure, Result, SaeStatus, Strided, answer, check_room, fill, guard, hand_over, handle, put,
    take_back, text, text_if_any, wrong,
};

/// A data set: samples, and how they are scaled. It never changes, so several threads may use it at
/// once. Trainers that were made on it keep what they need: it may be freed before them.
pub struct SaeSamples(pub(crate) Samples);

fn fitted(array: Array, scaling: &str) -> Result<Samples> {
    let scaling = match scaling {
        "byte" => Scaling::Byte,
        "as-is" => Scaling::AsIs,
        "min-max" => Scaling::fit_min_max(&array),
        "mean-deviation" => Scaling::fit_mean_deviation(&array),
        _ => {
            let problem = format!("'{scaling}' is not one of byte, as-is, min-max, mean-deviation");
            return Err(wrong("scaling", problem));
        }
    };
    Ok(Samples::new(array, scaling))
}

/// Maps an IDX file (also packed with gzip) or reads a NumPy file; samples lie along the first
/// dimension, features along the others. `scaling` is NULL for a file of bytes (then they are
/// divided by 255), or one of "byte", "as-is", "min-max", "mean-deviation". A mapped file must not
/// become shorter while it is in use.
///
/// # Safety
/// `path` and `scaling` are NULL or strings that end in 0; `samples` is NULL or to room for a
/// pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_open(
    path: *const c_char,
    scaling: *const c_char,
    samples: *mut *mut SaeSamples,
) -> SaeStatus {
    guard(|| {
        let open = || {
            // SAFETY: the caller's duties.
            let (path, scaling) =
                unsafe { (text("path", path)?, text_if_any("scaling", scaling)?) };
            Ok(SaeSamples(match scaling {
                None => Samples::open(path)?,
                Some(scaling) => fitted(Array::open(path)?, scaling)?,
            }))
        };
        // SAFETY: as above.
        unsafe { hand_over("samples", samples, open) }
    })
}

/// As `sae_samples_open`, scaled as other samples are: test data as its training data.
///
/// # Safety
/// `path` is NULL or a string that ends in 0, `like` NULL or of this library; `samples` is NULL or
/// to room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_open_like(
    path: *const c_char,
    like: *const SaeSamples,
    samples: *mut *mut SaeSamples,
) -> SaeStatus {
    guard(|| {
        let open = || {
            // SAFETY: the caller's duties.
            let (path, SaeSamples(like)) = unsafe { (text("path", path)?, handle("like", like)?) };
            Ok(SaeSamples(Samples::new(Array::open(path)?, like.scaling())))
        };
        // SAFETY: as above.
        unsafe { hand_over("samples", samples, open) }
    })
}

/// Copies samples from a buffer of numbers, `[rows, cols]`: number (i, j) is `data[i * row_stride +
/// j * col_stride]`. They are taken as they are: beyond [0, 1] the output layer wants another
/// activation than the presets' sigmoid, `"output_activation": "linear"`.
///
/// # Safety
/// `data` is NULL or to memory that has all these numbers; `samples` is NULL or to room for a
/// pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_from_f32(
    data: *const f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
    samples: *mut *mut SaeSamples,
) -> SaeStatus {
    guard(|| {
        let copy = || {
            let data = Strided::new("data", data, (rows, cols), (row_stride, col_stride))?;
            let mut values = Vec::new();
            // SAFETY: the caller's duties.
            unsafe { data.append_to("data", &mut values) }?;
            Ok(SaeSamples(Samples::from_values(values, cols)?))
        };
        // SAFETY: as above.
        unsafe { hand_over("samples", samples, copy) }
    })
}

/// Copies samples from a buffer of bytes, as `sae_samples_from_f32`. They stay bytes, and are
/// scaled as a file's: divided by 255.
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
    guard(|| {
        let copy = || {
            let data = Strided::new("data", data, (rows, cols), (row_stride, col_stride))?;
            // No more than an array can have.
            if let Some(side) = [rows, cols].into_iter().find(|&side| u32::try_from(side).is_err())
            {
                return Err(wrong("data", format!("a side of {side}, above 2^32 - 1")));
            }
            let mut bytes = Vec::new();
            // SAFETY: the caller's duties.
            unsafe { data.append_to("data", &mut bytes) }?;
            Ok(SaeSamples(Samples::new(Array::from_values::<u8>(bytes, cols)?, Scaling::Byte)))
        };
        // SAFETY: as above.
        unsafe { hand_over("samples", samples, copy) }
    })
}

/// The first `count` samples, and the others. Both parts must have one. The data is shared.
///
/// # Safety
/// `samples` is NULL or of this library; `first` and `others` are NULL or to room for a pointer
/// each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_split(
    samples: *const SaeSamples,
    count: usize,
    first: *mut *mut SaeSamples,
    others: *mut *mut SaeSamples,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            put("first", first, std::ptr::null_mut())?;
            hand_over("others", others, || {
                let SaeSamples(samples) = handle("samples", samples)?;
                let (before, behind) = samples.split(count).map_err(|error| match error {
                    // The argument's name here.
                    Error::Setting { problem, .. } => {
                        Failure { status: SaeStatus::Setting, text: format!("count: {problem}") }
                    }
                    error => error.into(),
                })?;
                hand_over("first", first, || Ok(SaeSamples(before)))?;
                Ok(SaeSamples(behind))
            })
        }
    })
}

/// How many samples there are; 0 if it is NULL.
///
/// # Safety
/// `samples` is NULL or of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_count(samples: *const SaeSamples) -> usize {
    // SAFETY: the caller's duty.
    answer(0, || Ok(unsafe { handle("samples", samples) }?.0.len()))
}

/// Features of a sample; 0 if it is NULL.
///
/// # Safety
/// `samples` is NULL or of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_features(samples: *const SaeSamples) -> usize {
    // SAFETY: the caller's duty.
    answer(0, || Ok(unsafe { handle("samples", samples) }?.0.features()))
}

/// Frees samples. NULL is none.
///
/// # Safety
/// `samples` is NULL or of this library, in no other call, and not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_samples_free(samples: *mut SaeSamples) {
    // SAFETY: the caller's duty.
    unsafe { take_back("samples", samples, |_| false) }
}

/// Draws digits, a stand-in for MNIST: `count` images of 28 x 28 bytes, row by row (0 is paper, 255
/// is ink), and what digit each shows. The same seed gives the same images everywhere; fewer are
/// the first of more.
///
/// `images` has room for `images_length` bytes, 784 an image; `labels` for `labels_length`, one an
/// image, or it is NULL and its length 0.
///
/// # Safety
/// `images` and `labels` are NULL or to room for so many bytes.
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
        let pixels = count.checked_mul(digits::SIDE * digits::SIDE);
        let pixels = pixels.ok_or_else(|| wrong("count", format!("{count} images")))?;
        check_room("images", images_length, pixels)?;
        if labels_length > 0 {
            check_room("labels", labels_length, count)?;
        }
        if Vec::<u8>::new().try_reserve_exact(pixels).is_err() {
            return Err(wrong("count", format!("{count} images find no memory")));
        }
        let drawn = digits::draw(count, seed, 1);
        let labels_drawn = if labels_length > 0 { &drawn.labels[..] } else { &[] };
        // SAFETY: the caller's duties.
        unsafe {
            fill("images", &drawn.images, images, images_length)?;
            fill("labels", labels_drawn, labels, labels_length)
        }
    })
}
