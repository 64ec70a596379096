//! A table of numbers in CSV or TSV text, from any reader.
//!
//! It needs nothing of the command, so that the fuzz target `csv` includes this file alone.

// With their paths, because the fuzz target includes this file from elsewhere.
#[path = "table/numbers.rs"]
mod numbers;
#[path = "table/problem.rs"]
mod problem;
#[path = "table/records.rs"]
mod records;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{Cursor, Read};

use ::csv::ByteRecord;

pub use numbers::Numbers;
use problem::Result;
pub use problem::{Error, Problem};
use records::{HEAD, Records, check_text, detect};

/// A table that was read.
#[derive(Debug)]
pub struct Table {
    /// The numbers without the label column, row-major `[samples, features]`.
    pub numbers: Numbers,
    /// Numbers of a sample.
    pub features: usize,
    pub labels: Option<Labels>,
    /// The header's names of the features.
    pub names: Option<Vec<String>>,
}

/// The label column.
#[derive(Debug, PartialEq)]
pub struct Labels {
    /// One for each sample.
    pub values: Vec<u8>,
    /// What the labels 0, 1, ... stand for; empty if the column has whole numbers from 0 to 255, which
    /// are the labels themselves.
    pub classes: Vec<String>,
}

/// Labels are bytes.
const MAX_CLASSES: usize = 256;

const DECIMAL_COMMAS: &str = "write numbers with a decimal point and without thousands separators, and \
                              commas or tabs between them; pandas reads decimal commas with \
                              read_csv(FILE, sep=';', decimal=',') and writes points with to_csv";

/// Reads a table. Without a delimiter, it is the first of comma, semicolon and tab that the first line
/// has, outside of quotes.
///
/// The first record is a header if one of its fields is text: neither a number (NaN and infinities
/// are numbers) nor empty nor NA. A label column that is given by its number may be text without a
/// header; it makes a header only where the label of the second record is a number.
///
/// `label_column` is a name in the header, or else a number counted from 1. If all its values are whole
/// numbers from 0 to 255, they are the labels; otherwise the labels number the different texts in
/// sorted order.
///
/// Memory grows as records arrive, to some two and a quarter times the numbers read so far.
///
/// # Errors
/// [`Error::Read`] if the reader fails or the numbers do not fit the memory; [`Error::Content`] if a
/// record has another number of fields than the first, a field is missing or not a finite number,
/// there are no samples, no such label column or more than 256 classes, or this is no such text.
pub fn read(
    mut from: impl Read,
    delimiter: Option<u8>,
    label_column: Option<&str>,
) -> Result<Table> {
    let mut head = Vec::new();
    from.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(Error::Read)?;
    if head.starts_with(b"\xef\xbb\xbf") {
        head.drain(..3);
    }
    check_text(&head)?;
    let delimiter = delimiter.unwrap_or_else(|| detect(&head));
    let mut records = Records::new(Cursor::new(head).chain(from), delimiter);
    if !records.next()? {
        return Err(no_samples("the file is empty"));
    }
    let (first, line) = (records.record.clone(), records.line());
    let more = records.next()?;
    let second = more.then_some(&records.record);
    let columns = Columns::new(&first, line, second, delimiter, label_column)?;
    let mut samples = Samples::new(&columns, label_column.is_some(), delimiter);
    if columns.names.is_none() {
        samples.push(&first, line)?;
    } else if !more {
        return Err(no_samples("the file has only a header"));
    }
    while !records.record.is_empty() {
        samples.push(&records.record, records.line())?;
        records.next()?;
    }
    let labels = samples.labels.map(Classes::finish);
    let numbers = samples.numbers.finish();
    let features = columns.features();
    let of_feature = |&(column, _): &(usize, String)| columns.label != Some(column);
    let names = columns.names.map(|names| {
        names.into_iter().enumerate().filter(of_feature).map(|(_, name)| name).collect()
    });
    Ok(Table { numbers, features, labels, names })
}

fn no_samples(why: &str) -> Error {
    let hint = "give a file with one sample a line, its numbers separated by commas or tabs";
    Problem::error(None, format!("no samples: {why}"), hint)
}

/// The columns of a table.
struct Columns {
    count: usize,
    label: Option<usize>,
    /// Of all columns, if there is a header.
    names: Option<Vec<String>>,
}

impl Columns {
    /// Those of a text by its first record, in line `line`, and its second.
    fn new(
        first: &ByteRecord,
        line: u64,
        second: Option<&ByteRecord>,
        delimiter: u8,
        label: Option<&str>,
    ) -> Result<Self> {
        let count = first.len();
        let by_number = label.and_then(|label| label.trim().parse().ok());
        let by_number = by_number.and_then(|number: usize| number.checked_sub(1));
        let by_number = by_number.filter(|&column| column < count);
        let mut is_header = false;
        for (column, field) in first.iter().enumerate() {
            if !is_text(field) || Some(column) == by_number {
                continue;
            }
            is_header = true;
            if has_decimal_commas(field, delimiter) {
                let problem = format!("the numbers have decimal commas, as in {}", quoted(field));
                return Err(Problem::error(Some(line), problem, DECIMAL_COMMAS));
            }
        }
        // A text alone in the label column is a class, or its name above numbers.
        if let Some(column) = by_number
            && is_text(&first[column])
            && let Some(below) = second.and_then(|second| second.get(column))
        {
            is_header |= number(below).is_some();
        }
        let names = is_header.then(|| first.iter().map(name).collect::<Vec<_>>());
        let mut columns = Columns { count, label: None, names };
        if let Some(label) = label {
            columns.label = Some(columns.find(label.trim(), by_number)?);
        }
        if columns.features() == 0 {
            return Err(no_samples("the file has no column but that of the labels"));
        }
        Ok(columns)
    }

    /// The label column.
    fn find(&self, label: &str, by_number: Option<usize>) -> Result<usize> {
        let count = self.count;
        let names = self.names.as_deref().unwrap_or_default();
        let shown = quoted(label.as_bytes());
        let mut same = names.iter().enumerate().filter(|(_, name)| *name == label);
        if let Some((first, _)) = same.next() {
            let Some((second, _)) = same.next() else { return Ok(first) };
            let columns = format!("the columns {} and {}", first + 1, second + 1);
            let problem = format!("label column: {columns} have the name {shown}");
            return Err(Problem::error(None, problem, "give the number of the column"));
        }
        by_number.ok_or_else(|| {
            if names.is_empty() {
                let problem = format!("label column: there is no column {shown} and no header");
                return Problem::error(None, problem, format!("give a number from 1 to {count}"));
            }
            let some: Vec<_> = names.iter().take(5).map(|name| quoted(name.as_bytes())).collect();
            let rest = if names.len() > 5 { ", ..." } else { "" };
            let problem = format!("label column: there is no column {shown}");
            let names = some.join(", ");
            let hint =
                format!("give one of the names {names}{rest}, or a number from 1 to {count}");
            Problem::error(None, problem, hint)
        })
    }

    fn features(&self) -> usize {
        self.count - usize::from(self.label.is_some())
    }

    /// An error at a field.
    fn error(&self, line: u64, column: usize, problem: impl Into<String>, hint: &str) -> Error {
        let name = self.names.as_ref().map(|names| quoted(names[column].as_bytes()));
        let (problem, hint) = (problem.into(), hint.to_owned());
        let column = Some((column + 1, name));
        Error::Content(Problem { line: Some(line), column, problem, hint })
    }
}

/// The samples read so far.
struct Samples<'a> {
    columns: &'a Columns,
    delimiter: u8,
    numbers: Numbers,
    labels: Option<Classes>,
}

impl<'a> Samples<'a> {
    fn new(columns: &'a Columns, has_labels: bool, delimiter: u8) -> Self {
        let labels = has_labels.then(Classes::default);
        Samples { columns, delimiter, numbers: Numbers::U8(Vec::new()), labels }
    }

    fn push(&mut self, record: &ByteRecord, line: u64) -> Result<()> {
        let (count, columns) = (record.len(), self.columns);
        if count != columns.count {
            let problem = format!(
                "this record has {count} field{}; expected {}, as in the first",
                if count == 1 { "" } else { "s" },
                columns.count
            );
            let hint = match record.iter().any(|field| has_decimal_commas(field, self.delimiter)) {
                true => DECIMAL_COMMAS,
                false => "add or remove fields, or quote those that have the delimiter within",
            };
            return Err(Problem::error(Some(line), problem, hint));
        }
        self.numbers.reserve(columns.features())?;
        for (column, field) in record.iter().enumerate() {
            let is_label = columns.label == Some(column);
            if let Some(labels) = self.labels.as_mut().filter(|_| is_label) {
                let field = field.trim_ascii();
                if is_missing(field) {
                    return Err(self.missing(line, column, field));
                }
                if field.contains(&b'\n') {
                    let problem = format!("a label of several lines ({})", quoted(field));
                    let hint =
                        "look for a quote that is not closed, or write the label in one line";
                    return Err(columns.error(line, column, problem, hint));
                }
                if !labels.push(field) {
                    let problem = format!("labels: more than {MAX_CLASSES} classes");
                    let hint = "give the column of the classes, or merge the rare ones";
                    return Err(columns.error(line, column, problem, hint));
                }
                continue;
            }
            match number(field) {
                Some(number) if number.is_finite() => self.numbers.push(number)?,
                got => return Err(self.no_number(line, column, field.trim_ascii(), got)),
            }
        }
        Ok(())
    }

    /// The error for a field that is no finite number.
    fn no_number(&self, line: u64, column: usize, field: &[u8], got: Option<f64>) -> Error {
        const OTHERS: [&[u8]; 4] = [b"null", b"none", b"?", b"-"];
        let lower = field.to_ascii_lowercase();
        let is_nan = got.is_some_and(f64::is_nan);
        if is_nan || is_missing(field) || OTHERS.contains(&&*lower) {
            return self.missing(line, column, field);
        }
        let text = quoted(field);
        if got.is_some() {
            let problem = format!("{text} is not a finite number");
            return self.columns.error(line, column, problem, "correct it, or remove the record");
        }
        let mut pieces = field.split(u8::is_ascii_whitespace).filter(|piece| !piece.is_empty());
        let hint = if has_decimal_commas(field, self.delimiter) {
            DECIMAL_COMMAS
        } else if field.contains(&b' ') && pieces.all(|piece| number(piece).is_some()) {
            "separate the numbers by commas, or by tabs in a file whose name ends in .tsv"
        } else if self.columns.label.is_none() {
            "correct it; if the column has labels, give it as the label column, and remove other \
             columns of text"
        } else {
            "correct it, or remove the column"
        };
        self.columns.error(line, column, format!("{text} is not a number"), hint)
    }

    /// The error for a missing value.
    fn missing(&self, line: u64, column: usize, field: &[u8]) -> Error {
        let (problem, expected) = match field {
            b"" => ("this field is empty".to_owned(), "a value was expected"),
            _ => (format!("the value is missing ({})", quoted(field)), "all are required"),
        };
        let hint = match self.columns.names {
            None if line == 1 => {
                "fill in a value, or name all columns if this is a header; pandas leaves out the \
                 column of row numbers with to_csv(FILE, index=False)"
            }
            _ => "fill in a value, or remove the record or the column",
        };
        self.columns.error(line, column, format!("{problem}; {expected}"), hint)
    }
}

/// The labels read so far, as indices of their different texts.
#[derive(Default)]
struct Classes {
    indices: Vec<u8>,
    by_text: HashMap<Vec<u8>, u8>,
    /// Not all are whole numbers from 0 to 255.
    has_text: bool,
}

impl Classes {
    /// Adds a label; whole numbers from 0 to 255 are the same however they are written. Returns whether
    /// there are no more classes than labels.
    fn push(&mut self, text: &[u8]) -> bool {
        let byte = number(text).filter(|&number| f64::from(number as u8) == number);
        self.has_text |= byte.is_none();
        let text = byte.map_or_else(|| text.to_vec(), |byte| (byte as u8).to_string().into_bytes());
        let count = self.by_text.len();
        let index = match self.by_text.entry(text) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(_) if count == MAX_CLASSES => return false,
            Entry::Vacant(entry) => *entry.insert(count as u8),
        };
        self.indices.push(index);
        true
    }

    fn finish(mut self) -> Labels {
        let mut texts: Vec<_> = self.by_text.into_iter().collect();
        texts.sort_unstable();
        let mut labels = [0; MAX_CLASSES];
        let mut classes = Vec::new();
        for (rank, (text, index)) in texts.iter().enumerate() {
            let text = String::from_utf8_lossy(text);
            labels[usize::from(*index)] = match text.parse() {
                Ok(byte) if !self.has_text => byte,
                _ => rank as u8,
            };
            if self.has_text {
                classes.push(text.into_owned());
            }
        }
        for index in &mut self.indices {
            *index = labels[usize::from(*index)];
        }
        Labels { values: self.indices, classes }
    }
}

/// The number of a field, with whitespace around it.
fn number(field: &[u8]) -> Option<f64> {
    let field = field.trim_ascii();
    // The numbers of images, without the general parser.
    if matches!(field.len(), 1..=3) && field.iter().all(u8::is_ascii_digit) {
        let digits = field.iter().map(|digit| u32::from(digit - b'0'));
        return Some(f64::from(digits.fold(0, |sum, digit| 10 * sum + digit)));
    }
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Whether a field, without whitespace around it, stands for a value that is missing.
fn is_missing(field: &[u8]) -> bool {
    const MISSING: [&str; 5] = ["", "na", "n/a", "#n/a", "nan"];
    MISSING.iter().any(|missing| field.eq_ignore_ascii_case(missing.as_bytes()))
}

/// Whether a field is neither a number nor a missing value.
fn is_text(field: &[u8]) -> bool {
    number(field).is_none() && !is_missing(field.trim_ascii())
}

/// Whether a field that is no number is one with a decimal comma or, where commas separate the fields,
/// numbers that a semicolon or a tab separates.
fn has_decimal_commas(field: &[u8], delimiter: u8) -> bool {
    let is_number = |field: &[u8]| number(field).is_some();
    if delimiter == b',' {
        let pieces = field.split(|byte| matches!(byte, b';' | b'\t'));
        let mut pieces = pieces.filter(|piece| !piece.trim_ascii().is_empty()).peekable();
        let has_several = field.contains(&b';') || field.trim_ascii().contains(&b'\t');
        return has_several && pieces.peek().is_some() && pieces.all(is_number);
    }
    let without: Vec<u8> = field.iter().copied().filter(|&byte| byte != b',').collect();
    without.len() < field.len() && !field.trim_ascii().starts_with(b",") && is_number(&without)
}

/// The name of a column in the header.
fn name(field: &[u8]) -> String {
    String::from_utf8_lossy(field.trim_ascii()).into_owned()
}

/// The beginning of a text from the file, for an error.
fn quoted(field: &[u8]) -> String {
    const SHOWN: usize = 40;
    let text = String::from_utf8_lossy(&field[..field.len().min(4 * SHOWN)]);
    let start: String = text.trim().chars().take(SHOWN).collect();
    let rest = if start.len() < text.trim().len() { "..." } else { "" };
    format!("'{}{rest}'", start.escape_debug())
}
