//! Samples and their reconstructions as gray or colored tiles.

use std::io;

use sae::{Autoencoder, Engine, Samples};

use crate::error::{Error, Result};
use crate::shape::Shape;

/// A length of the input to units that is typical of images.
pub fn usual_norm(features: usize) -> f32 {
    (features as f32).sqrt() / 3.0
}

/// Images, and their reconstructions by several models, as tiles.
pub struct Reconstructions {
    /// The shape of a tile.
    pub tile: Shape,
    /// The images, then those of each model: `[count][numbers of an image]`.
    pub rows: Vec<Vec<Vec<u8>>>,
}

impl Reconstructions {
    /// The first `count` samples, scaled for each model, and their reconstructions; None if the
    /// samples are not images. Of samples with targets, these, and what the models predict. The shape is `given`,
    /// if it fits these, or else that of [`Shape::of`].
    pub fn of(
        models: &[(&Autoencoder, &Samples)],
        engine: &mut Engine,
        count: usize,
        given: Option<Shape>,
    ) -> Result<Option<Self>> {
        let originals_of = |samples: &Samples| samples.targets().unwrap_or(samples).clone();
        let Some((net, samples)) = models.first() else { return Ok(None) };
        let originals = originals_of(samples);
        let given = given.filter(|shape| shape.numbers() == originals.features());
        let Some(tile) = given.or_else(|| Shape::of(&originals, net)) else { return Ok(None) };
        let mut rows = Vec::new();
        for (net, samples) in models {
            let few =
                if samples.len() > count { samples.split(count)?.0 } else { (*samples).clone() };
            let shown = originals_of(&few);
            let features = shown.features();
            if net.settings().layers.last() != Some(&features) {
                return Ok(None);
            }
            let mut originals = vec![0.0; few.len() * features];
            for (sample, out) in originals.chunks_mut(features).enumerate() {
                shown.gather(sample, out)?;
            }
            // Black and white are the ends of the data's range.
            let is_unit = shown.scaling().is_unit();
            let (low, high) = if is_unit { (0.0, 1.0) } else { range(&originals) };
            let tiles = |values: &[f32]| -> Vec<Vec<u8>> {
                let gray = |values: &[f32]| values.iter().map(|&v| gray(v, low, high)).collect();
                values.chunks(features).map(gray).collect()
            };
            if rows.is_empty() {
                rows.push(tiles(&originals));
            }
            rows.push(tiles(&net.reconstruct(engine, &few)?));
        }
        Ok(Some(Reconstructions { tile, rows }))
    }

    /// A PNG of one of the tiles.
    pub fn png(&self, tile: &[u8]) -> Result<Vec<u8>> {
        let Shape { rows, columns, .. } = self.tile;
        png((rows, columns), self.tile.depth(), &self.tile.pixels(tile)).map_err(Error::Encoding)
    }
}

/// The text in every PNG that says what made it.
const SOFTWARE: (&str, &str) = ("Software", "sae");

/// Whether a file begins as a PNG of `png`, by its first bytes, at least 64.
pub fn is_own_png(start: &[u8]) -> bool {
    let (keyword, program) = SOFTWARE;
    let text = format!("tEXt{keyword}\0{program}");
    start.starts_with(b"\x89PNG") && start.windows(text.len()).any(|bytes| bytes == text.as_bytes())
}

/// A PNG of pixels of one byte (gray) or three (color), `[rows, columns, depth]`.
pub fn png((rows, columns): (usize, usize), depth: usize, pixels: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, columns as u32, rows as u32);
    let color = if depth == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale };
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let (keyword, program) = SOFTWARE;
    encoder.add_text_chunk(keyword.to_owned(), program.to_owned()).map_err(io::Error::other)?;
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(pixels).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)?;
    Ok(bytes)
}

/// The gray of a value: black for `low`, white for `high`.
pub fn gray(value: f32, low: f32, high: f32) -> u8 {
    // The cast saturates at 0 and 255, and makes NaN 0.
    ((value - low) / (high - low) * 255.0).round() as u8
}

/// Minimum and maximum.
pub fn range(values: &[f32]) -> (f32, f32) {
    let ends = |(low, high): (f32, f32), &v: &f32| (low.min(v), high.max(v));
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), ends)
}
