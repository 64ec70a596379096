//! Arithmetic of sparse autoencoders: products (GEMM) with what is fused into them, and sweeps over
//! weights and activations, for AVX-512, AVX2, NEON, a portable and a scalar set.
//!
//! No files, no threads, no allocation: the caller passes every buffer, an [`Isa`] that the machine
//! has, and a [`Scratch`] for each thread. Matrices are strided views of `f32` slices
//! ([`Matrix`], [`MatrixMut`]), row-major `[rows, cols]`; transposing one swaps its strides, so one
//! call serves A B, A B^T and A^T B. Threads share a result by dividing it: [`Parts`].
//!
//! Two steps of a foreign training loop, the prediction by one product, gradient and Adam by one
//! fused step:
//!
//! ```
//! use sae_kernels::gemm::{gemm, update};
//! use sae_kernels::{Adam, Isa, Matrix, MatrixMut, Scratch};
//!
//! let isa = Isa::detect();
//! let (floats, indices) = Scratch::LENGTHS;
//! let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
//! let mut scratch = Scratch::new(&mut floats, &mut indices);
//!
//! // Three samples of two inputs, one output that is wanted of each.
//! let x = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0];
//! let x = Matrix::new(&x, 3, 2);
//! let wanted = [1.0, 2.0, 3.0];
//! let (mut weights, mut first, mut second) = ([0.0; 2], [0.0; 2], [0.0; 2]);
//! let mut losses = Vec::new();
//! for step in 1..=2 {
//!     let mut delta = [0.0; 3];
//!     let predictions = MatrixMut::new(&mut delta, 3, 1);
//!     gemm(isa, x, Matrix::new(&weights, 2, 1), predictions, &mut scratch); // x weights
//!     delta.iter_mut().zip(wanted).for_each(|(d, wanted)| *d -= wanted);
//!     losses.push(delta.iter().map(|d| d * d / 2.0).sum::<f32>());
//!
//!     let adam = Adam::new(0.1, 0.9, 0.999, 1e-8, 0.0, step);
//!     let [w, m, v] =
//!         [&mut weights, &mut first, &mut second].map(|flat| MatrixMut::new(flat, 2, 1));
//!     // weights -= Adam of x^T delta
//!     update(isa, &adam, x, false, Matrix::new(&delta, 3, 1), w, m, v, &mut scratch);
//! }
//! assert!(losses[1] < losses[0]);
//! ```
//!
//! `examples/foreign_loop.rs` is the whole loop. On every set but the portable one
//! ([`Isa::is_fused`]) results are the same bits. Slices and views of lengths that do not fit
//! panic, as the documentation of each function says.
//!
//! Without `std` (default features off) `libm` is wanted, [`Isa`] finds what the target's build
//! enables, and there is no [`mod@reference`].
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(not(any(feature = "std", feature = "libm")))]
compile_error!("sae-kernels needs the feature `std`, or `libm` where there is no std");

pub mod activation;
pub mod convert;
pub mod gemm;
pub mod loss;
pub mod math;
pub mod matrix;
pub mod optimizer;
pub mod products;
#[cfg(feature = "std")]
pub mod reference;
pub mod simd;
pub mod sparse;
pub mod sparsity;

pub use activation::Activation;
pub use gemm::Scratch;
pub use loss::Loss;
pub use matrix::{Division, Matrix, MatrixMut, Parts};
pub use optimizer::{AdamOptions, Momentum, Rule, add_weight_decay};
pub use products::{Forward, Gemm, HiddenDelta, OutputDelta, Update, gemm};
pub use simd::{Isa, IsaError};
pub use sparsity::Penalty;
