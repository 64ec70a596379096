//! The prefixes of a code that each reconstruct by themselves.

use std::fmt;
use std::str::FromStr;

use super::choices::{display, from_str};
use super::value::{Kind, Value, refused};
use crate::error::{Error, Result};

/// Parts of a code that each reconstruct by themselves (Matryoshka, Bussmann et al. 2025): its first units,
/// as many as each prefix says.
///
/// The loss is the mean over the prefixes, the last of which is the whole code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prefixes {
    /// The whole code alone: `none`.
    #[default]
    None,
    /// The code, its half, and so on down to a 32nd, rounded up: `powers-of-two`.
    PowersOfTwo,
    /// These, rising, and the whole code: `128,512,2048`.
    Sizes(Vec<usize>),
}

impl Prefixes {
    /// The sizes of the prefixes of a code of this many units, rising, the last one all of it; empty without
    /// prefixes.
    #[doc(hidden)]
    pub fn of(&self, units: usize) -> Vec<usize> {
        let mut sizes = match self {
            Prefixes::None => return Vec::new(),
            Prefixes::PowersOfTwo => {
                let mut sizes: Vec<_> =
                    (0..6).rev().map(|half| units.div_ceil(1 << half)).collect();
                sizes.dedup();
                return sizes;
            }
            Prefixes::Sizes(sizes) => sizes.clone(),
        };
        if sizes.last() != Some(&units) {
            sizes.push(units);
        }
        sizes
    }
}

impl Value for Prefixes {
    const KIND: Kind = Kind::Choice;

    fn expected() -> String {
        "none, powers-of-two or rising sizes such as 128,512,2048".to_owned()
    }

    fn read(text: &str, steps: Option<u64>) -> Option<Self> {
        match text {
            "none" => Some(Prefixes::None),
            "powers-of-two" => Some(Prefixes::PowersOfTwo),
            _ => Vec::read(text, steps).map(Prefixes::Sizes),
        }
    }

    fn text(&self) -> String {
        match self {
            Prefixes::None => "none".to_owned(),
            Prefixes::PowersOfTwo => "powers-of-two".to_owned(),
            Prefixes::Sizes(sizes) => sizes.text(),
        }
    }
}

display!(Prefixes, "prefixes");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_come_back_from_their_text() {
        for (text, prefixes) in [
            ("none", Prefixes::None),
            ("powers-of-two", Prefixes::PowersOfTwo),
            ("8,64", Prefixes::Sizes(vec![8, 64])),
        ] {
            assert_eq!(text.parse::<Prefixes>().unwrap(), prefixes);
            assert_eq!(prefixes.to_string(), text);
        }
    }

    #[test]
    fn prefixes_rise_to_the_whole_code() {
        assert!(Prefixes::None.of(64).is_empty());
        assert_eq!(Prefixes::PowersOfTwo.of(4096), [128, 256, 512, 1024, 2048, 4096]);
        assert_eq!(Prefixes::PowersOfTwo.of(5), [1, 2, 3, 5]);
        assert_eq!(Prefixes::Sizes(vec![3, 8]).of(9), [3, 8, 9]);
        assert_eq!(Prefixes::Sizes(vec![3, 9]).of(9), [3, 9]);
    }
}
