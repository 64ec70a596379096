//! What the units of a network are and do: its dictionary, summaries of units, errors of samples.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sae::analysis::{NearestUnits, UnitOptions, UnitSummary};
use sae::{Error, Scaling};

use crate::data::Data;
use crate::engines::Lent;
use crate::failure;
use crate::network::{Network, check_targets};

/// What stands for a unit or sample that there is not.
const NONE: i64 = -1;

/// The rows of the decoder's weights, `[code units, outputs]`, in the units of the data. `None` if the decoder has
/// more than one layer.
#[pyfunction]
pub fn components<'py>(
    py: Python<'py>,
    network: &Network,
) -> PyResult<Option<Bound<'py, PyArray2<f32>>>> {
    let net = &network.net;
    let code = net.settings().encoder_layers();
    let layers = net.layers();
    if layers.len() != code + 1 {
        return Ok(None);
    }
    let (units, outputs) = (layers[code].inputs, layers[code].outputs);
    let scaling = net.target_scaling().unwrap_or(net.scaling());
    let factors: Vec<f64> =
        (0..outputs).map(|feature| factor(&scaling, feature)).collect::<PyResult<_>>()?;
    let mut rows = net.weights(code).into_owned();
    for row in rows.chunks_mut(outputs) {
        for (feature, (weight, factor)) in row.iter_mut().zip(&factors).enumerate() {
            *weight = (f64::from(*weight) * factor) as f32;
            if !weight.is_finite() {
                let problem = format!(
                    "components_: feature {feature} is beyond the range of float32 (3.4e38) in the data's \
                     units; coefs_[-1] has the weights of the scaled data"
                );
                return Err(PyValueError::new_err(problem));
            }
        }
    }
    rows.into_pyarray(py).reshape([units, outputs]).map(Some)
}

/// What a difference of 1 of a scaled feature is in the units of the data; 0 of a feature that was constant.
fn factor(scaling: &Scaling, feature: usize) -> PyResult<f64> {
    Ok(match scaling {
        // That of layer-norm depends on the sample.
        Scaling::AsIs | Scaling::Center { .. } | Scaling::LayerNorm => 1.0,
        Scaling::Byte => 255.0,
        Scaling::MinMax { min, max } => max - min,
        Scaling::MinMaxByFeature { min, max } => max[feature] - min[feature],
        Scaling::MeanDeviation { deviation, .. } => *deviation,
        Scaling::MeanDeviationByFeature { deviation, .. } => deviation[feature],
        Scaling::UnitRms { rms } => *rms,
        other => {
            let problem = format!("components_: not known for the scaling {}", other.kind());
            return Err(PyValueError::new_err(problem));
        }
    })
}

/// Of each unit of the code the nearest other one, and their cosine; empty for one unit.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub fn redundancy<'py>(
    py: Python<'py>,
    network: &Network,
    threads: Option<usize>,
) -> PyResult<(Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<f32>>)> {
    let mut engine = Lent::new(threads)?;
    let nearest = py.detach(|| network.net.redundancy(&mut engine)).map_err(failure::of)?;
    let NearestUnits { units, cosines, .. } = nearest;
    let units: Vec<i64> = units.into_iter().map(|unit| unit as i64).collect();
    Ok((units.into_pyarray(py), cosines.into_pyarray(py)))
}

/// The mean squared error and the number of active units of each sample.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub fn sample_scores<'py>(
    py: Python<'py>,
    network: &Network,
    data: Data<'py>,
    threads: Option<usize>,
) -> PyResult<(Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<i64>>)> {
    let (samples, mut engine) = network.prepare(&data, threads)?;
    check_targets(&network.net, &samples)?;
    let (mut errors, mut active) = (Vec::new(), Vec::new());
    let scored = py.detach(|| {
        network.net.score(&mut engine, &samples, |scores| {
            errors.extend(scores.iter().map(|score| score.error));
            active.extend(scores.iter().map(|score| score.l0 as i64));
            Ok::<_, Error>(())
        })
    });
    scored.map_err(|error| data.refused(py, &samples, error))?;
    Ok((errors.into_pyarray(py), active.into_pyarray(py)))
}

/// What of units is summarized. Python has checked the types.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Wanted {
    /// The hidden layer, 0 is the first; `None` for the code.
    layer: Option<usize>,
    /// Samples to list of each unit.
    top: usize,
    /// Whether to find the nearest other unit.
    nearest: bool,
    threads: Option<usize>,
}

/// Summaries of a layer's units, as arrays.
#[pyfunction]
pub fn unit_summaries<'py>(
    py: Python<'py>,
    network: &Network,
    data: Data<'py>,
    labels: Option<PyReadonlyArray1<'py, u8>>,
    wanted: Wanted,
) -> PyResult<Bound<'py, PyDict>> {
    let Wanted { layer, top, nearest, threads } = wanted;
    let (samples, mut engine) = network.prepare(&data, threads)?;
    let labels = labels.map(|labels| labels.as_array().to_vec());
    if let Some(labels) = labels.as_ref().filter(|labels| labels.len() != samples.len()) {
        let (here, there) = (samples.len(), labels.len());
        let problem = format!("labels: expected one for each of the {here} samples, got {there}");
        return Err(PyValueError::new_err(problem));
    }
    let top = top.min(samples.len());
    let units = py.detach(|| {
        let labels = labels.as_deref();
        let options = UnitOptions { layer, top, labels, nearest, progress: None };
        network.net.unit_summaries(&mut engine, &samples, &options)
    });
    let units = units.map_err(|error| data.refused(py, &samples, error))?;
    arrays(py, &units, top)
}

/// Summaries as arrays, a row or number a unit.
fn arrays<'py>(py: Python<'py>, units: &[UnitSummary], top: usize) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    let doubles =
        |of: fn(&UnitSummary) -> f64| units.iter().map(of).collect::<Vec<_>>().into_pyarray(py);
    let singles =
        |of: fn(&UnitSummary) -> f32| units.iter().map(of).collect::<Vec<_>>().into_pyarray(py);
    let flags =
        |of: fn(&UnitSummary) -> bool| units.iter().map(of).collect::<Vec<_>>().into_pyarray(py);
    let active: Vec<i64> = units.iter().map(|unit| unit.active as i64).collect();
    let nearest = |unit: &UnitSummary| unit.nearest.map_or(NONE, |(unit, _)| unit as i64);
    let nearest: Vec<i64> = units.iter().map(nearest).collect();
    all.set_item("active", active.into_pyarray(py))?;
    all.set_item("frequency", doubles(|unit| unit.frequency))?;
    all.set_item("mean", singles(|unit| unit.mean))?;
    all.set_item("mean_active", doubles(|unit| unit.mean_active))?;
    all.set_item("max", singles(|unit| unit.max))?;
    all.set_item("dead", flags(|unit| unit.is_dead))?;
    all.set_item("dense", flags(UnitSummary::is_dense))?;
    all.set_item("norm_in", doubles(|unit| unit.norm_in))?;
    all.set_item("norm", doubles(|unit| unit.norm_out))?;
    all.set_item("nearest", nearest.into_pyarray(py))?;
    all.set_item(
        "nearest_cosine",
        singles(|unit| unit.nearest.map_or(f32::NAN, |(_, cosine)| cosine)),
    )?;
    let counts = |of: fn(&UnitSummary) -> &[u64]| {
        let columns = units.first().map_or(0, |unit| of(unit).len());
        rows(py, units, columns, 0, |unit, row| {
            row.iter_mut().zip(of(unit)).for_each(|(to, &count)| *to = count as i64);
        })
    };
    all.set_item("histogram", counts(|unit| &unit.histogram.counts)?)?;
    let histogram = units.first().map(|unit| &unit.histogram);
    let (low, high) = histogram.map_or((0.0, 0.0), |all| (all.low, all.high));
    all.set_item("histogram_range", (low, high))?;
    all.set_item("label_counts", counts(|unit| &unit.labels)?)?;
    let samples = rows(py, units, top, NONE, |unit, row| {
        row.iter_mut().zip(&unit.top).for_each(|(to, sample)| *to = sample.sample as i64);
    });
    let activations = rows(py, units, top, f32::NAN, |unit, row| {
        row.iter_mut().zip(&unit.top).for_each(|(to, sample)| *to = sample.activation);
    });
    all.set_item("top_index", samples?)?;
    all.set_item("top_activation", activations?)?;
    Ok(all)
}

/// An array `[units, columns]`, filled with `empty` before `fill` writes each row.
fn rows<'py, T: numpy::Element + Copy>(
    py: Python<'py>,
    units: &[UnitSummary],
    columns: usize,
    empty: T,
    fill: impl Fn(&UnitSummary, &mut [T]),
) -> PyResult<Bound<'py, PyArray2<T>>> {
    let numbers = units.len().checked_mul(columns);
    let mut all = Vec::new();
    if numbers.is_none_or(|numbers| all.try_reserve_exact(numbers).is_err()) {
        let problem = format!("top: out of memory for {columns} numbers of {} units", units.len());
        return Err(PyMemoryError::new_err(problem));
    }
    all.resize(units.len() * columns, empty);
    if columns > 0 {
        units.iter().zip(all.chunks_mut(columns)).for_each(|(unit, row)| fill(unit, row));
    }
    all.into_pyarray(py).reshape([units.len(), columns])
}
