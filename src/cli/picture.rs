//! Pictures: grey tiles on a grid, as PNG.

use std::io::Write;
use std::path::Path;

use sae::{Autoencoder, Engine, Samples, Scaling, files};

use crate::failure::{Failure, Result};
use crate::output::write_error;

/// Grey between the tiles.
const GROUND: u8 = 96;
const MARGIN: usize = 4;

/// More pixels than this are no picture to look at.
pub const MAX_PIXELS: usize = 1 << 27;

/// Rows and columns of a sample as an image: those of the file, or those of a square.
pub fn image_of(samples: &Samples) -> Option<(usize, usize)> {
    samples.image().or_else(|| square(samples.features()))
}

/// Rows and columns of so many pixels.
pub fn square(features: usize) -> Option<(usize, usize)> {
    let side = features.isqrt();
    (side * side == features).then_some((side, side))
}

/// Tiles, row by row of the picture, `columns` in each; after every `band` rows a wider gap.
pub struct Grid {
    pub tile: (usize, usize),
    pub columns: usize,
    pub band: usize,
}

impl Grid {
    /// Small tiles are drawn twice as large.
    fn zoom(&self) -> usize {
        if self.tile.0.max(self.tile.1) <= 128 { 2 } else { 1 }
    }

    /// Writes the tiles, `[tiles][rows * columns of a tile]`.
    pub fn write(&self, path: &Path, tiles: &[Vec<u8>]) -> Result<()> {
        let (zoom, (rows, cols)) = (self.zoom(), self.tile);
        let lines = tiles.len().div_ceil(self.columns);
        let top =
            |line: usize| MARGIN + line * (rows * zoom + MARGIN) + line / self.band * 2 * MARGIN;
        let width = MARGIN + self.columns * (cols * zoom + MARGIN);
        let height = top(lines.saturating_sub(1)) + rows * zoom + MARGIN;
        if width.saturating_mul(height) > MAX_PIXELS {
            let problem = format!("a picture of {width} x {height} pixels is too large");
            return Err(Failure::input(problem));
        }
        let mut pixels = vec![GROUND; width * height];
        for (at, tile) in tiles.iter().enumerate() {
            let left = MARGIN + at % self.columns * (cols * zoom + MARGIN);
            for y in 0..rows * zoom {
                let start = (top(at / self.columns) + y) * width + left;
                let row = &tile[y / zoom * cols..][..cols];
                for (x, pixel) in pixels[start..start + cols * zoom].iter_mut().enumerate() {
                    *pixel = row[x / zoom];
                }
            }
        }
        Ok(files::replace(path, |path| write_png(path, (height, width), &pixels))?)
    }
}

/// Writes grey pixels, `[rows, columns]`, as they come, as a PNG.
pub fn write_png(path: &Path, (rows, cols): (usize, usize), pixels: &[u8]) -> sae::Result<()> {
    let file = std::fs::File::create(path).map_err(|e| write_error(path, e))?;
    let mut out = std::io::BufWriter::new(file);
    let mut encoder = png::Encoder::new(&mut out, cols as u32, rows as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    let written = written.map_err(std::io::Error::other).and_then(|()| out.flush());
    written.map_err(|e| write_error(path, e))
}

/// Writes the first samples, each above its reconstruction. Whether the samples are images.
pub fn reconstructions(
    path: &Path,
    net: &Autoencoder,
    engine: &mut Engine,
    samples: &Samples,
    count: usize,
) -> Result<bool> {
    let Some(tile) = image_of(samples) else { return Ok(false) };
    let few = if samples.len() > count { samples.split(count)?.0 } else { samples.clone() };
    let features = few.features();
    let mut originals = vec![0.0; few.len() * features];
    for (sample, out) in originals.chunks_mut(features).enumerate() {
        few.gather(sample, out)?;
    }
    let reconstructed = net.reconstruct(engine, &few)?;
    // Black and white are the ends of the data's range.
    let (low, high) = match few.scaling() {
        Scaling::Byte | Scaling::MinMax { .. } => (0.0, 1.0),
        _ => range(&originals),
    };
    let columns = few.len().min(10);
    let tiles = |values: &[f32]| -> Vec<Vec<u8>> {
        let grey = |values: &[f32]| values.iter().map(|&v| grey(v, low, high)).collect();
        values.chunks(features).map(grey).collect()
    };
    let (originals, reconstructed) = (tiles(&originals), tiles(&reconstructed));
    let mut all = Vec::new();
    for (above, below) in originals.chunks(columns).zip(reconstructed.chunks(columns)) {
        for line in [above, below] {
            all.extend_from_slice(line);
            // A last line that is short still stands above its own reconstructions.
            all.resize(all.len().next_multiple_of(columns), vec![GROUND; features]);
        }
    }
    Grid { tile, columns, band: 2 }.write(path, &all)?;
    Ok(true)
}

pub fn grey(value: f32, low: f32, high: f32) -> u8 {
    // The cast cuts at 0 and 255, and takes NaN to 0.
    ((value - low) / (high - low) * 255.0).round() as u8
}

pub fn range(values: &[f32]) -> (f32, f32) {
    let ends = |(low, high): (f32, f32), &v: &f32| (low.min(v), high.max(v));
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), ends)
}
