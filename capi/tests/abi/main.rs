//! The C API, called as C calls it.

mod common;
mod refusals;
mod results;
mod sources;
