//! The gradient's buffer, laid out as the parameters, which the backward pass fills from its end.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::network::layers::Layer;
use crate::ranks::Sums;

/// Numbers of a piece, about: enough for a network's full speed, and few beside a large layer, so that
/// some are being summed while others are computed.
const PIECE: usize = 1 << 19;
/// Rows of a piece at least, so that its product is more than overhead.
const MIN_ROWS: usize = 64;

/// The part of a gradient that is not computed yet: its first layers. With several ranks the pieces of
/// the others are being summed over them.
pub(crate) struct Gradient<'a, 's> {
    layers: &'a mut [f32],
    layers_end: usize,
    /// Of the gate's parameters.
    gate: &'a mut [f32],
    summed: Option<Summed<'a, 's>>,
}

/// The sums of a gradient's pieces over the ranks.
struct Summed<'a, 's> {
    sums: &'s mut dyn Sums<'a>,
    to: &'a mut [f32],
    gate: &'a mut [f32],
    /// Where the pieces begin whose sums are not taken yet, in their order.
    starts: &'s mut VecDeque<usize>,
    waited: &'s mut Duration,
}

/// Maximum number of pieces of a network with these layers.
pub(crate) fn pieces<'a>(layers: impl Iterator<Item = &'a Layer>) -> usize {
    // And one of what stands behind the layers.
    layers.map(|layer| layer.stored().0.div_ceil(rows_of_piece(*layer))).sum::<usize>() + 1
}

/// Rows of a layer's weights that make a piece.
pub(crate) fn rows_of_piece(layer: Layer) -> usize {
    (PIECE / layer.stored().1).max(MIN_ROWS) / MIN_ROWS * MIN_ROWS
}

impl<'a, 's> Gradient<'a, 's> {
    /// The gradient of one process alone, filled in place.
    pub fn new(all: &'a mut [f32], layers_end: usize) -> Self {
        let (layers, gate) = all.split_at_mut(layers_end);
        Gradient { layers, layers_end, gate, summed: None }
    }

    /// Sums pieces over the ranks into `to`; `starts` must be empty. The time within sums is added to
    /// `waited`.
    pub fn summed(
        self,
        sums: &'s mut dyn Sums<'a>,
        to: &'a mut [f32],
        starts: &'s mut VecDeque<usize>,
        waited: &'s mut Duration,
    ) -> Self {
        let (to, gate) = to.split_at_mut(self.layers_end);
        Gradient { summed: Some(Summed { sums, to, gate, starts, waited }), ..self }
    }

    /// The last of a layer's first `rows` rows of weights, as many as make a piece. They depend on
    /// the layer's shape alone, and so do the bits of sums over pieces.
    pub fn last_rows(&self, layer: Layer, rows: usize) -> Range<usize> {
        if self.summed.is_none() {
            return 0..rows;
        }
        let max = rows_of_piece(layer);
        (rows - 1) / max * max..rows
    }

    /// The rest of the layers from this place on.
    pub fn split_off(&mut self, start: usize) -> &'a mut [f32] {
        split_off(&mut self.layers, start)
    }

    /// Hands over the piece that was split off last, which is computed.
    pub fn done(&mut self, piece: &'a [f32]) {
        if let Some(summed) = &mut self.summed {
            let start = self.layers.len();
            let to = split_off(&mut summed.to, start);
            summed.begin(start, piece, to);
        }
    }

    /// Ends with the parameters behind the layers: learned thresholds get their gradient, others 0.
    pub fn finish(&mut self, of_gate: &[f32]) {
        let gate = mem::take(&mut self.gate);
        gate.fill(0.0);
        gate[..of_gate.len()].copy_from_slice(of_gate);
        if let Some(summed) = &mut self.summed
            && !gate.is_empty()
        {
            let to = mem::take(&mut summed.gate);
            summed.begin(self.layers_end, gate, to);
        }
    }

    /// Waits for the next sum, in the order in which pieces were done, and the place of its first
    /// number. `None` after the last.
    pub fn next_sum(&mut self) -> Option<(usize, &'a [f32])> {
        let Summed { sums, starts, waited, .. } = self.summed.as_mut()?;
        let start = starts.pop_front()?;
        Some((start, timed(waited, || sums.next())))
    }
}

impl<'a> Summed<'a, '_> {
    fn begin(&mut self, start: usize, piece: &'a [f32], to: &'a mut [f32]) {
        let Summed { sums, starts, waited, .. } = self;
        timed(waited, || sums.begin(piece, to));
        starts.push_back(start);
    }
}

/// Adds the time that `f` takes.
pub(crate) fn timed<T>(time: &mut Duration, f: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = f();
    *time += start.elapsed();
    value
}

fn split_off<'a>(from: &mut &'a mut [f32], start: usize) -> &'a mut [f32] {
    let (rest, piece) = mem::take(from).split_at_mut(start);
    *from = rest;
    piece
}

/// The sum of products, in eight interleaved `f64` accumulators.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a8.iter().zip(b8) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += f64::from(a) * f64::from(b);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(&a, &b)| f64::from(a) * f64::from(b));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}
