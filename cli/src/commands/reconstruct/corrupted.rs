//! Samples that are corrupted as in training, and what a model makes of them.

use sae::{Autoencoder, Corruption, Engine, Samples, Settings};

use crate::drawing::picture::{Reconstructions, gray, range};
use crate::drawing::shape::Shape;
use crate::failure::Result;

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
    let (isa, seed) = (engine.isa(), net.settings().seed);
    for (sample, features) in (0..).zip(corrupted.chunks_mut(features)) {
        corruption.apply(isa, (seed, sample), features);
    }
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

#[cfg(test)]
mod tests {
    use sae::Isa;

    use super::*;

    #[test]
    fn noise_has_the_deviation_and_masks_the_share() {
        let mut noise = vec![1.0; 100_000];
        Corruption::Gaussian(0.3).apply(Isa::detect(), (1, 0), &mut noise);
        let count = noise.len() as f64;
        let mean = noise.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        let square = noise.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
        assert!(
            (mean - 1.0).abs() < 0.005 && (square.sqrt() - 0.3).abs() < 0.005,
            "{mean} {square}"
        );
        let mut masked = vec![1.0; 100_000];
        Corruption::Masking(0.25).apply(Isa::detect(), (1, 0), &mut masked);
        let zeros = masked.iter().filter(|&&x| x == 0.0).count();
        assert!((24_000..26_000).contains(&zeros), "{zeros}");
        assert!(masked.iter().all(|&x| x == 0.0 || x == 1.0));
    }
}
