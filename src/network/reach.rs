//! Which features a network's output can be, and its loss is defined for.

use sae_kernels::math::range;
use sae_kernels::{Activation, Isa, Loss};

use crate::settings::Settings;

/// The interval in which features have to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    low: f32,
    high: f32,
    loss: Loss,
    output: Activation,
}

impl Reach {
    /// For training with these settings; `None` where any features will do.
    pub fn of_training(settings: &Settings) -> Option<Self> {
        let (loss, output) = (settings.loss, settings.output_activation);
        let (low, high) = match output {
            _ if loss == Loss::CrossEntropy => (0.0, 1.0),
            _ if settings.allow_unreachable => return None,
            Activation::Sigmoid | Activation::SaturatingLinear => (0.0, 1.0),
            Activation::Tanh => (-1.0, 1.0),
            Activation::Relu => (0.0, f32::INFINITY),
            _ => return None,
        };
        Some(Reach { low, high, loss, output })
    }

    /// For evaluations: the loss has to be defined.
    pub fn of_evaluation(settings: &Settings) -> Option<Self> {
        Self::of_training(settings).filter(|reach| reach.loss == Loss::CrossEntropy)
    }

    /// Fails with a sentence if a feature of these samples, `[n, features]`, is out of reach; `name` is what
    /// a sample is called.
    pub fn check(
        self,
        isa: Isa,
        batch: &[f32],
        features: usize,
        name: impl FnOnce(usize) -> String,
    ) -> std::result::Result<(), String> {
        let (smallest, largest) = range(isa, batch);
        if smallest >= self.low && largest <= self.high {
            return Ok(());
        }
        // What is not finite is no matter of reach.
        let outside = |x: &f32| x.is_finite() && (*x < self.low || *x > self.high);
        let Some(at) = batch.iter().position(outside) else { return Ok(()) };
        let place = format!("{}, feature {} is {}", name(at / features), at % features, batch[at]);
        let (low, high) = (self.low, self.high);
        let interval = match high.is_finite() {
            true => format!("{low} to {high}"),
            false => format!("{low} on"),
        };
        Err(match self.loss {
            Loss::CrossEntropy => format!(
                "{place}; the cross-entropy needs features from {interval}: scale the data by \
                 min-max, or use the squared error (field loss)"
            ),
            _ => format!(
                "{place}; the output activation {} only gives numbers from {interval}: use a linear \
                 output (field output_activation), scale the data by min-max, or set the field \
                 allow_unreachable",
                self.output.name()
            ),
        })
    }
}
