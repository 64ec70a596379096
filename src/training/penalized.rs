//! The caller's penalties on activations in a training step: their values and gradients after the hidden layers,
//! and what they add in the backward pass.

use std::mem;

use sae_kernels::{MatrixMut, Parts, apply_derivative};

use crate::compute::{add_blocks, blocks_of, lock};
use crate::training::activation_penalty::{ActivationPenalty, Activations};
use crate::training::output::for_entries;
use crate::training::workspace::{Context, Workspace};

/// After the hidden layers: values and gradients of all penalties on this rank's samples.
pub(crate) fn activation_penalties(cx: &mut Context) {
    let mut penalties = mem::take(&mut cx.work.activation_penalties);
    let mut sum = 0.0;
    for ActivationPenalty { layer, penalize, gradient, largest, .. } in &mut penalties {
        let Context { engine, net, work, .. } = &mut *cx;
        let (n, units) = (work.part.len(), work.layers[*layer].outputs);
        let codes = &work.gate.codes;
        let (values, lists) = match net.settings.is_gated(*layer) {
            true => (&codes.activations[..codes.place(n)], Some(codes.lists())),
            false => (&work.activations[*layer][..], None),
        };
        let gradient = &mut gradient[..values.len()];
        gradient.fill(0.0);
        let (batch, shape) = (work.samples, (n, units));
        let mut activations = Activations {
            engine: &mut *engine,
            batch,
            shape,
            values,
            lists,
            gradient: &mut *gradient,
        };
        sum += lock(penalize)(&mut activations);
        *largest = engine.largest_magnitude(gradient);
    }
    cx.work.activation_penalties = penalties;
    cx.work.sums.activation_penalties = sum;
}

/// The largest magnitude that penalties add to the gradient of a layer's activations.
pub(crate) fn largest_of(penalties: &[ActivationPenalty], layer: usize) -> f64 {
    let of_layer = penalties.iter().filter(|penalty| penalty.layer == layer);
    of_layer.map(|penalty| f64::from(penalty.largest)).sum()
}

/// In the backward pass: adds the gradients of penalties to that of the entries of a sparse code.
pub(crate) fn add_to_code(cx: &mut Context, layer: usize) {
    let Context { engine, work, .. } = cx;
    let Workspace { activation_penalties, deltas, gate, .. } = work;
    for penalty in activation_penalties.iter().filter(|penalty| penalty.layer == layer) {
        let (codes, gradient) = (&gate.codes, &penalty.gradient);
        for_entries(engine, codes, &mut deltas[layer], 4, |_, samples, gradients| {
            let added = &gradient[codes.place(samples.start)..codes.place(samples.end)];
            gradients.iter_mut().zip(added).for_each(|(to, added)| *to += added);
        });
    }
}

/// In the backward pass: adds the gradients of penalties to the delta of a layer with dense activations, and to
/// its bias gradient.
pub(crate) fn add_to_delta(cx: &mut Context, layer: usize) {
    let Context { engine, net, work, .. } = cx;
    let activation = net.settings.activation_of(layer);
    let Workspace { activation_penalties, activations, deltas, bias_gradients, .. } = work;
    let (activations, units) = (&activations[layer], work.layers[layer].outputs);
    let n = work.part.len();
    let division = engine.divide(units, 4 * n);
    for penalty in activation_penalties.iter_mut().filter(|penalty| penalty.layer == layer) {
        let ActivationPenalty { gradient, sums, .. } = penalty;
        let gradient =
            Parts::columns(MatrixMut::new(&mut gradient[..n * units], n, units), division);
        let delta = Parts::columns(MatrixMut::new(&mut deltas[layer], n, units), division);
        let isa = engine.isa;
        add_blocks(n, &mut work.partial_sums, sums, |sums| {
            let sums = Parts::columns(sums, division);
            engine.pool.run(division.parts(), |part, _| {
                let own = division.range(part);
                let mut sums = sums.take(part);
                let (mut gradient, mut delta) = (gradient.take(part), delta.take(part));
                for (block, samples) in blocks_of(&sums, n) {
                    let sums = sums.row_mut(block);
                    for sample in samples {
                        let gradient = gradient.row_mut(sample);
                        let activations = &activations[sample * units..][own.clone()];
                        apply_derivative(isa, activation, activations, gradient);
                        let numbers = delta.row_mut(sample).iter_mut().zip(&mut *sums);
                        for ((delta, sum), &added) in numbers.zip(&*gradient) {
                            *delta += added;
                            *sum += added;
                        }
                    }
                }
            });
        });
        bias_gradients[layer].iter_mut().zip(&*sums).for_each(|(to, sum)| *to += sum);
    }
}
