//! What a trainer is built of, all of it checked.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex};

use sae_kernels::{Isa, Loss};

use crate::compute::Engine;
use crate::compute::{ThreadPool, available_threads};
#[cfg(feature = "model")]
use crate::data::TrainingData;
use crate::data::samples::Samples;
use crate::data::{Batches, Order, Plan, batches_ahead};
use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;
use crate::network::ends::check_targets;
use crate::ranks::{Ranks, SharedRanks, agree, count, part_of};
use crate::settings::{Code, Optimizer, SampleOrder, Settings};
use crate::training::activation_penalty::{ActivationPenalty, Activations, Penalize};
use crate::training::lbfgs::Lbfgs;
#[cfg(doc)]
use crate::training::objective::StepReport;
use crate::training::reduction::Reduction;
#[cfg(feature = "model")]
use crate::training::snapshot::Snapshot;
use crate::training::start::fit;
use crate::training::trainer::Trainer;
use crate::training::update::needs_whole_gradient;
use crate::training::workspace::{Context, State, Workspace};

/// Chooses how a [`Trainer`] works: threads, instruction set, ranks, a checkpoint to resume.
///
/// Nothing is checked before [`TrainerBuilder::build`].
#[derive(Debug)]
#[must_use]
pub struct TrainerBuilder {
    settings: Settings,
    threads: Option<usize>,
    pool: Option<ThreadPool>,
    isa: Option<Isa>,
    dense: bool,
    ranks: Option<SharedRanks>,
    sharded: bool,
    patience: Option<u32>,
    read_ahead: Option<usize>,
    network: Option<Autoencoder>,
    penalties: Penalties,
    without_samples: bool,
    #[cfg(feature = "model")]
    snapshot: Option<Snapshot>,
}

/// Penalties of the caller's, each with its layer.
#[derive(Default)]
struct Penalties(Vec<(usize, Penalize)>);

impl Penalties {
    /// Fails unless they are on hidden layers.
    fn check(&self, hidden: usize) -> Result<()> {
        let Some((layer, _)) = self.0.iter().find(|(layer, _)| *layer >= hidden) else {
            return Ok(());
        };
        let problem = format!("expected one of {hidden} hidden layers, from 0 on, got {layer}");
        Err(Error::setting("penalty", problem))
    }

    /// Gives them, with memory for their gradients, to a training.
    fn give_to(self, cx: &mut Context) {
        let Context { net, work, .. } = cx;
        let penalties = self.0.into_iter().map(|(layer, penalize)| {
            let units = work.layers[layer].outputs;
            let activations = match net.settings.is_gated(layer) {
                true => work.gate.codes.capacity(),
                false => work.part.len() * units,
            };
            ActivationPenalty::new(layer, penalize, units, activations)
        });
        work.activation_penalties = penalties.collect();
    }
}

impl fmt::Debug for Penalties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(layer, _)| layer)).finish()
    }
}

impl Trainer {
    /// A trainer of these settings on these samples, with all cores.
    ///
    /// # Errors
    /// As for [`TrainerBuilder::build`].
    pub fn new(settings: Settings, samples: &Samples) -> Result<Self> {
        Self::builder(settings).build(samples)
    }

    /// A builder of a trainer of these settings.
    pub fn builder(settings: Settings) -> TrainerBuilder {
        TrainerBuilder::new(settings)
    }
}

impl TrainerBuilder {
    fn new(settings: Settings) -> Self {
        TrainerBuilder {
            settings,
            threads: None,
            pool: None,
            isa: None,
            dense: false,
            ranks: None,
            sharded: false,
            patience: None,
            read_ahead: None,
            network: None,
            penalties: Penalties::default(),
            without_samples: false,
            #[cfg(feature = "model")]
            snapshot: None,
        }
    }

    /// The number of threads; the default, and the maximum, is the number of cores available.
    ///
    /// The result is the same for any number.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// The pool to use, instead of a number of threads.
    pub fn pool(mut self, pool: ThreadPool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// The instruction set; the default is what `SAE_ISA` names, or the fastest.
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = Some(isa);
        self
    }

    /// Whether inputs that are 0 are skipped where that saves work, as they are by default.
    ///
    /// The result is the same.
    #[doc(hidden)]
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

    /// Number of evaluations without a new best after which [`Trainer::observe`] says that the
    /// training is over; 0 for no early stopping. The default is the checkpoint's if the training
    /// is resumed, otherwise 0.
    ///
    /// Of several ranks it is rank 0 that evaluates, and rank 0 alone needs it.
    pub fn patience(mut self, evaluations: u32) -> Self {
        self.patience = Some(evaluations);
        self
    }

    /// Number of batches that samples are asked for before they are needed, by a thread of its own that
    /// also gathers them; 0 for no such thread. By default there is one where the data do not fit in
    /// memory, or their [`Source`](crate::data::Source) says that reading may wait.
    ///
    /// The result is the same.
    pub fn read_ahead(mut self, batches: usize) -> Self {
        self.read_ahead = Some(batches);
        self
    }

    /// The network whose parameters the training begins with, instead of initial ones. Its layers,
    /// activations, kind of code and scaling must be those of the builder's settings and of the samples;
    /// its other settings are not used. A checkpoint to resume takes precedence.
    pub fn network(mut self, network: Autoencoder) -> Self {
        self.network = Some(network);
        self
    }

    /// A penalty on the activations of a hidden layer, counted from 0, beside those of the settings.
    ///
    /// In each step, after the forward pass, `penalty` sees the layer's activations, adds its derivative by
    /// each of them to their gradient and returns its value, which the objective and
    /// [`StepReport::own_penalty`] get. Of several ranks each computes the part of its samples. The settings'
    /// sparsity penalties have a warm-up and a target: this one has its own weight.
    ///
    /// It is no part of the settings: files do not keep it, and a resumed training must be given it again.
    /// Evaluations and pretraining leave it out.
    ///
    /// ```
    /// use sae::{Samples, Settings, Trainer};
    ///
    /// # fn main() -> sae::Result<()> {
    /// let samples = Samples::from_values((0..40 * 8).map(|i| (i % 7) as f32 / 7.0).collect(), 8)?;
    /// let settings = Settings { layers: vec![8, 4, 8], batch: 10, ..Settings::default() };
    /// // 0.01 ln(1 + a^2), summed over the units, a mean over the samples.
    /// let mut trainer = Trainer::builder(settings)
    ///     .penalty(0, |activations| {
    ///         activations.add_mean(|a| (0.01 * (a * a).ln_1p(), 0.02 * a / (1.0 + a * a)))
    ///     })
    ///     .build(&samples)?;
    /// assert!(trainer.step()?.own_penalty > 0.0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn penalty(
        mut self,
        layer: usize,
        penalty: impl FnMut(&mut Activations<'_>) -> f64 + Send + 'static,
    ) -> Self {
        self.penalties.0.push((layer, Box::new(penalty)));
        self
    }

    /// Continues from a snapshot, whose settings must be those of this builder.
    #[cfg(feature = "model")]
    pub(crate) fn continue_from(mut self, snapshot: Snapshot) -> Self {
        self.snapshot = Some(snapshot);
        self
    }

    /// A trainer on these samples.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first setting that makes no sense, by itself or for this data, or is
    /// not that of rank 0; [`Error::Format`] if a checkpoint to resume is of other settings or other
    /// data; [`Error::OtherRank`].
    pub fn build(mut self, samples: &Samples) -> Result<Trainer> {
        let ranks = self.ranks.take().filter(|ranks| count(ranks) > 1);
        let sharded = self.sharded;
        let Some(ranks) = ranks else { return self.build_alone(samples, None) };
        let built = self.build_alone(samples, Some(&ranks));
        let mut trainer = agree(&ranks, built, |trainer| {
            let Trainer { cx: Context { net, engine, .. }, batches, .. } = trainer;
            // Each share has its own length.
            let count = if sharded { 0 } else { batches.samples().len() };
            let fused = engine.isa.is_fused();
            let scalings = (&net.scaling, &net.target_scaling);
            format!("{:?} {scalings:?} {count} {fused} {sharded}", net.settings)
        })?;
        let parameters = trainer.cx.net.parameters.len();
        trainer.ranks = Reduction::new(ranks, sharded, &trainer.cx.work, parameters);
        let (mut epoch, mut position) = trainer.follow();
        if sharded && trainer.ranks.rank() > 0 {
            // Its own place: after as many parts of batches.
            let seen = u128::from(trainer.steps()) * trainer.cx.work.part.len() as u128;
            let own = samples.len() as u128;
            (epoch, position) = ((seen / own) as u64, (seen % own) as usize);
        }
        if (epoch, position) != trainer.batches.position() {
            trainer.batches.seek(epoch, position);
        }
        Ok(trainer)
    }

    /// A trainer without samples of its own, on unscaled numbers: every step is given its batch
    /// ([`Trainer::step_on`]).
    ///
    /// What a training takes from its data before the first step is then left out: the output's biases begin
    /// as 0, and steps do not take account of the data's offset. Build it on some samples where that matters;
    /// steps need not use them. A network whose ends differ, or that has a skip connection, predicts targets
    /// ([`Batch::Pairs`](crate::training::Batch)); others reconstruct their inputs.
    ///
    /// # Errors
    /// As for [`TrainerBuilder::build`]; and [`Error::Setting`] for what cannot do without data: JumpReLU and
    /// the loss FVU of a new network, and L-BFGS.
    pub fn build_without_samples(mut self) -> Result<Trainer> {
        self.settings.validate()?;
        let Settings { code, loss, optimizer, .. } = &self.settings;
        let jumps = matches!(code, Code::JumpRelu { .. });
        let is_new = !self.is_resumed() && self.network.is_none();
        let needs = [
            (jumps && is_new, "code", "jump-relu"),
            (*loss == Loss::Fvu, "loss", "fvu"),
            (matches!(optimizer, Optimizer::Lbfgs { .. }), "optimizer", "l-bfgs"),
        ];
        if let Some((_, field, name)) = needs.into_iter().find(|(needs, ..)| *needs) {
            let problem =
                format!("{name} needs a look at the data: build the trainer on some samples");
            return Err(Error::setting(field, problem));
        }
        let ends = (self.settings.layers[0], *self.settings.layers.last().expect("two ends"));
        let of_targets = (ends.0 != ends.1 || self.settings.skip).then_some(ends.1);
        self.without_samples = true;
        self.build(&Samples::none(ends.0, of_targets))
    }

    fn build_alone(mut self, samples: &Samples, ranks: Option<&SharedRanks>) -> Result<Trainer> {
        self.check(samples, ranks.is_some())?;
        let is_resumed = self.is_resumed();
        let is_new = !is_resumed && self.network.is_none();
        let engine = self.engine()?;
        #[cfg_attr(not(feature = "model"), expect(unused_mut))]
        let mut net = match self.network {
            Some(network) if !is_resumed => begun(network, self.settings, samples)?,
            _ => self::net(self.settings, samples)?,
        };
        // Of its own shard alone, a rank knows nothing of all data.
        #[cfg(feature = "model")]
        if !self.sharded && !samples.is_empty() && samples.is_kept() {
            net.training_data = Some(TrainingData::of(samples)?);
        }
        let batch = net.settings.batch;
        let part = ranks.map_or(Ok(0..batch), |ranks| part_of(batch, ranks))?;
        let state = State::new(&net.settings, net.parameters.len());
        let lbfgs = match net.settings.optimizer {
            Optimizer::Lbfgs { memory } => Some(Lbfgs::new(memory, net.parameters.len())),
            _ => None,
        };
        let mut work = Workspace::new(&net, part, engine.threads());
        if lbfgs.is_some() || needs_whole_gradient(&net.settings) {
            work.allocate_gradient(&net.settings);
        }
        let shards = ranks.filter(|_| self.sharded).map_or(1, count);
        work.dead_units.after = dead_after(&net.settings, samples.len(), shards);
        let mut order = Order::of(net.settings.order, samples.len(), net.settings.seed);
        let mut cx = Context { engine, net, state, work, skip_zeros: !self.dense };
        let is_sequential = cx.net.settings.order == SampleOrder::Sequential;
        if !is_sequential && batches_ahead(samples, cx.work.part.len()) > 0 {
            samples.expect_random();
        }
        mem::take(&mut self.penalties).give_to(&mut cx);
        if !samples.is_empty() {
            fit(&mut cx, samples, &mut order, is_new)?;
        }
        #[cfg(feature = "model")]
        let early_stopping =
            self.snapshot.and_then(|snapshot| snapshot.restore(&mut cx, &mut order));
        #[cfg(not(feature = "model"))]
        let early_stopping = None;
        let plan = plan(&cx, samples, (self.sharded, self.read_ahead));
        let mut trainer = Trainer {
            ranks: Reduction::local(&cx.work),
            cx,
            lbfgs,
            batches: Batches::new(samples.clone(), order, plan),
            early_stopping,
        };
        if let Some(patience) = self.patience {
            let mut stopping = trainer.early_stopping.take().unwrap_or_default();
            stopping.record.patience = patience;
            trainer.early_stopping = Some(stopping).filter(|_| patience > 0);
        }
        Ok(trainer)
    }

    fn engine(&mut self) -> Result<Engine> {
        let isa = self.isa.map_or_else(Isa::from_environment, Ok);
        let isa = isa.map_err(|e| Error::setting("SAE_ISA", e.to_string()))?;
        let threads = self.threads.unwrap_or_else(available_threads);
        Ok(Engine::new(isa, self.pool.take().unwrap_or_else(|| ThreadPool::new(threads))))
    }

    fn is_resumed(&self) -> bool {
        #[cfg(feature = "model")]
        let is_resumed = self.snapshot.is_some();
        #[cfg(not(feature = "model"))]
        let is_resumed = false;
        is_resumed
    }

    /// Checks the settings by themselves, for this data, for ranks and for a checkpoint.
    fn check(&self, samples: &Samples, has_ranks: bool) -> Result<()> {
        let settings = &self.settings;
        settings.validate()?;
        if samples.is_empty() && !self.without_samples {
            return Err(Error::setting("samples", "expected at least 1, got 0"));
        }
        check_targets(settings, samples.targets().is_some())?;
        settings.check_ends(samples)?;
        if self.threads == Some(0) {
            return Err(Error::setting("threads", "expected at least 1, got 0"));
        }
        if matches!(settings.optimizer, Optimizer::Lbfgs { .. }) {
            let (batch, count) = (settings.batch, samples.len());
            if batch != count {
                let problem = format!(
                    "L-BFGS works on all {count} samples at once, and the field batch is {batch}"
                );
                return Err(Error::setting("optimizer", problem));
            }
            if has_ranks && self.sharded {
                let problem =
                    "L-BFGS works on all samples at once, and a rank only has its own shard";
                return Err(Error::setting("optimizer", problem));
            }
        }
        self.penalties.check(settings.layers.len() - 2)?;
        let order = Order::check(settings.order, samples.len());
        order.map_err(|problem| Error::setting("order", problem))?;
        #[cfg(feature = "model")]
        if let Some(snapshot) = &self.snapshot {
            snapshot.check(settings, samples)?;
        }
        Ok(())
    }
}

/// Samples without being active after which a unit is dead.
fn dead_after(settings: &Settings, samples: usize, shards: usize) -> u64 {
    const MOST: u64 = 10_000_000;
    const EPOCHS: u64 = 10;
    match settings.dead_after {
        0 if samples == 0 => MOST,
        0 => (samples as u64).saturating_mul(shards as u64 * EPOCHS).min(MOST),
        after => after,
    }
}

/// A new network for these samples and their targets.
fn net(settings: Settings, samples: &Samples) -> Result<Autoencoder> {
    let of_targets = samples.targets().map(Samples::scaling);
    Autoencoder::initial(settings, samples.scaling(), of_targets)
}

/// A network for a new training on these samples and their targets.
fn begun(network: Autoencoder, settings: Settings, samples: &Samples) -> Result<Autoencoder> {
    let of_targets = samples.targets().map(Samples::scaling);
    network.begin(settings, &samples.scaling(), of_targets.as_ref())
}

/// How the batches are gathered.
fn plan(cx: &Context, samples: &Samples, (sharded, read_ahead): (bool, Option<usize>)) -> Plan {
    let (part, settings) = (cx.work.part.clone(), &cx.net.settings);
    // A rank's own samples are those of its part alone.
    let (rows, part) = if sharded { (part.len(), 0..part.len()) } else { (settings.batch, part) };
    let ahead = match settings.optimizer {
        Optimizer::Lbfgs { .. } => 0,
        _ => read_ahead.unwrap_or_else(|| batches_ahead(samples, rows)),
    };
    Plan { samples: rows, part, ahead, isa: cx.engine.isa }
}
