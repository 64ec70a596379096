//! Any bytes as an IDX file, plain or gzip: an error or numbers that can all be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sae::Idx;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(idx) = Idx::from_bytes("fuzz.idx", bytes.to_vec()) {
        let elements: usize = idx.dims().iter().product();
        assert_eq!(elements, idx.samples() * idx.features());
        let mut row = vec![0.0; idx.features()];
        for sample in 0..idx.samples() {
            idx.read_row(sample, &mut row);
        }
    }
});
