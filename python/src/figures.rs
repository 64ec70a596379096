//! The figures of a step, which a training reports.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sae::{Code, Samples, StepReport, Trainer};

/// The figures of a step's batch, and how active the code is.
pub struct Figures {
    objective: f64,
    report: StepReport,
    learning_rate: f64,
    /// Of each hidden layer.
    mean_activations: Vec<f64>,
    /// L0 of the code and the number of its dead units, if they are measured.
    activity: Option<(f64, usize)>,
}

impl Figures {
    /// The figures after a step. L0 is that of the `measured` samples, and so are the dead units of a dense
    /// code; the training itself counts those of a sparse one.
    pub fn new(
        trainer: &mut Trainer,
        report: StepReport,
        measured: Option<&Samples>,
    ) -> sae::Result<Self> {
        let activity = match measured {
            None => None,
            Some(samples) => {
                let evaluation = trainer.evaluate(samples)?;
                let settings = trainer.autoencoder().settings();
                let code = &evaluation.layers[settings.encoder_layers() - 1];
                let dead = match settings.code {
                    Code::Dense => code.dead_units().count(),
                    _ => trainer.dead_units().count(),
                };
                Some((code.l0, dead))
            }
        };
        Ok(Figures {
            objective: trainer.objective(report),
            report,
            learning_rate: trainer.autoencoder().settings().learning_rate_of(trainer.steps()),
            mean_activations: trainer.mean_activations().collect(),
            activity,
        })
    }

    /// The figures by their names.
    pub fn named<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = PyDict::new(py);
        for (name, value) in [
            ("objective", self.objective),
            ("loss", self.report.loss),
            ("prefix_loss", self.report.prefix_loss),
            ("auxiliary", self.report.auxiliary),
            ("sparsity", self.report.sparsity),
            ("l1", self.report.l1),
            ("penalty", self.report.penalty),
            ("learning_rate", self.learning_rate),
        ] {
            all.set_item(name, value)?;
        }
        all.set_item("mean_activations", &self.mean_activations)?;
        all.set_item("l0", self.activity.map(|(l0, _)| l0))?;
        all.set_item("dead_units", self.activity.map(|(_, dead)| dead))?;
        Ok(all)
    }
}
