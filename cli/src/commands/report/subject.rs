//! A model with what the page shows of it.

use sae::Engine;
use serde_json::{Map, Value, json};

use crate::drawing::picture::{Grid, image_of, signed_tiles, usual_norm};
use crate::failure::Result;
use crate::history::{self, COLUMNS, History};
use crate::models::Model;
use crate::output::{evaluation_json, note, settings_json};

/// Units whose features are drawn, at most.
const MAX_TILES: usize = 100;

pub struct Subject {
    pub model: Model,
    pub history: Option<History>,
    /// One for each layer of the encoder; none if the samples are not images.
    pub features: Vec<Features>,
}

/// The inputs that activate the units of a layer most.
pub struct Features {
    pub png: Vec<u8>,
    /// How many of the units are drawn.
    pub shown: usize,
    pub units: usize,
}

impl Subject {
    pub fn new(model: Model, engine: &mut Engine) -> Result<Self> {
        let path = history::path_of(&model.path);
        let history = if path.exists() {
            Some(History::read(&path)?)
        } else {
            note(&format!("no curves of {}: there is no {}", model.name, path.display()));
            None
        };
        let mut features = Vec::new();
        if let Some(tile) = image_of(&model.samples) {
            let inputs = model.samples.features();
            for layer in 0..model.net.settings().encoder_layers() {
                let all = model.net.preferred_inputs(engine, layer, usual_norm(inputs))?;
                let units = all.len() / inputs;
                let shown = units.min(MAX_TILES);
                let tiles = signed_tiles(all.chunks(inputs).take(shown));
                let grid = Grid { zoom: 1, ..Grid::square(tile, shown) };
                features.push(Features { png: grid.png(&tiles)?, shown, units });
            }
        }
        Ok(Subject { model, history, features })
    }

    /// Everything that the page shows of it, as JSON.
    pub fn json(&self) -> Value {
        let Model { path, name, net, evaluation, .. } = &self.model;
        let history = self.history.as_ref().map(|history| {
            let columns = COLUMNS.map(|name| (name.to_owned(), json!(history.column(name))));
            let mut value = Map::from_iter(columns);
            value.insert("mean_activations".into(), json!(history.mean_activations()));
            value
        });
        json!({
            "model": path,
            "name": name,
            "settings": settings_json(net.settings()),
            "evaluation": evaluation_json(net, evaluation),
            "units": evaluation.units,
            "history": history,
        })
    }
}
