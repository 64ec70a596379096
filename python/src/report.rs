//! The page that shows what a network has learned.

use std::fs;
use std::path::{Path, PathBuf};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use sae::files;
use sae_report::shape::Shape;
use sae_report::{Error, History, Model, Report};

use crate::data::Data;
use crate::failure;
use crate::network::{Network, check_targets};

/// What a page has besides the network and its samples. Python has checked the types.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct About {
    /// The name of the model.
    title: String,
    /// What the samples are.
    data: String,
    /// A label of each sample, and the names of the labels.
    labels: Option<Vec<u8>>,
    label_names: Option<Vec<String>>,
    /// A name of each sample.
    names: Option<Vec<String>>,
    /// A name of each feature.
    features: Option<Vec<String>>,
    /// Samples before and after a top sample.
    context: usize,
    /// Units of each layer in full.
    units: Option<usize>,
    /// Dimensions of an image.
    image_shape: Option<Vec<usize>>,
    /// Columns of the training's course; none if it is not known.
    history: Vec<(String, Vec<f64>)>,
    threads: Option<usize>,
}

/// The page, as HTML.
#[pyfunction]
pub fn report(py: Python<'_>, network: &Network, data: Data<'_>, about: About) -> PyResult<String> {
    let (samples, mut engine) = network.prepare(&data, about.threads)?;
    check_targets(&network.net, &samples)?;
    let shape = about.image_shape.as_deref().map(image).transpose()?;
    let net = network.net.clone();
    let page = py.detach(|| {
        let mut model = Model::new(about.title, net, samples, &mut engine)?;
        let columns = about.history;
        model.history = (!columns.is_empty()).then_some(History { columns, is_of_batches: true });
        let models = [model];
        let report = Report {
            labels: about.labels.as_deref(),
            label_names: about.label_names.as_deref(),
            names: about.names.as_deref(),
            features: about.features.as_deref(),
            context: about.context,
            units: about.units,
            shape,
            ..Report::new(&models, &about.data)
        };
        report.html(&mut engine)
    });
    page.map_err(of_report)
}

/// Writes a text to a file, atomically.
#[pyfunction]
pub fn write_text(py: Python<'_>, path: PathBuf, text: &str) -> PyResult<()> {
    let write = |temporary: &Path| {
        let wrong = |source| sae::Error::Io { action: "write", path: path.clone(), source };
        fs::write(temporary, text).map_err(wrong)
    };
    py.detach(|| files::replace(&path, write)).map_err(failure::of)
}

/// The shape of images of these dimensions.
fn image(dims: &[usize]) -> PyResult<Shape> {
    Shape::of_dims(dims).ok_or_else(|| {
        let problem = format!(
            "image_shape: expected (rows, columns), (rows, columns, channels) or (channels, rows, columns) of \
             1, 3 or 4 channels, got {dims:?}"
        );
        PyValueError::new_err(problem)
    })
}

/// The exception for an error; some parameters have other names in Python.
fn of_report(error: Error) -> PyErr {
    match error {
        Error::Model(error) => failure::of(error),
        Error::Input { field, problem } => {
            let name = match field {
                "labels" => "y",
                "shape" => "image_shape",
                name => name,
            };
            PyValueError::new_err(format!("{name}: {problem}"))
        }
        error => PyRuntimeError::new_err(error.to_string()),
    }
}
