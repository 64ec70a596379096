//! Which values the trials have.

use std::collections::BTreeSet;

use super::plan::{self, Range};
use crate::failure::{Failure, Result};

/// Trials of a sweep, at most.
pub const MAX_TRIALS: usize = 10_000;
/// Trials over ranges of numbers without a number for them.
const TRIALS: usize = 9;

/// The texts of the varied settings, for each trial.
///
/// Of lists alone these are all their combinations, or as many different ones as `trials` says. Of ranges of numbers they are points that are spread evenly, from the point
/// `from` of the sequence on, each with all combinations of the lists.
pub fn design(
    ranges: &[Range],
    trials: Option<u16>,
    from: Option<u32>,
) -> Result<Vec<Vec<String>>> {
    let lists: Vec<usize> = ranges.iter().filter_map(Range::list).map(<[String]>::len).collect();
    let all = lists.iter().try_fold(1usize, |all, len| all.checked_mul(*len));
    let all = all.filter(|&all| all <= MAX_TRIALS || trials.is_some()).ok_or_else(|| {
        let problem = format!("vary: the lists have more than {MAX_TRIALS} combinations");
        Failure::input(problem).hint("--trials N takes some of them")
    })?;
    let trials = trials.map(usize::from);
    if lists.len() < ranges.len() {
        let default = all * TRIALS.div_ceil(all).max(3);
        let trials = trials.unwrap_or(default.min(MAX_TRIALS));
        let first = from.unwrap_or(1) as usize;
        let at = |trial: usize| (first + trial / all, trial % all);
        return Ok((0..trials).map(|trial| texts(ranges, at(trial))).collect());
    }
    match trials {
        Some(trials) if trials > all => {
            let problem = format!("trials: the lists have {all} combinations, got {trials}");
            Err(Failure::input(problem).hint("leave out --trials for all of them"))
        }
        Some(trials) if trials < all => {
            let chosen = distinct(&lists, all, trials, from.unwrap_or(1) as usize);
            Ok(chosen.into_iter().map(|combination| texts(ranges, (0, combination))).collect())
        }
        _ if from.is_some() => {
            let problem = "from: all combinations of the lists are tried, from the first one";
            Err(Failure::input(problem).hint("leave out --from"))
        }
        _ => Ok((0..all).map(|combination| texts(ranges, (0, combination))).collect()),
    }
}

/// The texts of a point of the ranges of numbers, and of a combination of the lists.
///
/// The last list changes first.
fn texts(ranges: &[Range], (point, mut combination): (usize, usize)) -> Vec<String> {
    let numbers = ranges.iter().filter(|range| range.list().is_none()).count();
    let mut dimension = numbers;
    let mut texts: Vec<String> = ranges
        .iter()
        .rev()
        .map(|range| match range.list() {
            Some(list) => {
                let text = list[combination % list.len()].clone();
                combination /= list.len();
                text
            }
            None => {
                dimension -= 1;
                range.at(plan::place(point, dimension, numbers))
            }
        })
        .collect();
    texts.reverse();
    texts
}

/// Different combinations of lists of these lengths, spread evenly.
fn distinct(lists: &[usize], all: usize, count: usize, first: usize) -> Vec<usize> {
    let combination = |point: usize| {
        lists.iter().enumerate().fold(0, |combination, (dimension, &len)| {
            let place = plan::place(point, dimension, lists.len());
            combination * len + (place * len as f64) as usize
        })
    };
    let mut chosen = BTreeSet::new();
    // The sequence comes to most of them soon; what it leaves out follows.
    let points = (first..first.saturating_add(16 * count)).map(combination);
    for combination in points.chain(0..all) {
        if chosen.len() == count {
            break;
        }
        chosen.insert(combination);
    }
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(ranges: &[&str], trials: Option<u16>, from: Option<u32>) -> Vec<String> {
        let ranges: Vec<Range> =
            ranges.iter().map(|text| Range::parse(text).ok().unwrap()).collect();
        match design(&ranges, trials, from) {
            Ok(texts) => texts.iter().map(|texts| texts.join(" ")).collect(),
            Err(failure) => vec![failure.problem],
        }
    }

    #[test]
    fn lists_are_tried_in_all_combinations() {
        let codes = "code=top-k:8/top-k:16/top-k:32/top-k:64/dense";
        let all = ["top-k:8", "top-k:16", "top-k:32", "top-k:64", "dense"];
        assert_eq!(trials(&[codes], None, None), all);
        assert_eq!(trials(&[codes], Some(5), None), all);
        assert_eq!(
            trials(&["a=1/2", "b=x/y/z"], None, None),
            ["1 x", "1 y", "1 z", "2 x", "2 y", "2 z"]
        );
        assert!(trials(&[codes], Some(6), None)[0].contains("5 combinations, got 6"));
        assert!(trials(&[codes], None, Some(2))[0].starts_with("from: "));
    }

    #[test]
    fn fewer_trials_are_different_combinations() {
        for count in 1..60 {
            let mut chosen = trials(&["a=1/2/3/4", "b=1/2/3/4/5", "c=1/2/3"], Some(count), Some(7));
            assert_eq!(chosen.len(), usize::from(count));
            chosen.dedup();
            assert_eq!(chosen.len(), usize::from(count));
        }
    }

    #[test]
    fn numbers_are_the_same_for_all_values_of_lists() {
        let mixed = trials(&["beta=log:1e-6:1e-2", "code=top-k:3/dense"], None, None);
        assert_eq!(mixed.len(), 10);
        for pair in mixed.chunks(2) {
            let numbers: Vec<_> = pair.iter().map(|text| text.split(' ').next()).collect();
            assert_eq!(numbers[0], numbers[1]);
        }
        assert_eq!(trials(&["beta=log:1e-6:1e-2"], None, None).len(), 9);
        let first = trials(&["beta=log:1e-6:1e-2"], Some(2), None);
        assert_eq!(trials(&["beta=log:1e-6:1e-2"], Some(1), Some(2)), first[1..]);
    }
}
