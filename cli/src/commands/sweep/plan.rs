//! Which settings the trials have, and which trials continue.

use super::journal::Outcome;
use crate::failure::{Failure, Result};
use crate::near::nearest;
use crate::recipe;

/// A setting and the values that it takes.
pub struct Range {
    pub field: String,
    values: Values,
}

enum Values {
    /// The ends, and whether values are whole numbers.
    Linear(f64, f64, bool),
    Logarithmic(f64, f64, bool),
    List(Vec<String>),
}

impl Range {
    /// `FIELD=log:LOW:HIGH`, `FIELD=linear:LOW:HIGH` or `FIELD=ONE/OTHER/...`.
    pub fn parse(text: &str) -> Result<Self> {
        let failure = || {
            Failure::input(format!(
                "vary: expected SETTING=log:LOW:HIGH, SETTING=linear:LOW:HIGH or \
                 SETTING=ONE/OTHER, got '{text}'"
            ))
        };
        let (field, range) = text.split_once('=').ok_or_else(failure)?;
        let bounds = |text: &str, min: f64| -> Result<(f64, f64)> {
            let numbers = text.split_once(':').map(|(low, high)| (low.parse(), high.parse()));
            let Some((Ok(low), Ok(high))) = numbers else { return Err(failure()) };
            let holds = low > min && low < high && f64::is_finite(low) && f64::is_finite(high);
            holds.then_some((low, high)).ok_or_else(|| {
                let above = if min == 0.0 { "above 0 and " } else { "" };
                Failure::input(format!(
                    "vary: expected LOW {above}below HIGH, got '{range}' of {field}"
                ))
            })
        };
        let name = recipe::field_of(field);
        let mut fields = sae::Settings::fields().iter();
        let whole = fields.any(|of| of.name == name && of.kind == sae::Kind::Count);
        let values = match range.split_once(':') {
            Some(("linear", rest)) => {
                let (low, high) = bounds(rest, f64::NEG_INFINITY)?;
                Values::Linear(low, high, whole)
            }
            Some(("log", rest)) => {
                let (low, high) = bounds(rest, 0.0)?;
                Values::Logarithmic(low, high, whole)
            }
            _ if range.is_empty() => return Err(failure()),
            _ => {
                let list: Vec<String> = range.split('/').map(str::to_owned).collect();
                let again = |(at, text): &(usize, &String)| list[..*at].contains(*text);
                if let Some((_, text)) = list.iter().enumerate().find(again) {
                    return Err(Failure::input(format!(
                        "vary: {field} has the value {text} twice"
                    )));
                }
                Values::List(list)
            }
        };
        Ok(Range { field: field.replace('-', "_"), values })
    }

    /// The values of a list; None for a range of numbers.
    pub fn list(&self) -> Option<&[String]> {
        match &self.values {
            Values::List(texts) => Some(texts),
            _ => None,
        }
    }

    /// The text of the value at a place in [0, 1), also of a list.
    pub fn at(&self, place: f64) -> String {
        // Five digits, and few zeros before them.
        let number = |value: f64, whole: bool| {
            if whole {
                return value.round().to_string();
            }
            let value: f64 = format!("{value:.4e}").parse().unwrap_or(value);
            match value.abs() {
                size if size > 0.0 && !(1e-3..1e6).contains(&size) => format!("{value:e}"),
                _ => value.to_string(),
            }
        };
        match &self.values {
            Values::Linear(low, high, whole) => number(low + place * (high - low), *whole),
            Values::Logarithmic(low, high, whole) => number(low * (high / low).powf(place), *whole),
            Values::List(texts) => texts[(place * texts.len() as f64) as usize].clone(),
        }
    }
}

/// Fails if there is no such setting as that before the `=` of a range, with the one whose name is nearest.
pub fn check_setting(range: &str) -> Result<()> {
    let given = range.split('=').next().unwrap_or(range);
    let name = recipe::field_of(given);
    let name = name.as_str();
    let names = || sae::Settings::fields().iter().map(|field| field.name).chain(["preset"]);
    if names().any(|of| of == name) {
        return Ok(());
    }
    let near = nearest(name, names());
    let near = near.map(|of| format!("; did you mean {}?", of.replace('_', "-")));
    let problem = format!("vary: there is no setting '{given}'{}", near.unwrap_or_default());
    Err(Failure::input(problem).hint("`sae sweep --help` lists all settings"))
}

/// The place of a trial in one of the dimensions, in [0, 1).
///
/// An additive recurrence of low discrepancy, whose steps are powers of the root of x^(d + 1) = x + 1 (Roberts 2018).
pub fn place(trial: usize, dimension: usize, dimensions: usize) -> f64 {
    let mut root = 2.0f64;
    for _ in 0..64 {
        root = (1.0 + root).powf(1.0 / (dimensions as f64 + 1.0));
    }
    let step = (1.0 / root).powi(dimension as i32 + 1);
    (0.5 + trial as f64 * step).fract()
}

/// Whether `a` is no worse than `b` in error and sparsity, and better in one of them.
fn beats(a: &Outcome, b: &Outcome) -> bool {
    a.error <= b.error && a.sparsity <= b.sparsity && (a.error < b.error || a.sparsity < b.sparsity)
}

/// The trials that no other beats (the Pareto front).
///
/// One that reconstructs worse than the mean of the data would is none of them, however sparse it is, unless all do.
pub fn front(outcomes: &[(usize, Outcome)]) -> Vec<usize> {
    let unbeaten = |outcome: &Outcome| !outcomes.iter().any(|(_, other)| beats(other, outcome));
    let finite = outcomes.iter().filter(|(_, outcome)| outcome.error.is_finite());
    // (NaN where the data do not vary.)
    let is_useless = |outcome: &Outcome| outcome.explained_variance < 0.0;
    let all_useless = finite.clone().all(|(_, outcome)| is_useless(outcome));
    let useful = finite.filter(|(_, outcome)| all_useless || !is_useless(outcome));
    useful.filter(|(_, outcome)| unbeaten(outcome)).map(|(trial, _)| *trial).collect()
}

/// The best `count` trials, sorted by number.
///
/// They are front after front, and of the last front a part that is spread evenly over it, with both ends if there is room for two.
pub fn best(outcomes: &[(usize, Outcome)], count: usize) -> Vec<usize> {
    let mut left = outcomes.to_vec();
    let mut chosen = Vec::new();
    while chosen.len() < count && !left.is_empty() {
        let mut next = front(&left);
        if next.is_empty() {
            // Only diverged trials are left.
            next = left.iter().map(|(trial, _)| *trial).collect();
        }
        let error = |trial: usize| {
            left.iter().find(|(at, _)| *at == trial).map_or(f64::NAN, |(_, o)| o.error)
        };
        next.sort_by(|&a, &b| error(a).total_cmp(&error(b)));
        let (have, room) = (next.len(), count - chosen.len());
        if have > room {
            let last = (room - 1).max(1);
            next = (0..room).map(|at| next[at * (have - 1) / last]).collect();
        }
        left.retain(|(trial, _)| !next.contains(trial));
        chosen.extend(next);
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(error: f64, sparsity: f64) -> Outcome {
        Outcome { error, sparsity, ..Outcome::DIVERGED }
    }

    #[test]
    fn the_front_is_unbeaten() {
        let outcomes = [
            (0, outcome(0.1, 0.5)),
            (1, outcome(0.2, 0.2)),
            (2, outcome(0.3, 0.3)),
            (3, outcome(0.4, 0.1)),
            (4, Outcome::DIVERGED),
        ];
        assert_eq!(front(&outcomes), [0, 1, 3]);
        assert_eq!(best(&outcomes, 1), [0]);
        assert_eq!(best(&outcomes, 2), [0, 3]);
        assert_eq!(best(&outcomes, 4), [0, 1, 2, 3]);
        assert_eq!(best(&outcomes, 9), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_is_worse_than_the_mean_is_not_best() {
        let useless = Outcome { explained_variance: -1e13, ..outcome(1e12, 0.04) };
        let useful = Outcome { explained_variance: 0.7, ..outcome(0.1, 4.0) };
        assert_eq!(front(&[(0, useless), (1, useful)]), [1]);
        // (Of halving, something has to go on.)
        assert_eq!(best(&[(0, useless)], 1), [0]);
    }

    #[test]
    fn places_are_spread_evenly() {
        for dimensions in 1..4 {
            for dimension in 0..dimensions {
                let mut places: Vec<f64> =
                    (1..=64).map(|trial| place(trial, dimension, dimensions)).collect();
                places.sort_by(f64::total_cmp);
                let gaps = places.windows(2).map(|pair| pair[1] - pair[0]);
                assert!(gaps.fold(0.0, f64::max) < 0.1);
            }
        }
    }

    #[test]
    fn ranges() {
        let at = |text: &str, place: f64| match Range::parse(text) {
            Ok(range) => range.at(place),
            Err(failure) => failure.problem,
        };
        assert_eq!(at("rho=linear:0.1:0.3", 0.5), "0.2");
        assert_eq!(at("beta=log:1e-6:1e-2", 0.5), "1e-4");
        assert_eq!(at("l1=log:1e-6:1e-2", 0.3), "1.5849e-5");
        assert_eq!(at("code=top-k:3/dense", 0.0), "top-k:3");
        assert_eq!(at("code=top-k:3/dense", 0.5), "dense");
        for text in ["rho", "rho=", "rho=log:0:1", "rho=linear:2:1", "rho=log:1", "rho=1/2/1"] {
            assert!(at(text, 0.5).starts_with("vary: "), "{text}");
        }
    }
}
