//! Samples that are corrupted as in training, and what a model makes of them.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::{Rng, SeedableRng};
use sae::{Autoencoder, Corruption, Engine, Samples, Settings};

use crate::drawing::picture::{Reconstructions, gray, range};
use crate::drawing::shape::Shape;
use crate::failure::{Failure, Result};

/// The corruption of a text, if it is a valid setting.
pub fn corruption(text: &str) -> Result<Corruption> {
    let mut settings = Settings::default();
    settings.set("corruption", text, None)?;
    settings.validate()?;
    Ok(settings.corruption)
}

/// The first `count` samples, the same corrupted, and the reconstructions of these, as tiles.
///
/// The numbers are those that the network sees, scaled. None unless they are images, of a given shape or their own.
pub fn tiles(
    net: &Autoencoder,
    engine: &mut Engine,
    samples: &Samples,
    (count, given): (usize, Option<Shape>),
    corruption: Corruption,
) -> Result<Option<Reconstructions>> {
    let Some(tile) = given.or_else(|| Shape::of(samples, net)) else { return Ok(None) };
    let features = samples.features();
    let mut originals = vec![0.0; samples.len().min(count) * features];
    for (sample, out) in originals.chunks_mut(features).enumerate() {
        samples.gather(sample, out)?;
    }
    let mut corrupted = originals.clone();
    corrupt(&mut corrupted, corruption, net.settings().seed)?;
    let seen = Samples::from_values(corrupted.clone(), features)?;
    let reconstructed = net.reconstruct(engine, &seen)?;
    // Black and white are the ends of the data's range, without the noise.
    let (low, high) = if samples.scaling().is_unit() { (0.0, 1.0) } else { range(&originals) };
    let row = |values: &[f32]| -> Vec<Vec<u8>> {
        let tile = |values: &[f32]| values.iter().map(|&value| gray(value, low, high)).collect();
        values.chunks(features).map(tile).collect()
    };
    let rows = [originals, corrupted, reconstructed].map(|values| row(&values)).to_vec();
    Ok(Some(Reconstructions { tile, rows }))
}

/// Corrupts features as a step of a training does, with other random numbers.
fn corrupt(features: &mut [f32], corruption: Corruption, seed: u64) -> Result<()> {
    let mut generator = Pcg64::seed_from_u64(seed);
    match corruption {
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
            // In (0, 1), never an end of it.
            let mut uniform = || (f64::from(generator.next_u32()) + 0.5) / 2f64.powi(32);
            for feature in features {
                // Box and Muller's transform.
                let radius = (-2.0 * uniform().ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * uniform()).cos();
                *feature += (deviation * normal) as f32;
            }
        }
        other => {
            let problem = format!("corruption: no picture of {other} can be drawn");
            return Err(Failure::input(problem));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_deviation_and_masks_the_share() {
        let mut noise = vec![1.0; 100_000];
        corrupt(&mut noise, Corruption::Gaussian(0.3), 1).ok().unwrap();
        let count = noise.len() as f64;
        let mean = noise.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        let square = noise.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
        assert!(
            (mean - 1.0).abs() < 0.005 && (square.sqrt() - 0.3).abs() < 0.005,
            "{mean} {square}"
        );
        let mut masked = vec![1.0; 100_000];
        corrupt(&mut masked, Corruption::Masking(0.25), 1).ok().unwrap();
        let zeros = masked.iter().filter(|&&x| x == 0.0).count();
        assert!((24_000..26_000).contains(&zeros), "{zeros}");
        assert!(masked.iter().all(|&x| x == 0.0 || x == 1.0));
    }
}
