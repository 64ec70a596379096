//! A trained network, and the checkpoint that its training can be resumed from.

use std::mem;
use std::path::PathBuf;

use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use sae::{
    Autoencoder, Code, Samples, Scaling, Settings,
    analysis::Activity,
    files::exchange::{self, Format, Metadata, Tensor},
    network::SparseCodes,
};

use crate::data::{Data, named};
use crate::engines::Lent;
use crate::failure;
use crate::units_of_data::{is_scaled, unscale, unscale_codes};

/// An immutable network, and the checkpoint of its training, if that can be resumed.
#[pyclass(frozen, module = "sae._sae")]
pub struct Network {
    pub net: Autoencoder,
    pub training: Option<Vec<u8>>,
}

/// Fails unless samples have targets if the network predicts some, and only then.
pub fn check_targets(net: &Autoencoder, samples: &Samples) -> PyResult<()> {
    if net.target_scaling().is_some() == samples.targets().is_some() {
        return Ok(());
    }
    Err(PyValueError::new_err(match samples.targets() {
        Some(_) => "targets: the network was trained to reconstruct X",
        None => "targets: expected those of X, which the network predicts",
    }))
}

/// Name, shape and numbers.
type NamedTensor<'py> = (String, Vec<usize>, Bound<'py, PyArray1<f32>>);

type Layer<'py> = (Bound<'py, PyArray2<f32>>, Bound<'py, PyArray1<f32>>);

impl Network {
    /// Features of what is reconstructed or predicted.
    fn outputs(&self) -> usize {
        self.net.settings().layers.last().copied().unwrap_or_default()
    }

    /// The samples with the scaling of the network, and an engine for them.
    pub fn prepare(&self, data: &Data<'_>, threads: Option<usize>) -> PyResult<(Samples, Lent)> {
        let scalings = [Some(self.net.scaling()), self.net.target_scaling()];
        let samples = data.pairs(scalings)?;
        Ok((samples, Lent::new(threads)?))
    }
}

#[pymethods]
impl Network {
    #[staticmethod]
    fn load(path: PathBuf) -> PyResult<Self> {
        let net = Autoencoder::load(path).map_err(failure::of)?;
        Ok(Network { net, training: None })
    }

    /// A dictionary of another library that is not a pickle.
    #[staticmethod]
    fn from_dictionary(path: PathBuf) -> PyResult<Self> {
        let net = exchange::import(path).map_err(failure::of)?;
        Ok(Network { net, training: None })
    }

    /// A dictionary of dictionary_learning: the text of its `config.json`, and its state dict.
    #[staticmethod]
    fn from_dictionary_learning(
        path: PathBuf,
        config: &str,
        state: Vec<(String, Vec<usize>, PyReadonlyArray1<'_, f32>)>,
    ) -> PyResult<Self> {
        let tensors = state.into_iter().map(|(name, shape, values)| {
            Ok(Tensor { name, shape, values: values.as_slice()?.to_vec() })
        });
        let tensors = tensors.collect::<PyResult<Vec<_>>>()?;
        let net = exchange::from_dictionary_learning(path, config, tensors);
        Ok(Network { net: net.map_err(failure::of)?, training: None })
    }

    /// The text of `config.json` and the state dict for dictionary_learning.
    fn to_dictionary_learning<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(String, Vec<NamedTensor<'py>>)> {
        let (config, tensors) = exchange::to_dictionary_learning(&self.net).map_err(failure::of)?;
        let state = tensors.into_iter();
        let state = state.map(|of| (of.name, of.shape, of.values.into_pyarray(py)));
        Ok((config, state.collect()))
    }

    /// Writes it for another library; `names` are the model's, and those of the places of its samples and
    /// targets in it.
    fn export(
        &self,
        py: Python<'_>,
        path: PathBuf,
        format: &str,
        names: [Option<String>; 3],
    ) -> PyResult<()> {
        let found = Format::ALL.into_iter().find(|one| one.name() == format);
        let format =
            found.ok_or_else(|| PyValueError::new_err("format: not one of the library's"))?;
        let [model_name, hook_name, hook_name_out] = names;
        let metadata = Metadata { model_name, hook_name, hook_name_out };
        py.detach(|| exchange::export(&self.net, format, path, &metadata)).map_err(failure::of)
    }

    #[staticmethod]
    fn from_bytes(model: &[u8], training: Option<Vec<u8>>) -> PyResult<Self> {
        let net = Autoencoder::from_bytes("pickle", model).map_err(failure::of)?;
        Ok(Network { net, training })
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.net.save(path)).map_err(failure::of)
    }

    /// The content of a model file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.net.to_bytes().map_err(failure::of)?))
    }

    #[allow(clippy::type_complexity)]
    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>))> {
        let training = self.training.as_ref().map(|bytes| PyBytes::new(py, bytes));
        Ok((py.get_type::<Network>().getattr("from_bytes")?, (self.to_bytes(py)?, training)))
    }

    /// The settings as JSON.
    #[getter]
    fn settings(&self) -> String {
        self.net.settings().to_json()
    }

    /// The kind of the scaling of the data.
    #[getter]
    fn scaling(&self) -> String {
        self.net.scaling().kind().to_string()
    }

    /// The kind of the scaling of what is reconstructed or predicted.
    #[getter]
    fn output_scaling(&self) -> String {
        self.net.target_scaling().unwrap_or_else(|| self.net.scaling()).kind().to_string()
    }

    /// The same network, which counts units of sigmoids as active above this number.
    fn with_active_above(&self, text: &str) -> PyResult<Self> {
        let mut settings = self.net.settings().clone();
        settings.set("active_above", text, None).map_err(failure::of)?;
        let net = self.net.clone().with_settings(settings).map_err(failure::of)?;
        Ok(Network { net, training: None })
    }

    /// Fails for the first of these settings, names and texts, that describes another network than this.
    fn check_describes(&self, options: Vec<(String, String)>) -> PyResult<()> {
        let own = self.net.settings();
        let describes = |name: &str| Settings::ARCHITECTURE.contains(&name);
        for field in Settings::fields().iter().filter(|field| describes(field.name)) {
            let Some((name, text)) = options.iter().find(|(name, _)| name == field.name) else {
                continue;
            };
            let mut other = own.clone();
            other.set(name, text, None).map_err(failure::of)?;
            let is_same_kind = mem::discriminant(&own.code) == mem::discriminant(&other.code);
            let (expected, got) = (field.text(own), field.text(&other));
            if expected != got && !(name == "code" && is_same_kind) {
                return Err(PyValueError::new_err(format!(
                    "{name}: expected {expected}, which the network of the file has, got {got}"
                )));
            }
        }
        Ok(())
    }

    #[getter]
    fn code_units(&self) -> usize {
        self.net.settings().code_units()
    }

    /// Whether the code is a sparse one.
    #[getter]
    fn is_sparse(&self) -> bool {
        self.net.settings().code != Code::Dense
    }

    /// Copies of the weights `[inputs, outputs]` and biases of each layer.
    #[getter]
    fn layers<'py>(&self, py: Python<'py>) -> PyResult<Vec<Layer<'py>>> {
        let layers = self.net.layers().into_iter().enumerate();
        layers
            .map(|(l, layer)| {
                let weights = self.net.weights(l).to_vec().into_pyarray(py);
                let biases = self.net.biases(l).to_vec().into_pyarray(py);
                Ok((weights.reshape([layer.inputs, layer.outputs])?, biases))
            })
            .collect()
    }

    /// The first samples `[count, features]` and their reconstructions, as `reconstruct` returns them.
    #[allow(clippy::type_complexity)]
    fn first<'py>(
        &self,
        py: Python<'py>,
        data: Data<'py>,
        count: usize,
        threads: Option<usize>,
    ) -> PyResult<(Bound<'py, PyArray2<f32>>, Bound<'py, PyArray2<f32>>)> {
        if self.net.target_scaling().is_some() {
            return Err(PyValueError::new_err(
                "plot_reconstructions: the network predicts targets instead of reconstructing X; \
                 reconstruct(X) has the predictions",
            ));
        }
        let (mut samples, mut engine) = self.prepare(&data, threads)?;
        if count < samples.len() {
            samples = samples.split(count).map_err(failure::of)?.0;
        }
        let shape = [samples.len(), samples.features()];
        let mut rows = vec![0.0; shape[0] * shape[1]];
        let own = match is_scaled(&self.net) {
            true => samples.scaled(Scaling::AsIs),
            false => samples.clone(),
        };
        for (at, row) in rows.chunks_mut(shape[1]).enumerate() {
            own.gather(at, row).map_err(|error| named("X", error))?;
        }
        let done = self.net.reconstruct(&mut engine, &samples);
        let done = done.and_then(|mut done| unscale(&self.net, &samples, &mut done).map(|()| done));
        let done = done.map_err(|error| named("X", error))?;
        Ok((rows.into_pyarray(py).reshape(shape)?, done.into_pyarray(py).reshape(shape)?))
    }

    /// Codes `[samples, code units]`.
    fn encode<'py>(
        &self,
        py: Python<'py>,
        data: Data<'py>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let (samples, mut engine) = self.prepare(&data, threads)?;
        let codes = py.detach(|| self.net.encode(&mut engine, &samples));
        let codes = codes.map_err(|error| named("X", error))?;
        codes.into_pyarray(py).reshape([samples.len(), self.code_units()])
    }

    /// Codes `[samples, code units]` in CSR format: indptr, indices and values.
    #[allow(clippy::type_complexity)]
    fn encode_sparse<'py>(
        &self,
        py: Python<'py>,
        data: Data<'py>,
        threads: Option<usize>,
    ) -> PyResult<(Bound<'py, PyArray1<u64>>, Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f32>>)>
    {
        let (samples, mut engine) = self.prepare(&data, threads)?;
        let mut codes = SparseCodes::default();
        let done = py.detach(|| self.net.encode_sparse(&mut engine, &samples, &mut codes));
        done.map_err(|error| named("X", error))?;
        let SparseCodes { indptr, indices, values, .. } = codes;
        Ok((indptr.into_pyarray(py), indices.into_pyarray(py), values.into_pyarray(py)))
    }

    /// Reconstructions `[samples, features]`, in the units of the data; of bytes, divided by 255.
    fn reconstruct<'py>(
        &self,
        py: Python<'py>,
        data: Data<'py>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let (samples, mut engine) = self.prepare(&data, threads)?;
        let done = py.detach(|| {
            let mut done = self.net.reconstruct(&mut engine, &samples)?;
            unscale(&self.net, &samples, &mut done)?;
            Ok(done)
        });
        let done = done.map_err(|error| named("X", error))?;
        done.into_pyarray(py).reshape([samples.len(), self.outputs()])
    }

    /// Reconstructions `[samples, features]` from codes `[samples, code units]`.
    fn decode<'py>(
        &self,
        py: Python<'py>,
        codes: PyReadonlyArray2<'py, f32>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        if codes.shape()[1] != self.code_units() || !codes.is_c_contiguous() {
            let problem = format!("expected C-ordered codes [samples, {}]", self.code_units());
            return Err(PyValueError::new_err(problem));
        }
        let (rows, codes) = (codes.shape()[0], codes.as_slice()?);
        let mut engine = Lent::new(threads)?;
        let done = py.detach(|| {
            let mut done = self.net.decode(&mut engine, codes)?;
            unscale_codes(&self.net, &mut done)?;
            Ok(done)
        });
        let done = done.map_err(failure::of)?;
        done.into_pyarray(py).reshape([rows, self.outputs()])
    }

    /// Reconstructions `[samples, features]` from codes in CSR format.
    fn decode_sparse<'py>(
        &self,
        py: Python<'py>,
        indptr: PyReadonlyArray1<'py, u64>,
        indices: PyReadonlyArray1<'py, u32>,
        values: PyReadonlyArray1<'py, f32>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let codes = SparseCodes {
            indptr: indptr.as_array().to_vec(),
            indices: indices.as_array().to_vec(),
            values: values.as_array().to_vec(),
            units: self.code_units(),
        };
        let mut engine = Lent::new(threads)?;
        let done = py.detach(|| {
            let mut done = self.net.decode_sparse(&mut engine, &codes)?;
            unscale_codes(&self.net, &mut done)?;
            Ok(done)
        });
        let done = done.map_err(failure::of)?;
        done.into_pyarray(py).reshape([codes.samples(), self.outputs()])
    }

    /// The fields of an `Evaluation`.
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        data: Data<'py>,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (samples, mut engine) = self.prepare(&data, threads)?;
        check_targets(&self.net, &samples)?;
        let done = py.detach(|| self.net.evaluate(&mut engine, &samples));
        let done = done.map_err(|error| data.refused(py, &samples, error))?;
        let all = PyDict::new(py);
        for (name, value) in [
            ("objective", done.objective),
            ("loss", done.loss),
            ("sparsity", done.sparsity),
            ("l1", done.l1),
            ("penalty", done.penalty),
            ("weight_decay", done.weight_decay),
            ("squared_error", done.squared_error),
            ("explained_variance", done.explained_variance),
            ("explained_variance_per_batch", done.explained_variance_per_batch),
            ("fvu", done.fvu),
            ("cosine_similarity", done.cosine_similarity),
            ("l2_ratio", done.l2_ratio),
            ("relative_reconstruction_bias", done.relative_reconstruction_bias),
        ] {
            all.set_item(name, value)?;
        }
        let features = done.explained_variance_per_feature;
        all.set_item("explained_variance_per_feature", features.into_pyarray(py))?;
        let units = done.units.into_iter().zip(&done.layers);
        let layers = units.map(|(units, activity)| layer(py, units, activity));
        all.set_item("layers", layers.collect::<PyResult<Vec<_>>>()?)?;
        Ok(all)
    }
}

/// The fields of an `Activity`, and the mean activations of the units.
fn layer<'py>(
    py: Python<'py>,
    units: Vec<f32>,
    activity: &Activity,
) -> PyResult<Bound<'py, PyDict>> {
    let histogram = &activity.histogram;
    let all = PyDict::new(py);
    all.set_item("mean_activations", units.into_pyarray(py))?;
    all.set_item("l0", activity.l0)?;
    all.set_item("dead_units", activity.dead_units().collect::<Vec<_>>())?;
    all.set_item("dense_units", activity.dense_units().collect::<Vec<_>>())?;
    all.set_item("frequencies", activity.frequencies.clone().into_pyarray(py))?;
    all.set_item("low", histogram.low)?;
    all.set_item("high", histogram.high)?;
    all.set_item("counts", histogram.counts.clone().into_pyarray(py))?;
    all.set_item("zeros", histogram.zeros)?;
    Ok(all)
}
