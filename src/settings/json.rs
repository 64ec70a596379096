//! Settings as JSON: an object with a field for each, choices in their text's grammar.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::table::Field;
use super::value::Kind;
use super::{Settings, unknown};
use crate::error::{Error, Result};

/// What is wrong with a JSON value, in a sentence without its beginning.
pub(crate) type Parsed<T> = std::result::Result<T, String>;

/// Maximum number of bytes that JSON from outside may take in memory.
const MAX_JSON: usize = 1 << 20;

/// Reads JSON from outside, which must not take more than 1 MiB in memory.
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> Parsed<T> {
    // A node of serde_json's map has room for eleven entries; a vector that grows holds its old
    // bytes and its new ones.
    check_memory(text, 640, 136)?;
    serde_json::from_slice(text).map_err(|e| e.to_string())
}

/// Fails if JSON could take more than 1 MiB in memory, which may be a hundred times its length, where
/// a non-empty object takes at most `object` bytes and each further element of one at most `element`.
pub(crate) fn check_memory(text: &[u8], object: usize, element: usize) -> Parsed<()> {
    // What stands within strings is counted as well: it is little.
    let cost = |byte: &u8| match byte {
        b'{' => object,
        b'[' => 128,
        b',' => element,
        _ => 0,
    };
    let most = text.iter().map(cost).sum::<usize>() + 4 * text.len();
    if most > MAX_JSON {
        let length = text.len();
        return Err(format!("{length} bytes of JSON could take {most} in memory"));
    }
    Ok(())
}

/// The fields of the first files. Those added since may be missing, and are then at their default.
const REQUIRED: [&str; 12] = [
    "layers",
    "activation",
    "output_activation",
    "rho",
    "beta",
    "lambda",
    "learning_rate",
    "beta1",
    "beta2",
    "epsilon",
    "batch",
    "seed",
];

impl Settings {
    /// As one line of JSON: an object with a field for each setting.
    ///
    /// Numbers and flags are JSON's, lists are arrays, and choices are strings as
    /// [`Settings::set`] takes them: `"code":"top-k:32"`.
    pub fn to_json(&self) -> String {
        self.to_value().to_string()
    }

    /// Settings from such JSON, or JSON of version 0.1.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is no such JSON or a field is unknown or missing, or for the first
    /// value that makes no sense.
    pub fn from_json(text: &str) -> Result<Self> {
        let object = object(text)?;
        if let Some(name) = object.keys().find(|name| Settings::field(name).is_none()) {
            return Err(unknown(name));
        }
        let settings = Self::from_object(&object)?;
        settings.validate()?;
        Ok(settings)
    }

    /// The settings that a JSON object names, each with its text: `{"preset": "plain", "batch": 20}`.
    ///
    /// [`Settings::set`] takes them in this order, in which a preset is the first.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is no object, or a field is unknown or has a value of another kind.
    #[doc(hidden)]
    pub fn options_of_json(text: &str) -> Result<Vec<(&'static str, String)>> {
        let mut object = object(text)?;
        let mut options = Vec::new();
        match object.remove("preset") {
            None => {}
            Some(Value::String(name)) => options.push(("preset", name)),
            Some(_) => return Err(Error::setting("preset", "expected a name")),
        }
        for (name, value) in &object {
            let field = Settings::field(name).ok_or_else(|| unknown(name))?;
            options.push((field.name, text_of(field, value)?));
        }
        Ok(options)
    }

    pub(crate) fn to_value(&self) -> Value {
        let value =
            |field: &Field| (field.name.to_owned(), value_of(field.kind, &field.text(self)));
        Value::Object(Settings::fields().iter().map(value).collect())
    }

    fn from_object(object: &Map<String, Value>) -> Result<Self> {
        if let Some(name) = REQUIRED.iter().find(|&&name| !object.contains_key(name)) {
            return Err(Error::setting("settings", format!("missing field `{name}`")));
        }
        let mut settings = Settings::default();
        for (name, value) in object {
            if let Some(field) = Settings::field(name) {
                field.set(&mut settings, &text_of(field, value)?, None)?;
            }
        }
        Ok(settings)
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

/// Ignores unknown fields, and does not validate.
impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let object = Map::deserialize(deserializer)?;
        Self::from_object(&object).map_err(D::Error::custom)
    }
}

fn object(text: &str) -> Result<Map<String, Value>> {
    match parse(text.as_bytes()) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Error::setting("settings", "expected an object of settings")),
        Err(problem) => Err(Error::setting("settings", problem)),
    }
}

/// The JSON of a setting's text.
fn value_of(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Flag => Value::Bool(text == "true"),
        Kind::Number => text.parse::<f64>().map_or(Value::Null, Value::from),
        Kind::Count => text.parse::<u64>().map_or(Value::Null, Value::from),
        Kind::Choice => Value::from(text),
        Kind::List if text == "none" => Value::Array(Vec::new()),
        Kind::List => {
            let item = |text: &str| text.parse::<u64>().map_or(Value::from(text), Value::from);
            text.split(',').map(item).collect()
        }
    }
}

/// The text of a setting's JSON.
fn text_of(field: &Field, value: &Value) -> Result<String> {
    let text = match (field.kind, value) {
        (Kind::Flag, Value::Bool(_)) | (Kind::Number | Kind::Count, Value::Number(_)) => {
            Some(value.to_string())
        }
        (Kind::Choice, Value::Null) => Some("none".to_owned()),
        (Kind::Choice, _) => text_of_choice(value),
        (Kind::List, Value::Array(items)) if items.is_empty() => Some("none".to_owned()),
        (Kind::List, Value::Array(items)) => {
            let texts: Option<Vec<_>> = items.iter().map(text_of_choice).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    };
    text.ok_or_else(|| field.refused(&value.to_string()))
}

/// The text of a choice or of a list's item, objects of version 0.1 included.
fn text_of_choice(value: &Value) -> Option<String> {
    let object = match value {
        Value::String(text) => return Some(text.clone()),
        Value::Number(number) => return Some(number.to_string()),
        Value::Object(object) => object,
        _ => return None,
    };
    let layer = |object: &Map<String, Value>| object.get("layer")?.as_u64()?.checked_add(1);
    if let Some(of) = object.get("of") {
        let (of, layer) = (of.as_str()?, layer(object)?);
        return Some(format!("{of}:{}:{layer}:{}", object.get("value")?, object.get("steps")?));
    }
    if let Some(layer) = layer(object) {
        let [rho, beta, l1] = ["rho", "beta", "l1"].map(|name| object.get(name));
        return Some(format!("{layer}:rho={}:beta={}:l1={}", rho?, beta?, l1?));
    }
    // `{"top-k": 20}`, `{"jump-relu": {"l0": 0.01, "bandwidth": 0.1}}`.
    let (name, of) = object.iter().next().filter(|_| object.len() == 1)?;
    let Value::Object(of) = of else { return Some(format!("{name}:{of}")) };
    let (first, second) = match name.as_str() {
        "jump-relu" => ("l0", "bandwidth"),
        "step" => ("every", "factor"),
        _ => return None,
    };
    Some(format!("{name}:{}:{}", of.get(first)?, of.get(second)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_with_every_bit() {
        let settings = Settings {
            layers: vec![6, 5, 2, 5, 6],
            rho: 0.1 + 0.2,
            lambda: 1e-5 / 3.0,
            seed: u64::MAX,
            ..Settings::default()
        };
        assert_eq!(Settings::from_json(&settings.to_json()).unwrap(), settings);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let good = Settings::default().to_json();
        for (from, to, sentence) in [
            ("\"rho\":0.02,", "", "settings: missing field `rho`"),
            ("\"clip\":0.0", "\"clop\":0", "settings: expected one of preset, layers, activation"),
            ("\"rho\":0.02", "\"rho\":\"0.02\"", "rho: expected a number from 1e-6 to 0.999999, g"),
            ("\"rho\":0.02", "\"rho\":2", "rho: expected a number from 1e-6 to 0.999999, got 2"),
            ("\"batch\":60", "\"batch\":6.5", "batch: expected a whole number from 1 to 16777216"),
            (
                "[784,",
                "[-784,",
                "layers: expected comma-separated sizes such as 784,300,784, got '-784,",
            ),
            ("\"sigmoid\"", "\"sine\"", "or saturating-linear, got 'sine'"),
            ("{", "[", "settings: expected"),
            (
                "\"corruption\":\"none\"",
                "\"corruption\":{\"masking\":true}",
                "corruption: expected none, masking:SHARE",
            ),
            ("\"penalties\":[]", "\"penalties\":[{}]", "penalties: expected none or a comma-sep"),
            ("\"dense\"", "{\"jump-relu\":{}}", "code: expected dense, top-k:K"),
            ("\"constant\"", "{\"step\":3}", "schedule: expected constant, cosine"),
            ("\"constant\"", "\"cosine\"", "got 'cosine'"),
        ] {
            assert!(good.contains(from), "{good}");
            let problem = Settings::from_json(&good.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(problem.contains(sentence), "{to}: {problem}");
        }
    }

    #[test]
    fn an_object_names_options() {
        let text = "{\"lr\": 0.5, \"code\": {\"top-k\": 4}, \"preset\": \"plain\"}";
        let options = Settings::options_of_json(text).unwrap();
        let texts: Vec<_> = options.iter().map(|(name, text)| (*name, text.as_str())).collect();
        assert_eq!(texts, [("preset", "plain"), ("code", "top-k:4"), ("learning_rate", "0.5")]);
        for text in ["{\"rho\": \"2\"}", "{\"roh\": 1}", "{\"preset\": 1}", "[]"] {
            assert!(Settings::options_of_json(text).is_err(), "{text}");
        }
    }

    /// Every kind of choice, as version 0.1 wrote it.
    #[test]
    fn settings_of_version_0_1_load() {
        let recorded = include_str!("../../tests/recorded/settings-v0.1.jsonl");
        let mut seen = Vec::new();
        for line in recorded.lines() {
            let settings = Settings::from_json(line).unwrap();
            assert_eq!(Settings::from_json(&settings.to_json()).unwrap(), settings, "{line}");
            let old: Value = serde_json::from_str(line).unwrap();
            for field in Settings::fields() {
                // What version 0.1 wrote as a number, name or list of them is the same today.
                let here = value_of(field.kind, &field.text(&settings));
                match old.get(field.name) {
                    Some(there) if !there.is_object() && field.name != "penalties" => {
                        assert!(*there == here || there.is_null(), "{}: {line}", field.name);
                    }
                    _ => seen.push(field.text(&settings)),
                }
            }
        }
        for text in [
            "top-k:3",
            "batch-top-k:4",
            "jump-relu:3.333333333333333e-4:0.30000000000000004:0.1",
            "xavier",
            "masking:0.25",
            "gaussian:3.3333333333333334e-8",
            "1:rho=0.1:beta=7.5e-5:l1=0,3:rho=0.02:beta=0:l1=3.3333333333333335e-5",
            "mean-activation:0.03333333333333333:2:18000",
            "l0:0.03333333333333333:2:18000",
            "adamw:0.01",
            "momentum:0.9",
            "l-bfgs:10",
            "cosine:20000",
            "step:100:0.5",
        ] {
            assert!(seen.iter().any(|one| one == text), "{text} in {seen:?}");
        }
    }
}
