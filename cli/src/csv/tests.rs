use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use sae::data::ElementType;

use super::table::{Labels, Table as Read};
use super::*;

fn parse(text: impl AsRef<[u8]>, label: Option<&str>) -> Read {
    match table::read(text.as_ref(), None, label) {
        Ok(table) => table,
        Err(error) => panic!("{error:?}"),
    }
}

/// Place, problem and hint of a text that is refused.
fn refused(text: impl AsRef<[u8]>, delimiter: Option<u8>, label: Option<&str>) -> String {
    match table::read(text.as_ref(), delimiter, label) {
        Err(error @ Error::Content(_)) => {
            let hint = match &error {
                Error::Content(problem) => problem.hint.clone(),
                Error::Read(_) => String::new(),
            };
            assert!(!hint.is_empty());
            format!("{}; {hint}", failure(Path::new("f"), error, false).problem)
        }
        other => panic!("{other:?}"),
    }
}

fn f64s(numbers: &Numbers) -> Vec<f64> {
    match numbers {
        Numbers::U8(numbers) => numbers.iter().map(|&number| number.into()).collect(),
        Numbers::F32(numbers) => numbers.iter().map(|&number| number.into()).collect(),
        Numbers::F64(numbers) => numbers.clone(),
    }
}

fn temporary(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("sae-csv-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

#[test]
fn names_of_files() {
    for name in ["a.csv", "a.CSV", "b/a.tsv", "a.tab", "a.csv.gz", "a.tsv.GZ", "a.b.tab.gz"] {
        assert!(is_csv(Path::new(name)), "{name}");
    }
    for name in ["a.npy", "csv", "a.csv/b", "a.gz", "a.csv.xz", "acsv", ""] {
        assert!(!is_csv(Path::new(name)), "{name}");
    }
}

#[test]
fn texts_that_are_the_same_table() {
    for text in [
        "1,2\n3,4\n",
        "1,2\n3,4",
        "1,2\r\n3,4\r\n",
        "1;2\n3;4\n",
        "1\t2\n3\t4\n",
        "\u{feff}1,2\n3,4\n",
        "\n\r\n1,2\n\n  \n3,4\n\n\r\n \n",
        " 1 , 2\n3\t,+4.0 \n",
        "\"1\",\"2\"\r\n\"3\",\"4\"\r\n",
        "\"1\",2\n3,\" 4\"\n",
    ] {
        let table = parse(text, None);
        assert_eq!(table.numbers, Numbers::U8(vec![1, 2, 3, 4]), "{text:?}");
        assert_eq!((table.features, table.names), (2, None), "{text:?}");
    }
}

#[test]
fn headers() {
    let table = parse("a;\"b;\nc\"\n1;2\n", None);
    assert_eq!(table.names.unwrap(), ["a", "b;\nc"]);
    assert_eq!(table.numbers, Numbers::U8(vec![1, 2]));
    let table = parse("1,x\n3,4\n", None);
    assert_eq!(table.names.unwrap(), ["1", "x"]);
    // Not UTF-8.
    let table = parse(b"a,\xe9\n3,4\n", None);
    assert_eq!(table.names.unwrap(), ["a", "\u{fffd}"]);
    // Numbers alone are no header, and neither are values that are missing.
    assert!(parse("1,2\n3,4\n", None).names.is_none());
    assert!(refused("1,nan\n3,4\n", None, None).starts_with("f, line 1, column 2: the value"));
    assert!(refused("1,NA\n3,4\n", None, None).starts_with("f, line 1, column 2: the value"));
    let index = refused(",0,1\n0,3,4\n", None, None);
    assert!(index.starts_with("f, line 1, column 1: this field is empty"), "{index}");
    assert!(index.contains("index=False"), "{index}");
}

#[test]
fn element_types() {
    assert_eq!(parse("0,255\n1.0,2e1\n", None).numbers, Numbers::U8(vec![0, 255, 1, 20]));
    let f32s = Numbers::F32(vec![0.0, 256.0, 0.5, -1.0]);
    assert_eq!(parse("0,256\n.5,-1\n", None).numbers, f32s);
    let f64s = Numbers::F64(vec![0.0, 0.5, 0.1, 3.0]);
    assert_eq!(parse("0,0.5\n0.1,3\n", None).numbers, f64s);
    assert_eq!(parse("16777217\n1\n", None).numbers, Numbers::F64(vec![16_777_217.0, 1.0]));
}

#[test]
fn label_columns() {
    let labels = |text: &str, label| parse(text, Some(label)).labels.unwrap();
    let numbers = |values: &[u8]| Labels { values: values.to_vec(), classes: Vec::new() };
    let text = "x,label,y\n1,7,2\n3,0,4\n";
    for label in ["label", "2"] {
        assert_eq!(labels(text, label), numbers(&[7, 0]));
        let table = parse(text, Some(label));
        assert_eq!(table.numbers, Numbers::U8(vec![1, 2, 3, 4]));
        assert_eq!(table.names.unwrap(), ["x", "y"]);
    }
    // A name wins over a number.
    assert_eq!(labels("a,1\n5,6\n", "1"), numbers(&[6]));
    assert_eq!(labels("1,2\n3,4\n", "1"), numbers(&[1, 3]));
    // The same number, written in several ways.
    assert_eq!(labels("1,2\n1.0,4\n 01,4\n", "1"), numbers(&[1, 1, 1]));
    let classes = |values: &[u8], classes: &[&str]| Labels {
        values: values.to_vec(),
        classes: classes.iter().map(|&class| class.to_owned()).collect(),
    };
    let iris = "5.1,virginica\n4.9,setosa\n4.7,virginica\n";
    assert_eq!(labels(iris, "2"), classes(&[1, 0, 1], &["setosa", "virginica"]));
    assert_eq!(labels("a,b\n1,3\n-1,3\n", "a"), classes(&[1, 0], &["-1", "1"]));
    assert_eq!(labels("256,3\n1,3\n", "1"), classes(&[1, 0], &["1", "256"]));
    // Above numbers, a text is the name of the column.
    let table = parse("label,0,5\n3,5,6\n4,7,8\n", Some("1"));
    assert_eq!(table.names.unwrap(), ["0", "5"]);
    assert_eq!(parse("cat,1\n", Some("1")).labels.unwrap(), classes(&[0], &["cat"]));
    let all: String = (0..=255).rev().map(|label| format!("{label},1\n")).collect();
    assert_eq!(labels(&all, "1"), numbers(&(0..=255).rev().collect::<Vec<u8>>()));
    let more = refused(all + "x,1\n", None, Some("1"));
    assert!(more.starts_with("f, line 257, column 1: labels: more than 256 classes"), "{more}");
}

#[test]
fn errors_say_where_and_what_to_do() {
    for (text, label, expected) in [
        ("", None, "f: no samples: the file is empty"),
        ("\n \r\n", None, "f: no samples: the file is empty"),
        ("a,b\n", None, "f: no samples: the file has only a header"),
        ("a,b\n\n", Some("a"), "f: no samples: the file has only a header"),
        ("a\n1\n", Some("a"), "f: no samples: the file has no column but that of the labels"),
        ("1,2\n3\n", None, "f, line 2: this record has 1 field; expected 2, as in the first"),
        ("1,2\n3,4,5", None, "f, line 2: this record has 3 fields"),
        ("1,2\r\n\r\n\r\n3,4,5\r\n", None, "f, line 4: this record has 3 fields"),
        ("\n\n1,2\n\n3,", None, "f, line 5, column 2: this field is empty; a value was expected"),
        ("a,\"b\nc\"\n1,\n", None, "f, line 3, column 2 ('b\\nc'): this field is empty"),
        ("a\n1\n\"\"\n2\n", None, "f, line 3, column 1 ('a'): this field is empty"),
        ("a\r\n1\r\n\"\"\r\n", None, "f, line 3, column 1 ('a'): this field is empty"),
        ("a,b\n1,NA\n", None, "f, line 2, column 2 ('b'): the value is missing ('NA')"),
        ("a,b\n1,-nan\n", None, "f, line 2, column 2 ('b'): the value is missing ('-nan')"),
        ("a,b\n1,?\n", None, "f, line 2, column 2 ('b'): the value is missing ('?')"),
        ("a,b\n,1\n", Some("a"), "f, line 2, column 1 ('a'): this field is empty"),
        ("1,2\n1,inf\n", None, "f, line 2, column 2: 'inf' is not a finite number"),
        ("1,2\n1,1e999\n", None, "f, line 2, column 2: '1e999' is not a finite number"),
        ("1,2\n1,x\n", None, "f, line 2, column 2: 'x' is not a number; correct it; if the column"),
        ("1 2\n3 4\n", None, "f, line 2, column 1 ('1 2'): '3 4' is not a number; separate the"),
        ("a,b\n1,2\n", Some("c"), "f: label column: there is no column 'c'; give one of the names"),
        ("1,2\n1,2\n", Some("3"), "f: label column: there is no column '3' and no header; give a"),
        ("1,2\n1,2\n", Some("0"), "f: label column: there is no column '0' and no header; give a"),
        ("a,a\n1,2\n", Some("a"), "f: label column: the columns 1 and 2 have the name 'a'"),
        ("1\r2\r3\r", None, "f, line 1: lines end with a carriage return alone"),
        ("PK\x03\x04", None, "f: this is not text, it has a byte 3"),
        ("\x001\x00,", None, "f: this is text in UTF-16"),
        ("1\0,\0", None, "f: this is text in UTF-16"),
    ] {
        let have = refused(text, None, label);
        assert!(have.starts_with(expected), "{text:?}: {have}");
    }
    assert!(refused(b"\xff\xfe1\0", None, None).contains("UTF-16"));
    assert!(refused(b"\xfe\xff\x001", None, None).contains("UTF-16"));
    assert!(refused(b"\x1f\x8b\x08\x00", None, None).contains("gzip twice"));
    let long = "x".repeat(1000);
    assert!(refused(format!("1\n{long}"), None, None).len() < 200);
}

#[test]
fn decimal_commas_are_refused() {
    for text in [
        "1,5;2,5\n3,5;4,5\n",
        "a;b\n1,5;2,5\n",
        "1;2\n1,5;2,5\n",
        "a,x;b\n1,5;2,5\n",
        "1,5\t2,5\n",
        "a\tb\n1,5\t2,5\n",
        "a;b\n\"1,234\";5\n",
        "a;b\n1.234,5;6\n",
        "1,5;\n2,5;\n",
    ] {
        let have = refused(text, None, None);
        assert!(have.contains("decimal point"), "{text:?}: {have}");
    }
    assert!(refused("1,5\t2,5\n", Some(b'\t'), None).contains("decimal point"));
}

#[test]
fn a_quote_that_is_not_closed() {
    let mut text = b"1,2\n3,\"4\n".to_vec();
    assert_eq!(parse(&text, None).numbers, Numbers::U8(vec![1, 2, 3, 4]));
    text.extend(b"5,6\n");
    assert!(refused(&text, None, None).starts_with("f, line 2, column 2: '4\\n5,6' is not a"));
    let have = refused("1,x\n2,\"y\n3,x\n", None, Some("2"));
    assert!(
        have.starts_with("f, line 2, column 2: a label of several lines ('y\\n3,x')"),
        "{have}"
    );
    text.resize(80 << 20, b'1');
    let have = refused(&text, None, None);
    assert!(
        have.starts_with("f, line 2: a record is longer than 64 MiB; look for a quote"),
        "{have}"
    );
}

#[test]
fn files() {
    let path = temporary("table.tsv");
    fs::write(&path, "a\tlabel\n0.5\tx\n1.5\ty\n").unwrap();
    let table = read(&path, Some("label")).unwrap_or_else(|failure| panic!("{}", failure.problem));
    assert_eq!(table.array.dims(), [2, 1]);
    assert_eq!(table.array.element_type(), ElementType::F32);
    assert_eq!(table.labels.unwrap(), [0, 1]);
    assert_eq!(table.classes, ["x", "y"]);
    assert_eq!(table.names.unwrap(), ["a"]);
    let mut row = [0.0];
    table.array.read_row_f64(1, &mut row);
    assert_eq!(row, [1.5]);

    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(b"1,2\n3,4\n").unwrap();
    let gzip = gzip.finish().unwrap();
    let path = temporary("table.csv.gz");
    // Two members are one text.
    fs::write(&path, gzip.repeat(2)).unwrap();
    let table = read(&path, None).unwrap_or_else(|failure| panic!("{}", failure.problem));
    assert_eq!(table.array.dims(), [4, 2]);
    assert_eq!(table.array.element_type(), ElementType::U8);
    assert!(table.labels.is_none() && table.classes.is_empty() && table.names.is_none());
    let problem = |path: &Path| read(path, None).expect_err("refused").problem;
    fs::write(&path, &gzip[..gzip.len() - 4]).unwrap();
    assert!(problem(&path).ends_with("table.csv.gz: the gzip data is cut off"));
    fs::write(&path, [&gzip[..], b"more than ten bytes"].concat()).unwrap();
    assert!(problem(&path).contains("table.csv.gz: bad gzip data"), "{}", problem(&path));
    assert!(problem(&temporary("none.csv")).starts_with("cannot open"));
    assert!(problem(path.parent().unwrap()).contains("this is a folder"));
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn the_corpus_of_the_fuzz_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/csv");
    let (mut good, mut bad) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read(entry.unwrap().path()).unwrap();
        for label in [None, Some("1"), Some("label")] {
            match table::read(&text[..], None, label) {
                Ok(_) => good += 1,
                Err(_) => bad += 1,
            }
        }
    }
    assert!(good > 10 && bad > 10, "{good} {bad}");
}

/// Numbers of each type that arrays have.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        (0..=255_u8).prop_map(f64::from),
        any::<f32>().prop_filter("finite", |number| number.is_finite()).prop_map(f64::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn matrices_are_read_back(
        (columns, numbers) in (1..6_usize, 1..8_usize).prop_flat_map(|(columns, rows)| {
            (Just(columns), prop::collection::vec(any_number(), columns * rows))
        }),
        kinds in 1..4_usize,
        delimiter in prop::sample::select(b",;\t".to_vec()),
        quotes in any::<bool>(),
        crlf in any::<bool>(),
        header in any::<bool>(),
        spaces in "[ ]{0,2}",
        tail in "[\n ]{0,3}",
        step in 1..50_usize,
    ) {
        // All of one type, or of several.
        let numbers: Vec<f64> = numbers.iter().map(|&number| match kinds {
            1 => f64::from(number as u8),
            2 => f64::from((number as f32).clamp(f32::MIN, f32::MAX)),
            _ => number,
        }).collect();
        let style = if quotes { ::csv::QuoteStyle::Always } else { ::csv::QuoteStyle::Necessary };
        let end = if crlf { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') };
        let mut text = ::csv::WriterBuilder::new()
            .delimiter(delimiter).quote_style(style).terminator(end).from_writer(Vec::new());
        let names: Vec<String> = (0..columns).map(|column| format!("x, {column}; \"y\"")).collect();
        if header {
            text.write_record(&names).unwrap();
        }
        for row in numbers.chunks(columns) {
            text.write_record(row.iter().map(|number| format!("{spaces}{number}{spaces}"))).unwrap();
        }
        let mut text = text.into_inner().unwrap();
        text.extend(tail.as_bytes());
        // A reader that gives a few bytes at a time.
        let delimiter = if columns == 1 { Some(delimiter) } else { None };
        let slow = Slow { text: &text, step };
        let table = table::read(slow, delimiter, None).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
        prop_assert_eq!(f64s(&table.numbers), numbers.clone());
        prop_assert_eq!(table.features, columns);
        prop_assert_eq!(table.names, header.then_some(names));
        let all = |is: fn(f64) -> bool| numbers.iter().all(|&number| is(number));
        let expected = if all(|number| f64::from(number as u8) == number) {
            matches!(table.numbers, Numbers::U8(_))
        } else if all(|number| f64::from(number as f32) == number) {
            matches!(table.numbers, Numbers::F32(_))
        } else {
            matches!(table.numbers, Numbers::F64(_))
        };
        prop_assert!(expected);
    }

    // An error, or a table that is whole.
    #[test]
    fn no_text_panics(
        text in "([0-9]{0,3}|[a-c\"NA.e+-]|[,;\t]|\r?\n|[ ]|\u{feff}|\u{e9}){0,40}",
        delimiter in prop::sample::select(vec![None, Some(b'\t')]),
        label in prop::sample::select(vec![None, Some("1"), Some("2"), Some("a"), Some("")]),
    ) {
        if let Ok(table) = table::read(text.as_bytes(), delimiter, label) {
            let numbers = f64s(&table.numbers);
            prop_assert!(numbers.iter().all(|number| number.is_finite()));
            prop_assert!(table.features > 0 && !numbers.is_empty());
            prop_assert_eq!(numbers.len() % table.features, 0);
            if let Some(labels) = table.labels {
                prop_assert_eq!(labels.values.len(), numbers.len() / table.features);
            }
        }
    }

    #[test]
    fn a_ragged_record_is_refused_by_its_line(
        columns in 2..5_usize,
        rows in 1..20_usize,
        at in any::<prop::sample::Index>(),
        extra in any::<bool>(),
        end in prop::sample::select(vec!["\n", "\r\n", "\n\n", "\r\n\r\n"]),
        last in any::<bool>(),
    ) {
        let ragged = 1 + at.index(rows);
        let counts = (0..=rows).map(|row| match row == ragged {
            true if extra => columns + 1,
            true => columns - 1,
            false => columns,
        });
        let lines: Vec<String> = counts.map(|count| vec!["7"; count].join(",")).collect();
        let text = lines.join(end) + if last { end } else { "" };
        let line = ragged * end.matches('\n').count() + 1;
        let have = refused(text, None, None);
        let expected = format!("f, line {line}: ");
        prop_assert!(have.starts_with(&expected), "{}", have);
    }
}

/// A reader that gives a few bytes at a time.
struct Slow<'a> {
    text: &'a [u8],
    step: usize,
}

impl io::Read for Slow<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.step.min(buf.len()).min(self.text.len());
        let (now, rest) = self.text.split_at(n);
        buf[..n].copy_from_slice(now);
        self.text = rest;
        Ok(n)
    }
}
