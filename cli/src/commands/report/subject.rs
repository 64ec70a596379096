//! A model with its history.

use serde_json::{Map, Value, json};

use crate::failure::Result;
use crate::history::{self, History};
use crate::models::Model;
use crate::output::{evaluation_json, note, settings_json};

pub struct Subject {
    pub model: Model,
    pub history: Option<History>,
}

impl Subject {
    pub fn new(model: Model) -> Result<Self> {
        let path = history::path_of(&model.path);
        let history = if path.exists() {
            Some(History::read(&path)?)
        } else {
            note(&format!("no curves of {}: there is no {}", model.name, path.display()));
            None
        };
        Ok(Subject { model, history })
    }

    /// What is known of it without its units, as JSON.
    pub fn json(&self) -> Value {
        let Model { path, name, net, evaluation, .. } = &self.model;
        let history = self.history.as_ref().map(|history| {
            let columns =
                history.columns().filter(|(name, _)| !name.starts_with("mean_activation"));
            let mut value: Map<String, Value> =
                columns.map(|(name, column)| (name.to_owned(), json!(column))).collect();
            value.insert("mean_activations".into(), json!(history.mean_activations()));
            value
        });
        json!({
            "model": path,
            "name": name,
            "settings": settings_json(net.settings()),
            "evaluation": evaluation_json(net, evaluation),
            "history": history,
        })
    }
}
