//! Histories, comparisons and reports, and the JSON of all commands.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;

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

const TRAIN: &str =
    "train --data digits --layers 784,48,12,48,784 --threads 1 --quiet --test-every 20";

#[test]
fn a_history_sums_up_and_is_resumed() {
    let folder = Models::new("history");
    let text = folder.read("sparse.history.csv");
    let rows: Vec<Vec<f64>> = text
        .lines()
        .skip(1)
        .map(|l| l.split(',').map(|n| n.parse().unwrap_or(-1.0)).collect())
        .collect();
    assert_eq!(rows.len(), 60);
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(row.len(), 17);
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
    let arguments = "compare normal.safetensors sparse.safetensors --data digits";
    let text = folder.good(arguments);
    // Only a picture that is asked for is written; the table comes as often as it is asked for.
    assert!(!text.contains("picture") && !folder.0.0.join("compare.png").exists(), "{text}");
    assert_eq!(folder.good(arguments), text);
    let picture = folder.good(&format!("{arguments} --out compare.png"));
    assert_eq!(picture, format!("{text}picture: compare.png\n"));
    assert!(folder.refused(&format!("{arguments} --count 3")).contains("--out"));
    let values = folder.json(&format!("{arguments} --json"));
    assert!(values["picture"].is_null(), "{values}");
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

/// The JSON of a page, and its arrays by name as bytes, with their types.
fn page_data(page: &str) -> (Value, impl Fn(&str) -> Vec<u8> + use<>) {
    let element = |id: &str| {
        let start = page.split(&format!("id=\"{id}\">")).nth(1).unwrap();
        start.split("</script>").next().unwrap().to_owned()
    };
    let facts: Value = serde_json::from_str(&element("sae-report")).unwrap();
    let packed = STANDARD.decode(element("sae-arrays").trim()).unwrap();
    let mut bytes = Vec::new();
    ZlibDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    let places = facts["arrays"].clone();
    let array = move |name: &str| {
        let place = &places[name];
        let number = |at: usize| place[at].as_u64().unwrap_or_else(|| panic!("{name}")) as usize;
        let size = if place[0] == "u8" || place[0] == "i8" { 1 } else { 4 };
        bytes[number(1)..][..size * number(2)].to_vec()
    };
    (facts, array)
}

fn floats(bytes: Vec<u8>) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&four| f32::from_le_bytes(four)).collect()
}

fn whole(bytes: Vec<u8>) -> Vec<usize> {
    bytes.as_chunks::<4>().0.iter().map(|&four| u32::from_le_bytes(four) as usize).collect()
}

#[test]
fn a_report_holds_all() {
    let folder = Models::new("report");
    let arguments = "report normal.safetensors sparse.safetensors --data digits --out both.html";
    folder.good(arguments);
    let page = folder.read("both.html");
    let content = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!content.contains("http://") && !content.contains("https://"), "it needs a network");
    assert!(!page.contains("{{") && page.len() < 5_000_000);
    // Two strips of three rows of ten.
    assert_eq!(page.matches("<img ").count(), 60);
    let beta = r#"<code>beta</code></th><td class="whole">0</td><td class="whole">7.5e-5</td>"#;
    assert!(page.contains(beta), "the settings do not tell what differs");
    assert_eq!(page.matches("class=\"number\"").count(), 6);
    let (facts, array) = page_data(&page);
    let sparse = &facts["models"][1];
    assert_eq!(sparse["history"]["step"].as_array().unwrap().len(), 60);
    assert_eq!(sparse["rho"], serde_json::json!([0.02, 0.02]));
    assert_eq!(floats(array("m1.l0.mean")).len(), 48);
    let alone = folder.json("eval sparse.safetensors --data digits --json");
    assert_eq!(sparse["evaluation"]["objective"], alone["objective"]);
    let image = serde_json::json!({"rows": 28, "columns": 28, "channels": 1, "planar": false});
    assert_eq!(facts["image"], image);
    // The page is reproducible.
    folder.good(arguments);
    assert_eq!(page, folder.read("both.html"));

    // A page without history, and of a model with a top-k code.
    fs::remove_file(folder.0.0.join("normal.history.csv")).unwrap();
    let output = folder.run("report normal.safetensors --data digits");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no curves of normal"));
    assert!(page_data(&folder.read("report.html")).0["models"][0]["history"].is_null());
    folder.good(&format!(
        "{TRAIN} --steps 30 --activation relu --beta 0 --code top-k:4 --init he --lr 0.001 --out <b>&k.safetensors"
    ));
    folder.good("report <b>&k.safetensors --data digits --out k.html");
    let page = folder.read("k.html");
    assert!(page.contains("<h1>&lt;b&gt;&amp;k</h1>") && !page.contains("<b>&k"), "not escaped");
    fs::write(folder.0.0.join("sparse.history.csv"), "step,objective\n1,2\n").unwrap();
    let stderr = folder.refused("report sparse.safetensors --data digits");
    assert!(stderr.contains("sparse.history.csv: not a training history"), "{stderr}");
}

/// The page has what `sae units` and `sae encode` say.
#[test]
fn a_report_has_every_unit_and_its_samples() {
    let folder = Models::new("report-units");
    let layers = "--layers 784,60,784 --code top-k:5 --preset top-k";
    folder.good(&format!(
        "train --data digits {layers} --steps 40 --threads 1 --quiet --out k.safetensors"
    ));
    folder.good("report k.safetensors --out k.html");
    let (_, array) = page_data(&folder.read("k.html"));
    folder.good("units k.safetensors --out units.json");
    let units: Value = serde_json::from_str(&folder.read("units.json")).unwrap();
    let units = units["units"].as_array().unwrap();
    let kept = whole(array("m0.l0.kept"));
    assert_eq!((units.len(), kept.len()), (60, 60));
    let frequencies = floats(array("m0.l0.frequency"));
    let (tops, values) = (whole(array("m0.l0.top")), floats(array("m0.l0.top.value")));
    let purities = floats(array("m0.l0.purity"));
    let mut dead = Vec::new();
    for (at, unit) in units.iter().enumerate() {
        assert_eq!(unit["frequency"].as_f64().unwrap() as f32, frequencies[at]);
        let top = unit["top"].as_array().unwrap();
        for (rank, sample) in top.iter().enumerate() {
            assert_eq!(sample["sample"].as_u64().unwrap() as usize, tops[at * 10 + rank]);
            assert_eq!(sample["activation"].as_f64().unwrap() as f32, values[at * 10 + rank]);
        }
        assert!(values[at * 10 + top.len()..(at + 1) * 10].iter().all(|&value| value == 0.0));
        let purity = unit["label_share"].as_f64().unwrap_or(0.0);
        assert_eq!(purity as f32, purities[at]);
        if unit["dead"] == true {
            dead.push(at);
        }
    }
    assert_eq!(whole(array("m0.l0.dead")), dead);
    // The codes of the first samples.
    let codes = folder.json("encode k.safetensors --json");
    let (starts, active) = (whole(array("m0.code.start")), whole(array("m0.code.unit")));
    let activations = floats(array("m0.code.value"));
    for sample in 0..100 {
        let row: Vec<f64> = serde_json::from_value(codes["codes"][sample].clone()).unwrap();
        let entries = starts[sample]..starts[sample + 1];
        assert_eq!(entries.len(), row.iter().filter(|&&a| a != 0.0).count());
        for at in entries {
            assert_eq!(row[active[at]] as f32, activations[at]);
        }
    }

    // A few units in full: the others are in what is left of each sample.
    folder.good("report k.safetensors --units 7 --out few.html");
    let (facts, array) = page_data(&folder.read("few.html"));
    assert_eq!(facts["models"][0]["layers"][0]["kept"], 7);
    let kept = whole(array("m0.l0.kept"));
    let least = kept.iter().map(|&unit| frequencies[unit]).fold(1.0, f32::min);
    let more = frequencies.iter().filter(|&&frequency| frequency > least).count();
    assert!(more < 7 && array("m0.rest").len() % 784 == 0);
    assert!(whole(array("m0.code.unit")).iter().all(|unit| kept.contains(unit)));
}

/// A NumPy file.
fn npy(path: &Path, kind: &str, shape: &str, numbers: impl Iterator<Item = u8>) {
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    header += &" ".repeat(63 - (10 + header.len()) % 64);
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(numbers);
    fs::write(path, bytes).unwrap();
}

/// Tokens with their neighbors, and the unit's activations in these; by their numbers in the data, of which the
/// first 100 are training samples. They are 25 numbers wide, and no images.
#[test]
fn a_report_has_tokens_in_context() {
    let folder = Models(Folder::new("report-tokens"));
    let values = (0..160 * 25).map(|i: u32| ((i * i % 7919) as f32 / 4000.0) - 1.0);
    let path = folder.0.0.join("tokens.npy");
    npy(&path, "<f4", "(160, 25)", values.flat_map(f32::to_le_bytes));
    folder.good(
        "train --samples tokens.npy --holdout-last 60 --layers 25,20,25 --code top-k:3 --preset top-k \
         --steps 20 --threads 1 --quiet --out k.safetensors",
    );
    let names: String = (0..160).map(|at| format!("<w>{at}\n")).collect();
    fs::write(folder.0.0.join("names.txt"), names).unwrap();
    folder.good("report k.safetensors --names names.txt --context 2 --out k.html");
    let page = folder.read("k.html");
    assert!(!page.contains("<w>"), "a name is HTML");
    let (facts, array) = page_data(&page);
    assert!(facts["image"].is_null() && !page.contains("<img "), "25 numbers are no image");
    assert_eq!(facts["names"][0][1][0], "<w>100");
    assert_eq!(whole(array("numbers")), (100..160).collect::<Vec<_>>());
    let codes = folder.json("encode k.safetensors --json");
    let (kept, tops) = (whole(array("m0.l0.kept")), whole(array("m0.l0.top")));
    let (values, contexts) = (floats(array("m0.l0.top.value")), array("m0.context"));
    let largest = floats(array("m0.l0.max"));
    let mut active = 0;
    for (row, &unit) in kept.iter().enumerate() {
        for rank in (0..10).filter(|rank| values[row * 10 + rank] != 0.0) {
            for at in 0..5 {
                let sample = (tops[row * 10 + rank] + at).wrapping_sub(2);
                let activation = codes["codes"][sample][unit].as_f64().unwrap_or(0.0) as f32;
                let share = contexts[(row * 10 + rank) * 5 + at];
                assert_eq!(share, (255.0 * activation / largest[unit]).round() as u8);
                active += usize::from(share > 0);
            }
        }
    }
    assert!(active > 100, "{active}");
    fs::write(folder.0.0.join("names.txt"), "a\nb\n").unwrap();
    let stderr = folder.refused("report k.safetensors --names names.txt");
    assert!(stderr.contains("expected 160 lines"), "{stderr}");
    let stderr = folder.refused("report k.safetensors --labels names.txt --out l.html");
    assert!(stderr.contains("names.txt"), "{stderr}");
    let stderr = folder.refused("report k.safetensors --names names.txt --out names.txt");
    assert!(stderr.contains("names.txt"), "{stderr}");
}

/// Images of any shape, in color, also where the data of the evaluation are flat.
#[test]
fn a_model_knows_the_shape_of_its_images() {
    let folder = Models(Folder::new("report-shapes"));
    // Red alone.
    let red = || (0..50 * 72).map(|at| if at % 3 == 0 { (at / 3 * 7 % 256) as u8 } else { 0 });
    npy(&folder.0.0.join("color.npy"), "|u1", "(50, 4, 6, 3)", red());
    npy(&folder.0.0.join("flat.npy"), "|u1", "(50, 72)", red());
    folder.good(
        "train --samples color.npy --layers 72,8,72 --steps 5 --threads 1 --quiet --out c.safetensors",
    );
    let text =
        String::from_utf8_lossy(&fs::read(folder.0.0.join("c.safetensors")).unwrap()).into_owned();
    assert!(text.contains(r#"\"shape\":[4,6,3]"#), "the model file has no shape");
    let image = serde_json::json!({"rows": 4, "columns": 6, "channels": 3, "planar": false});
    for data in ["color.npy", "flat.npy"] {
        folder.good(&format!("report c.safetensors --samples {data} --out r.html"));
        let page = fs::read_to_string(folder.0.0.join("r.html")).unwrap();
        assert_eq!(page_data(&page).0["image"], image, "{data}");
        let png = page.split("src=\"data:image/png;base64,").nth(1).unwrap().split('"').next();
        let png = STANDARD.decode(png.unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (6, 4, png::ColorType::Rgb));
        assert_eq!(&pixels[..9], [0, 0, 0, 7, 0, 0, 14, 0, 0]);
    }
    folder.good("features c.safetensors --out f.png");
    folder.good("inspect c.safetensors --picture i.png");
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
        (format!("compare {m} --data digits --out c.png"), "picture", 0),
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
        ("features sparse.safetensors --norm 0", "norm: expected a positive number, got 0"),
        ("features digits/t10k-images-idx3-ubyte", "safetensors"),
        ("report digits/t10k-images-idx3-ubyte --data digits", "safetensors"),
        ("report sparse.safetensors --data nowhere", "nowhere"),
        ("report sparse.safetensors --data digits --out sparse.safetensors/r.html", "r.html"),
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
