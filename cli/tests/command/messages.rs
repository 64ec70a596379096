//! What a person is told of files that are not what was expected, and the numbers and names they read.

use std::fs;
use std::fs::File;
use std::os::unix::fs::symlink;

use sae::data::write_npy;
use sae::files::npz::Writer;
use serde_json::Value;

use crate::folder::Folder;
use crate::runs::{command, files, good, refused};

const OPTIONS: &str = "--preset top-k --layers 6,8,6 --steps 6 --batch 5 --quiet";

/// A folder with samples, and a model of them with a checkpoint.
fn trained(name: &str) -> Folder {
    let folder = Folder::new(name);
    let numbers: Vec<f32> = (0..360).map(|at| ((at * 37 % 101) as f32).sin()).collect();
    write_npy(folder.path("x.npy"), &[60, 6], &numbers).unwrap();
    let files = "--checkpoint --log m.jsonl --out m.safetensors";
    good(&folder, &format!("train --samples x.npy {OPTIONS} {files}"));
    folder
}

#[track_caller]
fn has(text: &str, sentences: &[&str]) {
    for sentence in sentences {
        assert!(text.contains(sentence), "{sentence}: {text}");
    }
}

#[test]
fn a_file_of_another_kind_is_named() {
    let folder = trained("kinds");
    let mut archive = Writer::new(File::create(folder.path("z.npz")).unwrap());
    for name in ["a", "b"] {
        archive.array(name, "<f4", "(2,)", |out| out.write_all(&[0; 8])).unwrap();
    }
    archive.finish().unwrap();
    for command in ["inspect", "eval"] {
        let problem = refused(&folder, &format!("{command} z.npz"));
        has(&problem, &["the arrays a, b", "Gemma Scope", "sparse codes", "np.save"]);
    }
    let problem = refused(&folder, "eval m.ckpt");
    has(&problem, &["this is a checkpoint", "sae train --resume --checkpoint"]);
    let problem = refused(&folder, "train --like x.npy");
    has(&problem, &["x.npy: not a model file"]);
    fs::write(folder.path("p.svg"), "<svg xmlns='http://www.w3.org/2000/svg'></svg>").unwrap();
    fs::write(folder.path("m.onnx"), b"\x08\x08\x12\x03saexxxxxxxx").unwrap();
    has(&refused(&folder, "inspect p.svg"), &["an SVG image", "sae inspect describes models"]);
    has(&refused(&folder, "inspect m.onnx"), &["an ONNX model", "sae inspect describes models"]);
    let numbers: Vec<f32> = (0..360).map(|at| (at as f32).cos()).collect();
    write_npy(folder.path("x.npy"), &[60, 6], &numbers).unwrap();
    let problem = refused(&folder, "eval m.safetensors");
    has(&problem, &["it was trained on 60 samples, and now ", "x.npy has others"]);
}

/// `inspect` and `train` say the same of an array of one dimension.
#[test]
fn one_dimension_is_no_samples() {
    let folder = Folder::new("one-dimension");
    write_npy(folder.path("f.npy"), &[50], &[0.5f32; 50]).unwrap();
    write_npy(folder.path("u.npy"), &[50], &[7u8; 50]).unwrap();
    for (name, sentences) in [
        ("f.npy", ["one dimension of 50 numbers (f32)", "array.reshape(-1, FEATURES)"]),
        ("u.npy", ["one dimension of 50 numbers (u8, such as labels)", "MNIST's images are in"]),
    ] {
        let [text, _] = good(&folder, &format!("inspect {name}"));
        has(&text, &sentences);
        assert!(!text.contains("1 feature"), "{text}");
        let problem = refused(&folder, &format!("train --samples {name}"));
        has(&problem, &sentences);
        assert_eq!(problem.contains("labels"), name == "u.npy", "{problem}");
    }
}

#[test]
fn files_of_trainings_are_described() {
    let folder = trained("own-files");
    good(&folder, &format!("train --samples x.npy {OPTIONS}"));
    let sweep = "--preset top-k --layers 6,8,6 --steps 2 --vary code=top-k:2/top-k:3 --quiet";
    good(&folder, &format!("sweep --samples x.npy {sweep}"));
    fs::create_dir(folder.path("parts")).unwrap();
    for part in ["parts/a.npy", "parts/b.npy"] {
        fs::copy(folder.path("x.npy"), folder.path(part)).unwrap();
    }
    for (name, kind, sentences) in [
        (
            "m.history.csv",
            "history",
            &["6 rows, the last of step 6", "columns step, objective"][..],
        ),
        ("m.jsonl", "log", &["6 rows to step 6 of 6", "ended: completed", "sae train --samples "]),
        ("m.data.json", "record", &["the training of m.safetensors", "x.npy", "trained by: sae "]),
        ("runs/2/sweep.trials/options.json", "options", &["run by: sae sweep ", "--vary code="]),
        ("runs/1/history.csv", "history", &["6 rows"]),
        ("runs/1/model.data.json", "record", &["runs/1/model.safetensors"]),
        ("runs", "runs", &["folder of 2 runs", "runs/1: model, sae train ", "runs/2: sweep"]),
        ("runs/2", "sweep", &["sweep with 2 models"]),
        (
            "parts",
            "folder",
            &["folder with 2 files", "120 samples of 6 features, f32: parts/a.npy"],
        ),
    ] {
        let [text, _] = good(&folder, &format!("inspect {name}"));
        has(&text, sentences);
        let [json, _] = good(&folder, &format!("inspect {name} --json"));
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["kind"], kind, "{name}");
    }
    good(&folder, "make-digits digits --train 60 --test 20");
    let [text, _] = good(&folder, "inspect digits");
    has(&text, &["training: 60 samples of 784 features", "test: 20 samples of 784 features"]);
}

/// What fails before the first step leaves nothing, and a device has nothing beside it.
#[test]
fn failures_and_devices_leave_no_files() {
    let folder = trained("leaves-nothing");
    let train = format!("train --samples x.npy {OPTIONS}");
    for options in ["--out new/", "--out n.safetensors --picture new/x/"] {
        has(&refused(&folder, &format!("{train} {options}")), &["the name of a folder"]);
    }
    has(&refused(&folder, "report m.safetensors --out new/"), &["the name of a folder"]);
    if cfg!(target_os = "linux") {
        let problem = refused(&folder, &format!("{train} --out n.safetensors --log /dev/full"));
        has(&problem, &["/dev/full"]);
        // The record of the model that is there stays.
        let replaced = "--overwrite --checkpoint --out m.safetensors --log /dev/full";
        refused(&folder, &format!("{train} {replaced}"));
        let before = files(&folder.0);
        good(&folder, &format!("{train} --out /dev/null"));
        assert!(files(&folder.0) == before);
        for name in ["/dev/null.history.csv", "/dev/null.data.json", "/dev/null.png"] {
            assert!(!fs::exists(name).unwrap(), "{name}");
        }
        let problem = refused(&folder, &format!("{train} --out /dev/null --checkpoint"));
        has(&problem, &["this is a device", "--checkpoint FILE"]);
    }
    let problem = refused(&folder, &format!("{train} --sharded --out n.safetensors"));
    has(&problem, &["needs several ranks", "mpirun -n 4 sae train"]);
}

#[test]
fn numbers_are_short() {
    let folder = trained("short-numbers");
    for (name, size) in [("large", 1e300), ("small", 1e-300)] {
        let numbers: Vec<f64> = (0..360).map(|at| f64::from(at % 7 - 3) * size).collect();
        write_npy(folder.path(&format!("{name}.npy")), &[60, 6], &numbers).unwrap();
        let [text, _] = good(&folder, &format!("inspect {name}.npy"));
        assert!(text.lines().all(|line| line.len() < 150), "{text}");
        has(&text, &[&format!("from -{:e} to {:e}", 3.0 * size, 3.0 * size)]);
    }
    let [text, _] = good(&folder, "inspect m.safetensors");
    has(&text, &["auxiliary loss aux-k, ", "learning rate 0.0678823, "]);
    // Those of a CSV file are exact.
    let numbers: Vec<f32> = (0..36).map(|at| (at as f32).sin() * 1e30).collect();
    write_npy(folder.path("y.npy"), &[6, 6], &numbers).unwrap();
    for ending in ["csv", "npy"] {
        good(&folder, &format!("encode m.safetensors --samples y.npy --out c.{ending}"));
    }
    let text = fs::read_to_string(folder.path("c.csv")).unwrap();
    let read: Vec<f32> =
        text.lines().flat_map(|line| line.split(',')).map(|cell| cell.parse().unwrap()).collect();
    let exact = sae::data::Array::open(folder.path("c.npy")).unwrap();
    let mut row = [0.0; 8];
    let mut codes = Vec::new();
    for sample in 0..6 {
        exact.read_row_f64(sample, &mut row);
        codes.extend(row.map(|number| number as f32));
    }
    assert_eq!(read, codes);
    assert!(text.split([',', '\n']).all(|cell| cell.len() < 16), "{text}");
    let history = fs::read_to_string(folder.path("m.history.csv")).unwrap();
    for cell in history.lines().skip(1).flat_map(|line| line.split(',')) {
        let digits = cell.split('e').next().unwrap().trim_start_matches(['0', '.', '-']);
        assert!(digits.len() <= 19, "{cell}: {history}");
    }
}

#[test]
fn one_is_not_plural() {
    let folder = trained("plural");
    write_npy(folder.path("s.npy"), &[1, 1], &[0.5f32]).unwrap();
    fs::write(folder.path("t.csv"), "1,2\n3\n").unwrap();
    let mut scalar = fs::read(folder.path("s.npy")).unwrap();
    let at = scalar.windows(6).position(|it| it == b"(1, 1)").unwrap();
    scalar[at..at + 6].copy_from_slice(b"()    ");
    fs::write(folder.path("s.npy"), scalar).unwrap();
    for (arguments, sentence) in [
        ("train --samples x.npy --quiet --layers 6", "got 1 size\n"),
        ("train --samples t.csv", "this record has 1 field; expected 2"),
        ("train --samples s.npy", "a single number without dimensions"),
    ] {
        has(&refused(&folder, arguments), &[sentence]);
    }
}

/// Paths are shown without detours, but for those behind symbolic links, which lead elsewhere.
#[test]
fn names_are_plain() {
    let folder = trained("plain-names");
    fs::create_dir_all(folder.path("deep/u")).unwrap();
    fs::copy(folder.path("x.npy"), folder.path("deep/x.npy")).unwrap();
    symlink(folder.path("deep/u"), folder.path("link")).unwrap();
    for (name, shown) in [("deep/../x.npy", "plain-names"), ("link/../x.npy", "link/../x.npy")] {
        let out = "--overwrite --out p.safetensors --log p.jsonl";
        let [text, _] = good(&folder, &format!("train --samples {name} {OPTIONS} {out}"));
        has(&text, &["log: p.jsonl\n"]);
        let [text, _] = good(&folder, "eval p.safetensors");
        assert_eq!(text.contains("/../"), name.starts_with("link"), "{text}");
        has(&text, &[shown]);
    }
    let problem = refused(&folder, "report --quit");
    assert!(!problem.contains("--units"), "{problem}");
    has(&refused(&folder, "report --unit 3"), &["'--units'"]);
    let problem = refused(&folder, "decode m.safetensors --codes c.npz --out x.npy");
    assert_eq!(problem, "error: unexpected argument '--codes' found\n");
}

/// With `--quiet` every command prints warnings alone to standard error.
#[test]
fn quiet_leaves_warnings() {
    let folder = trained("quiet");
    good(&folder, "encode m.safetensors --samples x.npy --out c.npy");
    good(&folder, &format!("train --samples x.npy {OPTIONS}"));
    fs::create_dir(folder.path("runs/2")).unwrap();
    for command in [
        "eval",
        "score --top 3",
        "units",
        "encode --out e.npy",
        "reconstruct --out r.npy",
        "decode c.npy --out d.npy",
        "compare",
        "report",
        "inspect",
    ] {
        let [quiet, loud] = ["--quiet --overwrite", "--overwrite"].map(|option| {
            let is_writing = !["eval", "inspect"].contains(&command);
            let option =
                if is_writing { option } else { option.trim_end_matches("--overwrite").trim() };
            good(&folder, &format!("{command} {option}").trim_end().replace("  ", " "))[1].clone()
        });
        assert!(loud.contains("runs/1/model.safetensors, of the latest run"), "{command}: {loud}");
        assert_eq!(quiet, "warning: runs/2 has no model: an earlier run's is taken\n", "{command}");
    }
    let train = "train --like m.safetensors --samples c.npy --out n --layers 8,9,8";
    let [_, quiet] = good(&folder, train);
    assert!(
        quiet.contains("warning: the data, or which of them are held out, are others"),
        "{quiet}"
    );
}

/// What helps against dead units is for the code at hand.
#[test]
fn dead_units_of_a_code_without_a_penalty() {
    let folder = trained("dead-units");
    let numbers: Vec<f32> = (0..84_000).map(|at| ((at * 37 % 1009) as f32).sin()).collect();
    write_npy(folder.path("many.npy"), &[14_000, 6], &numbers).unwrap();
    let options = "--layers 6,60,6 --steps 2 --batch 5 --quiet --out d.safetensors --overwrite";
    for (code, advice) in [
        ("--preset top-k --code top-k:1", "use fewer units or a lower learning rate"),
        ("--preset top-k --code top-k:1 --auxiliary none", "use an auxiliary loss (aux-k), fewer"),
        ("--preset top-k --code top-k:1 --l1 0.1", "use a weaker penalty"),
    ] {
        let [text, _] = good(&folder, &format!("train --samples many.npy {code} {options}"));
        has(&text, &["are dead: revive them during training, or ", advice]);
        assert!(!text.contains("overfitting"), "{text}");
        let [text, _] = good(&folder, "eval d.safetensors");
        has(&text, &["are dead: revive them during training, or ", advice]);
    }
}

/// Of few samples units are not said to be dead that were active in none of them.
#[test]
fn units_without_a_sample_may_be_alive() {
    let folder = trained("few-samples");
    let sweep = "sweep --samples x.npy --preset top-k --layers 6,60,6 --steps 2 --batch 5 --quiet";
    for command in [
        "train --samples x.npy --preset top-k --layers 6,60,6 --steps 2 --batch 5 --quiet --out d.safetensors",
        "eval d.safetensors",
        "eval d.safetensors --samples x.npy",
        "units d.safetensors",
        "compare d.safetensors",
        &format!("{sweep} --vary code=top-k:1/top-k:2 --out s.csv"),
    ] {
        let [text, _] = good(&folder, command);
        has(&text, &["at most "]);
        assert!(!text.contains("are dead"), "{command}: {text}");
    }
    has(&good(&folder, "eval d.safetensors")[0], &[" dead (active in none of 8 samples)"]);
    let [value, _] = good(&folder, "eval d.safetensors --json");
    let value: Value = serde_json::from_str(&value).unwrap();
    assert_eq!(value["hidden_layers"][0]["tells_dead_units"], false);
    assert!(!value["warnings"].to_string().contains("dead"), "{value}");
}

/// A model that knows its training samples by heart is told, with what to do.
#[test]
fn overfitting_is_told() {
    let folder = trained("overfitting");
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let numbers: Vec<f32> = (0..40 * 30).map(|_| random()).collect();
    write_npy(folder.path("r.npy"), &[40, 30], &numbers).unwrap();
    let train = "train --samples r.npy --preset top-k --layers 30,64,30 --code top-k:8 --batch 10 --quiet --overwrite";
    let [text, _] = good(&folder, &format!("{train} --steps 600 --out o.safetensors"));
    has(
        &text,
        &[
            "warning: overfitting: the explained variance is ",
            "--evaluate-every 60 keeps the best model",
        ],
    );
    let [value, _] = good(&folder, &format!("{train} --steps 600 --out o.safetensors --json"));
    let value: Value = serde_json::from_str(&value).unwrap();
    let share = |value: &Value| value.as_f64().unwrap();
    let [own, test] =
        [&value["training_explained_variance"], &value["test"]["explained_variance"]].map(share);
    assert!(own > test + 0.2, "{own} {test}");
    assert!(value["test"]["warnings"].to_string().contains("overfitting"), "{value}");
}

/// Messages name options, not the fields of settings.
#[test]
fn settings_are_named_as_options() {
    let folder = trained("options");
    for (options, sentences) in [
        (
            "--warm-up 9 --schedule cosine:5",
            &["schedule: a cosine of 5 steps ends within the 9 of --warm-up"][..],
        ),
        (
            "--output-activation sigmoid --output-bias mean",
            &["output-bias: ", "and --output-activation is sigmoid; use zero or auto"],
        ),
        (
            "--optimizer l-bfgs --unit-norm --code dense --auxiliary none",
            &["--unit-norm, --tied and --rho-momentum change more than the gradient"],
        ),
        ("--optimizer adamw:1000", &["to below 14.731, the inverse of --learning-rate, got 1000"]),
        ("--order window:0", &["order: expected a window of 1 or more samples"]),
        ("--dead-after 1e", &["dead-after: expected a whole number"]),
    ] {
        let train = format!("train --samples x.npy {OPTIONS} {options} --out o.safetensors");
        let problem = refused(&folder, &train);
        has(&problem, sentences);
        assert!(!problem.contains('_') && !problem.contains("field"), "{problem}");
    }
    let output = command(&folder, "sweep --samples x.npy --vary learnin=1/2").output().unwrap();
    let problem = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{problem}");
    has(&problem, &["there is no setting 'learnin'; did you mean learning-rate?"]);
    assert!(!problem.contains('_'), "{problem}");
}

/// Numbers have no more zeros than they need.
#[test]
fn a_sweep_of_small_numbers() {
    let folder = trained("small-sweep");
    let numbers: Vec<f32> = (0..360).map(|at| ((at * 37 % 101) as f32).sin() * 1e-8).collect();
    write_npy(folder.path("s.npy"), &[60, 6], &numbers).unwrap();
    let sweep = "sweep --samples s.npy --preset top-k --layers 6,8,6 --steps 2 --batch 5 --quiet";
    good(&folder, &format!("{sweep} --scaling as-is --vary code=top-k:2/top-k:3 --out s.csv"));
    let table = fs::read_to_string(folder.path("s.csv")).unwrap();
    for line in table.lines().skip(1) {
        let error = line.split(',').nth(3).unwrap();
        assert!(error.len() < 24 && error.parse::<f64>().unwrap() < 1e-8, "{table}");
    }
}
