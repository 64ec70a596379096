//! Targets: data that a model predicts from its samples.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::folder::Folder;
use crate::usual;
use sae::data::write_npy;

fn run(folder: &Folder, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
    command.env("XDG_CACHE_HOME", "/nonexistent").env("HOME", "/nonexistent");
    command.current_dir(&folder.0).env_remove("SAE_ISA").stdin(Stdio::null());
    command.args(args).args(usual(args)).output().unwrap()
}

fn good(folder: &Folder, args: &[&str]) -> [String; 2] {
    let Output { status, stdout, stderr } = run(folder, args);
    let texts = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(status.success(), "{args:?}: {}", texts[1]);
    texts
}

/// Standard error of a run that must fail on invalid input.
fn refused(folder: &Folder, args: &[&str]) -> String {
    let output = run(folder, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
    assert!(stderr.starts_with("error: ") && !stderr.contains("panicked"), "{args:?}: {stderr}");
    stderr
}

/// x.npy `[210, 4]`, and y.npy `[210, 3]`, a linear map of it in two files: y/0.npy and y/1.npy.
fn data(name: &str) -> Folder {
    let folder = Folder::new(name);
    let x = |at: usize| (at * 79 % 211) as f32 / 211.0;
    let inputs: Vec<f32> = (0..210 * 4).map(x).collect();
    let targets = inputs.chunks(4).flat_map(|x| [x[0] - x[1], 2.0 * x[2] + 5.0, x[3] + x[0]]);
    let targets: Vec<f32> = targets.collect();
    write_npy(folder.path("x.npy"), &[210, 4], &inputs).unwrap();
    write_npy(folder.path("y.npy"), &[210, 3], &targets).unwrap();
    write_npy(folder.path("short.npy"), &[200, 3], &targets[..600]).unwrap();
    write_npy(folder.path("wide.npy"), &[210, 4], &inputs).unwrap();
    fs::create_dir(folder.path("y")).unwrap();
    write_npy(folder.path("y/0.npy"), &[100, 3], &targets[..300]).unwrap();
    write_npy(folder.path("y/1.npy"), &[110, 3], &targets[300..]).unwrap();
    folder
}

const TRAIN: [&str; 14] = [
    "train",
    "--samples",
    "x.npy",
    "--layers",
    "4,6,3",
    "--activation",
    "relu",
    "--init",
    "he",
    "--beta",
    "0",
    "--lambda",
    "0",
    "--skip=true",
];

fn train(more: &[&'static str]) -> Vec<&'static str> {
    [&TRAIN[..], more].concat()
}

#[test]
fn a_transcoder_is_trained_and_evaluated() {
    let folder = data("cli-targets");
    let shape = ["--targets", "y", "--steps", "1500", "--out", "m.safetensors"];
    let [text, stderr] = good(&folder, &train(&shape));
    assert!(stderr.contains("target-scaling: as-is, numbers stay as they are"), "{stderr}");
    assert!(text.contains("test objective"), "{text}");
    // The same with one file, and with a checkpoint.
    let more = ["--targets", "y.npy", "--steps", "700", "--out", "n.safetensors", "--quiet"];
    let kept = ["--checkpoint", "c", "--resume"];
    good(&folder, &[&train(&more)[..], &kept, &["--preset", "article"]].concat());
    let more = ["--targets", "y.npy", "--steps", "1500", "--out", "n.safetensors", "--quiet"];
    good(&folder, &[&train(&more)[..], &kept].concat());
    let bytes = |name: &str| fs::read(folder.path(name)).unwrap();
    assert!(bytes("m.safetensors") == bytes("n.safetensors"));

    let explained = |args: &[&str]| {
        let [json, _] = good(&folder, &[&["eval", "m.safetensors", "--json"], args].concat());
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        (value["samples"].as_u64().unwrap(), value["explained_variance"].as_f64().unwrap())
    };
    // Its own held-out samples and their targets.
    let (samples, own) = explained(&[]);
    assert!(samples == 30 && own > 0.9999, "{own}");
    let (samples, all) = explained(&["--samples", "x.npy", "--targets", "y.npy"]);
    assert!(samples == 210 && all > 0.9999, "{all}");
    let wrong = ["--samples", "x.npy", "--targets", "short.npy"];
    let problem = refused(&folder, &[&["eval", "m.safetensors"], &wrong[..]].concat());
    assert!(problem.contains("short.npy: 200 targets for the 210 samples of x.npy"), "{problem}");
    let wrong = ["--samples", "x.npy", "--targets", "wide.npy"];
    let problem = refused(&folder, &[&["eval", "m.safetensors"], &wrong[..]].concat());
    assert!(problem.contains("predicts targets of 3 features, and these have 4"), "{problem}");
    let problem = refused(&folder, &["eval", "m.safetensors", "--samples", "x.npy"]);
    assert!(problem.contains("predicts targets, and those of the samples"), "{problem}");
    let [text, _] = good(&folder, &["compare", "m.safetensors", "n.safetensors"]);
    assert!(text.contains("4-6-3"), "{text}");
    good(&folder, &["report", "m.safetensors"]);
    let [text, _] = good(&folder, &["inspect", "m.safetensors"]);
    assert!(text.contains("targets of their own, scaling as-is\nskip connection: 12"), "{text}");
    // No targets are needed for codes.
    good(&folder, &["encode", "m.safetensors", "--samples", "x.npy", "--out", "codes.npy"]);
    let args = ["decode", "m.safetensors", "codes.npy", "--out", "d.npy"];
    assert!(refused(&folder, &args).contains("a linear map of the input"));
    good(&folder, &["convert", "m.safetensors", "m.onnx"]);
    let args = ["convert", "m.safetensors", "d.onnx", "--part", "decoder"];
    assert!(refused(&folder, &args).contains("a decoder's only input is the code"));
    // Other targets than those of the training.
    fs::copy(folder.path("y/0.npy"), folder.path("zero")).unwrap();
    fs::remove_file(folder.path("y/1.npy")).unwrap();
    assert!(refused(&folder, &["eval", "m.safetensors"]).contains("y/1.npy"));
    write_npy(folder.path("y/1.npy"), &[110, 3], &[1.0; 330]).unwrap();
    let problem = refused(&folder, &["eval", "m.safetensors"]);
    assert!(problem.contains("it was trained on 210 samples, and now "), "{problem}");
}

#[test]
fn files_of_test_samples_have_targets_too() {
    let folder = data("cli-test-targets");
    let both = ["--targets", "y.npy", "--test", "wide.npy", "--steps", "20", "--quiet"];
    let problem = refused(&folder, &train(&both));
    assert!(problem.contains("test-targets: the training samples have targets"), "{problem}");
    let all = ["--test-targets", "y.npy", "--target-scaling", "mean-deviation:feature"];
    good(&folder, &[&train(&both)[..], &all, &["--out", "sae.safetensors"]].concat());
    let [text, _] = good(&folder, &["inspect", "sae.safetensors"]);
    assert!(text.contains("scaling mean-deviation:feature, 3 features"), "{text}");
    let [json, _] = good(&folder, &["eval", "sae.safetensors", "--json"]);
    assert!(json.contains("\"samples\":210"), "{json}");
    let all = ["--test-targets", "wide.npy"];
    let problem = refused(&folder, &[&train(&both)[..], &all].concat());
    assert!(problem.contains("the test targets have 4 features; expected 3"), "{problem}");
}

#[test]
fn what_does_not_fit_targets_is_refused() {
    let folder = data("cli-refused-targets");
    for (more, sentence) in [
        (&["--targets", "short.npy"][..], "200 targets for the 210 samples of x.npy"),
        (&[], "layers: expected a last size equal to the first, got 4 and 3"),
        (&["--targets", "y.npy", "--output-activation", "tanh"], "skip: the skip connection adds"),
        (&["--targets", "y.npy", "--pretrain", "3"], "pretrain: layers are pretrained to"),
        (&["--targets", "y.npy", "--out", "y.npy"], "this is a file that the command reads"),
        (&["--targets", "none.npy"], "none.npy"),
    ] {
        let problem = refused(&folder, &[&train(&["--steps", "5", "--quiet"])[..], more].concat());
        assert!(problem.contains(sentence), "{problem}");
    }
    let plain = ["train", "--samples", "x.npy", "--layers", "4,2,4", "--steps", "5", "--quiet"];
    good(&folder, &[&plain[..], &["--out", "sae.safetensors"]].concat());
    let args = ["eval", "sae.safetensors", "--samples", "x.npy", "--targets", "y.npy"];
    let problem = refused(&folder, &args);
    assert!(problem.contains("the model reconstructs its samples"), "{problem}");
}
