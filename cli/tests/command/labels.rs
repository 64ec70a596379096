//! Labels that are names: of a CSV file's column, and of sub-folders of PNGs.

use std::fs;

use serde_json::Value;

use crate::folder::Folder;
use crate::runs::{good, refused};

const TRAIN: &str = "train --layers 3,6,3 --steps 40 --batch 4 --quiet";

/// Lines of samples, of each class `count`.
fn lines(classes: &[&str], count: usize) -> String {
    let line = |at: usize| {
        let class = at % classes.len();
        let number = |column: usize| ((at * 7 + column * 3) % 11) as f32 / 10.0 + class as f32;
        format!("{},{},{},{}\n", number(0), number(1), number(2), classes[class])
    };
    (0..classes.len() * count).map(line).collect()
}

fn json(folder: &Folder, arguments: &str) -> Value {
    serde_json::from_str(&good(folder, &format!("{arguments} --json"))[0]).unwrap()
}

#[test]
fn names_of_labels_are_shown() {
    let folder = Folder::new("labels-names");
    let all = format!("x,y,z,kind\n{}", lines(&["oak", "\"pine, red\"", "fir"], 20));
    fs::write(folder.path("trees.csv"), all).unwrap();
    let train = format!("{TRAIN} --samples trees.csv --label-column kind --out m.safetensors");
    good(&folder, &train);
    let names = serde_json::json!(["fir", "oak", "pine, red"]);

    let [table, _] = good(&folder, "units m.safetensors --out units.csv");
    assert!(["fir (", "oak (", "pine, red ("].iter().any(|name| table.contains(name)), "{table}");
    let csv = fs::read_to_string(folder.path("units.csv")).unwrap();
    let mut labels = csv.lines().skip(1).filter_map(|line| line.split(',').nth(12));
    assert!(labels.all(|label| ["fir", "oak", "\"pine", ""].contains(&label)), "{csv}");
    let units = json(&folder, "units m.safetensors");
    assert_eq!(units["label_names"], names);
    for unit in units["units"].as_array().unwrap() {
        let name = unit["label"].as_u64().map_or(&Value::Null, |label| &names[label as usize]);
        assert_eq!(&unit["label_name"], name);
    }

    let [codes, _] = good(&folder, "encode m.safetensors --split train --columns label,index");
    let label = |line: &str| match line.strip_prefix("\"pine, red\",") {
        Some(rest) => ("pine, red".to_owned(), rest.to_owned()),
        None => {
            let (label, rest) = line.split_once(',').unwrap();
            (label.to_owned(), rest.to_owned())
        }
    };
    for line in codes.lines() {
        let (label, rest) = label(line);
        let index: usize = rest.split(',').next().unwrap().parse().unwrap();
        assert_eq!(label, ["oak", "pine, red", "fir"][index % 3], "{line}");
    }

    // What is written is read again.
    let columns = "--header --columns index,label";
    good(&folder, &format!("encode m.safetensors {columns} --out codes.csv"));
    good(&folder, "encode m.safetensors --out codes.npy");
    for codes in ["codes.csv", "codes.npy"] {
        good(&folder, &format!("decode m.safetensors {codes} --out {codes}-decoded.npy"));
    }
    let [csv, npy] = ["codes.csv", "codes.npy"]
        .map(|name| fs::read(folder.path(&format!("{name}-decoded.npy"))).unwrap());
    assert!(csv == npy);

    good(&folder, "report m.safetensors --out page.html");
    let page = fs::read_to_string(folder.path("page.html")).unwrap();
    assert!(page.contains(r#""label_names":["fir","oak","pine, red"]"#));
}

/// A name is the same class in all files, whichever classes each has.
#[test]
fn files_may_have_other_classes() {
    let folder = Folder::new("labels-files");
    fs::write(folder.path("1.csv"), lines(&["b", "c"], 20)).unwrap();
    fs::write(folder.path("2.csv"), lines(&["a"], 20)).unwrap();
    fs::write(folder.path("numbers.csv"), lines(&["1", "2"], 5)).unwrap();
    let train = format!("{TRAIN} --label-column 4 --out m.safetensors --overwrite --samples");
    good(&folder, &format!("{train} 1.csv 2.csv --holdout 0"));
    let [codes, _] = good(&folder, "encode m.safetensors --columns label");
    let labels: String = codes.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(labels, "bc".repeat(20) + &"a".repeat(20));
    let problem = refused(&folder, &format!("{train} 1.csv numbers.csv"));
    assert!(
        problem.contains("numbers.csv: some labels are numbers and some are names"),
        "{problem}"
    );

    // Of the test samples b has another number by itself, and is the same class.
    let all = lines(&["a", "b", "c"], 20);
    let some = all.split_inclusive('\n').filter(|line| !line.ends_with("a\n"));
    fs::write(folder.path("some.csv"), some.collect::<String>()).unwrap();
    fs::write(folder.path("all.csv"), all).unwrap();
    good(&folder, &format!("{train} all.csv --test some.csv"));
    let probe = &json(&folder, "eval m.safetensors --probe")["probe"];
    assert!(probe["nearest"].as_f64() > Some(0.5), "{probe}");
}
