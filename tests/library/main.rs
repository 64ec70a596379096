//! The library, module by module. What counts the allocations of all threads is in `../allocation.rs`.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/counting.rs"]
mod counting;
#[path = "../common/folder.rs"]
mod folder;
#[path = "../common/threads.rs"]
mod threads;

mod analysis;
#[cfg(feature = "model")]
mod checkpoint;
#[cfg(all(feature = "model", feature = "gz"))]
mod corpus;
#[cfg(feature = "model")]
mod course;
mod data;
#[cfg(feature = "model")]
mod dead_units;
#[cfg(feature = "exchange")]
mod exchange;
#[cfg(feature = "model")]
mod formats;
mod fvu;
mod gradient_norm;
mod idx;
mod l0_penalty;
#[cfg(target_os = "linux")]
mod large;
mod limits;
mod loops;
#[cfg(all(feature = "model", feature = "gz"))]
mod memory_bound;
mod metrics;
#[cfg(feature = "model")]
mod model;
mod offsets;
mod pool;
mod presets;
mod ranks;
mod rows;
mod same_bits;
#[cfg(feature = "model")]
mod scalings;
mod scores;
mod settings;
#[cfg(feature = "model")]
mod shards;
mod shared;
#[cfg(feature = "gz")]
mod shared_data;
#[cfg(feature = "model")]
mod sources;
mod sparse_codes;
mod sparse_step;
mod sparsity_warm_up;
mod step;
#[cfg(feature = "model")]
mod tensors;
mod toolbox;
mod trainer;
mod transcoder;
mod units;
