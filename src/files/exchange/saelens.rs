//! SAELens' folders (`sae_lens/saes/sae.py` and `loading/pretrained_sae_loaders.py`, version 6.54).

use serde_json::{Value, json};

use super::config::Config;
use super::dictionary::{Dictionary, Selection, of_ends, of_relu};
use super::tensors::{Parsed, Tensor, Tensors, transposed};

/// The training of batch-top-k, and of Matryoshka; their dictionaries are saved as `jumprelu`, with one
/// threshold repeated.
const BATCH_TOP_K: [&str; 2] = ["batchtopk", "matryoshka_batchtopk"];

/// What SAELens keeps about the activations that a dictionary is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The model, by its name in TransformerLens, such as `gpt2-small`.
    pub model_name: Option<String>,
    /// The place in the model, such as `blocks.8.hook_resid_pre`.
    pub hook_name: Option<String>,
    /// The place of a transcoder's targets, such as `blocks.8.hook_mlp_out`.
    pub hook_name_out: Option<String>,
}

pub(super) fn import(config: &Config, tensors: &mut Tensors) -> Parsed<Dictionary> {
    let Architecture { code, transcodes, skips } = architecture(config)?;
    check_inputs(config)?;
    let (d_in, d_sae) = (config.needed_count("d_in")?, config.needed_count("d_sae")?);
    let d_out = if transcodes { config.needed_count("d_out")? } else { d_in };
    if transcodes && config.flag("apply_b_dec_to_input", false)? {
        return Err(
            "apply_b_dec_to_input is true, and a transcoder's input has no bias; expected \
                    false"
                .to_owned(),
        );
    }
    let encoder = tensors.take("W_enc", &[d_in, d_sae])?;
    let mut dictionary = Dictionary {
        features: d_in,
        units: d_sae,
        outputs: d_out,
        transcodes,
        encoder: transposed(&encoder, d_in, d_sae),
        encoder_bias: tensors.take("b_enc", &[d_sae])?,
        decoder: tensors.take("W_dec", &[d_sae, d_out])?,
        bias: tensors.take("b_dec", &[d_out])?,
        skip: skips.then(|| tensors.take("W_skip", &[d_out, d_in])).transpose()?,
        selection: match code {
            "topk" => Selection::TopK(active_units(config)?),
            "jumprelu" => thresholds(config, tensors.take("threshold", &[d_sae])?)?,
            _ => Selection::Relu,
        },
    };
    if let Some(factors) = tensors.take_any("scaling_factor")?
        && factors.iter().any(|&factor| factor != 1.0)
    {
        return Err("tensor 'scaling_factor' scales activations after the code (a finetuning of \
                    SAELens before 6.0), and this library has no such factors"
            .to_owned());
    }
    if !transcodes && config.flag("apply_b_dec_to_input", true)? {
        dictionary.fold_input_bias();
    }
    if code == "topk" && config.flag("rescale_acts_by_decoder_norm", false)? {
        dictionary.fold_decoder_lengths().map_err(|problem| {
            format!("rescale_acts_by_decoder_norm divides by lengths, and {problem}")
        })?;
    }
    Ok(dictionary)
}

/// What an architecture is.
struct Architecture {
    /// `standard`, `topk` or `jumprelu`.
    code: &'static str,
    transcodes: bool,
    skips: bool,
}

/// The architecture, with that of versions before 6.0.
fn architecture(config: &Config) -> Parsed<Architecture> {
    let name = config.text("architecture")?.unwrap_or("standard");
    let (of_code, transcodes, skips) = match name {
        "transcoder" => ("standard", true, false),
        "skip_transcoder" => ("standard", true, true),
        "jumprelu_transcoder" => ("jumprelu", true, false),
        "jumprelu_skip_transcoder" => ("jumprelu", true, true),
        name => (name, false, false),
    };
    let code = code(config, of_code)?;
    if transcodes && code == "topk" {
        return Err("activation_fn is 'topk', and SAELens' transcoders have a ReLU".to_owned());
    }
    Ok(Architecture { code, transcodes, skips })
}

/// The code of an architecture.
fn code(config: &Config, name: &str) -> Parsed<&'static str> {
    let old = config.text("activation_fn")?.or(config.text("activation_fn_str")?);
    match (name, old) {
        ("standard", Some("topk")) | ("topk", None | Some("topk" | "relu")) => Ok("topk"),
        ("standard", None | Some("relu")) => Ok("standard"),
        ("jumprelu", None | Some("relu")) => Ok("jumprelu"),
        ("standard" | "topk" | "jumprelu", Some(old)) => {
            let old = short(old);
            Err(format!("activation_fn is '{old}'; expected relu or topk"))
        }
        (name, _) if BATCH_TOP_K.contains(&name) => Err(format!(
            "architecture is '{name}', that of a training; save its dictionary in SAELens, with \
             save_inference_model"
        )),
        (name, _) => Err(format!(
            "architecture is '{}', which this library does not have; standard, topk, jumprelu and \
             transcoders are read",
            short(name)
        )),
    }
}

/// A text of a file as a message can have it.
fn short(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

/// The k of `topk`.
fn active_units(config: &Config) -> Parsed<usize> {
    let Some(kwargs) = config.object("activation_fn_kwargs") else {
        return config.needed_count("k");
    };
    if kwargs.flag("signed", false)? {
        return Err(
            "activation_fn_kwargs: signed is true, which keeps negative activations; this \
                    library's top-k does not"
                .to_owned(),
        );
    }
    config.count("k")?.map_or_else(|| kwargs.needed_count("k"), Ok)
}

/// The selection of `jumprelu`: batch-top-k's where the metadata say so.
fn thresholds(config: &Config, thresholds: Vec<f32>) -> Parsed<Selection> {
    let thresholds = of_relu(thresholds);
    let metadata = config.object("metadata");
    let trained_as = match &metadata {
        Some(metadata) => metadata.text("training_architecture")?,
        None => None,
    };
    let details = metadata.as_ref().and_then(|of| of.object("training_architecture_details"));
    let details = details.filter(|_| trained_as.is_some_and(|name| BATCH_TOP_K.contains(&name)));
    // Fractions are possible there.
    let k = details.as_ref().and_then(|details| details.count("k").ok().flatten());
    let one = thresholds.first().copied().filter(|one| thresholds.iter().all(|t| t == one));
    Ok(match (k, one) {
        (Some(k), Some(threshold)) if (1..=thresholds.len()).contains(&k) => {
            let ends = details.map_or(Ok(None), |details| details.counts("matryoshka_widths"))?;
            Selection::BatchTopK { k, threshold, prefixes: of_ends(ends.unwrap_or_default()) }
        }
        _ => Selection::JumpRelu(thresholds),
    })
}

/// Fails if inputs are treated in a way that weights cannot express.
fn check_inputs(config: &Config) -> Parsed<()> {
    let normalization = match config.flag("normalize_activations", false) {
        Ok(true) => "expected_average_only_in",
        Ok(false) => "none",
        // A text, since version 3.
        Err(_) => config.text("normalize_activations")?.unwrap_or("none"),
    };
    let problem = match normalization {
        "none" => None,
        "expected_average_only_in" => Some(
            "inputs are multiplied by a factor that is not in the files; fold it in SAELens, with \
             fold_activation_norm_scaling_factor",
        ),
        "covariance_whitening" => Some(
            "inputs are multiplied by a matrix that is not in the files; fold it in SAELens, with \
             fold_activation_whitening",
        ),
        "layer_norm" => Some(
            "each sample is normalized by its deviation with n - 1, and this library's layer-norm \
             has n",
        ),
        "constant_norm_rescale" => {
            Some("each sample is divided by its length, and this library has no such scaling")
        }
        _ => Some("this normalization is not known"),
    };
    if let Some(problem) = problem {
        let normalization = short(normalization);
        return Err(format!("normalize_activations is '{normalization}': {problem}"));
    }
    // `hook_z` makes one row of the heads' rows, as data are here in any case.
    match config.text("reshape_activations")?.unwrap_or("none") {
        "none" | "hook_z" => Ok(()),
        other => {
            let other = short(other);
            Err(format!("reshape_activations is '{other}'; none and hook_z are known"))
        }
    }
}

/// The configuration and the tensors of a dictionary.
pub(super) fn export(dictionary: Dictionary, metadata: &Metadata) -> Parsed<(Value, Vec<Tensor>)> {
    let Dictionary { features, units, outputs, transcodes, selection, skip, .. } = dictionary;
    let mut config = json!({
        "d_in": features,
        "d_sae": units,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": false,
        "normalize_activations": "none",
        "reshape_activations": "none",
    });
    config["metadata"] = about(metadata, &selection, units, transcodes)?;
    if transcodes {
        config["d_out"] = json!(outputs);
    }
    let (code, thresholds) = match selection {
        Selection::Relu => ("standard", None),
        Selection::TopK(_) if transcodes => {
            return Err(
                "SAELens has no transcoders with a top-k code (field code), which sparsify \
                        has"
                .to_owned(),
            );
        }
        Selection::TopK(k) => {
            config["k"] = json!(k);
            config["rescale_acts_by_decoder_norm"] = json!(false);
            ("topk", None)
        }
        Selection::BatchTopK { threshold, .. } => ("jumprelu", Some(vec![threshold; units])),
        Selection::JumpRelu(thresholds) => ("jumprelu", Some(thresholds)),
    };
    config["architecture"] = match (code, transcodes, skip.is_some()) {
        (code, false, _) => json!(code),
        ("standard", true, false) => json!("transcoder"),
        ("standard", true, true) => json!("skip_transcoder"),
        (code, true, false) => json!(format!("{code}_transcoder")),
        (code, true, true) => json!(format!("{code}_skip_transcoder")),
    };
    let encoder = transposed(&dictionary.encoder, units, features);
    let mut tensors = vec![
        Tensor::new("W_enc", &[features, units], encoder),
        Tensor::new("b_enc", &[units], dictionary.encoder_bias),
        Tensor::new("W_dec", &[units, outputs], dictionary.decoder),
        Tensor::new("b_dec", &[outputs], dictionary.bias),
    ];
    tensors.extend(skip.map(|weights| Tensor::new("W_skip", &[outputs, features], weights)));
    tensors.extend(thresholds.map(|values| Tensor::new("threshold", &[units], values)));
    Ok((config, tensors))
}

/// The metadata: where activations are from, and how a batch-top-k was trained.
fn about(
    metadata: &Metadata,
    selection: &Selection,
    units: usize,
    transcodes: bool,
) -> Parsed<Value> {
    let mut about = json!({
        // Of the format; older ones are converted when they are read.
        "sae_lens_version": "6.0.0",
        "sae_lens_training_version": null,
        "model_name": metadata.model_name,
        "hook_name": metadata.hook_name,
    });
    if let Some(name) = &metadata.hook_name_out {
        if !transcodes {
            return Err(
                "the network's targets are its input, and hook_name_out is for those of a \
                        transcoder; leave it out"
                    .to_owned(),
            );
        }
        about["hook_name_out"] = json!(name);
    }
    if let Selection::BatchTopK { k, prefixes, .. } = selection {
        let [plain, matryoshka] = BATCH_TOP_K;
        let widths = prefixes.of(units);
        about["training_architecture"] = json!(if widths.is_empty() { plain } else { matryoshka });
        let mut details = json!({ "k": k });
        if !widths.is_empty() {
            details["matryoshka_widths"] = json!(widths);
        }
        about["training_architecture_details"] = details;
    }
    Ok(about)
}
