//! The C ABI, called as C calls it.

mod common;
mod refusals;
mod results;
