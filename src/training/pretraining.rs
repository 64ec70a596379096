//! Greedy pretraining: a deep autoencoder from shallow ones, each trained on the codes of the one
//! before (Hinton and Salakhutdinov 2006; Bengio et al. 2007).

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::data::samples::Samples;
use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;
use crate::network::layers::end;
use crate::ranks::any;
use crate::settings::{Code, LayerPenalty, Optimizer, Settings};
use crate::training::objective::StepReport;
use crate::training::trainer::Trainer;

impl Trainer {
    /// Trains one shallow autoencoder for each layer of the encoder, `steps` steps each, from the outside
    /// in, and takes its weights for that layer and for its twin in the decoder.
    ///
    /// Each shallow one has its layer's settings (activation, penalty, and the code's selection if it is
    /// the code's); it reconstructs the activations of the layer before. `each` is called with its
    /// trainer and report after each of its steps and may end it: that layer is taken as it is, and
    /// those after it stay as they are. Otherwise `after` is called with its layer, its trainer and the
    /// samples that it was trained on.
    ///
    /// # Errors
    /// Those of [`Trainer::run`] and of `after`; and [`Error::Setting`] if the decoder's layers are not
    /// the encoder's, mirrored.
    pub fn pretrain(
        &mut self,
        samples: &Samples,
        steps: u64,
        mut each: impl FnMut(&mut Trainer, StepReport) -> ControlFlow<()>,
        mut after: impl FnMut(usize, &mut Trainer, &Samples) -> Result<()>,
    ) -> Result<()> {
        let settings = self.autoencoder().settings().clone();
        if self.autoencoder().target_scaling.is_some() {
            let problem = "layers are pretrained to reconstruct their inputs, and this network \
                           predicts targets; train it without";
            return Err(Error::setting("pretrain", problem));
        }
        if !settings.layers.iter().eq(settings.layers.iter().rev()) {
            let problem =
                "only a decoder whose sizes are the encoder's, mirrored, can be pretrained";
            return Err(Error::setting("layers", problem));
        }
        let mut inputs = samples.clone();
        for layer in 0..settings.encoder_layers() {
            let mut shallow = self.shallow_trainer(layer, &inputs)?;
            let mut ended = false;
            shallow.run(steps, |shallow, report| {
                let flow = each(shallow, report);
                ended |= flow.is_break();
                flow
            })?;
            ended = any(&self.ranks.ranks, ended);
            let mut finish = || {
                if !ended {
                    after(layer, &mut shallow, &inputs)?;
                }
                if !ended && layer + 1 < settings.encoder_layers() {
                    let codes = shallow.encode(&inputs)?;
                    inputs = Samples::from_values(codes, settings.layers[layer + 1])?;
                }
                Ok(())
            };
            self.unless_any_failed(finish())?;
            self.take_layer(layer, shallow.autoencoder());
            if ended {
                break;
            }
        }
        Ok(())
    }

    /// The trainer of a layer's shallow autoencoder, with this one's ranks, threads and instruction set.
    fn shallow_trainer(&mut self, layer: usize, inputs: &Samples) -> Result<Trainer> {
        let (engine, net) = self.parts();
        let (isa, threads) = (engine.isa(), engine.threads());
        Trainer::builder(shallow(net.settings(), layer))
            .sharded(self.ranks.sharded)
            .shared_ranks(Arc::clone(&self.ranks.ranks))
            .isa(isa)
            .threads(threads)
            .build(inputs)
    }

    /// Takes the weights of a shallow autoencoder for a layer and its twin, and the code's thresholds.
    fn take_layer(&mut self, layer: usize, shallow: &Autoencoder) {
        let (to, from) = (self.autoencoder().layers(), shallow.layers());
        let twin = to.len() - 1 - layer;
        let is_code = 2 * layer + 2 == to.len();
        let parameters = self.autoencoder_mut().parameters_mut();
        for (own, theirs) in [(to[layer], from[0]), (to[twin], from[1])] {
            let numbers = &shallow.parameters()[theirs.start..theirs.biases().end];
            parameters[own.start..own.biases().end].copy_from_slice(numbers);
        }
        if is_code {
            parameters[end(&to)..].copy_from_slice(&shallow.parameters()[end(&from)..]);
        }
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
    if shallow.code == Code::Dense && shallow.optimizer == Optimizer::AdamLazy {
        // All units of a dense code are active.
        shallow.optimizer = Optimizer::Adam;
    }
    if !shallow.loss.fits(shallow.output_activation) {
        shallow.loss = sae_kernels::Loss::SquaredError;
    }
    shallow
}
