//! The JSON beside the tensors.

use serde_json::{Map, Value};

use super::tensors::Parsed;
use crate::settings::json;

/// A JSON object of another library, whose values are taken by name.
pub(super) struct Config(Map<String, Value>);

impl Config {
    pub fn parse(text: &[u8]) -> Parsed<Self> {
        match json::parse(text)? {
            Value::Object(object) => Ok(Config(object)),
            _ => Err("expected a JSON object".to_owned()),
        }
    }

    /// An object within it, if there is one.
    pub fn object(&self, name: &str) -> Option<Config> {
        match self.0.get(name) {
            Some(Value::Object(object)) => Some(Config(object.clone())),
            _ => None,
        }
    }

    /// A value that is there and not null.
    fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A whole number, if there is one of this name.
    pub fn count(&self, name: &str) -> Parsed<Option<usize>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
        count.map(Some).ok_or_else(|| format!("{name}: expected a whole number, got {value}"))
    }

    /// A whole number.
    pub fn needed_count(&self, name: &str) -> Parsed<usize> {
        self.count(name)?.ok_or_else(|| format!("{name} is missing; expected a whole number"))
    }

    /// A list of whole numbers, if there is one of this name.
    pub fn counts(&self, name: &str) -> Parsed<Option<Vec<usize>>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let count = |value: &Value| usize::try_from(value.as_u64()?).ok();
        let counts = value.as_array().and_then(|list| list.iter().map(count).collect());
        let counts: Option<Vec<usize>> = counts;
        counts.map(Some).ok_or_else(|| {
            let value: String = value.to_string().chars().take(40).collect();
            format!("{name}: expected a list of whole numbers, got {value}")
        })
    }

    /// A text, if there is one of this name.
    pub fn text(&self, name: &str) -> Parsed<Option<&str>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| format!("{name}: expected a text, got {value}"))
    }

    /// True or false, by default `default`.
    pub fn flag(&self, name: &str, default: bool) -> Parsed<bool> {
        let Some(value) = self.value(name) else { return Ok(default) };
        value.as_bool().ok_or_else(|| format!("{name}: expected true or false, got {value}"))
    }
}
