//! What a network does to a data set, in numbers.

use sae_kernels::{Activation, Isa, Loss, sparsity};

use crate::network::autoencoder::Autoencoder;
use crate::settings::{Code, Settings};

/// What an evaluation over a data set reports.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// `loss + penalty + lambda weight_decay`.
    pub objective: f64,
    /// The objective's data term, a mean over samples and features.
    pub loss: f64,
    /// S: the sum of KL over the units of the layers that bear it; 0 where none does.
    pub sparsity: f64,
    /// The sum of |a| over the units of the layers that bear the L1 penalty, a mean over samples.
    pub l1: f64,
    /// All sparsity penalties, with their weights.
    pub penalty: f64,
    /// R: half the sum of the squared weights.
    pub weight_decay: f64,
    /// Mean squared error over all samples and features, whatever the loss.
    pub squared_error: f64,
    /// Share of the data's variance that the reconstructions have: 1 - sum (a - x)^2 / sum (x - mean
    /// of the feature)^2. NaN where the data does not vary.
    pub explained_variance: f64,
    /// Mean activation over the data set of every unit of every hidden layer.
    pub units: Vec<Vec<f32>>,
    /// How active each hidden layer is.
    pub layers: Vec<Activity>,
}

/// How active a hidden layer is over a data set.
///
/// A unit is active in a sample if its activation is further from 0 than a threshold: 0 where the
/// layer has exact zeros (ReLU, saturating linear, exactly sparse codes), 0.1 elsewhere.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Activity {
    /// That threshold.
    pub threshold: f32,
    /// Units active in a sample, a mean over samples.
    pub l0: f64,
    /// Largest |a| of each unit.
    pub largest: Vec<f32>,
    /// How often which activation is met.
    pub histogram: Histogram,
}

impl Activity {
    /// Units that are active in no sample.
    pub fn dead_units(&self) -> impl Iterator<Item = usize> {
        let units = self.largest.iter().enumerate();
        units.filter(|&(_, &largest)| largest <= self.threshold).map(|(unit, _)| unit)
    }
}

/// Counts of numbers in bins of one width, between `-high` or 0 and `high`, which grows as it must.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// Where the first bin begins: `-high`, or 0.
    pub low: f32,
    /// Where the last bin ends.
    pub high: f32,
    /// Numbers in each bin; those that are exactly 0 are not among them.
    pub counts: Vec<u64>,
    /// Numbers that are exactly 0.
    pub zeros: u64,
}

impl Histogram {
    /// Bins, an even number that two pairs can be made of on each side of the middle.
    const BINS: usize = 64;

    fn new(activation: Activation) -> Self {
        let low = if activation.is_signed() { -1.0 } else { 0.0 };
        Histogram { low, high: 1.0, counts: vec![0; Self::BINS], zeros: 0 }
    }

    fn add(&mut self, value: f32) {
        if value == 0.0 {
            self.zeros += 1;
            return;
        }
        while value.abs() > self.high && self.high < f32::MAX / 4.0 {
            self.grow();
        }
        let width = (self.high - self.low) / Self::BINS as f32;
        let bin = ((value - self.low) / width) as usize;
        self.counts[bin.min(Self::BINS - 1)] += 1;
    }

    /// Twice as wide: pairs of bins become one.
    fn grow(&mut self) {
        let pairs: Vec<u64> = self.counts.chunks(2).map(|pair| pair.iter().sum()).collect();
        // Where there is a low side, the old bins are in the middle of the new ones.
        let first = if self.low < 0.0 { Self::BINS / 4 } else { 0 };
        self.counts.fill(0);
        self.counts[first..first + pairs.len()].copy_from_slice(&pairs);
        (self.low, self.high) = (2.0 * self.low, 2.0 * self.high);
    }
}

impl Evaluation {
    /// Mean activation of every hidden layer.
    pub fn mean_activations(&self) -> Vec<f64> {
        self.units.iter().map(|units| mean_activation(units)).collect()
    }
}

/// A layer's mean activation, from those of its units.
pub(crate) fn mean_activation(units: &[f32]) -> f64 {
    units.iter().map(|&a| f64::from(a)).sum::<f64>() / units.len() as f64
}

/// Above which |a| a unit of a hidden layer counts as active; see [`Activity`].
pub(crate) fn active_above(settings: &Settings, layer: usize) -> f32 {
    let exact =
        matches!(settings.activation_of(layer), Activation::Relu | Activation::SaturatingLinear);
    if exact || settings.is_gated(layer) { 0.0 } else { 0.1 }
}

/// What is added up while a data set passes through a network.
pub(crate) struct Tally {
    loss: Loss,
    losses: f64,
    squared_errors: f64,
    /// Of each feature: the sum, and that of the squares.
    features: Vec<(f64, f64)>,
    layers: Vec<Activity>,
    active: Vec<u64>,
    /// Of each hidden layer: the sum of |a|.
    absolute: Vec<f64>,
}

impl Tally {
    pub fn new(settings: &Settings) -> Self {
        let hidden = settings.layers.len() - 2;
        let activity = |layer| Activity {
            threshold: active_above(settings, layer),
            l0: 0.0,
            largest: vec![0.0; settings.layers[layer + 1]],
            histogram: Histogram::new(settings.activation_of(layer)),
        };
        Tally {
            loss: settings.loss,
            losses: 0.0,
            squared_errors: 0.0,
            features: vec![(0.0, 0.0); settings.layers[0]],
            layers: (0..hidden).map(activity).collect(),
            active: vec![0; hidden],
            absolute: vec![0.0; hidden],
        }
    }

    /// Inputs `[n, d]`, and every layer's outputs.
    pub fn add(&mut self, inputs: &[f32], outputs: &[Vec<f32>]) {
        let hidden = self.layers.len();
        for (&x, &output) in inputs.iter().zip(&outputs[hidden]) {
            let (x, output) = (f64::from(x), f64::from(output));
            let a = match self.loss {
                Loss::CrossEntropy => {
                    let (z, small) = (output, (-output.abs()).exp());
                    self.losses += z.max(0.0) - x * z + small.ln_1p();
                    1.0 / (1.0 + (-z).exp())
                }
                _ => output,
            };
            self.squared_errors += (a - x) * (a - x);
        }
        for row in inputs.chunks(self.features.len()) {
            for ((sum, squares), &x) in self.features.iter_mut().zip(row) {
                let x = f64::from(x);
                (*sum, *squares) = (*sum + x, *squares + x * x);
            }
        }
        for (l, layer) in self.layers.iter_mut().enumerate() {
            self.absolute[l] += sparsity::l1_value(&outputs[l]);
            for row in outputs[l].chunks(layer.largest.len()) {
                for (largest, &a) in layer.largest.iter_mut().zip(row) {
                    *largest = largest.max(a.abs());
                    self.active[l] += u64::from(a.abs() > layer.threshold);
                    layer.histogram.add(a);
                }
            }
        }
    }

    /// `sums` are every layer's, of activations.
    pub fn evaluation(
        mut self,
        net: &Autoencoder,
        isa: Isa,
        samples: usize,
        mut sums: Vec<Vec<f32>>,
    ) -> Evaluation {
        let n = samples as f64;
        sums.pop();
        for units in &mut sums {
            sparsity::mean(isa, samples, units);
        }
        for (layer, &active) in self.layers.iter_mut().zip(&self.active) {
            layer.l0 = active as f64 / n;
        }
        let settings = net.settings();
        let (mut sparsity, mut l1, mut penalty) = (0.0, 0.0, 0.0);
        for (l, units) in sums.iter().enumerate() {
            let Some(of) = settings.penalty_of(l) else { continue };
            if of.beta > 0.0 {
                let kl = sparsity::kl_value(isa, of.rho as f32, units);
                sparsity += kl;
                penalty += of.beta * kl;
            }
            if of.l1 > 0.0 {
                l1 += self.absolute[l] / n;
                penalty += of.l1 * self.absolute[l] / n;
            }
        }
        if let Code::JumpRelu { l0, .. } = settings.code {
            penalty += l0 * self.layers[settings.encoder_layers() - 1].l0;
        }
        penalty *= net.penalty_factor();
        let numbers = n * self.features.len() as f64;
        let squared_error = self.squared_errors / numbers;
        let loss = match self.loss {
            Loss::CrossEntropy => self.losses / numbers,
            _ => squared_error,
        };
        let spread: f64 = self.features.iter().map(|(sum, squares)| squares - sum * sum / n).sum();
        let explained_variance =
            if spread > 0.0 { 1.0 - self.squared_errors / spread } else { f64::NAN };
        let weight_decay = net.weight_decay();
        Evaluation {
            objective: loss + penalty + settings.lambda * weight_decay,
            loss,
            sparsity,
            l1,
            penalty,
            weight_decay,
            squared_error,
            explained_variance,
            units: sums,
            layers: self.layers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_grows_and_loses_nothing() {
        for activation in [Activation::Relu, Activation::Linear] {
            let mut histogram = Histogram::new(activation);
            let values = [0.3f32, 0.9, 3.7, 0.0, 17.0, 0.3, 16.5];
            let sign = if activation.is_signed() { -1.0 } else { 1.0 };
            values.iter().for_each(|&value| histogram.add(sign * value));
            assert_eq!((histogram.high, histogram.zeros), (32.0, 1));
            assert_eq!(histogram.counts.iter().sum::<u64>(), 6);
            let width = (histogram.high - histogram.low) / 64.0;
            for (value, count) in [
                (0.3, if sign < 0.0 { 3 } else { 2 }),
                (3.7, 1),
                (16.6, if sign < 0.0 { 2 } else { 1 }),
            ] {
                let bin = ((sign * value - histogram.low) / width) as usize;
                assert_eq!(histogram.counts[bin], count, "{value}: {histogram:?}");
            }
        }
    }
}
