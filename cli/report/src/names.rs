//! The names of samples in the page.

use serde_json::{Value, json};

/// Bytes of names that are all in the page; of more, those around the samples that it shows.
const ALL: usize = 200_000;

/// Runs of names, each with the number of its first sample: all, or those around these samples, and this
/// many on each side.
pub fn runs(names: &[String], shown: impl Iterator<Item = usize>, context: usize) -> Value {
    if names.iter().map(|name| name.len() + 3).sum::<usize>() <= ALL {
        return json!([[0, names]]);
    }
    let mut is_shown = vec![false; names.len()];
    for sample in shown {
        let end = (sample + context + 1).min(names.len());
        is_shown[sample.saturating_sub(context)..end].fill(true);
    }
    let mut runs: Vec<(usize, Vec<&str>)> = Vec::new();
    for (at, name) in names.iter().enumerate().filter(|(at, _)| is_shown[*at]) {
        match runs.last_mut().filter(|(start, run)| start + run.len() == at) {
            Some((_, run)) => run.push(name),
            None => runs.push((at, vec![name])),
        }
    }
    json!(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_around_what_is_shown() {
        let few: Vec<String> = (0..5).map(|at| at.to_string()).collect();
        assert_eq!(runs(&few, [3].into_iter(), 1), json!([[0, ["0", "1", "2", "3", "4"]]]));
        let many: Vec<String> = (0..3000).map(|at| format!("{at:0100}")).collect();
        let some = runs(&many, [0, 2, 2999, 50].into_iter(), 1);
        let starts: Vec<_> = some.as_array().unwrap().iter().map(|run| run[0].clone()).collect();
        assert_eq!(starts, [0, 49, 2998]);
        assert_eq!(some[0][1].as_array().unwrap().len(), 4);
        assert_eq!(some[2][1].as_array().unwrap().len(), 2);
    }
}
