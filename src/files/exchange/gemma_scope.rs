//! Gemma Scope's `params.npz` (Lieberum et al. 2024; read as in SAELens' `gemma_2_sae_huggingface_loader`).

use super::dictionary::{Dictionary, Selection, of_relu};
use super::tensors::{Parsed, Tensor, Tensors, transposed};

pub(super) fn import(tensors: &mut Tensors) -> Parsed<Dictionary> {
    // Those of embeddings have small letters.
    let name = |large: &'static str, small| if tensors.has(small) { small } else { large };
    let (encoder, decoder) = (name("W_enc", "w_enc"), name("W_dec", "w_dec"));
    let bias = tensors.take_vector("b_dec")?;
    let encoder_bias = tensors.take_vector("b_enc")?;
    let units = encoder_bias.len();
    let thresholds = tensors.take("threshold", &[units])?;
    let ([features, columns], encoder) = tensors.take_matrix(encoder)?;
    if columns != units {
        return Err(format!(
            "tensor 'W_enc' is [{features}, {columns}]; [{features}, {units}] was expected"
        ));
    }
    let outputs = bias.len();
    Ok(Dictionary {
        features,
        units,
        outputs,
        // One with as many outputs as inputs looks like an autoencoder.
        transcodes: outputs != features,
        encoder: transposed(&encoder, features, units),
        encoder_bias,
        decoder: tensors.take(decoder, &[units, outputs])?,
        bias,
        skip: None,
        selection: Selection::JumpRelu(of_relu(thresholds)),
    })
}

/// The arrays of a dictionary.
pub(super) fn export(dictionary: Dictionary) -> Parsed<Vec<Tensor>> {
    let Dictionary { features, units, outputs, encoder, encoder_bias, decoder, bias, .. } =
        dictionary;
    if dictionary.skip.is_some() {
        return Err(
            "Gemma Scope has no skip connection (field skip); SAELens and sparsify have one"
                .to_owned(),
        );
    }
    let thresholds = match dictionary.selection {
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
        Tensor::new("W_dec", &[units, outputs], decoder),
        Tensor::new("b_enc", &[units], encoder_bias),
        Tensor::new("b_dec", &[outputs], bias),
        Tensor::new("threshold", &[units], thresholds),
    ])
}
