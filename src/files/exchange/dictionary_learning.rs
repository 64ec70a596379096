//! The state dicts of dictionary_learning (`dictionary.py`, `trainers/` and `utils.py`, version 0.1): its
//! `ae.pt` is a pickle, which the Python package reads and writes with torch.

use std::path::Path;

use serde_json::{Value, json};

use super::config::Config;
use super::dictionary::{Dictionary, Selection, of_ends, of_relu};
use super::tensors::{Parsed, Tensor, Tensors, transposed};
use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;
use crate::settings::Prefixes;

/// The network of a dictionary of dictionary_learning: the text of its `config.json`, and the tensors of
/// its state dict. `path` is for errors.
///
/// A batch-top-k code without a threshold (-1, before the training has found one) keeps all activations
/// above 0, as the library itself does, and gets the threshold 0. The threshold of a top-k code is left
/// out: the library does not use it unless told to.
///
/// # Errors
/// [`Error::Format`] if it is of a class that this library cannot express, or a tensor is missing, of
/// another shape or not known.
pub fn from_dictionary_learning(
    path: impl AsRef<Path>,
    config: &str,
    tensors: Vec<Tensor>,
) -> Result<Autoencoder> {
    let read = || {
        let config = Config::parse(config.as_bytes()).map_err(|e| format!("config.json: {e}"))?;
        let mut tensors = Tensors::of(tensors);
        let dictionary = import(&config, &mut tensors)?;
        tensors.finish()?;
        dictionary.network()
    };
    read().map_err(|problem| Error::format(path.as_ref(), None, problem))
}

/// The text of `config.json` and the state dict of a network for dictionary_learning.
///
/// The class is `AutoEncoderNew` for a dense code, which has no bias on the input and no other length of
/// the decoder's rows, `AutoEncoderTopK`, `BatchTopKSAE` (with prefixes `MatryoshkaBatchTopKSAE`) or
/// `JumpReluAutoEncoder`.
///
/// # Errors
/// [`Error::Shape`] if the network is no dictionary of one hidden layer with ReLUs and a linear output, or
/// a transcoder.
pub fn to_dictionary_learning(net: &Autoencoder) -> Result<(String, Vec<Tensor>)> {
    let dictionary = Dictionary::of(net).map_err(Error::Shape)?;
    if dictionary.transcodes {
        return Err(Error::Shape(
            "dictionary_learning saves no transcoders, and this network predicts targets other than its \
             input; SAELens and sparsify have transcoders"
                .to_owned(),
        ));
    }
    let (config, tensors) = export(dictionary);
    Ok((config.to_string(), tensors))
}

fn import(config: &Config, tensors: &mut Tensors) -> Parsed<Dictionary> {
    let trainer = config.object("trainer").ok_or("config.json: trainer: expected an object")?;
    let class = trainer.text("dict_class")?.ok_or("config.json: trainer: dict_class is missing")?;
    match class {
        "AutoEncoder" => {
            let mut dictionary = of_layers(tensors, "bias", Selection::Relu)?;
            dictionary.fold_input_bias();
            Ok(dictionary)
        }
        "AutoEncoderNew" => of_layers(tensors, "decoder.bias", Selection::Relu),
        "AutoEncoderTopK" => {
            let k = active_units(&trainer, tensors)?;
            tensors.take_number("threshold")?;
            let mut dictionary = of_layers(tensors, "b_dec", Selection::TopK(k))?;
            dictionary.fold_input_bias();
            Ok(dictionary)
        }
        "BatchTopKSAE" => {
            let selection = batch_top_k(&trainer, tensors, Prefixes::None)?;
            let mut dictionary = of_layers(tensors, "b_dec", selection)?;
            dictionary.fold_input_bias();
            Ok(dictionary)
        }
        "MatryoshkaBatchTopKSAE" => {
            let ends = group_ends(tensors)?;
            let prefixes = of_ends(ends.clone());
            let selection = batch_top_k(&trainer, tensors, prefixes)?;
            let mut dictionary = of_matrices(tensors, |_| Ok(selection))?;
            if let Some(&end) = ends.last().filter(|&&end| end != dictionary.units) {
                let units = dictionary.units;
                return Err(format!(
                    "tensor 'group_sizes' has groups of {end} units together; {units} were expected"
                ));
            }
            dictionary.fold_input_bias();
            Ok(dictionary)
        }
        "JumpReluAutoEncoder" => {
            let mut dictionary = of_matrices(tensors, |tensors| {
                Ok(Selection::JumpRelu(of_relu(tensors.take_vector("threshold")?)))
            })?;
            if trainer.flag("apply_b_dec_to_input", false)? {
                dictionary.fold_input_bias();
            }
            Ok(dictionary)
        }
        class => {
            let class: String = class.chars().take(40).flat_map(char::escape_debug).collect();
            Err(format!(
                "config.json: dict_class is '{class}', which this library does not have; \
                 AutoEncoder, AutoEncoderNew, AutoEncoderTopK, BatchTopKSAE, MatryoshkaBatchTopKSAE \
                 and JumpReluAutoEncoder are read"
            ))
        }
    }
}

/// The k of the state dict, or in old files that of the configuration.
fn active_units(trainer: &Config, tensors: &mut Tensors) -> Parsed<usize> {
    let told = trainer.count("k")?;
    let Some(stored) = tensors.take_number("k")? else {
        return told.ok_or_else(|| "config.json: trainer: k is missing".to_owned());
    };
    let k = stored as usize;
    if k as f32 != stored || told.is_some_and(|told| told != k) {
        let told = told.unwrap_or_default();
        return Err(format!("k is {stored} in the state dict and {told} in config.json"));
    }
    Ok(k)
}

fn batch_top_k(trainer: &Config, tensors: &mut Tensors, prefixes: Prefixes) -> Parsed<Selection> {
    let k = active_units(trainer, tensors)?;
    let threshold = tensors.take_number("threshold")?.unwrap_or(-1.0);
    Ok(Selection::BatchTopK { k, threshold: threshold.max(0.0), prefixes })
}

/// The ends of the groups of units that a Matryoshka was trained with, rising; all units are active
/// afterwards.
fn group_ends(tensors: &mut Tensors) -> Parsed<Vec<usize>> {
    let groups = tensors.take_any("group_sizes")?.unwrap_or_default();
    let mut end = 0usize;
    let ends = groups.iter().map(|&size| {
        let whole = size as usize;
        if whole as f32 != size || whole == 0 {
            return Err(format!(
                "tensor 'group_sizes' has the number {size}; expected whole numbers from 1"
            ));
        }
        end = end.checked_add(whole).ok_or("tensor 'group_sizes': too many units")?;
        Ok(end)
    });
    ends.collect()
}

/// Of `nn.Linear`s and an output bias of this name.
fn of_layers(tensors: &mut Tensors, bias: &str, selection: Selection) -> Parsed<Dictionary> {
    let ([units, features], encoder) = tensors.take_matrix("encoder.weight")?;
    let decoder = tensors.take("decoder.weight", &[features, units])?;
    Ok(Dictionary {
        features,
        units,
        outputs: features,
        transcodes: false,
        encoder,
        encoder_bias: tensors.take("encoder.bias", &[units])?,
        decoder: transposed(&decoder, features, units),
        bias: tensors.take(bias, &[features])?,
        skip: None,
        selection,
    })
}

/// Of matrices under SAELens' names.
fn of_matrices(
    tensors: &mut Tensors,
    selection: impl FnOnce(&mut Tensors) -> Parsed<Selection>,
) -> Parsed<Dictionary> {
    let ([features, units], encoder) = tensors.take_matrix("W_enc")?;
    let selection = selection(tensors)?;
    if let Selection::JumpRelu(thresholds) = &selection
        && thresholds.len() != units
    {
        let count = thresholds.len();
        return Err(format!("tensor 'threshold' is [{count}]; [{units}] was expected"));
    }
    Ok(Dictionary {
        features,
        units,
        outputs: features,
        transcodes: false,
        encoder: transposed(&encoder, features, units),
        encoder_bias: tensors.take("b_enc", &[units])?,
        decoder: tensors.take("W_dec", &[units, features])?,
        bias: tensors.take("b_dec", &[features])?,
        skip: None,
        selection,
    })
}

fn export(mut dictionary: Dictionary) -> (Value, Vec<Tensor>) {
    let (features, units) = (dictionary.features, dictionary.units);
    let number = |name, value| Tensor::new(name, &[], vec![value]);
    let groups = dictionary.group_sizes();
    let (class, k, more) = match &dictionary.selection {
        Selection::Relu => ("AutoEncoderNew", None, Vec::new()),
        // -1: no threshold was found.
        &Selection::TopK(k) => ("AutoEncoderTopK", Some(k), vec![number("threshold", -1.0)]),
        &Selection::BatchTopK { k, threshold, .. } => {
            let mut more = vec![number("threshold", threshold)];
            if groups.is_empty() {
                ("BatchTopKSAE", Some(k), more)
            } else {
                let sizes = groups.iter().map(|&size| size as f32).collect();
                more.push(Tensor::new("group_sizes", &[groups.len()], sizes));
                ("MatryoshkaBatchTopKSAE", Some(k), more)
            }
        }
        Selection::JumpRelu(thresholds) => {
            let thresholds = Tensor::new("threshold", &[units], thresholds.clone());
            ("JumpReluAutoEncoder", None, vec![thresholds])
        }
    };
    let mut trainer =
        json!({ "dict_class": class, "activation_dim": features, "dict_size": units });
    let mut tensors = more;
    if let Some(k) = k {
        trainer["k"] = json!(k);
        tensors.push(number("k", k as f32));
        dictionary.unfold_input_bias();
    }
    if !groups.is_empty() {
        trainer["group_sizes"] = json!(groups);
    }
    let Dictionary { encoder, encoder_bias, decoder, bias, selection, .. } = dictionary;
    if matches!(selection, Selection::JumpRelu(_)) || !groups.is_empty() {
        let encoder = transposed(&encoder, units, features);
        tensors.push(Tensor::new("W_enc", &[features, units], encoder));
        tensors.push(Tensor::new("b_enc", &[units], encoder_bias));
        tensors.push(Tensor::new("W_dec", &[units, features], decoder));
        tensors.push(Tensor::new("b_dec", &[features], bias));
    } else {
        let decoder = transposed(&decoder, units, features);
        let bias_name = if k.is_some() { "b_dec" } else { "decoder.bias" };
        tensors.push(Tensor::new("encoder.weight", &[units, features], encoder));
        tensors.push(Tensor::new("encoder.bias", &[units], encoder_bias));
        tensors.push(Tensor::new("decoder.weight", &[features, units], decoder));
        tensors.push(Tensor::new(bias_name, &[features], bias));
    }
    (json!({ "trainer": trainer }), tensors)
}
