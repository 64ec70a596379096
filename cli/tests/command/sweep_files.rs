//! What a sweep measures, which files it may replace, and what a resumed one takes for its own.

use std::fs;

use crate::folder::Folder;
use crate::runs::{TRAIN, command, folder, good, refused};

const SWEEP: &str = "sweep --data digits --preset images --layers 784,14,784 --steps 4 --batch 10 \
                     --vary code=top-k:2/top-k:3 --quiet";

/// The problem of a sweep that is refused after it has made files.
fn problem(folder: &Folder, arguments: &str) -> String {
    let output = command(folder, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments}");
    String::from_utf8(output.stderr).unwrap()
}

/// Trials of different depth have their layers; one without it is refused before a folder is made.
#[test]
fn the_layer_is_that_of_each_trial() {
    let folder = folder("sweep-layer");
    let sweep = "sweep --data digits --preset article --steps 2 --batch 10 --quiet --json";
    let vary = "--vary layers=784,20,6,20,784/784,30,784";
    let sparsity = |options: &str| {
        let [text, _] = good(&folder, &format!("{sweep} {vary} --sparsity l0{options}"));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        [0, 1].map(|trial| value["trials"][trial]["sparsity"].as_f64().unwrap())
    };
    // Nearly all units of a sigmoid are active.
    let (codes, firsts) = (sparsity(""), sparsity(" --layer 1"));
    assert!(codes[0] <= 6.0 && firsts[0] > 6.0 && firsts[0] <= 20.0, "{codes:?} {firsts:?}");
    assert!(codes[1] > 20.0 && codes[1] == firsts[1], "{codes:?} {firsts:?}");
    for layer in ["0", "2", "3"] {
        let problem = refused(&folder, &format!("{sweep} {vary} --layer {layer}"));
        assert!(problem.contains("--layer: expected "), "{problem}");
        assert!(problem.contains("is of a network of the sizes 784-"), "{problem}");
    }
    good(&folder, &format!("{sweep} {vary} --layer 1 --out s.csv"));
    let problem = problem(&folder, "sweep --resume --out s.csv --layer 2");
    assert!(problem.contains("layer: "), "{problem}");
}

/// The length of the gradient is measured as in a training.
#[test]
fn histories_of_trials_have_the_length_of_the_gradient() {
    let folder = folder("sweep-gradient");
    good(&folder, &format!("{SWEEP} --out s.csv"));
    let history = fs::read_to_string(folder.path("s.trials/trial-1.history.csv")).unwrap();
    let mut lines = history.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let column = names.iter().position(|name| *name == "gradient_norm").unwrap();
    let norms: Vec<f64> = lines.map(|line| line[column].parse().unwrap()).collect();
    assert!(norms.len() == 4 && norms.iter().all(|norm| *norm > 0.0), "{history}");
    let model = "s.trials/trial-1.safetensors";
    good(&folder, &format!("train --like {model} --out t.safetensors --quiet"));
    let other = fs::read_to_string(folder.path("t.history.csv")).unwrap();
    assert_eq!(other, history);
}

/// Settings of the environment are refused before a folder is made.
#[test]
fn the_environment_is_checked_first() {
    let folder = folder("sweep-environment");
    for (name, value) in [("SAE_NUM_THREADS", "many"), ("SAE_ISA", "none")] {
        let mut sweep = command(&folder, SWEEP);
        let output = sweep.env(name, value).output().unwrap();
        let problem = String::from_utf8(output.stderr).unwrap();
        assert!(problem.starts_with(&format!("error: {name}")), "{problem}");
        assert!(!folder.0.join("runs").exists(), "{name}");
    }
}

/// Other data of the same size, and another scaling, are other sweeps.
#[test]
fn other_data_are_another_sweep() {
    let folder = folder("sweep-data");
    good(&folder, "make-digits others --train 60 --test 20 --seed 9");
    good(&folder, &format!("{SWEEP} --out s.csv"));
    for options in ["--data others", "--scaling min-max"] {
        let problem = problem(&folder, &format!("sweep --resume --quiet --out s.csv {options}"));
        assert!(problem.contains("other options or other data"), "{problem}");
    }
    good(&folder, "sweep --resume --quiet --out s.csv");
}

/// A resumed sweep replaces what it has written itself, and nothing else.
#[test]
fn a_resumed_sweep_replaces_its_own_files_alone() {
    let folder = folder("sweep-own");
    let write = |name: &str| fs::write(folder.path(name), "mine").unwrap();
    let is_mine = |name: &str| fs::read(folder.path(name)).unwrap() == b"mine";
    good(&folder, &format!("{SWEEP} --out s.csv --picture p.svg"));
    write("s.svg");
    fs::remove_file(folder.path("p.svg")).unwrap();
    good(&folder, "sweep --resume --quiet --out s.csv");
    assert!(is_mine("s.svg") && folder.0.join("p.svg").exists());
    let stderr = problem(&folder, "sweep --resume --quiet --out s.csv --picture s.svg");
    assert!(stderr.contains("s.svg: this file exists"), "{stderr}");
    // One that never wrote its table.
    let noted = folder.path("s.trials/options.json");
    let text = fs::read_to_string(&noted).unwrap();
    fs::write(&noted, text.replace("\"has_table\": true", "\"has_table\": false")).unwrap();
    write("s.csv");
    let stderr = problem(&folder, "sweep --resume --quiet --out s.csv");
    assert!(stderr.contains("s.csv: this file exists"), "{stderr}");
    good(&folder, "sweep --resume --quiet --out s.csv --overwrite");
    assert!(!is_mine("s.csv"));
    // A folder of the models' name that is not of a sweep.
    fs::create_dir(folder.path("t.trials")).unwrap();
    write("t.trials/trial-0.safetensors");
    let stderr = refused(&folder, &format!("{SWEEP} --out t.csv"));
    assert!(stderr.contains("t.trials: this folder has files"), "{stderr}");
    // The folder can be moved.
    good(&folder, SWEEP);
    fs::rename(folder.path("runs"), folder.path("moved")).unwrap();
    good(&folder, "sweep --resume --quiet --out moved/1/sweep.csv");
}

/// With `--overwrite` a sweep begins anew where another was, and continues nothing of it.
#[test]
fn a_sweep_that_overwrites_another_begins_anew() {
    let folder = folder("sweep-anew");
    let other = SWEEP.replace("784,14,784", "784,9,784").replace("2/top-k:3", "4/top-k:2/top-k:3");
    good(&folder, &format!("{other} --out s.csv"));
    // As if it was killed in its last trial.
    good(&folder, "train --like s.trials/trial-0.safetensors --checkpoint --quiet --out c");
    fs::rename(folder.path("c.ckpt"), folder.path("s.trials/0000.ckpt")).unwrap();
    fs::write(folder.path("s.trials/notes.txt"), "mine").unwrap();
    let stderr = refused(&folder, &format!("{SWEEP} --out s.csv"));
    assert!(stderr.contains("s.csv: this file exists"), "{stderr}");
    let stderr = problem(&folder, &format!("{SWEEP} --resume --out s.csv"));
    assert!(stderr.contains("--overwrite without --resume to begin anew"), "{stderr}");
    good(&folder, &format!("{SWEEP} --out s.csv --overwrite"));
    good(&folder, &format!("{SWEEP} --out t.csv"));
    let text = |name: &str| fs::read_to_string(folder.path(name)).unwrap();
    assert_eq!(text("s.csv"), text("t.csv").replace("t.trials", "s.trials"));
    // (Trials stand in the order in which they ended.)
    let journal = |name: &str| {
        let mut lines: Vec<String> = text(name).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(journal("s.trials/journal.jsonl"), journal("t.trials/journal.jsonl"));
    assert_eq!(text("s.trials/notes.txt"), "mine");
    for name in ["trial-2.safetensors", "trial-2.data.json", "trial-2.history.csv", "0000.ckpt"] {
        assert!(!folder.0.join("s.trials").join(name).exists(), "{name}");
    }
    // The same one, too: its models are made again.
    let model = folder.path("s.trials/trial-1.safetensors");
    fs::write(&model, "damaged").unwrap();
    good(&folder, &format!("{SWEEP} --out s.csv --overwrite"));
    assert!(
        fs::read(&model).unwrap() == fs::read(folder.path("t.trials/trial-1.safetensors")).unwrap()
    );
    // In a folder that is of no sweep files of the same names are replaced, and others stay.
    fs::create_dir(folder.path("u.trials")).unwrap();
    for name in ["u.trials/0000.ckpt", "u.trials/0009.ckpt", "u.trials/trial-1.safetensors"] {
        fs::write(folder.path(name), "mine").unwrap();
    }
    good(&folder, &format!("{SWEEP} --out u.csv --overwrite"));
    assert_eq!(text("u.csv"), text("t.csv").replace("t.trials", "u.trials"));
    assert_eq!(text("u.trials/0009.ckpt"), "mine");
}

/// A resumed training writes where it began to, and replaces no other's files.
#[test]
fn a_resumed_training_replaces_its_own_files_alone() {
    let folder = folder("resume-own");
    let write = |name: &str| fs::write(folder.path(name), "mine").unwrap();
    let is_mine = |name: &str| fs::read(folder.path(name)).unwrap() == b"mine";
    let files = "--picture p.png --history h.csv --log l.jsonl";
    good(&folder, &format!("{TRAIN} --checkpoint --out m.safetensors {files}"));
    let names = ["m.png", "m.history.csv"];
    names.iter().for_each(|name| write(name));
    good(&folder, "train --resume --quiet --steps 6 --out m.safetensors");
    assert!(names.iter().all(|name| is_mine(name)));
    let history = fs::read_to_string(folder.path("h.csv")).unwrap();
    assert_eq!(history.lines().count(), 7, "{history}");
    let resume = "train --resume --quiet --steps 8 --out m.safetensors";
    let stderr = refused(&folder, &format!("{resume} --picture m.png"));
    assert!(stderr.contains("m.png: this file exists"), "{stderr}");
    // That of another training.
    good(&folder, &format!("{TRAIN} --out n.safetensors"));
    let stderr = refused(&folder, &format!("{resume} --history n.history.csv"));
    assert!(stderr.contains("n.history.csv: this file exists"), "{stderr}");
    good(&folder, &format!("{resume} --picture q.png"));
    good(&folder, &format!("{resume} --steps 9").replacen("--steps 8 ", "", 1));
    assert!(is_mine("m.png"));
    // Of a training without a checkpoint nothing is known.
    write("o.png");
    let stderr = refused(&folder, &format!("{TRAIN} --resume --out o.safetensors"));
    assert!(stderr.contains("o.png: this file exists"), "{stderr}");
}

/// A resumed training replaces no picture that it has not made, also where its own is to be.
#[test]
fn a_resumed_training_replaces_no_other_picture() {
    let folder = folder("resume-picture");
    let (beside, named) = ("a.safetensors", "n.safetensors --picture p.png");
    for (out, resumed, picture) in [(beside, beside, "a.png"), (named, "n.safetensors", "p.png")] {
        good(&folder, &format!("{TRAIN} --checkpoint --out {out}"));
        let resume = format!("train --resume --quiet --out {resumed} --steps");
        good(&folder, &format!("{resume} 6"));
        let own = fs::read(folder.path(picture)).unwrap();
        fs::write(folder.path(picture), "mine").unwrap();
        let stderr = refused(&folder, &format!("{resume} 7"));
        let sentence = format!("{picture}: this file exists, and is no picture of a training");
        assert!(stderr.contains(&sentence) && stderr.contains("--overwrite"), "{stderr}");
        good(&folder, &format!("{resume} 7 --overwrite"));
        assert!(fs::read(folder.path(picture)).unwrap().starts_with(&own[..16]));
        fs::remove_file(folder.path(picture)).unwrap();
        good(&folder, &format!("{resume} 8"));
        good(&folder, &format!("{resume} 9"));
    }
}

/// A log begins with a line that has all files of the data.
#[test]
fn a_log_of_many_files_is_continued() {
    let folder = folder("resume-log");
    good(&folder, &format!("{TRAIN} --checkpoint --out m.safetensors --log l.jsonl"));
    let log = fs::read_to_string(folder.path("l.jsonl")).unwrap();
    let many = format!("\"files\":[{}", "\"/data/shard\",".repeat(100_000));
    fs::write(folder.path("l.jsonl"), log.replacen("\"files\":[", &many, 1)).unwrap();
    good(&folder, "train --resume --quiet --steps 6 --out m.safetensors");
    let log = fs::read_to_string(folder.path("l.jsonl")).unwrap();
    assert_eq!(log.matches("\"event\":\"start\"").count(), 2);
    assert!(log.len() > 1 << 20);
}

/// The command that continues a checkpoint is the right one, or none.
#[test]
fn a_checkpoint_says_what_continues_it() {
    let folder = folder("inspect-continue");
    let said = |path: &str| {
        let [text, _] = good(&folder, &format!("inspect {path}"));
        text.lines().last().unwrap().strip_suffix(" continues it").map(str::to_owned)
    };
    let train = format!("{TRAIN} --checkpoint-every 2");
    good(&folder, &train);
    good(&folder, "train --resume --quiet --steps 6");
    assert_eq!(said("runs/1/checkpoint.ckpt").as_deref(), Some("sae train --resume"));
    assert_eq!(said("runs/1/checkpoint.ckpt.1"), None);
    good(&folder, &train);
    let named = "sae train --resume --out runs/1/model.safetensors";
    assert_eq!(said("runs/1/checkpoint.ckpt").as_deref(), Some(named));
    good(&folder, &format!("{train} --out m.safetensors"));
    assert_eq!(said("m.ckpt").as_deref(), Some("sae train --resume --out m.safetensors"));
    good(&folder, &format!("{train} --out n.safetensors --checkpoint c.ckpt"));
    assert_eq!(said("c.ckpt").as_deref(), Some("sae train --resume --out n.safetensors"));
    good(&folder, "train --resume --quiet --steps 6 --out n.safetensors");
    fs::copy(folder.path("m.ckpt"), folder.path("copy.ckpt")).unwrap();
    assert_eq!(said("copy.ckpt"), None);
    fs::create_dir(folder.path("it's")).unwrap();
    good(&folder, &format!("{train} --out it's/o.safetensors"));
    let quoted = r"sae train --resume --out 'it'\''s/o.safetensors'";
    assert_eq!(said("it's/o.ckpt").as_deref(), Some(quoted));
    fs::remove_file(folder.path("m.data.json")).unwrap();
    assert_eq!(said("m.ckpt"), None);
    // Of a sweep, whose checkpoints are there until it ends.
    good(&folder, &format!("{SWEEP} --out s.csv"));
    fs::rename(folder.path("m.ckpt"), folder.path("s.trials/0001.ckpt")).unwrap();
    assert_eq!(said("s.trials/0001.ckpt").as_deref(), Some("sae sweep --resume --out s.csv"));
}

#[test]
fn what_is_varied_is_no_riddle() {
    let folder = folder("sweep-varied");
    let sweep = |more: &str| {
        format!("sweep --data digits --preset plain --layers 784,9,784 --steps 2 --quiet {more}")
    };
    for (more, words) in [
        ("--vary lr=1e-3/1e-2 --vary learning-rate=1e-1/1e-2", "learning-rate is varied twice"),
        ("--vary lr=1e-3/1e-2 --lr 5", "learning-rate is varied, and given as an option, too"),
        ("--vary lr=0.001/1e-3", "0.001 and 1e-3 are the same settings"),
        ("--vary lr=log:1:0.1", "expected LOW above 0 and below HIGH, got 'log:1:0.1' of lr"),
        ("--vary codes=top-k:1/top-k:2", "vary: there is no setting 'codes'; did you mean code?\n"),
        ("--vary learnin-rate=log:1e-4:1e-2", "'learnin-rate'; did you mean learning-rate?\n"),
        ("--vary flavor=sweet/sour", "vary: there is no setting 'flavor'\n"),
        ("--vary lr=linear:1:1", "expected LOW below HIGH, got 'linear:1:1' of lr"),
    ] {
        let problem = refused(&folder, &sweep(more));
        assert!(problem.contains(words), "{more}: {problem}");
        assert!(!folder.0.join("runs").exists(), "{more}");
    }
    // Whole numbers of a range.
    let [text, _] = good(&folder, &sweep("--vary batch=log:10:100 --trials 2 --json"));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let batches = value["trials"].as_array().unwrap().iter().map(|trial| &trial["batch"]);
    assert!(batches.clone().count() == 2 && !value.to_string().contains("batch\":\"1."), "{value}");
    // All diverged: the table is there, and the command fails.
    let diverging = "--vary lr=1e8/1e9 --activation relu --output-activation linear";
    let line = sweep(diverging).replace("--steps 2", "--steps 20");
    let output = command(&folder, &line).output().unwrap();
    let problem = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{problem}");
    assert!(problem.contains("all trials have diverged"), "{problem}");
    assert!(folder.0.join("runs/2/sweep.csv").exists());
}
