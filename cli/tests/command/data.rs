//! Data as a person has them: scalings, types, files of other kinds, folders, labels.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::folder::Folder;
use crate::usual;
use sae::data::{write_idx, write_npy};

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

/// Standard output and standard error of a run that must succeed.
fn good(args: &[&str]) -> [String; 2] {
    let Output { status, stdout, stderr } = run(args);
    let texts = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(status.success(), "{args:?}: {}", texts[1]);
    texts
}

/// The first line of standard error of a run that must fail on invalid input.
fn refused(args: &[&str]) -> String {
    let output = run(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
    assert!(stderr.starts_with("error: ") && !stderr.contains("panicked"), "{args:?}: {stderr}");
    assert!(stderr.lines().skip(1).all(|line| line.starts_with("hint: ")), "{args:?}: {stderr}");
    stderr.lines().next().unwrap().to_owned()
}

/// Trains a small network on a file and returns standard output and standard error.
fn train(folder: &Folder, samples: &str, scaling: &str, layers: &str, out: &str) -> [String; 2] {
    let (samples, out) = (folder.path(samples), folder.path(out));
    let mut args = vec!["train", "--samples", &samples, "--layers", layers, "--out", &out];
    args.extend(["--steps", "20", "--quiet"]);
    if !scaling.is_empty() {
        args.extend(["--scaling", scaling]);
    }
    good(&args)
}

fn columns() -> Vec<f64> {
    let number = |i: u32| f64::from(i % 211 * 79 % 211) / 211.0;
    (0..210)
        .flat_map(|i| [1.0, 1e3, 1e-3, 1e6].map(|size| size * number(i + size as u32)))
        .collect()
}

#[test]
fn numbers_that_f32_does_not_tell_apart_get_a_warning() {
    let folder = Folder::new("cli-rounding");
    let seconds: Vec<f64> = (0..210).flat_map(|i| [f64::from(i), 1.7e9 + f64::from(i)]).collect();
    write_npy(folder.path("x.npy"), &[210, 2], &seconds).unwrap();
    let [_, stderr] = train(&folder, "x.npy", "as-is", "2,1,2", "m.safetensors");
    assert!(stderr.contains("warning: feature 1 is from 1700000000 to 1700000209"), "{stderr}");
    assert_eq!(train(&folder, "x.npy", "min-max:feature", "2,1,2", "m.safetensors")[1], "");
}

#[test]
fn columns_of_different_ranges_have_their_own_scaling() {
    let folder = Folder::new("cli-data");
    write_npy(folder.path("x.npy"), &[210, 4], &columns()).unwrap();
    for (name, by_feature) in
        [("min-max", "min-max:feature"), ("mean-deviation:all", "mean-deviation:feature")]
    {
        let [_, stderr] = train(&folder, "x.npy", name, "4,2,4", "all.safetensors");
        assert!(stderr.starts_with("warning: the "), "{stderr}");
        assert!(stderr.contains("(features 3 and 2)"), "{stderr}");
        assert!(stderr.contains(&format!("--scaling {by_feature} scales each")), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        let [stdout, stderr] = train(&folder, "x.npy", by_feature, "4,2,4", "each.safetensors");
        assert!(stderr.is_empty() && stdout.contains("test objective"), "{stderr}");
        let model = folder.path("each.safetensors");
        let [text, _] = good(&["inspect", &model]);
        assert!(text.contains(&format!("scaling {by_feature}, 4 features")), "{text}");
        let [json, _] = good(&["inspect", &model, "--json"]);
        assert!(json.contains(&format!("\"scaling\":{{\"{by_feature}\":{{")), "{json}");
        good(&["eval", &model, "--samples", &folder.path("x.npy")]);
        let onnx = folder.path("m.onnx");
        let [text, _] = good(&["convert", &model, &onnx]);
        assert!(text.contains("unscaled_features [samples, 4]"), "{text}");
        let [text, _] = good(&["convert", &model, &onnx, "--part", "decoder"]);
        assert!(text.starts_with("decoder, code [samples, 2] to reconstruction"), "{text}");
    }
    let [stdout, _] = train(&folder, "x.npy", "as-is", "4,2,4", "all.safetensors");
    assert!(stdout.contains("warning: "), "{stdout}");
    // A factor of 1000, columns that are constant, and bytes are nothing to warn of.
    let calm: Vec<f32> = (0..210).flat_map(|i| [i as f32, 1000.0 * i as f32, 7.0]).collect();
    write_npy(folder.path("calm.npy"), &[210, 3], &calm).unwrap();
    let bytes: Vec<u8> = (0..=209u8).flat_map(|i| [i, i / 209]).collect();
    write_npy(folder.path("bytes.npy"), &[210, 2], &bytes).unwrap();
    for name in ["min-max", "mean-deviation", "as-is"] {
        assert_eq!(train(&folder, "calm.npy", name, "3,2,3", "m.safetensors")[1], "");
        assert_eq!(train(&folder, "bytes.npy", name, "2,1,2", "m.safetensors")[1], "");
    }
    let output = run(&["train", "--samples", "x", "--scaling", "max-min"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && stderr.contains("min-max:feature"), "{stderr}");
}

#[test]
fn statistics_are_of_the_numbers_themselves() {
    let folder = Folder::new("cli-data");
    let path = folder.path("x.npy");
    let check = |want: &str| {
        let [text, _] = good(&["inspect", &path]);
        assert!(text.contains(want), "{text}");
        let [json, _] = good(&["inspect", &path, "--json"]);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        ["low", "high", "mean", "deviation"].map(|name| value[name].as_f64().unwrap())
    };
    let line = "from 1700000000 to 1700000099, mean 1700000049.5, standard deviation 28.8661";
    let values: Vec<f64> = (0..100).map(|i| 1.7e9 + f64::from(i)).collect();
    write_npy(&path, &[50, 2], &values).unwrap();
    let [low, high, mean, deviation] = check(line);
    assert_eq!((low, high, mean), (1.7e9, 1.7e9 + 99.0, 1.7e9 + 49.5));
    assert!((deviation - 28.86607004772212).abs() < 1e-12);
    write_npy(&path, &[50, 2], &(0..100).map(|i| 1_700_000_000i64 + i).collect::<Vec<_>>())
        .unwrap();
    assert_eq!(check(line)[2], 1.7e9 + 49.5);
    write_npy(&path, &[50, 2], &[14.62f32; 100]).unwrap();
    assert_eq!(check("from 14.62 to 14.62, mean 14.61999")[3], 0.0);
    write_npy(&path, &[1, 2], &[f64::MIN, f64::MAX]).unwrap();
    assert_eq!(check("mean 0,")[3], f64::MAX);
}

#[test]
fn what_is_not_finite_is_refused() {
    let folder = Folder::new("cli-data");
    let (path, out) = (folder.path("x.npy"), folder.path("m.safetensors"));
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for other in [0.0, 5.0] {
            write_npy(&path, &[2, 2], &[other, bad, other, 5.0]).unwrap();
            for scaling in ["min-max", "mean-deviation:feature", "mean-deviation", "as-is", "byte"]
            {
                let args = ["train", "--samples", &path, "--scaling", scaling, "--layers", "2,1,2"];
                let problem = refused(&[&args[..], &["--quiet", "--out", &out]].concat());
                let want = format!("x.npy: sample 0, feature 1 is {bad}; finite numbers");
                assert!(problem.contains(&want), "{scaling}: {problem}");
                assert!(!Path::new(&out).exists());
            }
        }
    }
    write_npy(&path, &[2, 2], &[0.0, 1.0, 1e300, 5.0]).unwrap();
    let args = ["train", "--samples", &path, "--scaling", "as-is", "--layers", "2,1,2"];
    let problem = refused(&[&args[..], &["--quiet", "--out", &out]].concat());
    assert!(problem.contains("sample 1, feature 0 is 1e300, beyond the range of f32"), "{problem}");
}

#[test]
fn a_model_of_bytes_takes_bytes_of_any_type() {
    let folder = Folder::new("cli-data");
    let bytes: Vec<u8> = (0..=255u8).map(|i| i.wrapping_mul(97)).collect();
    write_idx(folder.path("b.idx"), &[32, 8], &bytes).unwrap();
    let floats: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte)).collect();
    write_npy(folder.path("f.npy"), &[32, 8], &floats).unwrap();
    let integers: Vec<i64> = bytes.iter().map(|&byte| i64::from(byte)).collect();
    write_npy(folder.path("i.npy"), &[32, 8], &integers).unwrap();
    let parts: Vec<f32> = floats.iter().map(|x| x / 255.0).collect();
    write_npy(folder.path("p.npy"), &[32, 8], &parts).unwrap();
    train(&folder, "b.idx", "", "8,3,8", "m.safetensors");
    let (model, path) = (folder.path("m.safetensors"), |name: &str| folder.path(name));
    let encode = |name: &str| good(&["encode", &model, "--samples", &path(name)])[0].clone();
    let want = encode("b.idx");
    assert_eq!([encode("f.npy"), encode("i.npy")], [want.clone(), want]);
    let problem = refused(&["encode", &model, "--samples", &path("p.npy")]);
    let start =
        "p.npy: sample 0, feature 1 is 0.38039216; the scaling is byte, that of a model trained";
    assert!(problem.contains(start) && problem.contains("multiply"), "{problem}");
    // A model that takes numbers as they are takes bytes so, too.
    train(&folder, "f.npy", "as-is", "8,3,8", "m.safetensors");
    assert_eq!(encode("b.idx"), encode("f.npy"));
}

#[test]
fn labels_are_of_any_integer_type() {
    let folder = Folder::new("cli-data");
    let bytes: Vec<u8> = (0..70u8).flat_map(|i| [i % 2 * 180 + i, 3, i, 9]).collect();
    write_idx(folder.path("b.idx"), &[70, 4], &bytes).unwrap();
    train(&folder, "b.idx", "", "4,3,4", "m.safetensors");
    let [model, samples, labels] =
        ["m.safetensors", "b.idx", "l.npy"].map(|name| folder.path(name));
    let args = ["eval", &model, "--samples", &samples, "--probe", "--labels", &labels];
    let classes = || (0..70).map(|i| i % 2);
    write_npy(&labels, &[70], &classes().collect::<Vec<i64>>()).unwrap();
    let [text, stderr] = good(&args);
    assert!(text.contains("labels predicted from codes: "), "{text}");
    assert_eq!(stderr, "10 samples held out are the test samples of the labels\n");
    write_idx(&labels, &[70], &classes().map(|i| i as u8).collect::<Vec<_>>()).unwrap();
    assert_eq!(good(&args)[0], text);
    write_npy(&labels, &[70, 1], &classes().map(|i| i == 1).collect::<Vec<_>>()).unwrap();
    assert_eq!(good(&args)[0], text);
    write_npy(&labels, &[70], &[300i32; 70]).unwrap();
    assert!(refused(&args).contains("label 0 is 300; expected labels from 0 to 255"));
    write_npy(&labels, &[70], &[0.0f32; 70]).unwrap();
    assert!(refused(&args).contains("expected labels of a type of whole numbers, got f32"));
    write_npy(&labels, &[69], &[1i32; 69]).unwrap();
    assert!(refused(&args).contains("expected 70 labels, one for each sample, got 69"));
    assert!(refused(&args[..5]).contains("no labels are given"));
    assert_eq!(
        run(&["eval", &model, "--samples", &samples, "--labels", &labels]).status.code(),
        Some(2)
    );
}

#[test]
fn folders_as_kaggle_has_them() {
    let folder = Folder::new("cli-data");
    let digits = folder.path("digits");
    good(&["make-digits", &digits, "--train", "60", "--test", "20"]);
    let out = folder.path("m.safetensors");
    let start = ["train", "--data", &digits, "--layers", "784,4,784", "--steps", "5", "--quiet"];
    let want = good(&[&start[..], &["--out", &out]].concat())[0].clone();
    let probe = ["eval", &out, "--data", &digits, "--probe"];
    let lines = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let probed = lines(&good(&probe)[0]);
    for name in ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"] {
        let file = Path::new(&digits).join(format!("{name}-ubyte"));
        let bytes = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        fs::write(file.join(format!("{name}-ubyte")), &bytes).unwrap();
        fs::write(
            Path::new(&digits).join(format!("{}-ubyte", name.replace("-idx", ".idx"))),
            bytes,
        )
        .unwrap();
    }
    // The folders beside the files, then alone.
    for alone in [false, true] {
        if alone {
            for entry in fs::read_dir(&digits).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    fs::remove_file(path).unwrap();
                }
            }
        }
        assert_eq!(good(&[&start[..], &["--out", &out]].concat())[0], want);
        assert_eq!(lines(&good(&probe)[0]), probed);
    }
}

#[test]
fn a_file_with_several_arrays_and_others() {
    let folder = Folder::new("cli-data");
    write_npy(folder.path("one.npy"), &[2, 4], &[1i64, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    let one = fs::read(folder.path("one.npy")).unwrap();
    let two = folder.path("two.npy");
    fs::write(&two, [&one[..], &one].concat()).unwrap();
    let [text, stderr] = good(&["inspect", &two]);
    assert!(text.starts_with("NumPy file of i64: 2 x 4\n"), "{text}");
    assert!(stderr.starts_with("note: ") && stderr.contains("the first one is taken"), "{stderr}");
    good(&["convert", &two, &folder.path("again.npy")]);
    assert_eq!(fs::read(folder.path("again.npy")).unwrap(), one);
    let problem = refused(&["convert", &folder.path("one.npy"), &folder.path("a.idx")]);
    assert!(problem.ends_with("a.idx: IDX has no elements of type i64"), "{problem}");
    let page = folder.path("page.gz");
    fs::write(&page, "<!DOCTYPE html><html>404</html>").unwrap();
    for args in [&["inspect", &page][..], &["train", "--samples", &page]] {
        assert!(refused(args).contains("this looks like an HTML page"), "{args:?}");
    }
}
