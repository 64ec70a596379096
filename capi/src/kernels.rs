//! The arithmetic alone.

use std::ffi::{CString, c_char};
use std::sync::Mutex;

use sae_kernels::math::{self, Function};
use sae_kernels::{Isa, Matrix, MatrixMut, Scratch, gemm};

use crate::autoencoder::isa;
use crate::border::{
    Failure, Result, SaeStatus, Strided, answer, enter, guard, hand_over, handle, is_busy,
    numbers_mut, take_back, text, text_if_any, wrong,
};

/// An instruction set, and the memory that a product works in (some 6 MB): one thread's. Any thread
/// may use it, one at a time.
pub struct SaeKernels {
    isa: Isa,
    name: CString,
    scratch: Mutex<(Vec<f32>, Vec<u32>)>,
}

/// The kernels of an instruction set: "avx512", "avx2", "neon", "portable" or "scalar"; NULL for
/// the one that the environment's SAE_ISA names, or else the fastest.
///
/// # Safety
/// `name` is NULL or a string that ends in 0; `kernels` is NULL or to room for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_kernels_new(
    name: *const c_char,
    kernels: *mut *mut SaeKernels,
) -> SaeStatus {
    guard(|| {
        let make = || {
            // SAFETY: the caller's duties.
            let isa = match unsafe { text_if_any("name", name) }? {
                None => isa()?,
                Some(name) => Isa::forced(name).map_err(|problem| Failure {
                    status: SaeStatus::Setting,
                    text: format!("name: '{name}': {problem}"),
                })?,
            };
            let (floats, indices) = Scratch::LENGTHS;
            let name = CString::new(isa.name()).unwrap_or_default();
            Ok(SaeKernels { isa, name, scratch: Mutex::new((vec![0.0; floats], vec![0; indices])) })
        };
        // SAFETY: as above.
        unsafe { hand_over("kernels", kernels, make) }
    })
}

/// Frees kernels. NULL is none. Those at work are left alone, and `sae_last_error` says so.
///
/// # Safety
/// `kernels` is NULL or of this library, and not used again unless it was left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_kernels_free(kernels: *mut SaeKernels) {
    // SAFETY: the caller's duty.
    unsafe { take_back("kernels", kernels, |its| is_busy(&its.scratch)) }
}

/// The instruction set's name, which stays as long as the kernels; NULL if they are.
///
/// # Safety
/// `kernels` is NULL or of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_kernels_name(kernels: *const SaeKernels) -> *const c_char {
    // SAFETY: the caller's duty.
    answer(std::ptr::null(), || Ok(unsafe { handle("kernels", kernels) }?.name.as_ptr()))
}

/// C's numbers as a matrix: rows or columns contiguous.
///
/// # Safety
/// The memory is there, and nobody writes to it through `'a`.
unsafe fn matrix<'a>(
    name: &str,
    data: *const f32,
    (rows, cols): (usize, usize),
    (row_stride, col_stride): (usize, usize),
) -> Result<(Matrix<'a>, [usize; 2])> {
    let view = Strided::new(name, data, (rows, cols), (row_stride, col_stride))?;
    let ends = [data.addr(), data.addr().saturating_add(4 * view.span())];
    // SAFETY: `new` has checked the pointer and the length; the rest is passed on.
    let numbers = unsafe { std::slice::from_raw_parts(data, view.span()) };
    // A side of one has no stride that matters.
    if (col_stride == 1 || cols == 1) && (row_stride >= cols || rows == 1) {
        return Ok((Matrix::strided(numbers, rows, cols, row_stride.max(cols)), ends));
    }
    if (row_stride == 1 || rows == 1) && (col_stride >= rows || cols == 1) {
        let turned = Matrix::strided(numbers, cols, rows, col_stride.max(rows));
        return Ok((turned.transposed(), ends));
    }
    Err(wrong(
        name,
        format!(
            "strides of {row_stride} and {col_stride} for {rows} x {cols}; 1 was expected for one, and for the \
             other no less than the side it passes"
        ),
    ))
}

/// c = a b: `[m, n] = [m, k] [k, n]`, each number one chain of multiply-adds in the order of k,
/// fused on every set but "portable". Strides count numbers: that of `a` and of `b` is 1 along the
/// rows or along the columns, so a transpose is its strides swapped; rows of `c` are contiguous,
/// `c_row_stride` apart. `c` lies apart from both, and what it holds is not read.
///
/// # Safety
/// `kernels` is NULL or of this library; `a`, `b` and `c` are NULL or to memory from their first to
/// their last number.
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
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            let kernels = handle("kernels", kernels)?;
            let (a, a_ends) = matrix("a", a, (m, k), (a_row_stride, a_col_stride))?;
            let (b, b_ends) = matrix("b", b, (k, n), (b_row_stride, b_col_stride))?;
            let view = Strided::new("c", c.cast_const(), (m, n), (c_row_stride, 1))?;
            if c_row_stride < n {
                let problem = format!("a row stride of {c_row_stride}; {n} or more was expected");
                return Err(wrong("c", problem));
            }
            let (start, end) = (c.addr(), c.addr().saturating_add(4 * view.span()));
            if [a_ends, b_ends].into_iter().any(|[from, to]| start < to && from < end) {
                return Err(wrong("c", "it overlaps a or b; memory of its own was expected"));
            }
            let c = numbers_mut("c", c, view.span())?;
            let mut scratch = enter("kernels", &kernels.scratch)?;
            let (floats, indices) = &mut *scratch;
            let mut scratch = Scratch::new(floats, indices);
            let c = MatrixMut::strided(c, m, n, c_row_stride);
            gemm(kernels.isa, a, b, c, &mut scratch);
            Ok(())
        }
    })
}

/// Puts a function of each number in its place: "exp", "ln", "sigmoid" or "tanh".
///
/// # Safety
/// `kernels` is NULL or of this library, `function` NULL or a string that ends in 0, `values` NULL
/// or to `length` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sae_kernels_map(
    kernels: *mut SaeKernels,
    function: *const c_char,
    values: *mut f32,
    length: usize,
) -> SaeStatus {
    guard(|| {
        // SAFETY: the caller's duties.
        unsafe {
            let kernels = handle("kernels", kernels)?;
            let function = match text("function", function)? {
                "exp" => Function::Exp,
                "ln" => Function::Ln,
                "sigmoid" => Function::Sigmoid,
                "tanh" => Function::Tanh,
                other => {
                    let problem = format!("'{other}' is not one of exp, ln, sigmoid, tanh");
                    return Err(wrong("function", problem));
                }
            };
            math::map(kernels.isa, function, numbers_mut("values", values, length)?);
            Ok(())
        }
    })
}
