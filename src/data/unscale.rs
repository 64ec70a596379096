//! The inverse of a scaling: from features to the numbers of the data.

use crate::data::layer_norm::statistics;
use crate::data::samples::SamplesOf;
use crate::data::scaling::Scaling;
use crate::error::{Error, Result};

impl Scaling {
    /// Brings numbers of this scaling, such as a reconstruction `[features]`, into the units of the data. A
    /// feature that was constant becomes that constant.
    ///
    /// # Errors
    /// [`Error::Setting`] for layer-norm, which depends on the sample: see [`SamplesOf::unscale`].
    /// [`Error::Shape`] if there are constants for another number of features, or a number is then beyond
    /// the range of `f32`.
    pub fn unscale(&self, values: &mut [f32]) -> Result<()> {
        self.check_features(values.len()).map_err(Error::Shape)?;
        match self {
            Scaling::AsIs => return Ok(()),
            Scaling::Byte => values.iter_mut().for_each(|value| *value *= 255.0),
            Scaling::LayerNorm => {
                let problem =
                    "layer-norm scales each sample by itself, and the sample is not known";
                return Err(Error::setting("scaling", problem));
            }
            _ => {
                let by_feature = self.kind().is_by_feature();
                for (feature, value) in values.iter_mut().enumerate() {
                    *value = self.line(if by_feature { feature } else { 0 }).unscale(*value);
                }
            }
        }
        check(values)
    }
}

impl SamplesOf<'_> {
    /// Brings the reconstruction of a sample into the units of the data, as [`Scaling::unscale`] does; for
    /// layer-norm with the mean and deviation of the sample.
    ///
    /// # Errors
    /// Those of [`Scaling::unscale`], and of the source.
    ///
    /// # Panics
    /// There is no such sample.
    pub fn unscale(&self, sample: usize, values: &mut [f32]) -> Result<()> {
        if !matches!(self.scaling, Scaling::LayerNorm) {
            return self.scaling.unscale(values);
        }
        let mut memory = Vec::new();
        let (mean, deviation) = statistics(self.source.whole_row(sample, &mut memory)?);
        let unscale = |value: f32| (f64::from(value) * deviation + mean) as f32;
        values.iter_mut().for_each(|value| *value = unscale(*value));
        check(values)
    }
}

fn check(values: &[f32]) -> Result<()> {
    let Some(at) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let problem = format!("feature {at} of a reconstruction is beyond the range of f32 (3.4e38)");
    Err(Error::Shape(problem))
}
