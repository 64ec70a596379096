//! Several files as one data set, the model's own data, orders, and reading ahead.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::folder::Folder;
use crate::usual;
use sae::data::write_npy;

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
    command.env("XDG_CACHE_HOME", "/nonexistent").env("HOME", "/nonexistent");
    command
        .env_remove("SAE_ISA")
        .stdin(Stdio::null())
        .args(args)
        .args(usual(args))
        .output()
        .unwrap()
}

fn good(args: &[&str]) -> String {
    let Output { status, stdout, stderr } = run(args);
    assert!(status.success(), "{args:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// Standard error of a run that must fail on invalid input.
fn refused(args: &[&str]) -> String {
    let output = run(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
    assert!(stderr.starts_with("error: ") && !stderr.contains("panicked"), "{args:?}: {stderr}");
    stderr
}

const FEATURES: usize = 5;

/// Numbers that `f16` has exactly.
fn numbers(rows: std::ops::Range<usize>) -> Vec<f32> {
    rows.flat_map(|row| (0..FEATURES).map(move |at| ((row * row + 7 * at) % 61) as f32 / 8.0))
        .collect()
}

/// A NumPy file of `f16`.
fn write_f16(path: &str, rows: usize, values: &[f32]) {
    let text =
        format!("{{'descr': '<f2', 'fortran_order': False, 'shape': ({rows}, {FEATURES})}}\n");
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    for value in values {
        // Exact, positive and normal, or 0.
        let bits = value.to_bits();
        let half = if *value == 0.0 { 0 } else { ((bits >> 23) - 112) << 10 | bits >> 13 & 0x3ff };
        bytes.extend((half as u16).to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

/// 110 samples in three files, `part-1`, `part-2` and `part-10`, and the paths of these.
fn parts(folder: &Folder) -> [String; 3] {
    fs::create_dir_all(folder.path("parts")).unwrap();
    let ranges = [(1, 0..30), (2, 30..73), (10, 73..110)];
    ranges.map(|(number, rows)| {
        let path = folder.path(&format!("parts/part-{number}.npy"));
        write_npy(&path, &[rows.len(), FEATURES], &numbers(rows)).unwrap();
        path
    })
}

/// Trains a small network and returns the bytes of its file.
fn train(out: &str, samples: &[&str], more: &[&str]) -> Vec<u8> {
    let start = ["train", "--layers", "5,3,5", "--steps", "40", "--batch", "16", "--quiet"];
    let args = [&start[..], &["--out", out, "--samples"], samples, more].concat();
    good(&args);
    fs::read(out).unwrap()
}

#[test]
fn however_the_files_are_named_the_model_is_the_same() {
    let folder = Folder::new("cli-shards");
    let [a, b, c] = parts(&folder);
    let (one, half) = (folder.path("one.npy"), folder.path("half.npy"));
    write_npy(&one, &[110, FEATURES], &numbers(0..110)).unwrap();
    write_f16(&half, 110, &numbers(0..110));
    let list = folder.path("list.txt");
    fs::write(&list, "# of the files\nparts/part-1.npy\n\nparts/part-2.npy\nparts/part-10.npy\n")
        .unwrap();
    let (out, parts) = (folder.path("m.safetensors"), folder.path("parts"));
    let want = train(&out, &[&one], &[]);
    let (pattern, mixed) = (folder.path("parts/part-*.npy"), folder.path("half-part-2.npy"));
    for samples in
        [&[&half[..]][..], &[&a, &b, &c], &[&c, &a, &b], &[&parts], &[&pattern], &[&list]]
    {
        assert!(train(&out, samples, &[]) == want, "{samples:?}");
    }
    // Types may differ.
    write_f16(&mixed, 43, &numbers(30..73));
    fs::write(&list, "parts/part-1.npy\nhalf-part-2.npy\nparts/part-10.npy\n").unwrap();
    assert!(train(&out, &[&list], &[]) == want);
    // In any order, and read ahead or not.
    for order in ["shuffle", "window:32", "sequential"] {
        let want = train(&out, &[&one], &["--order", order, "--read-ahead", "0"]);
        for ahead in ["1", "3"] {
            let more = ["--order", order, "--read-ahead", ahead, "--threads", "1"];
            assert!(train(&out, &[&a, &b, &c], &more) == want, "{order} {ahead}");
        }
    }
}

#[test]
fn files_that_do_not_fit_are_named() {
    let folder = Folder::new("cli-shards");
    let [a, b, _] = parts(&folder);
    let out = folder.path("m.safetensors");
    let problem =
        |samples: &[&str]| refused(&[&["train", "--out", &out, "--samples"], samples].concat());
    write_npy(folder.path("parts/part-3.npy"), &[4, 6], &[0f32; 24]).unwrap();
    let text = problem(&[&folder.path("parts")]);
    assert!(text.contains("part-3.npy: this file has 6 features; expected 5, as in "), "{text}");
    let bytes = fs::read(&b).unwrap();
    fs::write(&b, &bytes[..bytes.len() - 1]).unwrap();
    let text = problem(&[&a, &b]);
    assert!(text.contains("part-2.npy: header says 43 x 5 f32"), "{text}");
    assert!(problem(&[&a, &folder.path("none.npy")]).contains("none.npy"));
    assert!(problem(&[&folder.path("none-*.npy")]).contains("no file matches"));
    fs::create_dir(folder.path("empty")).unwrap();
    assert!(problem(&[&folder.path("empty")]).contains("empty: this folder is empty"));
    fs::write(folder.path("empty/about.md"), "nothing").unwrap();
    let text = problem(&[&folder.path("empty")]);
    assert!(text.contains("no file of samples in this folder") && text.contains("PNGs"), "{text}");
    fs::write(folder.path("list.txt"), "parts/part-1.npy\nparts/part-11.npy\n").unwrap();
    assert!(problem(&[&folder.path("list.txt")]).contains("part-11.npy"));
}

/// A line of what `train` or `eval` prints.
fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {text}"))
}

#[test]
fn a_model_is_evaluated_on_its_own_test_samples() {
    let folder = Folder::new("cli-own");
    let parts = parts(&folder);
    let (out, files) = (folder.path("m.safetensors"), folder.path("parts"));
    let start = [
        "train",
        "--layers",
        "5,3,5",
        "--steps",
        "40",
        "--quiet",
        "--out",
        &out,
        "--samples",
        &files,
    ];
    let eval = || good(&["eval", &out]);
    let mut seen = Vec::new();
    for more in [&[][..], &["--seed", "2"], &["--holdout", "30"], &["--holdout-last", "15"]] {
        let trained = good(&[&start[..], more].concat());
        let text = eval();
        let count = if more.contains(&"30") { 30 } else { 15 };
        assert!(text.starts_with(&format!("{count} samples of ")), "{text}");
        let variance = line(&text, "explained variance").to_owned();
        assert_eq!(line(&trained, "explained variance"), variance, "{more:?}");
        assert!(!seen.contains(&variance));
        seen.push(variance);
    }
    // The last ones are those of the last file.
    let last = folder.path("last.npy");
    write_npy(&last, &[15, FEATURES], &numbers(95..110)).unwrap();
    let text = good(&["eval", &out, "--samples", &last]);
    assert_eq!(line(&text, "explained variance"), seen[3]);
    // All that are named, too.
    assert!(good(&["eval", &out, "--samples", &files]).starts_with("110 samples of "));
    assert_eq!(good(&["encode", &out]).lines().count(), 15);
    // With files of test samples.
    good(&[&start[..], &["--test", &last]].concat());
    assert!(eval().starts_with("15 samples of ") && eval().contains("last.npy"));
    let report = folder.path("r.html");
    good(&["report", &out, "--out", &report]);
    // Changed data are noticed, and missing ones.
    let text = refused(&["eval", &out, "--data", &files]);
    assert!(text.contains("no train-images-idx3-ubyte"), "{text}");
    write_npy(&parts[1], &[43, FEATURES], &numbers(31..74)).unwrap();
    let text = refused(&["eval", &out]);
    assert!(text.contains("trained on 110 samples, and now "), "{text}");
    fs::remove_file(&parts[1]).unwrap();
    assert!(refused(&["compare", &out]).contains("part-2.npy"));
    fs::remove_file(folder.path("m.data.json")).unwrap();
    for command in ["eval", "report", "compare", "encode", "reconstruct"] {
        let text = refused(&[command, &out]);
        assert!(text.contains("there is no m.data.json beside it"), "{text}");
        assert!(text.contains("hint: give data, with --data DIR or --samples FILE"), "{text}");
    }
}

#[test]
fn what_was_held_out_stays_so_when_a_training_is_resumed() {
    let folder = Folder::new("cli-own");
    let [a, b, c] = parts(&folder);
    let (whole, resumed) = (folder.path("a.safetensors"), folder.path("b.safetensors"));
    let checkpoint = folder.path("run.ckpt");
    let more = ["--seed", "9", "--order", "window:32", "--scaling", "unit-rms"];
    let want = train(&whole, &[&a, &b, &c], &more);
    let parted = ["--checkpoint", &checkpoint, "--resume"];
    let first = [&more[..], &parted, &["--steps", "13", "--preset", "article"]].concat();
    let start = [
        "train",
        "--layers",
        "5,3,5",
        "--batch",
        "16",
        "--quiet",
        "--out",
        &resumed,
        "--samples",
        &a,
        &b,
        &c,
    ];
    good(&[&start[..], &first].concat());
    // The seed, and so the test samples, are the checkpoint's.
    let rest =
        [&parted[..], &["--steps", "40", "--scaling", "unit-rms", "--read-ahead", "2"]].concat();
    good(&[&start[..], &rest].concat());
    assert!(fs::read(&resumed).unwrap() == want);
}

#[test]
fn deep_arrays_are_rows_of_the_last_dimension_or_the_first() {
    let folder = Folder::new("cli-rows");
    let (deep, flat) = (folder.path("deep.npy"), folder.path("flat.npy"));
    write_npy(&deep, &[10, 11, FEATURES], &numbers(0..110)).unwrap();
    write_npy(&flat, &[110, FEATURES], &numbers(0..110)).unwrap();
    let out = folder.path("m.safetensors");
    assert!(train(&out, &[&deep], &[]) == train(&out, &[&flat], &[]));
    let first = ["--rows", "first", "--layers", "55,3,55"];
    let args = ["train", "--samples", &deep, "--steps", "5", "--quiet", "--out", &out];
    good(&[&args[..], &first].concat());
    assert!(good(&["eval", &out]).starts_with("1 sample of "));
    // The model tells what the rows of other files are.
    assert!(good(&["eval", &out, "--samples", &deep]).starts_with("10 samples of "));
}

#[test]
fn tables_with_labels() {
    let folder = Folder::new("cli-tables");
    let (table, out) = (folder.path("t.csv"), folder.path("m.safetensors"));
    let row = |row: usize| {
        let class = row % 2;
        let number = |at: usize| (row * (at + 3) % 17) as f64 / 10.0 + (class * at) as f64 * 3.0;
        format!("{},{},{},{}\n", number(1), ["b", "a"][class], number(2), number(3))
    };
    let rows: String = (0..140).map(row).collect();
    fs::write(&table, format!("x,kind,y,z\n{rows}")).unwrap();
    let args =
        ["train", "--layers", "3,2,3", "--steps", "300", "--quiet", "--out", &out, "--beta", "0"];
    good(&[&args[..], &["--samples", &table, "--label-column", "kind"]].concat());
    let text = good(&["eval", &out, "--probe"]);
    assert!(text.starts_with("20 samples of "), "{text}");
    assert!(
        text.contains("labels predicted from codes: 100.00 % by a linear classifier"),
        "{text}"
    );
    let text = refused(&["train", "--samples", &table, "--out", &out]);
    assert!(text.contains("t.csv, line 2, column 2 ('kind'): 'b' is not a number"), "{text}");
    let flat = folder.path("flat.npy");
    write_npy(&flat, &[4, FEATURES], &numbers(0..4)).unwrap();
    let text = refused(&["train", "--samples", &flat, "--label-column", "kind", "--out", &out]);
    assert!(text.contains("label-column: kind is for CSV files"), "{text}");
}

/// Data, the test samples of files among them, that are others than in the training are noticed, and no
/// command writes over them.
#[test]
fn data_stay_as_they_are() {
    let folder = Folder::new("cli-stay");
    let [a, b, c] = parts(&folder);
    let (out, test) = (folder.path("m.32"), folder.path("test.npy"));
    write_npy(&test, &[20, FEATURES], &numbers(200..220)).unwrap();
    let before = fs::read(&a).unwrap();
    for option in ["--out", "--history", "--picture", "--checkpoint"] {
        let args = [
            "train",
            "--layers",
            "5,3,5",
            "--steps",
            "2",
            "--quiet",
            "--samples",
            &a,
            &b,
            option,
            &a,
        ];
        let text = refused(&args);
        assert!(text.contains("which would be overwritten"), "{option}: {text}");
    }
    train(&out, &[&a, &b, &c], &["--test", &test]);
    let text = refused(&["encode", &out, "--samples", &a, "--out", &a]);
    assert!(text.contains("which would be overwritten"), "{text}");
    assert!(fs::read(&a).unwrap() == before);
    // Each model has a note of its own, whatever follows its last dot.
    let other = folder.path("m.64");
    train(&other, &[&a, &b, &c], &[]);
    assert!(good(&["eval", &out]).starts_with("20 samples of "));
    assert!(good(&["eval", &other]).starts_with("15 samples of "));
    let text = refused(&["compare", &out, &other]);
    assert!(text.contains("its test samples are others than those of "), "{text}");
    good(&["compare", &out, &other, "--samples", &test, "--out", &folder.path("c.png")]);
    write_npy(&test, &[20, FEATURES], &numbers(201..221)).unwrap();
    let text = refused(&["eval", &out]);
    assert!(text.contains("it was trained with 20 test samples, and now "), "{text}");
    fs::remove_file(&test).unwrap();
    assert!(refused(&["eval", &out]).contains("test.npy"));
    // What the command has written is no data of a folder or a pattern.
    let inside = folder.path("parts/m.safetensors");
    let parts = folder.path("parts");
    train(&inside, &[&parts], &[]);
    assert!(good(&["eval", &inside]).starts_with("15 samples of "));
    train(&inside, &[&parts], &[]);
}

/// Integers that neither f32 nor f64 tells apart are warned of where no scaling refuses them.
#[test]
fn integers_beyond_f64_get_a_warning() {
    let folder = Folder::new("cli-beyond");
    let (path, out) = (folder.path("x.npy"), folder.path("m.safetensors"));
    let values: Vec<i64> = (0..200).map(|at| (1 << 60) + at).collect();
    write_npy(&path, &[100, 2], &values).unwrap();
    for scaling in ["as-is", "layer-norm"] {
        let args =
            ["train", "--samples", &path, "--layers", "2,1,2", "--steps", "2", "--out", &out];
        let done = run(&[&args[..], &["--scaling", scaling]].concat());
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(text.contains("warning: ") && text.contains("integers beyond 2^53"), "{text}");
    }
}

#[test]
fn a_scaling_is_folded_into_exported_weights() {
    let folder = Folder::new("cli-fold");
    let [a, ..] = parts(&folder);
    let (out, onnx) = (folder.path("m.safetensors"), folder.path("m.onnx"));
    train(&out, &[&a], &["--scaling", "mean-deviation:feature"]);
    let text = good(&["convert", &out, &onnx]);
    assert!(text.contains("unscaled_features [samples, 5]"), "{text}");
    let text = good(&["convert", &out, &onnx, "--fold-scaling"]);
    assert!(text.contains("autoencoder, features [samples, 5] to reconstruction"), "{text}");
    train(&out, &[&a], &["--scaling", "min-max"]);
    let text = refused(&["convert", &out, &onnx, "--fold-scaling"]);
    assert!(text.contains("a linear output only, and this one is sigmoid"), "{text}");
    train(&out, &[&a], &["--scaling", "layer-norm"]);
    let text = refused(&["convert", &out, &onnx, "--fold-scaling"]);
    assert!(text.contains("layer-norm depends on each sample"), "{text}");
    let text = refused(&["convert", &a, &folder.path("b.npy"), "--fold-scaling"]);
    assert!(text.contains("is not a model"), "{text}");
}

/// Of many shards one may be empty: it is left out, and said.
#[test]
fn an_empty_shard_is_left_out() {
    let folder = Folder::new("cli-empty-shard");
    parts(&folder);
    let all = folder.path("parts/*.npy");
    let out = folder.path("m.safetensors");
    let args =
        ["train", "--samples", &all, "--layers", "5,3,5", "--steps", "2", "--quiet", "--out"];
    let args = [&args[..], &[&out]].concat();
    let before = run(&args);
    let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 5), }";
    let header = format!("{text:<117}\n");
    let empty = [b"\x93NUMPY\x01\0v\0", header.as_bytes()].concat();
    fs::write(folder.path("parts/a0.npy"), &empty).unwrap();
    let done = run(&args);
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{stderr}");
    assert!(stderr.contains("a0.npy has no samples, and is left out"), "{stderr}");
    assert_eq!(done.stdout, before.stdout);
    fs::write(folder.path("parts/z.npy"), &empty).unwrap();
    let stderr = String::from_utf8(run(&args).stderr).unwrap();
    assert!(
        stderr.contains("a0.npy and 1 other file have no samples, and are left out"),
        "{stderr}"
    );
    let problem = refused(&["inspect", &folder.path("parts/z.npy")]);
    assert!(problem.contains("an array of shape [0, 5]; it has no samples"), "{problem}");
}
