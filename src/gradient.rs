//! The gradient's buffer, laid out as the parameters, which the way back fills from its end.

use std::mem;
use std::ops::Range;
use std::sync::mpsc;

use crate::network::Layer;

/// Bytes of a piece, about: enough for a network's full speed, and few beside a large layer, of
/// which some are on their way while others are computed.
const PIECE_BYTES: usize = 8 << 20;
/// Rows of a piece at least, so that its product is more than overhead.
const LEAST_ROWS: usize = 64;

/// What of a gradient is not computed yet: the first layers. Their pieces are handed over as they
/// are done, where somebody waits for them.
pub(crate) struct Gradient<'a> {
    layers: &'a mut [f32],
    layers_end: usize,
    /// Of the gate's parameters.
    gate: &'a mut [f32],
    waiting: Option<mpsc::Sender<Piece<'a>>>,
}

/// A run of a gradient that is done, and the place of its first number.
pub(crate) struct Piece<'a> {
    pub start: usize,
    pub numbers: &'a [f32],
}

impl<'a> Gradient<'a> {
    /// One that is wanted as a whole.
    pub fn new(all: &'a mut [f32], layers_end: usize) -> Self {
        let (layers, gate) = all.split_at_mut(layers_end);
        Gradient { layers, layers_end, gate, waiting: None }
    }

    /// One whose pieces somebody waits for.
    pub fn to(self, waiting: mpsc::Sender<Piece<'a>>) -> Self {
        Gradient { waiting: Some(waiting), ..self }
    }

    /// The last of a layer's first `rows` rows of weights, as many as make a piece. They depend on
    /// the layer's shape alone, and so do the bits of sums over pieces.
    pub fn last_rows(&self, layer: Layer, rows: usize) -> Range<usize> {
        if self.waiting.is_none() {
            return 0..rows;
        }
        let most = (PIECE_BYTES / 4 / layer.outputs).max(LEAST_ROWS) / LEAST_ROWS * LEAST_ROWS;
        (rows - 1) / most * most..rows
    }

    /// All of the layers that is left from this place on; the gate's part from the layers' end.
    pub fn split_off(&mut self, start: usize) -> &'a mut [f32] {
        if start == self.layers_end {
            return mem::take(&mut self.gate);
        }
        let (rest, piece) = mem::take(&mut self.layers).split_at_mut(start);
        self.layers = rest;
        piece
    }

    /// A piece is done.
    pub fn done(&self, start: usize, numbers: &'a [f32]) {
        if let Some(waiting) = &self.waiting {
            // Whoever waited and is gone has panicked, and its team tells.
            let _ = waiting.send(Piece { start, numbers });
        }
    }

    /// The layers are done. The gate's learned parameters get their gradient, others 0.
    pub fn finish(mut self, of_gate: &[f32]) {
        let gate = self.split_off(self.layers_end);
        gate.fill(0.0);
        gate[..of_gate.len()].copy_from_slice(of_gate);
        if !gate.is_empty() {
            self.done(self.layers_end, gate);
        }
    }
}
