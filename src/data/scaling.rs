//! How the numbers of an array become features.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sae_kernels::Isa;

use crate::compute::{Engine, ThreadPool};
use crate::data::element::ElementType;
use crate::data::line::Line;
use crate::data::source::Source;
use crate::data::summary::Summary;
use crate::error::{Error, Result, counted};

/// How an array's numbers become features: `(number - subtract) / divide`, computed in `f64` and then
/// rounded to `f32`. Where there is nothing to divide by, because the data or the feature was constant,
/// the feature is 0.
///
/// A scaling belongs to a model, whatever type of number its data have. Cloning one is cheap.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "model", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "model", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Scaling {
    /// Bytes divided by 255: [0, 1]. Numbers of another type have to be whole and from 0 to 255.
    Byte,
    /// Numbers as they are.
    AsIs,
    /// The smallest number of all the data becomes 0, the largest 1.
    MinMax {
        /// The smallest number.
        min: f64,
        /// The largest number.
        max: f64,
    },
    /// Mean 0 and standard deviation 1 over all the data.
    MeanDeviation {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        deviation: f64,
    },
    /// The smallest number of each feature becomes 0, the largest 1.
    #[cfg_attr(feature = "model", serde(rename = "min-max:feature"))]
    MinMaxByFeature {
        /// The smallest number of each feature.
        min: Arc<[f64]>,
        /// The largest number of each feature.
        max: Arc<[f64]>,
    },
    /// Mean 0 and standard deviation 1 for each feature.
    #[cfg_attr(feature = "model", serde(rename = "mean-deviation:feature"))]
    MeanDeviationByFeature {
        /// The mean of each feature.
        mean: Arc<[f64]>,
        /// The standard deviation of each feature.
        deviation: Arc<[f64]>,
    },
    /// The mean of each feature is subtracted.
    Center {
        /// The mean of each feature.
        mean: Arc<[f64]>,
    },
    /// Divided by one number, the root mean square of all, so that the mean of a sample's squared length
    /// is the number of features: what published learning rates of sparse autoencoders assume.
    UnitRms {
        /// The root mean square of all numbers.
        rms: f64,
    },
    /// Each sample by itself: its mean subtracted, divided by sqrt(variance + 1e-5) of its numbers (Ba,
    /// Kiros and Hinton 2016; divisor n, as PyTorch's `LayerNorm` without weights).
    LayerNorm,
}

/// The name of a scaling, without what it takes from the data: `byte`, `as-is`, `min-max` (also
/// `min-max:all`), `min-max:feature`, `mean-deviation` (also `mean-deviation:all`),
/// `mean-deviation:feature`, `center`, `unit-rms` or `layer-norm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScalingKind {
    /// [`Scaling::Byte`].
    Byte,
    /// [`Scaling::AsIs`].
    AsIs,
    /// [`Scaling::MinMax`].
    MinMax,
    /// [`Scaling::MinMaxByFeature`].
    MinMaxByFeature,
    /// [`Scaling::MeanDeviation`].
    MeanDeviation,
    /// [`Scaling::MeanDeviationByFeature`].
    MeanDeviationByFeature,
    /// [`Scaling::Center`].
    Center,
    /// [`Scaling::UnitRms`].
    UnitRms,
    /// [`Scaling::LayerNorm`].
    LayerNorm,
}

impl ScalingKind {
    /// All of them.
    #[doc(hidden)]
    pub const ALL: [Self; 9] = [
        Self::Byte,
        Self::AsIs,
        Self::MinMax,
        Self::MinMaxByFeature,
        Self::MeanDeviation,
        Self::MeanDeviationByFeature,
        Self::Center,
        Self::UnitRms,
        Self::LayerNorm,
    ];

    /// Its text.
    #[doc(hidden)]
    pub fn name(self) -> &'static str {
        match self {
            Self::Byte => "byte",
            Self::AsIs => "as-is",
            Self::MinMax => "min-max",
            Self::MinMaxByFeature => "min-max:feature",
            Self::MeanDeviation => "mean-deviation",
            Self::MeanDeviationByFeature => "mean-deviation:feature",
            Self::Center => "center",
            Self::UnitRms => "unit-rms",
            Self::LayerNorm => "layer-norm",
        }
    }

    /// Whether its constants are taken from the data.
    #[doc(hidden)]
    pub fn is_fitted(self) -> bool {
        !matches!(self, Self::Byte | Self::AsIs | Self::LayerNorm)
    }

    /// Whether it has constants for each feature.
    #[doc(hidden)]
    pub fn is_by_feature(self) -> bool {
        matches!(self, Self::MinMaxByFeature | Self::MeanDeviationByFeature | Self::Center)
    }

    /// What is chosen without a choice: bytes are divided by 255, floats taken as they are.
    ///
    /// # Errors
    /// Other integers have no usual scaling.
    #[doc(hidden)]
    pub fn default_of(source: &dyn Source) -> Result<Self> {
        match source.element_type() {
            Some(ElementType::U8) => Ok(Self::Byte),
            Some(kind) if kind.is_integer() => Err(source.wrong(0, |_| {
                format!(
                    "elements are {kind}, which has no usual scaling; choose one: as-is, unit-rms, \
                     min-max or mean-deviation, or min-max:feature or mean-deviation:feature for each \
                     feature by itself"
                )
            })),
            _ => Ok(Self::AsIs),
        }
    }

    /// The scaling of this kind that fits all rows of a source, such as an array, computed by one thread.
    ///
    /// # Errors
    /// As for [`ScalingKind::fit_on`].
    pub fn fit(self, source: &dyn Source) -> Result<Scaling> {
        let mut engine = Engine::new(Isa::detect(), ThreadPool::new(1));
        self.fit_on(&mut engine, source, None)
    }

    /// The scaling of this kind that fits all rows of a source, or `rows` of them at equal distances. The
    /// same for any number of threads.
    ///
    /// # Errors
    /// Where constants are taken from the data: a number is not finite, or integers beyond 2^53 are
    /// so close to each other that no `f64` tells them apart; and those of the source.
    pub fn fit_on(
        self,
        engine: &mut Engine,
        source: &dyn Source,
        rows: Option<usize>,
    ) -> Result<Scaling> {
        match self {
            Self::Byte => Ok(Scaling::Byte),
            Self::AsIs => Ok(Scaling::AsIs),
            Self::LayerNorm => Ok(Scaling::LayerNorm),
            _ => self.of(&Summary::of(engine, source, rows)?, source),
        }
    }

    /// The scaling of this kind by what is known of a source's numbers.
    ///
    /// # Errors
    /// As for [`ScalingKind::fit_on`].
    #[doc(hidden)]
    pub fn of(self, summary: &Summary, source: &dyn Source) -> Result<Scaling> {
        if self.is_fitted() {
            summary.check(source, self.is_by_feature())?;
        }
        let Summary { all, min, max, mean, deviation, .. } = summary.clone();
        let rms = all.mean.hypot(all.deviation);
        Ok(match self {
            Self::Byte => Scaling::Byte,
            Self::AsIs => Scaling::AsIs,
            Self::LayerNorm => Scaling::LayerNorm,
            Self::MinMax => Scaling::MinMax { min: all.min, max: all.max },
            Self::MinMaxByFeature => Scaling::MinMaxByFeature { min: min.into(), max: max.into() },
            Self::MeanDeviation => {
                Scaling::MeanDeviation { mean: all.mean, deviation: all.deviation }
            }
            Self::MeanDeviationByFeature => {
                Scaling::MeanDeviationByFeature { mean: mean.into(), deviation: deviation.into() }
            }
            Self::Center => Scaling::Center { mean: mean.into() },
            // At most the largest number, where the root of a sum of squares would be beyond it.
            Self::UnitRms => Scaling::UnitRms { rms: rms.min(all.min.abs().max(all.max.abs())) },
        })
    }
}

impl fmt::Display for ScalingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ScalingKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let short = text
            .strip_suffix(":all")
            .filter(|&name| name == Self::MinMax.name() || name == Self::MeanDeviation.name());
        let name = short.unwrap_or(text);
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            Error::setting(
                "scaling",
                format!(
                    "expected byte, as-is, center, unit-rms, layer-norm, min-max or mean-deviation, got \
                     '{text}'; min-max:feature and mean-deviation:feature scale each feature by itself"
                ),
            )
        })
    }
}

impl Scaling {
    /// The smallest number of an array becomes 0, its largest 1.
    ///
    /// # Errors
    /// As for [`ScalingKind::fit`].
    #[doc(hidden)]
    pub fn fit_min_max(array: &dyn Source) -> Result<Self> {
        ScalingKind::MinMax.fit(array)
    }

    /// The numbers of an array get mean 0 and standard deviation 1.
    ///
    /// # Errors
    /// As for [`ScalingKind::fit`].
    #[doc(hidden)]
    pub fn fit_mean_deviation(array: &dyn Source) -> Result<Self> {
        ScalingKind::MeanDeviation.fit(array)
    }

    /// Its kind.
    #[doc(hidden)]
    pub fn kind(&self) -> ScalingKind {
        match self {
            Scaling::Byte => ScalingKind::Byte,
            Scaling::AsIs => ScalingKind::AsIs,
            Scaling::MinMax { .. } => ScalingKind::MinMax,
            Scaling::MeanDeviation { .. } => ScalingKind::MeanDeviation,
            Scaling::MinMaxByFeature { .. } => ScalingKind::MinMaxByFeature,
            Scaling::MeanDeviationByFeature { .. } => ScalingKind::MeanDeviationByFeature,
            Scaling::Center { .. } => ScalingKind::Center,
            Scaling::UnitRms { .. } => ScalingKind::UnitRms,
            Scaling::LayerNorm => ScalingKind::LayerNorm,
        }
    }

    /// Whether it brings the data that it was fitted to into [0, 1].
    #[doc(hidden)]
    pub fn is_unit(&self) -> bool {
        use ScalingKind::{Byte, MinMax, MinMaxByFeature};
        matches!(self.kind(), Byte | MinMax | MinMaxByFeature)
    }

    /// The constants of each feature, or of all: smallest and largest, mean and deviation, the mean alone,
    /// or the root mean square alone.
    pub(crate) fn constants(&self) -> (&[f64], &[f64]) {
        use std::slice::from_ref;
        match self {
            Scaling::Byte | Scaling::AsIs | Scaling::LayerNorm => (&[], &[]),
            Scaling::Center { mean } => (mean, &[]),
            Scaling::UnitRms { rms } => (from_ref(rms), &[]),
            Scaling::MinMax { min: a, max: b }
            | Scaling::MeanDeviation { mean: a, deviation: b } => (from_ref(a), from_ref(b)),
            Scaling::MinMaxByFeature { min: a, max: b }
            | Scaling::MeanDeviationByFeature { mean: a, deviation: b } => (a, b),
        }
    }

    /// How feature `at` of `constants` is scaled.
    pub(crate) fn line(&self, at: usize) -> Line {
        let (first, second) = self.constants();
        match self.kind() {
            ScalingKind::MeanDeviation | ScalingKind::MeanDeviationByFeature => {
                Line::mean_deviation(first[at], second[at])
            }
            ScalingKind::Center => Line::center(first[at]),
            ScalingKind::UnitRms => Line::mean_deviation(0.0, first[at]),
            _ => Line::min_max(first[at], second[at]),
        }
    }

    /// What is subtracted from a feature's numbers, and then divided by: infinity where the result is 0.
    ///
    /// # Errors
    /// There is no such pair.
    pub(crate) fn terms(&self, feature: usize) -> std::result::Result<(f64, f64), String> {
        match self {
            Scaling::AsIs => return Ok((0.0, 1.0)),
            Scaling::Byte => return Ok((0.0, 255.0)),
            Scaling::LayerNorm => {
                return Err("layer-norm depends on each sample and cannot be folded into weights"
                    .to_owned());
            }
            _ => {}
        }
        let at = if self.kind().is_by_feature() { feature } else { 0 };
        self.line(at).terms().ok_or_else(|| {
            format!("the constants of feature {feature} are too large to be folded into weights")
        })
    }

    /// Fails if it has constants for another number of features.
    pub(crate) fn check_features(&self, features: usize) -> std::result::Result<(), String> {
        let (first, second) = self.constants();
        let is_other = |length: usize| length != features;
        let has_second = self.kind() != ScalingKind::Center;
        if self.kind().is_by_feature()
            && (is_other(first.len()) || has_second && is_other(second.len()))
        {
            return Err(format!(
                "the scaling {} has constants for {}, but the samples have {features}; use \
                 samples with the features that it was fitted to",
                self.kind(),
                counted(first.len(), "feature")
            ));
        }
        Ok(())
    }

    /// Fails if a constant is not finite.
    pub(crate) fn check_finite(&self) -> std::result::Result<(), String> {
        let (first, second) = self.constants();
        match first.iter().chain(second).find(|constant| !constant.is_finite()) {
            None => Ok(()),
            Some(constant) => {
                let kind = self.kind();
                Err(format!("a constant of {kind} is {constant}; fit it to finite numbers"))
            }
        }
    }
}

/// As a person reads it: the kind and its constants, those of many features as ranges.
impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        let (first, second) = self.constants();
        let names: &[&str] = match kind {
            ScalingKind::Byte | ScalingKind::AsIs | ScalingKind::LayerNorm => &[],
            ScalingKind::MinMax | ScalingKind::MinMaxByFeature => &["minimum", "maximum"],
            ScalingKind::Center => &["mean"],
            ScalingKind::UnitRms => &["root mean square"],
            _ => &["mean", "deviation"],
        };
        write!(f, "{kind}")?;
        if kind.is_by_feature() {
            write!(f, ", {}", counted(first.len(), "feature"))?;
        }
        for (name, numbers) in names.iter().zip([first, second]) {
            if let ([number], false) = (numbers, kind.is_by_feature()) {
                write!(f, ", {name} {number}")?;
                continue;
            }
            let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            write!(f, ", {name} from {low} to {high}")?;
        }
        Ok(())
    }
}

#[cfg(feature = "model")]
impl Scaling {
    /// The names of its constants, in a file.
    pub(crate) fn constant_names(&self) -> &'static [&'static str] {
        match self.kind() {
            ScalingKind::MinMaxByFeature => &["scaling.min", "scaling.max"],
            ScalingKind::MeanDeviationByFeature => &["scaling.mean", "scaling.deviation"],
            ScalingKind::Center => &["scaling.mean"],
            _ => &[],
        }
    }

    /// The same without constants for each feature, which files have as tensors.
    pub(crate) fn without_constants(&self) -> Self {
        self.with_constants(Vec::new(), Vec::new())
    }

    /// The same with these constants for each feature, if it is of such a kind.
    pub(crate) fn with_constants(&self, first: Vec<f64>, second: Vec<f64>) -> Self {
        match self {
            Scaling::MinMaxByFeature { .. } => {
                Scaling::MinMaxByFeature { min: first.into(), max: second.into() }
            }
            Scaling::MeanDeviationByFeature { .. } => {
                Scaling::MeanDeviationByFeature { mean: first.into(), deviation: second.into() }
            }
            Scaling::Center { .. } => Scaling::Center { mean: first.into() },
            other => other.clone(),
        }
    }

    /// The same with constants of `f32`, which versions 1 and 2 of the files had.
    pub(crate) fn rounded(&self) -> Self {
        let rounded = |number: f64| f64::from(number as f32);
        match *self {
            Scaling::MinMax { min, max } => {
                Scaling::MinMax { min: rounded(min), max: rounded(max) }
            }
            Scaling::MeanDeviation { mean, deviation } => {
                Scaling::MeanDeviation { mean: rounded(mean), deviation: rounded(deviation) }
            }
            _ => self.clone(),
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
                Scaling::MeanDeviation { mean: f64::MIN_POSITIVE / 8.0, deviation: f64::MAX },
                "{\"mean-deviation\":{\"mean\":",
            ),
            (
                Scaling::MinMaxByFeature { min: [0.1, -1e300].into(), max: [0.2, 1e300].into() },
                "{\"min-max:feature\":{\"min\":[0.1,",
            ),
            (
                Scaling::MeanDeviationByFeature { mean: [0.1].into(), deviation: [0.0].into() },
                "{\"mean-deviation:feature\":{\"mean\":[0.1]",
            ),
            (Scaling::Center { mean: [0.1, 1e300].into() }, "{\"center\":{\"mean\":[0.1,"),
            (Scaling::UnitRms { rms: 0.1 }, "{\"unit-rms\":{\"rms\":0.1}"),
            (Scaling::LayerNorm, "\"layer-norm\""),
        ] {
            let text = serde_json::to_string(&scaling).unwrap();
            assert!(text.starts_with(start), "{text}");
            assert_eq!(serde_json::from_str::<Scaling>(&text).unwrap(), scaling, "{text}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for kind in ScalingKind::ALL {
            assert_eq!(kind.to_string().parse::<ScalingKind>().unwrap(), kind);
        }
        assert_eq!("min-max:all".parse::<ScalingKind>().unwrap(), ScalingKind::MinMax);
        let long = "mean-deviation:all".parse::<ScalingKind>().unwrap();
        assert_eq!(long, ScalingKind::MeanDeviation);
        for text in ["", "max-min", "byte:all", "min-max:", "min-max:rows", "min-max:feature:all"] {
            let problem = text.parse::<ScalingKind>().unwrap_err().to_string();
            assert!(problem.contains(&format!("mean-deviation, got '{text}'; ")), "{problem}");
        }
    }
}
