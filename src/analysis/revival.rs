//! Revival of dead units (Bricken et al., *Towards monosemanticity*, 2023).

use rand_pcg::rand_core::Rng;

use crate::compute::random::{Stream, generator};
use crate::compute::{Engine, divided, lock};
use crate::data::samples::{Samples, SamplesOf};
use crate::error::{Error, Result};
use crate::network::SparseCodes;
use crate::network::autoencoder::{Autoencoder, Depth};
use crate::network::layers::{end, tie};
use crate::settings::{Code, Settings};
use crate::training::trainer::Trainer;

/// Length of a revived unit's incoming weights, relative to the mean over the other units: short, so
/// that it disturbs little.
const INCOMING: f64 = 0.2;
/// The same at most where only the largest activations are kept: a short one would never be among them.
const INCOMING_AMONG_LARGEST: f64 = 1.0;
/// The work on one feature's error, some 1 ns, in multiply-adds.
const WORK: usize = 25;
/// Units at a time that get new weights, with a sample for each in memory.
const UNITS: usize = 1024;

impl Trainer {
    /// Gives new weights to the units of the encoder's layers that are dead, that is, active in no
    /// sample (see [`Activity::dead_units`](crate::analysis::Activity::dead_units)), and returns how
    /// many there were.
    ///
    /// For each dead unit a sample is drawn, with a probability proportional to the square of its
    /// squared reconstruction error. Its activations at the layer before become the direction of the
    /// unit's incoming weights, which are short, with bias 0; where the decoder is one layer, what the
    /// reconstruction leaves over of the sample, or of its target, becomes the direction of the outgoing weights,
    /// and, where the encoder is one layer and there are no targets, of the incoming ones. The optimizer's moments
    /// of all these are set to 0.
    ///
    /// Of several ranks, rank 0 does it for all. Where each has its own shard of the data, none can tell from
    /// it which units are dead: then they are those of [`Trainer::dead_units`], of a sparse code alone.
    ///
    /// # Errors
    /// Those of [`Autoencoder::evaluate`](crate::Autoencoder::evaluate); and [`Error::Setting`] for a
    /// rank whose samples are its own shard, if the code is dense.
    pub fn revive(&mut self, samples: &SamplesOf<'_>) -> Result<usize> {
        let Some(ranks) = self.ranks().cloned() else { return self.revive_alone(samples) };
        if self.is_sharded() && self.inactive_samples().is_empty() {
            let problem = "a rank cannot tell from its shard of the data which units are dead in all; units of a \
                           sparse code are counted (field code)";
            return Err(Error::setting("ranks", problem));
        }
        let leads = lock(&ranks).rank() == 0;
        let count = if leads { self.revive_alone(samples) } else { Ok(0) };
        let mut count = self.unless_any_failed(count)?.to_le_bytes();
        lock(&ranks).broadcast(&mut count);
        self.follow();
        Ok(usize::from_le_bytes(count))
    }

    fn revive_alone(&mut self, samples: &SamplesOf<'_>) -> Result<usize> {
        let dead = self.dead_of_encoder(samples)?;
        let count = dead.iter().map(Vec::len).sum();
        if count == 0 {
            return Ok(0);
        }
        let mut weights = self.errors(samples)?;
        weights.iter_mut().for_each(|error| *error *= *error);
        let mut generator =
            generator(self.autoencoder().settings().seed, Stream::Revival, self.steps());
        for (layer, units) in dead.into_iter().enumerate() {
            for units in units.chunks(UNITS) {
                let drawn = units.iter().map(|_| draw(&mut generator, &weights)).collect();
                self.restart_some(layer, units, samples, drawn)?;
            }
        }
        if self.autoencoder().settings().tied {
            let layers = self.autoencoder().layers();
            tie(&layers, self.autoencoder_mut().parameters_mut());
        }
        Ok(count)
    }

    /// The dead units of each of the encoder's layers.
    fn dead_of_encoder(&mut self, samples: &SamplesOf<'_>) -> Result<Vec<Vec<usize>>> {
        let encoder = self.autoencoder().settings().encoder_layers();
        if self.is_sharded() {
            let mut dead = vec![Vec::new(); encoder];
            dead[encoder - 1] = Trainer::dead_units(self).collect();
            return Ok(dead);
        }
        let evaluation = self.evaluate(samples)?;
        Ok(evaluation.layers[..encoder].iter().map(|layer| layer.dead_units().collect()).collect())
    }

    /// Gives some units of a layer their new weights, from a sample that was drawn for each.
    fn restart_some(
        &mut self,
        layer: usize,
        units: &[usize],
        samples: &SamplesOf<'_>,
        drawn: Vec<usize>,
    ) -> Result<()> {
        let layers = self.autoencoder().layers().len();
        let mut inputs = self.inputs_of(samples, layer, &drawn)?;
        // What is left over of each sample, where it can be the direction of the outgoing weights.
        let mut left = vec![Vec::new(); drawn.len()];
        let mut smallest = Vec::new();
        let is_alone = layer + 2 == layers;
        if is_alone {
            let drawn = samples.subset(drawn);
            let targets = drawn.targets().unwrap_or(&drawn);
            let d = targets.features();
            let (engine, net) = self.parts();
            let outputs = net.reconstruct(engine, &drawn)?;
            if layer == 0 && keeps_largest(net.settings()) {
                smallest = smallest_kept(engine, net, &drawn)?;
            }
            for (at, (left, outputs)) in left.iter_mut().zip(outputs.chunks(d)).enumerate() {
                *left = vec![0.0; d];
                targets.gather(at, left)?;
                left.iter_mut().zip(outputs).for_each(|(left, y)| *left -= y);
            }
        }
        if layer == 0 {
            // Where data are centered, the unit sees what is left without their mean.
            let [mean, _] = self.means();
            for input in &mut inputs {
                input.iter_mut().zip(mean).for_each(|(x, mean)| *x -= mean);
            }
        }
        let directions = match layer == 0 && is_alone && samples.targets().is_none() {
            true => &left,
            false => &inputs,
        };
        for (at, &unit) in units.iter().enumerate() {
            let direction = &directions[at];
            let length = smallest.get(at).and_then(|&kept| reaching(kept, direction, &inputs[at]));
            self.restart(layer, unit, (direction, length), &left[at]);
        }
        Ok(())
    }

    /// Each sample's squared reconstruction error, summed over features.
    fn errors(&mut self, samples: &SamplesOf<'_>) -> Result<Vec<f64>> {
        let d = samples.target_features();
        let mut errors = Vec::with_capacity(samples.len());
        let (engine, net) = self.parts();
        let depth = Depth { layers: net.layers().len(), logits: false };
        net.for_chunks(engine, samples, depth, |engine, chunk| {
            let outputs = chunk.outputs.last().map_or(&[][..], |last| last);
            let start = errors.len();
            errors.resize(start + chunk.targets.len() / d, 0.0);
            let division = engine.divide(errors.len() - start, WORK * d);
            let parts = divided(&mut errors[start..], 1, division);
            engine.pool.run(division.parts(), |part, _| {
                let mut errors = lock(&parts[part]);
                for (sample, error) in division.range(part).zip(errors.iter_mut()) {
                    let row = sample * d..(sample + 1) * d;
                    let pairs = chunk.targets[row.clone()].iter().zip(&outputs[row]);
                    *error = pairs.map(|(x, a)| f64::from(x - a) * f64::from(x - a)).sum();
                }
            });
        })?;
        Ok(errors)
    }

    /// The inputs of a layer for these samples.
    fn inputs_of(
        &mut self,
        samples: &SamplesOf<'_>,
        layer: usize,
        drawn: &[usize],
    ) -> Result<Vec<Vec<f32>>> {
        let mut inputs = Vec::with_capacity(drawn.len());
        let mut row = vec![0.0; samples.features()];
        for &sample in drawn {
            samples.gather(sample, &mut row)?;
            if layer == 0 {
                inputs.push(row.clone());
                continue;
            }
            let one = Samples::from_values(row.clone(), row.len())?;
            let (engine, net) = self.parts();
            let depth = Depth { layers: layer, logits: false };
            net.for_chunks(engine, &one, depth, |_, chunk| {
                inputs.push(chunk.outputs[layer - 1].clone())
            })?;
        }
        Ok(inputs)
    }

    /// Gives a unit its new weights, from the direction of the incoming ones and of the outgoing ones.
    fn restart(
        &mut self,
        l: usize,
        unit: usize,
        (input, length): (&[f32], Option<f64>),
        output: &[f32],
    ) {
        let settings = self.autoencoder().settings().clone();
        let layers = self.autoencoder().layers();
        let layer = layers[l];
        let incoming: Vec<usize> =
            (0..layer.inputs).map(|input| layer.place(input, unit)).collect();
        let parameters = self.autoencoder().parameters();
        let square = |at: usize| f64::from(parameters[at]) * f64::from(parameters[at]);
        let all: f64 = layer.weights().map(square).sum();
        let own: f64 = incoming.iter().map(|&at| square(at)).sum();
        let others = (layer.outputs - 1).max(1) as f64;
        let among_largest = keeps_largest(&settings) && settings.is_gated(l);
        let share = if among_largest { INCOMING_AMONG_LARGEST } else { INCOMING };
        let most = share * ((all - own).max(0.0) / others).sqrt().max(1e-3);
        let length = length.map_or(most, |length| length.min(most));
        let mean = if l == 0 { self.means()[0] } else { &[] };
        let mut changed = incoming;
        let mut values = scaled(input, length);
        let shift: f32 = values.iter().zip(mean).map(|(w, mean)| w * mean).sum();
        changed.push(layer.biases().start + unit);
        values.push(-shift);
        if l + 2 == layers.len() && !settings.tied {
            let next = layers[l + 1];
            let row = next.start + unit * next.outputs..next.start + (unit + 1) * next.outputs;
            let mean = (next.weights().map(square).sum::<f64>() / next.inputs as f64).sqrt();
            let length = if settings.unit_norm { 1.0 } else { mean };
            changed.extend(row);
            values.extend(scaled(output, length));
        }
        if let Code::JumpRelu { threshold, .. } = settings.code
            && l + 1 == settings.encoder_layers()
        {
            changed.push(end(&layers) + unit);
            values.push(threshold as f32);
        }
        if l + 1 == settings.encoder_layers() {
            self.count_from_now(unit);
        }
        self.overwrite(&changed, &values);
    }
}

/// Whether the largest activations are kept of a code.
fn keeps_largest(settings: &Settings) -> bool {
    matches!(settings.code, Code::TopK(_) | Code::BatchTopK(_))
}

/// The smallest activation that the code of each sample keeps; infinity where it keeps none.
fn smallest_kept(
    engine: &mut Engine,
    net: &Autoencoder,
    samples: &SamplesOf<'_>,
) -> Result<Vec<f32>> {
    let mut codes = SparseCodes::default();
    net.encode_sparse(engine, samples, &mut codes)?;
    let smallest =
        |sample: usize| codes.row(sample).1.iter().copied().fold(f32::INFINITY, f32::min);
    Ok((0..codes.samples()).map(smallest).collect())
}

/// The length of incoming weights of this direction with which a unit just gets among those that the code of
/// a sample keeps, so that it hardly gets among those of others; `None` if no length does.
fn reaching(kept: f32, direction: &[f32], input: &[f32]) -> Option<f64> {
    /// Of the smallest activation that is kept.
    const SHARE: f64 = 1.01;
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let activation = dot(direction, input) / dot(direction, direction).sqrt();
    (kept.is_finite() && activation > 0.0).then(|| SHARE * f64::from(kept) / activation)
}

/// Numbers scaled to this length; zeros stay zeros.
fn scaled(numbers: &[f32], length: f64) -> Vec<f32> {
    let have = numbers.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    let factor = if have > 0.0 { (length / have) as f32 } else { 0.0 };
    numbers.iter().map(|x| x * factor).collect()
}

/// Draws an index, with a probability proportional to its weight.
fn draw(generator: &mut impl Rng, weights: &[f64]) -> usize {
    let all: f64 = weights.iter().sum();
    let mut left = (generator.next_u64() >> 11) as f64 / 2f64.powi(53) * all;
    for (at, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return at;
        }
    }
    weights.len() - 1
}
