//! Targets: other data than the inputs, which a network is to predict from them.

use std::ops::Range;

use crate::compute::Engine;
use crate::data::gather::gather;
#[cfg(doc)]
use crate::data::samples::Samples;
use crate::data::samples::SamplesOf;
use crate::error::{Error, Result};

impl<'a> SamplesOf<'a> {
    /// These samples, each with what a network is to predict from it instead of reconstructing it: the
    /// target of a sample is that of the same number. Targets have features and a scaling of their own.
    ///
    /// What selects samples, such as [`Samples::hold_out`] and the order of a training, selects their
    /// targets with them.
    ///
    /// ```
    /// use sae::Samples;
    ///
    /// let inputs = Samples::from_values(vec![1.0, 2.0, 3.0, 4.0], 2)?;
    /// let samples = inputs.with_targets(Samples::from_values(vec![3.0, 7.0], 1)?)?;
    /// assert_eq!(samples.features(), 2);
    /// assert_eq!(samples.targets().map(Samples::features), Some(1));
    /// # Ok::<(), sae::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one target for each sample.
    pub fn with_targets(&self, targets: SamplesOf<'a>) -> Result<Self> {
        let (samples, count) = (self.len(), targets.len());
        if samples != count {
            return Err(Error::Shape(format!(
                "{count} targets for {samples} samples; expected one target for each sample, in the \
                 same order"
            )));
        }
        let targets = Some(targets.without_targets().into());
        Ok(SamplesOf { targets, ..self.clone() })
    }

    /// The targets, if there are other ones than the samples themselves.
    pub fn targets(&self) -> Option<&SamplesOf<'a>> {
        self.targets.as_deref()
    }

    /// The same samples without targets.
    pub fn without_targets(&self) -> Self {
        SamplesOf { targets: None, ..self.clone() }
    }

    /// Features of what is predicted: of the targets, or of the samples themselves.
    pub(crate) fn target_features(&self) -> usize {
        self.targets().unwrap_or(self).features()
    }

    /// Asks for samples, and their targets, that will be gathered some batches later.
    pub(crate) fn read_ahead(&self, range: Range<usize>) {
        self.source().read_ahead(range.clone());
        self.targets().into_iter().for_each(|targets| targets.source().read_ahead(range.clone()));
    }

    /// Says that samples are gathered in random order from now on.
    pub(crate) fn expect_random(&self) {
        self.source().expect_random();
        self.targets().into_iter().for_each(SamplesOf::expect_random);
    }

    /// Bytes of memory with which gathering samples and their targets never waits, if it need not.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let of_targets = self.targets().map_or(Some(0), SamplesOf::resident_bytes);
        Some(self.source().resident_bytes()?.saturating_add(of_targets?))
    }
}

/// Gathers samples, as [`gather`] does, and their targets, if they have any, to `targets`
/// `[rows.len(), features]`.
///
/// # Errors
/// As for [`gather`], of the samples before the targets.
pub(crate) fn gather_pairs(
    engine: &mut Engine,
    samples: &SamplesOf<'_>,
    rows: &[usize],
    [batch, targets]: [&mut [f32]; 2],
) -> Result<()> {
    gather(engine, samples, rows, batch)?;
    match samples.targets() {
        Some(of_targets) => gather(engine, of_targets, rows, targets).map_err(of_target),
        None => Ok(()),
    }
}

/// An error about a target, which says so where it names no file.
pub(crate) fn of_target(error: Error) -> Error {
    match error {
        Error::Shape(problem) => Error::Shape(format!("targets: {problem}")),
        other => other,
    }
}
