//! An end before the last step, where a holdout gets no better.

use crate::network::autoencoder::Autoencoder;

/// Keeps the best network, and says when none better came for long enough.
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    patience: u32,
    worse: u32,
    best: Option<(f64, u64, Autoencoder)>,
}

impl EarlyStopping {
    /// To end after so many evaluations one after the other that are not better than the best.
    pub fn new(patience: u32) -> Self {
        EarlyStopping { patience, worse: 0, best: None }
    }

    /// Takes an evaluation's objective on the holdout, after so many steps. Whether to stop.
    pub fn observe(&mut self, objective: f64, step: u64, net: &Autoencoder) -> bool {
        if self.best.as_ref().is_none_or(|(best, ..)| objective < *best || best.is_nan()) {
            self.best = Some((objective, step, net.clone()));
            self.worse = 0;
        } else {
            self.worse += 1;
        }
        self.worse >= self.patience
    }

    /// The best objective, the step it was reached at, and the network.
    pub fn best(self) -> Option<(f64, u64, Autoencoder)> {
        self.best
    }
}
