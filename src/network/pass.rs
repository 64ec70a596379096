//! Samples that pass through layers of a network, some at a time, in memory that the engine keeps.

use std::ops::Range;

use sae_kernels::{Activation, Lists, Matrix, MatrixMut, Operand};

use crate::compute::{Engine, add_blocks, blocks_of, sum_blocks};
use crate::network::forward::{LayerView, forward};
use crate::network::gate::{Gate, Selection};
use crate::network::layers::{Layer, end, layout, skip_layer};
use crate::network::skip::SkipProduct;
use crate::settings::{Code, Settings};

/// Samples that pass through a decoder, or a network with a dense code, at a time outside of training. The
/// same for any number of threads, for sums of activations are taken chunk by chunk.
pub(super) const CHUNK: usize = 250;

/// Samples that pass through a network of these settings at a time.
pub(super) fn chunk(settings: &Settings) -> usize {
    /// Bytes of a sparse code's lists at most, where nothing bounds how many units are active.
    const LISTS: usize = 64 << 20;
    match settings.code {
        Code::Dense => CHUNK,
        // The weights of the code's layer are read once for all of them.
        Code::TopK(_) => 1024,
        Code::BatchTopK(_) | Code::JumpRelu { .. } => {
            (LISTS / (8 * settings.code_units())).clamp(32, 1024)
        }
    }
}

/// What enters the first of the layers that are computed.
#[derive(Clone, Copy)]
pub(super) enum Inputs<'a> {
    /// `[n, inputs]`
    Dense(&'a [f32]),
    /// Codes, which enter the decoder.
    Sparse(Lists<'a>),
}

impl<'a> Inputs<'a> {
    /// The rows, empty if they are lists.
    fn rows(self) -> &'a [f32] {
        match self {
            Inputs::Dense(rows) => rows,
            Inputs::Sparse(_) => &[],
        }
    }
}

/// The memory in which samples pass through a network, at most a [`chunk`] at a time.
pub(super) struct Pass {
    settings: Settings,
    layers: Vec<Layer>,
    /// Of each layer, `[n, out]`; empty for that of a sparse code.
    pub outputs: Vec<Vec<f32>>,
    /// Of each layer: the sum of each unit's activations over all chunks.
    pub sums: Vec<Vec<f64>>,
    pub gate: Gate,
    /// Of each unit of a layer: the sum of its activations in a chunk, and those in its blocks.
    chunk_sums: Vec<f32>,
    partial_sums: Vec<f32>,
    /// What a skip connection adds to, `[n, outputs]`.
    decoded: Vec<f32>,
}

impl Pass {
    /// That of a network of these settings, in the memory of the engine's last one if it was of the same settings.
    pub fn of(engine: &mut Engine, settings: &Settings) -> Box<Self> {
        let kept = engine.take(|kept: &Self| kept.settings == *settings);
        let Some(mut pass) = kept else { return Box::new(Self::new(settings)) };
        pass.sums.iter_mut().for_each(|sums| sums.fill(0.0));
        pass
    }

    fn new(settings: &Settings) -> Self {
        let layers = layout(settings);
        Pass {
            settings: settings.clone(),
            outputs: vec![Vec::new(); layers.len()],
            sums: layers.iter().map(|layer| vec![0.0; layer.outputs]).collect(),
            gate: Gate::new(settings, chunk(settings)),
            chunk_sums: Vec::new(),
            partial_sums: Vec::new(),
            decoded: Vec::new(),
            layers,
        }
    }

    /// Computes the outputs of some layers, of a network with these parameters, for the inputs of the first of them.
    pub fn forward(
        &mut self,
        engine: &mut Engine,
        parameters: &[f32],
        layers: Range<usize>,
        inputs: Inputs<'_>,
        logits: bool,
    ) {
        for l in layers.clone() {
            self.forward_layer(engine, parameters, l, (inputs, l == layers.start), logits);
        }
        if let Some(skip) = skip_layer(&self.settings).filter(|_| layers.end == self.layers.len()) {
            let outputs = &mut self.outputs[layers.end - 1];
            self.decoded.clone_from(outputs);
            // (Codes alone are refused.)
            let (inputs, n) = (inputs.rows(), self.decoded.len() / skip.outputs);
            let product = SkipProduct {
                inputs: Operand::new(Matrix::new(inputs, n, skip.inputs), true),
                weights: skip.matrix(parameters),
                base: Matrix::new(&self.decoded, n, skip.outputs),
            };
            let outputs = MatrixMut::new(outputs, n, skip.outputs);
            product.run(engine, outputs, |decoded, sum| decoded + sum);
        }
    }

    /// Computes the outputs of layer `l`, for the inputs if it is the first and else for the outputs of that before it.
    fn forward_layer(
        &mut self,
        engine: &mut Engine,
        parameters: &[f32],
        l: usize,
        (inputs, is_first): (Inputs<'_>, bool),
        logits: bool,
    ) {
        let (settings, layer) = (&self.settings, self.layers[l]);
        let (before, rest) = self.outputs.split_at_mut(l);
        // (Empty where the layer below is a sparse code.)
        let input = if is_first { inputs.rows() } else { &before[l - 1] };
        let input = Matrix::new(input, input.len() / layer.inputs, layer.inputs);
        let mut view = LayerView::new(settings, parameters, l, layer);
        if logits && l + 1 == self.layers.len() {
            view.activation = Activation::Linear;
        }
        let operand = match inputs {
            Inputs::Sparse(codes) if is_first => Operand::Sparse(codes),
            _ if !is_first && settings.is_gated(l - 1) => Operand::Sparse(self.gate.codes.lists()),
            _ => Operand::new(input, settings.has_zeros(l)),
        };
        let n = operand.len();
        self.chunk_sums.clear();
        self.chunk_sums.resize(layer.outputs, 0.0);
        self.partial_sums.resize(sum_blocks(n) * layer.outputs, 0.0);
        if settings.is_gated(l) {
            let parameters = &parameters[end(&self.layers)..];
            self.gate.encode(engine, input, view, parameters, Selection::Inference);
            let codes = self.gate.codes.lists();
            add_blocks(n, &mut self.partial_sums, &mut self.chunk_sums, |mut sums| {
                for (block, rows) in blocks_of(&sums, n) {
                    let sums = sums.row_mut(block);
                    for (units, activations) in rows.map(|sample| codes.row(sample)) {
                        let entries = units.iter().zip(activations);
                        entries.for_each(|(&unit, a)| sums[unit as usize] += a);
                    }
                }
            });
        } else {
            rest[0].resize(n * layer.outputs, 0.0);
            let output = MatrixMut::new(&mut rest[0], n, layer.outputs);
            add_blocks(n, &mut self.partial_sums, &mut self.chunk_sums, |sums| {
                forward(engine, operand, view, output, sums);
            });
        }
        let sums = self.sums[l].iter_mut().zip(&self.chunk_sums);
        sums.for_each(|(all, &sum)| *all += f64::from(sum));
    }

    /// Writes the activations of a layer that was computed to `out`, `[n, units]`.
    pub fn write(&self, l: usize, out: &mut [f32]) {
        match self.settings.is_gated(l) {
            true => write_lists(self.gate.codes.lists(), self.layers[l].outputs, out),
            false => out.copy_from_slice(&self.outputs[l]),
        }
    }
}

/// Writes sparse codes as rows of `units` numbers.
pub(super) fn write_lists(codes: Lists<'_>, units: usize, out: &mut [f32]) {
    out.fill(0.0);
    for (sample, row) in out.chunks_exact_mut(units).enumerate() {
        let (units, activations) = codes.row(sample);
        units.iter().zip(activations).for_each(|(&unit, &a)| row[unit as usize] = a);
    }
}
