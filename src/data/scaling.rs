//! How the numbers of an array become features.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::data::array::Array;
use crate::data::statistics::Extremes;
use crate::error::{Error, Result};

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
}

/// The name of a scaling, without what it takes from the data: `byte`, `as-is`, `min-max` (also
/// `min-max:all`), `min-max:feature`, `mean-deviation` (also `mean-deviation:all`) or
/// `mean-deviation:feature`.
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
}

impl ScalingKind {
    /// All of them.
    #[doc(hidden)]
    pub const ALL: [Self; 6] = [
        Self::Byte,
        Self::AsIs,
        Self::MinMax,
        Self::MinMaxByFeature,
        Self::MeanDeviation,
        Self::MeanDeviationByFeature,
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
        }
    }

    /// Whether its constants are taken from the data.
    #[doc(hidden)]
    pub fn is_fitted(self) -> bool {
        !matches!(self, Self::Byte | Self::AsIs)
    }

    /// Whether it has constants for each feature.
    #[doc(hidden)]
    pub fn is_by_feature(self) -> bool {
        matches!(self, Self::MinMaxByFeature | Self::MeanDeviationByFeature)
    }

    /// The scaling of this kind that fits an array.
    ///
    /// # Errors
    /// Where constants are taken from the data: a number is not finite, or integers beyond 2^53 are
    /// so close to each other that no `f64` tells them apart.
    pub fn fit(self, array: &Array) -> Result<Scaling> {
        if !self.is_fitted() {
            return Ok(if self == Self::Byte { Scaling::Byte } else { Scaling::AsIs });
        }
        let extremes = Extremes::finite(array, self.is_by_feature())?;
        Ok(match self {
            Self::MinMax => Scaling::MinMax { min: extremes.min[0], max: extremes.max[0] },
            Self::MinMaxByFeature => {
                let Extremes { min, max, .. } = extremes;
                Scaling::MinMaxByFeature { min: min.into(), max: max.into() }
            }
            _ => {
                let (mean, deviation) = extremes.moments();
                match self {
                    Self::MeanDeviation => {
                        Scaling::MeanDeviation { mean: mean[0], deviation: deviation[0] }
                    }
                    _ => Scaling::MeanDeviationByFeature {
                        mean: mean.into(),
                        deviation: deviation.into(),
                    },
                }
            }
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
                    "expected byte, as-is, min-max or mean-deviation, got '{text}'; min-max:feature \
                     and mean-deviation:feature scale each feature by itself"
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
    pub fn fit_min_max(array: &Array) -> Result<Self> {
        ScalingKind::MinMax.fit(array)
    }

    /// The numbers of an array get mean 0 and standard deviation 1.
    ///
    /// # Errors
    /// As for [`ScalingKind::fit`].
    #[doc(hidden)]
    pub fn fit_mean_deviation(array: &Array) -> Result<Self> {
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
        }
    }

    /// Whether it brings the data that it was fitted to into [0, 1].
    #[doc(hidden)]
    pub fn is_unit(&self) -> bool {
        use ScalingKind::{Byte, MinMax, MinMaxByFeature};
        matches!(self.kind(), Byte | MinMax | MinMaxByFeature)
    }

    /// The two constants of each feature, or of all: smallest and largest, or mean and deviation.
    pub(crate) fn constants(&self) -> (&[f64], &[f64]) {
        use std::slice::from_ref;
        match self {
            Scaling::Byte | Scaling::AsIs => (&[], &[]),
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
            _ => Line::min_max(first[at], second[at]),
        }
    }

    /// Fails if it has constants for another number of features.
    pub(crate) fn check_features(&self, features: usize) -> std::result::Result<(), String> {
        let (first, second) = self.constants();
        if self.kind().is_by_feature() && (first.len(), second.len()) != (features, features) {
            return Err(format!(
                "the scaling {} has constants for {} features, but the samples have {features}; use \
                 samples with the features that it was fitted to",
                self.kind(),
                first.len()
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

/// The scaling of one feature, or of all: `(number - subtract) / divide`.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    /// 1, or 1/2 where a difference could overflow: then all three are halves.
    factor: f64,
    subtract: f64,
    divide: f64,
}

impl Line {
    #[inline(always)]
    pub fn min_max(min: f64, max: f64) -> Self {
        let range = max - min;
        match range.is_finite() {
            true => Self::mean_deviation(min, range),
            // Its half is finite.
            false => Line { factor: 0.5, subtract: 0.5 * min, divide: 0.5 * max - 0.5 * min },
        }
    }

    #[inline(always)]
    pub fn mean_deviation(mean: f64, deviation: f64) -> Self {
        /// Less than half the distance between the largest numbers: a difference does not overflow.
        const SAFE: f64 = 1e290;
        let factor = if mean.abs() <= SAFE { 1.0 } else { 0.5 };
        Line { factor, subtract: factor * mean, divide: factor * deviation }
    }

    /// The feature that a number becomes; not finite if the number is not.
    #[inline(always)]
    pub fn scale(self, number: f64) -> f32 {
        if self.divide == 0.0 {
            // 0, but NaN for what is not finite.
            return (number * 0.0 + 0.0) as f32;
        }
        ((number * self.factor - self.subtract) / self.divide) as f32
    }

    /// What to subtract from numbers and then to divide by; infinity where that gives 0. None if such a
    /// difference could overflow.
    #[cfg(feature = "onnx")]
    pub fn terms(self) -> Option<(f64, f64)> {
        let divide = if self.divide == 0.0 { f64::INFINITY } else { self.divide };
        (self.factor == 1.0).then_some((self.subtract, divide))
    }
}

/// As a person reads it: the kind and its constants, those of many features as ranges.
impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        let (first, second) = self.constants();
        let names = match kind {
            ScalingKind::Byte | ScalingKind::AsIs => return write!(f, "{kind}"),
            ScalingKind::MinMax | ScalingKind::MinMaxByFeature => ["minimum", "maximum"],
            _ => ["mean", "deviation"],
        };
        if !kind.is_by_feature() {
            return write!(f, "{kind}, {} {}, {} {}", names[0], first[0], names[1], second[0]);
        }
        write!(f, "{kind}, {} features", first.len())?;
        for (name, numbers) in names.iter().zip([first, second]) {
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
    pub(crate) fn constant_names(&self) -> Option<[&'static str; 2]> {
        match self.kind() {
            ScalingKind::MinMaxByFeature => Some(["scaling.min", "scaling.max"]),
            ScalingKind::MeanDeviationByFeature => Some(["scaling.mean", "scaling.deviation"]),
            _ => None,
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
