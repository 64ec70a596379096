//! A data set as the network sees it: scaled `f32` samples, gathered row by row from an array.

use std::path::Path;
use std::sync::Arc;

use sae_kernels::{Isa, convert};

use crate::data::array::Array;
use crate::data::element::ElementType;
use crate::data::scaling::{Line, Scaling};
use crate::error::{Error, Result};

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
                "elements are {}, and only u8 has a usual scaling; choose one: as is, min-max or \
                 mean-deviation, or min-max:feature or mean-deviation:feature",
                array.element_type()
            );
            return Err(Error::format(array.path(), None, problem));
        }
        Ok(Self::new(array, Scaling::Byte))
    }

    /// The samples of an array under a scaling, which may be that of a model whose data had numbers of
    /// another type: what it takes from an array decides, not the type. [`Scaling::Byte`] takes whole
    /// numbers from 0 to 255 of any type, all others take any numbers.
    ///
    /// What a scaling does not take is refused where a sample is gathered.
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
        self.scaling.clone()
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
    /// A number or a feature is not finite, or the scaling does not take it; the scaling has constants
    /// for another number of features; or the environment variable `SAE_ISA` names a set that there is
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
        let (row, array) = (self.row_of(sample), &*self.array);
        let is_bytes = array.element_type() == ElementType::U8;
        assert_eq!(out.len(), array.features(), "out must hold one sample's features");
        self.scaling.check_features(out.len()).map_err(|problem| array.wrong(problem))?;
        match &self.scaling {
            Scaling::Byte | Scaling::AsIs if is_bytes => {
                let divide = if self.scaling == Scaling::Byte { 255.0 } else { 1.0 };
                convert::scale_bytes(isa()?, array.row_bytes(row), 0.0, divide, out);
                return Ok(());
            }
            Scaling::AsIs => array.read_row(row, out),
            // The same bits as from bytes; NaN for what is no byte.
            Scaling::Byte => array.map_row(row, out, |_, number| {
                let byte = number as u8;
                if f64::from(byte) == number { f32::from(byte) / 255.0 } else { f32::NAN }
            }),
            Scaling::MinMax { .. } | Scaling::MeanDeviation { .. } => {
                let line = self.scaling.line(0);
                array.map_row(row, out, |_, number| line.scale(number));
            }
            Scaling::MinMaxByFeature { min, max } => {
                let line = |feature: usize| Line::min_max(min[feature], max[feature]);
                array.map_row(row, out, |feature, number| line(feature).scale(number));
            }
            Scaling::MeanDeviationByFeature { mean, deviation } => {
                let line = |feature: usize| Line::mean_deviation(mean[feature], deviation[feature]);
                array.map_row(row, out, |feature, number| line(feature).scale(number));
            }
        }
        match first_not_finite(out) {
            None => Ok(()),
            Some(feature) => Err(self.refused(row, feature, out[feature])),
        }
    }

    /// The error for a number that became no finite feature.
    fn refused(&self, row: usize, feature: usize, became: f32) -> Error {
        const BEYOND: &str = "beyond the range of f32 (3.4e38)";
        self.array.refused(row, feature, |number| match self.scaling {
            _ if !number.is_finite() => "; finite numbers were expected".to_owned(),
            Scaling::Byte => "; the scaling is byte, that of a model trained on bytes, and takes whole \
                              numbers from 0 to 255: multiply numbers from 0 to 1 by 255 and round \
                              them, or use a model trained on such numbers"
                .to_owned(),
            Scaling::AsIs => format!(
                ", {BEYOND}, and the scaling as-is keeps it; scale the numbers, by min-max or \
                 mean-deviation for example"
            ),
            _ => format!(
                ", which the scaling {} makes {became}, {BEYOND}; use samples like those that it was \
                 fitted to",
                self.scaling.kind()
            ),
        })
    }
}

/// The first number that is infinite or NaN.
fn first_not_finite(values: &[f32]) -> Option<usize> {
    // Without a branch for each number, this is vectorized.
    let infinite = f32::INFINITY.to_bits();
    let beyond = |value: &f32| value.to_bits() & infinite == infinite;
    if !values.iter().fold(false, |any, value| any | beyond(value)) {
        return None;
    }
    values.iter().position(beyond)
}
