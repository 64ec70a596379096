//! Numbers for tests, the same for the same seed. Not every test wants all of them.
#![allow(dead_code)]

/// So many numbers in [0, 1), multiples of 2^-24 (SplitMix64).
pub fn uniform(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / 16_777_216.0
    };
    (0..count).map(|_| next()).collect()
}

/// Samples like pictures, `[samples, features]`: two in five numbers are 0, and every fourth
/// column is.
pub fn pixels(seed: u64, samples: usize, features: usize) -> Vec<f32> {
    let mut values = uniform(seed, samples * features);
    for (at, value) in values.iter_mut().enumerate() {
        if *value < 0.4 || at % features % 4 == 3 {
            *value = 0.0;
        }
    }
    values
}
