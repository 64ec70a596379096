//! The gradient of the objective by the inputs.

use sae_kernels::{Matrix, Operand};

use crate::error::{Error, Result};
use crate::training::workspace::{Context, Workspace};

/// After a backward pass, before the parameters change: writes the objective's derivative by each number that the
/// network sees of this rank's samples, `[n, features]`. Targets are constants in it.
///
/// # Errors
/// [`Error::Shape`] if there was no backward pass, or `to` has another length.
pub(crate) fn input_gradient(cx: &mut Context, to: &mut [f32]) -> Result<()> {
    let Context { engine, net, work, .. } = cx;
    let Workspace { layers, skip, deltas, gate, dead_units, part, .. } = work;
    let (n, layer) = (part.len(), layers[0]);
    let (have, features) = (to.len(), layer.inputs);
    if !work.uncommitted {
        let problem = "the input's gradient is that of the last gradient_on, and there was none since \
                       the last step";
        return Err(Error::Shape(problem.to_owned()));
    }
    if have != n * features {
        return Err(Error::Shape(format!(
            "expected room for the gradient of {n} x {features} numbers, samples by features, got {have}"
        )));
    }
    let weights = layer.matrix(&net.parameters).transposed();
    let is_gated = net.settings.is_gated(0);
    let delta = match is_gated {
        true => Operand::Sparse(gate.codes.lists().with_values(&deltas[0])),
        false => Operand::Dense(Matrix::new(&deltas[0], n, layer.outputs)),
    };
    engine.multiply(delta, weights, to, 0.0);
    if is_gated && dead_units.is_trained() {
        let lists = dead_units.codes.lists().with_values(&dead_units.gradient);
        engine.multiply(Operand::Sparse(lists), weights, to, 1.0);
    }
    if let Some(skip) = skip {
        let delta = &deltas[layers.len() - 1][..n * skip.outputs];
        let delta = Operand::Dense(Matrix::new(delta, n, skip.outputs));
        engine.multiply(delta, skip.matrix(&net.parameters).transposed(), to, 1.0);
    }
    Ok(())
}
