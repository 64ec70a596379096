//! Folders of runs, and files that are replaced only if that is asked for.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::folder::Folder;

pub const TRAIN: &str =
    "train --data digits --preset article --layers 784,12,784 --steps 4 --batch 10 --quiet";

pub fn command(folder: &Folder, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
    command.env("XDG_CACHE_HOME", "/nonexistent").env("HOME", "/nonexistent");
    command.current_dir(&folder.0).env_remove("SAE_ISA").stdin(Stdio::null());
    command.args(arguments.split(' '));
    command
}

/// Standard output and error of a run that must succeed.
#[track_caller]
pub fn good(folder: &Folder, arguments: &str) -> [String; 2] {
    let Output { status, stdout, stderr } = command(folder, arguments).output().unwrap();
    let texts = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(status.success(), "{arguments}: {}", texts[1]);
    texts
}

/// Every file below a folder with its bytes.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push((path.display().to_string(), fs::read(&path).unwrap())),
        }
    }
    all.sort();
    all
}

/// Standard error of a run that must fail on invalid input, and change no file.
#[track_caller]
pub fn refused(folder: &Folder, arguments: &str) -> String {
    let before = files(&folder.0);
    let Output { status, stderr, .. } = command(folder, arguments).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{arguments}: {stderr}");
    assert!(stderr.starts_with("error: "), "{arguments}: {stderr}");
    assert!(files(&folder.0) == before, "{arguments}: files have changed");
    stderr
}

pub fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    good(&folder, "make-digits digits --train 60 --test 20");
    folder
}

fn names(folder: &Folder, run: &str) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder.0.join(run))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn every_run_has_its_folder() {
    let folder = folder("runs");
    let [text, _] = good(&folder, TRAIN);
    assert!(text.contains("model: runs/1/model.safetensors"), "{text}");
    good(&folder, &format!("{TRAIN} --seed 2 --checkpoint-every 2"));
    let of_first = names(&folder, "runs/1");
    assert!(!of_first.iter().any(|name| name.contains("ckpt")), "{of_first:?}");
    for name in ["model.safetensors", "picture.png", "history.csv", "log.jsonl"] {
        assert!(of_first.iter().any(|other| other == name), "{of_first:?}");
    }
    let of_second = names(&folder, "runs/2");
    assert!(of_second.contains(&"checkpoint.ckpt".to_owned()), "{of_second:?}");
    assert_eq!(fs::read_to_string(folder.path("runs/.gitignore")).unwrap(), "*\n");
    // Nothing else is left.
    assert_eq!(folder.names(), ["digits", "runs"]);

    // What is refused makes no folder.
    let train = TRAIN.replace("--data digits", "--samples digits/train-images-idx3-ubyte");
    for options in ["--layers 784,0,784", "--test none.npy", "--threads 0", "--code top-k:99"] {
        let problem = refused(&folder, &format!("{train} {options}"));
        let name = options.split(['-', ' ']).find(|word| !word.is_empty()).unwrap();
        let name = if name == "test" { "none.npy" } else { name };
        assert!(problem.contains(name), "{problem}");
    }
    assert_eq!(names(&folder, "runs"), [".gitignore", "1", "2"]);
}

/// The same bytes from the note alone, in another folder; what is given takes the place of what is noted.
#[test]
fn a_training_is_repeated() {
    let folder = folder("runs-like");
    good(&folder, &format!("{TRAIN} --code top-k:3 --lr 0.004 --revive 2"));
    let [text, _] = good(&folder, "inspect");
    let typed = text.lines().find(|line| line.starts_with("trained by: sae train ")).unwrap();
    for words in ["--code top-k:3", "--lr 0.004", "--revive 2", "--steps 4"] {
        assert!(typed.contains(words), "{typed}");
    }
    assert!(text.contains("code top-k:3, auxiliary loss none"), "{text}");
    let model = |name: &str| fs::read(folder.path(name)).unwrap();
    fs::create_dir(folder.path("other")).unwrap();
    let like = |more: &str| {
        let mut command = command(&folder, "train --quiet --like ../runs/1/model.safetensors");
        command.args(more.split_whitespace()).current_dir(folder.0.join("other"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(like(""), "");
    assert!(model("other/runs/1/model.safetensors") == model("runs/1/model.safetensors"));
    like("--learning-rate 0.01 --out l.safetensors");
    like("--seed 2 --out s.safetensors");
    for name in ["other/l.safetensors", "other/s.safetensors"] {
        assert!(model(name) != model("runs/1/model.safetensors"), "{name}");
    }
    good(&folder, "make-digits digits --train 60 --test 20 --seed 9 --overwrite");
    let note = like("--out changed.safetensors");
    assert!(note.contains("are others than those of ../runs/1/model.safetensors"), "{note}");
    let problem = refused(&folder, "train --like digits/none");
    assert!(problem.contains("cannot open digits/none"), "{problem}");
}

/// What a resumed training, or one from a model, does not do is said.
#[test]
fn nothing_is_ignored_without_a_word() {
    let folder = folder("runs-said");
    let dictionary = TRAIN.replace("article", "top-k");
    good(&folder, &format!("{dictionary} --resume --out m.safetensors"));
    let resume = dictionary.replace("--steps 4", "--steps 9") + " --resume --out m.safetensors";
    let problem = refused(&folder, &resume);
    assert!(
        problem.contains("is 0 after step 4, got 9") && problem.contains("--from"),
        "{problem}"
    );
    // The steps of the schedule are those of the resumed training.
    good(&folder, "train --data digits --quiet --resume --out m.safetensors");
    let [text, _] = good(&folder, "inspect m.safetensors");
    assert!(text.contains("--preset top-k --layers 784,12,784 --steps 4"), "{text}");
    fs::copy(folder.path("m.safetensors"), folder.path("n.safetensors")).unwrap();
    let resume = "train --data digits --quiet --resume --out m.safetensors --from n.safetensors";
    let problem = refused(&folder, resume);
    assert!(problem.contains("from: the training that is resumed has none, got n"), "{problem}");
    let from = "train --data digits --steps 3 --from m.safetensors --preset batch-top-k --batch 10";
    let [_, note] = good(&folder, &format!("{from} --quiet --out o.safetensors"));
    assert!(note.contains("preset batch-top-k: the model's architecture stays"), "{note}");
}

#[test]
fn settings_without_effect_are_named() {
    let folder = folder("runs-ignored");
    for (options, names) in [
        ("--preset plain --rho 0.1", "--rho"),
        ("--preset top-k --rho 0.1 --sparsity-warm-up 2", "--rho --sparsity-warm-up"),
        ("--preset article --rho 0.1 --sparsity-warm-up 2", ""),
        ("--preset top-k --penalty 1:l1=1e-4 --sparsity-warm-up 2", ""),
    ] {
        let train = TRAIN.replace("--preset article", options);
        let [_, note] = good(&folder, &train);
        let said: Vec<_> = note
            .lines()
            .filter_map(|line| line.strip_prefix("warning: ")?.split_once(" has no effect"))
            .collect();
        let said: Vec<_> = said.into_iter().map(|(name, _)| name).collect();
        assert_eq!(said.join(" "), names, "{options}: {note}");
    }
}

#[test]
fn usage_errors_are_one_sentence() {
    let folder = folder("runs-usage");
    for (arguments, sentence) in [
        ("train --data digits --samples x.npy", "cannot be used with"),
        ("train --bogus", "unexpected argument '--bogus' found"),
        ("train --stepz 3", "hint: a similar argument exists: '--steps'"),
        ("decode --out x.npy", "required arguments were not provided: <CODES>"),
        ("train --steps many", "invalid value 'many' for '--steps <N>'"),
    ] {
        let problem = refused(&folder, arguments);
        assert!(problem.contains(sentence) && !problem.contains("Usage"), "{problem}");
        assert!(problem.lines().skip(1).all(|line| line.starts_with("hint: ")), "{problem}");
    }
}

#[test]
fn concurrent_runs_have_different_folders() {
    let folder = folder("runs-concurrent");
    let children: Vec<_> =
        (0..6).map(|_| command(&folder, TRAIN).stdout(Stdio::null()).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(names(&folder, "runs"), [".gitignore", "1", "2", "3", "4", "5", "6"]);
    for run in 1..=6 {
        assert!(names(&folder, &format!("runs/{run}")).contains(&"model.safetensors".to_owned()));
    }
}

#[test]
fn runs_without_models_are_passed_over() {
    let folder = folder("runs-without-models");
    let sweep =
        "sweep --data digits --layers 784,9,784 --vary seed=1/2 --steps 4 --preset plain --quiet";
    good(&folder, sweep);
    good(&folder, sweep);
    fs::remove_dir_all(folder.path("runs/2/sweep.trials")).unwrap();
    let [text, note] = good(&folder, "compare --out compared.png");
    assert!(note.contains("warning: runs/2 has no model: an earlier run's is taken"), "{note}");
    assert!(
        note.contains("those of runs/1/sweep.csv") && text.contains("explained variance"),
        "{note}"
    );
    // A command of one model names one that is there.
    fs::remove_file(folder.path("runs/1/sweep.trials/trial-0.safetensors")).unwrap();
    fs::remove_dir_all(folder.path("runs/2")).unwrap();
    let problem = refused(&folder, "eval");
    assert!(
        problem.contains("is a sweep") && problem.contains("/trial-1.safetensors"),
        "{problem}"
    );
}

#[test]
fn commands_take_the_latest_run() {
    let folder = folder("runs-latest");
    for arguments in ["eval", "features", "inspect", "encode", "compare", "report", "reconstruct"] {
        let problem = refused(&folder, arguments);
        assert!(problem.contains("no model is given, and there is none in the folder runs"));
        assert!(problem.contains("hint: "), "{problem}");
    }
    good(&folder, TRAIN);
    // More than nine, so that names are not sorted as texts.
    for run in 2..=9 {
        fs::create_dir(folder.path(&format!("runs/{run}"))).unwrap();
    }
    good(&folder, &TRAIN.replace("784,12,784", "784,17,784"));
    // A run that has begun, and what is none.
    fs::create_dir(folder.path("runs/11")).unwrap();
    fs::create_dir(folder.path("runs/99-old")).unwrap();
    let [text, note] = good(&folder, "inspect");
    assert!(text.contains("model 784-17-784"), "{text}");
    // The run without a model is named.
    let [skipped, taken] = [
        "warning: runs/11 has no model: an earlier run's is taken\n",
        "model: runs/10/model.safetensors, of the latest run\n",
    ];
    assert_eq!(note, format!("{skipped}{taken}"));
    for arguments in ["eval", "eval --json", "encode", "report", "reconstruct"] {
        assert_eq!(good(&folder, arguments)[1], note, "{arguments}");
    }
    // What shows a run is in its folder, and replaced as other files are: only if that is asked for.
    let [text, _] = good(&folder, "features");
    assert!(text.contains("runs/10/features.png"), "{text}");
    for (command, name) in [
        ("features runs/10/model.safetensors --units 2", "features.png"),
        ("report runs/10/model.safetensors --units 3", "report.html"),
        ("reconstruct runs/10/model.safetensors --count 5", "reconstructions.png"),
    ] {
        let expected = format!("runs/10/{name}: this file exists");
        let problem = refused(&folder, command);
        assert!(problem.contains(&expected) && problem.contains("--overwrite"), "{problem}");
        good(&folder, &format!("{command} --overwrite"));
    }
    let codes = good(&folder, "encode --out codes.npy");
    assert!(codes[0].contains("17 units"), "{codes:?}");
    let [text, again] = good(&folder, "decode codes.npy --out samples.npy");
    assert!(text.contains("20 x 28 x 28 of u8") && again == note, "{text}");
    let [text, both] = good(&folder, "compare");
    assert!(text.contains("runs/1      runs/10\nlayers"), "{text}");
    // With that of the run without a model.
    assert_eq!(both.lines().count(), 3, "{both}");
    let problem = refused(&folder, "decode --out samples.npy");
    assert!(problem.contains("CODES"), "{problem}");
}

#[test]
fn files_are_replaced_if_asked_for() {
    let folder = folder("runs-overwrite");
    good(&folder, &format!("{TRAIN} --out a/b/m.safetensors --history h/h.csv"));
    good(&folder, "encode a/b/m.safetensors --out codes.npy");
    for arguments in [
        &format!("{TRAIN} --out a/b/m.safetensors"),
        // Each of the others, too.
        &format!("{TRAIN} --picture a/b/m.png"),
        &format!("{TRAIN} --history h/h.csv"),
        &format!("{TRAIN} --out new.safetensors --picture codes.npy"),
        "features a/b/m.safetensors --out codes.npy",
        "compare a/b/m.safetensors --out codes.npy",
        "decode a/b/m.safetensors codes.npy --out digits/../a/b/x.npy --overwrite --json-x",
        "inspect a/b/m.safetensors --picture codes.npy",
        "make-digits digits",
        "cut-patches codes.npy --data digits",
        "sweep --data digits --vary beta=log:1e-6:1e-3 --out codes.npy",
        "convert a/b/m.safetensors codes.npy --to onnx",
        "convert codes.npy codes.npy",
    ] {
        let problem = refused(&folder, arguments);
        let is_usage = problem.contains("--json-x") || problem.contains("FROM and TO");
        let is_said = problem.contains("this file exists") && problem.contains("--overwrite");
        assert!(is_said || is_usage, "{arguments}: {problem}");
    }
    for arguments in [
        &format!("{TRAIN} --out a/b/m.safetensors --overwrite"),
        "features a/b/m.safetensors --out codes.png",
        "features a/b/m.safetensors --out codes.png --overwrite",
        "make-digits digits --train 60 --test 20 --overwrite",
        "cut-patches deep/er/p.idx --data digits --count 20",
        "decode a/b/m.safetensors codes.npy --out some/where/x.npy",
        "convert codes.npy one/more/x.npy",
    ] {
        good(&folder, arguments);
    }
}

#[test]
fn what_is_read_is_never_replaced() {
    let folder = folder("runs-read");
    good(&folder, &format!("{TRAIN} --out m.safetensors"));
    good(&folder, "encode m.safetensors --out codes.npy");
    let images = "digits/train-images-idx3-ubyte";
    for arguments in [
        &format!("{TRAIN} --out {images}"),
        &format!("{TRAIN} --out x.safetensors --picture ./{images}"),
        &format!("{TRAIN} --out x.safetensors --history digits/../{images}"),
        &format!("{TRAIN} --out x.safetensors --checkpoint {images}"),
        &format!("{TRAIN} --from m.safetensors --out m.safetensors")
            .replace("--layers 784,12,784 ", ""),
        "features m.safetensors --out m.safetensors",
        "compare m.safetensors --out m.safetensors",
        &format!("compare m.safetensors --out {images}").replace("train-", "t10k-"),
        "decode m.safetensors codes.npy --out codes.npy",
        "inspect m.safetensors --picture m.safetensors",
        &format!("cut-patches {images} --data digits"),
        &format!("sweep --data digits --vary beta=log:1e-6:1e-3 --out {images}"),
        &format!("sweep --data digits --vary beta=log:1e-6:1e-3 --picture {images}"),
        &format!("encode m.safetensors --samples {images} --out {images}"),
    ] {
        let arguments = match arguments.starts_with("encode") {
            true => arguments.to_owned(),
            false => format!("{arguments} --overwrite"),
        };
        let problem = refused(&folder, &arguments);
        assert!(
            problem.contains("this is a file that the command reads"),
            "{arguments}: {problem}"
        );
    }
    for arguments in [
        format!("{TRAIN} --out x --checkpoint ./x"),
        format!("{TRAIN} --out x --checkpoint c --history c"),
        "sweep --data digits --vary beta=log:1e-6:1e-3 --out x --picture digits/../x".to_owned(),
    ] {
        let problem = refused(&folder, &arguments);
        assert!(problem.contains("need different names"), "{problem}");
    }
}

#[test]
fn checkpoints_are_resumed_or_replaced_if_asked_for() {
    let folder = folder("runs-checkpoint");
    let long = TRAIN.replace("--steps 4", "--steps 8");
    good(&folder, &format!("{TRAIN} --checkpoint c.ckpt --out m.safetensors"));
    let problem = refused(&folder, &format!("{TRAIN} --checkpoint c.ckpt --out x.safetensors"));
    assert!(problem.contains("this checkpoint exists"), "{problem}");
    assert!(problem.contains("--resume") && problem.contains("--overwrite"), "{problem}");
    // The model of the same training is replaced by the resumed one, another's is not.
    good(&folder, &format!("{TRAIN} --seed 3 --out other.safetensors"));
    let resume = format!("{long} --checkpoint c.ckpt --resume --out");
    let problem = refused(&folder, &format!("{resume} other.safetensors"));
    assert!(problem.contains("no model of the training that is resumed"), "{problem}");
    good(&folder, &format!("{resume} m.safetensors"));
    let problem =
        refused(&folder, &format!("{long} --checkpoint no.ckpt --resume --out m.safetensors"));
    assert!(problem.contains("this file exists"), "{problem}");
    good(&folder, &format!("{long} --checkpoint c.ckpt --overwrite --out n.safetensors"));
    let model = |name: &str| fs::read(folder.path(name)).unwrap();
    assert!(model("m.safetensors") == model("n.safetensors"));

    // Without names it is the latest run.
    good(&folder, &format!("{TRAIN} --resume"));
    let [text, note] = good(&folder, &format!("{long} --resume"));
    assert_eq!(note, "resuming the run in runs/1\n");
    assert!(text.contains("model: runs/1/model.safetensors"), "{text}");
    assert!(model("runs/1/model.safetensors") == model("n.safetensors"));
    good(&folder, TRAIN);
    let problem = refused(&folder, &format!("{long} --resume"));
    assert!(problem.contains("runs/2: the latest run has no checkpoint"), "{problem}");
    let [text, _] = good(&folder, &format!("{long} --resume --checkpoint runs/1/checkpoint.ckpt"));
    assert!(text.contains("model: runs/1/model.safetensors"), "{text}");
}

/// Other data than a model's own are never taken for them.
#[test]
fn a_training_from_a_model_whose_data_are_not_known() {
    let folder = folder("runs-from-alone");
    good(&folder, &format!("{TRAIN} --out m.safetensors"));
    fs::rename(folder.path("m.safetensors"), folder.path("alone.safetensors")).unwrap();
    let problem = refused(&folder, "train --from alone.safetensors --steps 2 --out n.safetensors");
    assert!(
        problem.contains("alone.safetensors: where the model's data are is not known"),
        "{problem}"
    );
    assert!(problem.contains("--samples FILE") && !problem.contains("no data given"), "{problem}");
    let problem = refused(&folder, "train --from none.safetensors --steps 2 --out n.safetensors");
    assert!(problem.contains("cannot open none.safetensors"), "{problem}");
    good(
        &folder,
        "train --from alone.safetensors --data digits --steps 2 --quiet --out n.safetensors",
    );
    let problem = refused(&folder, "train --like none.safetensors");
    assert!(problem.contains("cannot open none.safetensors"), "{problem}");
}

/// The page of a run is opened again as it is.
#[test]
fn the_page_that_is_there_is_opened() {
    let folder = folder("runs-page");
    good(&folder, TRAIN);
    good(&folder, "report");
    let page = fs::read(folder.path("runs/1/report.html")).unwrap();
    // (There is no browser.)
    let said = |words: &str, code: i32| {
        let mut command = command(&folder, words);
        let Output { status, stderr, .. } = command.env("PATH", "/nonexistent").output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(code), "{stderr}");
        stderr
    };
    let is_there = "report.html is there already; --overwrite makes it anew";
    assert!(said("report --open", 0).contains(is_there));
    for words in [
        "report",
        "report --open --units 3",
        "report --open --samples digits/t10k-images-idx3-ubyte",
    ] {
        let problem = said(words, 2);
        assert!(problem.contains("report.html: this file exists"), "{problem}");
    }
    assert!(fs::read(folder.path("runs/1/report.html")).unwrap() == page);
    assert!(!said("report --open --overwrite", 0).contains("is there already"));
}
