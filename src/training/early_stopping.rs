//! Early stopping: the training ends when the objective on a holdout stops falling.

use crate::network::autoencoder::Autoencoder;

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
    pub fn is_over(&self) -> bool {
        self.record.worse >= self.record.patience
    }

    /// Takes the objective of a network after a step, and returns whether the training is over.
    pub fn observe(&mut self, objective: f64, step: u64, net: &Autoencoder) -> bool {
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

    /// Makes a network the best one, if there is one, and returns its objective and its step.
    pub fn restore_best(self, net: &mut Autoencoder) -> Option<(f64, u64)> {
        let Best { objective, step, penalty_factor } = self.record.best?;
        net.parameters = self.parameters;
        net.penalty_factor = penalty_factor;
        Some((objective, step))
    }
}
