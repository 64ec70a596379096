//! Settings and scalings as JSON, as they stand in files.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::samples::Scaling;
use crate::settings::{Settings, activation_of};

/// What is wrong with a JSON value, in a sentence without its beginning.
type Parsed<T> = std::result::Result<T, String>;

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

impl Settings {
    /// As one line of JSON: an object with a field for each setting, activations by their names.
    pub fn to_json(&self) -> String {
        self.to_value().to_string()
    }

    /// Settings from such JSON. Every field must be there; ones that are not known are left aside.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is no such JSON, or for the first value that makes no sense.
    pub fn from_json(text: &str) -> Result<Self> {
        let wrong = |problem: String| Error::setting("settings", problem);
        let value: Value = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let settings = Self::from_value(&value).map_err(wrong)?;
        settings.validate()?;
        Ok(settings)
    }

    pub(crate) fn to_value(&self) -> Value {
        let Settings {
            layers,
            activation,
            output_activation,
            rho,
            beta,
            lambda,
            learning_rate,
            beta1,
            beta2,
            epsilon,
            batch,
            seed,
        } = self;
        json!({
            "layers": layers,
            "activation": activation.name(),
            "output_activation": output_activation.name(),
            "rho": rho,
            "beta": beta,
            "lambda": lambda,
            "learning_rate": learning_rate,
            "beta1": beta1,
            "beta2": beta2,
            "epsilon": epsilon,
            "batch": batch,
            "seed": seed,
        })
    }

    /// Not validated.
    pub(crate) fn from_value(value: &Value) -> Parsed<Self> {
        let fields = Fields::of(value)?;
        let layers = sizes(fields.get("layers")?);
        let activation = |name| activation_of(fields.text(name)?).map_err(|e| e.to_string());
        Ok(Settings {
            layers: layers.ok_or("field `layers` is no list of whole numbers")?,
            activation: activation("activation")?,
            output_activation: activation("output_activation")?,
            rho: fields.number("rho")?,
            beta: fields.number("beta")?,
            lambda: fields.number("lambda")?,
            learning_rate: fields.number("learning_rate")?,
            beta1: fields.number("beta1")?,
            beta2: fields.number("beta2")?,
            epsilon: fields.number("epsilon")?,
            batch: fields.count("batch")?,
            seed: fields.whole("seed")?,
        })
    }
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

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let good = Settings::default().to_json();
        for (from, to, sentence) in [
            ("\"rho\":0.02", "\"roh\":0.02", "settings: missing field `rho`"),
            ("\"rho\":0.02", "\"rho\":\"0.02\"", "settings: field `rho` is no number"),
            ("\"rho\":0.02", "\"rho\":2", "rho: 2.0 is not between"),
            ("\"batch\":60", "\"batch\":6.5", "settings: field `batch` is no whole number"),
            ("[784,", "[-784,", "settings: field `layers` is no list of whole numbers"),
            ("\"sigmoid\"", "\"sine\"", "'sine' is not one of"),
            ("{", "[", "settings: expected"),
        ] {
            assert!(good.contains(from), "{good}");
            let problem = Settings::from_json(&good.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(problem.contains(sentence), "{to}: {problem}");
        }
    }
}
