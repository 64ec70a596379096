//! Any bytes as an IDX file, plain or gzip, or a NumPy file: an error, or numbers that can all be
//! read; and no more memory than the bytes' own and 1 MiB before the header is proven.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sae::data::Idx;

#[path = "../limit.rs"]
mod limit;

#[global_allocator]
static MEMORY: limit::Limited = limit::Limited;

fuzz_target!(|bytes: &[u8]| {
    // An IDX file's own bytes. NumPy's are proven, too, before a longer header makes them grow,
    // and what unpacking brings, a thousand times what is packed, grows as it comes.
    let most = match bytes {
        [0x1f, 0x8b, ..] => 3200 * bytes.len(),
        [0x93, ..] => 4 * bytes.len(),
        _ => bytes.len(),
    };
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
