//! Histories, comparisons and reports, and the JSON of all commands.

use std::fs;
use std::process::Command;

use crate::folder::Folder;
use crate::usual;
use serde_json::Value;

/// A folder with drawn digits and two models, `normal` and `sparse`.
struct Models(Folder);

impl Models {
    fn new(name: &str) -> Self {
        let folder = Models(Folder::new(name));
        folder.good("make-digits digits --train 600 --test 100");
        for preset in ["normal", "sparse"] {
            let out = format!("{preset}.safetensors");
            folder.good(&format!("{TRAIN} --preset {preset} --out {out} --steps 60"));
        }
        folder
    }

    fn run(&self, arguments: &str) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
        let words: Vec<&str> = arguments.split(' ').collect();
        command.args(&words).args(usual(&words)).current_dir(&self.0.0);
        command.env("XDG_CACHE_HOME", "/nonexistent").env("HOME", "/nonexistent").output().unwrap()
    }

    fn good(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
        assert!(output.stdout.is_empty() && stderr.starts_with("error: "), "{stderr}");
        stderr
    }

    fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.good(arguments)).unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.0.join(name)).unwrap()
    }
}

const TRAIN: &str = "train --data digits --layers 784,48,12,48,784 --threads 1 --quiet";

#[test]
fn a_history_sums_up_and_is_resumed() {
    let folder = Models::new("history");
    let text = folder.read("sparse.history.csv");
    let rows: Vec<Vec<f64>> =
        text.lines().skip(1).map(|l| l.split(',').map(|n| n.parse().unwrap()).collect()).collect();
    assert_eq!(rows.len(), 60);
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(row.len(), 9);
        assert_eq!(row[0], (at + 1) as f64);
        assert!((row[1] - row[2] - row[3] - row[4]).abs() < 1e-12, "{row:?}");
        assert!(row[2..5].iter().all(|&term| term > 0.0), "{row:?}");
    }
    assert!(rows[59][1] < rows[0][1]);
    // A resumed run has the same rows, those after the checkpoint once.
    let arguments =
        format!("{TRAIN} --out r.safetensors --checkpoint r.ckpt --checkpoint-every 20");
    folder.good(&format!("{arguments} --steps 40"));
    let half = folder.read("r.history.csv");
    assert_eq!(half.lines().count(), 41);
    fs::write(folder.0.0.join("r.history.csv"), format!("{half}41,1,1,0,0,1,0,0,0\n42,half a li"))
        .unwrap();
    folder.good(&format!("{arguments} --steps 60 --resume"));
    assert_eq!(folder.read("r.history.csv"), text);
    let stderr =
        folder.refused(&format!("{TRAIN} --out m.history.csv --history m.history.csv --steps 2"));
    assert!(stderr.contains("the model and the history need different names"), "{stderr}");
}

#[test]
fn models_side_by_side() {
    let folder = Models::new("compare");
    let text = folder.good("compare normal.safetensors sparse.safetensors --data digits");
    let values = folder.json("compare normal.safetensors sparse.safetensors --data digits --json");
    let models = values["models"].as_array().unwrap();
    assert_eq!(models.len(), 2);
    for (at, model) in models.iter().enumerate() {
        let alone = format!("eval {} --data digits --json", model["model"].as_str().unwrap());
        assert_eq!(folder.json(&alone)["objective"], model["evaluation"]["objective"]);
        let objective = text.lines().find(|line| line.starts_with("objective")).unwrap();
        let shown: f64 = objective.split_whitespace().nth(1 + at).unwrap().parse().unwrap();
        let expected = model["evaluation"]["objective"].as_f64().unwrap();
        assert!((shown / expected - 1.0).abs() < 1e-5, "{shown} {expected}");
    }
    // 20 digits in two bands of three rows.
    let png = fs::read(folder.0.0.join("compare.png")).unwrap();
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!((side(16), side(20)), (4 + 10 * 60, 4 + 6 * 60 + 8 - 4 + 4));
    // Each digit once, above its own reconstructions.
    let mut reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    let tile = |row: usize, column: usize| -> Vec<u8> {
        let (top, left) = (4 + row * 60 + row / 3 * 8, 4 + column * 60);
        (0..56).flat_map(|y| pixels[(top + y) * 604 + left..][..56].to_vec()).collect()
    };
    let images = fs::read(folder.0.0.join("digits/t10k-images-idx3-ubyte")).unwrap();
    for digit in 0..20 {
        let shown = tile(digit / 10 * 3, digit % 10);
        let drawn = &images[16 + digit * 784..][..784];
        let small = shown.chunks(112).flat_map(|rows| rows[..56].iter().step_by(2).copied());
        assert!(small.eq(drawn.iter().copied()), "digit {digit}");
    }
    folder.good("train --images digits/t10k-images-idx3-ubyte --layers 784,8,784 --steps 3 --quiet --out one.safetensors");
    let stderr = folder.refused("compare one.safetensors two.safetensors --data digits");
    assert!(stderr.contains("two.safetensors"), "{stderr}");
    folder.good("cut-patches patches.idx --data digits --count 200");
    let stderr = folder.refused("compare normal.safetensors --images patches.idx");
    let right =
        stderr.contains("takes samples of 784 features") && stderr.contains("hint: give the data");
    assert!(right, "{stderr}");
}

#[test]
fn a_report_holds_all() {
    let folder = Models::new("report");
    let arguments = "report normal.safetensors sparse.safetensors --data digits --out both.html";
    folder.good(arguments);
    let page = folder.read("both.html");
    assert!(!page.contains("http://") && !page.contains("https://"), "the page needs a network");
    assert!(!page.contains("NaN") && !page.contains(">inf"), "a number that is not finite");
    // Two models: objective, activity, two histograms, sparsity; two layers' tiles; two strips of three.
    assert_eq!(page.matches("<svg ").count(), 10);
    assert_eq!(page.matches("<img ").count(), 4 + 6);
    assert!(page.contains("KL divergence, rho 0.02") && page.contains("has no KL penalty"));
    let beta = r#"<tr class="differs"><th scope="row">beta</th><td>0.0</td><td>0.000075</td>"#;
    assert!(page.contains(beta), "the settings do not tell what differs");
    let facts = page.split("id=\"sae-report\">").nth(1).unwrap().split("</script>").next().unwrap();
    let facts: Value = serde_json::from_str(facts).unwrap();
    let sparse = &facts["models"][1];
    assert_eq!(sparse["history"]["step"].as_array().unwrap().len(), 60);
    assert_eq!(sparse["units"][0].as_array().unwrap().len(), 48);
    let alone = folder.json("eval sparse.safetensors --data digits --json");
    assert_eq!(sparse["evaluation"]["objective"], alone["objective"]);
    // The page is reproducible.
    folder.good(arguments);
    assert_eq!(page, folder.read("both.html"));

    // A page without history, and of a model with a top-k code.
    fs::remove_file(folder.0.0.join("normal.history.csv")).unwrap();
    let output = folder.run("report normal.safetensors --data digits");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no curves of normal"));
    assert!(folder.read("report.html").contains("There are no curves"));
    folder.good(&format!(
        "{TRAIN} --steps 30 --activation relu --beta 0 --code top-k:4 --init he --lr 0.001 --out <b>&k.safetensors"
    ));
    folder.good("report <b>&k.safetensors --data digits --out k.html");
    let page = folder.read("k.html");
    assert!(page.contains("<h1>&lt;b&gt;&amp;k</h1>") && !page.contains("<b>&k"), "not escaped");
    assert!(page.contains("exactly 0 and not drawn"));
    fs::write(folder.0.0.join("sparse.history.csv"), "step,objective\n1,2\n").unwrap();
    let stderr = folder.refused("report sparse.safetensors --data digits");
    assert!(stderr.contains("sparse.history.csv: not a training history"), "{stderr}");
}

#[test]
fn json_of_every_command() {
    let folder = Models::new("machines");
    let m = "sparse.safetensors";
    for (arguments, field, value) in [
        (format!("reconstruct {m} --data digits --count 7"), "samples", 7),
        (format!("features {m} --layer 2"), "units", 12),
        (format!("features {m} --units 5"), "units", 5),
        (format!("encode {m} --data digits --out c.npy"), "units", 12),
        (format!("encode {m} --data digits"), "samples", 100),
        (format!("decode {m} c.npy --out s.npy"), "features", 784),
        (format!("inspect {m} --picture units.png"), "parameters", 77_308),
        ("inspect digits/t10k-images-idx3-ubyte --picture digits.png".into(), "samples", 100),
        ("make-digits more --train 30 --test 20".into(), "train", 30),
        ("cut-patches p.idx --data digits --count 40 --side 5".into(), "patches", 40),
        (format!("report {m} --data digits"), "report", 0),
        (format!("compare {m} --data digits"), "picture", 0),
    ] {
        let object = folder.json(&format!("{arguments} --json"));
        match &object[field] {
            Value::Number(number) => {
                assert_eq!(number.as_u64(), Some(value), "{arguments}: {object}")
            }
            Value::String(_) if value == 0 => {}
            _ => panic!("{arguments}: {object}"),
        }
    }
    let codes = folder.json(&format!("encode {m} --data digits --json"));
    let row: Vec<f64> = serde_json::from_value(codes["codes"][99].clone()).unwrap();
    let line = folder.good(&format!("encode {m} --data digits")).lines().last().unwrap().to_owned();
    let line: Vec<f32> = line.split(',').map(|number| number.parse().unwrap()).collect();
    assert_eq!(row.iter().map(|&v| v as f32).collect::<Vec<_>>(), line);
}

#[test]
fn misuse_gets_one_sentence() {
    let folder = Models::new("misuse");
    for (arguments, sentence) in [
        ("features sparse.safetensors --layer 3", "the encoder has 2 layers, got --layer 3"),
        ("features sparse.safetensors --norm 0", "norm: 0"),
        ("features digits/t10k-images-idx3-ubyte", "safetensors"),
        ("report digits/t10k-images-idx3-ubyte --data digits", "safetensors"),
        ("report sparse.safetensors --data nowhere", "nowhere"),
        ("report sparse.safetensors --data digits --out none/r.html", "none/r.html"),
        ("compare sparse.safetensors --data digits --out sparse.safetensors/c.png", "c.png"),
        ("inspect nothing.idx", "nothing.idx"),
        ("inspect digits/t10k-labels-idx1-ubyte --picture l.png", "it has no images"),
    ] {
        let stderr = folder.refused(arguments);
        assert!(stderr.contains(sentence), "{arguments}: {stderr}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = folder.good(&format!("completions {shell}"));
        assert!(script.contains("make-digits") && script.contains("batch"), "{shell}");
    }
}
