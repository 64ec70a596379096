//! Drawn digits: a stand-in for MNIST that needs no file.
//!
//! A digit is a few pen strokes through control points. Two ways of writing it are blended, the
//! points shaken, the whole bent, slanted and turned, and the strokes inked with a soft edge into
//! the middle 20x20 pixels, centered by mass as MNIST is. Only `+ - * /`, `sqrt` and comparisons
//! touch floats, which IEEE 754 rounds the same everywhere, so a seed gives the same bytes on
//! every machine.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::Rng;

mod strokes;

use strokes::{FAMILIES, Family};

/// Height and width of an image.
pub const SIDE: usize = 28;

/// Pixels of an image.
const PIXELS: usize = SIDE * SIDE;

/// Images and labels, in the order of the samples.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Digits {
    /// `SIDE * SIDE` bytes a sample, row by row: 0 is paper, 255 is ink.
    pub images: Vec<u8>,
    /// The digit each image shows, 0 to 9.
    pub labels: Vec<u8>,
}

/// Draws `samples` digits; `threads` changes only the time.
///
/// Sample `i` depends on `seed` and `i` alone, so fewer samples are a prefix of more.
pub fn draw(samples: usize, seed: u64, threads: usize) -> Digits {
    let mut images = vec![0; samples * PIXELS];
    let mut labels = vec![0; samples];
    let write = |first: usize, images: &mut [u8], labels: &mut [u8]| {
        for (i, (image, label)) in images.chunks_mut(PIXELS).zip(labels).enumerate() {
            *label = Hand::new(seed, (first + i) as u64).write(image);
        }
    };
    if threads <= 1 {
        // No thread scope: valgrind reports what it leaves allocated for the calling thread.
        write(0, &mut images, &mut labels);
        return Digits { images, labels };
    }
    let share = samples.div_ceil(threads).max(1);
    let parts = images.chunks_mut(share * PIXELS).zip(labels.chunks_mut(share));
    std::thread::scope(|scope| {
        for (part, (images, labels)) in parts.enumerate() {
            scope.spawn(move || write(part * share, images, labels));
        }
    });
    Digits { images, labels }
}

/// A bend of the paper: shifts of a 4x4 grid of nodes, blended smoothly in between.
type Bend = [[[f32; 2]; 4]; 4];

/// A straight piece of the pen's path, in pixels, with the pen's radius at both ends.
struct Piece {
    from: [f32; 2],
    to: [f32; 2],
    radius: [f32; 2],
}

/// The random numbers behind one image.
struct Hand(Pcg64Mcg);

impl Hand {
    fn new(seed: u64, index: u64) -> Self {
        // Mixed twice, so that neighboring seeds and indices share nothing.
        let low = mix(mix(seed) ^ index);
        Hand(Pcg64Mcg::new(u128::from(mix(low)) << 64 | u128::from(low)))
    }

    /// A whole number from 0 to `n - 1`, all equally likely.
    fn below(&mut self, n: u32) -> u32 {
        (((self.0.next_u64() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// A number between `low` and `high`, uniformly distributed.
    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.0.next_u64() >> 40) as f32 / (1u32 << 24) as f32)
    }

    /// A nearly Gaussian number of mean 0 and the given deviation, at most 3.5 times it.
    fn about(&mut self, deviation: f32) -> f32 {
        let bits = self.0.next_u64();
        let sum: u64 = (0..4).map(|i| bits >> (16 * i) & 0xffff).sum();
        (sum as f32 / 65536.0 - 2.0) * 1.732_050_8 * deviation
    }

    /// Writes one digit on an empty image and names it.
    fn write(&mut self, image: &mut [u8]) -> u8 {
        let digit = self.below(10);
        let pieces = self.path(FAMILIES[digit as usize]);
        self.ink(&pieces, image);
        digit as u8
    }

    /// The path of the pen, placed in the image.
    fn path(&mut self, families: &[Family]) -> Vec<Piece> {
        let mut pick = self.below(families.iter().map(|f| f.weight).sum());
        let mut ways = families[0].ways;
        for family in families {
            ways = family.ways;
            if pick < family.weight {
                break;
            }
            pick -= family.weight;
        }
        let first = ways[self.below(ways.len() as u32) as usize];
        let second = ways[self.below(ways.len() as u32) as usize];
        let blend = self.between(-0.3, 1.3);

        // A hasty writer strays further.
        let haste = self.between(0.6, 1.45);
        let bend: Bend = std::array::from_fn(|_| {
            std::array::from_fn(|_| [self.about(0.07 * haste), self.about(0.07 * haste)])
        });
        let width = 0.95 + self.about(0.19);
        let slant = 0.12 + self.about(0.25);
        let (taper, bow, middle) =
            (self.about(0.13 * haste), self.about(0.16 * haste), self.about(0.18 * haste));
        // Cosine and sine of a small angle, by its half angle's tangent.
        let half = self.about(0.05);
        let unit = 1.0 + half * half;
        let (cos, sin) = ((1.0 - half * half) / unit, 2.0 * half / unit);
        let place = |p: [f32; 2]| {
            let [x, y] = bent(&bend, p);
            let (x, y) = ((x - 0.5) * width, y - 0.5);
            let arch = 0.25 - y * y;
            let x = x * (1.0 + taper * y) + bow * arch - slant * y;
            let y = y + middle * arch;
            [x * cos - y * sin, x * sin + y * cos]
        };

        // Few pens are thick; squaring a uniform makes the long tail.
        let skew = self.between(0.0, 1.0);
        let pen = 0.85 + 1.2 * skew * (0.4 + 0.6 * skew) + self.about(0.1);
        let mut pieces = Vec::with_capacity(128);
        for (one, two) in first.iter().zip(second) {
            let mut points: Vec<[f32; 2]> = Vec::with_capacity(16);
            for (i, (a, b)) in one.iter().zip(*two).enumerate() {
                let corner = i > 0 && one[i - 1] == *a;
                points.push(match points.last() {
                    Some(&last) if corner => last,
                    _ => std::array::from_fn(|k| {
                        let (a, b) = (hundredths(*a)[k], hundredths(*b)[k]);
                        a + (b - a) * blend + self.about(0.012 * haste)
                    }),
                });
            }
            let ends = [pen + self.about(0.12), pen + self.about(0.12)];
            trace(&points, ends, place, &mut pieces);
        }
        self.fit(&mut pieces);
        pieces
    }

    /// Scales the path to the middle 20x20 pixels, ink included, and centers it by mass.
    fn fit(&mut self, pieces: &mut [Piece]) {
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        let (mut mass, mut sum, mut thick) = (0.0, [0.0; 2], 0.0f32);
        for piece in pieces.iter() {
            let weight = distance(piece.from, piece.to);
            mass += weight;
            thick = thick.max(piece.radius[0]).max(piece.radius[1]);
            for k in 0..2 {
                low[k] = low[k].min(piece.from[k]).min(piece.to[k]);
                high[k] = high[k].max(piece.from[k]).max(piece.to[k]);
                sum[k] += weight * 0.5 * (piece.from[k] + piece.to[k]);
            }
        }
        let extent = (high[0] - low[0]).max(high[1] - low[1]).max(0.1);
        let scale = (19.6 + self.about(0.3) - 2.0 * thick) / extent;
        let middle = SIDE as f32 / 2.0;
        let shift = [middle + self.about(0.3), middle + self.about(0.3)];
        for piece in pieces {
            for k in 0..2 {
                let center = sum[k] / mass.max(0.1);
                piece.from[k] = (piece.from[k] - center) * scale + shift[k];
                piece.to[k] = (piece.to[k] - center) * scale + shift[k];
            }
        }
    }

    /// Inks every pixel by its distance from the path.
    fn ink(&mut self, pieces: &[Piece], image: &mut [u8]) {
        // Beyond this the ink ends, on either side of the pen's edge.
        let soft = self.between(0.45, 0.7);
        let mut outside = [f32::MAX; PIXELS];
        for piece in pieces {
            let reach = piece.radius[0].max(piece.radius[1]) + soft + 0.25;
            let span = |k: usize| {
                let low = piece.from[k].min(piece.to[k]) - reach;
                let high = piece.from[k].max(piece.to[k]) + reach;
                // The casts stop at 0, and a range that ends before it starts is empty.
                low as usize..(high as usize + 1).min(SIDE)
            };
            let along = [piece.to[0] - piece.from[0], piece.to[1] - piece.from[1]];
            let square = (along[0] * along[0] + along[1] * along[1]).max(1e-6);
            let across = span(0);
            for y in span(1) {
                for x in across.clone() {
                    let at = [x as f32 + 0.5, y as f32 + 0.5];
                    let dot =
                        (at[0] - piece.from[0]) * along[0] + (at[1] - piece.from[1]) * along[1];
                    let t = (dot / square).clamp(0.0, 1.0);
                    let near = [piece.from[0] + t * along[0], piece.from[1] + t * along[1]];
                    let radius = piece.radius[0] + t * (piece.radius[1] - piece.radius[0]);
                    let cell = &mut outside[y * SIDE + x];
                    *cell = cell.min(distance(at, near) - radius);
                }
            }
        }
        let full = self.between(0.98, 1.03);
        for (pixel, outside) in image.iter_mut().zip(outside) {
            if outside < soft + 0.25 {
                let depth = (soft - outside - self.about(0.1)) / (2.0 * soft);
                // Saturates at 0 and 255.
                *pixel = (depth.min(1.0) * full * 255.0 - self.between(0.0, 4.0)) as u8;
            }
        }
    }
}

/// Adds the curve through `points` to `pieces`, the pen's radius going from one end's to the
/// other's.
fn trace(
    points: &[[f32; 2]],
    ends: [f32; 2],
    place: impl Fn([f32; 2]) -> [f32; 2],
    pieces: &mut Vec<Piece>,
) {
    const STEPS: usize = 7;
    let last = points.len().saturating_sub(1);
    for i in 0..last {
        let (a, b) = (points[i], points[i + 1]);
        if a == b {
            continue;
        }
        let (before, after) = (points[i.saturating_sub(1)], points[(i + 2).min(last)]);
        // A cubic whose inner control points follow the neighbors: Catmull-Rom as Bezier.
        let at = |t: f32| {
            let s = 1.0 - t;
            place(std::array::from_fn(|k| {
                let leave = a[k] + (b[k] - before[k]) / 6.0;
                let arrive = b[k] - (after[k] - a[k]) / 6.0;
                s * s * (s * a[k] + 3.0 * t * leave) + t * t * (3.0 * s * arrive + t * b[k])
            }))
        };
        let radius = |t: f32| ends[0] + (ends[1] - ends[0]) * ((i as f32 + t) / last as f32);
        let (mut from, mut thick) = (at(0.0), radius(0.0));
        for step in 1..=STEPS {
            let t = step as f32 / STEPS as f32;
            let (to, next) = (at(t), radius(t));
            pieces.push(Piece { from, to, radius: [thick, next] });
            (from, thick) = (to, next);
        }
    }
}

/// Where a point of the unit square lands on bent paper.
fn bent(bend: &Bend, p: [f32; 2]) -> [f32; 2] {
    // A quadratic B-spline over 2x2 cells: no kink where cells meet.
    let cell = |v: f32| {
        let v = v.clamp(0.0, 1.0) * 2.0;
        let i = (v as usize).min(1);
        let t = v - i as f32;
        (i, [0.5 * (1.0 - t) * (1.0 - t), 0.5 + t - t * t, 0.5 * t * t])
    };
    let ((i, across), (j, down)) = (cell(p[0]), cell(p[1]));
    let mut moved = p;
    for (nodes, v) in bend[j..].iter().zip(down) {
        for (node, u) in nodes[i..].iter().zip(across) {
            moved[0] += u * v * node[0];
            moved[1] += u * v * node[1];
        }
    }
    moved
}

/// A control point as `x` and `y`.
fn hundredths(point: u16) -> [f32; 2] {
    [f32::from(point / 100) / 100.0, f32::from(point % 100) / 100.0]
}

fn distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    let (x, y) = (a[0] - b[0], a[1] - b[1]);
    (x * x + y * y).sqrt()
}

/// The scrambling step of SplitMix64.
fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
