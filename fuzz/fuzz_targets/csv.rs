//! Any bytes as CSV or TSV: an error, or a table that is whole and, written and read again, the same; and
//! memory in proportion to the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../limit.rs"]
mod limit;
#[path = "../../cli/src/csv/table.rs"]
mod table;

use table::{Error, Numbers, Problem, read};

#[global_allocator]
static MEMORY: limit::Limited = limit::Limited;

fn texts(numbers: &Numbers) -> Vec<String> {
    match numbers {
        Numbers::U8(numbers) => numbers.iter().map(u8::to_string).collect(),
        // As f64: the shortest text of an f32 may be of another number that only f64 has.
        Numbers::F32(numbers) => {
            numbers.iter().map(|&number| f64::from(number).to_string()).collect()
        }
        Numbers::F64(numbers) => numbers.iter().map(f64::to_string).collect(),
    }
}

fuzz_target!(|bytes: &[u8]| {
    for delimiter in [None, Some(b'\t')] {
        for label in [None, Some("2"), Some("label")] {
            // Two bytes make a number of eight bytes at most, in a vector that grows, and its place in
            // the record.
            let most = 64 * bytes.len() + (1 << 20);
            let table = match limit::within(most, || read(bytes, delimiter, label)) {
                Ok(table) => table,
                Err(Error::Read(error)) => panic!("{error}"),
                Err(Error::Content(Problem { line, column, problem, hint })) => {
                    let lines = 1 + bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
                    assert!(line.is_none_or(|line| (1..=lines).contains(&line)));
                    assert!(column.is_none_or(|(column, _)| column > 0));
                    assert!(!problem.contains('\n') && !hint.is_empty());
                    continue;
                }
            };
            let texts = texts(&table.numbers);
            let samples = texts.len() / table.features;
            assert!(samples > 0 && texts.len() == samples * table.features);
            assert!(table.names.is_none_or(|names| names.len() == table.features));
            if let Some(labels) = table.labels {
                assert_eq!(labels.values.len(), samples);
                let classes = labels.classes.len();
                assert!(
                    classes == 0 || labels.values.iter().all(|&label| usize::from(label) < classes)
                );
            }
            let lines: Vec<_> = texts.chunks(table.features).map(|row| row.join("\t")).collect();
            let again = read(lines.join("\n").as_bytes(), Some(b'\t'), None).expect("its own text");
            assert_eq!(again.numbers, table.numbers);
            assert_eq!(again.features, table.features);
        }
    }
});
