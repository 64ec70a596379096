//! What the examples print, after few steps.
//!
//! `cargo test` builds them beside the tests; `cargo test --test examples` alone does not, and fails
//! where they are not there.

#[path = "common/folder.rs"]
mod folder;

use std::fs;
use std::path::Path;
use std::process::Command;

/// What an example prints.
fn printed(name: &str, words: &[&str]) -> String {
    let test = std::env::current_exe().unwrap();
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let path = test.parent().unwrap().with_file_name("examples").join(file);
    assert!(path.exists(), "{} was not built: `cargo build --examples`", path.display());
    // Cargo's list of what it was made of.
    let sources = fs::read_to_string(path.with_extension("d")).unwrap();
    let written = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).unwrap();
    for source in sources.split_whitespace().skip(1).map(Path::new).filter(|path| path.exists()) {
        let stale = written(source) > written(&path);
        assert!(
            !stale,
            "{name} was built before {} changed: `cargo build --examples`",
            source.display()
        );
    }
    let output = Command::new(path).args(words).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{name}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The numbers that stand behind this text, one for each time that it stands there.
fn numbers(text: &str, before: &str) -> Vec<f64> {
    let number = |rest: &str| {
        let rest = rest.trim_start();
        let end = rest.find(|c: char| !(c.is_ascii_digit() || "-.".contains(c)));
        rest[..end.unwrap_or(rest.len())].parse().unwrap()
    };
    text.split(before).skip(1).map(number).collect()
}

#[test]
#[cfg_attr(not(feature = "digits"), ignore = "needs the feature digits")]
fn article() {
    let text = printed("article", &["40"]);
    let objectives = numbers(&text, "test objective");
    let [plain, sparse] = objectives[..] else { panic!("{text}") };
    // Before training it is above 0.1.
    assert!(0.01 < plain && plain < 0.08 && 0.01 < sparse && sparse < 0.08, "{text}");
    // The penalty reduces the activity.
    let means = numbers(&text, "mean activations");
    assert!(means.len() == 2 && means[1] < 0.5 * means[0], "{text}");
    assert_eq!(numbers(&text, "objective on its batch").len(), 8, "{text}");
}

#[test]
fn encode_your_data() {
    let folder = folder::Folder::new("encode-your-data");
    let table = folder.path("table.csv");
    let line =
        |i: usize| format!("{}, {},{}\n", i % 7, 1000 * (i * i % 11), -0.01 * (i % 5) as f32);
    fs::write(&table, (0..50).map(line).collect::<String>()).unwrap();
    let text = printed("encode_your_data", &["300", &table, &folder.path("")]);
    let (before, after) = (numbers(&text, "samples:")[0], numbers(&text, "before,")[0]);
    assert!(after > before && after > 50.0, "{text}");
    let npy = sae::data::Array::open(folder.path("codes.npy")).unwrap();
    assert_eq!(npy.dims(), [50, 32]);
    let csv = fs::read_to_string(folder.path("codes.csv")).unwrap();
    assert_eq!(csv.lines().count(), 50);
    for (sample, line) in csv.lines().enumerate() {
        let code: Vec<f32> = line.split(',').map(|number| number.parse().unwrap()).collect();
        let mut same = vec![0.0; 32];
        npy.read_row(sample, &mut same);
        assert_eq!(code, same);
        assert!(code.iter().filter(|&&a| a != 0.0).count() <= 4, "{line}");
    }
}

#[test]
fn custom_penalty() {
    let text = printed("custom_penalty", &["400"]);
    let (norms, differences) = (numbers(&text, "norm of the gradient"), numbers(&text, "along it"));
    for (norm, difference) in norms.iter().zip(&differences) {
        assert!((norm - difference).abs() < 0.01 * norm, "{text}");
    }
    let p = numbers(&text, "and P");
    assert!(differences.len() == 2 && p[1] < 0.5 * p[0], "{text}");
}

#[test]
fn batches_from_outside() {
    let text = printed("batches_from_outside", &["100"]);
    let objectives = numbers(&text, "held out: objective");
    assert!(objectives[1] < 0.5 * objectives[0], "{text}");
    assert_eq!(numbers(&text, "after"), [100.0], "{text}");
}
