//! Safetensors files as data: every type, the tensor that is taken, and files that are refused.

use std::path::Path;

use crate::folder::Folder;
#[cfg(feature = "gz")]
use crate::formats::gz;
use crate::formats::{Case, cases, npy_of, safetensors, with_header};
use sae::data::{Array, ElementType, ReadOptions, Rows};

/// An array's numbers.
fn numbers(array: &Array) -> Vec<f64> {
    let mut all = vec![0.0; array.samples() * array.features()];
    let rows = all.chunks_mut(array.features()).enumerate();
    rows.for_each(|(sample, row)| array.read_row_f64(sample, row));
    all
}

/// The same content, by every function that takes a file.
fn arrays(folder: &Folder, bytes: &[u8]) -> Vec<Array> {
    let path = folder.file("some.file", bytes);
    let mut arrays =
        vec![Array::open(&path), Array::read(&path), Array::from_bytes("m", bytes.to_vec())];
    #[cfg(feature = "gz")]
    {
        let path = folder.file("packed", &gz(bytes));
        arrays.extend([Array::open(path), Array::from_bytes("m", gz(bytes))]);
    }
    arrays.into_iter().map(Result::unwrap).collect()
}

fn check(folder: &Folder, bytes: &[u8], case: &Case) {
    for array in arrays(folder, bytes) {
        assert_eq!(array.element_type(), case.element_type);
        assert_eq!((array.samples(), array.features()), (2, 2));
        assert_eq!(numbers(&array), case.numbers, "{}", case.dtype);
        for (sample, numbers) in case.numbers.chunks(2).enumerate() {
            let mut row = [0.0; 2];
            array.read_row(sample, &mut row);
            let nearest: Vec<f32> = match case.element_type {
                // Rounded once, not by way of an `f64`.
                ElementType::U64 => {
                    case.bits[2 * sample..][..2].iter().map(|&n| n as f32).collect()
                }
                ElementType::I64 => {
                    case.bits[2 * sample..][..2].iter().map(|&n| n as i64 as f32).collect()
                }
                _ => numbers.iter().map(|&number| number as f32).collect(),
            };
            assert_eq!(row[..], nearest, "{}", case.dtype);
        }
    }
}

#[test]
fn every_type_is_read() {
    let folder = Folder::new("tensors");
    for case in cases() {
        let bytes = case.bytes(false);
        // Of every alignment.
        for spaces in 0..8 {
            let file = safetensors(&[("a", case.dtype, "[2,2]", &bytes)], spaces);
            check(&folder, &file, &case);
        }
        // With other tensors before and after it.
        let tensors: &[(&str, &str, &str, &[u8])] = &[
            ("first", "U8", "[3]", &[9; 3]),
            ("a", case.dtype, "[2,2]", &bytes),
            ("last", "F64", "[1]", &[9; 8]),
        ];
        check(&folder, &safetensors(tensors, 0), &case);
        let Some(kind) = case.kind else { continue };
        for version in 1..=3 {
            for (order, big_endian) in [("<", false), (">", true)] {
                let bytes = case.bytes(big_endian);
                let file = npy_of(version, &format!("{order}{kind}"), "False", "(2, 2)", &bytes);
                check(&folder, &file, &case);
                let [a, b, c, d] = [0, 1, 2, 3].map(|at| &bytes[at * case.size..][..case.size]);
                let columns = [a, c, b, d].concat();
                let file = npy_of(version, &format!("{order}{kind}"), "True", "(2, 2)", &columns);
                check(&folder, &file, &case);
            }
        }
    }
}

/// The length of a header is what a file begins with: zeros, for one, as an IDX file.
#[test]
fn headers_of_any_length_are_read() {
    let folder = Folder::new("tensors");
    let short = safetensors(&[("a", "U8", "[1,2]", &[3, 4])], 0);
    let length = short.len() - 10;
    for wanted in [length, 255, 256, 257, 65_535, 65_536, 131_072, 250_000] {
        let file = safetensors(&[("a", "U8", "[1,2]", &[3, 4])], wanted - length);
        assert_eq!(file[..8], (wanted as u64).to_le_bytes());
        for array in arrays(&folder, &file) {
            assert_eq!(numbers(&array), [3.0, 4.0], "{wanted}");
        }
    }
    let long = safetensors(&[("a", "U8", "[1,2]", &[3, 4])], (1 << 18) + 1 - length);
    let problem = refused(&long, None);
    assert!(
        problem.contains("the header takes 262145 bytes; at most 262144 are read"),
        "{problem}"
    );
}

fn opened(path: &Path, tensor: Option<&str>) -> sae::Result<Array> {
    let tensor = tensor.map(str::to_owned);
    Array::open_with(path, &ReadOptions { tensor, ..ReadOptions::default() })
}

/// The error of a file, the same whether it is mapped or read.
fn refused(bytes: &[u8], tensor: Option<&str>) -> String {
    let folder = Folder::new("tensors");
    let path = folder.file("x.safetensors", bytes);
    let options =
        ReadOptions { tensor: tensor.map(str::to_owned), copy: true, ..ReadOptions::default() };
    let copied = Array::open_with(&path, &options).unwrap_err().to_string();
    let problem = opened(&path, tensor).unwrap_err().to_string();
    assert_eq!(problem.replace(" or more", ""), copied.replace(" or more", ""));
    assert!(problem.contains("x.safetensors") && !problem.contains('\n'), "{problem}");
    assert!(problem.len() < 600, "{problem}");
    problem
}

#[test]
fn a_tensor_is_chosen() {
    let folder = Folder::new("tensors");
    let tensors: &[(&str, &str, &str, &[u8])] = &[
        ("line", "U8", "[2]", &[1, 2]),
        ("deep", "F32", "[2,1,3]", &[0; 24]),
        ("table", "I16", "[2,2]", &[1, 0, 2, 0, 3, 0, 255, 255]),
        ("é \\\"x\\\"", "U8", "[1,1,1]", &[8]),
        ("scalar", "U8", "[]", &[1]),
        ("eighths", "F8_E4M3", "[1,2]", &[1, 2]),
        ("none", "F32", "[0,4]", &[]),
    ];
    // `F8_E4M3` and a tensor of nothing have two dimensions, too.
    let path = folder.file("all.safetensors", &safetensors(tensors, 0));
    let problem = opened(&path, None).unwrap_err().to_string();
    for words in ["--tensor NAME", "'line' (2)", "'table' (2 x 2)", "'none' (0 x 4)"] {
        assert!(problem.contains(words), "{words}: {problem}");
    }
    let array = opened(&path, Some("table")).unwrap();
    assert_eq!(numbers(&array), [1.0, 2.0, 3.0, -1.0]);
    let array = opened(&path, Some("line")).unwrap();
    assert_eq!((array.samples(), array.features(), numbers(&array)), (2, 1, vec![1.0, 2.0]));
    let array = opened(&path, Some("é \"x\"")).unwrap();
    assert_eq!(numbers(&array), [8.0]);
    assert_eq!(opened(&path, Some("deep")).unwrap().dims(), [2, 1, 3]);
    for (name, words) in [
        ("tables", "no tensor 'tables'; the file has 'deep' (2 x 1 x 3), 'eighths'"),
        ("scalar", "tensor 'scalar' is a single number without dimensions; samples by features"),
        ("none", "tensor 'none' has the shape [0, 4]; it has no samples"),
        ("eighths", "tensor 'eighths' is F8_E4M3; save it as F16, BF16, F32"),
    ] {
        let problem = opened(&path, Some(name)).unwrap_err().to_string();
        assert!(problem.contains(words), "{problem}");
    }
    // The only one of two dimensions, or else of more.
    let path = folder.file("a", &safetensors(&tensors[..3], 0));
    assert_eq!(opened(&path, None).unwrap().element_type(), ElementType::I16);
    let path = folder.file("b", &safetensors(&tensors[..2], 0));
    assert_eq!(opened(&path, None).unwrap().dims(), [2, 1, 3]);
    let problem = refused(&safetensors(&tensors[..1], 0), None);
    assert!(problem.contains("the file has 'line' (2)"), "{problem}");
    let problem = refused(&safetensors(&[], 0), None);
    assert!(problem.ends_with("the file has none"), "{problem}");
    let many: Vec<String> = (0..30).map(|at| format!("layer.{at}")).collect();
    let many: Vec<_> = many.iter().map(|name| (&name[..], "U8", "[1,1]", &[1u8][..])).collect();
    let problem = refused(&safetensors(&many, 0), None);
    assert!(problem.ends_with("'layer.15' (1 x 1), ..."), "{problem}");
}

#[test]
fn cut_and_continued_files_are_refused() {
    let tensors: &[(&str, &str, &str, &[u8])] =
        &[("a", "U8", "[2,2]", &[1, 2, 3, 4]), ("z", "U8", "[3]", &[1, 2, 3])];
    for count in [1, 2] {
        let file = safetensors(&tensors[..count], 0);
        for end in 0..file.len() {
            let problem = refused(&file[..end], None);
            // Before the data there is only its header, and before that no sign of the format.
            let data = file.len() - [0, 4, 7][count];
            if end >= data {
                let words = format!("header says {} bytes", file.len());
                let one = format!("2 x 2 u8 = {} bytes with the header", file.len());
                assert!(problem.contains(&words) || problem.contains(&one), "{problem}");
                assert!(problem.contains(&format!("the file has {end}")), "{problem}");
            } else if end >= 9 {
                assert!(problem.contains("not a safetensors file: the header takes"), "{problem}");
            }
        }
        let problem = refused(&[&file[..], &[0]].concat(), None);
        assert!(problem.contains(&format!("the file has {}", file.len() + 1)), "{problem}");
    }
}

#[test]
fn headers_that_claim_too_much_are_refused() {
    let most = u64::MAX;
    let size = 1u64 << 60;
    // Each tensor begins where the one before it ends, as it should.
    let mut lines: Vec<String> = (0..16)
        .map(|at| {
            let (start, end) = (at * size, if at < 15 { (at + 1) * size } else { most - 8 });
            let length = end - start;
            format!(r#""{at}":{{"dtype":"U8","shape":[{length}],"data_offsets":[{start},{end}]}}"#)
        })
        .collect();
    lines.push(format!(
        r#""x":{{"dtype":"U8","shape":[2,4],"data_offsets":[{},{most}]}}"#,
        most - 8
    ));
    let header = format!("{{{}}}", lines.join(","));
    let problem = refused(&with_header(&header, &[]), None);
    assert!(problem.contains("beyond what memory can address"), "{problem}");
    for (header, words) in [
        (r#"{"a":{"dtype":"F32","shape":[4294967296,1],"data_offsets":[0,17179869184]}}"#, "shape"),
        (r#"{"a":{"dtype":"F32","shape":[1073741824,1],"data_offsets":[0,4294967296]}}"#, "bytes"),
        (r#"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,15]}}"#, "not a safetensors file"),
        (r#"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[4,20]}}"#, "not a safetensors file"),
        (r#"{"a":{"dtype":"X","shape":[2,2],"data_offsets":[0,16]}}"#, "not a safetensors file"),
        (r#"{"a":[]}"#, "not a safetensors file: the header: "),
        ("{", "not a safetensors file: the header: "),
    ] {
        let problem = refused(&with_header(header, &[0; 16]), None);
        assert!(problem.contains(words), "{header}: {problem}");
    }
}

/// Arrays of more dimensions are rows of the last one, or of all but the first.
#[test]
fn rows_of_more_dimensions() {
    let folder = Folder::new("tensors");
    let numbers: Vec<u8> = (1..=24).collect();
    let halves: Vec<u8> = (0..24u16).flat_map(|at| (0x3c00 + 16 * at).to_le_bytes()).collect();
    for (dtype, data, by_default) in [
        ("U8", &numbers, Rows::First),
        ("I8", &numbers, Rows::First),
        ("BF16", &halves, Rows::Last),
    ] {
        let path = folder.file("deep", &safetensors(&[("a", dtype, "[2,3,4]", data)], 0));
        for rows in [None, Some(Rows::First), Some(Rows::Last)] {
            let shape = match rows.unwrap_or(by_default) {
                Rows::First => (2, 12),
                _ => (6, 4),
            };
            for copy in [false, true] {
                let options = ReadOptions { rows, copy, ..ReadOptions::default() };
                let array = Array::open_with(&path, &options).unwrap();
                assert_eq!((array.samples(), array.features()), shape, "{dtype} {rows:?}");
                assert_eq!(array.dims(), [2, 3, 4]);
                // The numbers are in the same order.
                let flat = Array::open(&path).unwrap().with_rows(Rows::First);
                assert_eq!(self::numbers(&array), self::numbers(&flat));
            }
        }
    }
}
