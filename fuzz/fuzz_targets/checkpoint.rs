//! Any bytes as a checkpoint, their checksum set right so that all behind it is reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sae::files::Checkpoint;

fuzz_target!(|bytes: &[u8]| {
    let _ = Checkpoint::from_bytes("fuzz", bytes);
    let mut bytes = bytes.to_vec();
    // Where the numbers begin, the tensors of the largest numbers sorted by name: the checksum is
    // the first.
    let Some(&length) = bytes.first_chunk() else { return };
    let Some(at) = usize::try_from(u64::from_le_bytes(length)).ok().and_then(|n| n.checked_add(8))
    else {
        return;
    };
    if at.checked_add(4).is_some_and(|end| end <= bytes.len()) {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&bytes[..at]);
        sum.update(&bytes[at + 4..]);
        bytes[at..at + 4].copy_from_slice(&sum.finalize().to_le_bytes());
        if let Ok(checkpoint) = Checkpoint::from_bytes("fuzz", &bytes) {
            checkpoint.settings().validate().expect("validated");
        }
    }
});
