//! The figures by which dictionaries are compared, as `sae eval` and `sae compare` print them.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::folder::Folder;

/// Standard output of a run that must succeed.
fn good(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
    command.env("XDG_CACHE_HOME", "/nonexistent").env("HOME", "/nonexistent");
    let output = command.args(args).stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&good(&[args, &["--json"]].concat())).unwrap()
}

/// Trains two dictionaries of 16 units on samples of few directions, and a deeper network.
fn models(folder: &Folder) -> (String, [String; 3]) {
    let samples = folder.path("samples.npy");
    let numbers: Vec<u8> = (0..600 * 8)
        .flat_map(|at: u32| (((at / 8 * (at % 8 + 3)) % 11) as f32 / 4.0).to_le_bytes())
        .collect();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (600, 8), }";
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(118u16.to_le_bytes());
    file.extend(format!("{header:<117}\n").bytes());
    file.extend(numbers);
    std::fs::write(&samples, file).unwrap();
    let shared = ["--activation", "relu", "--beta", "0", "--init", "he", "--steps", "50"];
    let train = |name: &str, more: &[&str]| {
        let model = folder.path(name);
        let files = ["train", "--preset", "article", "--samples", &samples, "--out", &model];
        good(&[&files[..], &shared[..], more].concat());
        model
    };
    let sparse = ["--layers", "8,16,8", "--code", "top-k:3", "--seed"];
    let first = train("first.safetensors", &[&sparse[..], &["1"]].concat());
    let second = train("second.safetensors", &[&sparse[..], &["2"]].concat());
    let deep = train("deep.safetensors", &["--layers", "8,5,3,5,8"]);
    (samples, [first, second, deep])
}

#[test]
fn eval_has_the_figures_of_the_field() {
    let folder = Folder::new("cli-metrics");
    let (samples, [model, _, deep]) = models(&folder);
    let args = ["eval", &model, "--samples", &samples, "--redundancy"];
    let (text, value) = (good(&args), json(&args));
    let number = |key: &str| value[key].as_f64().unwrap_or_else(|| panic!("{key}: {value}"));
    assert!((number("fvu") + number("explained_variance") - 1.0).abs() < 1e-12);
    // 600 samples are one batch.
    assert!((number("explained_variance_per_batch") - number("explained_variance")).abs() < 1e-12);
    let line = text.lines().find(|line| line.starts_with("reconstructions: ")).unwrap();
    let figures = line.split([' ', ',']).filter_map(|word| word.parse::<f64>().ok());
    let keys = ["cosine_similarity", "l2_ratio", "relative_reconstruction_bias"];
    for (shown, key) in figures.zip(keys) {
        assert!((shown - number(key)).abs() < 1e-5, "{line}, {key}: {}", number(key));
    }
    let layer = &value["hidden_layers"][0];
    let dense = layer["dense_units"].as_u64().unwrap();
    assert!(dense > 0 && text.contains(&format!(" dead, {dense} dense\n")), "{text}");
    let histogram = &layer["frequency_histogram"];
    let counts = histogram["counts"].as_array().unwrap().iter();
    let counted: u64 = counts.map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(counted + histogram["zeros"].as_u64().unwrap(), 16);
    assert_eq!(histogram["zeros"], layer["dead_units"]);
    let redundancy = &value["redundancy"];
    let [mean, max] = ["mean", "max"].map(|key| redundancy[key].as_f64().unwrap());
    assert!(0.0 < mean && mean < max && max <= 1.0, "{redundancy}");
    let units = [0, 1].map(|at| redundancy["units"][at].as_u64().unwrap());
    assert!(text.contains(&format!("(units {} and {})\n", units[0], units[1])), "{text}");
    // Without the option nothing is said of it, and of more layers there is none.
    assert!(json(&args[..4])["redundancy"].is_null());
    let args = ["eval", &deep, "--samples", &samples];
    assert!(!good(&args).contains("dense"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
    let output = command.args(args).arg("--redundancy").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("the redundancy is that of a decoder of one layer"), "{stderr}");
}

#[test]
fn compare_has_the_stability() {
    let folder = Folder::new("cli-stability");
    let (samples, [first, second, deep]) = models(&folder);
    let picture = folder.path("c.png");
    let options = ["--samples", &samples, "--out", &picture];
    let args = [&["compare", &first, &second, &deep, &first][..], &options].concat();
    let value = json(&args);
    let matched = |a: usize, b: usize| value["matched_cosines"][a][b].as_f64();
    assert!((matched(0, 3).unwrap() - 1.0).abs() < 1e-6, "{value}");
    let other = matched(1, 0).unwrap();
    assert!(0.1 < other && other < 0.999, "{other}");
    for (a, b) in [(0, 0), (0, 2), (2, 1)] {
        assert_eq!(matched(a, b), None, "{a} {b}");
    }
    let text = good(&args);
    let row = text.lines().find(|line| line.starts_with("matched cosine with ")).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    let cells = &words[words.len() - 4..];
    assert_eq!((cells[0], cells[2]), ("–", "–"), "{row}");
    let shown: f64 = cells[1].parse().unwrap();
    assert!((shown - other).abs() < 1e-5, "{row}: {other}");
    // Where no pair can be compared there is no such row.
    let args = [&["compare", &first, &deep][..], &options].concat();
    assert!(!good(&args).contains("matched cosine"));
}
