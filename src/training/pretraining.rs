//! Greedy pretraining: a deep autoencoder from shallow ones, each trained on the codes of the one
//! before (Hinton and Salakhutdinov 2006; Bengio et al. 2007).

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::data::samples::Samples;
use crate::error::{Error, Result};
use crate::network::layers::end;
use crate::ranks::any;
use crate::settings::{Code, LayerPenalty, Settings};
use crate::training::objective::StepReport;
use crate::training::trainer::Trainer;

impl Trainer {
    /// Trains one shallow autoencoder for each layer of the encoder, so many steps each, from the
    /// outside in, and takes their weights: the encoder's and those of its twin in the decoder. What
    /// comes after is called fine-tuning. `after` is called after each, with its layer, its trainer and what that
    /// was trained on.
    ///
    /// Each shallow one has its layer's settings: activation, penalty, and the gate if it is the
    /// code's. What it gives back is the activation of the layer before.
    ///
    /// # Errors
    /// Those of [`Trainer::run`]; and [`Error::Setting`] if the decoder's layers are not the
    /// encoder's, mirrored.
    pub fn pretrain(
        &mut self,
        samples: &Samples,
        steps: u64,
        after: impl FnMut(usize, &mut Trainer, &Samples) -> Result<()>,
    ) -> Result<()> {
        self.pretrain_until(samples, steps, |_, _| ControlFlow::Continue(()), after)
    }

    /// As [`Trainer::pretrain`]; but `each`, called with a shallow one's trainer and report after each
    /// of its steps, may end it early. That layer is then taken as it is, without a call of `after`,
    /// and those that would come after it stay as they are.
    ///
    /// # Errors
    /// As for [`Trainer::pretrain`].
    pub fn pretrain_until(
        &mut self,
        samples: &Samples,
        steps: u64,
        mut each: impl FnMut(&mut Trainer, StepReport) -> ControlFlow<()>,
        mut after: impl FnMut(usize, &mut Trainer, &Samples) -> Result<()>,
    ) -> Result<()> {
        let settings = self.autoencoder().settings().clone();
        let sizes = &settings.layers;
        if (0..sizes.len()).any(|at| sizes[at] != sizes[sizes.len() - 1 - at]) {
            let problem =
                "a decoder of other sizes than the encoder, mirrored, cannot be pretrained";
            return Err(Error::setting("layers", problem));
        }
        let mut inputs = samples.clone();
        for layer in 0..settings.encoder_layers() {
            let mut builder =
                Trainer::builder(shallow(&settings, layer)).sharded(self.is_sharded());
            if let Some(ranks) = self.ranks() {
                builder = builder.shared_ranks(Arc::clone(ranks));
            }
            let (engine, _) = self.parts();
            let (isa, threads) = (engine.isa(), engine.threads());
            let mut shallow = builder.isa(isa).threads(threads).build(&inputs)?;
            let mut ended = false;
            shallow.run(steps, |shallow, report| {
                let flow = each(shallow, report);
                ended |= flow.is_break();
                flow
            })?;
            if let Some(ranks) = self.ranks() {
                ended = any(ranks, ended);
            }
            let mut finish = || {
                if !ended {
                    after(layer, &mut shallow, &inputs)?;
                }
                if !ended && layer + 1 < settings.encoder_layers() {
                    let codes = shallow.encode(&inputs)?;
                    inputs = Samples::from_values(codes, sizes[layer + 1])?;
                }
                Ok(())
            };
            self.unless_any_failed(finish())?;
            let from = shallow.autoencoder();
            let (ours, theirs) = (self.autoencoder().layers(), from.layers());
            let twin = ours.len() - 1 - layer;
            for (own, theirs) in [(ours[layer], theirs[0]), (ours[twin], theirs[1])] {
                let numbers = &from.parameters()[theirs.start..theirs.biases().end];
                let own = own.start..own.biases().end;
                self.autoencoder_mut().parameters_mut()[own].copy_from_slice(numbers);
            }
            if layer + 1 == settings.encoder_layers() {
                let gate = &from.parameters()[end(&theirs)..];
                self.autoencoder_mut().parameters_mut()[end(&ours)..].copy_from_slice(gate);
            }
            if ended {
                break;
            }
        }
        Ok(())
    }
}

/// The settings of a layer's shallow autoencoder.
fn shallow(settings: &Settings, layer: usize) -> Settings {
    let (inputs, units) = (settings.layers[layer], settings.layers[layer + 1]);
    let penalties = settings.penalty_of(layer).map(|of| LayerPenalty { layer: 0, ..of });
    let is_code = layer + 1 == settings.encoder_layers();
    let mut shallow = Settings {
        layers: vec![inputs, units, inputs],
        activation: settings.activation_of(layer),
        activations: Vec::new(),
        output_activation: match layer.checked_sub(1) {
            Some(before) => settings.activation_of(before),
            None => settings.output_activation,
        },
        beta: 0.0,
        l1: 0.0,
        penalties: penalties.into_iter().collect(),
        target: None,
        code: if is_code { settings.code } else { Code::Dense },
        ..settings.clone()
    };
    if !shallow.loss.fits(shallow.output_activation) {
        shallow.loss = sae_kernels::Loss::SquaredError;
    }
    shallow
}
