//! The kernels: matrix products and element-wise functions.

use std::ffi::{CString, c_char};
use std::sync::Mutex;

use sae_kernels::math::{self, Function};
use sae_kernels::{Isa, Matrix, MatrixMut, Scratch, gemm};

use crate::autoencoder::isa;
use crate::error::{Result, SaeStatus, guard, invalid, invalid_setting, value_or};
use crate::pointers::{
    free_handle, handle, is_busy, lock, new_handle, optional_text, slice_mut, text,
};
use crate::strided::Strided;

/// The kernels of an instruction set, with the scratch memory of a product (about 6 MB). Any thread
/// may use it, one at a time.
pub struct SaeKernels {
    isa: Isa,
    name: CString,
    scratch: Mutex<(Vec<f32>, Vec<u32>)>,
}

/// Makes the kernels of an instruction set: "avx512", "avx2", "neon", "portable" or "scalar"; NULL
/// for the one that the environment variable SAE_ISA names, or else the fastest.
///
/// # Safety
/// `name` is NULL or a NUL-terminated string; `kernels` is NULL or points to memory for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_kernels_new(
    name: *const c_char,
    kernels: *mut *mut SaeKernels,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    unsafe {
        new_handle("kernels", kernels, || {
            let isa = match optional_text("name", name)? {
                None => isa()?,
                Some(name) => Isa::forced(name)
                    .map_err(|problem| invalid_setting("name", format!("'{name}': {problem}")))?,
            };
            let (floats, indices) = Scratch::LENGTHS;
            let name = CString::new(isa.name()).unwrap_or_default();
            Ok(SaeKernels { isa, name, scratch: Mutex::new((vec![0.0; floats], vec![0; indices])) })
        })
    }
}

/// Frees kernels. NULL is ignored. Kernels that are in use by another call are not freed, and
/// `sae_last_error` says so.
///
/// # Safety
/// `kernels` is NULL or a valid handle, and is not used again unless it was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_kernels_free(kernels: *mut SaeKernels) {
    // SAFETY: the caller's obligation.
    unsafe { free_handle("kernels", kernels, |its| is_busy(&its.scratch)) }
}

/// The name of the instruction set, valid as long as the kernels; NULL if `kernels` is NULL.
///
/// # Safety
/// `kernels` is NULL or a valid handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_kernels_name(kernels: *const SaeKernels) -> *const c_char {
    // SAFETY: the caller's obligation.
    value_or(std::ptr::null(), || Ok(unsafe { handle("kernels", kernels) }?.name.as_ptr()))
}

/// Values of C's as a matrix with contiguous rows or columns; also its first and last address. The
/// pointer and the strides of a matrix without values are not looked at.
///
/// # Safety
/// The memory has all these values, and nobody writes to it through `'a`.
unsafe fn matrix<'a>(
    name: &str,
    data: *const f32,
    (rows, cols): (usize, usize),
    (row_stride, col_stride): (usize, usize),
) -> Result<(Matrix<'a>, [usize; 2])> {
    if rows == 0 || cols == 0 {
        return Ok((Matrix::new(&[], rows, cols), [0; 2]));
    }
    // The stride along a side of 1 is irrelevant.
    let row_stride = if rows == 1 { row_stride.max(1) } else { row_stride };
    let col_stride = if cols == 1 { col_stride.max(1) } else { col_stride };
    let view = Strided::new(name, data, (rows, cols), (row_stride, col_stride))?;
    let ends = [data.addr(), data.addr().saturating_add(4 * view.span())];
    // SAFETY: `new` has checked the pointer and the length; the rest is passed on.
    let values = unsafe { std::slice::from_raw_parts(data, view.span()) };
    if (col_stride == 1 || cols == 1) && (row_stride >= cols || rows == 1) {
        return Ok((Matrix::strided(values, rows, cols, row_stride.max(cols)), ends));
    }
    if (row_stride == 1 || rows == 1) && (col_stride >= rows || cols == 1) {
        let turned = Matrix::strided(values, cols, rows, col_stride.max(rows));
        return Ok((turned.transposed(), ends));
    }
    let problem = format!(
        "expected a stride of 1 along rows or columns and no overlap, got strides of {row_stride} \
         and {col_stride} for {rows} x {cols}"
    );
    Err(invalid(name, problem))
}

/// Computes the matrix product c = a b, `[m, n] = [m, k] [k, n]`. Each element is one chain of
/// multiply-adds in the order of k, fused for every instruction set but "portable".
///
/// Strides count values. One stride of `a` and one of `b` must be 1; the transpose of a matrix is
/// the matrix with its strides swapped. The rows of `c` are contiguous, `c_row_stride` apart. `c`
/// must not overlap `a` or `b`, and its previous content is ignored. The stride along a side of 1 is
/// irrelevant.
///
/// As in BLAS, sizes may be 0: with k = 0, `c` becomes 0; with m = 0 or n = 0 nothing is written. The
/// pointer and the strides of a matrix without values are ignored, so it may be NULL.
///
/// # Safety
/// `kernels` is NULL or a valid handle; `a`, `b` and `c` are NULL or point to memory from their
/// first to their last value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_kernels_gemm(
    kernels: *mut SaeKernels,
    m: usize,
    k: usize,
    n: usize,
    a: *const f32,
    a_row_stride: usize,
    a_col_stride: usize,
    b: *const f32,
    b_row_stride: usize,
    b_col_stride: usize,
    c: *mut f32,
    c_row_stride: usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    guard(|| unsafe {
        let kernels = handle("kernels", kernels)?;
        let (a, a_ends) = matrix("a", a, (m, k), (a_row_stride, a_col_stride))?;
        let (b, b_ends) = matrix("b", b, (k, n), (b_row_stride, b_col_stride))?;
        if m == 0 || n == 0 {
            return Ok(());
        }
        let c_row_stride = if m == 1 { c_row_stride.max(n) } else { c_row_stride };
        let view = Strided::new("c", c.cast_const(), (m, n), (c_row_stride, 1))?;
        if c_row_stride < n {
            let problem = format!("expected a row stride of at least {n}, got {c_row_stride}");
            return Err(invalid("c", problem));
        }
        let (start, end) = (c.addr(), c.addr().saturating_add(4 * view.span()));
        if [a_ends, b_ends].into_iter().any(|[from, to]| start < to && from < end) {
            return Err(invalid("c", "expected memory that does not overlap a and b"));
        }
        let c = slice_mut("c", c, view.span())?;
        let mut scratch = lock("kernels", &kernels.scratch)?;
        let (floats, indices) = &mut *scratch;
        let mut scratch = Scratch::new(floats, indices);
        let c = MatrixMut::strided(c, m, n, c_row_stride);
        gemm(kernels.isa, a, b, c, &mut scratch);
        Ok(())
    })
}

/// Replaces each value by a function of it: "exp", "ln", "sigmoid" or "tanh".
///
/// # Safety
/// `kernels` is NULL or a valid handle; `function` is NULL or a NUL-terminated string; `values` is
/// NULL or points to `length` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_kernels_map(
    kernels: *mut SaeKernels,
    function: *const c_char,
    values: *mut f32,
    length: usize,
) -> SaeStatus {
    // SAFETY: the caller's obligations.
    guard(|| unsafe {
        let kernels = handle("kernels", kernels)?;
        let function = match text("function", function)? {
            "exp" => Function::Exp,
            "ln" => Function::Ln,
            "sigmoid" => Function::Sigmoid,
            "tanh" => Function::Tanh,
            other => {
                let problem = format!("expected exp, ln, sigmoid or tanh, got '{other}'");
                return Err(invalid("function", problem));
            }
        };
        math::map(kernels.isa, function, slice_mut("values", values, length)?);
        Ok(())
    })
}
