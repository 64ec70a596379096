//! A data set as the network sees it: scaled `f32` samples, gathered row by row from the file.

use std::fmt;
use std::sync::Arc;

use sae_kernels::{Isa, convert};

use crate::data::idx::{ElementType, Idx};
use crate::error::{Error, Result};

/// How a file's numbers become features: `(value - subtract) / divide`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "model", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "model", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Scaling {
    /// A byte over 255, so [0, 1].
    Byte,
    /// As it stands in the file.
    AsIs,
    /// The least value over all the data to 0, the greatest to 1.
    MinMax {
        /// The least.
        min: f32,
        /// The greatest.
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
    /// Min-max scaling fitted to a file.
    pub fn fit_min_max(idx: &Idx) -> Self {
        let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
        each_row(idx, |row| {
            for &value in row {
                min = min.min(value);
                max = max.max(value);
            }
        });
        Scaling::MinMax { min, max }
    }

    /// Mean-deviation scaling fitted to a file.
    pub fn fit_mean_deviation(idx: &Idx) -> Self {
        let (mut sum, mut squares) = (0.0, 0.0);
        each_row(idx, |row| {
            for &value in row {
                sum += f64::from(value);
                squares += f64::from(value) * f64::from(value);
            }
        });
        let count = (idx.samples() * idx.features()) as f64;
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

    /// A file's number as a feature. Constant data (nothing to divide by) becomes 0.
    pub fn apply(self, value: f32) -> f32 {
        let (subtract, divide) = self.constants();
        if divide == 0.0 { 0.0 } else { (value - subtract) / divide }
    }
}

fn check_whole(count: usize, features: usize) -> Result<()> {
    if features > 0 && count > 0 && count.is_multiple_of(features) {
        return Ok(());
    }
    Err(Error::Shape(format!("{count} numbers are not one or more samples of {features} features")))
}

fn each_row(idx: &Idx, mut f: impl FnMut(&[f32])) {
    let mut row = vec![0.0; idx.features()];
    for sample in 0..idx.samples() {
        idx.read_row(sample, &mut row);
        f(&row);
    }
}

/// Numbers in memory, whoever owns them. They are asked for once a row, not once a number.
type Shared<T> = Box<dyn AsRef<[T]> + Send + Sync>;

enum Source {
    Idx(Idx),
    Bytes { bytes: Shared<u8>, features: usize },
    Values { values: Shared<f32>, features: usize },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, count, features) = match self {
            Source::Idx(idx) => return idx.fmt(f),
            Source::Bytes { bytes, features } => ("u8", (**bytes).as_ref().len(), features),
            Source::Values { values, features } => ("f32", (**values).as_ref().len(), features),
        };
        write!(f, "Memory({} x {features} {kind})", count / features)
    }
}

/// Samples, `[samples, features]`, and how they are scaled. Cloning shares the data.
#[derive(Clone, Debug)]
pub struct Samples {
    source: Arc<Source>,
    scaling: Scaling,
    /// What scales bytes; every set gives the same bits.
    isa: Isa,
    /// Rows of the source, if not all in their order.
    chosen: Option<Arc<[u32]>>,
}

impl Samples {
    /// Opens an IDX file of bytes, scaled to [0, 1].
    ///
    /// # Errors
    /// Those of [`Idx::open`]; and a file of another type needs [`Samples::new`] with a scaling.
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<Self> {
        let idx = Idx::open(path)?;
        if idx.element_type() != ElementType::U8 {
            let problem = format!(
                "elements are {}, and only u8 has a usual scaling; choose one: as is, min-max or mean-deviation",
                idx.element_type()
            );
            return Err(Error::format(idx.path(), Some(2), problem));
        }
        Ok(Self::new(idx, Scaling::Byte))
    }

    /// The samples of a file under a scaling.
    pub fn new(idx: Idx, scaling: Scaling) -> Self {
        Self::of(Source::Idx(idx), scaling)
    }

    /// Samples in memory, row-major `[samples, features]`, as they are.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is none or the last is not whole.
    pub fn from_values(values: Vec<f32>, features: usize) -> Result<Self> {
        Self::from_shared_values(values, features, Scaling::AsIs)
    }

    /// Samples in memory that another owns, row-major `[samples, features]`, without a copy: an
    /// `Arc<[f32]>`, or a type that holds another language's array. Its slice has to be the same at
    /// every call, in length and content, as long as these samples or a clone of them live.
    ///
    /// # Errors
    /// As for [`Samples::from_values`].
    pub fn from_shared_values(
        values: impl AsRef<[f32]> + Send + Sync + 'static,
        features: usize,
        scaling: Scaling,
    ) -> Result<Self> {
        check_whole(values.as_ref().len(), features)?;
        Ok(Self::of(Source::Values { values: Box::new(values), features }, scaling))
    }

    /// As [`Samples::from_shared_values`], of bytes: the features are what a file of the same bytes
    /// has under that scaling.
    ///
    /// # Errors
    /// As for [`Samples::from_values`].
    pub fn from_shared_bytes(
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
        features: usize,
        scaling: Scaling,
    ) -> Result<Self> {
        check_whole(bytes.as_ref().len(), features)?;
        Ok(Self::of(Source::Bytes { bytes: Box::new(bytes), features }, scaling))
    }

    fn of(source: Source, scaling: Scaling) -> Self {
        Samples { source: Arc::new(source), scaling, isa: Isa::detect(), chosen: None }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match (&self.chosen, &*self.source) {
            (Some(chosen), _) => chosen.len(),
            (None, Source::Idx(idx)) => idx.samples(),
            (None, Source::Bytes { bytes, features }) => (**bytes).as_ref().len() / features,
            (None, Source::Values { values, features }) => (**values).as_ref().len() / features,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Features of a sample.
    pub fn features(&self) -> usize {
        match &*self.source {
            Source::Idx(idx) => idx.features(),
            Source::Bytes { features, .. } | Source::Values { features, .. } => *features,
        }
    }

    /// Rows and columns of a sample, if its file says that it is an image.
    pub fn image(&self) -> Option<(usize, usize)> {
        match &*self.source {
            Source::Idx(idx) => match idx.dims() {
                [_, rows, cols] => Some((*rows, *cols)),
                _ => None,
            },
            Source::Bytes { .. } | Source::Values { .. } => None,
        }
    }

    /// The scaling.
    pub fn scaling(&self) -> Scaling {
        self.scaling
    }

    /// The first `samples` of these, and the rest held out.
    ///
    /// # Errors
    /// [`Error::Setting`] unless both parts have a sample.
    pub fn split(&self, samples: usize) -> Result<(Self, Self)> {
        if samples == 0 || samples >= self.len() {
            let problem = format!("{samples} of {} samples leave one part empty", self.len());
            return Err(Error::setting("holdout", problem));
        }
        if u32::try_from(self.len()).is_err() {
            return Err(Error::setting("data", "more than 2^32 - 1 samples"));
        }
        let row = |at: usize| self.chosen.as_ref().map_or(at as u32, |chosen| chosen[at]);
        let part = |range: std::ops::Range<usize>| Samples {
            chosen: Some(range.map(row).collect()),
            ..self.clone()
        };
        Ok((part(0..samples), part(samples..self.len())))
    }

    /// Checks that a mapped file is still what it was when it was opened.
    ///
    /// # Errors
    /// Those of [`Idx::unchanged`].
    pub fn unchanged(&self) -> Result<()> {
        match &*self.source {
            Source::Idx(idx) => idx.unchanged(),
            Source::Bytes { .. } | Source::Values { .. } => Ok(()),
        }
    }

    /// A sample's row of the source.
    fn source_row(&self, sample: usize) -> usize {
        self.chosen.as_ref().map_or(sample, |chosen| chosen[sample] as usize)
    }

    /// The source, if it is of bytes.
    fn bytes(&self) -> Option<&[u8]> {
        match &*self.source {
            Source::Idx(idx) => idx.as_u8(),
            Source::Bytes { bytes, .. } => Some((**bytes).as_ref()),
            Source::Values { .. } => None,
        }
    }

    /// Asks for a sample's bytes, which will be gathered soon.
    pub(crate) fn prefetch(&self, sample: usize) {
        let row = self.source_row(sample);
        if let Some(all) = self.bytes() {
            convert::prefetch(&all[row * self.features()..][..self.features()]);
        }
    }

    /// Copies a sample, scaled, to `out[features]`.
    ///
    /// # Errors
    /// A feature is not finite.
    ///
    /// # Panics
    /// There is no such sample, or `out` has another length.
    pub fn gather(&self, sample: usize, out: &mut [f32]) -> Result<()> {
        let row = self.source_row(sample);
        let features = self.features();
        if let Some(all) = self.bytes() {
            let row_bytes = &all[row * features..][..features];
            let (subtract, divide) = self.scaling.constants();
            if divide == 0.0 {
                out.fill(0.0);
            } else {
                convert::scale_bytes(self.isa, row_bytes, subtract, divide, out);
            }
            return Ok(());
        }
        if let Source::Idx(idx) = &*self.source {
            idx.read_row(row, out);
        }
        if let Source::Values { values, .. } = &*self.source {
            out.copy_from_slice(&(**values).as_ref()[row * features..][..features]);
        }
        if self.scaling != Scaling::AsIs {
            out.iter_mut().for_each(|value| *value = self.scaling.apply(*value));
        }
        // Without a branch a number, this is vectorised.
        let infinite = f32::INFINITY.to_bits();
        let beyond = |value: &f32| value.to_bits() & infinite == infinite;
        if !out.iter().fold(false, |any, value| any | beyond(value)) {
            return Ok(());
        }
        match out.iter().position(beyond) {
            None => Ok(()),
            Some(feature) => Err(Error::Shape(format!(
                "sample {row}, feature {feature} is {}; finite numbers were expected",
                out[feature]
            ))),
        }
    }
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
