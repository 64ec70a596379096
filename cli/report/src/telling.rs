//! Which units tell most: those whose samples have one name, or one label, more often than all samples.

use std::collections::HashMap;

use sae::analysis::UnitSummary;

use crate::report::{Report, TOP};

/// What of the samples it is that units tell.
pub enum Telling {
    /// Names that recur, as those of tokens: a number for each sample's, and each name's share of the samples.
    Names(Vec<u32>, Vec<f64>),
    /// Each label's share of the samples.
    Labels(Vec<f64>),
}

/// Samples that a unit's share of a label is diluted by, so that few samples prove little.
const DOUBT: f64 = 5.0;

impl Telling {
    /// None without labels, and without names of which most samples share theirs with another.
    pub fn of(about: &Report<'_>) -> Option<Self> {
        if let Some(names) = about.names {
            let mut places = HashMap::new();
            let mut counts: Vec<f64> = Vec::new();
            let numbers = names.iter().map(|name| {
                let place = *places.entry(plain(name)).or_insert(counts.len());
                counts.resize(counts.len().max(place + 1), 0.0);
                counts[place] += 1.0;
                place as u32
            });
            let numbers: Vec<u32> = numbers.collect();
            if 2 * counts.len() <= names.len() {
                counts.iter_mut().for_each(|count| *count /= names.len() as f64);
                return Some(Telling::Names(numbers, counts));
            }
        }
        let labels = about.labels?;
        let mut shares = vec![0.0; 1 + usize::from(labels.iter().max().copied()?)];
        labels.iter().for_each(|&label| shares[usize::from(label)] += 1.0 / labels.len() as f64);
        Some(Telling::Labels(shares))
    }

    /// How telling each unit is: its own score, divided by 2 for the second unit of a name or label, by 3 for the third.
    pub fn scores(&self, units: &[UnitSummary]) -> Vec<f32> {
        let own: Vec<_> = units.iter().map(|unit| self.score(unit)).collect();
        let mut order: Vec<usize> = (0..own.len()).collect();
        order.sort_by(|&a, &b| own[b].0.total_cmp(&own[a].0));
        let (mut seen, mut scores) = (HashMap::new(), vec![0.0; own.len()]);
        for unit in order {
            let (score, of) = own[unit];
            let rank: &mut f64 = seen.entry(of).or_default();
            *rank += 1.0;
            scores[unit] = (score / *rank) as f32;
        }
        scores
    }

    /// p ln(p / q) of the name or label where this is largest, and its number. Its share of the unit's samples is p, of all
    /// samples q.
    fn score(&self, unit: &UnitSummary) -> (f64, u32) {
        match self {
            Telling::Names(numbers, shares) => {
                let mut counts: HashMap<u32, f64> = HashMap::new();
                for top in &unit.top {
                    *counts.entry(numbers[top.sample]).or_default() += 1.0;
                }
                let share =
                    |(&name, n): (&u32, &f64)| (name, n / TOP as f64, shares[name as usize]);
                largest(counts.iter().map(share))
            }
            Telling::Labels(shares) => {
                let all = unit.active as f64 + DOUBT;
                let each = unit.labels.iter().zip(shares).zip(0..);
                largest(each.map(|((&n, &share), label)| (label, n as f64 / all, share)))
            }
        }
    }

    /// Its name in the page.
    pub fn name(&self) -> &'static str {
        match self {
            Telling::Names(..) => "names",
            Telling::Labels(_) => "labels",
        }
    }
}

/// Of numbers with their p and q; of equal ones that of the smaller number.
fn largest(shares: impl Iterator<Item = (u32, f64, f64)>) -> (f64, u32) {
    let scores = shares.filter(|of| of.1 > 0.0).map(|(number, p, q)| (p * (p / q).ln(), number));
    scores.fold((0.0, u32::MAX), |best, next| {
        let order = next.0.total_cmp(&best.0).then(best.1.cmp(&next.1));
        if order.is_gt() { next } else { best }
    })
}

/// A token without the marks of tokenizers for pieces of words, and without upper case.
fn plain(name: &str) -> String {
    let text = name.trim_start_matches(['Ġ', '▁']);
    text.strip_prefix("##").unwrap_or(text).trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_name_or_label_tells_more() {
        // Of 100 samples the first 10 are "on", the others "the".
        let shares = [0.1, 0.9];
        let (rare, _) = largest([(0, 1.0, shares[0])].into_iter());
        let (frequent, name) = largest([(1, 1.0, shares[1])].into_iter());
        let (both, of) = largest([(0, 0.5, shares[0]), (1, 0.5, shares[1])].into_iter());
        assert!(rare > both && both > frequent && frequent > 0.0, "{rare} {both} {frequent}");
        assert_eq!((name, of), (1, 0));
        assert_eq!(largest([(0, 0.0, 0.5)].into_iter()).0, 0.0);
        for (name, text) in [("##ing", "ing"), ("ĠThe", "the"), ("▁the", "the"), ("##", "")] {
            assert_eq!(plain(name), text);
        }
    }
}
