//! Folders of PNGs, and single ones, as data.

use std::fs;

use sae::data::write_npy;
use serde_json::Value;

use crate::folder::Folder;
use crate::runs::{folder, good, refused};

const TRAIN: &str = "train --steps 6 --batch 5 --quiet";

/// With `images` as a file and as a folder of PNGs, 30 of 12 x 10 in color.
fn in_color(name: &str) -> Folder {
    let folder = folder(name);
    let pixels: Vec<u8> = (0..30 * 12 * 10 * 3).map(|at| (at * 37 % 251) as u8).collect();
    write_npy(folder.path("images.npy"), &[30, 12, 10, 3], &pixels).unwrap();
    good(&folder, "convert images.npy images");
    folder
}

fn json(folder: &Folder, arguments: &str) -> Value {
    serde_json::from_str(&good(folder, &format!("{arguments} --json"))[0]).unwrap()
}

/// A training on PNGs is that on the file that `sae convert` makes of them, and so are later commands.
#[test]
fn a_folder_of_pngs_is_data() {
    let folder = in_color("pngs");
    let bytes = |name: &str| fs::read(folder.path(name)).unwrap();
    good(&folder, &format!("{TRAIN} --samples images.npy --out file.safetensors"));
    good(&folder, &format!("{TRAIN} --samples images --out m.safetensors"));
    assert!(bytes("file.safetensors") == bytes("m.safetensors"));
    good(&folder, "train --like m.safetensors --quiet --out again.safetensors");
    assert!(bytes("again.safetensors") == bytes("m.safetensors"));
    let figures =
        |model: &str| json(&folder, &format!("eval {model}.safetensors"))["objective"].clone();
    assert_eq!(figures("m"), figures("file"));
    for command in ["reconstruct M --out N.png", "encode M --out N.npy", "features M --out f-N.png"]
    {
        for name in ["m", "file"] {
            let model = format!("{name}.safetensors");
            good(&folder, &command.replace('M', &model).replace('N', &format!("of-{name}")));
        }
    }
    assert!(bytes("of-m.npy") == bytes("of-file.npy") && bytes("of-m.png") == bytes("of-file.png"));
    good(&folder, "compare m.safetensors file.safetensors --samples images");
    good(
        &folder,
        "sweep --samples images --vary code=top-k:8/top-k:16 --steps 2 --quiet --out s.csv",
    );
    // A pattern, and the names one by one.
    for (samples, name) in
        [("images/*.png", "pattern"), ("images/0*.png images/1*.png images/2*.png", "names")]
    {
        good(&folder, &format!("{TRAIN} --samples {samples} --out {name}.safetensors"));
        assert!(bytes(&format!("{name}.safetensors")) == bytes("m.safetensors"), "{name}");
    }
    let [text, _] = good(&folder, "inspect images");
    assert!(
        text.starts_with("PNGs of u8: 30 x 12 x 10 x 3\n30 samples of 360 features\n"),
        "{text}"
    );
    assert!(good(&folder, "inspect images/07.png")[0].contains("1 sample of 360 features"));
}

/// The names of the files are those of the samples.
#[test]
fn pngs_have_names() {
    let folder = in_color("png-names");
    good(&folder, &format!("{TRAIN} --samples images --out m.safetensors"));
    let [table, _] = good(&folder, "score m.safetensors");
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells[3], format!("{:02}.png", cells[0].parse::<usize>().unwrap()));
    }
    let units = json(&folder, "units m.safetensors");
    let top = &units["units"].as_array().unwrap().iter().find(|unit| unit["active"] != 0).unwrap()
        ["top"][0];
    assert_eq!(top["name"], format!("{:02}.png", top["sample"].as_u64().unwrap()));
    let [_, stderr] = good(&folder, "report m.safetensors --out r.html");
    assert!(!stderr.contains("neighbors"), "{stderr}");
    let page = fs::read_to_string(folder.path("r.html")).unwrap();
    let name = table.lines().nth(1).unwrap().rsplit(',').next().unwrap();
    assert!(page.contains(name), "{name}");
    // A file of names takes their place.
    fs::write(
        folder.path("names.txt"),
        (0..30).map(|n| format!("image {n}\n")).collect::<String>(),
    )
    .unwrap();
    assert!(good(&folder, "score m.safetensors --names names.txt")[0].contains(",image "));
}

/// Gray images are gray, however they are stored, and others as the model's are.
#[test]
fn colors_are_those_of_the_model() {
    let folder = in_color("png-colors");
    let gray: Vec<u8> = (0..30 * 12 * 10).map(|at| (at * 7 % 251) as u8).collect();
    write_npy(folder.path("gray.npy"), &[30, 12, 10], &gray).unwrap();
    let thrice: Vec<u8> = gray.iter().flat_map(|&pixel| [pixel; 3]).collect();
    write_npy(folder.path("thrice.npy"), &[30, 12, 10, 3], &thrice).unwrap();
    good(&folder, "convert thrice.npy thrice");
    good(&folder, &format!("{TRAIN} --samples gray.npy --out gray.safetensors"));
    good(&folder, &format!("{TRAIN} --samples thrice --out m.safetensors"));
    let bytes = |name: &str| fs::read(folder.path(name)).unwrap();
    assert!(bytes("m.safetensors") == bytes("gray.safetensors"));
    let [text, stderr] = good(&folder, "eval m.safetensors --samples images");
    assert!(text.starts_with("30 samples of images"), "{text}");
    assert!(
        stderr.contains("30 PNGs in color became gray, as the training samples are\n"),
        "{stderr}"
    );
    good(&folder, &format!("{TRAIN} --samples images --test thrice --out c.safetensors"));
    assert!(good(&folder, "eval c.safetensors")[0].starts_with("30 samples of "));
    good(&folder, "score c.safetensors --samples thrice/00.png");
}

/// PNGs in sub-folders have the sub-folders as labels.
#[test]
fn sub_folders_are_labels() {
    let folder = in_color("png-labels");
    for (at, class) in [(0, "a"), (10, "b"), (20, "b10")] {
        fs::create_dir_all(folder.path(&format!("classes/{class}"))).unwrap();
        for number in at..at + 10 {
            let name = format!("{number:02}.png");
            fs::copy(
                folder.path(&format!("images/{name}")),
                folder.path(&format!("classes/{class}/{name}")),
            )
            .unwrap();
        }
    }
    good(&folder, &format!("{TRAIN} --samples classes --out m.safetensors"));
    assert!(json(&folder, "eval m.safetensors --probe")["probe"]["linear"].is_number());
    let [table, _] =
        good(&folder, "encode m.safetensors --samples classes --header --columns index,label");
    let labels: Vec<&str> =
        table.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(labels, [["a"; 10], ["b"; 10], ["b10"; 10]].concat());
    assert!(good(&folder, "score m.safetensors")[0].contains(",b"));
    assert!(good(&folder, "inspect classes")[0].contains("labels a, b, b10\n"));
}

#[test]
fn wrong_pngs_are_refused() {
    let folder = in_color("png-refused");
    fs::create_dir(folder.path("two")).unwrap();
    good(&folder, "convert digits/t10k-images-idx3-ubyte two");
    fs::copy(folder.path("images/00.png"), folder.path("two/zz.png")).unwrap();
    let copy = |to: &str| {
        fs::create_dir(folder.path(to)).unwrap();
        fs::copy(folder.path("images/00.png"), folder.path(&format!("{to}/0.png"))).unwrap();
    };
    copy("both");
    fs::copy(folder.path("images.npy"), folder.path("both/x.npy")).unwrap();
    copy("table");
    fs::write(folder.path("table/labels.csv"), "a,b\n1,2\n").unwrap();
    fs::create_dir(folder.path("jpegs")).unwrap();
    fs::write(folder.path("jpegs/1.jpg"), "no picture").unwrap();
    for (samples, sentence) in [
        ("two", "two/zz.png: expected the 28 x 28 pixels of two/00.png, got 12 x 10"),
        ("both", "both: this folder has PNGs and data files, such as x.npy"),
        ("table", "table: this folder has PNGs and data files, such as labels.csv"),
        (
            "images images.npy",
            "images.npy: PNGs and files of another kind are no data set together",
        ),
        ("images --rows last", "rows: a PNG of images is one sample"),
        ("images --tensor x", "tensor: x is for safetensors files, not images"),
        ("images --label-column x", "label-column: x is for CSV files, not images"),
        (
            "images --test digits/t10k-images-idx3-ubyte",
            "the test samples have 784 features; expected 360",
        ),
        (
            "images --out images/00.png.safetensors --picture images/01.png",
            "this is a file that the command reads",
        ),
        ("jpegs", "mogrify -format png"),
    ] {
        let problem = refused(&folder, &format!("{TRAIN} --samples {samples} --overwrite"));
        assert!(problem.contains(sentence), "{samples}: {problem}");
    }
    good(&folder, &format!("{TRAIN} --samples both/*.png both/../images/00.png --holdout 0"));
}

/// What trainings leave in a folder of PNGs is no data, and images that come or go are noticed.
#[test]
fn trainings_in_their_folder_add_no_data() {
    let folder = in_color("png-within");
    let within = Folder(folder.0.join("images"));
    let train = format!("{TRAIN} --samples .");
    good(&within, &format!("{train} --out m"));
    good(&within, &train);
    good(&within, &train);
    let bytes = |name: &str| fs::read(within.path(name)).unwrap();
    assert!(bytes("runs/1/model.safetensors") == bytes("m"));
    assert!(bytes("runs/2/model.safetensors") == bytes("m"));
    good(&within, "eval m");
    fs::copy(within.path("00.png"), within.path("30.png")).unwrap();
    let problem = refused(&within, "eval m");
    assert!(problem.contains("it was trained on 30 samples, and now"), "{problem}");
}
