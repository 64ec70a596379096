//! `sae._sae`: the compiled part of the package. Types of arguments are checked in Python, values
//! here.

mod analysis;
mod current;
mod data;
mod engines;
mod failure;
mod figures;
mod network;
mod plan;
mod report;
mod training;
mod units_of_data;

use numpy::{IntoPyArray, PyArray1, PyArray3, PyArrayMethods};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

/// Generates digits: images `[samples, 28, 28]` and labels.
#[pyfunction]
#[allow(clippy::type_complexity)]
fn draw_digits(
    py: Python<'_>,
    samples: usize,
    seed: u64,
    threads: Option<usize>,
) -> PyResult<(Bound<'_, PyArray3<u8>>, Bound<'_, PyArray1<u8>>)> {
    let side = sae::data::digits::SIDE;
    let pixels = samples.checked_mul(side * side);
    if pixels.is_none_or(|pixels| Vec::<u8>::new().try_reserve_exact(pixels).is_err()) {
        return Err(PyMemoryError::new_err(format!("samples: out of memory for {samples} images")));
    }
    let threads = engines::threads(threads)?.min(sae::compute::available_threads());
    let drawn = py.detach(|| sae::data::digits::draw(samples, seed, threads));
    let images = drawn.images.into_pyarray(py).reshape([samples, side, side])?;
    Ok((images, drawn.labels.into_pyarray(py)))
}

/// The table of settings: name, kind (flag, number, count, choice or list) and default of each.
#[pyfunction]
fn settings_fields() -> Vec<(&'static str, String, String)> {
    let fields = sae::Settings::fields().iter();
    fields
        .map(|field| (field.name, format!("{:?}", field.kind).to_lowercase(), field.default()))
        .collect()
}

/// The settings of a preset for these layers, input and output included, and a training of this number of steps,
/// as JSON; `hidden` layers of `None` are the preset's own. The usual steps, if they are `None`, too.
#[pyfunction]
fn preset_settings(
    preset: &str,
    features: usize,
    hidden: Option<Vec<usize>>,
    steps: Option<u64>,
) -> PyResult<(String, u64)> {
    let preset: sae::Preset = preset.parse().map_err(failure::of)?;
    let layers = match hidden {
        Some(hidden) => [vec![features], hidden, vec![features]].concat(),
        None => preset.layers(features),
    };
    let steps = steps.unwrap_or(preset.steps());
    Ok((preset.settings(layers, steps).to_json(), steps))
}

/// Settings, as JSON, for another training, of this number of steps: their schedule and warm-ups follow it.
#[pyfunction]
fn settings_for_steps(settings: &str, steps: u64) -> PyResult<String> {
    let settings = sae::Settings::from_json(settings).map_err(failure::of)?;
    Ok(settings.for_steps(steps).to_json())
}

/// The number of threads that the environment asks for, or that of the cores.
#[pyfunction]
fn threads_from_environment() -> PyResult<usize> {
    sae::compute::threads_from_environment().map_err(failure::of)
}

#[pymodule]
fn _sae(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<network::Network>()?;
    module.add_class::<current::Current>()?;
    module.add_class::<data::Files>()?;
    module.add_function(wrap_pyfunction!(training::train, module)?)?;
    module.add_function(wrap_pyfunction!(analysis::components, module)?)?;
    module.add_function(wrap_pyfunction!(analysis::redundancy, module)?)?;
    module.add_function(wrap_pyfunction!(analysis::sample_scores, module)?)?;
    module.add_function(wrap_pyfunction!(analysis::unit_summaries, module)?)?;
    module.add_function(wrap_pyfunction!(report::report, module)?)?;
    module.add_function(wrap_pyfunction!(report::write_text, module)?)?;
    module.add_function(wrap_pyfunction!(data::is_mapped, module)?)?;
    module.add_function(wrap_pyfunction!(settings_fields, module)?)?;
    module.add_function(wrap_pyfunction!(preset_settings, module)?)?;
    module.add_function(wrap_pyfunction!(settings_for_steps, module)?)?;
    module.add_function(wrap_pyfunction!(plan::steps_of_epochs, module)?)?;
    module.add_function(wrap_pyfunction!(threads_from_environment, module)?)?;
    module.add_function(wrap_pyfunction!(draw_digits, module)?)
}
