//! The thread pool, as `scripts/loom.sh` tests it.

#[path = "../../src/compute/pool.rs"]
mod pool;

pub use pool::ThreadPool;
