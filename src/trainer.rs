//! Training: a builder that checks everything, then steps.

use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sae_kernels::{Activation, Isa, Loss};

use crate::autoencoder::Autoencoder;
use crate::batches::Batches;
#[cfg(feature = "model")]
use crate::checkpoint::Checkpoint;
#[cfg(feature = "model")]
use crate::control::Control;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::evaluation::{Evaluation, mean_activation};
use crate::group::Group;
use crate::lbfgs::Lbfgs;
use crate::ranks::{Ranks, SharedRanks, agree, count, part_of};
use crate::samples::Samples;
use crate::settings::{
    Code, Corruption, Initialisation, LayerPenalty, Optimizer, Preset, Schedule, Settings, Target,
};
use crate::step::{StepReport, gather, gradient, step, take_step};
use crate::team::{Team, available_threads};
use crate::workspace::{State, Workspace};

/// Chooses what a [`Trainer`] does. A method of the name of a field of [`Settings`] sets that field;
/// ranges, units and sources stand there. Nothing is checked before [`TrainerBuilder::build`].
#[derive(Debug, Default)]
#[must_use]
pub struct TrainerBuilder {
    settings: Settings,
    threads: Option<usize>,
    team: Option<Team>,
    isa: Option<Isa>,
    dense: bool,
    ranks: Option<SharedRanks>,
    sharded: bool,
    #[cfg(feature = "model")]
    checkpoint: Option<Checkpoint>,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $name: $type) -> Self {
            self.settings.$name = $name;
            self
        }
    )*};
}

impl TrainerBuilder {
    setters! {
        /// Activation of the hidden layers.
        activation: Activation,
        /// Activation of the output layer.
        output_activation: Activation,
        /// Activation of each hidden layer, instead of one for all.
        activations: Vec<Activation>,
        /// The objective's data term.
        loss: Loss,
        /// What of the code's activations is kept.
        code: Code,
        /// Whether the decoder has the encoder's weights, transposed.
        tied: bool,
        /// Whether the weights from each unit of the code are kept at length 1.
        unit_norm: bool,
        /// First weights.
        initialisation: Initialisation,
        /// What is done to the input.
        corruption: Corruption,
        /// Target activation of the KL penalty, in (0, 1).
        rho: f64,
        /// Weight of the KL penalty; 0 for none.
        beta: f64,
        /// Weight of the L1 penalty; 0 for none.
        l1: f64,
        /// Penalties of single layers, in place of those of the whole encoder.
        penalties: Vec<LayerPenalty>,
        /// How much of a step's mean activations is that of the steps before.
        rho_momentum: f64,
        /// The mean activation or L0 that the penalties are steered to.
        target: Option<Target>,
        /// Weight of the weight decay; 0 for none.
        lambda: f64,
        /// What makes steps of gradients.
        optimizer: Optimizer,
        /// The learning rate.
        learning_rate: f64,
        /// How the learning rate changes.
        schedule: Schedule,
        /// Steps in which the learning rate rises to its full.
        warm_up: u64,
        /// Longest gradient; 0 for no bound.
        clip: f64,
        /// Adam's decay of the first moment.
        beta1: f64,
        /// Adam's decay of the second moment.
        beta2: f64,
        /// Adam's epsilon.
        epsilon: f64,
        /// Samples in a batch.
        batch: usize,
        /// Seed of the weights and of the order of the samples.
        seed: u64,
    }

    /// All settings at once.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The settings of a preset.
    pub fn preset(self, preset: Preset) -> Self {
        self.settings(Settings::preset(preset))
    }

    /// Sizes from the input to the output, as in `[784, 300, 30, 300, 784]`.
    pub fn layers(mut self, layers: impl Into<Vec<usize>>) -> Self {
        self.settings.layers = layers.into();
        self
    }

    /// Threads to use; the default, and the most, are the cores available. The result is the same
    /// for any number.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// The team to use, instead of a number of threads.
    pub fn team(mut self, team: Team) -> Self {
        self.team = Some(team);
        self
    }

    /// The instruction set; the default is what `SAE_ISA` names, or the fastest.
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = Some(isa);
        self
    }

    /// Whether inputs that are 0 are left out where that saves work, as they are by default. The
    /// result is the same.
    pub fn skip_zeros(mut self, skip: bool) -> Self {
        self.dense = !skip;
        self
    }

    /// Trains with other processes, as one of several ranks. Each builds a trainer of the same
    /// settings, on the same samples; each computes its part of every batch
    /// ([`Settings::batch`](Settings) samples are the whole), and all have the same weights, in
    /// the same bits every time for a number of ranks. What they begin with, a checkpoint for one, is
    /// what rank 0 has.
    ///
    /// From then on `build`, [`Trainer::step`] and all that trains are calls that every rank makes; a
    /// rank whose call fails makes them fail at all. Evaluating and encoding are a rank's own. (That
    /// samples are the same is known by their number and scaling alone.)
    pub fn ranks(self, ranks: impl Ranks + 'static) -> Self {
        self.shared_ranks(Arc::new(Mutex::new(Box::new(ranks))))
    }

    pub(crate) fn shared_ranks(mut self, ranks: SharedRanks) -> Self {
        self.ranks = Some(ranks);
        self
    }

    /// Whether the samples are this rank's own share of the data instead of all of it. A rank then
    /// goes through its own epochs; shares of one size are seen equally often.
    pub fn sharded(mut self, sharded: bool) -> Self {
        self.sharded = sharded;
        self
    }

    /// Goes on from a checkpoint, with its settings. Those set after this must be the same.
    #[cfg(feature = "model")]
    pub fn resume(mut self, checkpoint: Checkpoint) -> Self {
        self.settings = checkpoint.settings().clone();
        self.checkpoint = Some(checkpoint);
        self
    }

    /// A trainer on these samples.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first setting that makes no sense, by itself or for this data, or is
    /// not that of rank 0; [`Error::Format`] if a checkpoint to go on from is of other settings or
    /// other data; [`Error::OtherRank`].
    pub fn build(mut self, samples: &Samples) -> Result<Trainer> {
        let ranks = self.ranks.take().filter(|ranks| count(ranks) > 1);
        let sharded = self.sharded;
        let Some(ranks) = ranks else { return self.build_alone(samples, None) };
        let built = self.build_alone(samples, Some(&ranks));
        let mut trainer = agree(&ranks, built, |trainer| {
            let Trainer { net, engine, samples, .. } = trainer;
            // Each share has its own length.
            let count = if sharded { 0 } else { samples.len() };
            let fused = engine.isa.is_fused();
            format!("{:?} {:?} {count} {fused} {sharded}", net.settings, net.scaling)
        })?;
        let parameters = trainer.net.parameters.len();
        trainer.group = Some(Group::new(ranks, sharded, parameters));
        let (mut epoch, mut position) = trainer.follow();
        if sharded && trainer.group.as_ref().is_some_and(|group| group.rank() > 0) {
            // Its own place: after as many parts of batches.
            let seen = u128::from(trainer.steps()) * trainer.work.part.len() as u128;
            let own = samples.len() as u128;
            (epoch, position) = ((seen / own) as u64, (seen % own) as usize);
        }
        if (epoch, position) != trainer.batches.position() {
            trainer.batches.seek(epoch, position);
        }
        Ok(trainer)
    }

    fn build_alone(self, samples: &Samples, ranks: Option<&SharedRanks>) -> Result<Trainer> {
        let features = samples.features();
        self.settings.validate()?;
        if self.settings.layers[0] != features {
            return Err(Error::setting(
                "layers",
                format!(
                    "the first size is {} and the data has {features} features a sample",
                    self.settings.layers[0]
                ),
            ));
        }
        if self.threads == Some(0) {
            return Err(Error::setting("threads", "0 threads; at least 1 was expected"));
        }
        if matches!(self.settings.optimizer, Optimizer::Lbfgs { .. })
            && self.settings.batch != samples.len()
        {
            let (batch, count) = (self.settings.batch, samples.len());
            return Err(Error::setting(
                "optimizer",
                format!(
                    "L-BFGS works on all {count} samples at once, and the field batch is {batch}"
                ),
            ));
        }
        if matches!(self.settings.optimizer, Optimizer::Lbfgs { .. })
            && ranks.is_some()
            && self.sharded
        {
            let problem = "L-BFGS works on all samples at once, and a rank has but its share";
            return Err(Error::setting("optimizer", problem));
        }
        if u32::try_from(samples.len()).is_err() {
            return Err(Error::setting("data", "more than 2^32 - 1 samples"));
        }
        let isa = match self.isa {
            Some(isa) => isa,
            None => {
                Isa::from_environment().map_err(|e| Error::setting("SAE_ISA", e.to_string()))?
            }
        };
        let threads = self.threads.unwrap_or_else(available_threads);
        let team = self.team.unwrap_or_else(|| Team::new(threads));
        #[cfg(feature = "model")]
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.fits(&self.settings, samples)?;
        }
        let net = Autoencoder::new(self.settings, samples.scaling())?;
        let state = State::new(&net.settings, net.parameters.len());
        let batch = net.settings.batch;
        let part = ranks.map_or(Ok(0..batch), |ranks| part_of(batch, ranks))?;
        let work = Workspace::new(&net.settings, part, team.threads());
        #[cfg_attr(not(feature = "model"), expect(unused_mut))]
        let mut trainer = Trainer {
            engine: Engine::new(isa, team),
            lbfgs: Lbfgs::new(&net.settings, net.parameters.len()),
            state,
            work,
            batches: Batches::new(samples.len(), net.settings.seed),
            samples: samples.clone(),
            net,
            skip_zeros: !self.dense,
            group: None,
        };
        #[cfg(feature = "model")]
        if let Some(checkpoint) = self.checkpoint {
            let (epoch, position) = checkpoint.position();
            trainer.batches.seek(epoch, position);
            checkpoint.restore(&mut trainer.net, &mut trainer.state);
        }
        Ok(trainer)
    }
}

/// A training in progress: a network, the optimizer's state, samples and the place in their order,
/// threads, and all memory that a step needs.
#[derive(Debug)]
pub struct Trainer {
    engine: Engine,
    net: Autoencoder,
    state: State,
    lbfgs: Option<Lbfgs>,
    work: Workspace,
    batches: Batches,
    samples: Samples,
    skip_zeros: bool,
    group: Option<Group>,
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
        let gathered = gather(&mut self.engine, &self.samples, &mut self.work);
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
        match self.ranks() {
            Some(ranks) => agree(ranks, unchanged, |()| String::new()),
            None => unchanged,
        }
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
    pub(crate) fn numbers(&mut self) -> (&mut Team, [&[f32]; 3], &[Vec<f32>]) {
        let State { first, second, running_means, .. } = &self.state;
        (&mut self.engine.team, [&self.net.parameters, first, second], running_means)
    }

    /// What the controller remembers.
    #[cfg(feature = "model")]
    pub(crate) fn control(&self) -> Control {
        self.state.control
    }

    /// Where it is in the order of the samples; see [`Batches::position`].
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

    /// The objective over a data set, and the mean activations.
    ///
    /// # Errors
    /// Those of [`Autoencoder::evaluate`].
    pub fn evaluate(&mut self, samples: &Samples) -> Result<Evaluation> {
        self.net.evaluate(&mut self.engine, samples)
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
