//! The record of a training beside its model: whole in resumed, interrupted and killed runs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::folder::Folder;
use crate::runs::{TRAIN, command, files, folder, good, refused};

/// Starts a training of many steps, and sends a signal after it has taken some.
fn stopped(folder: &Folder, arguments: &str, signal: &str) -> String {
    let mut child =
        command(folder, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("step ") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "ended before a step");
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    let text: Vec<_> = out.lines().map(|line| line.unwrap()).collect();
    assert!(!child.wait().unwrap().success());
    text.join("\n")
}

/// The options that the record of a model has, and what else `inspect` says of its training.
fn record(folder: &Folder, model: &str) -> (String, String) {
    let [text, _] = good(folder, &format!("inspect {model}"));
    let mut lines = text.lines().skip_while(|line| !line.starts_with("trained by: "));
    let command = lines.next().unwrap_or_default().to_owned();
    let more = lines.next().unwrap_or_default();
    (command, if more.starts_with("interrupted") { more.to_owned() } else { String::new() })
}

const LONG: &str = "train --samples digits/train-images-idx3-ubyte --preset article --layers 784,12,784 --batch 10 \
     --holdout 10 --revive 40 --steps";

#[test]
fn an_interrupted_training_is_continued_from_its_record() {
    let folder = folder("resume-record");
    let text = stopped(&folder, &format!("{LONG} 100000000 --checkpoint"), "-INT");
    assert!(text.contains("stopped after step ") && text.contains("test objective: "), "{text}");
    let (typed, end) = record(&folder, "runs/1/model.safetensors");
    assert!(typed.contains("--revive 40 --steps 100000000"), "{typed}");
    assert!(end.starts_with("interrupted after step ") && end.contains(" of 100000000 "), "{end}");
    assert!(end.ends_with("(sae train --resume continues it)"), "{end}");
    let like = "train --quiet --like runs/1/model.safetensors --steps 2 --out like.safetensors";
    let [_, note] = good(&folder, like);
    assert!(note.contains("runs/1/model.safetensors was interrupted after step "), "{note}");

    // Neither data nor options are given; the option that is takes the place of its own.
    let step: u64 = end.split(' ').nth(3).unwrap().parse().unwrap();
    let steps = step + 200;
    let [text, note] = good(&folder, &format!("train --resume --steps {steps}"));
    assert!(text.contains("model: runs/1/model.safetensors"), "{text}");
    assert_eq!(note.lines().next(), Some("resuming the run in runs/1"));
    let (resumed, end) = record(&folder, "runs/1/model.safetensors");
    assert_eq!(resumed, typed.replace("--steps 100000000", &format!("--steps {steps}")));
    assert_eq!(end, "");
    good(&folder, "train --quiet --like runs/1/model.safetensors --out again.safetensors");
    let model = |name: &str| fs::read(folder.path(name)).unwrap();
    assert!(model("runs/1/model.safetensors") == model("again.safetensors"));

    // It is over: nothing is taken, and nothing is recorded.
    let before = files(&folder.0.join("runs/1"));
    for steps in [String::new(), format!(" --steps {steps}"), " --steps 50".to_owned()] {
        let [_, note] = good(&folder, &format!("train --resume --quiet{steps}"));
        assert!(note.contains(&format!("already at step {}", step + 200)), "{note}");
        let changed = files(&folder.0.join("runs/1"));
        let record = |files: &[(String, Vec<u8>)]| {
            files.iter().find(|(name, _)| name.ends_with("data.json")).unwrap().1.clone()
        };
        assert!(record(&before) == record(&changed), "{steps}");
    }
}

#[test]
fn a_killed_training_has_its_record() {
    let folder = folder("resume-killed");
    stopped(&folder, &format!("{LONG} 100000000 --checkpoint-every 50"), "-KILL");
    assert!(!folder.0.join("runs/1/model.safetensors").exists());
    let [_, note] = good(&folder, "train --resume --steps 1000");
    assert!(note.contains("resuming the run in runs/1"), "{note}");
    let (typed, _) = record(&folder, "runs/1/model.safetensors");
    assert!(typed.contains("--holdout 10 --revive 40 --steps 1000"), "{typed}");
}

#[test]
fn the_course_of_a_training_stays() {
    let folder = folder("resume-course");
    let course = TRAIN.replace("--steps 4", "--steps 8 --revive 3 --patience 9 --evaluate-every 2");
    good(&folder, &format!("{course} --checkpoint c.ckpt --out m.safetensors"));
    fs::copy(folder.path("m.safetensors"), folder.path("n.safetensors")).unwrap();
    let resume = "train --resume --quiet --out m.safetensors --checkpoint c.ckpt --steps 12";
    for (option, sentence) in [
        ("--revive 5e0", "revive: the training that is resumed has 3, got 5e0"),
        ("--patience 2", "patience: the training that is resumed has 9, got 2"),
        ("--evaluate-every 4", "evaluate-every: the training that is resumed has 2, got 4"),
        ("--pretrain 4", "pretrain: the training that is resumed has none, got 4"),
        ("--from n.safetensors", "from: the training that is resumed has none, got n.safetensors"),
    ] {
        let problem = refused(&folder, &format!("{resume} {option}"));
        assert!(problem.contains(sentence), "{problem}");
    }
    // Without a record it is said; the same, and how it runs, are no change.
    fs::copy(folder.path("m.data.json"), folder.path("kept")).unwrap();
    fs::remove_file(folder.path("m.data.json")).unwrap();
    let given = course.replace("--steps 8", "--steps 9");
    let [_, note] =
        good(&folder, &format!("{given} --resume --checkpoint c.ckpt --out m.safetensors"));
    assert!(note.contains("are not recorded beside its model"), "{note}");
    fs::rename(folder.path("kept"), folder.path("m.data.json")).unwrap();
    let [_, note] = good(&folder, &format!("{resume} --revive 3e0 --threads 1 --keep 1"));
    assert_eq!(note.lines().filter(|line| line.contains("record")).count(), 0, "{note}");
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let folder = folder("resume-missing");
    let [_, note] = good(&folder, &format!("{TRAIN} --resume --out m.safetensors"));
    assert!(note.contains("no checkpoint m.ckpt: starting anew"), "{note}");
    let [_, note] = good(&folder, &format!("{TRAIN} --resume"));
    assert!(note.contains("no run to resume: starting anew"), "{note}");
    fs::copy(folder.path("m.safetensors"), folder.path("moved.safetensors")).unwrap();
    for (content, sentence) in [
        (None, "no record beside it that says where the data of its training are"),
        (Some("{"), "moved.data.json: damaged"),
        (Some("{}"), "no record beside it that says where the data of its training are"),
    ] {
        if let Some(content) = content {
            fs::write(folder.path("moved.data.json"), content).unwrap();
        }
        let problem = refused(&folder, "train --like moved.safetensors");
        assert!(problem.contains(sentence), "{problem}");
    }
    let problem = refused(&folder, "train --like none.safetensors");
    assert!(problem.contains("cannot open none.safetensors"), "{problem}");
}

#[test]
fn no_file_of_a_training_is_lost() {
    let folder = folder("resume-files");
    for (present, options) in [
        ("c.ckpt.1", "--checkpoint c.ckpt --out m.safetensors"),
        ("c.ckpt.2", "--checkpoint c.ckpt --keep 3 --out m.safetensors"),
        ("m.data.json", "--out m.safetensors"),
    ] {
        fs::write(folder.path(present), "{\"mine\": 1}").unwrap();
        let problem = refused(&folder, &format!("{TRAIN} {options}"));
        assert!(problem.contains(&format!("{present}: this file exists")), "{problem}");
        fs::remove_file(folder.path(present)).unwrap();
    }
    for options in [
        "--out m.safetensors --checkpoint m.data.json",
        "--out m.safetensors --checkpoint c.ckpt --history c.ckpt.1",
    ] {
        let problem = refused(&folder, &format!("{TRAIN} {options}"));
        assert!(problem.contains("need different names"), "{problem}");
    }
    for name in ["m.png", "m.npy", "m.csv", "m.JSON", "m.html", "m.ckpt"] {
        let problem = refused(&folder, &format!("{TRAIN} --out {name}"));
        assert!(problem.contains("expected a name ending in .safetensors"), "{problem}");
    }
    // The record of a model that is gone is no reason.
    good(&folder, &format!("{TRAIN} --out m.0.5"));
    for name in ["m.0.5.png", "m.0.5.data.json", "m.0.5.history.csv"] {
        assert!(folder.0.join(name).exists(), "{name}");
    }
    for name in ["m.0.5", "m.0.5.png", "m.0.5.history.csv"] {
        fs::remove_file(folder.path(name)).unwrap();
    }
    good(&folder, &format!("{TRAIN} --out m.0.5"));
}

#[test]
fn a_training_from_a_model_has_its_data() {
    let folder = folder("resume-from");
    good(
        &folder,
        &format!(
            "{} --steps 30 --seed 4 --quiet --out m.safetensors",
            LONG.replace(" --steps", "")
        ),
    );
    let from = "train --from m.safetensors --steps 3 --quiet --batch 10";
    let [_, note] = good(&folder, &format!("{from} --out own.safetensors"));
    assert!(note.contains("train-images-idx3-ubyte, those of m.safetensors"), "{note}");
    // The same are held out, though the seed is another.
    let note = |name: &str| fs::read_to_string(folder.path(name)).unwrap();
    assert!(note("own.data.json").contains("train-images-idx3-ubyte"));
    for name in ["m.safetensors", "own.safetensors"] {
        let bytes = fs::read(folder.path(name)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains(r#"random\":{\"count\":10,\"seed\":4}"#), "{name}");
    }
    // Given data are taken.
    let [_, given] = good(&folder, &format!("{from} --data digits --out given.safetensors"));
    assert!(!given.contains("those of"), "{given}");
    assert!(note("given.data.json").contains("\"data\":"));
    good(&folder, "train --quiet --like own.safetensors --out again.safetensors");
    let model = |name: &str| fs::read(folder.path(name)).unwrap();
    assert!(model("again.safetensors") == model("own.safetensors"));
}

#[test]
fn one_training_writes_a_file() {
    let folder = folder("resume-lock");
    let long = format!("{LONG} 100000000 --checkpoint c.ckpt --out m.safetensors");
    let mut child = command(&folder, &long).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    while !line.starts_with("step ") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "ended before a step");
    }
    for names in ["--out m.safetensors", "--out n.safetensors --checkpoint c.ckpt"] {
        let arguments = format!("{TRAIN} {names} --overwrite");
        let output = command(&folder, &arguments).output().unwrap();
        let problem = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{problem}");
        assert!(problem.contains("another training that is under way writes this"), "{problem}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What a killed one has left is no reason, and is gone at the end.
    good(&folder, &format!("{TRAIN} --checkpoint c.ckpt --out m.safetensors --overwrite"));
    assert!(!folder.names().iter().any(|name| name.ends_with(".lock")), "{:?}", folder.names());
}

/// Some steps of a schedule for many are no training of so few.
#[test]
fn a_part_of_a_schedule_is_no_whole_training() {
    let folder = folder("resume-part");
    let scheduled = LONG.replace("--preset article", "--preset top-k");
    stopped(&folder, &format!("{scheduled} 100000000 --checkpoint"), "-INT");
    let (whole, end) = record(&folder, "runs/1/model.safetensors");
    let step: u64 = end.split(' ').nth(3).unwrap().parse().unwrap();
    good(&folder, &format!("train --resume --quiet --steps {}", step + 7));
    let (typed, end) = record(&folder, "runs/1/model.safetensors");
    assert_eq!(typed, whole);
    let step = step + 7;
    let expected =
        format!("interrupted after step {step} of 100000000 (sae train --resume continues it)");
    assert_eq!(end, expected);
}

/// A model that a training was to replace is not described by that training's record.
#[test]
fn a_replaced_model_is_said() {
    let folder = folder("resume-replaced");
    good(&folder, &format!("{TRAIN} --out m.safetensors"));
    let again = format!("{LONG} 100000000 --checkpoint-every 50 --overwrite --out m.safetensors");
    stopped(&folder, &again, "-KILL");
    let [text, _] = good(&folder, "inspect m.safetensors");
    assert!(text.contains("a training that was to replace this model has begun"), "{text}");
    assert!(!text.contains("trained by"), "{text}");
    let problem = refused(&folder, "train --like m.safetensors");
    assert!(problem.contains("a training that was to replace it has begun"), "{problem}");
    good(&folder, "train --resume --out m.safetensors --quiet --steps 900 --overwrite");
    let (typed, end) = record(&folder, "m.safetensors");
    assert!(typed.ends_with("--revive 40 --steps 900") && end.is_empty(), "{typed} {end}");
}

/// The checkpoint has a name of its own, and the training has options that count at its beginning alone.
#[test]
fn a_checkpoint_elsewhere_is_found() {
    let folder = folder("resume-elsewhere");
    let first = TRAIN.replace("--steps 4", "--steps 4 --pretrain 2");
    good(&folder, &format!("{first} --checkpoint c.ckpt"));
    for (arguments, run) in [
        ("train --resume --quiet --steps 6", "resuming the run in runs/1\n"),
        ("train --resume --quiet --steps 8 --checkpoint c.ckpt", "resuming the run in runs/1\n"),
        ("train --resume --quiet --steps 10 --out runs/1/model.safetensors", ""),
    ] {
        assert_eq!(good(&folder, arguments)[1], run);
    }
    let whole = first.replace("--steps 4", "--steps 10");
    good(&folder, &format!("{whole} --out whole.safetensors"));
    let model = |name: &str| fs::read(folder.path(name)).unwrap();
    assert!(model("runs/1/model.safetensors") == model("whole.safetensors"));
    good(&folder, "train --quiet --like whole.safetensors --out like.safetensors");
    assert!(model("like.safetensors") == model("whole.safetensors"));
    // One that begins with a model.
    let from = "train --from whole.safetensors --quiet --batch 10 --checkpoint f.ckpt";
    good(&folder, &format!("{from} --steps 3 --out f.safetensors"));
    good(&folder, "train --resume --quiet --steps 5 --out f.safetensors --checkpoint f.ckpt");
    good(&folder, &format!("{from} --steps 5 --out g.safetensors --overwrite"));
    assert!(model("f.safetensors") == model("g.safetensors"));
    // The options of files go with them.
    let rows = format!("{LONG} 2 --quiet --rows first --out r.safetensors");
    good(&folder, &rows);
    good(&folder, "train --quiet --like r.safetensors --data digits --out s.safetensors");
}
