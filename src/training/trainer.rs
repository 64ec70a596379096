//! The trainer: what drives the step.

use std::ops::{ControlFlow, Range};
use std::time::Duration;

use crate::compute::Engine;
#[cfg(doc)]
use crate::data::samples::Samples;
use crate::data::samples::SamplesOf;
use crate::data::scaling::Scaling;
use crate::data::{Batches, gather_pairs};
use crate::error::{Error, Result};
use crate::network::activity::mean_activation;
use crate::network::autoencoder::Autoencoder;
use crate::network::reach::Reach;
use crate::ranks::{SharedRanks, agree};
#[cfg(doc)]
use crate::settings::Settings;
use crate::settings::Target;
use crate::training::batch::Batch;
use crate::training::early_stopping::EarlyStopping;
use crate::training::lbfgs::{Lbfgs, Problem};
use crate::training::objective::StepReport;
use crate::training::reduction::Reduction;
use crate::training::step::{step, value_and_gradient};
use crate::training::update::{needs_whole_gradient, square_of_gradient};
use crate::training::workspace::{Context, targets_of};

/// A training in progress: a network, the optimizer's state, samples and the place in their order,
/// threads, and all memory that a step needs.
#[derive(Debug)]
pub struct Trainer {
    pub(crate) cx: Context,
    pub(crate) ranks: Reduction,
    pub(crate) lbfgs: Option<Lbfgs>,
    pub(crate) batches: Batches,
    pub(crate) early_stopping: Option<EarlyStopping>,
}

impl Trainer {
    /// One step on the next batch. With L-BFGS that is all samples each time, and a step is one of its
    /// iterations. The report is of the weights before the step.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the objective is not finite (the weights are then those before the
    /// step), or the data has a feature that is not, or a sample cannot be read. Such a batch is left out:
    /// the next call takes the batch after it. [`Error::Setting`] if the trainer has no samples of its own.
    pub fn step(&mut self) -> Result<StepReport> {
        self.step_on(Batch::Next)
    }

    /// One step on a batch: one of the caller's, or the next of the trainer's own samples.
    ///
    /// A batch of the caller's leaves the trainer's place in its own samples. L-BFGS keeps value and gradient
    /// from one step to the next: it needs the same batch at each.
    ///
    /// ```
    /// use sae::{Settings, Trainer};
    ///
    /// # fn main() -> sae::Result<()> {
    /// let settings = Settings { layers: vec![8, 4, 8], batch: 10, ..Settings::default() };
    /// let mut trainer = Trainer::builder(settings).build_without_samples()?;
    /// trainer.step_on(&[0.5; 10 * 8])?;
    /// trainer.step_on(&[0.5; 3 * 8])?;
    /// assert_eq!(trainer.steps(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Trainer::step`]; and the batch or its targets have another shape than the settings say.
    pub fn step_on<'a>(&mut self, batch: impl Into<Batch<'a>>) -> Result<StepReport> {
        self.begin(batch.into())?;
        self.train()
    }

    /// Takes a batch to the workspace. All ranks call it, and it fails for all if it does for one.
    pub(crate) fn begin(&mut self, batch: Batch<'_>) -> Result<()> {
        let taken = match batch {
            Batch::Next => self.gather(),
            Batch::Samples(samples) => self.take(samples, &[]),
            Batch::Pairs(inputs, targets) => self.take(inputs, targets),
        };
        self.unless_failed(taken)
    }

    /// Gathers the next batch of its own samples.
    fn gather(&mut self) -> Result<()> {
        let samples = self.batches.samples();
        if samples.is_empty() {
            let problem = "the trainer was built without; give each step its batch (step_on)";
            return Err(Error::setting("samples", problem));
        }
        let Context { engine, net, work, .. } = &mut self.cx;
        if self.ranks.is_alone() {
            work.resize(&net.settings, net.settings.batch);
        }
        if self.lbfgs.is_some() {
            // The same batch each time: all samples, in their order.
            work.rows.iter_mut().zip(0..).for_each(|(row, sample)| *row = sample);
            let rows = &work.rows[work.part.clone()];
            gather_pairs(engine, samples, rows, [&mut work.batch, &mut work.targets])?;
        } else {
            // Of its own samples a rank sees no others.
            let (rows, part) = match self.ranks.sharded {
                true => (&mut work.rows[work.part.clone()], 0..work.part.len()),
                false => (&mut work.rows[..], work.part.clone()),
            };
            self.batches.next(engine, rows, part, [&mut work.batch, &mut work.targets])?;
        }
        self.check_reach(Some(self.batches.samples()))
    }

    /// Which samples of a batch are this rank's: all, where there are no others.
    #[doc(hidden)]
    pub fn batch_part(&self) -> Range<usize> {
        self.cx.work.part.clone()
    }

    /// Time that its steps have spent in sums over ranks, waiting for others included.
    #[doc(hidden)]
    pub fn communication_time(&self) -> Duration {
        self.ranks.waited
    }

    /// This rank's result, unless another rank has failed; all ranks call it.
    pub(crate) fn unless_any_failed<T>(&self, own: Result<T>) -> Result<T> {
        if self.ranks.is_alone() {
            return own;
        }
        agree(&self.ranks.ranks, own, |_| String::new())
    }

    /// If this rank has failed where the others go on to a step, makes that fail, too.
    fn unless_failed<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            self.ranks.fail(&mut self.cx.work);
        }
        outcome
    }

    /// The ranks it is one of, if there are several.
    pub(crate) fn ranks(&self) -> Option<&SharedRanks> {
        (!self.ranks.is_alone()).then_some(&self.ranks.ranks)
    }

    /// Whether its samples are a rank's own.
    pub(crate) fn is_sharded(&self) -> bool {
        self.ranks.sharded
    }

    /// Gives every rank what rank 0 has. Returns the place of that in the order of its samples.
    pub(crate) fn follow(&mut self) -> (u64, usize) {
        self.forget();
        let place = self.batches.position();
        self.ranks.broadcast(&mut self.cx, place)
    }

    /// Copies a batch of the caller's, and its targets.
    fn take(&mut self, batch: &[f32], targets: &[f32]) -> Result<()> {
        let Context { net, work, .. } = &mut self.cx;
        let features = work.layers[0].inputs;
        let (have, most) = (batch.len(), net.settings.batch);
        let n = have / features;
        if self.ranks.is_alone() {
            if n == 0 || n > most || !have.is_multiple_of(features) {
                return Err(Error::Shape(format!(
                    "expected a batch of 1 to {most} samples of {features} numbers, got {have} numbers"
                )));
            }
            work.resize(&net.settings, n);
        } else if have != work.batch.len() {
            let expected = work.batch.len();
            return Err(Error::Shape(format!(
                "expected a rank's part of the batch, {expected} numbers, samples by features, got {have}"
            )));
        }
        let (have, expected) = (targets.len(), work.targets.len());
        if have != expected {
            return Err(Error::Shape(match expected {
                0 => "the network reconstructs its inputs, and takes no targets".to_owned(),
                _ => format!(
                    "expected {expected} numbers of targets, samples by outputs, got {have}"
                ),
            }));
        }
        work.batch.copy_from_slice(batch);
        work.targets.copy_from_slice(targets);
        self.check_reach(None)
    }

    /// Fails if the batch's targets have a feature that the output cannot reach; `samples` are what the batch
    /// was gathered from.
    fn check_reach(&self, samples: Option<&SamplesOf<'_>>) -> Result<()> {
        let Context { engine, net, work, .. } = &self.cx;
        let Some(reach) = Reach::of_training(&net.settings) else { return Ok(()) };
        let scaling = samples.map(|samples| samples.targets().unwrap_or(samples).scaling());
        if scaling == Some(Scaling::Byte) {
            return Ok(());
        }
        let what = if work.targets.is_empty() { "sample" } else { "target" };
        let name = |row: usize| match samples {
            Some(_) => format!("{what} {}", work.rows[work.part.start + row]),
            None => format!("{what} {row} of the batch"),
        };
        let features = net.settings.layers[work.layers.len()];
        let targets = targets_of(&work.batch, &work.targets);
        let checked = reach.check(engine.isa, targets, features, name);
        checked.map_err(Error::Shape)
    }

    /// Trains on the batch in the workspace.
    fn train(&mut self) -> Result<StepReport> {
        let Trainer { cx, ranks, lbfgs, .. } = self;
        let Some(lbfgs) = lbfgs else { return step(cx, ranks) };
        if cx.work.gradient_norm.is_asked() {
            value_and_gradient(cx, ranks)?;
            let square = square_of_gradient(cx);
            cx.work.gradient_norm.set(square);
        }
        let report = lbfgs.iterate(&mut OnBatch { cx, ranks })?;
        cx.state.step += 1;
        cx.work.gradient_norm.finish();
        Ok(report)
    }

    /// Takes `steps` steps, or fewer if `after`, called with the trainer and the report after each,
    /// breaks. Of several ranks, all stop after the step that follows the one at which one breaks.
    ///
    /// # Errors
    /// As for [`Trainer::step`]; and, once an epoch, those of [`Samples::unchanged`].
    pub fn run(
        &mut self,
        steps: u64,
        mut after: impl FnMut(&mut Trainer, StepReport) -> ControlFlow<()>,
    ) -> Result<()> {
        self.ranks.begin_run();
        let (mut checked, _) = self.batches.position();
        for _ in 0..steps {
            let (epoch, _) = self.batches.position();
            if epoch != checked {
                checked = epoch;
                let unchanged = self.batches.samples().unchanged();
                self.unless_failed(unchanged)?;
            }
            let report = self.step()?;
            let asks = after(self, report).is_break();
            if self.ranks.agree_to_stop(asks) {
                break;
            }
        }
        let unchanged = match self.batches.position().0 == checked {
            true => Ok(()),
            false => self.batches.samples().unchanged(),
        };
        self.unless_any_failed(unchanged)
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.cx.state.step
    }

    /// Of each unit of a sparse code, the samples since it was last active, at most 2e9; empty for a dense
    /// code. (Of a unit with signed activations: since they last had a sum other than 0.)
    pub fn inactive_samples(&self) -> &[u32] {
        &self.cx.state.inactive
    }

    /// Samples without being active after which a unit counts as dead ([`Settings::dead_after`]).
    #[doc(hidden)]
    pub fn dead_after(&self) -> u64 {
        self.cx.work.dead_units.after
    }

    /// Units of a sparse code that have not been active for [`Settings::dead_after`] samples, rising.
    pub fn dead_units(&self) -> impl Iterator<Item = usize> {
        let after = self.dead_after();
        let counts = self.inactive_samples().iter().enumerate();
        counts.filter(move |&(_, &samples)| u64::from(samples) >= after).map(|(unit, _)| unit)
    }

    /// Asks the next step to measure the norm of its gradient, for [`Trainer::gradient_norm`].
    ///
    /// It takes memory for some rows of a layer the first time, and some of the step's time; weights stay the
    /// same, bit for bit. Several ranks must ask before the same step.
    pub fn measure_gradient_norm(&mut self) {
        let is_fused = self.ranks.is_alone() && self.lbfgs.is_none();
        let is_fused = is_fused && !needs_whole_gradient(&self.cx.net.settings);
        let work = &mut self.cx.work;
        // Others have the gradient in memory.
        let layers = work.layers.iter().chain(&work.skip).filter(|_| is_fused);
        work.gradient_norm.ask(layers);
    }

    /// The L2 norm of the objective's gradient by all parameters, before clipping.
    ///
    /// It is that of the last step that has [measured](Trainer::measure_gradient_norm) it, `None` before. Tied
    /// weights count once. The bits are the same for any number of threads.
    pub fn gradient_norm(&self) -> Option<f64> {
        self.cx.work.gradient_norm.norm()
    }

    /// The engine and the network as it is now, for what an [`Autoencoder`] does with an engine.
    pub fn parts(&mut self) -> (&mut Engine, &Autoencoder) {
        (&mut self.cx.engine, &self.cx.net)
    }

    /// Forgets what is known of the parameters, which are about to be changed from outside.
    fn forget(&mut self) {
        self.cx.work.largest_weights.forget();
        self.cx.work.centering.forget();
        self.lbfgs.iter_mut().for_each(Lbfgs::forget);
    }

    /// Gives parameters new values, and their moments 0.
    pub(crate) fn overwrite(&mut self, places: &[usize], values: &[f32]) {
        self.forget();
        for (&at, &value) in places.iter().zip(values) {
            self.cx.net.parameters[at] = value;
            self.cx.state.first[at] = 0.0;
            self.cx.state.second[at] = 0.0;
        }
    }

    /// Counts the samples since a unit of a sparse code was active from now on.
    pub(crate) fn count_from_now(&mut self, unit: usize) {
        if let Some(samples) = self.cx.state.inactive.get_mut(unit) {
            *samples = 0;
        }
    }

    /// The means of the inputs' and of the targets' features, where training is centered; else none.
    pub(crate) fn means(&self) -> [&[f32]; 2] {
        let centering = &self.cx.work.centering;
        [&centering.mean, centering.target_mean()]
    }

    /// The objective of a report: its terms with their weights, the weight decay that of now.
    pub fn objective(&self, report: StepReport) -> f64 {
        self.cx.net.objective(report)
    }

    /// What the weights of all sparsity penalties are multiplied by in the next step: the factor of a
    /// [target](crate::Target), and the share of the [warm-up](Settings#structfield.sparsity_warm_up).
    pub fn penalty_factor(&self) -> f64 {
        self.cx.penalty_factor()
    }

    /// Mean activation of each unit of every hidden layer over the last batch: a list a layer, a number
    /// a unit, 0 before the first batch.
    #[doc(hidden)]
    pub fn rho_hat(&self) -> &[Vec<f32>] {
        &self.cx.work.means
    }

    /// Mean activation of every hidden layer over the last batch.
    #[doc(hidden)]
    pub fn mean_activations(&self) -> impl Iterator<Item = f64> {
        self.cx.work.means.iter().map(|units| mean_activation(units))
    }

    /// The network as it is now.
    pub fn autoencoder(&self) -> &Autoencoder {
        &self.cx.net
    }

    /// The network as it is now, to change its weights, as [`Autoencoder::parameters_mut`] gives them.
    /// Moments stay as they are; the inverse-Hessian approximation of L-BFGS begins anew.
    pub fn autoencoder_mut(&mut self) -> &mut Autoencoder {
        self.forget();
        &mut self.cx.net
    }

    /// The network, at the end of the training.
    pub fn into_autoencoder(self) -> Autoencoder {
        self.cx.net
    }

    /// Takes the objective of the present network on a holdout, and returns whether the training is
    /// over: the last evaluations, as many as [`patience`](crate::TrainerBuilder::patience) says, were no better than
    /// the best one.
    ///
    /// Keeps the network if it is the best so far. An objective that is not finite is never the
    /// best. Always `false` without patience. Until the penalties' weights are frozen, where a
    /// [target](crate::Target) steers them, objectives are of different weights, and none counts.
    pub fn observe(&mut self, objective: f64) -> bool {
        let steers = |target: Target| self.cx.state.step < target.steps;
        if self.cx.net.settings.target.is_some_and(steers) {
            return self.is_over();
        }
        let (step, net) = (self.cx.state.step, &self.cx.net);
        let stopping = self.early_stopping.as_mut();
        stopping.is_some_and(|stopping| stopping.observe(objective, step, net))
    }

    /// Whether early stopping has ended the training, as it may have before the checkpoint that
    /// this one was resumed from.
    #[doc(hidden)]
    pub fn is_over(&self) -> bool {
        self.early_stopping.as_ref().is_some_and(EarlyStopping::is_over)
    }

    /// Replaces the network by the best one that [`Trainer::observe`] has seen, and returns its
    /// objective and its step. Ends early stopping; moments stay those of the last step.
    ///
    /// `None`, and the network as it is, without patience or before the first evaluation.
    pub fn restore_best(&mut self) -> Option<(f64, u64)> {
        self.forget();
        self.early_stopping.take()?.restore_best(&mut self.cx.net)
    }

    /// Adam's moments, first and second, or the velocity and zeros; laid out as the parameters.
    #[doc(hidden)]
    pub fn moments(&self) -> (&[f32], &[f32]) {
        (&self.cx.state.first, &self.cx.state.second)
    }

    /// Codes of samples, `[samples, code]`.
    ///
    /// # Errors
    /// Those of [`Autoencoder::encode`].
    pub fn encode(&mut self, samples: &SamplesOf<'_>) -> Result<Vec<f32>> {
        self.cx.net.encode(&mut self.cx.engine, samples)
    }
}

/// A batch as L-BFGS minimizes its objective.
struct OnBatch<'a> {
    cx: &'a mut Context,
    ranks: &'a mut Reduction,
}

impl Problem for OnBatch<'_> {
    fn parameters(&mut self) -> &mut [f32] {
        &mut self.cx.net.parameters
    }

    fn evaluate(&mut self) -> Result<(f64, StepReport)> {
        let report = value_and_gradient(self.cx, self.ranks)?;
        if !self.cx.engine.largest_magnitude(&self.cx.work.gradient).is_finite() {
            return Err(Error::Diverged { step: self.cx.state.step + 1 });
        }
        let Context { engine, net, work, .. } = &mut *self.cx;
        let gradient = &mut work.gradient;
        work.centering.gradient_by_coordinates(engine, &net.settings, &work.layers, gradient);
        Ok((net.objective(report), report))
    }

    fn gradient(&self) -> &[f32] {
        &self.cx.work.gradient
    }

    fn change_of_parameters(&mut self, change: &mut [f32]) {
        let Context { engine, net, work, .. } = &mut *self.cx;
        work.centering.change_of_parameters(engine, &net.settings, &work.layers, change);
    }

    fn size(&self) -> f64 {
        let centering = &self.cx.work.centering;
        centering.scales[0] / centering.loss_divisor.sqrt()
    }
}
