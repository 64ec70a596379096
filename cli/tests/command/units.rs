//! What units do, scores of samples, reconstructions and codes in files, and the names of these.

use std::fs;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::folder::Folder;
use sae::data::{Array, write_idx, write_npy};

fn run(folder: &Folder, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
    command.env("XDG_CACHE_HOME", "/nonexistent").env("HOME", "/nonexistent");
    let args: Vec<&str> = line.split_whitespace().collect();
    let usual = crate::usual(&args);
    command.current_dir(&folder.0).args(args).args(usual).stdin(Stdio::null()).output().unwrap()
}

fn good(folder: &Folder, line: &str) -> String {
    let Output { status, stdout, stderr } = run(folder, line);
    assert!(status.success(), "{line}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn json(folder: &Folder, line: &str) -> Value {
    serde_json::from_str(&good(folder, &format!("{line} --json"))).unwrap()
}

/// The first line of standard error of a run that must fail on invalid input.
fn refused(folder: &Folder, line: &str) -> String {
    let Output { status, stderr, .. } = run(folder, line);
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{line}: {stderr}");
    assert!(stderr.starts_with("error: ") && !stderr.contains("panicked"), "{line}: {stderr}");
    stderr.lines().next().unwrap().to_owned()
}

fn lines(folder: &Folder, name: &str) -> Vec<String> {
    fs::read_to_string(folder.path(name)).unwrap().lines().map(str::to_owned).collect()
}

/// 700 samples of 9 features, whose last 100 are the test samples of `m.safetensors`.
fn trained(name: &str) -> Folder {
    let folder = Folder::new(name);
    let value = |at: usize| ((at * at / 7 + at / 9 * 31) % 23) as f32 / 4.0 - 2.0;
    let values: Vec<f32> = (0..700 * 9).map(value).collect();
    write_npy(folder.path("x.npy"), &[700, 9], &values).unwrap();
    let labels: Vec<u8> = (0..700).map(|i| (i % 3) as u8).collect();
    write_npy(folder.path("labels.npy"), &[700], &labels).unwrap();
    let names: Vec<String> = (0..700).map(|i| format!("n{i}")).collect();
    fs::write(folder.path("names.txt"), names.join("\n")).unwrap();
    good(
        &folder,
        "train --samples x.npy --scaling mean-deviation:feature --layers 9,12,24,12,9 --code top-k:3 \
         --activation relu --output-activation linear --beta 0 --steps 60 --holdout 100 \
         --out m.safetensors --quiet",
    );
    folder
}

#[test]
fn units_are_listed_with_labels_names_and_neighbors() {
    let folder = trained("units");
    let options = "--labels labels.npy --names names.txt --context 1 --top 2";
    let value = json(&folder, &format!("units m.safetensors {options}"));
    assert_eq!(
        (&value["samples"], &value["layer"], &value["count"]),
        (&100.into(), &2.into(), &24.into())
    );
    let units = value["units"].as_array().unwrap();
    let active: u64 = units.iter().map(|unit| unit["active"].as_u64().unwrap()).sum();
    assert_eq!(active, 300);
    // The numbers of test samples are those in the file: all of the data gives the same activations.
    let codes = good(&folder, "encode m.safetensors --samples x.npy");
    let codes: Vec<Vec<f64>> =
        codes.lines().map(|line| line.split(',').map(|x| x.parse().unwrap()).collect()).collect();
    for unit in units.iter().filter(|unit| unit["active"] != 0) {
        let labels = unit["labels"].as_array().unwrap();
        let counts: Vec<u64> = labels.iter().map(|count| count.as_u64().unwrap()).collect();
        assert_eq!(counts.iter().sum::<u64>(), unit["active"].as_u64().unwrap());
        let most = counts.iter().max().unwrap();
        let share = *most as f64 / unit["active"].as_f64().unwrap();
        assert!((unit["label_share"].as_f64().unwrap() - share).abs() < 1e-9);
        let label = unit["label"].as_u64().unwrap() as usize;
        assert_eq!(counts[label], *most);
        for top in unit["top"].as_array().unwrap() {
            let sample = top["sample"].as_u64().unwrap() as usize;
            let number = unit["unit"].as_u64().unwrap() as usize;
            assert!((codes[sample][number] - top["activation"].as_f64().unwrap()).abs() < 1e-6);
            assert_eq!(top["name"], format!("n{sample}"));
            assert!(top["context"].as_str().unwrap().contains(&format!("[n{sample}]")), "{top}");
        }
    }
    // A file by unit, or by the order; every format has the same.
    good(&folder, &format!("units m.safetensors {options} --out u.csv"));
    let table = lines(&folder, "u.csv");
    let header: Vec<&str> = table[0].split(',').collect();
    assert_eq!(header.len(), 12 + 2 + 2 * 4, "{header:?}");
    assert_eq!(
        header[12..18],
        ["label", "label_share", "top_1_sample", "top_1_activation", "top_1_name", "top_1_context"]
    );
    assert_eq!(table.len(), 25);
    for (line, unit) in table[1..].iter().zip(units) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!((cells.len(), cells[0]), (header.len(), &*unit["unit"].to_string()), "{line}");
        assert_eq!(cells[1], unit["active"].to_string());
    }
    good(&folder, &format!("units m.safetensors {options} --out u.json"));
    good(&folder, &format!("units m.safetensors {options} --out u.jsonl"));
    let file: Value =
        serde_json::from_str(&fs::read_to_string(folder.path("u.json")).unwrap()).unwrap();
    assert_eq!(file, value);
    let each: Vec<Value> =
        lines(&folder, "u.jsonl").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(&each, units);
    good(&folder, "units m.safetensors --sort frequency --out u.csv");
    let counts: Vec<u64> = lines(&folder, "u.csv")[1..]
        .iter()
        .map(|line| line.split(',').nth(1).unwrap().parse().unwrap())
        .collect();
    assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
}

#[test]
fn units_in_the_terminal_are_readable() {
    let folder = trained("units-text");
    let text = good(&folder, "units m.safetensors --labels labels.npy --show 3 --sort max");
    let title = "100 samples of x.npy\ncode (top-k:3) of 24 units: ";
    assert!(text.replace(&folder.path(""), "").starts_with(title), "{text}");
    assert!(text.contains("nearest (cos)") && text.contains("more; --out writes all"), "{text}");
    assert_eq!(text.lines().count(), 2 + 1 + 1 + 3 + 1, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    let text = good(&folder, "units m.safetensors --layer 1 --split train --names names.txt");
    assert!(text.contains("600 samples") && text.contains("layer 1 of 12 units"), "{text}");
    fs::write(folder.path("bad.txt"), "\u{1b}[31m\n".repeat(700)).unwrap();
    let text = good(&folder, "units m.safetensors --names bad.txt --context 2");
    assert!(!text.contains('\u{1b}') && text.contains("[\u{fffd}[31m]"), "{text}");
}

#[test]
fn labels_and_names_have_to_fit() {
    let folder = trained("units-refused");
    fs::write(folder.path("few.txt"), "a\nb\n").unwrap();
    let text = refused(&folder, "units m.safetensors --names few.txt");
    assert!(text.contains("few.txt: expected 700 lines, a name for each sample, got 2"), "{text}");
    write_npy(folder.path("few.npy"), &[3], &[1u8, 2, 3]).unwrap();
    let text = refused(&folder, "units m.safetensors --labels few.npy");
    assert!(text.contains("expected 700 labels"), "{text}");
    let text = refused(&folder, "units m.safetensors --sort purity");
    assert!(text.contains("sort: purity is that of labels"), "{text}");
    let text = refused(&folder, "units m.safetensors --layer 4");
    assert_eq!(text, "error: --layer: expected a hidden layer from 1 to 3, got 4");
    assert!(refused(&folder, "units m.safetensors --names no.txt").contains("cannot read no.txt"));
    refused(&folder, "units m.safetensors --context 3");
    refused(&folder, "units m.safetensors --samples x.npy --split train");
    // Labels of the test samples alone fit, too.
    write_npy(folder.path("test.npy"), &[100], &[1u8; 100]).unwrap();
    let value = json(&folder, "units m.safetensors --labels test.npy");
    assert!(value["units"].as_array().unwrap().iter().all(|u| u["active"] == 0 || u["label"] == 1));
}

#[test]
fn scores_find_anomalies() {
    let folder = trained("score");
    let table = good(&folder, "score m.safetensors");
    let rows: Vec<Vec<f64>> = table
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(|x| x.parse().unwrap()).collect())
        .collect();
    assert!(table.starts_with("sample,error,l0\n") && rows.len() == 100);
    let mean = rows.iter().map(|row| row[1]).sum::<f64>() / 100.0;
    let evaluation = json(&folder, "eval m.safetensors");
    assert!((evaluation["squared_error"].as_f64().unwrap() - mean).abs() < 1e-9 * mean);
    assert!(rows.iter().all(|row| row[2] == 3.0));
    let mut sorted = rows.clone();
    sorted.sort_by(|a, b| b[1].total_cmp(&a[1]));
    let value = json(&folder, "score m.safetensors --top 4 --names names.txt");
    assert!((value["mean_error"].as_f64().unwrap() - mean).abs() < 1e-9 * mean);
    for (row, expected) in value["scores"].as_array().unwrap().iter().zip(&sorted) {
        assert_eq!(
            (row["sample"].as_f64(), row["error"].as_f64()),
            (Some(expected[0]), Some(expected[1]))
        );
        assert_eq!(row["name"], format!("n{}", expected[0]));
    }
    // The same numbers as of the whole file.
    let all = good(&folder, "score m.safetensors --samples x.npy");
    let all: Vec<&str> = all.lines().skip(1).collect();
    for row in &rows {
        let other: Vec<f64> = all[row[0] as usize].split(',').map(|x| x.parse().unwrap()).collect();
        assert_eq!(other[0], row[0]);
        assert!((other[1] - row[1]).abs() < 1e-5);
    }
    good(&folder, "score m.safetensors --out s.csv");
    assert_eq!(fs::read_to_string(folder.path("s.csv")).unwrap(), table);
    good(&folder, "score m.safetensors --split train --top 5 --out s.jsonl");
    assert_eq!(lines(&folder, "s.jsonl").len(), 5);
    fs::write(folder.path("quoted.txt"), "a,\"b\"\n".repeat(700)).unwrap();
    good(&folder, "score m.safetensors --names quoted.txt --out s.csv");
    assert!(lines(&folder, "s.csv")[1].ends_with(",\"a,\"\"b\"\"\""));
    assert!(good(&folder, "score m.safetensors --top 2").contains("of the mean"));
}

#[test]
fn reconstructions_have_the_units_of_the_data() {
    let folder = trained("reconstruct");
    good(&folder, "reconstruct m.safetensors --samples x.npy --out r.npy");
    let (data, outputs) =
        (Array::open(folder.path("x.npy")).unwrap(), Array::open(folder.path("r.npy")).unwrap());
    assert_eq!(outputs.dims(), [700, 9]);
    let errors = good(&folder, "score m.safetensors --samples x.npy");
    let net = sae::Autoencoder::load(folder.path("m.safetensors")).unwrap();
    let sae::Scaling::MeanDeviationByFeature { deviation, .. } = net.scaling() else { panic!() };
    let (mut x, mut a) = ([0.0; 9], [0.0; 9]);
    for (sample, line) in errors.lines().skip(1).enumerate() {
        data.read_row(sample, &mut x);
        outputs.read_row(sample, &mut a);
        let square = |at: usize| (f64::from(a[at] - x[at]) / deviation[at]).powi(2);
        let error = (0..9).map(square).sum::<f64>() / 9.0;
        let expected: f64 = line.split(',').nth(1).unwrap().parse().unwrap();
        assert!(
            (error - expected).abs() < 1e-4 * (1.0 + expected),
            "{sample}: {error}, {expected}"
        );
    }
    good(&folder, "reconstruct m.safetensors --out r.idx --count 7");
    assert_eq!(Array::open(folder.path("r.idx")).unwrap().dims(), [7, 9]);
    good(&folder, "reconstruct m.safetensors --out r/ --count 12");
    assert_eq!(fs::read_dir(folder.path("r")).unwrap().count(), 12);
    let png = fs::read_dir(folder.path("r")).unwrap().next().unwrap().unwrap().path();
    assert!(fs::read(png).unwrap().starts_with(b"\x89PNG"));
    good(&folder, "reconstruct m.safetensors --out r.png");
    assert!(refused(&folder, "reconstruct m.safetensors --out r/").contains("new or empty folder"));
}

#[test]
fn bytes_become_bytes_again() {
    let folder = Folder::new("reconstruct-bytes");
    let values: Vec<u8> = (0..60 * 16).map(|i| (i * i % 251) as u8).collect();
    write_idx(folder.path("x.idx"), &[60, 2, 8], &values).unwrap();
    let train =
        "train --samples x.idx --layers 16,64,16 --activation relu --output-activation linear";
    let options = "--beta 0 --lambda 0 --steps 1500 --holdout 10 --batch 50 --lr 3e-3 --quiet";
    good(&folder, &format!("{train} {options} --out m.safetensors"));
    let value = json(&folder, "reconstruct m.safetensors --split train --out r.npy");
    assert_eq!((&value["type"], &value["samples"]), (&"u8".into(), &50.into()));
    let outputs = Array::open(folder.path("r.npy")).unwrap();
    assert_eq!((outputs.dims(), outputs.as_u8().is_some()), (&[50, 2, 8][..], true));
    good(&folder, "reconstruct m.safetensors --samples x.idx --out all.idx");
    let all = Array::open(folder.path("all.idx")).unwrap();
    let far = all.as_u8().unwrap().iter().zip(&values).filter(|(a, x)| a.abs_diff(**x) > 60);
    assert!(far.count() < 200);
    // They go back in as they came out, and PNGs have them, too.
    good(&folder, "eval m.safetensors --samples all.idx");
    good(&folder, "reconstruct m.safetensors --samples x.idx --out pngs/");
    good(&folder, "convert pngs back.idx");
    assert_eq!(
        fs::read(folder.path("back.idx")).unwrap(),
        fs::read(folder.path("all.idx")).unwrap()
    );
}

/// JSON has the digits of `f32` that CSV has, and not those of the same number as `f64`.
#[test]
fn numbers_of_json_are_short() {
    let folder = trained("short-json");
    let value = json(&folder, "encode m.safetensors");
    let text = good(&folder, "encode m.safetensors");
    for (line, code) in text.lines().zip(value["codes"].as_array().unwrap()) {
        let numbers =
            code.as_array().unwrap().iter().map(|number| number.as_f64().unwrap().to_string());
        assert_eq!(numbers.collect::<Vec<_>>().join(","), line);
    }
    let value = json(&folder, "units m.safetensors");
    for unit in value["units"].as_array().unwrap() {
        for name in ["mean", "max", "nearest_cosine"] {
            let text = unit[name].to_string();
            assert!(text.trim_start_matches(['-', '0', '.']).len() <= 11, "{name}: {text}");
        }
    }
}

/// `decode` writes what `reconstruct` writes, and a folder's name is one rule in all commands.
#[test]
fn codes_become_what_samples_do() {
    let folder = trained("decode-all");
    let values: Vec<u8> = (0..60 * 16).map(|i| (i * i % 251) as u8).collect();
    write_idx(folder.path("b.idx"), &[60, 2, 8], &values).unwrap();
    let options = "--steps 20 --batch 50 --quiet";
    good(
        &folder,
        &format!(
            "train --samples b.idx --preset plain --layers 16,8,16 {options} --out b.safetensors"
        ),
    );
    let content = |name: &str| {
        let path = folder.0.join(name);
        if !path.is_dir() {
            return vec![(name.to_owned(), fs::read(&path).unwrap())];
        }
        let all = crate::runs::files(&path);
        fs::remove_dir_all(&path).unwrap();
        all
    };
    for (model, samples, folders) in
        [("b.safetensors", "b.idx", &["pngs", "pngs.2/"][..]), ("m.safetensors", "x.npy", &[])]
    {
        good(&folder, &format!("encode {model} --samples {samples} --out c.npy"));
        for to in ["n.npy", "n-ubyte", "n.csv"].iter().chain(folders) {
            good(&folder, &format!("reconstruct {model} --samples {samples} --out {to}"));
            let expected = content(to);
            good(&folder, &format!("decode {model} c.npy --out {to}"));
            assert!(content(to) == expected, "{model} {to}");
        }
        good(&folder, &format!("decode {model} c.npy --out picture.png"));
        assert!(fs::read(folder.path("picture.png")).unwrap().starts_with(b"\x89PNG"));
    }
    for name in ["converted", "converted.2/"] {
        good(&folder, &format!("convert b.idx {name}"));
        assert_eq!(content(name).len(), 60);
    }
    let text = refused(&folder, "convert b.idx converted.3");
    assert!(text.contains("or a folder, without an ending or with / at the end"), "{text}");
    for command in ["reconstruct m.safetensors", "decode m.safetensors c.npy"] {
        let text = refused(&folder, &format!("{command} --out some.thing"));
        assert!(text.ends_with("or that of a folder"), "{text}");
    }
}

#[test]
fn codes_have_columns_and_come_from_any_layer() {
    let folder = trained("encode-columns");
    let plain = good(&folder, "encode m.safetensors");
    let columns = "--header --columns index,label --labels labels.npy";
    let text = good(&folder, &format!("encode m.safetensors {columns}"));
    let header = text.lines().next().unwrap();
    assert!(
        header.starts_with("index,label,unit_0,unit_1,") && header.ends_with(",unit_23"),
        "{header}"
    );
    for (line, code) in text.lines().skip(1).zip(plain.lines()) {
        let (index, rest) = line.split_once(',').unwrap();
        let (label, rest) = rest.split_once(',').unwrap();
        let index: usize = index.parse().unwrap();
        assert_eq!((label, rest), (&*(index % 3).to_string(), code));
    }
    good(&folder, "encode m.safetensors --layer 1 --split train --out first.npy");
    assert_eq!(Array::open(folder.path("first.npy")).unwrap().dims(), [600, 12]);
    let value = json(&folder, "encode m.safetensors --layer 3");
    assert_eq!((&value["units"], value["codes"].as_array().unwrap().len()), (&12.into(), 100));
    for (options, sentence) in [
        ("--header --out c.npy", "header: only CSV has it"),
        ("--columns index --json", "columns: only CSV has it"),
        ("--columns label", "no labels are given for these samples"),
        ("--columns index --labels labels.npy", "labels: they are for the column"),
        ("--layer 4", "layer: expected a hidden layer from 1 to 3, got 4"),
        ("--layer 1 --sparse --out c.npz", "sparse: it is for the code"),
    ] {
        let text = refused(&folder, &format!("encode m.safetensors {options}"));
        assert!(text.contains(sentence), "{options}: {text}");
    }
}

#[test]
fn unknown_endings_are_refused_and_nothing_that_is_read_is_overwritten() {
    let folder = trained("endings");
    write_idx(folder.path("codes.idx"), &[2, 24], &[0f32; 48]).unwrap();
    write_idx(folder.path("images.idx"), &[9, 16, 16], &[7u8; 9 * 256]).unwrap();
    for command in [
        "units m.safetensors --out u.txt",
        "score m.safetensors --out s.json",
        "encode m.safetensors --out c.txt",
        "reconstruct m.safetensors --out r.jpg",
        "reconstruct m.safetensors --out r.txt",
        "features m.safetensors --out f.npy",
        "compare m.safetensors --out c.npy",
        "report m.safetensors --out r.png",
        "decode m.safetensors codes.idx --out d.txt",
        "inspect images.idx --picture p.jpg",
        "cut-patches p.csv --samples images.idx",
        "sweep --samples x.npy --layers 9,4,9 --vary beta=log:1e-6:1e-3 --quiet --out s.txt",
        "sweep --samples x.npy --layers 9,4,9 --vary beta=log:1e-6:1e-3 --quiet --picture s.png",
        "train --samples x.npy --layers 9,4,9 --out n.safetensors --quiet --picture p.jpg",
        "train --samples x.npy --layers 9,4,9 --out n.safetensors --quiet --history h.txt",
    ] {
        let text = refused(&folder, command);
        assert!(text.contains("expected a name ending in"), "{command}: {text}");
    }
    // Named as what is written, so that the ending is right.
    let copy = |from: &str, to: &str| fs::copy(folder.path(from), folder.path(to)).unwrap();
    for to in ["m.csv", "m.png", "m.html", "m.npy"] {
        copy("m.safetensors", to);
        copy("m.data.json", &format!("{to}.data.json"));
    }
    copy("names.txt", "names.csv");
    copy("labels.npy", "labels.csv");
    for command in [
        "units m.csv --out m.csv",
        "units m.safetensors --out m.data.json",
        "units m.safetensors --names names.csv --out names.csv",
        "units m.safetensors --labels labels.csv --out labels.csv",
        "score m.csv --out m.csv",
        "score m.safetensors --names names.csv --out names.csv",
        "encode m.safetensors --out x.npy",
        "encode m.csv --out m.csv",
        "reconstruct m.safetensors --out x.npy",
        "reconstruct m.npy --out m.npy",
        "features m.png --out m.png",
        "compare m.png --out m.png",
        "report m.html --out m.html",
        "decode m.safetensors codes.idx --out codes.idx",
        "inspect m.png --picture m.png",
        "cut-patches images.idx --samples images.idx",
    ] {
        let named = command.rsplit(' ').find(|word| word.contains('.')).unwrap();
        let before = fs::read(folder.path(named)).unwrap();
        let text = refused(&folder, command);
        assert!(text.contains("which would be overwritten"), "{command}: {text}");
        assert_eq!(fs::read(folder.path(named)).unwrap(), before, "{command}");
    }
}

#[test]
fn a_folder_of_digits_has_labels_and_keeps_its_files() {
    let folder = Folder::new("units-digits");
    good(&folder, "make-digits digits --train 300 --test 90");
    let train = "train --data digits --layers 784,20,784 --code top-k:4 --activation relu";
    good(
        &folder,
        &format!(
            "{train} --output-activation linear --beta 0 --steps 20 --out m.safetensors --quiet"
        ),
    );
    for (options, samples) in [
        ("", 90),
        ("--split train", 300),
        ("--data digits", 90),
        ("--data digits --split train", 300),
    ] {
        let value = json(&folder, &format!("units m.safetensors {options}"));
        assert_eq!(value["samples"], samples, "{options}");
        let units = value["units"].as_array().unwrap();
        let labels = |unit: &Value| {
            unit["labels"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>()
        };
        assert!(units.iter().all(|unit| labels(unit) == unit["active"].as_u64().unwrap()));
        assert!(units.iter().map(labels).sum::<u64>() > 3 * samples, "{options}");
    }
    let text = refused(&folder, "encode m.safetensors --out new-idx3-ubyte");
    assert!(text.contains("expected a name ending in .csv, .idx or .npy"), "{text}");
    for out in ["t10k-images-idx3-ubyte", "train-labels-idx1-ubyte"] {
        let text = refused(&folder, &format!("reconstruct m.safetensors --out digits/{out}"));
        assert!(text.contains("which would be overwritten"), "{text}");
    }
}

#[test]
fn a_unit_of_few_samples_is_not_the_purest() {
    let folder = trained("units-purity");
    let value = json(&folder, "units m.safetensors --labels labels.npy --sort purity");
    let units = value["units"].as_array().unwrap();
    // The lower end of Wilson's interval, in another form.
    let sure: Vec<f64> = (units.iter())
        .filter(|unit| unit["active"] != 0)
        .map(|unit| {
            let (n, share) =
                (unit["active"].as_f64().unwrap(), unit["label_share"].as_f64().unwrap());
            let z2n = 1.96 * 1.96 / n;
            let root = (z2n * (share * (1.0 - share) + z2n / 4.0)).sqrt();
            (share + z2n / 2.0 - root) / (1.0 + z2n)
        })
        .collect();
    assert!(sure.len() > 5 && sure.windows(2).all(|pair| pair[0] >= pair[1] - 1e-9), "{sure:?}");
    // The shares alone would be another order.
    let shares = units.iter().filter_map(|unit| unit["label_share"].as_f64());
    assert!(!shares.is_sorted_by(|a, b| a >= b), "{units:?}");
}
