//! The C API, called as C calls it.

mod common;
mod engines;
mod refusals;
mod results;
mod sources;
