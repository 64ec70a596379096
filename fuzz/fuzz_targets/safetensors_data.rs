//! Any bytes as a safetensors file of samples, and structured ones, with a header that names tensors: an
//! error, or numbers that can all be read; and no more memory than the bytes' own and 1 MiB before the
//! header is proven.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sae::data::Array;

#[path = "../limit.rs"]
mod limit;

#[global_allocator]
static MEMORY: limit::Limited = limit::Limited;

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // As a header, with its length before it, and what follows the last `}`.
    let end = bytes.iter().rposition(|&byte| byte == b'}').map_or(0, |at| at + 1);
    let (header, data) = bytes.split_at(end);
    read(&[&(header.len() as u64).to_le_bytes(), header, data].concat());
});

fn read(bytes: &[u8]) {
    let most = match bytes {
        [0x1f, 0x8b, ..] => 3200 * bytes.len(),
        _ => bytes.len(),
    };
    let array = limit::within(most + (1 << 20), || Array::from_bytes("fuzz", bytes.to_vec()));
    if let Ok(array) = array {
        let elements: usize = array.dims().iter().product();
        assert_eq!(elements, array.samples() * array.features());
        let (mut row, mut doubles) = (vec![0.0; array.features()], vec![0.0; array.features()]);
        for sample in 0..array.samples() {
            array.read_row(sample, &mut row);
            array.read_row_f64(sample, &mut doubles);
        }
    }
}
