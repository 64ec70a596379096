//! ONNX files, which other programs run: ONNX Runtime, for example.
//!
//! Opset 13 of the standard operators, IR version 7 (ONNX 1.8, of 2020). The input of an encoder and
//! of a whole autoencoder is `features`, `[samples, features]`: numbers as the network takes them,
//! which is after the scaling ([`Autoencoder::scaling`]). An encoder gives `code`, `[samples,
//! units]`; a decoder takes `code` and gives `reconstruction`, `[samples, features]`, scaled as the
//! features are; an autoencoder gives `reconstruction` and `code`. All are `f32`, of any number of
//! samples.
//!
//! A scaling for each feature (`min-max:feature`, `mean-deviation:feature` or `center`) is part of the
//! encoder: its input, and that of a whole autoencoder, is then `unscaled_features`, `[samples, features]`
//! of `f64`, the numbers of the data as they are. Every other one is left to the program that runs the
//! file: with `unit-rms` it divides the numbers by `rms`, with `layer-norm` it normalizes each sample,
//! and gives the result as `features`.
//!
//! Weights and biases are named and shaped as in a model file, and the metadata are the
//! same: the key `sae`, whose value is JSON with the settings and the scaling.
//!
//! A transcoder's `reconstruction` is what it predicts, in the scaling of its targets, which is left to the
//! program that runs the file. With a skip connection (`skip.weight`) there is no decoder by itself, whose
//! input is the code alone.
//!
//! Outputs equal those of [`Autoencoder::encode`] and [`Autoencoder::decode`] but for the rounding of
//! sums. Rounding may decide between two almost equal activations of a top-k code, or at a threshold;
//! of equal activations, top-k keeps the first here, too.

mod wire;

use std::path::Path;

use prost::Message;
use sae_kernels::Activation;
use sae_kernels::activation::LEAK;

use crate::data::scaling::Scaling;
use crate::error::{Error, Result};
use crate::files::atomic;
use crate::files::model::{KEY, SKIP, layer_name, little_endian};
use crate::network::autoencoder::Autoencoder;
use crate::network::layers::{Layer, end, skip_layer};
use crate::settings::Code;
use wire::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

const IR_VERSION: i64 = 7;
const OPSET: i64 = 13;

/// Maximum length of a message: many readers hold lengths in an `int`.
const MAX_BYTES: usize = i32::MAX as usize;

const FEATURES: &str = "features";
const UNSCALED: &str = "unscaled_features";
const CODE: &str = "code";
const RECONSTRUCTION: &str = "reconstruction";
/// The output before that of a skip connection is added.
const DECODED: &str = "decoded";

/// The part of a network that a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// From features to the code.
    Encoder,
    /// From the code to the reconstruction.
    Decoder,
    /// From features to the reconstruction and the code.
    Autoencoder,
}

impl Part {
    /// All of them.
    #[doc(hidden)]
    pub const ALL: [Part; 3] = [Part::Encoder, Part::Decoder, Part::Autoencoder];

    /// The name of the file's graph.
    #[doc(hidden)]
    pub fn name(self) -> &'static str {
        match self {
            Part::Encoder => "encoder",
            Part::Decoder => "decoder",
            Part::Autoencoder => "autoencoder",
        }
    }
}

impl Autoencoder {
    /// Writes a part of the network as an ONNX file, atomically.
    ///
    /// The input `features` is `[samples, features]`, scaled as [`Autoencoder::scaling`] says; the
    /// outputs are `code`, `[samples, units]`, and `reconstruction`, `[samples, features]`. A
    /// decoder's input is `code`. With a scaling for each feature, such as center, the input is
    /// `unscaled_features`, of `f64`, and the file scales it; with unit-rms and layer-norm it is
    /// `features`, scaled by whoever runs the file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written; those of [`Autoencoder::to_onnx`].
    pub fn save_onnx(&self, path: impl AsRef<Path>, part: Part) -> Result<()> {
        let path = path.as_ref();
        let bytes = self.to_onnx(part)?;
        atomic::write(path, &bytes)
    }

    /// The bytes of an ONNX file of a part of the network.
    ///
    /// # Errors
    /// [`Error::Shape`] if the part takes more than the 2 GiB that readers of ONNX allow;
    /// [`Error::Setting`] if numbers that a scaling for each feature takes are too large.
    #[doc(hidden)]
    pub fn to_onnx(&self, part: Part) -> Result<Vec<u8>> {
        let settings = self.settings();
        let (layers, encoder) = (self.layers(), settings.encoder_layers());
        let chosen = match part {
            Part::Encoder => 0..encoder,
            Part::Decoder => encoder..layers.len(),
            Part::Autoencoder => 0..layers.len(),
        };
        let skip = skip_layer(settings).filter(|_| part != Part::Encoder);
        if skip.is_some() && part == Part::Decoder {
            return Err(Error::setting(
                "skip",
                "a decoder's only input is the code, and the skip connection needs that of the \
                 network, too; write the whole network",
            ));
        }
        check_size(layers[chosen.clone()].iter().chain(&skip))?;
        let mut graph = GraphProto { name: part.name().to_owned(), ..GraphProto::default() };
        let scales = part != Part::Decoder && self.scaling.kind().is_by_feature();
        if scales {
            add_scaling(&mut graph, &self.scaling, settings.layers[0])?;
        }
        for l in chosen {
            add_layer(&mut graph, self, l)?;
        }
        if let Some(skip) = skip {
            add_skip(&mut graph, self, skip);
        }
        let features = || match scales {
            true => value(UNSCALED, wire::DOUBLE, settings.layers[0]),
            false => value(FEATURES, wire::FLOAT, settings.layers[0]),
        };
        let code = || value(CODE, wire::FLOAT, settings.code_units());
        let outputs = settings.layers[layers.len()];
        let reconstruction = || value(RECONSTRUCTION, wire::FLOAT, outputs);
        (graph.input, graph.output) = match part {
            Part::Encoder => (vec![features()], vec![code()]),
            Part::Decoder => (vec![code()], vec![reconstruction()]),
            Part::Autoencoder => (vec![features()], vec![reconstruction(), code()]),
        };
        let model = ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![wire::OperatorSetIdProto { domain: String::new(), version: OPSET }],
            producer_name: "sae".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(graph),
            metadata_props: vec![wire::StringStringEntryProto {
                key: KEY.to_owned(),
                value: self.metadata(),
            }],
        };
        Ok(model.encode_to_vec())
    }
}

/// Fails if these layers are too large for a file, before any memory is allocated.
fn check_size<'a>(layers: impl Iterator<Item = &'a Layer>) -> Result<()> {
    /// Room for all but weights and biases.
    const REST: usize = 1 << 20;
    let numbers: usize = layers.map(|layer| (layer.inputs + 1) * layer.outputs).sum();
    if numbers <= (MAX_BYTES - REST) / 4 {
        return Ok(());
    }
    Err(Error::Shape(format!(
        "{numbers} parameters take more than the 2 GiB that an ONNX file may have"
    )))
}

/// An input or an output, `[samples, width]`.
fn value(name: &str, elem_type: i32, width: usize) -> ValueInfoProto {
    let samples = wire::Dimension { dim_param: Some("samples".to_owned()), dim_value: None };
    let width = wire::Dimension { dim_param: None, dim_value: Some(width as i64) };
    let shape = wire::TensorShapeProto { dim: vec![samples, width] };
    let tensor = wire::TypeTensor { elem_type, shape: Some(shape) };
    let kind = wire::TypeProto { tensor_type: Some(tensor) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind) }
}

fn floats(name: &str, dims: &[usize], raw_data: Vec<u8>) -> TensorProto {
    let dims = dims.iter().map(|&dim| dim as i64).collect();
    TensorProto { dims, data_type: wire::FLOAT, name: name.to_owned(), raw_data }
}

/// A node of one output, whose name it has.
fn node(op: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: input.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        name: output.to_owned(),
        op_type: op.to_owned(),
        attribute,
    }
}

/// Adds what makes features of the numbers of the data, in `f64`.
fn add_scaling(graph: &mut GraphProto, scaling: &Scaling, features: usize) -> Result<()> {
    let terms = (0..features).map(|feature| {
        let problem = "the numbers are too large to be scaled by an ONNX file; divide them by 2^64";
        let terms = scaling.line(feature).terms();
        terms.ok_or_else(|| Error::setting("scaling", format!("feature {feature}: {problem}")))
    });
    let terms = terms.collect::<Result<Vec<_>>>()?;
    let (subtract, divide): (Vec<f64>, Vec<f64>) = terms.into_iter().unzip();
    for (name, numbers) in [("scaling.subtract", subtract), ("scaling.divide", divide)] {
        let raw_data = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let (dims, name) = (vec![features as i64], name.to_owned());
        graph.initializer.push(TensorProto { dims, data_type: wire::DOUBLE, name, raw_data });
    }
    let to_float = AttributeProto::int("to", wire::FLOAT.into());
    graph.node.extend([
        node("Sub", &[UNSCALED, "scaling.subtract"], "scaling.difference", vec![]),
        node("Div", &["scaling.difference", "scaling.divide"], "scaling.quotient", vec![]),
        node("Cast", &["scaling.quotient"], FEATURES, vec![to_float]),
    ]);
    Ok(())
}

/// Adds the sums, the activation and the gate of a layer.
fn add_layer(graph: &mut GraphProto, net: &Autoencoder, l: usize) -> Result<()> {
    let settings = net.settings();
    let (layer, encoder) = (net.layers()[l], settings.encoder_layers());
    // Values between layers have the names of the layers in a model file.
    let input = match l {
        0 => FEATURES.to_owned(),
        l if l == encoder => CODE.to_owned(),
        l => layer_name(l - 1, encoder),
    };
    let name = layer_name(l, encoder);
    let output = match l + 1 {
        next if next == encoder => CODE,
        next if next == 2 * encoder && settings.skip => DECODED,
        next if next == 2 * encoder => RECONSTRUCTION,
        _ => &name,
    };
    let open = format!("{name}.open");
    let activations = if settings.is_gated(l) { &open } else { output };
    let sums = match settings.activation_of(l) {
        Activation::Linear => activations.to_owned(),
        _ => format!("{name}.sum"),
    };

    let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
    let transposed = AttributeProto::int("transB", 1);
    graph.node.push(node("Gemm", &[&input, &weight, &bias], &sums, vec![transposed]));
    let weights = net.transposed_weights(layer);
    graph.initializer.push(floats(&weight, &[layer.outputs, layer.inputs], weights));
    let biases = little_endian(net.biases(l));
    graph.initializer.push(floats(&bias, &[layer.outputs], biases));

    let mut activate = |op, inputs: &[&str], attributes| {
        let inputs = [&[sums.as_str()], inputs].concat();
        graph.node.push(node(op, &inputs, activations, attributes));
    };
    match settings.activation_of(l) {
        Activation::Linear => {}
        Activation::Sigmoid => activate("Sigmoid", &[], vec![]),
        Activation::Tanh => activate("Tanh", &[], vec![]),
        Activation::Relu => activate("Relu", &[], vec![]),
        Activation::LeakyRelu => {
            activate("LeakyRelu", &[], vec![AttributeProto::float("alpha", LEAK)]);
        }
        Activation::SaturatingLinear => {
            let (zero, one) = (format!("{name}.min"), format!("{name}.max"));
            activate("Clip", &[&zero, &one], vec![]);
            graph.initializer.push(floats(&zero, &[], little_endian(&[0.0])));
            graph.initializer.push(floats(&one, &[], little_endian(&[1.0])));
        }
        other => {
            let problem = format!("{} has no operator in ONNX", other.name());
            return Err(Error::setting("activation", problem));
        }
    }
    if settings.is_gated(l) {
        add_gate(graph, net, activations, output);
    }
    Ok(())
}

/// Adds what the skip connection makes of the features to the decoded code.
fn add_skip(graph: &mut GraphProto, net: &Autoencoder, skip: Layer) {
    let transposed = AttributeProto::int("transB", 1);
    let inputs = [FEATURES, SKIP, DECODED];
    graph.node.push(node("Gemm", &inputs, RECONSTRUCTION, vec![transposed]));
    let weights = net.transposed_weights(skip);
    graph.initializer.push(floats(SKIP, &[skip.outputs, skip.inputs], weights));
}

/// Adds the gate of the code, which sets activations to 0.
fn add_gate(graph: &mut GraphProto, net: &Autoencoder, activations: &str, code: &str) {
    let parameters = &net.parameters()[end(&net.layers())..];
    let thresholds = match net.settings().code {
        Code::Dense => return,
        Code::TopK(k) => {
            // Of equal numbers TopK takes the first.
            let mut top = node("TopK", &[activations, "code.k"], "code.kept", vec![]);
            top.output.push("code.units".to_owned());
            graph.node.extend([
                top,
                node("Shape", &[activations], "code.shape", vec![]),
                // Without an attribute the constant is 0.
                node("ConstantOfShape", &["code.shape"], "code.zeros", vec![]),
                node(
                    "ScatterElements",
                    &["code.zeros", "code.units", "code.kept"],
                    code,
                    vec![AttributeProto::int("axis", 1)],
                ),
            ]);
            graph.initializer.push(TensorProto {
                dims: vec![1],
                data_type: wire::INT64,
                name: "code.k".to_owned(),
                raw_data: (k as i64).to_le_bytes().to_vec(),
            });
            return;
        }
        Code::BatchTopK(_) => parameters.to_vec(),
        Code::JumpRelu { .. } => {
            let (scale, thresholds) = parameters.split_last().expect("a scale");
            thresholds.iter().map(|threshold| threshold * scale).collect()
        }
    };
    graph.node.extend([
        node("Greater", &[activations, "code.threshold"], "code.active", vec![]),
        node("Where", &["code.active", activations, "code.zero"], code, vec![]),
    ]);
    let dims = [thresholds.len()];
    graph.initializer.push(floats("code.threshold", &dims, little_endian(&thresholds)));
    graph.initializer.push(floats("code.zero", &[], little_endian(&[0.0])));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn net(code: Code) -> Autoencoder {
        let activation = Activation::SaturatingLinear;
        let layers = vec![6, 5, 4, 3, 6];
        let settings =
            Settings { layers, activation, code, beta: 0.0, rho: 0.1, ..Settings::default() };
        let scaling = Scaling::MinMax { min: -0.1, max: 1.0 / 3.0 };
        Autoencoder::new(settings, scaling).unwrap()
    }

    fn model(net: &Autoencoder, part: Part) -> ModelProto {
        ModelProto::decode(&net.to_onnx(part).unwrap()[..]).unwrap()
    }

    /// Names, and widths behind the samples.
    fn widths(values: &[ValueInfoProto]) -> Vec<(&str, i64)> {
        let width = |value: &ValueInfoProto| {
            let tensor = value.r#type.clone().unwrap().tensor_type.unwrap();
            let dims = tensor.shape.unwrap().dim;
            assert_eq!(tensor.elem_type, wire::FLOAT);
            assert_eq!(dims[0].dim_param.as_deref(), Some("samples"));
            dims[1].dim_value.unwrap()
        };
        values.iter().map(|value| (value.name.as_str(), width(value))).collect()
    }

    #[test]
    fn parts_take_and_give_what_is_said() {
        for code in [
            Code::Dense,
            Code::TopK(2),
            Code::JumpRelu { l0: 1e-3, bandwidth: 0.1, threshold: 0.1 },
        ] {
            let net = net(code);
            for (part, input, outputs) in [
                (Part::Encoder, ("features", 6), &[("code", 4)][..]),
                (Part::Decoder, ("code", 4), &[("reconstruction", 6)]),
                (Part::Autoencoder, ("features", 6), &[("reconstruction", 6), ("code", 4)]),
            ] {
                let model = model(&net, part);
                let graph = model.graph.unwrap();
                assert_eq!(widths(&graph.input), [input]);
                assert_eq!(widths(&graph.output), outputs);
                // Each value is made once, before it is asked for.
                let mut known: Vec<_> = graph.initializer.iter().map(|t| t.name.clone()).collect();
                known.push(input.0.to_owned());
                for node in &graph.node {
                    assert!(node.input.iter().all(|name| known.contains(name)), "{node:?}");
                    assert!(!node.output.iter().any(|name| known.contains(name)), "{node:?}");
                    known.extend(node.output.iter().cloned());
                }
                assert!(outputs.iter().all(|output| known.iter().any(|name| name == output.0)));
            }
        }
    }

    /// With a scaling for each feature, the file takes numbers of the data.
    #[test]
    fn a_scaling_for_each_feature_is_part_of_the_file() {
        let (min, max) = ([-1e6, 0.0, 5.0, -2e280, 1.0, 2.0], [1e6, 1e-3, 5.0, 2e280, 2.0, 4.0]);
        let net = net(Code::Dense);
        let scaling = Scaling::MinMaxByFeature { min: min.into(), max: max.into() };
        let net = Autoencoder::new(net.settings().clone(), scaling.clone()).unwrap();
        for part in [Part::Encoder, Part::Autoencoder] {
            let graph = model(&net, part).graph.unwrap();
            let tensor = graph.input[0].r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
            let input = (graph.input[0].name.as_str(), tensor.elem_type);
            assert_eq!(input, (UNSCALED, wire::DOUBLE));
            let operators: Vec<_> = graph.node.iter().map(|node| node.op_type.as_str()).collect();
            assert_eq!(operators[..4], ["Sub", "Div", "Cast", "Gemm"]);
            let numbers = |at: usize| -> Vec<f64> {
                let bytes = graph.initializer[at].raw_data.as_chunks().0;
                bytes.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()
            };
            let (subtract, divide) = (numbers(0), numbers(1));
            assert_eq!(divide[2], f64::INFINITY);
            for feature in 0..6 {
                let number = 0.3 * min[feature] + 0.7 * max[feature];
                let scaled = ((number - subtract[feature]) / divide[feature]) as f32;
                assert_eq!(scaled, scaling.line(feature).scale(number), "{feature}");
            }
        }
        let decoder = model(&net, Part::Decoder).graph.unwrap();
        assert_eq!(widths(&decoder.input), [("code", 4)]);
        let huge = Scaling::MinMaxByFeature { min: [-1e308; 6].into(), max: [1e308; 6].into() };
        let net = Autoencoder::new(net.settings().clone(), huge).unwrap();
        let problem = net.to_onnx(Part::Encoder).unwrap_err().to_string();
        assert!(problem.starts_with("scaling: feature 0: the numbers are too large"), "{problem}");
    }

    /// Centering is part of the file, too; what is one number for all, or of each sample, is not.
    #[test]
    fn other_scalings_are_part_of_the_file_or_not() {
        let settings = net(Code::Dense).settings().clone();
        let mean = [-1e6, 0.0, 0.1, 2e280, 1.0, 2.5];
        let scaling = Scaling::Center { mean: mean.into() };
        let net = Autoencoder::new(settings.clone(), scaling.clone()).unwrap();
        for part in [Part::Encoder, Part::Autoencoder] {
            let graph = model(&net, part).graph.unwrap();
            assert_eq!(graph.input[0].name, UNSCALED);
            let numbers = |name: &str| -> Vec<f64> {
                let tensor = graph.initializer.iter().find(|tensor| tensor.name == name).unwrap();
                let bytes = tensor.raw_data.as_chunks().0;
                bytes.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()
            };
            let (subtract, divide) = (numbers("scaling.subtract"), numbers("scaling.divide"));
            assert_eq!((&subtract[..], &divide[..]), (&mean[..], &[1.0; 6][..]));
            for (feature, mean) in mean.into_iter().enumerate() {
                let number = 1.7 + mean;
                let scaled = ((number - subtract[feature]) / divide[feature]) as f32;
                assert_eq!(scaled, scaling.line(feature).scale(number), "{feature}");
            }
        }
        for scaling in [Scaling::UnitRms { rms: 2.0 }, Scaling::LayerNorm] {
            let net = Autoencoder::new(settings.clone(), scaling).unwrap();
            let graph = model(&net, Part::Autoencoder).graph.unwrap();
            assert_eq!(widths(&graph.input), [(FEATURES, 6)]);
            assert!(graph.node.iter().all(|node| node.op_type != "Sub"));
        }
    }

    #[test]
    fn tensors_and_metadata_are_those_of_a_model_file() {
        let net = net(Code::BatchTopK(2));
        let bytes = net.to_bytes().unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let model = model(&net, Part::Autoencoder);
        assert_eq!((model.ir_version, model.opset_import[0].version), (7, 13));
        assert_eq!(model.metadata_props[0].key, "sae");
        assert_eq!(model.metadata_props[0].value, net.metadata());
        let graph = model.graph.unwrap();
        let mut found = 0;
        for tensor in &graph.initializer {
            let Ok(want) = file.tensor(&tensor.name) else { continue };
            let dims: Vec<_> = tensor.dims.iter().map(|&dim| dim as usize).collect();
            assert_eq!((dims.as_slice(), &tensor.raw_data[..]), (want.shape(), want.data()));
            found += 1;
        }
        assert_eq!(found, file.len());
    }

    #[test]
    fn more_than_readers_take_is_refused() {
        let layer = |inputs| Layer { inputs, outputs: 1 << 14, start: 0, by_unit: false };
        check_size([layer((1 << 15) - 100)].iter()).unwrap();
        let problem = check_size([layer(1 << 15)].iter()).unwrap_err().to_string();
        assert!(problem.contains("536887296 parameters take more than the 2 GiB"), "{problem}");
    }
}
