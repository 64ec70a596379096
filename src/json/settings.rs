//! Settings as JSON.

use sae_kernels::Loss;
use serde_json::{Value, json};

use super::{Fields, Parsed, parse, sizes};
use crate::error::{Error, Result};
use crate::settings::{
    Code, Corruption, Initialisation, LayerPenalty, Measure, Optimizer, Schedule, Settings, Target,
    activation_of,
};

impl Settings {
    /// As one line of JSON: an object with a field for each setting, choices by their names.
    pub fn to_json(&self) -> String {
        self.to_value().to_string()
    }

    /// Settings from such JSON. Fields that are not known are left aside; those that settings of
    /// version 0.1 do not have may be missing.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is no such JSON, or for the first value that makes no sense.
    pub fn from_json(text: &str) -> Result<Self> {
        let wrong = |problem: String| Error::setting("settings", problem);
        let value = parse(text.as_bytes()).map_err(wrong)?;
        let settings = Self::from_value(&value).map_err(wrong)?;
        settings.validate()?;
        Ok(settings)
    }

    pub(crate) fn to_value(&self) -> Value {
        let Settings {
            layers,
            activation,
            activations,
            output_activation,
            loss,
            code,
            tied,
            unit_norm,
            initialisation,
            corruption,
            rho,
            beta,
            l1,
            penalties,
            rho_momentum,
            target,
            lambda,
            optimizer,
            learning_rate,
            schedule,
            warm_up,
            clip,
            beta1,
            beta2,
            epsilon,
            batch,
            seed,
        } = self;
        let activations: Vec<_> = activations.iter().map(|activation| activation.name()).collect();
        let penalties: Vec<_> = penalties.iter().map(penalty_value).collect();
        json!({
            "layers": layers,
            "activation": activation.name(),
            "activations": activations,
            "output_activation": output_activation.name(),
            "loss": loss.name(),
            "code": code_value(*code),
            "tied": tied,
            "unit_norm": unit_norm,
            "initialisation": initialisation.name(),
            "corruption": match corruption {
                Corruption::None => json!("none"),
                Corruption::Masking(share) => json!({"masking": share}),
                Corruption::Gaussian(deviation) => json!({"gaussian": deviation}),
            },
            "rho": rho,
            "beta": beta,
            "l1": l1,
            "penalties": penalties,
            "rho_momentum": rho_momentum,
            "target": target.map(target_value),
            "lambda": lambda,
            "optimizer": match optimizer {
                Optimizer::Adam => json!("adam"),
                Optimizer::AdamW { decay } => json!({"adamw": decay}),
                Optimizer::Momentum { momentum } => json!({"momentum": momentum}),
                Optimizer::Lbfgs { memory } => json!({"l-bfgs": memory}),
            },
            "learning_rate": learning_rate,
            "schedule": match schedule {
                Schedule::Constant => json!("constant"),
                Schedule::Cosine { steps } => json!({"cosine": steps}),
                Schedule::Step { every, factor } => {
                    json!({"step": {"every": every, "factor": factor}})
                }
            },
            "warm_up": warm_up,
            "clip": clip,
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
            activations: fields.or("activations", Vec::new(), activations)?,
            output_activation: activation("output_activation")?,
            loss: fields.or("loss", Loss::SquaredError, |fields| {
                named("loss", fields.text("loss")?, &Loss::ALL, |loss| loss.name())
            })?,
            code: fields.or("code", Code::Dense, code)?,
            tied: fields.or("tied", false, |fields| fields.flag("tied"))?,
            unit_norm: fields.or("unit_norm", false, |fields| fields.flag("unit_norm"))?,
            initialisation: fields.or("initialisation", Initialisation::default(), |fields| {
                let name = fields.text("initialisation")?;
                named("initialisation", name, &Initialisation::ALL, |one| one.name())
            })?,
            corruption: fields.or("corruption", Corruption::None, corruption)?,
            rho: fields.number("rho")?,
            beta: fields.number("beta")?,
            l1: fields.or("l1", 0.0, |fields| fields.number("l1"))?,
            penalties: fields.or("penalties", Vec::new(), penalties)?,
            rho_momentum: fields.or("rho_momentum", 0.0, |f| f.number("rho_momentum"))?,
            target: fields.or("target", None, target)?,
            lambda: fields.number("lambda")?,
            optimizer: fields.or("optimizer", Optimizer::Adam, optimizer)?,
            learning_rate: fields.number("learning_rate")?,
            schedule: fields.or("schedule", Schedule::Constant, schedule)?,
            warm_up: fields.or("warm_up", 0, |fields| fields.whole("warm_up"))?,
            clip: fields.or("clip", 0.0, |fields| fields.number("clip"))?,
            beta1: fields.number("beta1")?,
            beta2: fields.number("beta2")?,
            epsilon: fields.number("epsilon")?,
            batch: fields.count("batch")?,
            seed: fields.whole("seed")?,
        })
    }
}

/// The one of this name.
fn named<T: Copy>(
    field: &str,
    name: &str,
    all: &[T],
    name_of: impl Fn(T) -> &'static str,
) -> Parsed<T> {
    all.iter().copied().find(|&one| name_of(one) == name).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|&one| name_of(one)).collect();
        format!("field `{field}` is '{name}'; one of {} was expected", names.join(", "))
    })
}

fn unknown<T>(field: &str, name: &str, expected: &str) -> Parsed<T> {
    Err(format!("field `{field}` is '{name}'; one of {expected} was expected"))
}

fn number(field: &str, value: &Value) -> Parsed<f64> {
    value.as_f64().ok_or_else(|| format!("field `{field}` has no number with its name"))
}

fn count(field: &str, value: &Value) -> Parsed<usize> {
    let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| format!("field `{field}` has no whole number with its name"))
}

/// What stands within a field; what is wrong with it names the field.
fn within<T>(field: &str, value: &Value, read: impl FnOnce(Fields<'_>) -> Parsed<T>) -> Parsed<T> {
    let read = Fields::of(value).and_then(read);
    read.map_err(|problem| format!("field `{field}`: {problem}"))
}

fn activations(fields: &Fields<'_>) -> Parsed<Vec<sae_kernels::Activation>> {
    let wrong = "field `activations` is no list of names";
    let list = fields.get("activations")?.as_array().ok_or(wrong)?;
    let one =
        |value: &Value| activation_of(value.as_str().ok_or(wrong)?).map_err(|e| e.to_string());
    list.iter().map(one).collect()
}

fn code_value(code: Code) -> Value {
    match code {
        Code::Dense => json!("dense"),
        Code::TopK(k) => json!({"top-k": k}),
        Code::BatchTopK(k) => json!({"batch-top-k": k}),
        Code::JumpRelu { l0, bandwidth } => {
            json!({"jump-relu": {"l0": l0, "bandwidth": bandwidth}})
        }
    }
}

fn code(fields: &Fields<'_>) -> Parsed<Code> {
    match fields.choice("code")? {
        ("dense", _) => Ok(Code::Dense),
        ("top-k", k) => Ok(Code::TopK(count("code", k)?)),
        ("batch-top-k", k) => Ok(Code::BatchTopK(count("code", k)?)),
        ("jump-relu", of) => within("code", of, |of| {
            Ok(Code::JumpRelu { l0: of.number("l0")?, bandwidth: of.number("bandwidth")? })
        }),
        (name, _) => unknown("code", name, "dense, top-k, batch-top-k, jump-relu"),
    }
}

fn corruption(fields: &Fields<'_>) -> Parsed<Corruption> {
    match fields.choice("corruption")? {
        ("none", _) => Ok(Corruption::None),
        ("masking", share) => Ok(Corruption::Masking(number("corruption", share)?)),
        ("gaussian", deviation) => Ok(Corruption::Gaussian(number("corruption", deviation)?)),
        (name, _) => unknown("corruption", name, "none, masking, gaussian"),
    }
}

fn optimizer(fields: &Fields<'_>) -> Parsed<Optimizer> {
    match fields.choice("optimizer")? {
        ("adam", _) => Ok(Optimizer::Adam),
        ("adamw", decay) => Ok(Optimizer::AdamW { decay: number("optimizer", decay)? }),
        ("momentum", momentum) => {
            Ok(Optimizer::Momentum { momentum: number("optimizer", momentum)? })
        }
        ("l-bfgs", memory) => Ok(Optimizer::Lbfgs { memory: count("optimizer", memory)? }),
        (name, _) => unknown("optimizer", name, "adam, adamw, momentum, l-bfgs"),
    }
}

fn schedule(fields: &Fields<'_>) -> Parsed<Schedule> {
    match fields.choice("schedule")? {
        ("constant", _) => Ok(Schedule::Constant),
        ("cosine", steps) => Ok(Schedule::Cosine { steps: count("schedule", steps)? as u64 }),
        ("step", of) => within("schedule", of, |of| {
            Ok(Schedule::Step { every: of.whole("every")?, factor: of.number("factor")? })
        }),
        (name, _) => unknown("schedule", name, "constant, cosine, step"),
    }
}

fn penalty_value(penalty: &LayerPenalty) -> Value {
    let LayerPenalty { layer, rho, beta, l1 } = penalty;
    json!({"layer": layer, "rho": rho, "beta": beta, "l1": l1})
}

fn penalties(fields: &Fields<'_>) -> Parsed<Vec<LayerPenalty>> {
    let list = fields.get("penalties")?.as_array().ok_or("field `penalties` is no list")?;
    let one = |of: Fields<'_>| {
        Ok(LayerPenalty {
            layer: of.count("layer")?,
            rho: of.number("rho")?,
            beta: of.number("beta")?,
            l1: of.number("l1")?,
        })
    };
    list.iter().map(|value| within("penalties", value, one)).collect()
}

fn target_value(target: Target) -> Value {
    let Target { layer, of, value, steps } = target;
    json!({"layer": layer, "of": of.name(), "value": value, "steps": steps})
}

fn target(fields: &Fields<'_>) -> Parsed<Option<Target>> {
    let value = fields.get("target")?;
    if value.is_null() {
        return Ok(None);
    }
    within("target", value, |of| {
        Ok(Some(Target {
            layer: of.count("layer")?,
            of: named("of", of.text("of")?, &Measure::ALL, |measure| measure.name())?,
            value: of.number("value")?,
            steps: of.whole("steps")?,
        }))
    })
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
            ("\"rho\":0.02", "\"roh\":0.02", "settings: missing field `rho`"),
            ("\"rho\":0.02", "\"rho\":\"0.02\"", "settings: field `rho` is no number"),
            ("\"rho\":0.02", "\"rho\":2", "rho: 2.0 is not between"),
            ("\"batch\":60", "\"batch\":6.5", "settings: field `batch` is no whole number"),
            ("[784,", "[-784,", "settings: field `layers` is no list of whole numbers"),
            ("\"sigmoid\"", "\"sine\"", "'sine' is not one of"),
            ("{", "[", "settings: expected"),
            ("\"target\":null", "\"target\":\"l0:3\"", "field `target`: no object of fields"),
            ("\"penalties\":[]", "\"penalties\":[{}]", "field `penalties`: missing field `layer`"),
            ("\"dense\"", "{\"jump-relu\":{}}", "field `code`: missing field `l0`"),
            ("\"constant\"", "{\"step\":3}", "field `schedule`: no object of fields"),
        ] {
            assert!(good.contains(from), "{good}");
            let problem = Settings::from_json(&good.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(problem.contains(sentence), "{to}: {problem}");
        }
    }
}
