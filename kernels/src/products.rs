//! The products of a training step, each a struct of what it reads and writes, with what is fused
//! into it.
//!
//! Every product divides among threads by the views it is given: rows or columns of the operands,
//! and the same band of what is written ([`crate::Parts`]). The bits do not depend on the division.

mod epilogues;
mod general;
mod layers;
mod operand;
mod update;

pub use general::{Gemm, gemm};
pub use layers::{Forward, HiddenDelta, OutputDelta};
pub use operand::Operand;
pub use update::Update;

use crate::matrix::{Matrix, MatrixMut};

/// Panics unless the shapes are equal.
#[track_caller]
fn check(name: &str, have: (usize, usize), want: (usize, usize)) {
    assert_eq!(have, want, "{name} has another shape than the product");
}

/// Panics unless a matrix that is written has this shape, and contiguous rows.
#[track_caller]
fn check_written(name: &str, matrix: &MatrixMut<'_>, want: (usize, usize)) {
    check(name, matrix.shape(), want);
    assert!(matrix.has_contiguous_rows(), "the rows of {name} are not contiguous");
}

/// Panics unless a matrix that an epilogue reads has this shape, and contiguous rows.
#[track_caller]
fn check_read(name: &str, matrix: &Matrix<'_>, want: (usize, usize)) {
    check(name, matrix.shape(), want);
    assert!(matrix.has_contiguous_rows(), "the rows of {name} are not contiguous");
}
