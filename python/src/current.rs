//! The network of a training that runs, for callbacks.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use sae::{Trainer, files::Course};

use crate::network::Network;

/// The training whose callback runs; afterwards nothing.
#[pyclass(frozen, module = "sae._sae")]
pub struct Current {
    trainer: Mutex<Option<Trainer>>,
    course: Option<Course>,
}

#[pymethods]
impl Current {
    /// A copy of the network.
    fn network(&self) -> PyResult<Network> {
        let trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
        let net = trainer.as_ref().map(|trainer| trainer.autoencoder().clone());
        let mut net = net.ok_or_else(|| {
            let problem = "model: a report has the model only while the callback that got it runs";
            PyRuntimeError::new_err(problem)
        })?;
        if let Some(course) = &self.course {
            course.keep_in(&mut net);
        }
        Ok(Network { net, training: None })
    }
}

impl Current {
    /// Lends a trainer, and what its model's file is to say, to what calls into Python; returns it with the result.
    pub fn lend<T>(
        py: Python<'_>,
        (trainer, course): (Trainer, Option<Course>),
        call: impl FnOnce(&Bound<'_, Current>) -> T,
    ) -> PyResult<(Trainer, T)> {
        let current = Bound::new(py, Current { trainer: Mutex::new(Some(trainer)), course })?;
        let result = call(&current);
        let trainer = current.get().trainer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let missing = || PyRuntimeError::new_err("the training is no longer there");
        Ok((trainer.ok_or_else(missing)?, result))
    }
}
