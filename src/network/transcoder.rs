//! Transcoders: networks that predict targets other than their inputs, and their linear skip connection.

use std::mem;

use sae_kernels::{Gemm, Matrix, MatrixMut, Operand, Parts};

use crate::compute::Engine;
use crate::data::samples::Samples;
use crate::data::scaling::Scaling;
use crate::error::{Error, Result, counted};
use crate::network::autoencoder::Autoencoder;
use crate::network::layers::skip_layer;
use crate::settings::Settings;

impl Autoencoder {
    /// Makes a network with initial weights that predicts targets, which are scaled by themselves, from
    /// its inputs: a transcoder. The first and the last of its sizes may differ.
    ///
    /// # Errors
    /// As for [`Autoencoder::new`], and [`Error::Setting`] for tied weights.
    pub fn transcoder(
        settings: Settings,
        scaling: Scaling,
        target_scaling: Scaling,
    ) -> Result<Self> {
        Self::initial(settings, scaling, Some(target_scaling))
    }

    /// The scaling of the targets of a transcoder; `None` for an autoencoder, whose targets are its
    /// inputs.
    pub fn target_scaling(&self) -> Option<Scaling> {
        self.target_scaling.clone()
    }

    /// The weights of the skip connection, `[inputs, outputs]`, row-major; `None` without one.
    pub fn skip_weights(&self) -> Option<&[f32]> {
        skip_layer(&self.settings).map(|skip| &self.parameters[skip.weights()])
    }

    /// Fails unless the samples have targets of their own where this network was made for such, and none
    /// where it reconstructs its inputs.
    pub(crate) fn check_has_targets(&self, samples: &Samples) -> Result<()> {
        match (&self.target_scaling, samples.targets()) {
            (Some(_), None) => Err(Error::Shape(
                "the network predicts targets other than its inputs, and the samples have none; give \
                 them their targets (Samples::with_targets)"
                    .to_owned(),
            )),
            (None, Some(_)) => Err(Error::Shape(
                "the samples have targets, and the network was trained to reconstruct its inputs; \
                 leave the targets out, or use a network trained with targets"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Fails if samples, or their targets, have other features than the network.
    pub(super) fn check_features(&self, samples: &Samples) -> Result<()> {
        let (have, want) = (samples.features(), self.settings.layers[0]);
        if have != want {
            let have = counted(have, "feature");
            return Err(Error::Shape(format!(
                "the data has {have} a sample and the network takes {want}"
            )));
        }
        let want = self.settings.layers[self.settings.layers.len() - 1];
        match samples.targets().map(Samples::features) {
            Some(have) if have != want => Err(Error::Shape(format!(
                "the targets have {} a sample and the network predicts {want}",
                counted(have, "feature")
            ))),
            _ => Ok(()),
        }
    }

    /// Fails if the skip connection needs inputs where there are codes alone.
    pub(super) fn check_decodes(&self) -> Result<()> {
        match self.settings.skip {
            false => Ok(()),
            true => Err(Error::setting(
                "skip",
                "the output is the sum of the decoded code and a linear map of the input, and codes \
                 alone do not give it; use Autoencoder::reconstruct",
            )),
        }
    }

    /// Adds what the skip connection makes of inputs to the network's outputs, `[n, outputs]`.
    pub(super) fn add_skip(&self, engine: &mut Engine, inputs: &[f32], outputs: &mut Vec<f32>) {
        let Some(skip) = skip_layer(&self.settings) else { return };
        let n = inputs.len() / skip.inputs;
        let decoded = mem::take(outputs);
        outputs.resize(decoded.len(), 0.0);
        let product = SkipProduct {
            inputs: Operand::new(Matrix::new(inputs, n, skip.inputs), true),
            weights: skip.matrix(&self.parameters),
            base: Matrix::new(&decoded, n, skip.outputs),
        };
        product.run(engine, MatrixMut::new(outputs, n, skip.outputs), |decoded, sum| decoded + sum);
    }
}

/// What a skip connection makes of inputs, and what that is added to or taken from.
pub(crate) struct SkipProduct<'a> {
    /// `[n, inputs]`
    pub inputs: Operand<'a>,
    /// `[inputs, outputs]`
    pub weights: Matrix<'a>,
    /// `[n, outputs]`
    pub base: Matrix<'a>,
}

impl SkipProduct<'_> {
    /// Computes `f(base, inputs weights)` of each place to `to` `[n, outputs]`; outputs divided among the
    /// threads.
    pub fn run(self, engine: &mut Engine, to: MatrixMut<'_>, f: impl Fn(f32, f32) -> f32 + Sync) {
        let SkipProduct { inputs, weights, base } = self;
        let (n, outputs) = to.shape();
        let division = engine.divide(outputs, n * weights.shape().0);
        let parts = Parts::columns(to, division);
        let Engine { isa, pool, scratch } = engine;
        pool.run(division.parts(), |part, thread| {
            let (columns, mut to) = (division.range(part), parts.take(part));
            let (base, b) = (base.columns(columns.clone()), weights.columns(columns));
            scratch.with(thread, |scratch| {
                Gemm { a: inputs, b, c: to.rows_mut(0..n) }.run(*isa, scratch);
            });
            for row in 0..n {
                let pairs = to.row_mut(row).iter_mut().zip(base.row(row));
                pairs.for_each(|(to, &base)| *to = f(base, *to));
            }
        });
    }
}
