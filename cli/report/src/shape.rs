//! How the numbers of a sample are pixels.

use sae::{Autoencoder, Samples, Scaling};

/// The shape of an image: gray, or in color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Lines of pixels.
    pub rows: usize,
    /// Pixels in a line.
    pub columns: usize,
    /// 1 is gray, 3 is red, green and blue, 4 has a fourth that is not drawn.
    pub channels: usize,
    /// Whether all numbers of a channel are together, instead of those of a pixel.
    pub is_planar: bool,
}

impl From<(usize, usize)> for Shape {
    fn from((rows, columns): (usize, usize)) -> Self {
        Shape { rows, columns, channels: 1, is_planar: false }
    }
}

impl Shape {
    /// That of a sample of these dimensions.
    ///
    /// They are `[rows, columns]`, `[rows, columns, channels]` or `[channels, rows, columns]`.
    pub fn of_dims(dims: &[usize]) -> Option<Self> {
        let shape =
            |rows, columns, channels, is_planar| Some(Shape { rows, columns, channels, is_planar });
        match *dims {
            [rows, columns] => shape(rows, columns, 1, false),
            [rows, columns, channels @ (1 | 3 | 4)] => shape(rows, columns, channels, false),
            [channels @ (1 | 3 | 4), rows, columns] => shape(rows, columns, channels, true),
            _ => None,
        }
    }

    /// That of samples, as [`Shape::of_files`], or of a square of bytes.
    ///
    /// (What else has a square number of features may be activations.)
    pub fn of(samples: &Samples, net: &Autoencoder) -> Option<Self> {
        let of_bytes = || square_of_bytes(&samples.scaling(), samples.features());
        Self::of_files(samples, net).or_else(of_bytes)
    }

    /// That of samples, if their file has one, or the file that the model was trained on.
    pub fn of_files(samples: &Samples, net: &Autoencoder) -> Option<Self> {
        let of_file = Self::of_dims(samples.row_dims());
        of_file.or_else(|| Self::of_training(net, samples.features()))
    }

    /// That of the samples that a model was trained on, or of a square of bytes.
    pub fn of_model(net: &Autoencoder) -> Option<Self> {
        let features = net.settings().layers[0];
        Self::of_training(net, features).or_else(|| square_of_bytes(&net.scaling(), features))
    }

    fn of_training(net: &Autoencoder, features: usize) -> Option<Self> {
        let shape = Self::of_dims(net.training_data()?.sample_shape())?;
        Some(shape).filter(|shape| shape.numbers() == features)
    }

    /// Numbers of an image.
    pub fn numbers(&self) -> usize {
        self.rows * self.columns * self.channels
    }

    /// Bytes of a pixel in a picture: 1 for gray, 3 for color.
    pub fn depth(&self) -> usize {
        if self.channels == 1 { 1 } else { 3 }
    }

    /// The pixels of a tile one after another, each of a byte (gray) or three (color).
    pub fn pixels(&self, tile: &[u8]) -> Vec<u8> {
        let places = (0..self.rows).flat_map(|y| (0..self.columns).map(move |x| (y, x)));
        let pixel = |(y, x)| (0..self.depth()).map(move |channel| self.place(y, x, channel));
        places.flat_map(pixel).map(|place| tile[place]).collect()
    }

    /// The place of a pixel's channel among the numbers of a sample.
    pub fn place(&self, y: usize, x: usize, channel: usize) -> usize {
        let pixel = y * self.columns + x;
        match self.is_planar {
            true => channel * self.rows * self.columns + pixel,
            false => pixel * self.channels + channel,
        }
    }
}

/// The smallest side of a square that is an image where nothing says so.
pub const MIN_SIDE: usize = 8;

/// A square image of bytes, as the pixels in CSV files; not of few, and not of numbers of other scalings.
fn square_of_bytes(scaling: &Scaling, features: usize) -> Option<Shape> {
    square(features).filter(|shape| *scaling == Scaling::Byte && shape.rows >= MIN_SIDE)
}

/// The shape of the images in data of these dimensions, if they are images.
pub fn image_of_data(dims: &[usize], are_bytes: bool) -> Option<Shape> {
    match dims {
        [_, features] => square(*features).filter(|shape| are_bytes && shape.rows >= MIN_SIDE),
        [_, row @ ..] => Shape::of_dims(row),
        _ => None,
    }
}

/// A square image of this many gray pixels, for those who ask for a picture.
pub fn square(features: usize) -> Option<Shape> {
    let side = features.isqrt();
    (side * side == features).then_some((side, side).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_images_or_not() {
        for (dims, expected) in [
            (&[20, 28][..], Some((20, 28, 1, false))),
            (&[20, 28, 3], Some((20, 28, 3, false))),
            (&[3, 20, 28], Some((20, 28, 3, true))),
            (&[20, 28, 1], Some((20, 28, 1, false))),
            (&[1, 20, 28], Some((20, 28, 1, true))),
            (&[2, 20, 28], None),
            (&[560], None),
            (&[], None),
            (&[2, 2, 2, 3], None),
        ] {
            let shape = Shape::of_dims(dims);
            let of = shape.map(|s| (s.rows, s.columns, s.channels, s.is_planar));
            assert_eq!(of, expected, "{dims:?}");
        }
        let planar = Shape::of_dims(&[3, 2, 5]).unwrap();
        assert_eq!((planar.numbers(), planar.place(1, 2, 2)), (30, 27));
        let together = Shape::of_dims(&[2, 5, 3]).unwrap();
        assert_eq!(together.place(1, 2, 2), 23);
    }
}
