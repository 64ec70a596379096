//! The kernels' tests, one binary: products and what is fused into them, update rules, sparse codes
//! and functions, on every instruction set of the machine; in buffers that lie at pages that may
//! not be touched.

mod callers;
mod combine;
mod common;
mod convert;
mod encode;
mod forward;
mod gemm;
mod guard;
mod hidden_delta;
mod isa;
mod layer;
mod lists;
mod math;
mod matrix;
mod optimizer;
mod orthogonal;
mod output_delta;
mod reference;
mod scratch;
mod sparse;
mod sparsity;
mod tanh;
mod update;
