//! Evaluation of a network over a data set, on all threads.
//!
//! Sums over samples are the same bits for any number of threads: a number per sample is computed
//! in parallel and added in the samples' order, each feature is summed down its column, and counts
//! and maxima, which do not depend on an order, are merged at the end.

use std::sync::Mutex;

use sae_kernels::{Isa, Loss, Matrix, sparse, sparsity};

use crate::analysis::evaluation::{Activity, Evaluation, Hidden};
use crate::analysis::histogram::Histogram;
use crate::analysis::reconstruction::{
    Lengths, Reconstructions, WORK, add_features, explained, sigmoid,
};
use crate::compute::{Engine, divided, lock};
use crate::data::feature::Feature;
use crate::data::samples::SamplesOf;
use crate::error::Result;
use crate::network::activity::{active_threshold, is_dead};
use crate::network::autoencoder::{Autoencoder, Chunk, Depth};
use crate::training::objective::{BatchSums, Observed, objective};
use crate::training::trainer::Trainer;

/// Numbers of a sample before those of its hidden layers.
const NUMBERS: usize = 3 + Lengths::NUMBERS;

impl Autoencoder {
    /// Evaluates the objective over a data set, whose samples count as one batch, and how active the
    /// hidden layers are. Inputs are not corrupted. The bits are the same for any number of threads. A
    /// transcoder's outputs are compared with the samples' [targets](SamplesOf::with_targets).
    ///
    /// # Errors
    /// As for [`Autoencoder::encode`]; and [`Error::Shape`](crate::Error::Shape) if the samples have no
    /// targets where the network needs them, or the other way around.
    pub fn evaluate(&self, engine: &mut Engine, samples: &SamplesOf<'_>) -> Result<Evaluation> {
        self.check_has_targets(samples)?;
        let mut tally = Tally::new(self, engine.threads());
        let logits = self.settings().loss == Loss::CrossEntropy;
        let depth = Depth { layers: self.layers().len(), logits };
        let sums = self.for_chunks(engine, samples, depth, |engine, chunk| {
            tally.add_samples(engine, chunk);
            tally.add_features(engine, chunk);
            tally.add_batches(engine, chunk);
        })?;
        Ok(tally.evaluation(self, engine.isa(), samples.len(), sums))
    }
}

impl Trainer {
    /// Evaluates the network as it is now: see [`Autoencoder::evaluate`].
    ///
    /// # Errors
    /// Those of [`Autoencoder::evaluate`].
    pub fn evaluate(&mut self, samples: &SamplesOf<'_>) -> Result<Evaluation> {
        let (engine, net) = self.parts();
        net.evaluate(engine, samples)
    }
}

/// What is summed up while a data set passes through a network.
struct Tally {
    loss: Loss,
    losses: f64,
    squared_errors: f64,
    features: Vec<Feature>,
    reconstructions: Reconstructions,
    /// Of each hidden layer: the sum of |a|, where the objective needs it; else 0.
    magnitudes: Vec<f64>,
    /// Of each thread, of each hidden layer.
    layers: Vec<Mutex<Vec<Layer>>>,
    /// What a JumpReLU code's activations are multiplied by in a tanh penalty, and the sum of tanh.
    tanh_scale: Option<f32>,
    code_tanh: f64,
    /// Of each sample of a chunk: the cross-entropy, the squared error, its [`Lengths`], the sum of tanh of the
    /// code, then the sum of |a| of each hidden layer.
    samples: Vec<f64>,
}

/// How active a hidden layer is in the samples that one thread has seen.
#[derive(Clone)]
struct Layer {
    threshold: f32,
    /// Whether the objective needs the sum of |a|.
    sums_magnitudes: bool,
    active: u64,
    /// Whether it is a sparse code, which comes as lists of what is active.
    is_sparse: bool,
    /// Samples that were seen, of a sparse code.
    samples: u64,
    /// The samples in which each unit is active.
    counts: Vec<u64>,
    /// Smallest and largest activation of each unit; of a sparse code without those that are 0.
    low: Vec<f32>,
    high: Vec<f32>,
    histogram: Histogram,
}

impl Layer {
    fn add(&mut self, activations: &[f32]) {
        // Several loops, so that all but the last are vectorized.
        let mut active = 0u32;
        for ((low, high), &a) in self.low.iter_mut().zip(&mut self.high).zip(activations) {
            *low = low.min(a);
            *high = high.max(a);
            active += u32::from(a.abs() > self.threshold);
        }
        self.active += u64::from(active);
        for (count, &a) in self.counts.iter_mut().zip(activations) {
            *count += u64::from(a.abs() > self.threshold);
        }
        activations.iter().for_each(|&a| self.histogram.add(a));
    }

    /// Adds a sample's active units.
    fn add_code(&mut self, (units, activations): (&[u32], &[f32])) {
        for (&unit, &a) in units.iter().zip(activations) {
            let unit = unit as usize;
            self.low[unit] = self.low[unit].min(a);
            self.high[unit] = self.high[unit].max(a);
            self.counts[unit] += 1;
            self.histogram.add(a);
        }
        self.active += units.len() as u64;
        self.samples += 1;
    }

    /// Adds the zeros of a sparse code, which its lists leave out.
    fn add_zeros(&mut self) {
        let units = self.counts.iter().zip(self.low.iter_mut().zip(&mut self.high));
        for (_, (low, high)) in units.filter(|(count, _)| **count < self.samples) {
            (*low, *high) = (low.min(0.0), high.max(0.0));
        }
        let all = self.samples * self.counts.len() as u64;
        self.histogram.add_zeros(all - self.counts.iter().sum::<u64>());
    }

    fn merge(&mut self, other: Layer) {
        self.active += other.active;
        self.samples += other.samples;
        let pairs = self.counts.iter_mut().zip(other.counts);
        pairs.for_each(|(count, other)| *count += other);
        let pairs = self.low.iter_mut().zip(other.low);
        pairs.for_each(|(low, other)| *low = low.min(other));
        let pairs = self.high.iter_mut().zip(other.high);
        pairs.for_each(|(high, other)| *high = high.max(other));
        self.histogram.merge(other.histogram);
    }
}

impl Tally {
    fn new(net: &Autoencoder, threads: usize) -> Self {
        let settings = net.settings();
        let hidden = settings.layers.len() - 2;
        let penalized = |l| settings.penalty_of(l).is_some_and(|penalty| penalty.l1 > 0.0);
        let layer = |l| Layer {
            threshold: active_threshold(settings, l),
            sums_magnitudes: penalized(l) && settings.activation_of(l).is_signed(),
            active: 0,
            samples: 0,
            is_sparse: settings.is_gated(l),
            counts: vec![0; settings.layers[l + 1]],
            low: vec![f32::INFINITY; settings.layers[l + 1]],
            high: vec![f32::NEG_INFINITY; settings.layers[l + 1]],
            histogram: Histogram::new(settings.activation_of(l)),
        };
        let layers: Vec<Layer> = (0..hidden).map(layer).collect();
        Tally {
            loss: settings.loss,
            losses: 0.0,
            squared_errors: 0.0,
            features: vec![Feature::default(); settings.layers[hidden + 1]],
            reconstructions: Reconstructions::new(settings.layers[hidden + 1]),
            magnitudes: vec![0.0; hidden],
            layers: vec![layers; threads].into_iter().map(Mutex::new).collect(),
            tanh_scale: net.parameters().last().and_then(|&scale| settings.tanh_scale(scale)),
            code_tanh: 0.0,
            samples: Vec::new(),
        }
    }

    /// Adds what is a number per sample, and the hidden layers' activity; samples are divided among
    /// the threads.
    fn add_samples(&mut self, engine: &mut Engine, chunk: Chunk<'_>) {
        let (hidden, d) = (self.magnitudes.len(), self.features.len());
        let (n, width) = (chunk.targets.len() / d, NUMBERS + hidden);
        self.samples.resize(n * width, 0.0);
        let numbers = d + chunk.outputs[..hidden].iter().map(Vec::len).sum::<usize>() / n;
        let division = engine.divide(n, WORK * numbers);
        let parts = divided(&mut self.samples, width, division);
        let isa = engine.isa;
        let Tally { loss, layers, tanh_scale, .. } = self;
        engine.pool.run(division.parts(), |part, thread| {
            let mut layers = lock(&layers[thread]);
            let mut sums = lock(&parts[part]);
            for (sample, sums) in division.range(part).zip(sums.chunks_mut(width)) {
                let row = |width: usize| sample * width..(sample + 1) * width;
                let (x, output) = (&chunk.targets[row(d)], &chunk.outputs[hidden][row(d)]);
                let lengths;
                (sums[0], sums[1], lengths) = match loss {
                    Loss::CrossEntropy => cross_entropy(x, output),
                    _ => (0.0, squared_error(x, output), Lengths::of(x, output)),
                };
                lengths.write(&mut sums[2..NUMBERS - 1]);
                if let Some(scale) = *tanh_scale {
                    let code = chunk.codes.row(sample).1;
                    sums[NUMBERS - 1] = sparse::tanh_value(isa, scale, code);
                }
                for (l, layer) in layers.iter_mut().enumerate() {
                    let activations = if layer.is_sparse {
                        let code = chunk.codes.row(sample);
                        layer.add_code(code);
                        code.1
                    } else {
                        let activations = &chunk.outputs[l][row(layer.low.len())];
                        layer.add(activations);
                        activations
                    };
                    if layer.sums_magnitudes {
                        sums[NUMBERS + l] = sparsity::l1_value(activations);
                    }
                }
            }
        });
        drop(parts);
        for sums in self.samples.chunks(width) {
            self.losses += sums[0];
            self.squared_errors += sums[1];
            self.reconstructions.add(Lengths::read(&sums[2..NUMBERS - 1]));
            self.code_tanh += sums[NUMBERS - 1];
            self.magnitudes.iter_mut().zip(&sums[NUMBERS..]).for_each(|(all, sum)| *all += sum);
        }
    }

    /// Adds each feature's sums over the samples.
    fn add_features(&mut self, engine: &mut Engine, chunk: Chunk<'_>) {
        let d = self.features.len();
        let n = chunk.targets.len() / d;
        let outputs = Matrix::new(&chunk.outputs[self.magnitudes.len()], n, d);
        let x = Matrix::new(chunk.targets, n, d);
        match self.loss {
            Loss::CrossEntropy => add_features(engine, &mut self.features, [x, outputs], sigmoid),
            _ => add_features(engine, &mut self.features, [x, outputs], f64::from),
        }
    }

    /// Adds the samples to their batches, from the squared error of each.
    fn add_batches(&mut self, engine: &mut Engine, chunk: Chunk<'_>) {
        let d = self.features.len();
        let x = Matrix::new(chunk.targets, chunk.targets.len() / d, d);
        let errors = self.samples.chunks(NUMBERS + self.magnitudes.len()).map(|sums| sums[1]);
        self.reconstructions.batches.add(engine, x, errors);
    }

    /// The evaluation after all samples; `sums` are every layer's sums of activations.
    fn evaluation(
        self,
        net: &Autoencoder,
        isa: Isa,
        samples: usize,
        mut sums: Vec<Vec<f64>>,
    ) -> Evaluation {
        let n = samples as f64;
        let settings = net.settings();
        // The output layer's.
        sums.pop();
        let mean = |units: Vec<f64>| units.into_iter().map(|sum| (sum / n) as f32).collect();
        let means: Vec<Vec<f32>> = sums.into_iter().map(mean).collect();
        let layers = merged(self.layers);
        let batch = BatchSums {
            loss: if self.loss == Loss::CrossEntropy { self.losses } else { self.squared_errors },
            code_active: layers[settings.encoder_layers() - 1].active as f64,
            code_tanh: self.code_tanh,
            magnitudes: self.magnitudes,
            ..BatchSums::default()
        };
        let observed = Observed {
            samples,
            loss_divisor: net.loss_divisor(),
            sums: &batch,
            means: &means,
            running_means: &[],
        };
        let terms = objective(isa, settings, net.penalty_factor(), &observed);
        let spread = self.features.iter().map(|feature| feature.spread).sum();
        let per_feature = |of: &Feature| explained(of.squared_error, of.spread);
        let hidden = Hidden::of(self.features.iter().map(|of| (of.spread, per_feature(of))));
        let weight_decay = net.weight_decay();
        let activity = |(l, layer): (usize, Layer)| {
            let units = || layer.low.iter().zip(&layer.high);
            let dead = units().map(|(&low, &high)| is_dead(settings, l, low, high));
            Activity {
                samples,
                frequencies: layer.counts.iter().map(|&count| count as f64 / n).collect(),
                threshold: layer.threshold,
                l0: layer.active as f64 / n,
                largest: units().map(|(low, high)| low.abs().max(high.abs())).collect(),
                dead: (0..).zip(dead).filter_map(|(unit, dead)| dead.then_some(unit)).collect(),
                histogram: layer.histogram,
            }
        };
        Evaluation {
            objective: terms.loss + terms.penalty + settings.lambda * weight_decay,
            loss: terms.loss,
            sparsity: terms.sparsity,
            l1: terms.l1,
            penalty: terms.penalty,
            weight_decay,
            squared_error: self.squared_errors / (n * self.features.len() as f64),
            explained_variance: explained(self.squared_errors, spread),
            fvu: if spread > 0.0 { self.squared_errors / spread } else { f64::NAN },
            explained_variance_per_batch: self.reconstructions.batches.mean(),
            cosine_similarity: self.reconstructions.cosine_similarity(),
            l2_ratio: self.reconstructions.l2_ratio(),
            relative_reconstruction_bias: self.reconstructions.bias(),
            explained_variance_per_feature: self.features.iter().map(per_feature).collect(),
            units: means,
            layers: layers.into_iter().enumerate().map(activity).collect(),
            hidden,
        }
    }
}

/// The hidden layers' activity, from what each thread has seen of it.
fn merged(threads: Vec<Mutex<Vec<Layer>>>) -> Vec<Layer> {
    let of_thread = |layers: Mutex<Vec<Layer>>| std::mem::take(&mut *lock(&layers));
    let merge = |mut all: Vec<Layer>, layers: Vec<Layer>| {
        all.iter_mut().zip(layers).for_each(|(layer, other)| layer.merge(other));
        all
    };
    let mut layers = threads.into_iter().map(of_thread).reduce(merge).expect("one thread at least");
    let sparse = layers.iter_mut().filter(|layer| layer.is_sparse);
    sparse.for_each(Layer::add_zeros);
    layers
}

/// A sample's sum of (a - x)^2, in eight interleaved accumulators.
pub(super) fn squared_error(x: &[f32], a: &[f32]) -> f64 {
    let square = |(&x, &a): (&f32, &f32)| (f64::from(a) - f64::from(x)).powi(2);
    let ((x, x_rest), (a, a_rest)) = (x.as_chunks::<8>(), a.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for pairs in x.iter().zip(a) {
        for (sum, pair) in sums.iter_mut().zip(pairs.0.iter().zip(pairs.1)) {
            *sum += square(pair);
        }
    }
    sums.iter().sum::<f64>() + x_rest.iter().zip(a_rest).map(square).sum::<f64>()
}

/// A sample's cross-entropy of the logits z, and for a = sigmoid(z) its sum of (a - x)^2 and lengths.
fn cross_entropy(x: &[f32], logits: &[f32]) -> (f64, f64, Lengths) {
    let (mut losses, mut squares, mut lengths) = (0.0, 0.0, Lengths::default());
    for (&x, &z) in x.iter().zip(logits) {
        let a = sigmoid(z);
        let (x, z) = (f64::from(x), f64::from(z));
        losses += z.max(0.0) - x * z + (-z.abs()).exp().ln_1p();
        squares += (a - x) * (a - x);
        lengths.input += x * x;
        lengths.output += a * a;
        lengths.product += x * a;
    }
    (losses, squares, lengths)
}
