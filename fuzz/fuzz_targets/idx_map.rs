//! Any bytes as a file that is mapped, or read where it cannot be: the same answer as from memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sae::data::Array;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("sae-fuzz-{}.idx", std::process::id()));
    std::fs::write(&path, bytes).expect("a folder for temporary files");
    let memory = Array::from_bytes(&path, bytes.to_vec());
    for file in [Array::open(&path), Array::read(&path)] {
        match (file, &memory) {
            (Ok(file), Ok(memory)) => {
                assert_eq!(file.dims(), memory.dims());
                assert_eq!(file.element_type(), memory.element_type());
                let [mut row, mut want] = [(); 2].map(|()| vec![0.0; file.features()]);
                for sample in 0..file.samples() {
                    file.read_row(sample, &mut row);
                    memory.read_row(sample, &mut want);
                    let same = row.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same);
                }
                sae::Samples::new(file, sae::Scaling::AsIs).unchanged().expect("nobody changes it");
            }
            (Err(_), Err(_)) => {}
            (file, memory) => panic!("{file:?}, but from memory {memory:?}"),
        }
    }
});
