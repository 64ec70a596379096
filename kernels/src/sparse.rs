//! Sparse codes: of each sample a list of the units that are active, and their activations.
//!
//! The matrix of all activations, `[samples, units]`, is never written. A layer whose code is
//! sparse has its weights unit by unit, `[units, inputs]`, and so has the layer above it,
//! `[units, outputs]`. Its parts in a training step:
//!
//! 1. [`Encode`]: the product with the inputs, of which only what is active leaves it
//!    ([`Encode::largest`], [`Encode::above`], [`Encode::candidates`]).
//! 2. [`Operand::Sparse`](crate::Operand::Sparse): lists times rows, which is a layer's forward
//!    pass, the delta of the layer below, and (with the lists of each unit's samples, [`Grouped`])
//!    the gradient of the weights.
//! 3. [`CodeGradient`]: of each active unit the product of its decoder row and the delta.
//!
//! Sums are those of the dense products with their zeros left out, bit for bit.

mod candidates;
mod encode;
mod gradient;
mod group;
mod keys;
mod pool;
mod receiver;
mod tanh;

pub use candidates::Candidates;
pub use encode::Encode;
pub use gradient::{CodeGradient, Jump, code_delta, row_products};
pub use group::Grouped;
pub use keys::{from_order_key, order_key};
pub use pool::Pool;
pub use tanh::{add_tanh_gradient, tanh_value};
