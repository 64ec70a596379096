//! Pictures: tiles, gray or in color, on a grid, as PNG.

use std::fs;
use std::io;
use std::path::Path;

use sae::{Autoencoder, Engine, Samples};

use crate::drawing::shape::{Shape, square};
use crate::failure::{Failure, Result, io_error};
use crate::output::write_file;

/// The gray between the tiles.
const BACKGROUND: u8 = 96;
const MARGIN: usize = 4;

/// Pixels of a picture, at most.
pub const MAX_PIXELS: usize = 1 << 27;

/// The shape of the images in a file of these dimensions.
pub fn image_of_dims(dims: &[usize]) -> Option<Shape> {
    match dims {
        [_, features] => square(*features),
        [_, row @ ..] => Shape::of_dims(row),
        _ => None,
    }
}

/// A length of the input to units that is typical of images.
pub fn usual_norm(features: usize) -> f32 {
    (features as f32).sqrt() / 3.0
}

/// An arrangement of tiles in rows of `columns`, with a wider gap after every `band` rows.
pub struct Grid {
    pub tile: Shape,
    pub columns: usize,
    pub band: usize,
    /// A pixel of a tile is a square of this side.
    pub zoom: usize,
}

impl Grid {
    /// For a picture of its own: small tiles are drawn twice as large.
    pub fn new(tile: Shape, columns: usize, band: usize) -> Self {
        let zoom = if tile.rows.max(tile.columns) <= 128 { 2 } else { 1 };
        Grid { tile, columns, band, zoom }
    }

    /// About as many columns as rows.
    pub fn square(tile: Shape, count: usize) -> Self {
        Grid::new(tile, (count as f64).sqrt().ceil() as usize, usize::MAX)
    }

    /// A PNG of the tiles, `[tiles][numbers of a tile]`.
    pub fn png(&self, tiles: &[Vec<u8>]) -> Result<Vec<u8>> {
        let (zoom, Shape { rows, columns: cols, .. }) = (self.zoom, self.tile);
        let depth = self.tile.depth();
        let lines = tiles.len().div_ceil(self.columns);
        let top =
            |line: usize| MARGIN + line * (rows * zoom + MARGIN) + line / self.band * 2 * MARGIN;
        let width = MARGIN + self.columns * (cols * zoom + MARGIN);
        let height = top(lines.saturating_sub(1)) + rows * zoom + MARGIN;
        if width.saturating_mul(height) > MAX_PIXELS {
            let problem = format!(
                "the picture would have {width} x {height} pixels, expected at most {MAX_PIXELS}"
            );
            return Err(Failure::input(problem));
        }
        let mut pixels = vec![BACKGROUND; width * height * depth];
        for (at, tile) in tiles.iter().enumerate() {
            let left = MARGIN + at % self.columns * (cols * zoom + MARGIN);
            for y in 0..rows * zoom {
                let start = (top(at / self.columns) + y) * width + left;
                let row = &mut pixels[start * depth..][..cols * zoom * depth];
                for (x, pixel) in row.chunks_mut(depth).enumerate() {
                    for (channel, value) in pixel.iter_mut().enumerate() {
                        *value = tile[self.tile.place(y / zoom, x / zoom, channel)];
                    }
                }
            }
        }
        let encoded = png((height, width), depth, &pixels);
        encoded.map_err(|e| Failure::other(format!("cannot encode a PNG: {e}")))
    }

    /// Writes that PNG to a file.
    pub fn write(&self, path: &Path, tiles: &[Vec<u8>]) -> Result<()> {
        write_file(path, self.png(tiles)?)
    }
}

/// Images, and their reconstructions by several models, as tiles.
pub struct Reconstructions {
    pub tile: Shape,
    /// The images, then those of each model: `[count][numbers of an image]`.
    pub rows: Vec<Vec<Vec<u8>>>,
}

impl Reconstructions {
    /// The first `count` samples, scaled for each model, and their reconstructions; None if the
    /// samples are not images. Of samples with targets, these, and what the models predict.
    pub fn of(
        models: &[(&Autoencoder, &Samples)],
        engine: &mut Engine,
        count: usize,
    ) -> Result<Option<Self>> {
        let originals_of = |samples: &Samples| samples.targets().unwrap_or(samples).clone();
        let first = models.first().map(|(net, samples)| Shape::of(&originals_of(samples), net));
        let Some(tile) = first.flatten() else { return Ok(None) };
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
        let channels = 0..self.tile.depth();
        let places = (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x)));
        let pixel = |(y, x)| channels.clone().map(move |channel| self.tile.place(y, x, channel));
        let pixels: Vec<u8> = places.flat_map(pixel).map(|place| tile[place]).collect();
        png((rows, columns), self.tile.depth(), &pixels)
            .map_err(|e| Failure::other(format!("cannot encode a PNG: {e}")))
    }

    /// Writes one picture: ten images per line, each model's reconstructions below them.
    pub fn write(&self, path: &Path) -> Result<()> {
        let columns = self.rows[0].len().min(10);
        let mut all = Vec::new();
        for line in 0..self.rows[0].len().div_ceil(columns) {
            for row in &self.rows {
                all.extend(row.iter().skip(line * columns).take(columns).cloned());
                // Fill up the last line, so that its reconstructions are below it.
                let end = all.len().next_multiple_of(columns);
                all.resize(end, vec![BACKGROUND; self.tile.numbers()]);
            }
        }
        Grid::new(self.tile, columns, self.rows.len()).write(path, &all)
    }
}

/// A PNG of pixels of one byte (gray) or three (color), `[rows, columns, depth]`.
fn png((rows, columns): (usize, usize), depth: usize, pixels: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, columns as u32, rows as u32);
    let color = if depth == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale };
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(pixels).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)?;
    Ok(bytes)
}

/// Writes such a PNG of gray pixels to a file.
pub fn write_png(path: &Path, shape: (usize, usize), pixels: &[u8]) -> sae::Result<()> {
    png(shape, 1, pixels).and_then(|bytes| fs::write(path, bytes)).map_err(io_error("write", path))
}

/// Writes a picture of the first samples, each above its reconstruction. Returns false if the samples
/// are not images.
pub fn reconstructions(
    path: &Path,
    net: &Autoencoder,
    engine: &mut Engine,
    samples: &Samples,
    count: usize,
) -> Result<bool> {
    let pictures = Reconstructions::of(&[(net, samples)], engine, count)?;
    pictures.map_or(Ok(false), |pictures| pictures.write(path).map(|()| true))
}

/// Inputs of units as tiles: 0 is middle gray; each input's number of largest magnitude is white or
/// black.
pub fn signed_tiles<'a>(inputs: impl Iterator<Item = &'a [f32]>) -> Vec<Vec<u8>> {
    inputs
        .map(|input| {
            // An input of zeros is middle gray, not NaN.
            let max = input.iter().fold(f32::MIN_POSITIVE, |max, w| max.max(w.abs()));
            input.iter().map(|&w| gray(w / max, -1.0, 1.0)).collect()
        })
        .collect()
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
