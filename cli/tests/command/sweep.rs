//! Sweeps: their trials, their files, and the commands that read them.

use std::fs;
#[cfg(unix)]
use std::process::{Command, Stdio};

use crate::folder::Folder;
use crate::runs::{command, folder, good, refused};
use crate::usage;

/// The lines of a table but the first, as fields.
fn lines(table: &str) -> Vec<Vec<String>> {
    table.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// An interrupted sweep ends as one that was not; other options are refused.
#[test]
fn a_sweep_is_resumed() {
    let (folder, digits) = (Folder::new("cli-sweep"), usage::digits());
    let sweep = |name: &str, more: &[&str]| {
        let out = folder.path(name);
        let mut args = vec!["sweep", "--data", &digits, "--layers", "784,8,784", "--out", &out];
        args.extend(["--vary", "beta=log:1e-5:1e-2", "--vary", "code=dense/top-k:3"]);
        args.extend(["--trials", "6", "--halvings", "1", "--steps", "60", "--quiet"]);
        args.extend(more);
        let output = usage::run(&args);
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(sweep("whole.csv", &["--jobs", "1"]), (true, String::new()));
    let table = fs::read_to_string(folder.path("whole.csv")).unwrap();
    let all = lines(&table);
    assert_eq!(all.len(), 6, "{table}");
    assert!(table.starts_with("trial,steps,beta,code,squared_error,sparsity"), "{table}");
    let ended = all.iter().filter(|line| line[1] == "60").count();
    assert_eq!(ended, 2, "{table}");
    // Only what was trained to the end has a model.
    for line in &all {
        assert_eq!(
            line[1] == "60",
            line[10] == format!("whole.trials/trial-{}.safetensors", line[0])
        );
        assert_eq!(line[1] != "60", line[10].is_empty());
    }
    assert!(all.iter().any(|line| line[9] == "1"), "{table}");
    // Checkpoints are of no use any more, also those of the trials that did not continue.
    let checkpoints = |sweep: &str| {
        let files = fs::read_dir(folder.path(&format!("{sweep}.trials"))).unwrap();
        let mut names: Vec<_> = files.map(|it| it.unwrap().file_name()).collect();
        names.retain(|name| name.to_str().unwrap().contains(".ckpt"));
        names
    };
    assert!(checkpoints("whole").is_empty());
    // The values of the lists have the same numbers.
    assert_eq!((&all[0][2], &*all[0][3]), (&all[1][2], "dense"));
    assert!(fs::read_to_string(folder.path("whole.svg")).unwrap().contains("<circle"));

    // As if it was killed while it wrote its fourth line.
    assert_eq!(sweep("cut.csv", &["--jobs", "3"]), (true, String::new()));
    let journal = folder.path("cut.trials/journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let three: usize = text.split_inclusive('\n').take(3).map(str::len).sum();
    fs::write(&journal, &text[..three + 10]).unwrap();
    let resumed = |more: &[&str]| {
        let (done, stderr) = sweep("cut.csv", &[&["--resume"], more].concat());
        (done, stderr.replace(&format!("resuming the sweep of {}\n", folder.path("cut.csv")), ""))
    };
    assert_eq!(resumed(&["--jobs", "2"]), (true, String::new()));
    assert!(checkpoints("cut").is_empty());
    let cut = || fs::read_to_string(folder.path("cut.csv")).unwrap().replace("cut.", "whole.");
    assert_eq!(cut(), table);
    // A model that is gone is made again, the same.
    let number = &all.iter().find(|line| line[1] == "60").unwrap()[0];
    let model = |sweep: &str| folder.path(&format!("{sweep}.trials/trial-{number}.safetensors"));
    fs::remove_file(model("cut")).unwrap();
    assert_eq!(resumed(&[]), (true, String::new()));
    assert_eq!(cut(), table);
    assert!(fs::read(model("cut")).unwrap() == fs::read(model("whole")).unwrap());

    let (done, problem) = resumed(&["--seed", "5"]);
    assert!(!done && problem.contains("other options or other data"), "{problem}");
    for (range, sentence) in
        [("beta=log:0:1", "vary: "), ("bet=log:1:2", "no setting 'bet'; did you mean beta?")]
    {
        let problem = usage::refused(&["sweep", "--data", &digits, "--vary", range]);
        assert!(problem.contains(sentence), "{problem}");
    }
}

const SWEEP: &str =
    "sweep --data digits --preset images --layers 784,14,784 --steps 4 --batch 10 --quiet";

/// Five settings are compared by two commands.
#[test]
fn lists_are_tried_whole_and_their_models_are_read() {
    let folder = folder("sweep-models");
    let vary = "--vary code=top-k:2/top-k:3/top-k:4/batch-top-k:5/dense";
    let [text, _] = good(&folder, &format!("{SWEEP} {vary}"));
    assert!(text.starts_with("5 trials, all trained to the end, "), "{text}");
    assert!(text.contains("models: runs/1/sweep.trials\ntable: runs/1/sweep.csv"), "{text}");
    let table = fs::read_to_string(folder.path("runs/1/sweep.csv")).unwrap();
    let all = lines(&table);
    let values: Vec<&str> = all.iter().map(|line| &*line[2]).collect();
    assert_eq!(values, ["top-k:2", "top-k:3", "top-k:4", "batch-top-k:5", "dense"]);
    let l0: f64 = all[1][4].parse().unwrap();
    assert!(l0 > 1.0 && l0 <= 3.0, "{table}");
    let picture = fs::read_to_string(folder.path("runs/1/sweep.svg")).unwrap();
    for value in values {
        assert!(picture.contains(&format!(": code={value}; squared error")), "{picture}");
    }
    assert!(
        picture.matches(r#"class="label""#).count() >= 4 && picture.contains(">top-k:2</text>")
    );
    // Nothing but what is needed is left.
    let names = fs::read_dir(folder.path("runs/1/sweep.trials")).unwrap();
    let names: Vec<_> = names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 2 + 3 * 5, "{names:?}");

    // The latest run, the folder, the table, and the table elsewhere.
    let [latest, stderr] = good(&folder, "compare --out a.png");
    assert!(stderr.contains("models: those of runs/1/sweep.csv, the latest run"), "{stderr}");
    assert!(latest.contains("trial-0: top-k:2") && latest.contains("trial-4: dense"), "{latest}");
    for (at, sweep) in ["runs/1", "runs/1/sweep.csv", "runs/1/sweep.trials"].iter().enumerate() {
        let [same, _] = good(&folder, &format!("compare {sweep} --out b{at}.png"));
        let table = |text: &str| text.split("picture").next().unwrap().to_owned();
        assert_eq!(table(&same), table(&latest));
    }
    let [report, _] = good(&folder, "report");
    assert_eq!(report, "report: runs/1/report.html\n");
    let page = fs::read_to_string(folder.path("runs/1/report.html")).unwrap();
    assert!(page.contains("trial-3: batch-top-k:5"));
    let problem = refused(&folder, "report runs/1/sweep.csv");
    assert!(problem.contains("runs/1/report.html: this file exists"), "{problem}");
    good(&folder, "report runs/1/sweep.csv --overwrite");
    fs::rename(folder.path("runs"), folder.path("moved")).unwrap();
    let [moved, _] = good(&folder, "compare moved/1 --out c.png");
    assert!(moved.contains("trial-4: dense"), "{moved}");

    // One of its models is as others.
    let model = "moved/1/sweep.trials/trial-1.safetensors";
    let [text, _] = good(&folder, &format!("inspect {model}"));
    assert!(text.contains("--code=top-k:3 --steps=4\n"), "{text}");
    assert!(!text.contains("vary") && !text.contains("jobs"), "{text}");
    good(&folder, &format!("train --like {model} --out again.safetensors --threads 2"));
    let bytes = |name: &str| fs::read(folder.path(name)).unwrap();
    assert!(bytes("again.safetensors") == bytes(model));
    good(&folder, &format!("eval {model}"));
}

/// Commands of one model do not choose one of a sweep, and what is no sweep is refused.
#[test]
fn sweeps_are_no_models() {
    let folder = folder("sweep-refused");
    good(&folder, &format!("{SWEEP} --vary code=top-k:2/top-k:3"));
    for arguments in ["eval", "features", "score"] {
        let problem = refused(&folder, arguments);
        assert!(problem.contains("the latest run is a sweep"), "{problem}");
    }
    fs::rename(folder.path("runs/1"), folder.path("runs/2")).unwrap();
    good(&folder, crate::runs::TRAIN);
    fs::rename(folder.path("runs/3"), folder.path("runs/1")).unwrap();
    let [_, stderr] = good(&folder, "eval");
    let expected = "model: runs/1/model.safetensors, of the latest training; those of the sweep are in runs/2/sweep.trials";
    assert!(stderr.contains(expected), "{stderr}");
    let problem = refused(&folder, "train --resume");
    assert!(problem.contains("the latest run is a sweep, not a training"), "{problem}");
    fs::write(folder.path("data.csv"), "a,b\n1,2\n").unwrap();
    let problem = refused(&folder, "compare data.csv");
    assert!(problem.contains("expected a model or the table of a sweep"), "{problem}");
    // As a sweep of version 0.1 had it.
    let old =
        "trial,steps,code,squared_error,sparsity,explained_variance,objective,dead_units,front\n";
    fs::write(folder.path("old.csv"), format!("{old}0,5,dense,1,2,3,4,5,1\n")).unwrap();
    let problem = refused(&folder, "report old.csv");
    assert!(problem.contains("this sweep has kept no models"), "{problem}");
    let problem = refused(&folder, &format!("{SWEEP} --vary code=top-k:2/top-k:3 --trials 3"));
    assert!(problem.contains("the lists have 2 combinations, got 3"), "{problem}");
    let problem =
        refused(&folder, &format!("{SWEEP} --out s.csv --vary code=top-k:2 --picture s.csv"));
    assert!(problem.contains("need different names"), "{problem}");
}

/// The measure of sparsity suits the codes.
#[test]
fn the_measure_suits_the_codes() {
    let folder = folder("sweep-measure");
    let measure = |options: &str| {
        let sweep = "sweep --data digits --steps 2 --batch 10 --quiet --json";
        let [text, _] = good(&folder, &format!("{sweep} {options}"));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(value["trials"][0]["model"].as_str().unwrap().ends_with("trial-0.safetensors"));
        value["sparsity_measure"].as_str().unwrap().to_owned()
    };
    assert_eq!(measure("--vary code=top-k:2/dense"), "l0");
    assert_eq!(
        measure("--preset article --layers 784,9,784 --vary beta=1e-5/1e-4"),
        "mean-activation"
    );
    let relu = "--preset article-plain --layers 784,9,784 --activation relu";
    assert_eq!(measure(&format!("{relu} --vary l1=1e-5/1e-4")), "l0");
}

/// Of a sweep with more models than are shown those of the best trials are.
#[test]
fn many_models_are_too_many() {
    let folder = folder("sweep-many");
    let codes: Vec<String> = (1..=14).map(|k| format!("top-k:{}", 15 - k)).collect();
    good(&folder, &format!("{SWEEP} --halvings 0 --vary code={} --out s.csv", codes.join("/")));
    let [text, stderr] = good(&folder, "compare s.csv");
    assert!(
        stderr.contains("12 of 14 models are taken, those of the best trials first"),
        "{stderr}"
    );
    let names = text.lines().nth(1).unwrap();
    assert_eq!(names.matches("trial-").count(), 12, "{text}");
}

/// Ctrl-C ends a sweep, which says how it is continued; the continued one is the same as another.
#[cfg(unix)]
#[test]
fn an_interrupted_sweep_says_the_command() {
    let folder = folder("sweep-interrupted");
    let options = "--data digits --preset article --layers 784,12,784 --batch 10 --vary seed=1/2/3";
    let interrupt = |more: &str| {
        let mut sweep = command(&folder, &format!("sweep {options} --steps 300000 --jobs 2{more}"));
        let child = sweep.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // The journal is there before the first step.
        let journal = if more.is_empty() { "runs/1/sweep.trials" } else { "s.trials" };
        let journal = folder.0.join(journal).join("options.json");
        while !journal.exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(
            Command::new("kill")
                .args(["-INT", &child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        String::from_utf8(output.stderr).unwrap()
    };
    let stderr = interrupt("");
    assert!(stderr.contains("interrupted; sae sweep --resume continues it"), "{stderr}");
    let stderr = interrupt(" --out s.csv --picture p.svg");
    let expected = "sae sweep --resume --out s.csv --picture p.svg continues it";
    assert!(stderr.contains(expected), "{stderr}");
    let problem = refused(&folder, "report runs/1");
    assert!(problem.contains("the sweep in this folder has not ended"), "{problem}");
    let output = command(&folder, "sweep --resume --steps 9").output().unwrap();
    let problem = String::from_utf8(output.stderr).unwrap();
    assert!(problem.contains("other options or other data"), "{problem}");

    // A short one whose journal and models are lost, as after a kill.
    good(&folder, &format!("sweep {options} --steps 30 --quiet"));
    let files = ["runs/2/sweep.csv", "runs/2/sweep.trials/trial-1.safetensors"];
    let before = files.map(|file| fs::read(folder.path(file)).unwrap());
    let journal = folder.path("runs/2/sweep.trials/journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, text.split_inclusive('\n').take(1).collect::<String>()).unwrap();
    fs::remove_file(folder.path(files[0])).unwrap();
    fs::remove_file(folder.path(files[1])).unwrap();
    let [_, stderr] = good(&folder, "sweep --resume --quiet");
    assert!(stderr.contains("resuming the sweep of runs/2/sweep.csv"), "{stderr}");
    assert!(before == files.map(|file| fs::read(folder.path(file)).unwrap()));
    assert!(!folder.0.join("runs/3").exists());
    let none = Folder::new("sweep-none");
    let problem = refused(&none, "sweep --resume");
    assert!(problem.contains("there is no sweep to resume"), "{problem}");
}
