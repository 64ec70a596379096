//! Gemma Scope's `params.npz` (Lieberum et al. 2024; read as in SAELens' `gemma_2_sae_huggingface_loader`).

use super::dictionary::{Dictionary, Selection, of_relu};
use super::tensors::{Parsed, Tensor, Tensors, transposed};

pub(super) fn import(tensors: &mut Tensors) -> Parsed<Dictionary> {
    // Those of embeddings have small letters.
    let name = |large: &'static str, small| if tensors.has(small) { small } else { large };
    let (encoder, decoder) = (name("W_enc", "w_enc"), name("W_dec", "w_dec"));
    if !tensors.has("b_dec") && !tensors.has(encoder) && !tensors.has(decoder) {
        return Err(of_other_arrays(&tensors.names()));
    }
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

/// What an archive is that has none of the arrays of a dictionary.
fn of_other_arrays(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    let have = match names.len() {
        0 => "no arrays".to_owned(),
        count if count > SHOWN => format!("the arrays {shown} and {} more", count - SHOWN),
        1 => format!("the array {shown}"),
        _ => format!("the arrays {shown}"),
    };
    format!(
        "an .npz archive with {have}: neither a dictionary of Gemma Scope (W_enc, W_dec, b_enc, b_dec, threshold) \
         nor sparse codes of SciPy; for samples save one array with np.save, not np.savez"
    )
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
