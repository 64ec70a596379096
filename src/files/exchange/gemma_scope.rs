//! Gemma Scope's `params.npz` (Lieberum et al. 2024; read as in SAELens' `gemma_2_sae_huggingface_loader`).

use super::dictionary::{Dictionary, Selection, of_relu};
use super::tensors::{Parsed, Tensor, Tensors, transposed};

pub(super) fn import(tensors: &mut Tensors) -> Parsed<Dictionary> {
    // Those of embeddings have small letters.
    let name = |large: &'static str, small| if tensors.has(small) { small } else { large };
    let (encoder, decoder) = (name("W_enc", "w_enc"), name("W_dec", "w_dec"));
    let bias = tensors.take_vector("b_dec")?;
    let encoder_bias = tensors.take_vector("b_enc")?;
    let (features, units) = (bias.len(), encoder_bias.len());
    let thresholds = tensors.take("threshold", &[units])?;
    let encoder = tensors.take(encoder, &[features, units])?;
    Ok(Dictionary {
        features,
        units,
        encoder: transposed(&encoder, features, units),
        encoder_bias,
        decoder: tensors.take(decoder, &[units, features])?,
        bias,
        selection: Selection::JumpRelu(of_relu(thresholds)),
    })
}

/// The arrays of a dictionary.
pub(super) fn export(dictionary: Dictionary) -> Parsed<Vec<Tensor>> {
    let Dictionary { features, units, encoder, encoder_bias, decoder, bias, selection } =
        dictionary;
    let thresholds = match selection {
        // What is above 0, as of a ReLU.
        Selection::Relu => vec![0.0; units],
        Selection::BatchTopK { threshold, .. } => vec![threshold; units],
        Selection::JumpRelu(thresholds) => thresholds,
        Selection::TopK(_) => {
            return Err(
                "Gemma Scope has thresholds, and this code is top-k (field code), which has \
                        none; SAELens and sparsify have top-k"
                    .to_owned(),
            );
        }
    };
    Ok(vec![
        Tensor::new("W_enc", &[features, units], transposed(&encoder, units, features)),
        Tensor::new("W_dec", &[units, features], decoder),
        Tensor::new("b_enc", &[units], encoder_bias),
        Tensor::new("b_dec", &[features], bias),
        Tensor::new("threshold", &[units], thresholds),
    ])
}
