//! Training, evaluation and the other commands, and how they refuse misuse.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use crate::folder::Folder;
use crate::usual;

fn sae() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
    // No test may read or write the user's own drawn digits.
    command.env("XDG_CACHE_HOME", "/nonexistent").env("HOME", "/nonexistent");
    command.env_remove("SAE_ISA").env_remove("SAE_NUM_THREADS").env_remove("OMP_NUM_THREADS");
    command.stdin(Stdio::null());
    command
}

pub fn run(args: &[&str]) -> Output {
    sae().args(args).args(usual(args)).output().unwrap()
}

/// Standard output of a run that must succeed.
pub fn good(args: &[&str]) -> String {
    let output = run(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {:?}\n{stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error of a run that must fail on invalid input.
pub fn refused(args: &[&str]) -> String {
    let output = run(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
    assert!(stderr.starts_with("error: "), "{args:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    assert!(stderr.lines().skip(1).all(|line| line.starts_with("hint: ")), "{args:?}: {stderr}");
    stderr
}

/// 600 and 100 drawn digits, made once.
pub fn digits() -> String {
    static DIGITS: OnceLock<String> = OnceLock::new();
    let make = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("digits");
        let folder = folder.to_str().unwrap().to_owned();
        good(&["make-digits", &folder, "--train", "600", "--test", "100", "--seed", "3"]);
        folder
    };
    DIGITS.get_or_init(make).clone()
}

fn train<'a>(digits: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "--data", digits, "--out", out];
    if !more.contains(&"--layers") {
        args.extend(["--layers", "784,48,12,48,784"]);
    }
    if !more.contains(&"--steps") {
        args.extend(["--steps", "200"]);
    }
    args.extend(more);
    args
}

/// The number after `before` in the line that contains it.
fn number(text: &str, before: &str) -> f64 {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no '{before}' in {text}")).1;
    let end = rest.find(|c: char| !"0123456789.e-".contains(c)).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|_| panic!("no number after '{before}' in {text}"))
}

#[test]
fn training_reports_saves_and_draws() {
    let (folder, digits) = (Folder::new("cli-train"), digits());
    let model = folder.path("m.safetensors");
    let text = good(&train(&digits, &model, &[]));
    let first = number(&text, "step 100  objective ");
    let second = number(&text, "step 200  objective ");
    assert!(second < first && second > 0.0, "{text}");
    assert!(text.contains("mean activations 0."), "{text}");
    let objective = number(&text, "test objective: ");
    let mse = number(&text, "(MSE ");
    let sparsity = number(&text, "sparsity ") * number(&text, " x ");
    let decay = number(&text, "weight decay ") * 5e-6;
    assert!((mse + sparsity + decay - objective).abs() < 1e-6, "{text}");
    assert!((0.0..1.0).contains(&number(&text, "layer 1 (48 units): ")), "{text}");
    assert!((0.0..1.0).contains(&number(&text, "layer 2 (12 units): ")), "{text}");
    assert!(!text.contains("layer 3"), "{text}");
    assert_eq!(folder.names(), ["m.data.json", "m.history.csv", "m.png", "m.safetensors"]);

    let decoder = png::Decoder::new(BufReader::new(fs::File::open(folder.path("m.png")).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.color_type, png::ColorType::Grayscale);
    assert_eq!((info.width, info.height), (604, 252));
    // Pixels of an original in the first line of the picture equal those of the file.
    let images = fs::read(format!("{digits}/t10k-images-idx3-ubyte")).unwrap();
    for (x, y) in [(14, 14), (10, 20)] {
        let shown = pixels[(4 + 2 * y) * info.width as usize + 4 + 60 + 2 * x];
        assert_eq!(shown, images[16 + 784 + y * 28 + x]);
    }

    // The saved model is the one that was evaluated.
    let again = good(&["eval", &model, "--data", &digits]);
    assert_eq!(number(&again, "objective: "), objective);
    let value = good(&["eval", &model, "--data", &digits, "--json"]);
    let value: serde_json::Value = serde_json::from_str(&value).unwrap();
    assert!((value["objective"].as_f64().unwrap() - objective).abs() < 1e-7);
    assert_eq!(value["samples"], 100);
    assert_eq!(value["hidden_layers"][1]["units"], 12);
    let loaded = sae::Autoencoder::load(&model).unwrap();
    assert_eq!(loaded.settings().layers, [784, 48, 12, 48, 784]);
}

#[test]
fn threads_and_mapping_change_no_byte() {
    let (folder, digits) = (Folder::new("cli-threads"), digits());
    let mut models = Vec::new();
    for (name, more) in [
        ("one", &["--threads", "1"][..]),
        ("two", &["--threads", "2"]),
        ("copy", &["--copy", "--quiet"]),
        ("other", &["--seed", "2"]),
    ] {
        let model = folder.path(&format!("{name}.safetensors"));
        good(&train(&digits, &model, &[&["--steps", "60"], more].concat()));
        models.push(fs::read(model).unwrap());
    }
    assert!(models[0] == models[1]);
    assert!(models[0] == models[2]);
    assert!(models[0] != models[3]);
}

#[test]
fn json_is_one_object() {
    let (folder, digits) = (Folder::new("cli-json"), digits());
    let model = folder.path("m.safetensors");
    let text = good(&train(&digits, &model, &["--steps", "3", "--json", "--preset", "normal"]));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["steps"], 3);
    assert_eq!(value["test"]["objective"], value["test"]["loss"]);
    assert_eq!(value["settings"]["beta"], 0.0);
    assert_eq!(value["model"], model.as_str());
}

/// A big-endian IDX file.
fn idx(kind: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

#[test]
fn bad_files_get_one_sentence() {
    let folder = Folder::new("cli-bad");
    let compressed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        let noise: Vec<u8> =
            (0..400u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).collect();
        std::io::Write::write_all(&mut encoder, &idx(8, &[4, 10, 10], &noise)).unwrap();
        encoder.finish().unwrap()
    };
    for (name, bytes, sentence) in [
        ("empty", vec![], "the file is empty"),
        ("three", vec![0, 0, 8], "ends after 3 bytes"),
        ("magic", b"\x01\x02\x08\x01\0\0\0\0".to_vec(), "begins with 00 00"),
        ("type", idx(0x0a, &[1, 2], &[0; 2]), "0x0A"),
        ("rank", idx(8, &[], &[]), "rank 0"),
        ("zero", idx(8, &[3, 0], &[]), "dimension 2 of 2 is 0"),
        ("product", idx(8, &[u32::MAX; 3], &[]), "more than memory can address"),
        ("large", idx(8, &[u32::MAX, 7], &[]), "bytes with the header, the file has 12"),
        ("short", idx(8, &[2, 2, 2], &[0; 7]), "the file has 23"),
        ("long", idx(8, &[2, 2, 2], &[0; 9]), "the file has 25"),
        ("cut.gz", compressed[..compressed.len() - 20].to_vec(), "cut off"),
    ] {
        let path = folder.path(name);
        fs::write(&path, bytes).unwrap();
        for args in [
            &["train", "--images", &path, "--out", &folder.path("m.safetensors")][..],
            &["train", "--copy", "--images", &path, "--out", &folder.path("m.safetensors")],
            &["inspect", &path],
        ] {
            let problem = refused(args);
            assert!(problem.contains(sentence), "{problem}");
            assert!(problem.contains(name), "{problem}");
            assert_eq!(problem.lines().count(), 1, "{problem}");
        }
    }
    for (path, sentence) in [(folder.path(""), "folder"), (folder.path("missing"), "cannot open")] {
        for args in [&["train", "--images", &path][..], &["inspect", &path], &["eval", &path]] {
            let problem = refused(args);
            assert!(problem.contains(sentence), "{problem}");
            // The second is a hint.
            assert!(problem.lines().count() <= 2, "{problem}");
        }
    }
    assert!(refused(&["train", "--data", &folder.path("")]).contains("no train-images-idx3-ubyte"));
    assert!(!folder.names().iter().any(|name| name.contains("safetensors")));
}

#[test]
fn bad_settings_get_one_sentence() {
    let (folder, digits) = (Folder::new("cli-settings"), digits());
    let model = folder.path("m.safetensors");
    for (more, sentence) in [
        (&["--threads", "0"][..], "threads"),
        (&["--layers", "784,30,100"], "layers"),
        (&["--layers", "784,784"], "layers"),
        (&["--layers", "100,30,100"], "784 features"),
        (&["--layers", "784,16777216,16777216,16777216,784"], "GB of memory"),
        (&["--batch", "0"], "batch"),
        (&["--rho", "1"], "rho"),
        (&["--lr", "NaN"], "learning-rate"),
        (&["--activation", "sine"], "leaky-relu"),
        (&["--activation", "relu"], "L1"),
        (&["--holdout", "10"], "holdout: this is for data without test samples"),
        (&["--picture", &model], "the model and the picture need different names"),
        (&["--checkpoint", &model], "the model and the checkpoint need different names"),
        (&["--history", &model], "the model and the history need different names"),
    ] {
        let problem = refused(&train(&digits, &model, more));
        assert!(problem.contains(sentence), "{problem}");
    }
    let labels = format!("{digits}/train-labels-idx1-ubyte");
    assert!(
        refused(&["train", "--images", &labels])
            .contains("hint: if these are labels, give the file")
    );
    let images = format!("{digits}/train-images-idx3-ubyte");
    assert!(refused(&["train", "--data", &images]).contains("hint: --samples takes a file"));
    let nowhere = format!("{images}/where.safetensors");
    assert!(refused(&train(&digits, &nowhere, &[])).contains("cannot create"));
    assert_eq!(run(&["train", "--steps", "many"]).status.code(), Some(2));
    let output = sae()
        .args(train(&digits, &model, &["--preset", "article"]))
        .env("SAE_ISA", "foo")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.starts_with("error: SAE_ISA: ") && stderr.contains("portable"), "{stderr}");
    assert!(stderr.contains("got 'foo'"), "{stderr}");
    assert!(folder.names().is_empty());
}

#[test]
fn damaged_models_are_refused() {
    let (folder, digits) = (Folder::new("cli-models"), digits());
    let model = folder.path("m.safetensors");
    good(&train(&digits, &model, &["--steps", "0"]));
    let bytes = fs::read(&model).unwrap();
    let edited = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bytes = bytes.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let idx = fs::read(format!("{digits}/t10k-images-idx3-ubyte")).unwrap();
    for (damaged, sentence) in [
        (bytes[..bytes.len() - 1].to_vec(), "not a whole"),
        (bytes[..100].to_vec(), "the header takes"),
        (vec![], "empty"),
        (idx, "looks like an IDX file"),
        (edited(r#"version\":3"#, r#"version\":7"#), "version 7"),
        (edited("[784,48,12,48,784]", "[784,48,21,48,784]"), "[21, 48] was expected"),
        (edited(r#""shape":[48,784]"#, r#""shape":[49,784]"#), "not a whole"),
        (edited(r#""shape":[48,784]"#, r#""shape":[784,48]"#), "[48, 784] was expected"),
    ] {
        let path = folder.path("damaged.safetensors");
        fs::write(&path, damaged).unwrap();
        let png = folder.path("x.png");
        for args in [
            &["eval", &path, "--data", &digits][..],
            &["features", &path, "--out", &png],
            &["inspect", &path],
        ] {
            let problem = refused(args);
            assert!(problem.contains(sentence), "{problem}");
            assert_eq!(problem.lines().count(), 1, "{problem}");
        }
    }
}

#[test]
fn the_other_subcommands_do_their_work() {
    let (folder, digits) = (Folder::new("cli-others"), digits());
    let model = folder.path("m.safetensors");
    good(&train(&digits, &model, &["--steps", "20"]));
    for (command, name) in [("features", "f.png"), ("reconstruct", "r.png")] {
        let png = folder.path(name);
        let mut args = vec![command, &model, "--out", &png];
        if command == "reconstruct" {
            args.extend(["--data", &digits]);
        }
        good(&args);
        assert!(fs::read(&png).unwrap().starts_with(b"\x89PNG"));
    }
    let images = format!("{digits}/t10k-images-idx3-ubyte");
    let text = good(&["encode", &model, "--images", &images]);
    assert_eq!(text.lines().count(), 100);
    let csv = folder.path("c.csv");
    good(&["encode", &model, "--images", &images, "--out", &csv]);
    assert_eq!(fs::read_to_string(csv).unwrap(), text);
    let codes = folder.path("c.idx");
    good(&["encode", &model, "--images", &images, "--out", &codes]);
    let idx = sae::data::Array::open(&codes).unwrap();
    assert_eq!(idx.dims(), [100, 12]);
    let mut row = [0.0; 12];
    idx.read_row(99, &mut row);
    let shown = text.lines().last().unwrap().split(',').map(|v| v.parse::<f32>().unwrap());
    assert_eq!(shown.collect::<Vec<_>>(), row);

    assert!(good(&["inspect", &images]).contains("100 x 28 x 28"));
    assert!(good(&["inspect", &model]).contains("model 784-48-12-48-784"));
    // Numbers of another type, no images, no test file; then the model's own output as input.
    let other = folder.path("o.safetensors");
    let whole = folder.path("whole.npy");
    sae::data::write_npy(&whole, &[100, 3], &[7i16; 300]).unwrap();
    assert!(
        refused(&["train", "--images", &whole, "--out", &other]).contains("hint: --scaling NAME")
    );
    let args = ["train", "--images", &codes, "--scaling", "mean-deviation", "--steps", "10"];
    let text = good(&[&args[..], &["--out", &other]].concat());
    assert!(text.contains("no picture") && text.contains("test objective"), "{text}");
    assert!(refused(&["eval", &model, "--images", &codes]).contains("have 12"));
    assert!(refused(&["eval", &other, "--images", &images]).contains("have 784"));
    good(&["eval", &other, "--images", &codes]);
    assert!(refused(&["encode", &model, "--images", &images, "--out", "x.txt"]).contains(".csv"));
}

#[test]
fn making_digits_again_gives_the_same_bytes() {
    let folder = Folder::new("cli-digits");
    let again = folder.path("again");
    good(&["make-digits", &again, "--train", "600", "--test", "100", "--seed", "3"]);
    let digits = digits();
    for name in ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
        assert!(
            fs::read(format!("{again}/{name}")).unwrap()
                == fs::read(format!("{digits}/{name}")).unwrap()
        );
    }
    assert_eq!(fs::read_dir(again).unwrap().count(), 4);
}

#[test]
fn help_is_there() {
    for command in [
        "train",
        "sweep",
        "presets",
        "eval",
        "reconstruct",
        "features",
        "encode",
        "inspect",
        "make-digits",
        "cut-patches",
    ] {
        let text = good(&[command, "--help"]);
        assert!(text.contains("Example") && text.contains(&format!("sae {command}")), "{text}");
    }
    assert_eq!(run(&[]).status.code(), Some(2));
    assert!(good(&["--version"]).starts_with("sae "));
}

/// A long training, once it has written its first line of progress.
#[cfg(unix)]
fn started(args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = sae()
        .args(args)
        .arg("--overwrite")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("step ") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "ended before a step");
    }
    (child, out)
}

#[cfg(unix)]
#[test]
fn ctrl_c_and_sigterm_save_the_model() {
    let (folder, digits) = (Folder::new("cli-interrupt"), digits());
    let model = folder.path("m.safetensors");
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let _ = fs::remove_file(&model);
        let (child, out) = started(&train(&digits, &model, &["--steps", "100000000"]));
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let text: Vec<_> = out.lines().map(|line| line.unwrap()).collect();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{text:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.lines().all(|line| line.starts_with("preset images: 3 instead")), "{said}");
        assert!(text.iter().any(|line| line.starts_with("stopped after step ")), "{text:?}");
        assert!(text.iter().any(|line| line.starts_with("test objective")), "{text:?}");
        let last = text.last().unwrap();
        assert!(last.starts_with(&format!("no checkpoint: sae train --from {model} ")), "{last}");
        assert!(text.iter().any(|line| line.contains("m.data.json (where the data are")));
        good(&["eval", &model, "--data", &digits]);
        assert_eq!(folder.names(), ["m.data.json", "m.history.csv", "m.png", "m.safetensors"]);
        fs::remove_file(folder.path("m.png")).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_loses_no_model() {
    let (folder, digits) = (Folder::new("cli-pipe"), digits());
    let model = folder.path("m.safetensors");
    let (child, out) = started(&train(&digits, &model, &["--steps", "400"]));
    drop(out);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said.matches("the output was closed; the training goes on").count(), 1, "{said}");
    let log = good(&["eval", &model, "--data", &digits]);
    assert!(log.contains("\nobjective: "), "{log}");
    let history = fs::read_to_string(folder.path("m.history.csv")).unwrap();
    assert!(history.lines().last().unwrap().starts_with("400,"), "{history}");
}

#[test]
fn patches_and_probes() {
    let (folder, digits) = (Folder::new("cli-patches"), digits());
    let (patches, model) = (folder.path("patches.idx"), folder.path("m.safetensors"));
    good(&["cut-patches", &patches, "--data", &digits, "--count", "500"]);
    let bytes = fs::read(&patches).unwrap();
    assert_eq!(bytes.len(), 16 + 500 * 64);
    assert_eq!(&bytes[..16], &[0, 0, 8, 3, 0, 0, 1, 244, 0, 0, 0, 8, 0, 0, 0, 8]);
    let lbfgs =
        "--layers 64,25,64 --rho 0.01 --beta 0.09 --lambda 3e-5 --optimizer l-bfgs --steps 40";
    let mut args = vec!["train", "--images", &patches, "--out", &model];
    args.extend(lbfgs.split(' '));
    let text = good(&args);
    assert!(text.contains("explained variance: 0."), "{text}");
    assert!(
        refused(&["cut-patches", &patches, "--data", &digits, "--side", "29"]).contains("side")
    );
    let flat = refused(&["cut-patches", &patches, "--data", &digits, "--contrast", "0.9"]);
    assert!(flat.contains("contrast"), "{flat}");

    good(&train(&digits, &model, &["--preset", "normal", "--steps", "900"]));
    let text = good(&["eval", &model, "--data", &digits, "--probe"]);
    // Chance gives 10 %.
    assert!(number(&text, "predicted from codes: ") > 30.0, "{text}");
    assert!(
        refused(&["eval", &model, "--images", &patches, "--probe"])
            .contains("takes samples of 784 features")
    );
}

/// A checkpoint contains the units that were revived after its step.
#[test]
fn revived_and_resumed_is_revived() {
    let (folder, digits) = (Folder::new("cli-revived"), digits());
    let (one, two) = (folder.path("one.safetensors"), folder.path("two.safetensors"));
    let (run_one, run_two) = (folder.path("one.ckpt"), folder.path("two.ckpt"));
    let options = "--beta 0 --activation relu --code top-k:2 --revive 50 --steps 120 \
                 --checkpoint-every 50 --keep 3 --resume --checkpoint";
    let options: Vec<&str> = options.split_whitespace().collect();
    good(&train(&digits, &one, &[&options[..], &[&run_one]].concat()));
    // The checkpoint before the last one, which is of step 120.
    fs::copy(format!("{run_one}.1"), &run_two).unwrap();
    good(&train(&digits, &two, &[&options[..], &[&run_two]].concat()));
    assert!(fs::read(one).unwrap() == fs::read(two).unwrap());
}

/// Trains for a moment with many combinations of options.
#[test]
fn the_toolbox_has_words() {
    let (folder, digits) = (Folder::new("cli-toolbox"), digits());
    let model = folder.path("m.safetensors");
    for options in [
        "--code top-k:4 --beta 0 --revive 50",
        "--code batch-top-k:4 --beta 0 --unit-norm",
        "--activation relu --init he --beta 0 --code jump-relu:1e-4:0.3 --target l0:5",
        "--beta 0 --l1 1e-4 --activation tanh --tied --optimizer momentum:0.9 --clip 1",
        "--penalty 1:l1=1e-4 --penalty 2:rho=0.1:beta=1e-4 --loss cross-entropy",
        "--activations sigmoid,linear,relu --beta 0 --corrupt masking:0.3 --schedule cosine",
        "--pretrain 50 --rho-momentum 0.9 --optimizer adamw:0.01 --warm-up 20 --beta1 0.8 --epsilon 1e-6",
        "--patience 1 --evaluate-every 40 --lr 0.5",
    ] {
        let options: Vec<&str> = options.split(' ').collect();
        let mut options = options.clone();
        options.extend(["--steps", "120"]);
        let text = good(&train(&digits, &model, &options));
        assert!(text.contains("test objective: "), "{options:?}: {text}");
        good(&["eval", &model, "--data", &digits]);
    }
    for (options, sentence) in [
        ("--code top-k:13", "expected 1 to 12 active units"),
        ("--tied --layers 784,48,12,40,784", "tied: "),
        ("--l1=-1", "l1: expected a number from 0 to 1e9, got -1"),
        ("--optimizer l-bfgs --checkpoint c", "L-BFGS"),
    ] {
        let options: Vec<&str> = options.split(' ').collect();
        let problem = refused(&train(&digits, &model, &options));
        assert!(problem.contains(sentence), "{options:?}: {problem}");
    }
}

/// Each of several processes would train the same model and write the same file.
#[cfg(not(feature = "mpi"))]
#[test]
fn a_command_for_one_process_is_no_rank() {
    let started = |arguments: &[&str], name: &str| {
        let output = sae().args(arguments).env(name, "2").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for name in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"] {
        let (code, error) = started(&["train"], name);
        assert_eq!(code, Some(2));
        assert!(error.starts_with("error: MPI started several processes"), "{error}");
        assert!(error.contains("--features mpi"), "{error}");
    }
    // Commands other than train do not care.
    let (code, error) = started(&["make-digits", "--help"], "PMI_SIZE");
    assert_eq!((code, error.as_str()), (Some(0), ""));
}

/// What `eval` prints of a model trained on these numbers, as text and as JSON.
fn evaluated(
    folder: &Folder,
    numbers: &[f32],
    features: usize,
    more: &[&str],
) -> (String, serde_json::Value) {
    let [samples, model] = ["numbers.npy", "m.safetensors"].map(|name| folder.path(name));
    sae::data::write_npy(&samples, &[numbers.len() / features, features], numbers).unwrap();
    let mut train = vec!["train", "--samples", &samples, "--scaling", "as-is", "--holdout", "0"];
    train.extend(["--out", &model, "--quiet", "--beta", "0"]);
    train.extend(more);
    good(&train);
    let text = good(&["eval", &model, "--samples", &samples]);
    let json = good(&["eval", &model, "--samples", &samples, "--json"]);
    (text, serde_json::from_str(&json).unwrap())
}

/// The variance of constant data is 0, and that of data far from 0 is not negative.
#[test]
fn the_explained_variance_is_right_far_from_0() {
    let folder = Folder::new("cli-variance");
    let untrained = ["--layers", "1,1,1", "--steps", "1", "--activation", "linear"];
    let (text, value) = evaluated(&folder, &[14.62; 7], 1, &untrained);
    assert!(!text.contains("explained variance"), "{text}");
    assert!(value["explained_variance"].is_null(), "{value}");
    assert!(value["explained_variance_per_feature"][0].is_null(), "{value}");
    let far: Vec<f32> = (0..1000).map(|at| if at % 2 == 0 { 1e8 } else { 1e8 + 8.0 }).collect();
    // Biases that begin with the mean would reconstruct them well.
    let more = ["--lr", "1e-9", "--output-bias", "zero"];
    let (text, value) = evaluated(&folder, &far, 1, &[&untrained[..], &more].concat());
    let explained = value["explained_variance"].as_f64().unwrap();
    let error = value["squared_error"].as_f64().unwrap();
    assert!((explained / (1.0 - error / 16.0) - 1.0).abs() < 1e-12, "{explained} {error}");
    assert!(explained < -1e13, "{explained}");
    assert!(number(&text, "explained variance: ") < -1e13, "{text}");
}

/// A column that columns of a wider range hide is named.
#[test]
fn a_feature_that_is_hidden_in_the_total_is_named() {
    let folder = Folder::new("cli-hidden");
    // The first column is wide; the second has hardly any variance against its distance from 0.
    let numbers = |at: usize| [10.0 * (at % 5) as f32, 1.0 + 1e-3 * (at % 2) as f32];
    let numbers: Vec<f32> = (0..500).flat_map(numbers).collect();
    let layers = ["--layers", "2,1,2", "--activation", "linear", "--init", "xavier"];
    let steps = ["--steps", "600", "--lr", "0.01"];
    let (text, value) = evaluated(&folder, &numbers, 2, &[&layers[..], &steps].concat());
    let shares: Vec<f64> = value["explained_variance_per_feature"]
        .as_array()
        .unwrap()
        .iter()
        .map(|share| share.as_f64().unwrap())
        .collect();
    assert_eq!(shares.len(), 2);
    assert!(value["explained_variance"].as_f64().unwrap() > 0.5, "{value}");
    assert!(shares[0] > 0.5 && shares[1] < 0.0, "{shares:?}");
    let named = number(&text, "explained variance of the worst feature, 1 (from 0): ");
    assert!((named / shares[1] - 1.0).abs() < 1e-4, "{text}");
    // A table of models says it, too.
    let [samples, model] = ["numbers.npy", "m.safetensors"].map(|name| folder.path(name));
    let picture = folder.path("compare.png");
    let text = good(&["compare", &model, "--samples", &samples, "--out", &picture]);
    assert!(text.contains("its worst feature's, where hidden"), "{text}");
}

/// The environment's number of threads, where no option gives one.
#[test]
fn the_environment_has_a_number_of_threads() {
    let (folder, digits) = (Folder::new("cli-threads"), digits());
    let model = folder.path("m.safetensors");
    let run = |variables: &[(&str, &str)], more: &[&str]| {
        let mut args = train(
            &digits,
            &model,
            &["--steps", "3", "--json", "--overwrite", "--preset", "article"],
        );
        args.extend(more);
        let output = sae().args(args).envs(variables.iter().copied()).output().unwrap();
        let (out, error) = (output.stdout, String::from_utf8(output.stderr).unwrap());
        let out: Option<serde_json::Value> = serde_json::from_slice(&out).ok();
        (output.status.code(), out.map(|value| value["threads"].as_u64().unwrap()), error)
    };
    let all = run(&[], &[]).1;
    for (variables, threads) in [
        (&[("SAE_NUM_THREADS", "1")][..], Some(1)),
        (&[("OMP_NUM_THREADS", "1")], Some(1)),
        (&[("SAE_NUM_THREADS", ""), ("OMP_NUM_THREADS", "1,4")], Some(1)),
        (&[("SAE_NUM_THREADS", "1000000"), ("OMP_NUM_THREADS", "1")], all),
        (&[("OMP_NUM_THREADS", "many")], all),
    ] {
        assert_eq!(run(variables, &[]).1, threads, "{variables:?}");
    }
    let (code, _, error) = run(&[("SAE_NUM_THREADS", "many")], &[]);
    assert_eq!(code, Some(2));
    let sentence = "SAE_NUM_THREADS: expected a number of threads, at least 1, got 'many'";
    assert!(error.contains(sentence), "{error}");
    // An option is stronger, and nobody asks the environment.
    let (code, threads, error) = run(&[("SAE_NUM_THREADS", "many")], &["--threads", "1"]);
    assert_eq!((code, threads), (Some(0), Some(1)), "{error}");
}
