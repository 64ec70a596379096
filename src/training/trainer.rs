//! Training, a step at a time.

use std::ops::{ControlFlow, Range};
use std::time::Duration;

use crate::compute::Engine;
#[cfg(feature = "model")]
use crate::compute::ThreadPool;
use crate::data::samples::Samples;
use crate::data::{Order, gather};
use crate::error::{Error, Result};
use crate::network::activity::mean_activation;
use crate::network::autoencoder::Autoencoder;
use crate::ranks::{SharedRanks, agree};
use crate::settings::Settings;
#[cfg(feature = "model")]
use crate::training::controller::Control;
use crate::training::group::Group;
use crate::training::lbfgs::Lbfgs;
use crate::training::step::{StepReport, gradient, step, take_step};
use crate::training::workspace::{State, Workspace};

pub use super::builder::TrainerBuilder;

/// A training in progress: a network, the optimizer's state, samples and the place in their order,
/// threads, and all memory that a step needs.
#[derive(Debug)]
pub struct Trainer {
    pub(crate) engine: Engine,
    pub(crate) net: Autoencoder,
    pub(crate) state: State,
    pub(crate) lbfgs: Option<Lbfgs>,
    pub(crate) work: Workspace,
    pub(crate) batches: Order,
    pub(crate) samples: Samples,
    pub(crate) skip_zeros: bool,
    pub(crate) group: Option<Group>,
}

impl Trainer {
    /// A builder with the seed article's sparse settings.
    pub fn builder() -> TrainerBuilder {
        TrainerBuilder::default()
    }

    /// One step on the next batch. With L-BFGS that is all samples each time, and a step is one of its
    /// iterations. The report is of the weights before the step.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the objective is not finite (the weights are then those before the
    /// step), or the data has a feature that is not.
    pub fn step(&mut self) -> Result<StepReport> {
        let Workspace { rows, part, .. } = &mut self.work;
        if self.lbfgs.is_some() {
            // The same batch each time: all samples, in their order.
            rows.iter_mut().zip(0..).for_each(|(row, sample)| *row = sample);
        } else if self.group.as_ref().is_some_and(|group| group.sharded) {
            self.batches.next(&mut rows[part.clone()]);
        } else {
            self.batches.next(rows);
        }
        let Workspace { rows, part, batch, .. } = &mut self.work;
        let gathered = gather(&mut self.engine, &self.samples, &rows[part.clone()], batch);
        self.unless_failed(gathered)?;
        self.train()
    }

    /// One step on a batch of the caller's, row-major `[batch, features]`, scaled as the network is to
    /// see it; of several ranks, each one's part of it ([`Trainer::batch_part`]). The trainer's place in its own samples stays. L-BFGS remembers value and gradient from
    /// one step to the next: it wants the same batch at each, and knows nothing of another.
    ///
    /// # Errors
    /// As for [`Trainer::step`]; and the batch has another length than the settings say.
    pub fn step_on(&mut self, batch: &[f32]) -> Result<StepReport> {
        let taken = self.take(batch);
        self.unless_failed(taken)?;
        self.train()
    }

    /// The objective's terms on a batch of the caller's, `[batch, features]`, and its gradient, laid
    /// out as [`Autoencoder::parameters`], the weight decay's part in it. No weight, moment or count
    /// of steps changes; but running means ([`Settings::rho_momentum`]) and the threshold of a
    /// batch-top-k code follow this batch as they do a step's. (The first call may take memory for
    /// the gradient.)
    ///
    /// # Errors
    /// As for [`Trainer::step_on`].
    pub fn gradient_on(&mut self, batch: &[f32]) -> Result<(StepReport, &[f32])> {
        let taken = self.take(batch);
        self.unless_failed(taken)?;
        let Trainer { engine, net, state, work, skip_zeros, group, .. } = self;
        work.make_room_for_gradient(&net.settings);
        let report = gradient(engine, net, state, work, group.as_mut(), *skip_zeros)?;
        Ok((report, &work.gradient))
    }

    /// One step of the optimizer with a gradient of the caller's, laid out as
    /// [`Autoencoder::parameters`], for example that of [`Trainer::gradient_on`] with a penalty's
    /// added to it, or the mean over several machines. It is clipped, as the settings say; that of
    /// the weight decay is expected in it, and that of tied weights to be the sum of both.
    /// [`Settings::target`] is steered by the last batch that [`Trainer::gradient_on`] saw. Several
    /// ranks must each give the same gradient, and an error is a rank's own.
    ///
    /// # Errors
    /// The gradient has another length, is not finite, or the optimizer is L-BFGS, which looks for
    /// gradients itself.
    pub fn step_with(&mut self, gradient: &[f32]) -> Result<()> {
        let Trainer { engine, net, state, work, .. } = self;
        let (have, want) = (gradient.len(), net.parameters.len());
        if have != want {
            return Err(Error::Shape(format!(
                "a gradient of {have} numbers; {want} were expected"
            )));
        }
        if let Some(at) = gradient.iter().position(|g| !g.is_finite()) {
            let g = gradient[at];
            return Err(Error::Shape(format!("number {at} of the gradient is {g}")));
        }
        if self.lbfgs.is_some() {
            let problem = "L-BFGS looks for gradients itself; use another for those from outside";
            return Err(Error::setting("optimizer", problem));
        }
        work.make_room_for_gradient(&net.settings);
        work.gradient.copy_from_slice(gradient);
        take_step(engine, net, state, work);
        Ok(())
    }

    /// Which samples of a batch are this rank's: all, where there are no others.
    pub fn batch_part(&self) -> Range<usize> {
        self.work.part.clone()
    }

    /// Time that its steps have spent in what ranks tell each other, waiting for others included.
    pub fn communication_time(&self) -> Duration {
        self.group.as_ref().map_or(Duration::ZERO, |group| group.waited)
    }

    /// What this rank has, unless a rank has failed. All of them ask.
    pub(crate) fn unless_any_failed<T>(&self, own: Result<T>) -> Result<T> {
        match self.ranks() {
            Some(ranks) => agree(ranks, own, |_| String::new()),
            None => own,
        }
    }

    /// If this rank has failed where the others go on to a step, tells them.
    fn unless_failed<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if let (Err(_), Some(group)) = (&outcome, &mut self.group) {
            group.fail(&self.net.settings, &mut self.work);
        }
        outcome
    }

    /// The ranks it is one of.
    pub(crate) fn ranks(&self) -> Option<&SharedRanks> {
        self.group.as_ref().map(|group| &group.ranks)
    }

    /// Whether its samples are a rank's own.
    pub(crate) fn is_sharded(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.sharded)
    }

    /// Gives every rank what rank 0 has. Returns the place of that in the order of its samples.
    pub(crate) fn follow(&mut self) -> (u64, usize) {
        let Trainer { group, net, state, batches, .. } = self;
        let place = batches.position();
        group.as_mut().map_or(place, |group| group.follow(net, state, place))
    }

    /// Copies a batch of the caller's.
    fn take(&mut self, batch: &[f32]) -> Result<()> {
        if batch.len() != self.work.batch.len() {
            let (have, want) = (batch.len(), self.work.batch.len());
            return Err(Error::Shape(format!("a batch of {have} numbers; {want} were expected")));
        }
        self.work.batch.copy_from_slice(batch);
        Ok(())
    }

    fn train(&mut self) -> Result<StepReport> {
        let Trainer { engine, net, state, work, lbfgs, skip_zeros, group, .. } = self;
        let group = group.as_mut();
        match lbfgs {
            Some(lbfgs) => lbfgs.step(engine, net, state, work, group, *skip_zeros),
            None => step(engine, net, state, work, group, *skip_zeros),
        }
    }

    /// Steps until so many more are done or `after`, called with the trainer and the report after
    /// each, says to stop. Of several ranks, all stop after the step that follows the one at which one
    /// says so.
    ///
    /// # Errors
    /// As for [`Trainer::step`]; and, once an epoch, those of [`Samples::unchanged`].
    pub fn run(
        &mut self,
        steps: u64,
        mut after: impl FnMut(&mut Trainer, StepReport) -> ControlFlow<()>,
    ) -> Result<()> {
        if let Some(group) = &mut self.group {
            (group.stop, group.stopped) = (false, false);
        }
        let (mut checked, _) = self.batches.position();
        for _ in 0..steps {
            let (epoch, _) = self.batches.position();
            if epoch != checked {
                checked = epoch;
                let unchanged = self.samples.unchanged();
                self.unless_failed(unchanged)?;
            }
            let report = self.step()?;
            let stop = after(self, report).is_break();
            let stopped = match &mut self.group {
                None => stop,
                Some(group) => {
                    group.stop |= stop;
                    group.stopped
                }
            };
            if stopped {
                break;
            }
        }
        let unchanged = match self.batches.position().0 == checked {
            true => Ok(()),
            false => self.samples.unchanged(),
        };
        self.unless_any_failed(unchanged)
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.state.step
    }

    /// The engine, and the network it computes.
    pub(crate) fn parts(&mut self) -> (&mut Engine, &Autoencoder) {
        (&mut self.engine, &self.net)
    }

    /// Gives parameters new values, and their moments 0.
    pub(crate) fn overwrite(&mut self, places: &[usize], values: &[f32]) {
        for (&at, &value) in places.iter().zip(values) {
            self.net.parameters[at] = value;
            self.state.first[at] = 0.0;
            self.state.second[at] = 0.0;
        }
    }

    /// What it trains on.
    #[cfg(feature = "model")]
    pub(crate) fn samples(&self) -> &Samples {
        &self.samples
    }

    /// The threads, and all numbers that training changes: parameters and moments; running means.
    #[cfg(feature = "model")]
    #[allow(clippy::type_complexity)]
    pub(crate) fn numbers(&mut self) -> (&mut ThreadPool, [&[f32]; 3], &[Vec<f32>]) {
        let State { first, second, running_means, .. } = &self.state;
        (&mut self.engine.pool, [&self.net.parameters, first, second], running_means)
    }

    /// What the controller remembers.
    #[cfg(feature = "model")]
    pub(crate) fn control(&self) -> Control {
        self.state.control
    }

    /// Where it is in the order of the samples; see [`Order::position`].
    #[cfg(feature = "model")]
    pub(crate) fn position(&self) -> (u64, usize) {
        self.batches.position()
    }

    /// The objective of a report: its terms with their weights, the weight decay that of now.
    pub fn objective(&self, report: StepReport) -> f64 {
        let Settings { lambda, .. } = self.net.settings;
        let decay = if lambda > 0.0 { lambda * self.net.weight_decay() } else { 0.0 };
        report.loss + report.penalty + decay
    }

    /// Mean activation of each unit of every hidden layer over the last batch: a list a layer, a number
    /// a unit, 0 before the first batch.
    pub fn rho_hat(&self) -> &[Vec<f32>] {
        &self.work.rho_hat
    }

    /// Mean activation of every hidden layer over the last batch.
    pub fn mean_activations(&self) -> impl Iterator<Item = f64> {
        self.work.rho_hat.iter().map(|units| mean_activation(units))
    }

    /// The network as it is now.
    pub fn autoencoder(&self) -> &Autoencoder {
        &self.net
    }

    /// The network as it is now, to change its weights, as [`Autoencoder::parameters_mut`] gives them.
    /// Moments stay as they are; under L-BFGS, which remembers value and gradient, leave it alone.
    pub fn autoencoder_mut(&mut self) -> &mut Autoencoder {
        &mut self.net
    }

    /// The network, the training being over.
    pub fn into_autoencoder(self) -> Autoencoder {
        self.net
    }

    /// Adam's moments, first and second, or the velocity and zeros; laid out as the parameters.
    pub fn moments(&self) -> (&[f32], &[f32]) {
        (&self.state.first, &self.state.second)
    }

    /// The threads and the instruction set.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Codes of samples, `[samples, code]`.
    ///
    /// # Errors
    /// Those of [`Autoencoder::encode`].
    pub fn encode(&mut self, samples: &Samples) -> Result<Vec<f32>> {
        self.net.encode(&mut self.engine, samples)
    }

    /// Reconstructions `[samples, features]` from codes `[samples, code]`.
    ///
    /// # Errors
    /// Those of [`Autoencoder::decode`].
    pub fn decode(&mut self, codes: &[f32]) -> Result<Vec<f32>> {
        self.net.decode(&mut self.engine, codes)
    }

    /// Reconstructions of samples, `[samples, features]`.
    ///
    /// # Errors
    /// Those of [`Autoencoder::reconstruct`].
    pub fn reconstruct(&mut self, samples: &Samples) -> Result<Vec<f32>> {
        self.net.reconstruct(&mut self.engine, samples)
    }
}
