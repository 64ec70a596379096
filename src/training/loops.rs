//! Training loops of the caller's: what happens between a gradient and its update.

use std::mem;

use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;
#[cfg(doc)]
use crate::settings::Settings;
use crate::training::batch::Batch;
use crate::training::input_gradient::input_gradient;
use crate::training::objective::StepReport;
use crate::training::step::{step_with_gradient, value_and_gradient};
use crate::training::trainer::Trainer;
use crate::training::workspace::Context;

/// What a step has computed when its gradient is known and nothing has changed yet.
#[derive(Debug)]
pub struct StepContext<'a> {
    cx: &'a mut Context,
    report: StepReport,
}

impl StepContext<'_> {
    /// The objective's terms on the batch.
    pub fn report(&self) -> StepReport {
        self.report
    }

    /// The network, whose parameters are those before the step.
    pub fn autoencoder(&self) -> &Autoencoder {
        &self.cx.net
    }

    /// Steps done before this one.
    pub fn steps(&self) -> u64 {
        self.cx.state.step
    }

    /// As [`Trainer::input_gradient`].
    ///
    /// # Errors
    /// `to` has another length.
    pub fn input_gradient(&mut self, to: &mut [f32]) -> Result<()> {
        input_gradient(self.cx, to)
    }
}

impl Trainer {
    /// One step on a batch, between whose gradient and update `change` is called.
    ///
    /// `change` gets the gradient of the whole batch, laid out as [`Autoencoder::parameters`], with the weight
    /// decay's part, and may change it in place; the gradient of tied weights is the sum of both. It is
    /// clipped afterwards, as the settings say. Of several ranks all call it with the same gradient, and must
    /// change it in the same way. An error of `change` ends the step, which then changes nothing.
    ///
    /// ```
    /// use sae::training::Batch;
    /// use sae::{Samples, Settings, Trainer};
    ///
    /// # fn main() -> sae::Result<()> {
    /// let samples = Samples::from_values((0..40 * 8).map(|i| (i % 7) as f32 / 7.0).collect(), 8)?;
    /// let settings = Settings { layers: vec![8, 4, 8], batch: 10, ..Settings::default() };
    /// let mut trainer = Trainer::new(settings, &samples)?;
    /// // Keeps the first layer's weights as they are.
    /// let frozen = trainer.autoencoder().layers()[0].weights();
    /// let before = trainer.autoencoder().parameters()[frozen.clone()].to_vec();
    /// trainer.step_with(Batch::Next, |gradient, _| {
    ///     gradient[frozen.clone()].fill(0.0);
    ///     Ok(())
    /// })?;
    /// assert_eq!(trainer.autoencoder().parameters()[frozen], before);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Trainer::step_on`]; those of `change`; a changed gradient that is not finite; and L-BFGS, which
    /// evaluates gradients itself.
    pub fn step_with<'a>(
        &mut self,
        batch: impl Into<Batch<'a>>,
        change: impl FnOnce(&mut [f32], &mut StepContext<'_>) -> Result<()>,
    ) -> Result<StepReport> {
        self.refuse_lbfgs()?;
        self.begin(batch.into())?;
        let report = value_and_gradient(&mut self.cx, &mut self.ranks)?;
        let mut gradient = mem::take(&mut self.cx.work.gradient);
        let changed = change(&mut gradient, &mut StepContext { cx: &mut self.cx, report });
        self.cx.work.gradient = gradient;
        let changed = self.unless_any_failed(changed);
        changed.and_then(|()| self.update()).inspect_err(|_| self.cx.work.uncommitted = false)?;
        Ok(report)
    }

    /// The objective's terms on a batch and its gradient, laid out as [`Autoencoder::parameters`], the weight
    /// decay's part in it. Nothing of the training changes, but the place in the trainer's own samples if the
    /// batch is of them. (The first call may allocate memory for the gradient.)
    ///
    /// # Errors
    /// As for [`Trainer::step_on`].
    pub fn gradient_on<'a>(&mut self, batch: impl Into<Batch<'a>>) -> Result<(StepReport, &[f32])> {
        self.begin(batch.into())?;
        let report = value_and_gradient(&mut self.cx, &mut self.ranks)?;
        Ok((report, &self.cx.work.gradient))
    }

    /// Writes the objective's derivative by each number that the network sees of the batch of the last
    /// [`Trainer::gradient_on`], `[n, features]`: of the scaled samples, after their corruption. Of several
    /// ranks each gets its part.
    ///
    /// Targets are constants in it, also those of a network that reconstructs its inputs: it is the gradient
    /// along the path through the network.
    ///
    /// # Errors
    /// [`Error::Shape`] if there was no gradient since the last step, or `to` has another length.
    pub fn input_gradient(&mut self, to: &mut [f32]) -> Result<()> {
        input_gradient(&mut self.cx, to)
    }

    /// One step of the optimizer with a gradient of the caller's, laid out as
    /// [`Autoencoder::parameters`], for example the mean over several machines. It is clipped, as the settings
    /// say; that of the weight decay is expected in it, and that of tied weights to be the sum of both.
    /// [`Settings::target`] is steered by the batch of the [`Trainer::gradient_on`] before this call, if it
    /// succeeded; its running means ([`Settings::rho_momentum`]) and its threshold of a batch-top-k code are
    /// followed. Several ranks must each give the same gradient, and an error is a rank's own.
    ///
    /// [`Trainer::step_with`] needs no second copy of the gradient.
    ///
    /// # Errors
    /// The gradient has another length, is not finite, or the optimizer is L-BFGS, which evaluates
    /// gradients itself.
    pub fn apply_gradient(&mut self, gradient: &[f32]) -> Result<()> {
        let (have, expected) = (gradient.len(), self.cx.net.parameters.len());
        if have != expected {
            return Err(Error::Shape(format!(
                "expected a gradient of {expected} numbers, one for each parameter, got {have}"
            )));
        }
        self.refuse_lbfgs()?;
        let work = &mut self.cx.work;
        work.allocate_gradient(&self.cx.net.settings);
        work.gradient.copy_from_slice(gradient);
        self.update()
    }

    /// Updates with the gradient in the workspace.
    fn update(&mut self) -> Result<()> {
        // Its largest number decides.
        self.cx.work.sums.may_overflow = 1.0;
        let updated = step_with_gradient(&mut self.cx);
        updated.or_else(|error| check_finite(&self.cx.work.gradient).and(Err(error)))
    }

    fn refuse_lbfgs(&self) -> Result<()> {
        if self.lbfgs.is_none() {
            return Ok(());
        }
        let problem = "L-BFGS evaluates gradients itself; use another optimizer for your own";
        Err(Error::setting("optimizer", problem))
    }
}

fn check_finite(gradient: &[f32]) -> Result<()> {
    let Some(at) = gradient.iter().position(|g| !g.is_finite()) else { return Ok(()) };
    let g = gradient[at];
    Err(Error::Shape(format!("expected a gradient of finite numbers, got {g} at position {at}")))
}
