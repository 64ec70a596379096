//! Any bytes as an IDX file, plain or gzip, or a NumPy file: an error, or numbers that can all be
//! read; and no more memory than the bytes' own and 1 MiB before the header is proven.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sae::Idx;

#[path = "../limit.rs"]
mod limit;

#[global_allocator]
static MEMORY: limit::Limited = limit::Limited;

fuzz_target!(|bytes: &[u8]| {
    // The bytes themselves, twice for a vector that grows, and what unpacking may bring: a
    // thousand times what is packed.
    let packed = bytes.starts_with(&[0x1f, 0x8b]);
    let most = if packed { 2200 * bytes.len() } else { 3 * bytes.len() };
    let idx = limit::within(most + (1 << 20), || Idx::from_bytes("fuzz.idx", bytes.to_vec()));
    if let Ok(idx) = idx {
        let elements: usize = idx.dims().iter().product();
        assert_eq!(elements, idx.samples() * idx.features());
        let mut row = vec![0.0; idx.features()];
        for sample in 0..idx.samples() {
            idx.read_row(sample, &mut row);
        }
    }
});
