//! The output layer: its reconstruction, losses and delta, and of a sparse code the gradient of the code.

use std::ops::Range;

use sae_kernels::sparse::CodeGradient;
use sae_kernels::{
    Bands, Division, Isa, Loss, Matrix, MatrixMut, Operand, OutputDelta, Parts, Scratch,
};

use crate::compute::{Engine, add_blocks, blocks_of, divide_blocks};
use crate::network::autoencoder::Autoencoder;
use crate::network::codes::Codes;
use crate::network::forward::LayerView;

/// What the output layer's delta is made of.
#[derive(Clone, Copy)]
pub(crate) struct Output<'a> {
    pub input: Operand<'a>,
    pub layer: LayerView<'a>,
    pub loss: Loss,
    /// `[n, features]`
    pub target: Matrix<'a>,
    /// Factor of the delta.
    pub scale: f32,
}

/// The factor of the gradient of the loss: a mean over all samples of the batch, of which a rank's may be a
/// part, and over the features; of FVU divided by the variance.
pub(crate) fn loss_scale(net: &Autoencoder, samples: usize) -> f32 {
    let settings = &net.settings;
    let features = settings.layers[settings.layers.len() - 1] as f64;
    let terms = samples as f64 * features * net.loss_divisor();
    (settings.loss.gradient_factor() / terms) as f32
}

impl Output<'_> {
    /// Computes the delta `[n, features]`, and the sums of the losses and of the bias gradient,
    /// `[features]`; of a sparse code, if it is given, the gradient of each entry.
    pub fn run(
        self,
        engine: &mut Engine,
        delta: &mut [f32],
        [losses, bias_gradient]: [&mut [f32]; 2],
        partial_sums: &mut [f32],
        code: Option<(&Codes, &mut [f32])>,
    ) {
        let (n, features) = self.target.shape();
        let half = partial_sums.len() / 2;
        let (of_losses, of_biases) = partial_sums.split_at_mut(half);
        add_blocks(n, of_losses, losses, |losses| {
            add_blocks(n, of_biases, bias_gradient, |biases| {
                let delta = MatrixMut::new(delta, n, features);
                self.divided(engine, delta, [losses, biases], code);
            });
        });
    }

    /// The same, with the sums over each block of samples, `[blocks, features]`.
    fn divided(
        self,
        engine: &mut Engine,
        mut delta: MatrixMut<'_>,
        sums: [MatrixMut<'_>; 2],
        code: Option<(&Codes, &mut [f32])>,
    ) {
        let Some((codes, gradient)) = code else { return self.by_features(engine, delta, sums) };
        if divides_by_samples(engine, sums[0].shape().0) {
            return self.by_samples(engine, delta, sums, (codes, gradient));
        }
        self.by_features(engine, delta.rows_mut(0..self.input.len()), sums);
        code_gradient(engine, codes, delta.as_ref(), self.layer.weights, gradient);
    }

    /// Features divided among the threads.
    fn by_features(
        self,
        engine: &mut Engine,
        delta: MatrixMut<'_>,
        [losses, bias_gradients]: [MatrixMut<'_>; 2],
    ) {
        let (n, features) = delta.shape();
        let work = match self.input {
            // Some 50 active units.
            Operand::Sparse(_) => 50 * n,
            _ => n * self.layer.weights.shape().0,
        };
        let division = engine.divide(features, work);
        let deltas = Parts::columns(delta, division);
        let losses = Parts::columns(losses, division);
        let bias_gradients = Parts::columns(bias_gradients, division);
        let Engine { isa, pool, scratch, .. } = engine;
        pool.run(division.parts(), |part, thread| {
            let features = division.range(part);
            let (mut delta, mut losses, mut bias_gradients) =
                (deltas.take(part), losses.take(part), bias_gradients.take(part));
            let of_part = Output {
                layer: self.layer.units(features.clone()),
                target: self.target.columns(features),
                ..self
            };
            scratch.with(thread, |scratch| {
                for (block, rows) in blocks_of(&losses, n) {
                    let sums = [losses.row_mut(block), bias_gradients.row_mut(block)];
                    of_part.rows(*isa, rows.clone(), delta.rows_mut(rows), sums, scratch);
                }
            });
        });
    }

    /// Blocks of samples divided among the threads; the code's gradient follows a few samples behind
    /// the delta.
    fn by_samples(
        self,
        engine: &mut Engine,
        delta: MatrixMut<'_>,
        [losses, bias_gradients]: [MatrixMut<'_>; 2],
        (codes, gradient): (&Codes, &mut [f32]),
    ) {
        /// Whose decoder rows half an L2 cache holds: 8 times 32 rows of 3 KiB.
        const SAMPLES: usize = 8;
        // Samples of long lists share decoder rows.
        let is_long = codes.lists().is_long(self.layer.weights.shape().0);
        let at_once = if is_long { 32 * SAMPLES } else { SAMPLES };
        let (n, _) = delta.shape();
        let (blocks, _) = losses.shape();
        let division = divide_blocks(n, blocks);
        let of_blocks = Division::new(blocks, 1, division.parts());
        let deltas = Parts::rows(delta, division);
        let losses = Parts::rows(losses, of_blocks);
        let bias_gradients = Parts::rows(bias_gradients, of_blocks);
        let gradients = Bands::ragged(gradient, division, |sample| codes.place(sample));
        let Engine { isa, pool, scratch, .. } = engine;
        pool.run(division.parts(), |part, thread| {
            let samples = division.range(part);
            let (mut delta, gradients) = (deltas.take(part), gradients.take(part));
            let (mut losses, mut bias_gradients) = (losses.take(part), bias_gradients.take(part));
            let first = codes.place(samples.start);
            scratch.with(thread, |scratch| {
                for (block, of_block) in blocks_of(&losses, samples.len()) {
                    for start in of_block.clone().step_by(at_once) {
                        let own = start..of_block.end.min(start + at_once);
                        let rows = samples.start + own.start..samples.start + own.end;
                        let sums = [losses.row_mut(block), bias_gradients.row_mut(block)];
                        let to = delta.rows_mut(own.clone());
                        self.rows(*isa, rows.clone(), to, sums, scratch);
                        let entries =
                            codes.place(rows.start) - first..codes.place(rows.end) - first;
                        let code_gradient = CodeGradient {
                            codes: codes.lists().slice(rows),
                            delta: delta.as_ref().rows(own),
                            weights: self.layer.weights,
                        };
                        code_gradient.run(*isa, &mut gradients[entries]);
                    }
                }
            });
        });
    }

    /// The delta of some samples, on one thread.
    fn rows(
        self,
        isa: Isa,
        rows: Range<usize>,
        delta: MatrixMut<'_>,
        [losses, bias_gradient]: [&mut [f32]; 2],
        scratch: &mut Scratch<'_>,
    ) {
        let output_delta = OutputDelta {
            input: self.input.rows(rows.clone()),
            weights: self.layer.weights,
            biases: self.layer.biases,
            activation: self.layer.activation,
            loss: self.loss,
            target: self.target.rows(rows),
            scale: self.scale,
            delta,
            losses,
            bias_gradient,
        };
        output_delta.run(isa, scratch);
    }
}

/// Whether all threads have work where blocks of samples are divided among them.
fn divides_by_samples(engine: &Engine, blocks: usize) -> bool {
    let threads = engine.pool.threads();
    threads == 1 || blocks >= 2 * threads
}

/// The gradient of each entry of a sparse code from the delta of the layer above, `[n, outputs]`, whose
/// weights are `[units, outputs]`; samples divided among the threads.
pub(crate) fn code_gradient(
    engine: &mut Engine,
    codes: &Codes,
    delta: Matrix<'_>,
    weights: Matrix<'_>,
    gradient: &mut [f32],
) {
    // Some 50 active units.
    let work = 50 * delta.shape().1;
    for_entries(engine, codes, gradient, work, |isa, samples, gradient| {
        let delta = delta.rows(samples.clone());
        let codes = codes.lists().slice(samples);
        CodeGradient { codes, delta, weights }.run(isa, gradient);
    });
}

/// Calls `f` with some samples and a number for each entry of their codes; samples, each worth `work`
/// multiply-adds, divided among the threads.
pub(crate) fn for_entries(
    engine: &mut Engine,
    codes: &Codes,
    numbers: &mut [f32],
    work: usize,
    f: impl Fn(Isa, Range<usize>, &mut [f32]) + Sync,
) {
    let division = engine.divide(codes.lists().rows(), work);
    let numbers = Bands::ragged(numbers, division, |sample| codes.place(sample));
    let isa = engine.isa;
    engine.pool.run(division.parts(), |part, _| f(isa, division.range(part), numbers.take(part)));
}
