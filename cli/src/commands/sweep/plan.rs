//! Which settings are tried, and which of them go on.

use super::journal::Outcome;
use crate::failure::{Failure, Result};

/// A setting and what it may be.
pub struct Range {
    pub field: String,
    values: Values,
}

enum Values {
    Linear(f64, f64),
    Logarithmic(f64, f64),
    List(Vec<String>),
}

impl Range {
    /// `FIELD=log:LOW:HIGH`, `FIELD=linear:LOW:HIGH` or `FIELD=ONE/OTHER/...`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Failure::input(format!(
                "vary: '{text}'; SETTING=log:LOW:HIGH, SETTING=linear:LOW:HIGH or \
                 SETTING=ONE/OTHER was expected"
            ))
        };
        let (field, range) = text.split_once('=').ok_or_else(wrong)?;
        let bounds = |text: &str| {
            let (low, high) = text.split_once(':')?;
            let (low, high): (f64, f64) = (low.parse().ok()?, high.parse().ok()?);
            (low.is_finite() && high.is_finite() && low < high).then_some((low, high))
        };
        let values = match range.split_once(':') {
            Some(("linear", rest)) => {
                let (low, high) = bounds(rest).ok_or_else(wrong)?;
                Values::Linear(low, high)
            }
            Some(("log", rest)) => {
                let (low, high) = bounds(rest).filter(|(low, _)| *low > 0.0).ok_or_else(wrong)?;
                Values::Logarithmic(low, high)
            }
            _ if range.is_empty() => return Err(wrong()),
            _ => Values::List(range.split('/').map(str::to_owned).collect()),
        };
        Ok(Range { field: field.to_owned(), values })
    }

    /// The value at a place in [0, 1), as a word.
    pub fn at(&self, place: f64) -> String {
        let number = |value: f64| format!("{value:.4e}").parse().map_or(value, |short: f64| short);
        match &self.values {
            Values::Linear(low, high) => number(low + place * (high - low)).to_string(),
            Values::Logarithmic(low, high) => number(low * (high / low).powf(place)).to_string(),
            Values::List(words) => words[(place * words.len() as f64) as usize].clone(),
        }
    }
}

/// The place of a trial along a dimension: an additive recurrence of low discrepancy, with steps
/// that are powers of the root of x^(d + 1) = x + 1 (Roberts 2018).
pub fn place(trial: usize, dimension: usize, dimensions: usize) -> f64 {
    let mut root = 2.0f64;
    for _ in 0..64 {
        root = (1.0 + root).powf(1.0 / (dimensions as f64 + 1.0));
    }
    let step = (1.0 / root).powi(dimension as i32 + 1);
    (0.5 + trial as f64 * step).fract()
}

/// Whether the first is no worse in both, and better in one.
fn beats(a: &Outcome, b: &Outcome) -> bool {
    a.error <= b.error && a.sparsity <= b.sparsity && (a.error < b.error || a.sparsity < b.sparsity)
}

/// Those that no other beats.
pub fn front(outcomes: &[(usize, Outcome)]) -> Vec<usize> {
    let unbeaten = |outcome: &Outcome| !outcomes.iter().any(|(_, other)| beats(other, outcome));
    let finite = outcomes.iter().filter(|(_, outcome)| outcome.error.is_finite());
    finite.filter(|(_, outcome)| unbeaten(outcome)).map(|(trial, _)| *trial).collect()
}

/// The best so many: front after front, and of the last of them some that are spread evenly over it,
/// both its ends among them where there are two. In the order of their numbers.
pub fn best(outcomes: &[(usize, Outcome)], count: usize) -> Vec<usize> {
    let mut left = outcomes.to_vec();
    let mut chosen = Vec::new();
    while chosen.len() < count && !left.is_empty() {
        let mut these = front(&left);
        if these.is_empty() {
            // Only what diverged is left.
            these = left.iter().map(|(trial, _)| *trial).collect();
        }
        let error = |trial: usize| {
            left.iter().find(|(at, _)| *at == trial).map_or(f64::NAN, |(_, o)| o.error)
        };
        these.sort_by(|&a, &b| error(a).total_cmp(&error(b)));
        let (have, room) = (these.len(), count - chosen.len());
        if have > room {
            let last = (room - 1).max(1);
            these = (0..room).map(|at| these[at * (have - 1) / last]).collect();
        }
        left.retain(|(trial, _)| !these.contains(trial));
        chosen.extend(these);
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
    fn the_front_is_what_nothing_beats() {
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
        assert_eq!(at("beta=log:1e-6:1e-2", 0.5), "0.0001");
        assert_eq!(at("code=top-k:3/dense", 0.49), "top-k:3");
        assert_eq!(at("code=top-k:3/dense", 0.5), "dense");
        for text in ["rho", "rho=", "rho=log:0:1", "rho=linear:2:1", "rho=log:1"] {
            assert!(at(text, 0.5).starts_with("vary: "), "{text}");
        }
    }
}
