//! Dictionaries of other libraries: `sae convert`, `sae train --from`, and commands that take models.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use sae::data::write_npy;
use serde_json::Value;

use crate::folder::Folder;
use crate::usual;

fn run(folder: &Folder, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
    command.env("XDG_CACHE_HOME", "/nonexistent").env("HOME", "/nonexistent");
    command.current_dir(&folder.0).env_remove("SAE_ISA").stdin(Stdio::null());
    let words: Vec<&str> = arguments.split_whitespace().collect();
    command.args(&words).args(usual(&words)).output().unwrap()
}

fn good(folder: &Folder, arguments: &str) -> String {
    let Output { status, stdout, stderr } = run(folder, arguments);
    assert!(status.success(), "{arguments}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn json(folder: &Folder, arguments: &str) -> Value {
    serde_json::from_str(&good(folder, &format!("{arguments} --json"))).unwrap()
}

/// Standard error of a run that must fail on invalid input and make no new file.
fn refused(folder: &Folder, arguments: &str) -> String {
    let before = folder.names();
    let output = run(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_eq!(before, folder.names(), "{arguments}");
    stderr
}

/// 300 samples, and a top-k and a JumpReLU network, the second on scaled data.
fn trained(name: &str) -> Folder {
    let folder = Folder::new(name);
    let number = |i: usize| (i % 211 * 79 % 211) as f32 / 211.0;
    let values: Vec<f32> = (0..300 * 8).map(|i| number(i) - 0.3).collect();
    write_npy(folder.path("x.npy"), &[300, 8], &values).unwrap();
    let preset = "--preset plain --activation relu --initialization he --quiet --lr 1e-3";
    let train = format!("train --samples x.npy --layers 8,40,8 --steps 20 {preset}");
    let top_k = "--code top-k:3 --scaling as-is --out top-k.safetensors";
    good(&folder, &format!("{train} {top_k}"));
    let jump = "--code jump-relu:0.01 --scaling mean-deviation --out jump.safetensors";
    good(&folder, &format!("{train} {jump}"));
    folder
}

/// The recorded dictionaries of other libraries.
fn recorded(name: &str) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("../tests/recorded/exchange").join(name).to_str().unwrap().to_owned()
}

#[test]
fn models_go_to_other_libraries_and_back() {
    let folder = trained("exchange-convert");
    for (model, format, out) in [
        ("top-k", "saelens", "a"),
        ("top-k", "sparsify", "b"),
        ("jump", "saelens", "c"),
        ("jump", "gemma-scope", "params.npz"),
    ] {
        let told = json(&folder, &format!("convert {model}.safetensors {out} --to {format}"));
        assert_eq!((&told["kind"], &told["units"]), (&format.into(), &40.into()));
        good(&folder, &format!("convert {out} {out}.safetensors"));
        let (codes, again) = (format!("{out}.csv"), format!("{out}-again.csv"));
        good(&folder, &format!("encode {out} --samples x.npy --out {codes}"));
        good(&folder, &format!("encode {out}.safetensors --samples x.npy --out {again}"));
        assert!(fs::read(folder.path(&codes)).unwrap() == fs::read(folder.path(&again)).unwrap());
        let l0 =
            |model: &str| json(&folder, &format!("eval {model} --samples x.npy"))["test"].clone();
        assert_eq!(l0(out), l0(&format!("{out}.safetensors")));
        assert!(good(&folder, &format!("inspect {out}")).contains("8-40-8"), "{out}");
    }
    // By the name alone; and what SAELens keeps.
    good(&folder, "convert jump.safetensors other.npz");
    let names = "--model-name gpt2 --hook-name blocks.1.hook_mlp_out";
    good(&folder, &format!("convert top-k.safetensors d --to saelens {names}"));
    let config = fs::read_to_string(folder.path("d/cfg.json")).unwrap();
    assert!(config.contains(r#""hook_name":"blocks.1.hook_mlp_out""#), "{config}");
    assert!(good(&folder, "convert d d.onnx").contains("reconstruction [samples, 8]"));
    for (arguments, sentence) in [
        ("top-k.safetensors d --to saelens", "expected a new or empty folder, but it has files"),
        ("top-k.safetensors e --to gemma-scope", "Gemma Scope has thresholds"),
        ("jump.safetensors e --to sparsify", "sparsify has top-k codes alone"),
        ("jump.safetensors e", "hint: --to saelens and --to sparsify write folders"),
        ("d e", "a model can only be converted to"),
        ("d e --to sparsify --hook-name x", "hook-name: e has no place for it"),
    ] {
        let problem = refused(&folder, &format!("convert {arguments}"));
        assert!(problem.contains(sentence), "{arguments}: {problem}");
    }
    let problem = refused(&folder, &format!("eval {} --samples x.npy", recorded("gemma-scope")));
    assert!(problem.contains("the model takes samples of 6 features"), "{problem}");
    let pickle = recorded("dictionary-learning-AutoEncoder");
    let problem = refused(&folder, &format!("convert {pickle} e.safetensors"));
    assert!(problem.contains("sae.import_dictionary"), "{problem}");
}

#[test]
fn transcoders_are_evaluated_with_their_targets() {
    let folder = Folder::new("exchange-transcoders");
    for name in ["saelens-skip_transcoder", "gemma-scope-transcoder"] {
        let from = recorded(name);
        let told = json(&folder, &format!("convert {from} {name}.safetensors"));
        assert_eq!((&told["features"], &told["outputs"]), (&6.into(), &4.into()));
        fs::copy(format!("{from}/expected.safetensors"), folder.path("x.safetensors")).unwrap();
        for model in [from, format!("{name}.safetensors")] {
            let eval = format!("eval {model} --samples x.safetensors --tensor samples");
            let problem = refused(&folder, &eval);
            assert!(problem.contains("the model predicts targets, and those of the"), "{problem}");
        }
    }
    let from = recorded("saelens-skip_transcoder");
    let names = "--hook-name ln2 --hook-name-out mlp_out";
    good(&folder, &format!("convert {from} a --to saelens {names}"));
    let config = fs::read_to_string(folder.path("a/cfg.json")).unwrap();
    assert!(config.contains(r#""hook_name_out":"mlp_out""#), "{config}");
    for (arguments, sentence) in [
        ("--to sparsify", "sparsify has top-k codes alone"),
        ("--to gemma-scope", "Gemma Scope has no skip connection (--skip)"),
        ("--to sparsify --hook-name-out x", "hook-name-out: b has no place for it"),
    ] {
        let problem = refused(&folder, &format!("convert {from} b {arguments}"));
        assert!(problem.contains(sentence), "{arguments}: {problem}");
    }
    let wrong = format!("convert {} b --to saelens {names}", recorded("saelens-standard"));
    assert!(refused(&folder, &wrong).contains("hook_name_out is for those of a transcoder"));
}

#[test]
fn a_training_begins_with_a_model() {
    let folder = trained("exchange-from");
    let loss = |model: &str| {
        let told = json(&folder, &format!("eval {model} --samples x.npy"));
        told["loss"].as_f64().unwrap_or_else(|| panic!("{told}"))
    };
    let train = "train --samples x.npy --holdout 0 --quiet --steps 200 --out more.safetensors";
    // Our own models with their scaling, and a dictionary.
    good(&folder, "convert jump.safetensors dictionary --to saelens");
    for from in ["top-k.safetensors", "jump.safetensors", "dictionary"] {
        let told = json(&folder, &format!("{train} --from {from} --lr 1e-3"));
        assert_eq!(told["steps"], 200);
        let (before, after) = (loss(from), loss("more.safetensors"));
        assert!(after < before, "{from}: {before} {after}");
    }
    // No step: the same parameters. A preset's settings with the model's architecture.
    good(&folder, "train --samples x.npy --from dictionary --steps 0 --out same.safetensors");
    assert_eq!(loss("same.safetensors"), loss("dictionary"));
    let told =
        json(&folder, &format!("{train} --from top-k.safetensors --preset plain --batch 30"));
    assert_eq!(told["settings"]["code"], "top-k:3");
    assert_eq!(
        (&told["settings"]["learning_rate"], &told["settings"]["batch"]),
        (&0.01.into(), &30.into())
    );
    // Resumed, it is the same training.
    let run = format!("{train} --from dictionary --checkpoint run.ckpt --resume");
    good(&folder, &run.replace("--steps 200", "--steps 90"));
    good(&folder, &run);
    let resumed = fs::read(folder.path("more.safetensors")).unwrap();
    good(&folder, &format!("{train} --from dictionary"));
    assert!(resumed == fs::read(folder.path("more.safetensors")).unwrap());
    for (arguments, sentence) in [
        (
            "--from top-k.safetensors --layers 8,20,8",
            "layers: expected 8,40,8, which the network has",
        ),
        ("--from top-k.safetensors --code dense", "code: expected top-k:3, which the network has"),
        ("--from top-k.safetensors --scaling min-max", "cannot be used with"),
        ("--from nothing", "cannot open nothing"),
    ] {
        let problem = refused(&folder, &format!("{train} {arguments}"));
        assert!(problem.contains(sentence), "{arguments}: {problem}");
    }
}
