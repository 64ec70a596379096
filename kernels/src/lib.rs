//! Arithmetic of sparse autoencoders.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(not(any(feature = "std", feature = "libm")))]
compile_error!("sae-kernels needs the feature `std`, or `libm` where there is no std");

pub mod activation;
pub mod bytes;
pub mod code;
pub mod gemm;
pub mod loss;
pub mod math;
pub mod matrix;
pub mod optimizer;
#[cfg(feature = "std")]
pub mod reference;
pub mod simd;
pub mod sparsity;

pub use activation::Activation;
pub use gemm::Scratch;
pub use loss::Loss;
pub use matrix::{Division, Matrix, MatrixMut, Parts};
pub use optimizer::{Adam, adam_sweep, add_weight_decay, momentum_sweep};
pub use simd::{Isa, IsaError};
pub use sparsity::Penalty;
