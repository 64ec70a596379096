//! `sae score`

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sae::{Autoencoder, Engine, files};
use serde_json::{Value, json};

use crate::data::{ChoiceArgs, Chosen, TargetArgs};
use crate::endings::{check_ending, ending_of};
use crate::failure::{Failure, Result, io_error};
use crate::interrupt;
use crate::models::ModelArgs;
use crate::names::{Names, visible};
use crate::output::{Left, aligned, counted, csv_field, exact, print, readable, short};
use crate::outputs::{OverwriteArgs, make_folders};

/// Score samples by how badly they are reconstructed: large errors are anomalies
///
/// The error of a sample x with the reconstruction a is its mean squared error over its d features, sum (a -
/// x)^2 / d, of scaled numbers: the mean over samples is the mean squared error of `sae eval`. L0 is the
/// number of units of the code that are active. Samples are numbered from 0, in the order of their files.
///
/// Without --top all samples are written in their order, as they are computed; with it the N of the largest
/// errors, the largest first.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae score sae.safetensors | head -3
  sae score sae.safetensors --top 10
  sae score sae.safetensors --split train --out scores.csv")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: ChoiceArgs,
    #[command(flatten)]
    targets: TargetArgs,
    /// Only the N samples of the largest errors, the largest first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,
    /// Names of the samples: a text file with one line for each
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// File to write, its name ending in .csv or .jsonl (one object per line) [default: CSV to stdout, with
    /// --top a table]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

/// A sample's line.
struct Row {
    /// The sample's number in the data.
    number: usize,
    error: f64,
    l0: usize,
}

/// Orders samples by their error, the largest first; of equal ones by their number.
#[derive(PartialEq)]
struct ByError(f64, Reverse<usize>, usize);

impl Eq for ByError {}

impl Ord for ByError {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

impl PartialOrd for ByError {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

pub fn run(args: Args) -> Result<()> {
    let (mut engine, net) = args.model.load()?;
    if let Some(out) = &args.out {
        let mut inputs = args.data.data.inputs(&[&args.model.path])?;
        inputs.extend(args.names.clone());
        args.overwrite.check_all(&[out], &inputs)?;
        check_ending(out, &["csv", "jsonl"])?;
    }
    let chosen = args.data.choose_pairs(&args.targets, &args.model.path, &net)?;
    let names = chosen.names(args.names.as_deref())?;
    let names = names.as_ref();
    let mut scoring = Scoring { net: &net, engine: &mut engine, chosen: &chosen, sum: 0.0 };
    let largest = args.top.map(|top| scoring.largest(top as usize)).transpose()?;
    if let Some(out) = &args.out {
        make_folders(&[out])?;
        write(&mut scoring, out, largest.as_deref(), names)?;
        let mut value = scoring.summary();
        value["out"] = json!(readable(out));
        let (samples, mean) = (counted(chosen.samples.len(), "sample"), short(scoring.mean()));
        let line = format!("{samples}, mean error {mean}: {}", out.display());
        return print(args.model.run.json, &value, &line);
    }
    if args.model.run.json {
        let mut rows = Vec::new();
        scoring.rows(largest.as_deref(), |row| {
            rows.push(json_of(row, names));
            Ok(())
        })?;
        let mut value = scoring.summary();
        value["scores"] = json!(rows);
        return print(true, &value, "");
    }
    if let Some(rows) = largest {
        return print(false, &Value::Null, &table(&scoring, &rows, names));
    }
    let wrong: &dyn Fn(io::Error) -> Failure = &Failure::from;
    let out = BufWriter::new(io::stdout().lock());
    let mut out = Writer { out, names, is_csv: true, wrong };
    out.header()?;
    scoring.rows(None, |row| out.row(row))?;
    Ok(out.out.flush()?)
}

fn write(
    scoring: &mut Scoring<'_>,
    out: &Path,
    largest: Option<&[Row]>,
    names: Option<&Names>,
) -> Result<()> {
    let is_csv = ending_of(out) == "csv";
    let wrong = |error| Failure::from(io_error("write", out)(error));
    interrupt::interruptible(|| {
        files::replace(out, |path| {
            let file = File::create(path).map_err(wrong)?;
            let mut writer = Writer { out: BufWriter::new(file), names, is_csv, wrong: &wrong };
            writer.header()?;
            scoring.rows(largest, |row| {
                interrupt::check()?;
                writer.row(row)
            })?;
            writer.out.flush().map_err(wrong)
        })
    })
}

/// The scores of samples, as they are computed.
struct Scoring<'a> {
    net: &'a Autoencoder,
    engine: &'a mut Engine,
    chosen: &'a Chosen,
    /// Of the errors.
    sum: f64,
}

impl Scoring<'_> {
    /// Calls `visit` for each sample in order.
    fn each(&mut self, mut visit: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        let Scoring { net, engine, chosen, sum } = self;
        let mut sample = 0;
        net.score(engine, &chosen.samples, |scores| {
            for &score in scores {
                *sum += score.error;
                visit(&Row { number: chosen.number(sample), error: score.error, l0: score.l0 })?;
                sample += 1;
            }
            Ok(())
        })
    }

    /// The samples of the largest errors, the largest first.
    fn largest(&mut self, count: usize) -> Result<Vec<Row>> {
        let mut heap = BinaryHeap::new();
        self.each(|row| {
            heap.push(Reverse(ByError(row.error, Reverse(row.number), row.l0)));
            if heap.len() > count {
                heap.pop();
            }
            Ok(())
        })?;
        let row = |Reverse(ByError(error, Reverse(number), l0))| Row { number, error, l0 };
        Ok(heap.into_sorted_vec().into_iter().map(row).collect())
    }

    /// Calls `visit` for these rows, or else for each sample in order.
    fn rows(
        &mut self,
        largest: Option<&[Row]>,
        visit: impl FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        match largest {
            Some(rows) => rows.iter().try_for_each(visit),
            None => self.each(visit),
        }
    }

    /// The mean error of all samples.
    fn mean(&self) -> f64 {
        self.sum / self.chosen.samples.len() as f64
    }

    fn summary(&self) -> Value {
        json!({
            "samples": self.chosen.samples.len(),
            "data": readable(&self.chosen.name),
            "mean_error": self.mean(),
        })
    }
}

fn json_of(row: &Row, names: Option<&Names>) -> Value {
    let mut value = json!({"sample": row.number, "error": row.error, "l0": row.l0});
    if let Some(names) = names {
        value["name"] = json!(names.get(row.number));
    }
    value
}

/// Writes rows by the ending of a file; `wrong` makes a failure of an error.
struct Writer<'a, W: Write> {
    out: W,
    names: Option<&'a Names>,
    is_csv: bool,
    wrong: &'a dyn Fn(io::Error) -> Failure,
}

impl<W: Write> Writer<'_, W> {
    fn header(&mut self) -> Result<()> {
        let name = if self.names.is_some() { ",name" } else { "" };
        if self.is_csv {
            writeln!(self.out, "sample,error,l0{name}").map_err(self.wrong)?;
        }
        Ok(())
    }

    fn row(&mut self, row: &Row) -> Result<()> {
        if !self.is_csv {
            return writeln!(self.out, "{}", json_of(row, self.names)).map_err(self.wrong);
        }
        let Row { number, error, l0 } = row;
        let name = self.names.map(|names| csv_field(names.get(*number)));
        let name = name.map_or(String::new(), |name| format!(",{name}"));
        writeln!(self.out, "{number},{},{l0}{name}", exact(*error)).map_err(self.wrong)
    }
}

/// Samples with the largest errors as a table.
fn table(scoring: &Scoring<'_>, rows: &[Row], names: Option<&Names>) -> String {
    let mut header = vec!["sample", "error", "of the mean", "L0"];
    header.extend(names.map(|_| "name"));
    let mut table = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    let mean = scoring.mean();
    table.extend(rows.iter().map(|row| {
        let times =
            if mean > 0.0 { format!("{:.1} x", row.error / mean) } else { "–".to_owned() };
        let mut cells = vec![row.number.to_string(), short(row.error), times, row.l0.to_string()];
        cells.extend(names.map(|names| visible(names.get(row.number))));
        cells
    }));
    let samples = counted(scoring.chosen.samples.len(), "sample");
    let name = scoring.chosen.name.display();
    format!("{samples} of {name}, mean error {}\n{}", short(mean), aligned(&table, Left::Last))
}
