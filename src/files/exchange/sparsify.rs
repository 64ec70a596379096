//! The folders of EleutherAI's sparsify (`sparsify/sparse_coder.py` and `config.py`, version 1.3).

use serde_json::{Value, json};

use super::config::Config;
use super::dictionary::{Dictionary, Selection};
use super::tensors::{Parsed, Tensor, Tensors};

pub(super) fn import(config: &Config, tensors: &mut Tensors) -> Parsed<Dictionary> {
    match config.text("activation")?.unwrap_or("topk") {
        "topk" => {}
        "groupmax" => {
            return Err(
                "activation is 'groupmax', the largest of each group of units, which this \
                        library does not have; topk is read"
                    .to_owned(),
            );
        }
        _ => return Err("activation: expected topk".to_owned()),
    }
    if config.flag("signed", false)? {
        return Err("signed is true, which keeps negative activations; this library's top-k does \
                    not"
        .to_owned());
    }
    let transcodes = config.flag("transcode", false)?;
    let skips = config.flag("skip_connection", false)?;
    let d_in = config.needed_count("d_in")?;
    let units = match config.count("num_latents")? {
        Some(units) if units > 0 => units,
        // (multi_topk and normalize_decoder are of the training alone.)
        _ => {
            let units = config.needed_count("expansion_factor")?.checked_mul(d_in);
            units.ok_or("expansion_factor: more units than memory can address")?
        }
    };
    let mut dictionary = Dictionary {
        features: d_in,
        units,
        outputs: d_in,
        // An autoencoder with a skip connection has targets, too: of its input alone it would learn a copy.
        transcodes: transcodes || skips,
        encoder: tensors.take("encoder.weight", &[units, d_in])?,
        encoder_bias: tensors.take("encoder.bias", &[units])?,
        decoder: tensors.take("W_dec", &[units, d_in])?,
        bias: tensors.take("b_dec", &[d_in])?,
        skip: skips.then(|| tensors.take("W_skip", &[d_in, d_in])).transpose()?,
        selection: Selection::TopK(config.needed_count("k")?),
    };
    if !transcodes {
        dictionary.fold_input_bias();
    }
    Ok(dictionary)
}

/// The configuration and the tensors of a dictionary; whether its decoder's rows are kept at length 1.
pub(super) fn export(mut dictionary: Dictionary, normalized: bool) -> Parsed<(Value, Vec<Tensor>)> {
    let Selection::TopK(k) = dictionary.selection else {
        return Err("sparsify has top-k codes alone (field code); SAELens and Gemma Scope have \
                    thresholds"
            .to_owned());
    };
    if dictionary.outputs != dictionary.features {
        let (features, outputs) = (dictionary.features, dictionary.outputs);
        return Err(format!(
            "sparsify's transcoders have as many outputs as inputs, and this network has {features} \
             and {outputs} (field layers)"
        ));
    }
    let transcodes = dictionary.transcodes;
    if !transcodes {
        dictionary.unfold_input_bias();
    }
    let Dictionary { features, units, encoder, encoder_bias, decoder, bias, skip, .. } = dictionary;
    let config = json!({
        "activation": "topk",
        "d_in": features,
        // What counts is num_latents.
        "expansion_factor": units.div_ceil(features),
        "k": k,
        "multi_topk": false,
        "normalize_decoder": normalized,
        "num_latents": units,
        "skip_connection": skip.is_some(),
        "transcode": transcodes,
    });
    let mut tensors = vec![
        Tensor::new("encoder.weight", &[units, features], encoder),
        Tensor::new("encoder.bias", &[units], encoder_bias),
        Tensor::new("W_dec", &[units, features], decoder),
        Tensor::new("b_dec", &[features], bias),
    ];
    tensors.extend(skip.map(|weights| Tensor::new("W_skip", &[features, features], weights)));
    Ok((config, tensors))
}
