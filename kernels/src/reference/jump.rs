//! The penalties of a JumpReLU code.

/// What a JumpReLU code is penalized by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum JumpPenalty {
    /// L0: the active units per sample.
    Step,
    /// The sum of tanh(this a / scale) per sample.
    Tanh(f64),
    /// (L0 / this - 1)^2.
    Quadratic(f64),
}

impl JumpPenalty {
    /// Its value for the activations of n samples, of a code of this scale.
    pub(super) fn value(self, a: &[f64], scale: f64, n: usize) -> f64 {
        match self {
            JumpPenalty::Step => l0(a, n),
            JumpPenalty::Tanh(c) => {
                a.iter().map(|a| (c * a / scale).tanh()).sum::<f64>() / n as f64
            }
            JumpPenalty::Quadratic(target) => (l0(a, n) / target - 1.0).powi(2),
        }
    }

    /// What it changes by, for each L0, where an activation jumps at a threshold.
    pub(super) fn jump(self, a: &[f64], scale: f64, threshold: f64, n: usize) -> f64 {
        match self {
            JumpPenalty::Step => 1.0,
            JumpPenalty::Tanh(c) => (c * threshold / scale).tanh(),
            JumpPenalty::Quadratic(target) => 2.0 * (l0(a, n) / target - 1.0) / target,
        }
    }

    /// Its derivative by an activation, times n.
    pub(super) fn derivative(self, a: f64, scale: f64) -> f64 {
        match self {
            JumpPenalty::Tanh(c) => c / scale * (1.0 - (c * a / scale).tanh().powi(2)),
            _ => 0.0,
        }
    }
}

/// Active units per sample.
fn l0(a: &[f64], n: usize) -> f64 {
    a.iter().filter(|&&a| a != 0.0).count() as f64 / n as f64
}
