//! Pictures: grey tiles on a grid, as PNG.

use std::fs;
use std::io;
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

/// Rows and columns of the images in a file of these dimensions.
pub fn image_of_dims(dims: &[usize]) -> Option<(usize, usize)> {
    match *dims {
        [_, rows, columns] => Some((rows, columns)),
        [_, features] => square(features),
        _ => None,
    }
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
    /// Pixels of the picture along a side of a tile's.
    pub zoom: usize,
}

impl Grid {
    /// To be looked at by itself: small tiles are drawn twice as large.
    pub fn new(tile: (usize, usize), columns: usize, band: usize) -> Self {
        let zoom = if tile.0.max(tile.1) <= 128 { 2 } else { 1 };
        Grid { tile, columns, band, zoom }
    }

    /// As many columns as rows, or one more.
    pub fn square(tile: (usize, usize), count: usize) -> Self {
        Grid::new(tile, (count as f64).sqrt().ceil() as usize, usize::MAX)
    }

    /// A PNG of the tiles, `[tiles][rows * columns of a tile]`.
    pub fn png(&self, tiles: &[Vec<u8>]) -> Result<Vec<u8>> {
        let (zoom, (rows, cols)) = (self.zoom, self.tile);
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
        let made = png((height, width), &pixels);
        made.map_err(|e| Failure::other(format!("no PNG could be made: {e}")))
    }

    /// The same, to a file.
    pub fn write(&self, path: &Path, tiles: &[Vec<u8>]) -> Result<()> {
        let bytes = self.png(tiles)?;
        Ok(files::replace(path, |path| fs::write(path, bytes).map_err(|e| write_error(path, e)))?)
    }
}

/// Images as tiles, and the same as each of several models reconstructs them.
pub struct Reconstructions {
    pub tile: (usize, usize),
    /// The images, then those of each model: `[count][rows * columns]`.
    pub rows: Vec<Vec<Vec<u8>>>,
}

impl Reconstructions {
    /// Of the first samples, which each model has scaled its own way; nothing if they are no images.
    pub fn of(
        models: &[(&Autoencoder, &Samples)],
        engine: &mut Engine,
        count: usize,
    ) -> Result<Option<Self>> {
        let Some(tile) = models.first().and_then(|(_, samples)| image_of(samples)) else {
            return Ok(None);
        };
        let mut rows = Vec::new();
        for (net, samples) in models {
            let few =
                if samples.len() > count { samples.split(count)?.0 } else { (*samples).clone() };
            let features = few.features();
            let mut originals = vec![0.0; few.len() * features];
            for (sample, out) in originals.chunks_mut(features).enumerate() {
                few.gather(sample, out)?;
            }
            // Black and white are the ends of the data's range.
            let (low, high) = match few.scaling() {
                Scaling::Byte | Scaling::MinMax { .. } => (0.0, 1.0),
                _ => range(&originals),
            };
            let tiles = |values: &[f32]| -> Vec<Vec<u8>> {
                let grey = |values: &[f32]| values.iter().map(|&v| grey(v, low, high)).collect();
                values.chunks(features).map(grey).collect()
            };
            if rows.is_empty() {
                rows.push(tiles(&originals));
            }
            rows.push(tiles(&net.reconstruct(engine, &few)?));
        }
        Ok(Some(Reconstructions { tile, rows }))
    }

    /// All in one picture, ten images a line, each model's below them.
    pub fn write(&self, path: &Path) -> Result<()> {
        let columns = self.rows[0].len().min(10);
        let mut all = Vec::new();
        for line in 0..self.rows[0].len().div_ceil(columns) {
            for row in &self.rows {
                all.extend(row.iter().skip(line * columns).take(columns).cloned());
                // A last line that is short still stands above its own reconstructions.
                let end = all.len().next_multiple_of(columns);
                all.resize(end, vec![GROUND; self.tile.0 * self.tile.1]);
            }
        }
        Grid::new(self.tile, columns, self.rows.len()).write(path, &all)
    }
}

/// Grey pixels, `[rows, columns]`, as they come, as a PNG.
fn png((rows, columns): (usize, usize), pixels: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, columns as u32, rows as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(pixels).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)?;
    Ok(bytes)
}

/// The same as a file.
pub fn write_png(path: &Path, shape: (usize, usize), pixels: &[u8]) -> sae::Result<()> {
    png(shape, pixels).and_then(|bytes| fs::write(path, bytes)).map_err(|e| write_error(path, e))
}

/// Writes the first samples, each above its reconstruction. Whether the samples are images.
pub fn reconstructions(
    path: &Path,
    net: &Autoencoder,
    engine: &mut Engine,
    samples: &Samples,
    count: usize,
) -> Result<bool> {
    let of = Reconstructions::of(&[(net, samples)], engine, count)?;
    of.map_or(Ok(false), |of| of.write(path).map(|()| true))
}

/// Inputs of units as tiles: middle grey is 0, each one's greatest number, either sign, is white or
/// black.
pub fn signed_tiles<'a>(inputs: impl Iterator<Item = &'a [f32]>) -> Vec<Vec<u8>> {
    inputs
        .map(|input| {
            // What is all 0 is all middle grey.
            let most = input.iter().fold(f32::MIN_POSITIVE, |most, w| most.max(w.abs()));
            input.iter().map(|&w| grey(w / most, -1.0, 1.0)).collect()
        })
        .collect()
}

pub fn grey(value: f32, low: f32, high: f32) -> u8 {
    // The cast cuts at 0 and 255, and takes NaN to 0.
    ((value - low) / (high - low) * 255.0).round() as u8
}

pub fn range(values: &[f32]) -> (f32, f32) {
    let ends = |(low, high): (f32, f32), &v: &f32| (low.min(v), high.max(v));
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), ends)
}
