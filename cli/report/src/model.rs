//! A model with what is known of it.

use std::path::PathBuf;

use sae::{Autoencoder, Engine, Evaluation, Samples};
use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::figures::{evaluation_json, settings_json};

/// The course of a training: rows of figures.
///
/// Charts are drawn of the columns `objective`, `loss`, `sparsity_penalty`, `weight_decay`, `penalty_factor`,
/// `auxiliary`, `dead_units` and the mean activations `mean_activation_1` ... of the hidden layers, over `step`, which
/// has to be there; any other column gets a chart of its own. A number that is not finite leaves a gap.
#[derive(Clone, Debug)]
pub struct History {
    /// Names and rows, as many rows in each.
    pub columns: Vec<(String, Vec<f64>)>,
    /// Whether each row has the figures of one batch, instead of means since the row before.
    pub is_of_batches: bool,
}

/// A model with its samples and figures.
pub struct Model {
    /// Its file, if it has one.
    pub path: Option<PathBuf>,
    /// Short, and different from the others'.
    pub name: String,
    /// The network.
    pub net: Autoencoder,
    /// The samples, scaled as in this model's training.
    pub samples: Samples,
    /// The evaluation on these samples.
    pub evaluation: Evaluation,
    /// The course of its training, if it is known.
    pub history: Option<History>,
}

impl Model {
    /// Evaluates a network on samples, which are scaled as in its training.
    ///
    /// # Errors
    /// The samples do not fit the network.
    pub fn new(
        name: impl Into<String>,
        net: Autoencoder,
        samples: Samples,
        engine: &mut Engine,
    ) -> Result<Self> {
        let evaluation = net.evaluate(engine, &samples)?;
        Ok(Model { path: None, name: name.into(), net, samples, evaluation, history: None })
    }

    /// What is known of it without its units, as JSON.
    pub fn json(&self) -> Value {
        let Model { path, name, net, evaluation, .. } = self;
        let history = self.history.as_ref().map(|History { columns, .. }| {
            let is_mean = |name: &str| name.starts_with("mean_activation");
            let (means, others): (Vec<_>, Vec<_>) =
                columns.iter().partition(|(name, _)| is_mean(name));
            let mut value: Map<String, Value> =
                others.into_iter().map(|(name, column)| (name.clone(), json!(column))).collect();
            let means: Vec<_> = means.into_iter().map(|(_, column)| column).collect();
            value.insert("mean_activations".into(), json!(means));
            value
        });
        let mut value = json!({
            "model": path.as_ref().map(|path| path.display().to_string()),
            "name": name,
            "settings": settings_json(net.settings()),
            "evaluation": evaluation_json(net, evaluation),
            "history": history,
        });
        if self.history.as_ref().is_some_and(|history| history.is_of_batches) {
            value["history_of_batches"] = json!(true);
        }
        value
    }
}
