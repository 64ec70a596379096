//! A data set as the network sees it: scaled `f32` samples, gathered row by row from an array.

use std::path::Path;
use std::sync::Arc;

use sae_kernels::{Isa, convert};

use crate::data::array::Array;
use crate::data::element::ElementType;
use crate::error::{Error, Result};

/// How an array's numbers become features: `(value - subtract) / divide`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "model", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "model", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Scaling {
    /// Bytes divided by 255: [0, 1].
    Byte,
    /// Numbers as they are.
    AsIs,
    /// The smallest number of all the data becomes 0, the largest 1.
    MinMax {
        /// The smallest number.
        min: f32,
        /// The largest number.
        max: f32,
    },
    /// Mean 0 and standard deviation 1 over all the data.
    MeanDeviation {
        /// The mean.
        mean: f32,
        /// The standard deviation.
        deviation: f32,
    },
}

impl Scaling {
    /// Fits min-max scaling to an array.
    pub fn fit_min_max(array: &Array) -> Self {
        let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
        each_number(array, |value| {
            min = min.min(value);
            max = max.max(value);
        });
        Scaling::MinMax { min, max }
    }

    /// Fits mean-deviation scaling to an array.
    pub fn fit_mean_deviation(array: &Array) -> Self {
        let (mut sum, mut squares) = (0.0, 0.0);
        each_number(array, |value| {
            sum += f64::from(value);
            squares += f64::from(value) * f64::from(value);
        });
        let count = (array.samples() * array.features()) as f64;
        let mean = sum / count;
        let deviation = (squares / count - mean * mean).max(0.0).sqrt();
        Scaling::MeanDeviation { mean: mean as f32, deviation: deviation as f32 }
    }

    fn constants(self) -> (f32, f32) {
        match self {
            Scaling::Byte => (0.0, 255.0),
            Scaling::AsIs => (0.0, 1.0),
            Scaling::MinMax { min, max } => (min, max - min),
            Scaling::MeanDeviation { mean, deviation } => (mean, deviation),
        }
    }

    /// Whether its constants are finite, as those from a model file may not be.
    #[cfg(feature = "model")]
    pub(crate) fn is_finite(self) -> bool {
        let (subtract, divide) = self.constants();
        subtract.is_finite() && divide.is_finite()
    }
}

fn each_number(array: &Array, mut f: impl FnMut(f32)) {
    let mut row = vec![0.0; array.features()];
    for sample in 0..array.samples() {
        array.read_row(sample, &mut row);
        row.iter().for_each(|&value| f(value));
    }
}

/// Samples, `[samples, features]`, and how they are scaled. Cloning shares the data.
#[derive(Clone, Debug)]
pub struct Samples {
    array: Arc<Array>,
    scaling: Scaling,
    /// Rows of the array, if not all in their order.
    rows: Option<Arc<[u32]>>,
}

impl Samples {
    /// Opens an IDX or NumPy file of bytes, scaled to [0, 1].
    ///
    /// # Errors
    /// Those of [`Array::open`]; and a file of another type needs [`Samples::new`] with a scaling.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let array = Array::open(path)?;
        if array.element_type() != ElementType::U8 {
            let problem = format!(
                "elements are {}, and only u8 has a usual scaling; choose one: as is, min-max or mean-deviation",
                array.element_type()
            );
            return Err(Error::format(array.path(), Some(2), problem));
        }
        Ok(Self::new(array, Scaling::Byte))
    }

    /// The samples of an array under a scaling.
    pub fn new(array: Array, scaling: Scaling) -> Self {
        Samples { array: Arc::new(array), scaling, rows: None }
    }

    /// Samples in memory, row-major `[samples, features]`, as they are. ([`Array::from_values`] takes
    /// other types and memory that others own, [`Samples::new`] with a scaling.)
    ///
    /// # Errors
    /// [`Error::Shape`] unless they are one or more whole samples.
    pub fn from_values(values: Vec<f32>, features: usize) -> Result<Self> {
        Ok(Self::new(Array::from_values(values, features)?, Scaling::AsIs))
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.rows.as_ref().map_or(self.array.samples(), |rows| rows.len())
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Features of a sample.
    pub fn features(&self) -> usize {
        self.array.features()
    }

    /// Rows and columns of a sample, if its array has three dimensions, as images have.
    #[doc(hidden)]
    pub fn image(&self) -> Option<(usize, usize)> {
        match self.array.dims() {
            [_, rows, cols] => Some((*rows, *cols)),
            _ => None,
        }
    }

    /// How the numbers are scaled.
    pub fn scaling(&self) -> Scaling {
        self.scaling
    }

    /// The first `samples` of these, and the rest held out.
    ///
    /// # Errors
    /// [`Error::Setting`] unless both have a sample.
    pub fn split(&self, samples: usize) -> Result<(Self, Self)> {
        if samples == 0 || samples >= self.len() {
            let problem = format!("{samples} of {} samples leave one side empty", self.len());
            return Err(Error::setting("holdout", problem));
        }
        let subset = |range: std::ops::Range<usize>| {
            self.subset(range.map(|sample| sample as u32).collect())
        };
        Ok((subset(0..samples), subset(samples..self.len())))
    }

    /// These of the samples, in this order.
    pub(crate) fn subset(&self, samples: Vec<u32>) -> Self {
        let rows = samples.into_iter().map(|sample| self.row_of(sample as usize) as u32);
        Samples { rows: Some(rows.collect()), ..self.clone() }
    }

    /// Checks that a mapped file is still as it was opened.
    ///
    /// # Errors
    /// [`Error::Format`] if the file's length or modification time has changed; [`Error::Io`] if
    /// the system does not tell.
    #[doc(hidden)]
    pub fn unchanged(&self) -> Result<()> {
        self.array.unchanged()
    }

    /// A sample's row of the array.
    fn row_of(&self, sample: usize) -> usize {
        self.rows.as_ref().map_or(sample, |rows| rows[sample] as usize)
    }

    /// Asks for the memory of a sample of bytes, which will be gathered soon.
    pub(crate) fn prefetch(&self, sample: usize) {
        if self.array.element_type() == ElementType::U8 {
            convert::prefetch(self.array.row_bytes(self.row_of(sample)));
        }
    }

    /// Copies a sample, scaled, to `out[features]`.
    ///
    /// # Errors
    /// A feature is not finite, or the environment variable `SAE_ISA` names a set that there is
    /// not.
    ///
    /// # Panics
    /// There is no such sample, or `out` has another length.
    pub fn gather(&self, sample: usize, out: &mut [f32]) -> Result<()> {
        let isa = || Isa::from_environment().map_err(|e| Error::setting("SAE_ISA", e.to_string()));
        self.gather_on(isa, sample, out)
    }

    /// As [`Samples::gather`], with this instruction set, which scales bytes. Every set gives the same
    /// bits.
    pub(crate) fn gather_on(
        &self,
        isa: impl FnOnce() -> Result<Isa>,
        sample: usize,
        out: &mut [f32],
    ) -> Result<()> {
        let row = self.row_of(sample);
        let (subtract, divide) = self.scaling.constants();
        if self.array.element_type() == ElementType::U8 && divide != 0.0 {
            convert::scale_bytes(isa()?, self.array.row_bytes(row), subtract, divide, out);
            return Ok(());
        }
        self.array.read_row(row, out);
        if self.scaling != Scaling::AsIs {
            // Constant data, with nothing to divide by, becomes 0.
            let scale = |value| if divide == 0.0 { 0.0 } else { (value - subtract) / divide };
            out.iter_mut().for_each(|value| *value = scale(*value));
        }
        check_finite(row, out)
    }
}

fn check_finite(row: usize, values: &[f32]) -> Result<()> {
    // Without a branch for each number, this is vectorized.
    let infinite = f32::INFINITY.to_bits();
    let beyond = |value: &f32| value.to_bits() & infinite == infinite;
    if !values.iter().fold(false, |any, value| any | beyond(value)) {
        return Ok(());
    }
    let feature = values.iter().position(beyond).expect("one of them is not finite");
    Err(Error::Shape(format!(
        "sample {row}, feature {feature} is {}; finite numbers were expected",
        values[feature]
    )))
}

#[cfg(all(test, feature = "model"))]
mod tests {
    use super::*;

    #[test]
    fn scalings_come_back_from_json_with_every_bit() {
        for (scaling, start) in [
            (Scaling::Byte, "\"byte\""),
            (Scaling::AsIs, "\"as-is\""),
            (Scaling::MinMax { min: -0.1, max: 1.0 / 3.0 }, "{\"min-max\":{\"min\":-0.1,"),
            (
                Scaling::MeanDeviation { mean: f32::MIN_POSITIVE / 8.0, deviation: f32::MAX },
                "{\"mean-deviation\":{\"mean\":",
            ),
        ] {
            let text = serde_json::to_string(&scaling).unwrap();
            assert!(text.starts_with(start), "{text}");
            assert_eq!(serde_json::from_str::<Scaling>(&text).unwrap(), scaling, "{text}");
        }
    }
}
