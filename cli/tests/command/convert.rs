//! `sae convert`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::folder::Folder;
use crate::usual;
use png::{BitDepth, ColorType};
use sae::data::{Array, write_npy};
use serde_json::{Value, json};

fn sae(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
    command.current_dir(&folder.0).env_remove("SAE_ISA").stdin(Stdio::null());
    command
}

fn run(folder: &Folder, arguments: &str) -> Output {
    let words: Vec<&str> = arguments.split(' ').collect();
    sae(folder).args(&words).args(usual(&words)).output().unwrap()
}

/// Standard output and error of a run that must succeed.
fn good(folder: &Folder, arguments: &str) -> (String, String) {
    let output = run(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments}: {:?}\n{stderr}", output.status);
    (String::from_utf8(output.stdout).unwrap(), stderr)
}

fn json(folder: &Folder, arguments: &str) -> Value {
    serde_json::from_str(&good(folder, &format!("{arguments} --json")).0).unwrap()
}

/// Standard error of a run that must fail on invalid input and leave the folder unchanged.
fn refused(folder: &Folder, arguments: &str) -> String {
    let before = everything(&folder.0);
    let output = run(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
    assert!(stderr.starts_with("error: ") && output.stdout.is_empty(), "{arguments}: {stderr}");
    assert!(stderr.lines().skip(1).all(|line| line.starts_with("hint: ")), "{arguments}: {stderr}");
    assert!(before == everything(&folder.0), "{arguments}");
    stderr
}

/// All files below a folder with their contents, and all folders.
fn everything(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_str().unwrap().to_owned();
        if path.is_dir() {
            all.extend(everything(&path));
            all.push((name, Vec::new()));
        } else {
            all.push((name, fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

impl Folder {
    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

/// An IDX file with bytes in a pattern.
fn idx(kind: u8, size: usize, dims: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    let count = size * dims.iter().product::<u32>() as usize;
    bytes.extend((0..count).map(|i| (i * 37 % 251) as u8));
    bytes
}

/// A PNG; its palette is red, green and blue.
fn png(color: ColorType, depth: BitDepth, width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        encoder.set_palette(&[255, 0, 0, 0, 255, 0, 0, 0, 255][..]);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A gray PNG, 2 x 3, of one value.
fn plain(value: u8) -> Vec<u8> {
    png(ColorType::Grayscale, BitDepth::Eight, 3, 2, &[value; 6])
}

/// Dimensions and numbers of a file of bytes.
fn read(folder: &Folder, name: &str) -> (Vec<usize>, Vec<u8>) {
    let idx = Array::read(folder.0.join(name)).unwrap();
    (idx.dims().to_vec(), idx.as_u8().unwrap().to_vec())
}

#[test]
fn there_and_back_gives_the_same_bytes() {
    let folder = Folder::new("convert-round");
    for (kind, size) in [(0x08, 1), (0x09, 1), (0x0b, 2), (0x0c, 4), (0x0d, 4), (0x0e, 8)] {
        for dims in [&[9][..], &[5, 3], &[4, 2, 3], &[2, 3, 2, 2]] {
            let bytes = idx(kind, size, dims);
            folder.put("a.idx", &bytes);
            good(&folder, "convert a.idx b.npy");
            good(&folder, "convert b.npy c-idx3-ubyte");
            assert!(bytes == folder.bytes("c-idx3-ubyte"), "{kind} {dims:?}");
            good(&folder, "convert c-idx3-ubyte d.npy");
            assert!(folder.bytes("b.npy") == folder.bytes("d.npy"), "{kind} {dims:?}");
        }
    }
    let values = [1.5f32, -2.0, f32::MAX, 0.25, -0.0, 1e-40];
    write_npy(folder.0.join("f.npy"), &[3, 2], &values).unwrap();
    let told = json(&folder, "convert f.npy f.idx");
    let want = json!({"from": "f.npy", "to": "f.idx", "type": "f32", "dims": [3, 2]});
    assert_eq!(told, want);
    let idx = Array::open(folder.0.join("f.idx")).unwrap();
    let mut row = [0.0; 2];
    idx.read_row(1, &mut row);
    assert_eq!(row, [f32::MAX, 0.25]);
    good(&folder, "convert f.idx again.npy");
    assert!(folder.bytes("f.npy") == folder.bytes("again.npy"));
}

#[test]
fn compressed_files_are_read() {
    let folder = Folder::new("convert-gz");
    let bytes = idx(8, 1, &[6, 4, 5]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    encoder.write_all(&bytes).unwrap();
    folder.put("a.gz", encoder.finish().unwrap());
    assert_eq!(good(&folder, "convert a.gz a.idx").0, "6 x 4 x 5 of u8: a.idx\n");
    assert!(bytes == folder.bytes("a.idx"));
    let problem = refused(&folder, "convert a.idx b.idx.gz");
    assert!(problem.contains("b.idx.gz: gzip-compressed files are read, not written"), "{problem}");
}

#[test]
fn pictures_there_and_back_give_the_same_bytes() {
    let folder = Folder::new("convert-pictures");
    folder.put("a.idx", idx(8, 1, &[11, 4, 5]));
    assert_eq!(good(&folder, "convert a.idx pictures").0, "11 PNGs of 4 x 5: pictures\n");
    assert_eq!(folder.names(), ["a.idx", "pictures"]);
    let names: Vec<_> = fs::read_dir(folder.0.join("pictures")).unwrap().collect();
    assert_eq!(names.len(), 11);
    assert!(folder.bytes("pictures/00.png").starts_with(b"\x89PNG"));
    good(&folder, "convert pictures b.idx");
    assert!(folder.bytes("a.idx") == folder.bytes("b.idx"));
    // An existing empty folder, with --to against its name; samples that are squares.
    folder.put("flat.idx", idx(8, 1, &[3, 16]));
    fs::create_dir(folder.0.join("new.idx")).unwrap();
    let told = json(&folder, "convert flat.idx new.idx --to png");
    assert_eq!(told["dims"], json!([3, 4, 4]));
    good(&folder, "convert new.idx back --to npy");
    assert!(read(&folder, "back").1 == folder.bytes("flat.idx")[12..]);
}

#[test]
fn pngs_are_sorted_by_the_numbers_in_their_names() {
    let folder = Folder::new("convert-order");
    for (at, name) in ["1.png", "2.png", "02.png", "10.PNG", "a9.png", "a10.png"].iter().enumerate()
    {
        folder.put(&format!("in/{name}"), plain(at as u8));
    }
    folder.put("in/notes.txt", "no picture");
    folder.put("in/.hidden.png", "no picture");
    let (text, notes) = good(&folder, "convert in out.npy");
    assert_eq!(text, "6 x 2 x 3 of u8: out.npy\n");
    assert_eq!(notes, "left out: 1 file without a name that ends in .png\n");
    let (dims, pixels) = read(&folder, "out.npy");
    assert_eq!(dims, [6, 2, 3]);
    assert_eq!(pixels.chunks(6).map(|image| image[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    let told = json(&folder, "convert in out.npy");
    assert_eq!((&told["left_out"], &told["type"]), (&json!(1), &json!("u8")));
}

#[test]
fn sub_folders_are_labels() {
    let folder = Folder::new("convert-labels");
    for (name, values) in [("2", &[7, 8][..]), ("10", &[9]), ("1", &[5, 6, 4])] {
        for value in values {
            folder.put(&format!("in/{name}/{value}.png"), plain(*value));
        }
    }
    fs::create_dir(folder.0.join("in/3")).unwrap();
    let (text, notes) = good(&folder, "convert in images.idx --labels labels-idx1-ubyte");
    let shown = "6 x 2 x 3 of u8: images.idx\nlabels 0 1, 1 2, 2 3, 3 10: labels-idx1-ubyte\n";
    assert_eq!((text.as_str(), notes.as_str()), (shown, ""));
    let pixels = read(&folder, "images.idx").1;
    assert_eq!(pixels.chunks(6).map(|image| image[0]).collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9]);
    assert_eq!(read(&folder, "labels-idx1-ubyte"), (vec![6], vec![0, 0, 0, 1, 1, 3]));
    let told = json(&folder, "convert in images.idx --labels labels.npy");
    assert_eq!(told["classes"], json!(["1", "2", "3", "10"]));
    assert_eq!(told["labels"], "labels.npy");
    let notes = good(&folder, "convert in images.idx").1;
    assert_eq!(notes, "the labels of the sub-folders are not written; --labels FILE writes them\n");

    for (arguments, sentence) in [
        ("in images.idx --labels images.idx", "the file and the labels need different names"),
        ("in images.idx --labels labels.onnx", "expected a name ending in .idx, ubyte or .npy"),
        ("in images.idx --labels labels.npy/labels.idx", "cannot write labels.npy/labels.idx"),
        ("in/2 images.idx --labels l.idx", "expected PNGs in sub-folders"),
        ("images.idx images.npy --labels l.idx", "labels: images.idx is not a folder"),
    ] {
        let problem = refused(&folder, &format!("convert {arguments}"));
        assert!(problem.contains(sentence), "{arguments}: {problem}");
    }
    folder.put("in/2/deep/1.png", plain(1));
    assert!(refused(&folder, "convert in x.idx").contains("in/2/deep: expected only PNGs"));
    folder.put("in/1.png", plain(1));
    assert!(
        refused(&folder, "convert in x.idx")
            .contains("in: expected PNGs or sub-folders, got 1 PNG and 4 sub-folders")
    );
    for label in 0..257 {
        folder.put(&format!("many/{label}/1.png"), plain(0));
    }
    let problem = refused(&folder, "convert many x.idx --labels l.idx");
    assert!(problem.contains("expected at most 256 sub-folders, got 257"), "{problem}");
}

#[test]
fn pngs_of_every_kind_become_gray() {
    use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
    let folder = Folder::new("convert-kinds");
    let (eight, sixteen) = (BitDepth::Eight, BitDepth::Sixteen);
    // Two pixels each; by hand: 76.245, 149.685 and 29.07 for red, green and blue.
    for (name, color, depth, data, gray) in [
        ("gray", Grayscale, eight, &[1, 200][..], [1, 200]),
        ("1-bit", Grayscale, BitDepth::One, &[0b0100_0000], [0, 255]),
        ("4-bit", Grayscale, BitDepth::Four, &[0x3f], [51, 255]),
        ("16-bit", Grayscale, sixteen, &[0x12, 0xff, 0x80, 0], [0x12, 0x80]),
        ("palette", Indexed, BitDepth::Two, &[0b0110_0000], [150, 29]),
        ("palette-8", Indexed, eight, &[0, 2], [76, 29]),
        ("rgb", Rgb, eight, &[255, 0, 0, 10, 20, 40], [76, 19]),
        ("rgb-16", Rgb, sixteen, &[255, 1, 0, 2, 0, 3, 9, 9, 9, 9, 9, 9], [76, 9]),
        ("alpha", GrayscaleAlpha, eight, &[3, 255, 4, 255], [3, 4]),
        ("rgba", Rgba, eight, &[0, 255, 0, 255, 7, 7, 7, 255], [150, 7]),
    ] {
        folder.put(&format!("{name}/1.png"), png(color, depth, 2, 1, data));
        good(&folder, &format!("convert {name} {name}.idx"));
        assert_eq!(read(&folder, &format!("{name}.idx")), (vec![1, 1, 2], gray.to_vec()), "{name}");
    }
    // With --color they keep their colors, and gray is three times the same.
    for (name, colors) in [
        ("rgb", [255, 0, 0, 10, 20, 40]),
        ("rgba", [0, 255, 0, 7, 7, 7]),
        ("palette", [0, 255, 0, 0, 0, 255]),
        ("alpha", [3, 3, 3, 4, 4, 4]),
    ] {
        good(&folder, &format!("convert {name} {name}.npy --color"));
        assert_eq!(read(&folder, &format!("{name}.npy")), (vec![1, 1, 2, 3], colors.to_vec()));
        // And back.
        good(&folder, &format!("convert {name}.npy {name}-again"));
        good(&folder, &format!("convert {name}-again {name}-again.npy --color"));
        assert_eq!(
            folder.bytes(&format!("{name}.npy")),
            folder.bytes(&format!("{name}-again.npy"))
        );
    }
    let (_, notes) = good(&folder, "convert rgb gray.npy");
    assert_eq!(notes, "1 PNG in color became gray; --color keeps the colors\n");
    assert!(
        refused(&folder, "convert rgb.npy x.idx --color")
            .contains("color: rgb.npy is not a folder")
    );
    for (name, color, data) in [
        ("clear", Rgba, &[0, 255, 0, 255, 7, 7, 7, 254][..]),
        ("clear-gray", GrayscaleAlpha, &[1, 0, 2, 255]),
    ] {
        folder.put(&format!("{name}/1.png"), png(color, eight, 2, 1, data));
        let problem = refused(&folder, &format!("convert {name} x.idx"));
        assert!(
            problem.contains(&format!("{name}/1.png: some pixels are transparent")),
            "{problem}"
        );
    }
}

#[test]
fn a_bad_png_leaves_all_as_it_was() {
    let folder = Folder::new("convert-bad");
    folder.put("old.idx", idx(8, 1, &[1, 2]));
    let whole = png(ColorType::Grayscale, BitDepth::Eight, 40, 30, &[9; 1200]);
    let mut huge = plain(0);
    huge[16..24].copy_from_slice(&[0x7f, 255, 255, 255, 0x7f, 255, 255, 255]);
    let mut damaged = whole.clone();
    damaged[45] ^= 0x55;
    let mut end = whole.clone();
    *end.last_mut().unwrap() ^= 1;
    for (name, bytes, sentence) in [
        ("text", b"no picture at all".to_vec(), "not a valid PNG"),
        ("empty", vec![], "this PNG is truncated"),
        ("cut", whole[..whole.len() / 2].to_vec(), "this PNG is truncated"),
        ("tail", whole[..whole.len() - 12].to_vec(), "this PNG is truncated"),
        ("damaged", damaged, "not a valid PNG"),
        ("end", end, "not a valid PNG"),
        ("huge", huge, "not a valid PNG"),
        ("size", plain(0), "expected the 30 x 40 pixels of"),
    ] {
        folder.put(&format!("{name}/1.png"), &whole);
        folder.put(&format!("{name}/2.png"), bytes);
        let problem = refused(&folder, &format!("convert {name} old.idx"));
        assert!(problem.contains(&format!("{name}/2.png: {sentence}")), "{name}: {problem}");
        let hint = if name == "size" { "hint: ImageMagick makes them equal" } else { "" };
        let others: Vec<&str> = problem.lines().skip(1).collect();
        assert!(others.join("\n").starts_with(hint), "{problem}");
        assert_eq!(others.len(), usize::from(name == "size"), "{problem}");
    }
    let problem = refused(&folder, "convert size x.npy");
    assert!(problem.contains("expected the 30 x 40 pixels of size/1.png, got 2 x 3"), "{problem}");
    // Sub-folders with labels: neither file is written.
    folder.put("in/a/1.png", &whole);
    folder.put("in/b/1.png", plain(0));
    refused(&folder, "convert in x.npy --labels y.npy");
}

#[test]
fn misuse_gets_one_sentence() {
    let folder = Folder::new("convert-misuse");
    folder.put("a.idx", idx(8, 1, &[3, 4, 5]));
    folder.put("f.idx", idx(0x0d, 4, &[3, 4, 4]));
    folder.put("labels.idx", idx(8, 1, &[3]));
    folder.put("flat.idx", idx(8, 1, &[3, 20]));
    folder.put("cut.idx", &idx(8, 1, &[3, 4, 5])[..30]);
    folder.put("one.png", plain(1));
    folder.put("full/x", "x");
    folder.put("net.onnx", b"\x08\x07");
    folder.put("net.safetensors", b"\x10\0\0\0\0\0\0\0{}");
    fs::create_dir(folder.0.join("empty")).unwrap();
    for (arguments, sentence) in [
        ("missing.idx new.npy", "cannot open missing.idx"),
        ("new.npy a.idx", "hint: a.idx exists; FROM comes first"),
        ("net.onnx net.safetensors", "hint: FROM comes first"),
        ("a.idx net.safetensors", "a.idx: this is not a model"),
        ("a.idx x.npz", "a.idx: this is not a model"),
        ("a.idx x --to saelens", "a.idx: this is not a model"),
        ("net.safetensors x.onnx --hook-name h", "hook-name: x.onnx has no place for it"),
        ("net.safetensors x --to sparsify --part encoder", "part: x gets the whole model"),
        ("net.safetensors x --to saelens", "net.safetensors: "),
        ("a.idx a.idx", "FROM and TO are the same"),
        ("a.idx ./a.idx", "FROM and TO are the same"),
        ("a.idx full", "full: expected a new or empty folder"),
        ("a.idx labels.idx --to png", "expected a folder for the PNGs, got a file"),
        ("a.idx a.idx/where", "cannot create a.idx"),
        ("a.idx a.idx/where.npy", "cannot write a.idx/where.npy"),
        ("a.idx empty --to npy", "this is a folder, a file's name was expected"),
        ("a.idx x.png", "PNGs go into one"),
        ("a.idx x.csv", "hint: --to KIND overrides the name"),
        ("a.idx x.onnx", "a.idx: this is not a model"),
        ("a.idx x.npy --part encoder", "part: a.idx is not a model"),
        ("f.idx pictures", "f.idx: expected elements of type u8 for PNGs, got f32"),
        ("labels.idx pictures", "expected images, [samples, rows, columns]"),
        ("flat.idx pictures", "expected images, [samples, rows, columns]"),
        ("cut.idx pictures", "the file has 30"),
        ("cut.idx x.npy", "the file has 30"),
        ("one.png x.idx", "hint: put it into a folder"),
        ("empty x.idx", "empty: no PNGs in this folder"),
        ("full x.idx", "no PNGs in this folder, but 1 file without a name"),
        ("full pictures", "pictures: expected a name ending in .idx, ubyte or .npy"),
        ("net.safetensors x.npy", "a model can only be converted to .onnx"),
        ("net.safetensors x.onnx", "net.safetensors: "),
    ] {
        let problem = refused(&folder, &format!("convert {arguments}"));
        assert!(problem.contains(sentence), "{arguments}: {problem}");
    }
    let mut here = sae(&folder);
    let output = here.current_dir(folder.0.join("empty")).args(["convert", "../a.idx", "."]);
    let stderr = String::from_utf8(output.output().unwrap().stderr).unwrap();
    assert!(stderr.contains("error: .: expected another folder than the current one"), "{stderr}");
}

#[test]
fn models_become_onnx_files() {
    let folder = Folder::new("convert-onnx");
    good(&folder, "make-digits digits --train 50 --test 10");
    good(&folder, "train --data digits --layers 784,9,784 --steps 5 --quiet --out m.safetensors");
    let (text, _) = good(&folder, "convert m.safetensors m.onnx");
    let shown = "autoencoder, features [samples, 784] to reconstruction [samples, 784] and code \
                 [samples, 9]: m.onnx\n";
    assert_eq!(text, shown);
    let net = sae::Autoencoder::load(folder.0.join("m.safetensors")).unwrap();
    assert!(net.to_onnx(sae::files::Part::Autoencoder).unwrap() == folder.bytes("m.onnx"));
    for (part, inputs, outputs) in [
        ("encoder", json!({"features": 784}), json!({"code": 9})),
        ("decoder", json!({"code": 9}), json!({"reconstruction": 784})),
        ("autoencoder", json!({"features": 784}), json!({"reconstruction": 784, "code": 9})),
    ] {
        let told = json(&folder, &format!("convert m.safetensors part --to onnx --part {part}"));
        let (from, to) = ("m.safetensors", "part");
        let want =
            json!({"from": from, "to": to, "part": part, "inputs": inputs, "outputs": outputs});
        assert_eq!(told, want);
        let part = sae::files::Part::ALL.into_iter().find(|one| one.name() == part).unwrap();
        assert!(net.to_onnx(part).unwrap() == folder.bytes("part"));
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_nothing_half_written() {
    use std::thread::sleep;
    use std::time::Duration;

    let folder = Folder::new("convert-interrupt");
    folder.put("many.idx", idx(8, 1, &[1_000_000, 1, 1]));
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let mut command = sae(&folder);
        let child = command.args(["convert", "many.idx", "out"]).stderr(Stdio::piped()).spawn();
        let child = child.unwrap();
        let id = child.id().to_string();
        let making = folder.0.join(format!(".out.{id}.tmp"));
        // Wait until some of the PNGs are written.
        while !making.join("0000009.png").exists() && !making.join("000009.png").exists() {
            sleep(Duration::from_millis(2));
        }
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert!(output.stderr.is_empty());
        assert_eq!(folder.names(), ["many.idx"]);
    }
}
