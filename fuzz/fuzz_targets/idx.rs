//! Any bytes as an IDX or NumPy file, plain or gzip: an error, or numbers that can all be read; and
//! no more memory than the bytes' own and 1 MiB before the header is proven.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sae::data::Array;

#[path = "../limit.rs"]
mod limit;

#[global_allocator]
static MEMORY: limit::Limited = limit::Limited;

fuzz_target!(|bytes: &[u8]| {
    // What decompression brings, up to a thousand times the file, grows as it arrives.
    let most = match bytes {
        [0x1f, 0x8b, ..] => 3200 * bytes.len(),
        _ => bytes.len(),
    };
    let array = limit::within(most + (1 << 20), || Array::from_bytes("fuzz.idx", bytes.to_vec()));
    if let Ok(array) = array {
        let elements: usize = array.dims().iter().product();
        assert_eq!(elements, array.samples() * array.features());
        let mut row = vec![0.0; array.features()];
        for sample in 0..array.samples() {
            array.read_row(sample, &mut row);
        }
    }
});
