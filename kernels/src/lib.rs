//! Arithmetic of sparse autoencoders: products (GEMM) with what is fused into them, update rules,
//! and functions of weights and activations, for AVX-512, AVX2, NEON, a portable and a scalar
//! instruction set.
//!
//! No files, no threads, no allocation: the caller passes every buffer, an [`Isa`] that the machine
//! has, and a [`Scratch`] for each thread. Matrices are strided views of `f32` slices
//! ([`Matrix`], [`MatrixMut`]), row-major `[rows, cols]`; transposing one swaps its strides, so one
//! call serves A B, A B^T and A^T B. Threads share a result by dividing it: [`Parts`].
//!
//! Two steps of a training loop outside `sae`, the prediction by one product, gradient and Adam by
//! one fused step:
//!
//! ```
//! use sae_kernels::{AdamOptions, Isa, Matrix, MatrixMut, Operand, Scratch, Update, gemm};
//!
//! let isa = Isa::detect();
//! let (floats, indices) = Scratch::LENGTHS;
//! let (mut floats, mut indices) = (vec![0.0; floats], vec![0; indices]);
//! let mut scratch = Scratch::new(&mut floats, &mut indices);
//!
//! // Three samples of two inputs, each with one target.
//! let x = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0];
//! let x = Matrix::new(&x, 3, 2);
//! let targets = [1.0, 2.0, 3.0];
//! let (mut weights, mut first, mut second) = ([0.0; 2], [0.0; 2], [0.0; 2]);
//! let adam = AdamOptions { learning_rate: 0.1, ..AdamOptions::default() };
//! let mut losses = Vec::new();
//! for step in 1..=2 {
//!     let mut delta = [0.0; 3];
//!     let predictions = MatrixMut::new(&mut delta, 3, 1);
//!     gemm(isa, x, Matrix::new(&weights, 2, 1), predictions, &mut scratch); // x weights
//!     delta.iter_mut().zip(targets).for_each(|(d, target)| *d -= target);
//!     losses.push(delta.iter().map(|d| d * d / 2.0).sum::<f32>());
//!
//!     let update = Update {
//!         rule: adam.at_step(step),
//!         a: Operand::Dense(x.transposed()),
//!         delta: Matrix::new(&delta, 3, 1),
//!         weights: MatrixMut::new(&mut weights, 2, 1),
//!         first_moment: MatrixMut::new(&mut first, 2, 1),
//!         second_moment: MatrixMut::new(&mut second, 2, 1),
//!         correction: None,
//!     };
//!     update.run(isa, &mut scratch); // weights -= Adam of x^T delta
//! }
//! assert!(losses[1] < losses[0]);
//! ```
//!
//! `examples/foreign_loop.rs` is the whole loop. On every set but the portable one
//! ([`Isa::is_fused`]) results are the same bits. Slices and views of lengths that do not fit
//! panic at the caller's line, as the documentation of each function says. A scratch for known shapes
//! is much smaller than [`Scratch::LENGTHS`]: [`Scratch::lengths_for`].
//!
//! A product is made by its constructor and its other methods ([`Gemm::new`], [`Forward::new`] and so on), options with
//! `..Default::default()`: both compile as before when a version adds a field. [`Gemm`] and the enums that
//! may grow are `#[non_exhaustive]`; a complete literal of another struct, whose fields are public, may need a new field
//! in a new `0.x`. Types that only the crate itself uses are hidden from the documentation.
//!
//! Without `std` (default features off) `libm` is required, and [`Isa`] finds what the target's
//! build enables. The feature `reference` adds the reference implementation, for tests.
#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(not(any(feature = "std", feature = "libm")))]
compile_error!("sae-kernels needs the feature `std`, or `libm` where there is no std");

pub mod activation;
pub mod convert;
pub mod gemm;
mod half;
pub mod lists;
pub mod loss;
pub mod math;
pub mod matrix;
pub mod optimizer;
pub mod products;
#[cfg(feature = "reference")]
pub mod reference;
pub mod simd;
pub mod sparse;
pub mod sparsity;

pub use activation::{Activation, apply_derivative};
pub use gemm::Scratch;
pub use lists::{Lists, ListsMut};
pub use loss::Loss;
pub use matrix::{Bands, Division, Matrix, MatrixMut, Parts};
pub use optimizer::{AdamOptions, Momentum, Outer, Rule, add_weight_decay};
pub use products::{Forward, Gemm, HiddenDelta, Operand, OutputDelta, Update, gemm};
pub use simd::{Isa, IsaError};
pub use sparsity::Penalty;
