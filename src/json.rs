//! Settings as JSON, as they stand in files.

mod settings;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::settings::Settings;

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

/// An object whose fields are asked for by name.
pub(crate) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub fn of(value: &'a Value) -> Parsed<Self> {
        value.as_object().map(Fields).ok_or_else(|| "no object of fields".to_owned())
    }

    pub fn get(&self, name: &str) -> Parsed<&'a Value> {
        self.0.get(name).ok_or_else(|| format!("missing field `{name}`"))
    }

    pub fn number(&self, name: &str) -> Parsed<f64> {
        let number = self.get(name)?.as_f64();
        number.ok_or_else(|| format!("field `{name}` is no number"))
    }

    pub fn whole(&self, name: &str) -> Parsed<u64> {
        let number = self.get(name)?.as_u64();
        number.ok_or_else(|| format!("field `{name}` is no whole number from 0"))
    }

    pub fn count(&self, name: &str) -> Parsed<usize> {
        usize::try_from(self.whole(name)?).map_err(|_| format!("field `{name}` is too large"))
    }

    pub fn text(&self, name: &str) -> Parsed<&'a str> {
        self.get(name)?.as_str().ok_or_else(|| format!("field `{name}` is no text"))
    }

    pub fn flag(&self, name: &str) -> Parsed<bool> {
        let flag = self.get(name)?.as_bool();
        flag.ok_or_else(|| format!("field `{name}` is neither true nor false"))
    }

    /// What `read` makes of the field, or the default where there is none.
    pub fn or<T>(
        &self,
        name: &str,
        default: T,
        read: impl FnOnce(&Self) -> Parsed<T>,
    ) -> Parsed<T> {
        if self.0.contains_key(name) { read(self) } else { Ok(default) }
    }

    /// A choice: its name, or an object with its name and what belongs to it.
    pub fn choice(&self, name: &str) -> Parsed<(&'a str, &'a Value)> {
        let value = self.get(name)?;
        let chosen = match value {
            Value::String(chosen) => Some((chosen.as_str(), &Value::Null)),
            Value::Object(one) if one.len() == 1 => {
                one.iter().next().map(|(chosen, of)| (chosen.as_str(), of))
            }
            _ => None,
        };
        chosen.ok_or_else(|| format!("field `{name}` is neither a name nor an object with one"))
    }
}

/// A list of whole numbers.
pub(crate) fn sizes(value: &Value) -> Option<Vec<usize>> {
    let whole = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
    value.as_array()?.iter().map(whole).collect()
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

/// Not validated.
impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
