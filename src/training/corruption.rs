//! Corruption of a training step's inputs, which the network learns to undo.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;
use sae_kernels::math::{self, Function};
use sae_kernels::{Isa, MatrixMut, Parts};

use crate::compute::random::{Stream, generator};
use crate::settings::Corruption;
use crate::training::workspace::{Context, Workspace};

/// Corrupts the batch's samples of this rank, `[n, features]`, if the settings say so; rows divided
/// among the threads. Each sample's noise is drawn from the seed, the step and its place in the batch.
pub(crate) fn corrupt(cx: &mut Context) {
    let Context { engine, net, state, work, .. } = cx;
    let (settings, step, first) = (&net.settings, state.step, work.part.start);
    let Workspace { batch, corrupted, .. } = work;
    if settings.corruption == Corruption::None {
        return;
    }
    let d = settings.layers[0];
    let n = batch.len() / d;
    let division = engine.divide(n, 32 * d);
    let rows = Parts::rows(MatrixMut::new(corrupted, n, d), division);
    let isa = engine.isa;
    engine.pool.run(division.parts(), |part, _| {
        let mut rows = rows.take(part);
        for (row, sample) in division.range(part).enumerate() {
            let to = rows.row_mut(row);
            to.copy_from_slice(&batch[sample * d..][..d]);
            let place =
                step.wrapping_mul(settings.batch as u64).wrapping_add((first + sample) as u64);
            settings.corruption.apply(isa, (settings.seed, place), to);
        }
    });
}

impl Corruption {
    /// Corrupts the features of a sample, with the random numbers of a seed and a place.
    #[doc(hidden)]
    pub fn apply(self, isa: Isa, (seed, place): (u64, u64), features: &mut [f32]) {
        let mut generator = generator(seed, Stream::Corruption, place);
        match self {
            Corruption::None => {}
            Corruption::Masking(share) => {
                let bound = (share * 2f64.powi(32)) as u32;
                for feature in features {
                    if generator.next_u32() < bound {
                        *feature = 0.0;
                    }
                }
            }
            Corruption::Gaussian(deviation) => {
                add_noise(isa, &mut generator, deviation as f32, features);
            }
        }
    }
}

/// Adds normal noise: Marsaglia's polar method, pair by pair, with the kernels' logarithm, so that the
/// bits are the same on every system.
fn add_noise(isa: Isa, generator: &mut Pcg64, deviation: f32, features: &mut [f32]) {
    const PAIRS: usize = 64;
    // In (-1, 1), never 0.
    let mut signed = || ((generator.next_u32() >> 8) as f32 + 0.5) / 8_388_608.0 - 1.0;
    for chunk in features.chunks_mut(2 * PAIRS) {
        let mut points = [[0.0; 2]; PAIRS];
        let mut squares = [0.0; PAIRS];
        for (point, square) in points.iter_mut().zip(&mut squares) {
            loop {
                let [x, y] = [signed(), signed()];
                *square = x * x + y * y;
                if *square < 1.0 {
                    *point = [x, y];
                    break;
                }
            }
        }
        let mut logarithms = squares;
        math::map(isa, Function::Ln, &mut logarithms);
        for (((pair, point), square), log) in
            chunk.chunks_mut(2).zip(points).zip(squares).zip(logarithms)
        {
            let factor = deviation * (-2.0 * log / square).sqrt();
            for (feature, x) in pair.iter_mut().zip(point) {
                *feature += factor * x;
            }
        }
    }
}
