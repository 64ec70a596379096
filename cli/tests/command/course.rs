//! Following a training: the history and the log, with what is measured now and then.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::folder::Folder;
use crate::runs::{command, folder, good, refused};

const TRAIN: &str =
    "train --data digits --preset article --layers 784,12,784 --batch 10 --threads 1";

/// The columns of a history, by their names; None where a cell is empty.
fn history(folder: &Folder, name: &str) -> BTreeMap<String, Vec<Option<f64>>> {
    let text = fs::read_to_string(folder.path(name)).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut columns = BTreeMap::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), names.len(), "{line}");
        for (name, cell) in names.iter().zip(cells) {
            let number = if cell.is_empty() { None } else { Some(cell.parse().unwrap()) };
            columns.entry((*name).to_owned()).or_insert_with(Vec::new).push(number);
        }
    }
    columns
}

/// The lines of a log of an event.
fn events(folder: &Folder, name: &str, event: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.path(name)).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == event).collect()
}

/// The steps of the rows that have a number in this column.
fn steps_with(columns: &BTreeMap<String, Vec<Option<f64>>>, name: &str) -> Vec<u64> {
    let rows = columns["step"].iter().zip(&columns[name]);
    rows.filter(|(_, cell)| cell.is_some()).map(|(step, _)| step.unwrap() as u64).collect()
}

const OF_TEST: [&str; 5] =
    ["gradient_norm", "test_objective", "test_squared_error", "test_explained_variance", "test_l0"];

#[test]
fn a_history_has_the_test_curve_and_measuring_changes_nothing() {
    let folder = folder("course-test");
    for every in ["", " --test-every 30", " --test-every 0", " --test-every 7"] {
        let name = every.trim().replace(' ', "");
        good(&folder, &format!("{TRAIN} --quiet --steps 300{every} --out m{name}.safetensors"));
    }
    let model = |name: &str| fs::read(folder.path(name)).unwrap();
    for other in ["m--test-every30", "m--test-every0", "m--test-every7"] {
        assert!(model("m.safetensors") == model(&format!("{other}.safetensors")), "{other}");
    }
    let usual = history(&folder, "m.history.csv");
    let multiples = |of: u64| (1..=300 / of).map(|n| n * of).collect::<Vec<_>>();
    for name in OF_TEST.into_iter().chain(["dead_units"]) {
        assert_eq!(steps_with(&usual, name), multiples(12), "{name}");
        let some = history(&folder, "m--test-every30.history.csv");
        assert_eq!(steps_with(&some, name), multiples(30), "{name}");
        let none = history(&folder, "m--test-every0.history.csv");
        assert!(steps_with(&none, name).is_empty(), "{name}");
        let others = history(&folder, "m--test-every7.history.csv");
        assert_eq!(steps_with(&others, name), multiples(7), "{name}");
        // The rest is the same.
        assert_eq!(others["step"], usual["step"]);
        assert_eq!(others["objective"], usual["objective"]);
    }
    assert!(usual["learning_rate"].iter().all(|&rate| rate == Some(0.01)));
    assert!(usual["revived_units"].iter().all(|&count| count == Some(0.0)));
    // There are so few test samples that all were measured, at the last step, too.
    let [text, _] = good(&folder, "eval m.safetensors --json");
    let value: Value = serde_json::from_str(&text).unwrap();
    let last = |name: &str| usual[name].last().unwrap().unwrap();
    assert_eq!(last("test_objective"), value["objective"].as_f64().unwrap());
    assert_eq!(last("test_squared_error"), value["squared_error"].as_f64().unwrap());
    assert_eq!(last("test_explained_variance"), value["explained_variance"].as_f64().unwrap());
    assert_eq!(last("test_l0"), value["hidden_layers"][0]["l0"].as_f64().unwrap());
    assert!(last("gradient_norm") > 0.0);
}

#[test]
fn rows_of_many_steps_have_what_is_measured_in_rows_of_their_own() {
    let folder = folder("course-rows");
    good(&folder, &format!("{TRAIN} --quiet --steps 1000 --test-every 333 --out m.safetensors"));
    let columns = history(&folder, "m.history.csv");
    let steps = steps_with(&columns, "objective");
    let expected: Vec<u64> = (1..=1000).filter(|step| step % 4 == 0 || step % 333 == 0).collect();
    assert_eq!(steps, expected);
    assert_eq!(steps_with(&columns, "test_objective"), [333, 666, 999]);
}

#[test]
fn revived_units_are_counted_and_sparse_codes_have_l0() {
    let folder = folder("course-revived");
    let code =
        "--code top-k:2 --activation relu --beta 0 --initialization he --lr 0.01 --revive 30";
    let [_, notes] = good(
        &folder,
        &format!(
            "{} --quiet --steps 100 {code} --out m.safetensors --log m.jsonl",
            TRAIN.replace("784,12,784", "784,60,784")
        ),
    );
    let counts = notes.lines().filter_map(|line| {
        let (_, rest) = line.split_once(": ")?;
        rest.strip_suffix(" dead units revived")?.parse::<u64>().ok()
    });
    let revived: u64 = counts.sum();
    assert!(revived > 0, "{notes}");
    let columns = history(&folder, "m.history.csv");
    assert_eq!(columns["l0"][50], Some(2.0));
    assert_eq!(columns["dead_units"].len(), 100);
    assert_eq!(columns["revived_units"][29], Some(0.0));
    assert_eq!(columns["revived_units"][99], Some(revived as f64));
    let rows = events(&folder, "m.jsonl", "row");
    assert_eq!(rows[99]["revived_units"].as_u64(), Some(revived));
}

/// From a checkpoint between two rows, and behind rows and an end that are cut.
#[test]
fn a_resumed_training_has_the_rows_of_an_uninterrupted_one() {
    let folder = folder("course-resumed");
    let code = "--code top-k:2 --activation relu --beta 0 --initialization he --revive 70";
    let whole = format!(
        "{TRAIN} --quiet --steps 900 {code} --checkpoint-every 250 --keep 3 --out m.safetensors --log m.jsonl"
    );
    good(&folder, &whole);
    let before = fs::read_to_string(folder.path("m.history.csv")).unwrap();
    let model = fs::read(folder.path("m.safetensors")).unwrap();
    let rows = events(&folder, "m.jsonl", "row");
    assert_eq!(rows.len(), 300);
    // The last checkpoint is of step 900, the one before of 750, and 500 is no multiple of 3. (Where writing is slow
    // one is left out.)
    let names = ["m.ckpt.2", "m.ckpt.1"];
    let earlier = names.iter().find(|name| folder.0.join(name).exists()).unwrap();
    let [text, _] = good(&folder, &format!("inspect {earlier} --json"));
    let step = serde_json::from_str::<Value>(&text).unwrap()["steps"].as_u64().unwrap();
    assert!([250, 500, 750].contains(&step), "{step}");
    fs::copy(folder.path(earlier), folder.path("m.ckpt")).unwrap();
    let mut cut = fs::read_to_string(folder.path("m.jsonl")).unwrap();
    cut.push_str("{\"event\":\"row\",\"st");
    fs::write(folder.path("m.jsonl"), cut).unwrap();
    good(&folder, "train --resume --quiet --out m.safetensors --log m.jsonl");
    assert!(model == fs::read(folder.path("m.safetensors")).unwrap());
    assert_eq!(fs::read_to_string(folder.path("m.history.csv")).unwrap(), before);
    assert_eq!(events(&folder, "m.jsonl", "row"), rows);
    let starts = events(&folder, "m.jsonl", "start");
    assert_eq!((starts.len(), &starts[1]["step"]), (2, &Value::from(step)));
    assert_eq!(events(&folder, "m.jsonl", "end").len(), 1);

    // There is nothing left to do, and nothing to log.
    let log = fs::read(folder.path("m.jsonl")).unwrap();
    good(&folder, "train --resume --quiet --out m.safetensors --log m.jsonl");
    assert!(fs::read(folder.path("m.jsonl")).unwrap() == log);
    assert_eq!(fs::read_to_string(folder.path("m.history.csv")).unwrap(), before);
}

#[test]
fn a_log_has_a_beginning_rows_and_an_end() {
    let folder = folder("course-log");
    good(&folder, &format!("{TRAIN} --quiet --steps 50"));
    let name = "runs/1/log.jsonl";
    let text = fs::read_to_string(folder.path(name)).unwrap();
    assert!(
        text.starts_with("{\"event\":\"start\",\"step\":0,") && text.ends_with("}\n"),
        "{text}"
    );
    let start = &events(&folder, name, "start")[0];
    assert_eq!(start["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(start["steps"], 50);
    assert_eq!(start["settings"]["layers"], serde_json::json!([784, 12, 784]));
    assert_eq!(start["data"]["features"], 784);
    assert_eq!(start["arguments"][0], "--data");
    let columns = history(&folder, "runs/1/history.csv");
    let rows = events(&folder, name, "row");
    assert_eq!(rows.len(), 50);
    for (at, row) in rows.iter().enumerate() {
        let names = row.as_object().unwrap().keys().filter(|name| *name != "event");
        let have: BTreeMap<_, _> = names.map(|name| (name, row[name].as_f64())).collect();
        let cells = columns.iter().map(|(name, column)| (name, column[at]));
        assert!(have.into_iter().eq(cells.filter(|(_, cell)| cell.is_some())), "{row}");
    }
    let end = &events(&folder, name, "end")[0];
    assert_eq!((&end["reason"], &end["step"]), (&"completed".into(), &50.into()));
    assert_eq!(end["test"]["objective"], rows[49]["test_objective"]);

    // Why else a training ends.
    let diverges = format!(
        "{TRAIN} --quiet --steps 50 --activation relu --beta 0 --output-activation linear --optimizer momentum --lr 1e6 --out d --log d.jsonl"
    );
    let output = command(&folder, &diverges).output().unwrap();
    assert!(!output.status.success());
    let end = &events(&folder, "d.jsonl", "end")[0];
    assert_eq!(end["reason"], "failed");
    let problem = end["error"].as_str().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains(problem) && !problem.is_empty());
    let stops = format!(
        "{TRAIN} --quiet --steps 500 --lr 1e-30 --patience 2 --evaluate-every 5 --out p --log p.jsonl"
    );
    good(&folder, &stops);
    let end = &events(&folder, "p.jsonl", "end")[0];
    assert_eq!((&end["reason"], &end["step"]), (&"early-stopping".into(), &15.into()));
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_says_so_and_is_resumed_with_the_same_rows() {
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    let folder = folder("course-interrupted");
    let steps = 3000;
    let arguments =
        format!("{TRAIN} --quiet --steps {steps} --checkpoint --out m.safetensors --log m.jsonl");
    let mut child = command(&folder, &arguments).stdout(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    // The log is there while it runs.
    while fs::read_to_string(folder.path("m.jsonl")).unwrap_or_default().lines().count() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let end = &events(&folder, "m.jsonl", "end")[0];
    assert_eq!(end["reason"], "interrupted");
    assert!(end["test"]["objective"].is_number() && end["step"].as_u64().unwrap() < steps);
    good(&folder, "train --resume --quiet --out m.safetensors --log m.jsonl");
    good(&folder, &arguments.replace("m.safetensors --log m", "o.safetensors --log o"));
    let text = |name: &str| fs::read_to_string(folder.path(name)).unwrap();
    assert!(text("m.history.csv") == text("o.history.csv"));
    assert_eq!(events(&folder, "m.jsonl", "row"), events(&folder, "o.jsonl", "row"));
    assert_eq!(events(&folder, "m.jsonl", "start").len(), 2);
    let ends = events(&folder, "m.jsonl", "end");
    assert_eq!(
        ends.iter().map(|end| &end["reason"]).collect::<Vec<_>>(),
        ["interrupted", "completed"]
    );
}

#[test]
fn logs_replace_nothing() {
    let folder = folder("course-files");
    let few = format!("{TRAIN} --quiet --steps 4 --checkpoint");
    good(&folder, &format!("{few} --out m.safetensors --log l/m.jsonl"));
    let mine = "my own notes\n";
    fs::write(folder.path("mine.jsonl"), mine).unwrap();
    fs::write(folder.path("mine.csv"), mine).unwrap();
    for (options, problem) in [
        ("--out n --log l/m.jsonl", "l/m.jsonl: this file exists"),
        ("--out n --log mine.jsonl", "mine.jsonl: this file exists"),
        ("--out n --log n.txt", "n.txt: expected a name ending in .jsonl"),
        ("--out n --log digits/t10k-images-idx3-ubyte", "the command reads"),
        ("--out n --history h.csv --log h.csv", "different names"),
        ("--out n --log mine.jsonl/x.jsonl", "mine.jsonl"),
        (
            "--resume --out m.safetensors --log mine.jsonl",
            "mine.jsonl: this file exists, and is no log of a training",
        ),
        (
            "--resume --out m.safetensors --history mine.csv",
            "mine.csv: this file exists, and is no history of a training",
        ),
        ("--out n --test-every -1", "test-every"),
    ] {
        let error = refused(&folder, &format!("{few} {options}"));
        assert!(error.contains(problem), "{options}: {error}");
    }
    assert_eq!(fs::read_to_string(folder.path("mine.jsonl")).unwrap(), mine);
    assert_eq!(fs::read_to_string(folder.path("mine.csv")).unwrap(), mine);
    assert!(!fs::exists(folder.path("n")).unwrap());
    good(&folder, &format!("{few} --overwrite --out m.safetensors --log l/m.jsonl"));
    assert_eq!(events(&folder, "l/m.jsonl", "row").len(), 4);
}

#[test]
fn a_report_reads_histories_of_now_and_before() {
    let folder = folder("course-report");
    good(&folder, &format!("{TRAIN} --quiet --steps 50 --test-every 10 --out m.safetensors"));
    let facts = || {
        good(&folder, "report m.safetensors --overwrite --out r.html");
        let page = fs::read_to_string(folder.path("r.html")).unwrap();
        let facts = page.split("id=\"sae-report\">").nth(1).unwrap();
        let facts: Value = serde_json::from_str(facts.split("</script>").next().unwrap()).unwrap();
        facts["models"][0]["history"].clone()
    };
    let history = facts();
    assert!(history["test_objective"][8].is_null() && history["test_objective"][9].is_number());
    assert_eq!(history["step"].as_array().unwrap().len(), 50);
    assert_eq!(history["mean_activations"].as_array().unwrap().len(), 1);
    let columns = "step,objective,loss,sparsity_penalty,weight_decay,penalty_factor";
    let before = format!("{columns},mean_activation_1\n2,1,0.5,0.25,0.25,1,0.1\n");
    fs::write(folder.path("m.history.csv"), before).unwrap();
    let history = facts();
    assert_eq!(history["objective"], serde_json::json!([1.0]));
    assert!(history.get("test_objective").is_none());
}
