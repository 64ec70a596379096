//! Random streams: every use of the seed has its own generator.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// What a generator is for; each use has its own stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Weights = 1,
    Order = 2,
    Corruption = 3,
    Revival = 4,
    Holdout = 5,
    Window = 6,
}

/// The generator of a stream for an epoch or step, `number`.
pub(crate) fn generator(seed: u64, stream: Stream, number: u64) -> Pcg64 {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    bytes[16..24].copy_from_slice(&(stream as u64).to_le_bytes());
    Pcg64::from_seed(bytes)
}

/// Draws a whole number below `bound`, all equally likely (Lemire 2019).
pub(crate) fn below(generator: &mut Pcg64, bound: u32) -> u32 {
    let unbiased_from = bound.wrapping_neg() % bound;
    loop {
        let product = u64::from(generator.next_u32()) * u64::from(bound);
        if product as u32 >= unbiased_from {
            return (product >> 32) as u32;
        }
    }
}

/// Draws a whole number below `bound`, all equally likely.
pub(crate) fn below_u64(generator: &mut Pcg64, bound: u64) -> u64 {
    if let Ok(bound) = u32::try_from(bound) {
        return below(generator, bound).into();
    }
    let unbiased_from = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(generator.next_u64()) * u128::from(bound);
        if product as u64 >= unbiased_from {
            return (product >> 64) as u64;
        }
    }
}
