//! Pictures: tiles, gray or in color, on a grid, as PNG.

use std::fs;
use std::path::Path;

use sae::{Autoencoder, Engine, Samples};
pub use sae_report::pictures::{Reconstructions, gray, is_own_png, png, range, usual_norm};

use crate::drawing::shape::{Shape, square};
use crate::failure::{Failure, Result, io_error};
use crate::output::write_file;

/// The gray between the tiles.
const BACKGROUND: u8 = 96;
const MARGIN: usize = 4;

/// Pixels of a picture, at most.
pub const MAX_PIXELS: usize = 1 << 27;

/// The shape of the images in a file of these dimensions, for those who ask for a picture: squares, too.
pub fn image_of_dims(dims: &[usize]) -> Option<Shape> {
    match dims {
        [_, features] => square(*features),
        [_, row @ ..] => Shape::of_dims(row),
        _ => None,
    }
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

/// Writes a PNG of a tile to a file.
pub fn write_png(path: &Path, shape: Shape, tile: &[u8]) -> sae::Result<()> {
    let encoded = png((shape.rows, shape.columns), shape.depth(), &shape.pixels(tile));
    encoded.and_then(|bytes| fs::write(path, bytes)).map_err(io_error("write", path))
}

/// Writes a picture of the first samples, each above its reconstruction, of the shape that is given or else their
/// own. Returns false if the samples are not images.
pub fn reconstructions(
    path: &Path,
    net: &Autoencoder,
    engine: &mut Engine,
    samples: &Samples,
    (count, given): (usize, Option<Shape>),
) -> Result<bool> {
    let pictures = Reconstructions::of(&[(net, samples)], engine, count, given)?;
    pictures.map_or(Ok(false), |pictures| write_reconstructions(path, &pictures).map(|()| true))
}

/// Writes one picture: ten images per line, each model's reconstructions below them.
pub fn write_reconstructions(path: &Path, pictures: &Reconstructions) -> Result<()> {
    let Reconstructions { tile, rows, .. } = pictures;
    let columns = rows[0].len().min(10);
    let mut all = Vec::new();
    for line in 0..rows[0].len().div_ceil(columns) {
        for row in rows {
            all.extend(row.iter().skip(line * columns).take(columns).cloned());
            // Fill up the last line, so that its reconstructions are below it.
            let end = all.len().next_multiple_of(columns);
            all.resize(end, vec![BACKGROUND; tile.numbers()]);
        }
    }
    Grid::new(*tile, columns, rows.len()).write(path, &all)
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
