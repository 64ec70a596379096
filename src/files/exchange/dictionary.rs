//! A dictionary of one hidden layer, between this library's networks and other libraries' files.

use std::collections::BTreeMap;

use sae_kernels::Activation;

use super::tensors::{Parsed, transposed};
use crate::data::scaling::Scaling;
use crate::error::Error;
use crate::files::tensors::not_finite;
use crate::network::autoencoder::Autoencoder;
use crate::network::layers::end;
use crate::settings::{Code, Initialization, Prefixes, Settings};

/// Which activations a dictionary keeps; all are those of a ReLU.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Selection {
    /// All.
    Relu,
    /// The largest of each sample, as many as this.
    TopK(usize),
    /// Those above one threshold, which a training with `k` of each sample on average learned, and these
    /// prefixes (Matryoshka).
    BatchTopK { k: usize, threshold: f32, prefixes: Prefixes },
    /// Those above their unit's threshold; 0 or more.
    JumpRelu(Vec<f32>),
}

/// An encoder without a bias on the input, a selection, and a decoder.
#[derive(Debug)]
pub(super) struct Dictionary {
    pub features: usize,
    pub units: usize,
    /// Features of the output: `features`, but of a transcoder any number.
    pub outputs: usize,
    /// Whether it predicts other data than its input: a transcoder.
    pub transcodes: bool,
    /// `[units, features]`
    pub encoder: Vec<f32>,
    pub encoder_bias: Vec<f32>,
    /// `[units, outputs]`
    pub decoder: Vec<f32>,
    pub bias: Vec<f32>,
    /// Of a skip connection, `[outputs, features]`; of transcoders alone.
    pub skip: Option<Vec<f32>>,
    pub selection: Selection,
}

impl Dictionary {
    /// That of a network, its scaling folded into the weights.
    ///
    /// # Errors
    /// The network is no dictionary of one hidden layer with ReLUs and a linear output.
    pub fn of(net: &Autoencoder) -> Parsed<Self> {
        let settings = net.settings();
        let hidden = settings.layers.len() - 2;
        if hidden != 1 {
            return Err(format!(
                "the network has {hidden} hidden layers (field layers), and a dictionary has one"
            ));
        }
        let activation = settings.activation_of(0);
        let is_jump = matches!(settings.code, Code::JumpRelu { .. });
        // A JumpReLU is linear above its threshold, whatever it is below it.
        if activation != Activation::Relu && !(is_jump && activation == Activation::Linear) {
            let name = activation.name();
            return Err(format!(
                "the code's activation is {name} (field activation), and the format has relu alone"
            ));
        }
        if settings.output_activation != Activation::Linear {
            let name = settings.output_activation.name();
            return Err(format!(
                "the output is {name} (field output_activation), and the format has linear alone"
            ));
        }
        let net = net.fold_scaling().map_err(|error| match error {
            Error::Setting { field, problem } => format!("{field}: {problem}"),
            error => error.to_string(),
        })?;
        let layers = net.layers();
        let (first, last) = (layers[0], layers[1]);
        let (features, units, outputs) = (first.inputs, first.outputs, last.outputs);
        let parameters = net.parameters();
        let encoder = &parameters[first.weights()];
        Ok(Dictionary {
            features,
            units,
            outputs,
            transcodes: net.target_scaling().is_some(),
            encoder: match first.by_unit {
                true => encoder.to_vec(),
                false => transposed(encoder, features, units),
            },
            encoder_bias: parameters[first.biases()].to_vec(),
            decoder: parameters[last.weights()].to_vec(),
            bias: parameters[last.biases()].to_vec(),
            skip: net.skip_weights().map(|weights| transposed(weights, features, outputs)),
            selection: selection(net.settings(), &parameters[end(&layers)..])?,
        })
    }

    /// The network of this dictionary.
    ///
    /// # Errors
    /// A size or number is out of range.
    pub fn network(self) -> Parsed<Autoencoder> {
        let settings = self.settings()?;
        settings.validate().map_err(|error| error.to_string())?;
        let Dictionary { features, units, outputs, transcodes, selection, .. } = self;
        let mut parameters = match self.skip {
            Some(skip) => transposed(&skip, outputs, features),
            None => Vec::new(),
        };
        match selection {
            Selection::Relu => parameters.extend(transposed(&self.encoder, units, features)),
            _ => parameters.extend(self.encoder),
        }
        let (encoder_bias, decoder, bias) = (self.encoder_bias, self.decoder, self.bias);
        parameters.extend(encoder_bias);
        parameters.extend(decoder);
        parameters.extend(bias);
        match selection {
            Selection::Relu | Selection::TopK(_) => {}
            Selection::BatchTopK { threshold, .. } => parameters.push(threshold),
            Selection::JumpRelu(thresholds) => {
                parameters.extend(thresholds);
                // The scale that the thresholds are multiples of.
                parameters.push(1.0);
            }
        }
        if let Some((_, number)) = not_finite(&parameters) {
            return Err(format!("a folded weight or bias is {number}; expected smaller numbers"));
        }
        Ok(Autoencoder {
            settings,
            scaling: Scaling::AsIs,
            target_scaling: transcodes.then_some(Scaling::AsIs),
            variance: None,
            parameters,
            penalty_factor: 1.0,
            training_data: None,
            notes: BTreeMap::new(),
        })
    }

    /// The settings of its network, with which it can be trained on.
    fn settings(&self) -> Parsed<Settings> {
        let code = match &self.selection {
            Selection::Relu => "dense".to_owned(),
            Selection::TopK(k) => format!("top-k:{k}"),
            Selection::BatchTopK { k, .. } => format!("batch-top-k:{k}"),
            Selection::JumpRelu(_) => "jump-relu:0".to_owned(),
        };
        // A sparse code lists less than 2^32 activations of a batch.
        let batch = u32::MAX as usize / self.units.max(1);
        Ok(Settings {
            layers: vec![self.features, self.units, self.outputs],
            skip: self.skip.is_some(),
            prefixes: match &self.selection {
                Selection::BatchTopK { prefixes, .. } => prefixes.clone(),
                _ => Prefixes::None,
            },
            activation: Activation::Relu,
            output_activation: Activation::Linear,
            code: code.parse().map_err(|error: Error| error.to_string())?,
            initialization: Initialization::He,
            beta: 0.0,
            lambda: 0.0,
            batch: batch.clamp(1, 1024),
            // Gao et al. 2024, figure 3, as dictionary_learning has it.
            learning_rate: 2e-4 / (self.units.max(1) as f64 / 16_384.0).sqrt(),
            ..Settings::default()
        })
    }

    /// The sizes of the groups of units between its prefixes; none without prefixes, or where the code has
    /// no place for them.
    pub fn group_sizes(&self) -> Vec<usize> {
        let Selection::BatchTopK { prefixes, .. } = &self.selection else { return Vec::new() };
        let mut start = 0;
        let size = |end: usize| end - std::mem::replace(&mut start, end);
        prefixes.of(self.units).into_iter().map(size).collect()
    }

    /// Takes the bias off the encoder's input: W (x - b) + c = W x + (c - W b). There are as many outputs as
    /// inputs.
    pub fn fold_input_bias(&mut self) {
        self.add_to_encoder_bias(-1.0);
    }

    /// Puts the output's bias on the encoder's input, with a minus: W x + c = W (x - b) + (c + W b).
    pub fn unfold_input_bias(&mut self) {
        self.add_to_encoder_bias(1.0);
    }

    /// Adds W b, times a sign, to the encoder's bias.
    fn add_to_encoder_bias(&mut self, sign: f64) {
        let rows = self.encoder.chunks(self.features.max(1));
        for (bias, row) in self.encoder_bias.iter_mut().zip(rows) {
            let terms = row.iter().zip(&self.bias).map(|(&w, &b)| f64::from(w) * f64::from(b));
            *bias = (f64::from(*bias) + sign * terms.sum::<f64>()) as f32;
        }
    }

    /// Multiplies activations by the lengths of the decoder's rows, and divides the rows by them: the
    /// selection then compares what each unit adds to the reconstruction.
    ///
    /// # Errors
    /// A row is 0.
    pub fn fold_decoder_lengths(&mut self) -> Parsed<()> {
        let encoders = self.encoder.chunks_mut(self.features.max(1));
        let rows = encoders.zip(self.decoder.chunks_mut(self.outputs.max(1)));
        for (unit, ((encoder, decoder), bias)) in rows.zip(&mut self.encoder_bias).enumerate() {
            let squares = decoder.iter().map(|&w| f64::from(w) * f64::from(w));
            let length = squares.sum::<f64>().sqrt();
            if length == 0.0 {
                return Err(format!("the decoder's weights of unit {unit} (from 0) are all 0"));
            }
            encoder.iter_mut().for_each(|w| *w = (f64::from(*w) * length) as f32);
            decoder.iter_mut().for_each(|w| *w = (f64::from(*w) / length) as f32);
            *bias = (f64::from(*bias) * length) as f32;
        }
        Ok(())
    }
}

/// What a network's code keeps; `parameters` are those behind its layers.
fn selection(settings: &Settings, parameters: &[f32]) -> Parsed<Selection> {
    Ok(match settings.code {
        Code::Dense => Selection::Relu,
        Code::TopK(k) => Selection::TopK(k),
        Code::BatchTopK(k) => Selection::BatchTopK {
            k,
            threshold: parameters[0],
            prefixes: settings.prefixes.clone(),
        },
        Code::JumpRelu { .. } => {
            let (scale, multiples) = parameters.split_last().ok_or("no thresholds")?;
            // As in `Gate::encode`.
            let thresholds: Vec<f32> = multiples.iter().map(|multiple| multiple * scale).collect();
            let negative = thresholds.iter().position(|&threshold| threshold < 0.0);
            if let Some(unit) = negative {
                let threshold = thresholds[unit];
                return Err(format!(
                    "the threshold of unit {unit} (from 0) is {threshold}; other libraries' \
                     activations are never below 0"
                ));
            }
            Selection::JumpRelu(thresholds)
        }
    })
}

/// The prefixes that end at these units; one of all units is none.
pub(super) fn of_ends(ends: Vec<usize>) -> Prefixes {
    if ends.len() < 2 { Prefixes::None } else { Prefixes::Sizes(ends) }
}

/// Thresholds that keep of a ReLU's activations what these keep: those below 0 keep all above 0.
pub(super) fn of_relu(mut thresholds: Vec<f32>) -> Vec<f32> {
    thresholds.iter_mut().for_each(|threshold| *threshold = threshold.max(0.0));
    thresholds
}
