//! The values of settings: how they are written and read, and ranges of numbers.

use std::fmt;
use std::ops::{Bound, RangeBounds};

use crate::error::{Error, Result};

/// The kinds of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A number.
    Number,
    /// A whole number.
    Count,
    /// A name, with numbers behind colons where it has some: `top-k:32`.
    Choice,
    /// Values with commas between them, or `none`.
    List,
}

/// The error for a value that a setting does not take.
pub(super) fn refused(field: &'static str, expected: &str, value: &str) -> Error {
    let short: String = value.chars().take(80).collect();
    let dots = if short.len() < value.len() { "..." } else { "" };
    Error::setting(field, format!("expected {expected}, got {short}{dots}"))
}

/// An interval of numbers: `from(0.0).below(1.0)`.
#[derive(Clone, Copy)]
pub(super) struct Range {
    low: Bound<f64>,
    high: Bound<f64>,
}

pub(super) const fn from(low: f64) -> Range {
    Range { low: Bound::Included(low), high: Bound::Unbounded }
}

pub(super) const fn above(low: f64) -> Range {
    Range { low: Bound::Excluded(low), high: Bound::Unbounded }
}

impl Range {
    pub const fn to(self, high: f64) -> Self {
        Range { high: Bound::Included(high), ..self }
    }

    pub const fn below(self, high: f64) -> Self {
        Range { high: Bound::Excluded(high), ..self }
    }

    /// Whether a number is in it; a NaN is in none.
    pub fn contains(self, number: f64) -> bool {
        (self.low, self.high).contains(&number)
    }

    /// Fails if a number that belongs to a choice is not in it.
    pub fn check(self, field: &'static str, what: &str, number: f64) -> Result<()> {
        match self.contains(number) {
            true => Ok(()),
            false => Err(refused(field, &format!("{what} {self}"), &Number(number).to_string())),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.low {
            Bound::Included(low) => write!(f, "from {}", Number(low))?,
            Bound::Excluded(low) => write!(f, "above {}", Number(low))?,
            Bound::Unbounded => {}
        }
        match self.high {
            Bound::Included(high) => write!(f, " to {}", Number(high)),
            Bound::Excluded(high) => write!(f, " to below {}", Number(high)),
            Bound::Unbounded => Ok(()),
        }
    }
}

/// A number with as many digits as give it back with every bit; with `{:.5}` rounded to five digits.
pub(super) struct Number(pub f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Number(number) = *self;
        let number = match f.precision() {
            Some(digits) => {
                let digits = digits.saturating_sub(1);
                format!("{number:.digits$e}").parse().unwrap_or(number)
            }
            None => number,
        };
        let size = number.abs();
        if size.is_finite() && size != 0.0 && !(1e-3..1e8).contains(&size) {
            write!(f, "{number:e}")
        } else {
            write!(f, "{number}")
        }
    }
}

/// The type of a setting: how it is written and read.
pub(super) trait Value: Sized {
    const KIND: Kind;

    /// The values, as they stand behind "expected".
    fn expected() -> String;

    /// The values of a list of these.
    fn expected_list() -> String {
        format!("none or a comma-separated list of {}", Self::expected())
    }

    /// The value of a text. `steps` are those of the training, for what is left out of it.
    fn read(text: &str, steps: Option<u64>) -> Option<Self>;

    fn text(&self) -> String;

    /// What a range is for.
    fn number(&self) -> f64 {
        0.0
    }
}

macro_rules! value {
    ($type:ty, $kind:ident, $expected:literal, $text:expr, $number:expr $(, $list:literal)?) => {
        impl Value for $type {
            const KIND: Kind = Kind::$kind;

            fn expected() -> String {
                $expected.to_owned()
            }

            $(fn expected_list() -> String {
                $list.to_owned()
            })?

            fn read(text: &str, _: Option<u64>) -> Option<Self> {
                text.parse().ok()
            }

            fn text(&self) -> String {
                ($text)(*self).to_string()
            }

            fn number(&self) -> f64 {
                ($number)(*self)
            }
        }
    };
}

value!(bool, Flag, "true or false", |flag| flag, |_| 0.0);
value!(f64, Number, "a number", Number, |number| number);
value!(u64, Count, "a whole number", |count| count, |count| count as f64);
value!(
    usize,
    Count,
    "a whole number",
    |count| count,
    |count| count as f64,
    "comma-separated sizes such as 784,300,784"
);

impl<T: Value> Value for Vec<T> {
    const KIND: Kind = Kind::List;

    fn expected() -> String {
        T::expected_list()
    }

    fn read(text: &str, steps: Option<u64>) -> Option<Self> {
        if text == "none" {
            return Some(Vec::new());
        }
        text.split(',').map(|one| T::read(one, steps)).collect()
    }

    fn text(&self) -> String {
        match &self[..] {
            [] => "none".to_owned(),
            all => all.iter().map(Value::text).collect::<Vec<_>>().join(","),
        }
    }
}

impl<T: Value> Value for Option<T> {
    const KIND: Kind = Kind::Choice;

    fn expected() -> String {
        format!("none, {}", T::expected())
    }

    fn read(text: &str, steps: Option<u64>) -> Option<Self> {
        if text == "none" { Some(None) } else { T::read(text, steps).map(Some) }
    }

    fn text(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), Value::text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_ends_or_do_not() {
        let (half_open, other) = (from(0.0).below(1.0), above(0.0).to(1e9));
        assert_eq!(half_open.to_string(), "from 0 to below 1");
        assert_eq!(other.to_string(), "above 0 to 1e9");
        assert!(half_open.contains(0.0) && !half_open.contains(1.0));
        assert!(!other.contains(0.0) && other.contains(1e9) && !other.contains(f64::NAN));
    }

    #[test]
    fn numbers_come_back_with_every_bit() {
        for (number, text) in
            [(0.0, "0"), (0.02, "0.02"), (7.5e-5, "7.5e-5"), (1e9, "1e9"), (-3.0, "-3")]
        {
            assert_eq!(Number(number).to_string(), text);
        }
        let rounded =
            [1.0 / 0.03, 1e-9 / 3.0, f64::INFINITY].map(|it| format!("{:.5}", Number(it)));
        assert_eq!(rounded, ["33.333", "3.3333e-10", "inf"]);
        for number in [0.1 + 0.2, 1e-5 / 3.0, f64::MAX, f64::MIN_POSITIVE / 8.0] {
            assert_eq!(Number(number).to_string().parse(), Ok(number));
        }
    }
}
