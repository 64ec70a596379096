//! The history of a training: a CSV file beside the model, which the report draws.

use std::fs;
use std::path::{Path, PathBuf};

use sae_report::History;

use crate::failure::{Failure, Result, io_error};
use crate::runs;

/// The first columns of every history.
///
/// Loss, penalty and decay, with their weights, sum to the objective; but a loss over prefixes takes the loss's place
/// in it, and an auxiliary loss is added.
pub const COLUMNS: [&str; 6] =
    ["step", "objective", "loss", "sparsity_penalty", "weight_decay", "penalty_factor"];

/// The columns that are measured now and then, and empty in other rows.
///
/// They are the norm of the last step's gradient, and figures of test samples.
pub const MEASURED: [&str; 5] =
    ["gradient_norm", "test_objective", "test_squared_error", "test_explained_variance", "test_l0"];

/// The names of all columns.
///
/// After the first ones: the learning rate, of a sparse code auxiliary loss and L0 of the training batches, the code's
/// dead units, how many units were revived so far, what is measured, and the hidden layers' mean activations. (Dead
/// units of a dense code are measured on the test samples.)
pub fn names(is_sparse: bool, hidden_layers: usize) -> Vec<String> {
    let of_code = if is_sparse { &["auxiliary", "l0"][..] } else { &[] };
    let others = ["learning_rate"].iter().chain(of_code).chain(&["dead_units", "revived_units"]);
    let layers = (1..=hidden_layers).map(|layer| format!("mean_activation_{layer}"));
    let names = COLUMNS.iter().chain(others).chain(&MEASURED).map(|&name| name.to_owned());
    names.chain(layers).collect()
}

/// A learning rate without the noise of the last bits of its products: of 15 significant digits.
pub fn rounded(number: f64) -> f64 {
    format!("{number:.14e}").parse().unwrap_or(number)
}

/// Whether this is the first line of a history, of this or an earlier version.
pub fn is_header(line: &str) -> bool {
    let mut names = line.trim_end().split(',');
    COLUMNS.iter().all(|column| names.next() == Some(column))
}

/// The history's file of a model's file.
pub fn path_of(model: &Path) -> PathBuf {
    runs::beside(model, "history.csv", "history.csv")
}

/// Rows that are read from a file, at most.
const MAX_ROWS: usize = 1000;

/// Reads a history; of a long one every n-th row, NaN where a row has no number.
pub fn read(path: &Path) -> Result<History> {
    let text = fs::read_to_string(path).map_err(io_error("read", path))?;
    parse(&text).map_err(|problem| Failure::at(path, problem))
}

fn parse(text: &str) -> std::result::Result<History, String> {
    // A full disk cuts the last line.
    let mut lines = text[..text.rfind('\n').map_or(0, |end| end + 1)].lines();
    let first = lines.next().unwrap_or_default();
    if !is_header(first) {
        let expected = COLUMNS.join(",");
        return Err(format!("not a training history; its first line begins with {expected}"));
    }
    let names = first.split(',').map(str::to_owned);
    let mut columns: Vec<_> = names.map(|name| (name, Vec::new())).collect();
    for (at, line) in lines.enumerate() {
        let number = |(column, cell): (usize, &str)| match cell {
            "" if column >= COLUMNS.len() => Some(f64::NAN),
            cell => cell.parse().ok(),
        };
        let numbers: Option<Vec<f64>> = line.split(',').enumerate().map(number).collect();
        let numbers = numbers.filter(|numbers| numbers.len() == columns.len());
        let problem = || format!("line {}: expected {} numbers", at + 2, columns.len());
        let numbers = numbers.ok_or_else(problem)?;
        columns.iter_mut().zip(numbers).for_each(|((_, column), number)| column.push(number));
    }
    let kept = kept_rows(&columns);
    for (_, column) in &mut columns {
        *column = kept.iter().map(|&row| column[row]).collect();
    }
    Ok(History { columns, is_of_batches: false })
}

/// The rows that are kept: more points than pixels are of no use.
///
/// The last row stays, and of those in which something was measured as many.
fn kept_rows(columns: &[(String, Vec<f64>)]) -> Vec<usize> {
    let rows = columns[0].1.len();
    let is_measured = |row: &usize| {
        columns
            .iter()
            .any(|(name, column)| MEASURED.contains(&name.as_str()) && !column[*row].is_nan())
    };
    let measured: Vec<usize> = (0..rows).filter(is_measured).collect();
    let thinned = |rows: Vec<usize>| {
        let stride = rows.len().div_ceil(MAX_ROWS).max(1);
        rows.into_iter().rev().step_by(stride)
    };
    let mut kept: Vec<usize> = thinned((0..rows).collect()).chain(thinned(measured)).collect();
    kept.sort_unstable();
    kept.dedup();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::exact;

    #[test]
    fn figures_have_no_noise() {
        let text = |number: f64| exact(rounded(number));
        assert_eq!(text(0.1 * 0.003), "0.0003");
        assert_eq!(text(0.000_000_152_304_843_608_760_88), "1.52304843608761e-7");
        assert_eq!([text(123_456_789_012.0), text(0.0)], ["123456789012", "0"]);
    }

    /// The rows of a column.
    fn column<'a>(history: &'a History, name: &str) -> &'a [f64] {
        let found = history.columns.iter().find(|(column, _)| column == name);
        &found.unwrap_or_else(|| panic!("no column {name}")).1
    }

    /// `[hidden layers][rows]`.
    fn mean_activations(history: &History) -> Vec<&[f64]> {
        let all = history.columns.iter().filter(|(name, _)| name.starts_with("mean_activation_"));
        all.map(|(_, column)| &**column).collect()
    }

    #[test]
    fn histories_are_read_or_refused() {
        // Those of earlier versions have fewer columns.
        let columns = COLUMNS.join(",");
        let good = format!(
            "{columns},mean_activation_1\n2,1,0.5,0.25,0.25,1,0.1\n4,0.5,0.25,0.125,0.125,1,0.2\n"
        );
        let history = parse(&good).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            (column(&history, "step"), column(&history, "objective")),
            (&[2.0, 4.0][..], &[1.0, 0.5][..])
        );
        assert_eq!(column(&history, "weight_decay"), [0.25, 0.125]);
        assert_eq!(column(&history, "penalty_factor"), [1.0, 1.0]);
        assert_eq!(mean_activations(&history), [[0.1, 0.2]]);
        let sparse = format!(
            "{columns},auxiliary,dead_units,mean_activation_1\n2,1,0.5,0.25,0.25,1,0.125,17,0.1\n"
        );
        let history = parse(&sparse).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(column(&history, "dead_units"), [17.0]);
        assert_eq!(mean_activations(&history), [[0.1]]);
        let long = (1..=3500)
            .fold(columns.clone() + "\n", |text, row| text + &format!("{row},1,1,0,0,1\n"));
        let history = parse(&long).unwrap_or_else(|e| panic!("{e}"));
        let steps = column(&history, "step");
        assert_eq!((steps.len(), steps[0], steps[874]), (875, 4.0, 3500.0));
        let now = names(true, 2).join(",");
        let rows = "2,1,1,0,0,1,0.1,0,32,17,3,,,,,,0.5,0.25\n4,1,1,0,0,1,0.1,0,32,17,3,9,8,7,6,5,0.5,0.25\n";
        let history = parse(&format!("{now}\n{rows}")).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(column(&history, "l0"), [32.0; 2]);
        assert!(column(&history, "test_l0")[0].is_nan() && column(&history, "test_l0")[1] == 5.0);
        assert_eq!(mean_activations(&history), [[0.5; 2], [0.25; 2]]);
        // Of many rows those stay in which something was measured.
        let measured = |row: usize| if row % 1001 == 7 { "1" } else { "" };
        let row = |row: usize| format!("{row},1,1,0,0,1,{}\n", measured(row));
        let long: String = (1..=3500).map(row).collect();
        let long = format!("{columns},test_objective\n{long}");
        let history = parse(&long).unwrap_or_else(|e| panic!("{e}"));
        let all = column(&history, "step").iter().zip(column(&history, "test_objective"));
        let steps: Vec<f64> = all.filter(|(_, n)| !n.is_nan()).map(|(step, _)| *step).collect();
        assert_eq!(steps, [7.0, 1008.0, 2009.0, 3010.0]);
        for (text, sentence) in [
            (&*format!("{columns},test_objective\n1,1,1,,0,1,\n"), "line 2: expected 7 numbers"),
            ("", "not a training history"),
            ("a,b\n1,2\n", "not a training history"),
            (&good.replace("0.125", "much"), "line 3: expected 7 numbers"),
            (&good.replace(",0.2\n", "\n"), "line 3: expected 7 numbers"),
        ] {
            let problem = parse(text).err().unwrap_or_default();
            assert!(problem.contains(sentence), "{problem}");
        }
    }
}
