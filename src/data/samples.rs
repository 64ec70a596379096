//! A data set as the network sees it: scaled `f32` samples, gathered row by row from a source.

use std::path::Path;
use std::sync::Arc;

use sae_kernels::{Isa, convert};

use crate::data::array::Array;
use crate::data::element::ElementType;
use crate::data::layer_norm::layer_norm;
use crate::data::line::Line;
use crate::data::open::ReadOptions;
use crate::data::row::Row;
use crate::data::scaling::{Scaling, ScalingKind};
use crate::data::selection::Selection;
use crate::data::shards::Shards;
use crate::data::slice::Slice;
use crate::data::source::Source;
use crate::error::{Error, Result, counted};

/// Samples of files, vectors and other sources that need nothing of the caller's memory.
pub type Samples = SamplesOf<'static>;

/// Samples, `[samples, features]`, and how they are scaled; where a network is to predict other data than
/// its input, with their [targets](Samples::with_targets). Cloning shares the data.
///
/// [`Samples`] are those that live on, `SamplesOf<'static>`: a [`Trainer`](crate::Trainer) needs such ones. A
/// network evaluates and encodes those of [borrowed memory](SamplesOf::from_slice), too.
#[derive(Clone, Debug)]
pub struct SamplesOf<'a> {
    pub(super) source: Arc<dyn Source + 'a>,
    pub(super) scaling: Scaling,
    /// Where some were held out: all of them, and which, for the model's file.
    #[cfg_attr(not(feature = "model"), expect(dead_code))]
    pub(super) split: Option<(Arc<dyn Source + 'a>, HeldOut)>,
    /// Of each sample, by its number.
    pub(super) targets: Option<Arc<SamplesOf<'a>>>,
}

/// Which samples of a data set are held out of a training, as test samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "model", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "model", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum HeldOut {
    /// The last ones, as many as this.
    Last(usize),
    /// Any, drawn by a seed.
    Random {
        /// How many.
        count: usize,
        /// What they are drawn by.
        seed: u64,
    },
}

impl HeldOut {
    /// How many.
    pub fn count(self) -> usize {
        let (HeldOut::Last(count) | HeldOut::Random { count, .. }) = self;
        count
    }
}

impl SamplesOf<'static> {
    /// Opens a file of samples. Bytes are scaled to [0, 1], floats taken as they are.
    ///
    /// # Errors
    /// Those of [`Array::open`]; and integers of another type need [`Samples::new`] with a scaling.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::with_default_scaling(Array::open(path)?)
    }

    /// Opens several files, which [`Shards::open`] finds, as one data set. Bytes are scaled to [0, 1],
    /// floats taken as they are.
    ///
    /// # Errors
    /// Those of [`Shards::open`]; and integers of another type need [`Samples::new`] with a scaling.
    pub fn open_all(paths: impl IntoIterator<Item: AsRef<Path>>) -> Result<Self> {
        Self::with_default_scaling(Shards::open(paths, &ReadOptions::default())?)
    }

    /// The samples of a source, scaled as [`ScalingKind::default_of`] says.
    fn with_default_scaling(source: impl Source + 'static) -> Result<Self> {
        match ScalingKind::default_of(&source)? {
            ScalingKind::Byte => Ok(Self::new(source, Scaling::Byte)),
            _ => Ok(Self::new(source, Scaling::AsIs)),
        }
    }

    /// Samples in memory, row-major `[samples, features]`, as they are. ([`Array::from_values`] takes
    /// other types and memory that others own, [`Samples::new`] with a scaling.)
    ///
    /// # Errors
    /// [`Error::Shape`] unless they are one or more whole samples.
    pub fn from_values(values: Vec<f32>, features: usize) -> Result<Self> {
        Ok(Self::new(Array::from_values(values, features)?, Scaling::AsIs))
    }
}

impl<'a> SamplesOf<'a> {
    /// No samples, unscaled, of as many features as there would be, and no targets if there are features of
    /// those: for a trainer that is given its batches.
    pub(crate) fn none(features: usize, of_targets: Option<usize>) -> Self {
        let targets = of_targets.map(|features| Self::none(features, None).into());
        SamplesOf { targets, ..Self::new(Slice::none(features), Scaling::AsIs) }
    }

    /// The samples of an array, or of another source, under a scaling, which may be that of a model whose
    /// data had numbers of another type: what it takes from the data decides, not the type.
    /// [`Scaling::Byte`] takes whole numbers from 0 to 255 of any type, all others take any numbers.
    ///
    /// What a scaling does not take is refused where a sample is gathered.
    pub fn new(source: impl Source + 'a, scaling: Scaling) -> Self {
        SamplesOf { source: Arc::new(source), scaling, split: None, targets: None }
    }

    /// Samples in memory of the caller's, row-major `[samples, features]`, as they are, without a copy.
    ///
    /// ```
    /// use sae::data::SamplesOf;
    /// use sae::{Settings, Trainer};
    ///
    /// # fn main() -> sae::Result<()> {
    /// let settings = Settings { layers: vec![8, 4, 8], batch: 10, ..Settings::default() };
    /// let mut trainer = Trainer::builder(settings).build_without_samples()?;
    /// let numbers = [0.5; 30 * 8];
    /// let report = trainer.evaluate(&SamplesOf::from_slice(&numbers, 8)?)?;
    /// assert!(report.objective.is_finite());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless they are one or more whole samples.
    pub fn from_slice(values: &'a [f32], features: usize) -> Result<Self> {
        Ok(Self::new(Slice::new(values, features)?, Scaling::AsIs))
    }

    /// The same samples under another scaling; targets keep theirs.
    pub fn scaled(&self, scaling: Scaling) -> Self {
        SamplesOf { scaling, ..self.clone() }
    }

    /// Their numbers, before the scaling.
    pub fn source(&self) -> &(dyn Source + 'a) {
        &*self.source
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.source.samples()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Features of a sample.
    pub fn features(&self) -> usize {
        self.source.features()
    }

    /// Rows and columns of a sample, if its array has three dimensions, as images have.
    #[doc(hidden)]
    pub fn image(&self) -> Option<(usize, usize)> {
        match self.source.row_dims() {
            [rows, cols] => Some((*rows, *cols)),
            _ => None,
        }
    }

    /// Dimensions of a sample, as its array has them; empty if it has only one.
    #[doc(hidden)]
    pub fn row_dims(&self) -> &[usize] {
        self.source.row_dims()
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
            return Err(self.empty_side(samples));
        }
        self.hold_out(HeldOut::Last(self.len() - samples))
    }

    /// Those that are not held out, and those that are, both in their order and with their targets.
    ///
    /// # Errors
    /// [`Error::Setting`] unless both have a sample.
    pub fn hold_out(&self, held_out: HeldOut) -> Result<(Self, Self)> {
        let count = held_out.count();
        if count == 0 || count >= self.len() {
            return Err(self.empty_side(count));
        }
        let source = self.source.clone();
        let (left, held) = match held_out {
            HeldOut::Last(count) => Selection::first(source, self.len() - count),
            HeldOut::Random { count, seed } => Selection::without_random(source, count, seed),
        };
        let split = Some((self.source.clone(), held_out));
        let side = |selection: Selection<'a>, targets| SamplesOf {
            source: Arc::new(selection),
            scaling: self.scaling.clone(),
            split: split.clone(),
            targets,
        };
        let targets = self.targets().map(|targets| targets.hold_out(held_out)).transpose()?;
        let (left_targets, held_targets) = targets.map(|(l, h)| (l.into(), h.into())).unzip();
        Ok((side(left, left_targets), side(held, held_targets)))
    }

    fn empty_side(&self, samples: usize) -> Error {
        let problem =
            format!("{samples} of {} leave one side empty", counted(self.len(), "sample"));
        Error::setting("holdout", problem)
    }

    /// Whether they are in files or in memory, not in a source that is read for a training alone.
    #[cfg(feature = "model")]
    pub(crate) fn is_kept(&self) -> bool {
        let (path, _) = self.source.place(0);
        let is_kept = self.source.resident_bytes().is_some() || !path.as_os_str().is_empty();
        is_kept && self.targets().is_none_or(SamplesOf::is_kept)
    }

    /// All samples before some were held out, and which these are, if any.
    #[cfg(feature = "model")]
    pub(crate) fn whole(&self) -> (Self, Option<HeldOut>) {
        let targets = self.targets().map(SamplesOf::whole);
        match &self.split {
            // (Targets that were split otherwise, or not at all, are those of these samples alone.)
            Some((source, held_out))
                if targets
                    .as_ref()
                    .is_none_or(|(_, of_targets)| *of_targets == Some(*held_out)) =>
            {
                let (source, scaling) = (source.clone(), self.scaling.clone());
                let targets = targets.map(|(targets, _)| targets.into());
                (SamplesOf { source, scaling, split: None, targets }, Some(*held_out))
            }
            _ => (self.clone(), None),
        }
    }

    /// These of the samples, in this order.
    pub(crate) fn subset(&self, samples: Vec<usize>) -> Self {
        let targets = self.targets().map(|targets| targets.subset(samples.clone()).into());
        let selection = Selection::of(self.source.clone(), samples);
        SamplesOf { source: Arc::new(selection), targets, ..self.clone() }
    }

    /// At most `count` of the samples, at equal distances from the first on, with their targets.
    pub fn thinned(&self, count: usize) -> Self {
        let (count, len) = (count.min(self.len()), self.len() as u128);
        // (At most `len`, so that it fits again.)
        let place = |at: usize| (at as u128 * len / count as u128) as usize;
        self.subset((0..count).map(place).collect())
    }

    /// Checks that mapped files are still as they were opened.
    ///
    /// # Errors
    /// [`Error::Format`] if a file's length or modification time has changed; [`Error::Io`] if
    /// the system does not tell.
    #[doc(hidden)]
    pub fn unchanged(&self) -> Result<()> {
        self.source.unchanged()?;
        self.targets().map_or(Ok(()), SamplesOf::unchanged)
    }

    /// Asks for the memory of a sample, which will be gathered soon.
    pub(crate) fn prefetch(&self, sample: usize) {
        self.source.prefetch(sample);
    }

    /// Copies a sample, scaled, to `out[features]`.
    ///
    /// # Errors
    /// A number or a feature is not finite, or the scaling does not take it; the scaling has constants
    /// for another number of features; the source fails; or the environment variable `SAE_ISA` names a
    /// set that there is not.
    ///
    /// # Panics
    /// There is no such sample, or `out` has another length.
    pub fn gather(&self, sample: usize, out: &mut [f32]) -> Result<()> {
        let isa = Isa::from_environment().map_err(|e| Error::setting("SAE_ISA", e.to_string()))?;
        self.gather_on(isa, sample, out, &mut Vec::new())
    }

    /// As [`Samples::gather`], with this instruction set; every set gives the same bits. `memory` is for
    /// sources that have no numbers in memory.
    pub(crate) fn gather_on(
        &self,
        isa: Isa,
        sample: usize,
        out: &mut [f32],
        memory: &mut Vec<f32>,
    ) -> Result<()> {
        let source = &*self.source;
        assert_eq!(out.len(), source.features(), "out must hold one sample's features");
        let check = self.scaling.check_features(out.len());
        check.map_err(|problem| source.wrong(sample, |_| problem))?;
        let row = source.whole_row(sample, memory)?;
        if self.scale(isa, row, out) {
            return Ok(());
        }
        match first_not_finite(out) {
            None => Ok(()),
            Some(at) => {
                // Where a sample is scaled by itself, one number makes all of them so.
                let cause = (0..row.len()).find(|&at| !row.number(at).is_finite());
                let at = cause.unwrap_or(at);
                Err(self.refused(sample, (at, row.number(at)), row.element_type(), out[at]))
            }
        }
    }

    /// Scales a row. Returns whether the result is known to be finite.
    fn scale(&self, isa: Isa, row: Row<'_>, out: &mut [f32]) -> bool {
        let is_bytes = row.element_type() == ElementType::U8;
        match &self.scaling {
            Scaling::Byte if is_bytes => {
                convert::scale_bytes(isa, row.bytes(), 0.0, 255.0, out);
                return true;
            }
            Scaling::AsIs => {
                row.to_f32(isa, out);
                return is_bytes;
            }
            // The same bits as from bytes; NaN for what is no byte.
            Scaling::Byte => row.map(isa, out, |_, number| {
                let byte = number as u8;
                if f64::from(byte) == number { f32::from(byte) / 255.0 } else { f32::NAN }
            }),
            Scaling::LayerNorm => layer_norm(isa, row, out),
            Scaling::Center { mean } => {
                row.map(isa, out, |feature, number| Line::center(mean[feature]).scale(number));
            }
            Scaling::MinMaxByFeature { min, max } => {
                let line = |feature: usize| Line::min_max(min[feature], max[feature]);
                row.map(isa, out, |feature, number| line(feature).scale(number));
            }
            Scaling::MeanDeviationByFeature { mean, deviation } => {
                let line = |feature: usize| Line::mean_deviation(mean[feature], deviation[feature]);
                row.map(isa, out, |feature, number| line(feature).scale(number));
            }
            Scaling::MinMax { .. } | Scaling::MeanDeviation { .. } | Scaling::UnitRms { .. } => {
                let line = self.scaling.line(0);
                row.map(isa, out, |_, number| line.scale(number));
            }
        }
        false
    }

    /// The error for a number that became no finite feature.
    fn refused(
        &self,
        sample: usize,
        (feature, number): (usize, f64),
        element_type: ElementType,
        became: f32,
    ) -> Error {
        const BEYOND: &str = "beyond the range of f32 (3.4e38)";
        let problem = match self.scaling {
            _ if !number.is_finite() => "; finite numbers were expected".to_owned(),
            Scaling::Byte => {
                "; the scaling is byte, that of a model trained on bytes, and takes whole \
                              numbers from 0 to 255: multiply numbers from 0 to 1 by 255 and round \
                              them, or use a model trained on such numbers"
                    .to_owned()
            }
            Scaling::AsIs => format!(
                ", {BEYOND}, and the scaling as-is keeps it; scale the numbers, by min-max or \
                 mean-deviation for example"
            ),
            _ => format!(
                ", which the scaling {} makes {became}, {BEYOND}; use samples like those that it was \
                 fitted to",
                self.scaling.kind()
            ),
        };
        self.source.refused(sample, (feature, number, element_type), &problem)
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
