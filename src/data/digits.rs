//! Drawn digits: a stand-in for MNIST that needs no file.
//!
//! A digit is a few pen strokes through control points. Two ways of writing it are blended, the
//! points shaken, the whole bent, slanted and turned, and the strokes inked with a soft edge into
//! the middle 20x20 pixels, centred by mass as MNIST is. Only `+ - * /`, `sqrt` and comparisons
//! touch floats, which IEEE 754 rounds the same everywhere, so a seed gives the same bytes on
//! every machine.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::Rng;

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

/// Draws `samples` digits; `threads` only changes the time.
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
        // (A scope of threads leaves something behind for the calling one, of which valgrind speaks.)
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

/// Control points of a stroke, `100 * x + y` in hundredths of the digit's height, `y` down. The
/// pen passes through them on a smooth curve; a point given twice is a corner.
type Stroke = &'static [u16];

/// Ways of writing a digit that agree in strokes and points, so that any two can be blended.
struct Family {
    /// How often it is used, relative to the digit's other families.
    weight: u32,
    ways: &'static [&'static [Stroke]],
}

/// Families of each digit.
#[rustfmt::skip]
const FAMILIES: [&[Family]; 10] = [
    &[Family { weight: 4, ways: &[
        &[&[5000, 2508, 635, 668, 2897, 6097, 8566, 8632, 6805, 4502]],
        &[&[6204, 3510, 1438, 1070, 2898, 5893, 8062, 8428, 6602, 3810]],
        &[&[7614, 4200, 1422, 560, 2294, 5299, 8476, 9340, 8416, 6204]],
        &[&[4004, 1820, 645, 1080, 3599, 6690, 8860, 8625, 6000, 3218]],
        &[&[5202, 4010, 3035, 2868, 3896, 5498, 6870, 7035, 6408, 5000]],
        &[&[5810, 2614, 240, 472, 3092, 6692, 9870, 9936, 7210, 4610]]]},
    Family { weight: 1, ways: &[
        &[&[6612, 4002, 1224, 660, 2696, 6096, 8666, 8430, 6206, 3604, 2816]],
        &[&[4422, 3406, 1426, 662, 3098, 6692, 9058, 8222, 5802, 4210, 5226]],
        &[&[7804, 5008, 2226, 1060, 2494, 5498, 7870, 8236, 7012, 4804, 3606]]]}],
    &[
        Family { weight: 10, ways: &[
            &[&[5000, 5035, 5070, 5099]], &[&[5400, 5235, 4870, 4299]],
            &[&[4600, 5233, 5366, 4799]], &[&[4700, 4733, 5166, 5699]]]},
        Family { weight: 1, ways: &[
            &[&[2522, 4212, 5500, 5500, 5550, 5399]], &[&[3814, 4608, 5200, 5200, 5450, 5099]]]},
        Family { weight: 1, ways: &[
            &[&[2822, 4214, 5500, 5500, 5550, 5399], &[2099, 5299, 8598]],
            &[&[4012, 4608, 5200, 5200, 5050, 4899], &[2699, 4899, 7499]]]},
    ],
    &[
        Family { weight: 3, ways: &[
            &[&[1522, 3503, 6503, 7825, 6452, 3682, 1296, 484, 2076, 4688, 7096, 9586]],
            &[&[1012, 3600, 6010, 6632, 5658, 3486, 1698, 888, 2280, 4690, 7498, 9896]],
            &[&[2226, 4206, 6802, 8618, 7644, 4674, 1490, 276, 1864, 4478, 6494, 9098]],
            &[&[1240, 2612, 5802, 8022, 6454, 3484, 1496, 690, 2084, 4290, 6894, 9878]]]},
        Family { weight: 3, ways: &[
            &[&[1225, 3204, 6202, 8022, 7048, 4076, 1099, 1099, 4598, 9097]],
            &[&[2014, 4002, 6604, 7826, 6256, 3682, 896, 896, 4292, 8298]],
            &[&[818, 3602, 7010, 7434, 5660, 3282, 1492, 1492, 5294, 9886]],
            &[&[1836, 2412, 5400, 7816, 7442, 4472, 1694, 1694, 5099, 9298]]]},
    ],
    &[
        Family { weight: 3, ways: &[
            &[&[1512, 4200, 7510, 7432, 4046, 4046, 7256, 8278, 5299, 1090]],
            &[&[1806, 4602, 7012, 6630, 3644, 3644, 6648, 7672, 5496, 1498]],
            &[&[820, 3602, 6606, 7226, 4450, 4450, 7062, 7284, 4299, 684]],
            &[&[2010, 5000, 8008, 8030, 3040, 3040, 7246, 9070, 6098, 896]]]},
        Family { weight: 2, ways: &[
            &[&[1214, 4200, 7210, 6832, 4646, 3650, 4446, 7456, 8080, 4899, 892]],
            &[&[2008, 5002, 7614, 7034, 4448, 3444, 5044, 7252, 7876, 5298, 1694]]]},
        Family { weight: 1, ways: &[
            &[&[1004, 4203, 7802, 7802, 5824, 4040, 4040, 7652, 7882, 4899, 890]]]},
    ],
    &[
        Family { weight: 4, ways: &[
            &[&[1402, 830, 1252, 3258, 6054, 8448], &[8200, 7735, 7170, 6699]],
            &[&[2404, 1428, 454, 2862, 6056, 9446], &[7406, 7235, 6670, 6299]],
            &[&[1010, 630, 846, 2652, 5248, 7840], &[8804, 8436, 8070, 7899]],
            &[&[3000, 1826, 650, 2654, 5854, 9054], &[6622, 6448, 6074, 5699]]]},
        Family { weight: 2, ways: &[
            &[&[6500, 4028, 860, 860, 4660, 9558], &[6601, 6734, 6668, 6499]],
            &[&[5802, 3632, 1066, 1066, 4668, 8866], &[6214, 6042, 6070, 6099]]]},
        Family { weight: 3, ways: &[
            &[&[1205, 832, 1852, 4850, 7230, 8204, 8204, 7650, 6899]],
            &[&[2202, 1226, 1046, 3850, 7040, 8414, 8414, 7456, 6698]]]},
    ],
    &[
        Family { weight: 3, ways: &[
            &[&[2703, 2322, 1843, 1843, 4638, 7452, 7678, 5099, 890], &[2703, 5603, 9200]],
            &[&[3208, 2626, 2246, 2246, 4846, 6860, 6684, 4099, 696], &[3208, 6004, 8402]],
            &[&[3002, 2820, 2438, 2438, 5444, 7262, 6686, 3899, 488], &[3404, 6606, 9802]]]},
        Family { weight: 2, ways: &[
            &[&[9002, 5802, 2804, 2804, 2224, 1844, 1844, 4638, 7254, 7280, 4699, 892]],
            &[&[8406, 6206, 3808, 3808, 3026, 2442, 2442, 5046, 6660, 6482, 4098, 1096]]]},
        Family { weight: 2, ways: &[
            &[&[8804, 5403, 2814, 2836, 5650, 6874, 4498, 890]],
            &[&[9802, 6802, 4212, 3236, 5254, 5678, 3296, 492]]]},
    ],
    &[Family { weight: 1, ways: &[
        &[&[6200, 3818, 1648, 1278, 3499, 6692, 7670, 5656, 3066, 1786]],
        &[&[4600, 3022, 1850, 1480, 3298, 5692, 6276, 4868, 2878, 2090]],
        &[&[7802, 4610, 1640, 874, 3498, 7290, 8262, 5846, 2858, 1278]],
        &[&[3000, 2024, 1250, 1278, 3499, 6692, 7270, 5460, 3068, 1680]],
        &[&[7000, 5220, 3048, 2076, 3298, 5696, 7276, 6462, 4270, 2688]],
        &[&[5800, 3020, 1050, 1482, 4499, 8092, 9072, 7062, 4670, 3486]]]}],
    &[
        Family { weight: 4, ways: &[
            &[&[808, 4206, 8504, 8504, 6438, 4870, 4099]],
            &[&[1012, 4014, 7606, 7606, 6840, 6072, 5699]],
            &[&[614, 4004, 8202, 8202, 7030, 4666, 3098]]]},
        Family { weight: 2, ways: &[
            &[&[824, 1608, 4606, 7402, 8014, 6246, 4674, 3899]],
            &[&[1430, 1814, 4208, 7006, 7824, 7050, 6276, 5899]],
            &[&[1008, 2212, 4610, 7204, 7420, 5846, 3872, 2698]]]},
        Family { weight: 1, ways: &[
            &[&[828, 1206, 1206, 4406, 8204, 8204, 6638, 5270, 4699]],
            &[&[1420, 1410, 1410, 4012, 7408, 7408, 7240, 6672, 6299]]]},
        Family { weight: 1, ways: &[
            &[&[808, 4206, 8504, 8504, 6438, 4870, 4099], &[3052, 5650, 8246]],
            &[&[1406, 4208, 8002, 8002, 6238, 5070, 4499], &[3844, 5846, 7646]]]},
    ],
    &[
        Family { weight: 4, ways: &[
            &[&[7412, 4800, 2215, 3238, 6256, 7680, 5099, 2284, 3658, 6238, 7814]],
            &[&[6606, 4202, 2618, 3640, 5458, 6282, 4299, 2486, 3660, 5836, 6812]],
            &[&[8220, 5602, 2814, 3036, 5654, 6878, 4098, 1284, 2860, 6040, 8418]],
            &[&[7010, 5002, 3414, 3832, 6248, 8274, 5499, 1884, 3454, 5634, 7016]]]},
        Family { weight: 1, ways: &[
            &[&[5046, 2630, 3404, 6402, 7624, 5246, 2664, 2290, 5499, 8084, 7058, 4646]],
            &[&[5250, 3634, 4008, 6204, 7426, 5248, 2066, 1890, 4499, 6684, 6460, 5048]]]},
    ],
    &[
        Family { weight: 4, ways: &[
            &[&[7616, 5002, 2018, 1642, 4250, 6834, 7812, 7738, 7070, 6499]],
            &[&[7010, 4604, 2618, 2436, 4242, 6230, 7212, 7240, 6670, 5898]],
            &[&[8410, 5200, 1422, 1046, 4054, 7038, 8412, 7644, 6074, 4299]],
            &[&[6612, 4602, 2422, 2044, 4048, 6232, 7020, 7246, 7474, 7699]]]},
        Family { weight: 1, ways: &[
            &[&[7614, 4802, 1820, 2044, 4650, 7034, 7814, 7844, 7278, 4699, 1288]],
            &[&[7208, 5000, 2614, 2434, 4642, 6630, 7414, 7048, 5880, 3496, 1094]]]},
    ],
];

/// A bend of the paper: shifts of a 4x4 grid of nodes, blended smoothly in between.
type Bend = [[[f32; 2]; 4]; 4];

/// A stretch of pen path in pixels with the pen's radius at both ends.
struct Piece {
    from: [f32; 2],
    to: [f32; 2],
    radius: [f32; 2],
}

/// The chance behind one image.
struct Hand(Pcg64Mcg);

impl Hand {
    fn new(seed: u64, index: u64) -> Self {
        // Mixed twice, so that neighbouring seeds and indices share nothing.
        let low = mix(mix(seed) ^ index);
        Hand(Pcg64Mcg::new(u128::from(mix(low)) << 64 | u128::from(low)))
    }

    /// Evenly from 0 to `n - 1`.
    fn below(&mut self, n: u32) -> u32 {
        (((self.0.next_u64() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// Evenly between `low` and `high`.
    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.0.next_u64() >> 40) as f32 / (1u32 << 24) as f32)
    }

    /// Nearly Gaussian about 0 with the given deviation, never more than 3.5 times it.
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

    /// Scales the path to the middle 20x20 pixels, ink included, and centres it by mass.
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
                let centre = sum[k] / mass.max(0.1);
                piece.from[k] = (piece.from[k] - centre) * scale + shift[k];
                piece.to[k] = (piece.to[k] - centre) * scale + shift[k];
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
        // A cubic whose inner control points follow the neighbours: Catmull-Rom as Bezier.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_do_not_matter() {
        let one = draw(101, 3, 1);
        for threads in [0, 2, 3, 64, 1000] {
            assert_eq!(one, draw(101, 3, threads));
        }
        assert_eq!(draw(0, 3, 3), Digits { images: vec![], labels: vec![] });
    }

    #[test]
    fn fewer_are_a_prefix() {
        let (few, many) = (draw(100, 5, 2), draw(200, 5, 2));
        assert_eq!(few.images, many.images[..100 * PIXELS]);
        assert_eq!(few.labels, many.labels[..100]);
        assert_ne!(few, draw(100, 6, 2));
    }

    #[test]
    fn bytes_are_the_recorded_ones() {
        let digits = draw(1000, 1, 2);
        // FNV-1a.
        let hash =
            digits.images.iter().chain(&digits.labels).fold(0xcbf2_9ce4_8422_2325, |h, b| {
                (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        assert_eq!(hash, 0x6b3d_2001_1d0d_b8df, "{hash:#018x}");
    }

    #[test]
    fn ink_is_about_as_sparse_as_in_mnist() {
        let digits = draw(2000, 2, 2);
        let pixels = digits.images.len() as f64;
        let inked = digits.images.iter().filter(|v| **v > 0).count() as f64 / pixels;
        assert!((0.17..0.22).contains(&inked), "{inked}");
        let mean = digits.images.iter().map(|v| f64::from(*v)).sum::<f64>() / pixels / 255.0;
        assert!((0.11..0.15).contains(&mean), "{mean}");
        for image in digits.images.chunks(PIXELS) {
            let inked = image.iter().filter(|v| **v > 0).count();
            assert!((20..400).contains(&inked), "{inked}");
        }
    }

    #[test]
    fn border_is_almost_empty() {
        let digits = draw(2000, 4, 2);
        let edge = |i: usize| i == 0 || i == SIDE - 1;
        let on_border =
            |(i, v): &(usize, &u8)| **v > 0 && (edge(i % SIDE) || edge(i % PIXELS / SIDE));
        let inked = digits.images.iter().enumerate().filter(on_border).count();
        assert!(inked < 1000, "{inked} of {}", 2000 * 4 * (SIDE - 1));
    }

    #[test]
    fn every_label_is_about_as_frequent() {
        let labels = draw(5000, 7, 2).labels;
        for digit in 0..10 {
            let count = labels.iter().filter(|l| **l == digit).count();
            assert!((400..600).contains(&count), "{count} of {digit}");
        }
        assert!(labels.iter().all(|l| *l < 10));
    }

    #[test]
    fn ways_of_a_family_can_be_blended() {
        let corners = |stroke: &[u16]| {
            (0..stroke.len()).map(|i| i > 0 && stroke[i] == stroke[i - 1]).collect::<Vec<_>>()
        };
        for family in FAMILIES.iter().copied().flatten() {
            for way in family.ways {
                assert_eq!(way.len(), family.ways[0].len());
                for (stroke, model) in way.iter().zip(family.ways[0]) {
                    assert_eq!(corners(stroke), corners(model), "{stroke:?}");
                }
            }
        }
    }
}
