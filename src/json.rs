//! JSON from files, and scalings as they stand in it.

use serde_json::{Map, Value, json};

use crate::data::samples::Scaling;

/// What is wrong with a JSON value, in a sentence without its beginning.
pub(crate) type Parsed<T> = std::result::Result<T, String>;

/// Most bytes that JSON may take in memory.
const MAX_JSON: usize = 1 << 20;

/// JSON from outside, if it cannot take more than [`MAX_JSON`] in memory. As values it takes up to a
/// hundred times its text: an object of one entry has room for eleven.
pub(crate) fn parse(text: &[u8]) -> Parsed<Value> {
    // No less than what serde_json takes, old and new bytes of a vector that grows included. What
    // stands within texts is counted, too: it is little.
    let cost = |byte: &u8| match byte {
        b'{' => 640,
        b'[' => 128,
        b',' => 136,
        _ => 0,
    };
    let most = text.iter().map(cost).sum::<usize>() + 4 * text.len();
    if most > MAX_JSON {
        let length = text.len();
        return Err(format!("{length} bytes of JSON could take {most} in memory"));
    }
    serde_json::from_slice(text).map_err(|e| e.to_string())
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

    /// What `read` makes of the field, or the default where there is none.
    pub fn or<T>(
        &self,
        name: &str,
        default: T,
        read: impl FnOnce(&Self) -> Parsed<T>,
    ) -> Parsed<T> {
        if self.0.contains_key(name) { read(self) } else { Ok(default) }
    }

    /// What the weights of penalties are multiplied by.
    pub fn penalty_factor(&self) -> Parsed<f64> {
        match self.number("penalty_factor")? {
            factor if factor.is_finite() && factor >= 0.0 => Ok(factor),
            factor => Err(format!("penalty_factor is {factor}")),
        }
    }

    /// A number that was an `f32`.
    fn single(&self, name: &str) -> Parsed<f32> {
        self.number(name).map(|number| number as f32)
    }
}

/// A list of whole numbers.
pub(crate) fn sizes(value: &Value) -> Option<Vec<usize>> {
    let whole = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
    value.as_array()?.iter().map(whole).collect()
}

impl Scaling {
    pub(crate) fn to_value(self) -> Value {
        match self {
            Scaling::Byte => json!("byte"),
            Scaling::AsIs => json!("as-is"),
            Scaling::MinMax { min, max } => json!({"min-max": {"min": min, "max": max}}),
            Scaling::MeanDeviation { mean, deviation } => {
                json!({"mean-deviation": {"mean": mean, "deviation": deviation}})
            }
        }
    }

    pub(crate) fn from_value(value: &Value) -> Parsed<Self> {
        match value.as_str() {
            Some("byte") => return Ok(Scaling::Byte),
            Some("as-is") => return Ok(Scaling::AsIs),
            _ => {}
        }
        if let Some(of) = value.get("min-max") {
            let of = Fields::of(of)?;
            return Ok(Scaling::MinMax { min: of.single("min")?, max: of.single("max")? });
        }
        if let Some(of) = value.get("mean-deviation") {
            let of = Fields::of(of)?;
            let (mean, deviation) = (of.single("mean")?, of.single("deviation")?);
            return Ok(Scaling::MeanDeviation { mean, deviation });
        }
        Err("scaling is none of byte, as-is, min-max and mean-deviation".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalings_come_back_with_every_bit() {
        for scaling in [
            Scaling::Byte,
            Scaling::AsIs,
            Scaling::MinMax { min: -0.1, max: 1.0 / 3.0 },
            Scaling::MeanDeviation { mean: f32::MIN_POSITIVE / 8.0, deviation: f32::MAX },
        ] {
            let text = scaling.to_value().to_string();
            let value = serde_json::from_str(&text).unwrap();
            assert_eq!(Scaling::from_value(&value).unwrap(), scaling, "{text}");
        }
    }
}
