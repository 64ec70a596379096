//! Figures of models as text and as JSON.

pub use sae::counted;
use sae::{
    Autoencoder, Evaluation, Scaling, Settings,
    analysis::{Activity, Histogram},
};
use serde_json::{Value, json};

/// A number with six significant digits, without trailing zeros.
pub fn short(value: f64) -> String {
    let exponent = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    if !value.is_finite() || !(-5..9).contains(&exponent) {
        return format!("{value:.5e}");
    }
    let text = format!("{value:.*}", (5 - exponent).max(0) as usize);
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text
}

/// A number at the beginning of a text with narrow spaces between its thousands, from 10 000 on.
pub(crate) fn grouped(text: String) -> String {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits < 5 {
        return text;
    }
    let mut grouped = String::with_capacity(text.len() + 9);
    for (at, one) in text.chars().enumerate() {
        if at > 0 && at < digits && (digits - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(one);
    }
    grouped
}

/// A number of `f32` as the `f64` of its shortest text: JSON has 0.1 of it, and not 0.10000000149011612.
pub fn plain(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// Sizes with something between them, such as 784-300-784.
pub fn join(sizes: &[usize], between: &str) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(between)
}

/// The feature of the smallest explained variance, if features of a wider range hide in the total that
/// its mean would be a better reconstruction. Pixels have one range, and one that is hardly ever not 0 says
/// little.
pub fn hidden_feature(net: &Autoencoder, evaluation: &Evaluation) -> Option<(usize, f64)> {
    let worst = evaluation.worst_feature().filter(|_| net.scaling() != Scaling::Byte);
    worst.filter(|&(_, share)| share < 0.0 && evaluation.explained_variance > 0.5)
}

/// The number of dead units, or of few samples how many they are at most.
pub fn dead_units(activity: &Activity) -> String {
    at_most(activity.dead_units().count(), activity.tells_dead_units())
}

/// A number of dead units, which may be fewer unless the samples tell.
pub fn at_most(dead: usize, is_told: bool) -> String {
    if is_told || dead == 0 { dead.to_string() } else { format!("at most {dead}") }
}

/// The settings as a JSON object.
pub fn settings_json(settings: &Settings) -> Value {
    serde_json::from_str(&settings.to_json()).unwrap_or_default()
}

fn histogram_json(histogram: &Histogram) -> Value {
    json!({
        "low": histogram.low,
        "high": histogram.high,
        "counts": histogram.counts,
        "zeros": histogram.zeros,
    })
}

/// The figures of an evaluation as a JSON object.
pub fn evaluation_json(net: &Autoencoder, evaluation: &Evaluation) -> Value {
    let layers = evaluation.units.iter().zip(&evaluation.layers);
    let layers = layers.zip(evaluation.mean_activations()).map(|((units, activity), mean)| {
        json!({
            "units": units.len(),
            "mean_activation": mean,
            "l0": activity.l0,
            "active_above": plain(activity.threshold),
            "dead_units": activity.dead_units().count(),
            "tells_dead_units": activity.tells_dead_units(),
            "dense_units": activity.dense_units().count(),
            "histogram": histogram_json(&activity.histogram),
            "frequency_histogram": histogram_json(&activity.frequency_histogram()),
        })
    });
    json!({
        "objective": evaluation.objective,
        "loss": evaluation.loss,
        "squared_error": evaluation.squared_error,
        "explained_variance": evaluation.explained_variance,
        "explained_variance_per_batch": evaluation.explained_variance_per_batch,
        "fvu": evaluation.fvu,
        "cosine_similarity": evaluation.cosine_similarity,
        "l2_ratio": evaluation.l2_ratio,
        "relative_reconstruction_bias": evaluation.relative_reconstruction_bias,
        "sparsity": evaluation.sparsity,
        "l1": evaluation.l1,
        "penalty": evaluation.penalty,
        "penalty_factor": net.penalty_factor(),
        "weight_decay": evaluation.weight_decay,
        "warnings": evaluation.warnings(net.settings()),
        "hidden_layers": layers.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        for (text, expected) in [
            ("9999 samples", "9999 samples"),
            ("10000 samples", "10\u{202f}000 samples"),
            ("1234567", "1\u{202f}234\u{202f}567"),
            ("no 10000", "no 10000"),
        ] {
            assert_eq!(grouped(text.to_owned()), expected);
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.0355583, "0.0355583"),
            (0.00885361499, "0.00885361"),
            (123.4, "123.4"),
            (1234567.0, "1234567"),
            (100.0, "100"),
            (1e-9, "1.00000e-9"),
            (-0.5, "-0.5"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
