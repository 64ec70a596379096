//! Early stopping: the training ends when the objective on a holdout stops falling.

use crate::network::autoencoder::Autoencoder;
use crate::training::trainer::Trainer;

/// The state of early stopping.
#[derive(Clone, Debug, Default)]
pub(crate) struct EarlyStopping {
    pub record: Record,
    /// Parameters of the best network, empty before there is one.
    pub parameters: Vec<f32>,
}

/// What is known of the evaluations so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "model", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Record {
    /// Number of evaluations without a new best after which the training ends.
    pub patience: u32,
    /// Number of evaluations since the best.
    pub worse: u32,
    pub best: Option<Best>,
}

/// The best evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "model", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Best {
    pub objective: f64,
    pub step: u64,
    pub penalty_factor: f64,
}

impl EarlyStopping {
    fn is_over(&self) -> bool {
        self.record.worse >= self.record.patience
    }

    fn observe(&mut self, objective: f64, step: u64, net: &Autoencoder) -> bool {
        if self.is_over() {
            return true;
        }
        let is_best = self.record.best.is_none_or(|best| objective < best.objective);
        if is_best && objective.is_finite() {
            let penalty_factor = net.penalty_factor;
            self.record.best = Some(Best { objective, step, penalty_factor });
            self.parameters.clone_from(&net.parameters);
            self.record.worse = 0;
        } else {
            self.record.worse += 1;
        }
        self.is_over()
    }
}

impl Trainer {
    /// Takes the objective of the present network on a holdout, and returns whether the training is
    /// over: the last evaluations, as many as [`patience`](crate::TrainerBuilder::patience) says,
    /// were no better than the best one.
    ///
    /// Keeps the network if it is the best so far. An objective that is not finite is never the
    /// best. Always `false` without patience.
    pub fn observe(&mut self, objective: f64) -> bool {
        let (step, net) = (self.cx.state.step, &self.cx.net);
        let stopping = self.early_stopping.as_mut();
        stopping.is_some_and(|stopping| stopping.observe(objective, step, net))
    }

    /// Whether early stopping has ended the training, as it may have before a checkpoint that it
    /// was resumed from.
    pub fn is_over(&self) -> bool {
        self.early_stopping.as_ref().is_some_and(EarlyStopping::is_over)
    }

    /// Replaces the network by the best one that [`Trainer::observe`] has seen, and returns its
    /// objective and its step. Ends early stopping; moments stay those of the last step.
    ///
    /// `None`, and the network as it is, without patience or before the first evaluation.
    pub fn restore_best(&mut self) -> Option<(f64, u64)> {
        let EarlyStopping { record, parameters } = self.early_stopping.take()?;
        let Best { objective, step, penalty_factor } = record.best?;
        self.cx.net.parameters = parameters;
        self.cx.net.penalty_factor = penalty_factor;
        Some((objective, step))
    }
}
