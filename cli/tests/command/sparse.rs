//! Sparse codes as files: `sae encode --sparse`, and `sae decode` of them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use sae::data::{Array, write_npy};

use crate::folder::Folder;
use crate::usual;

fn run(folder: &Folder, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
    command.env("XDG_CACHE_HOME", "/nonexistent").env("HOME", "/nonexistent");
    command.current_dir(&folder.0).env_remove("SAE_ISA").stdin(Stdio::null());
    let words: Vec<&str> = arguments.split(' ').collect();
    command.args(&words).args(usual(&words)).output().unwrap()
}

fn good(folder: &Folder, arguments: &str) -> String {
    let Output { status, stdout, stderr } = run(folder, arguments);
    assert!(status.success(), "{arguments}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// The first line of standard error of a run that must fail on invalid input and write nothing.
fn refused(folder: &Folder, arguments: &str) -> String {
    let files = || {
        let names = folder.names().into_iter();
        names.map(|name| (fs::read(folder.path(&name)).unwrap(), name)).collect::<Vec<_>>()
    };
    let before = files();
    let output = run(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
    assert!(stderr.starts_with("error: ") && !stderr.contains("panicked"), "{stderr}");
    assert!(stderr.lines().skip(1).all(|line| line.starts_with("hint: ")), "{stderr}");
    assert!(before == files(), "{arguments}");
    stderr.lines().next().unwrap().to_owned()
}

/// 300 samples, and a network for each kind of code.
fn trained(name: &str) -> Folder {
    let folder = Folder::new(name);
    let number = |i: usize| (i % 211 * 79 % 211) as f32 / 211.0;
    let values: Vec<f32> = (0..300 * 8).map(|i| number(i) - 0.3).collect();
    write_npy(folder.path("x.npy"), &[300, 8], &values).unwrap();
    for code in ["top-k:3", "batch-top-k:3", "jump-relu:0.01", "dense"] {
        let name = code.split(':').next().unwrap();
        let preset = "--preset plain --activation relu --initialization he --scaling as-is --quiet";
        let train = format!("--samples x.npy --layers 8,40,8 --steps 20 {preset}");
        good(&folder, &format!("train {train} --code {code} --out {name}.safetensors"));
    }
    folder
}

fn numbers(path: String) -> (Vec<usize>, Vec<f32>) {
    let array = Array::open(path).unwrap();
    let mut values = vec![0.0; array.samples() * array.features()];
    for (sample, row) in values.chunks_mut(array.features()).enumerate() {
        array.read_row(sample, row);
    }
    (array.dims().to_vec(), values)
}

#[test]
fn sparse_codes_decode_to_the_same_bits() {
    let folder = trained("sparse-bits");
    for model in ["top-k", "batch-top-k", "jump-relu", "dense"] {
        let encode = format!("encode {model}.safetensors --samples x.npy");
        good(&folder, &format!("{encode} --out codes.npy"));
        good(&folder, &format!("decode {model}.safetensors codes.npy --out want.npy"));
        let entries = numbers(folder.path("codes.npy")).1.iter().filter(|&&a| a != 0.0).count();
        assert!(entries > 0, "{model}");
        for ending in ["npz", "safetensors"] {
            let out = format!("codes-{model}.{ending}");
            let text = good(&folder, &format!("{encode} --sparse --out {out}"));
            assert_eq!(text, format!("300 codes of 40 units, {entries} not 0: {out}\n"));
            let size = fs::metadata(folder.path(&out)).unwrap().len() as usize;
            let about = 8 * entries + 4 * 301;
            assert!((about..about + 2000).contains(&size), "{out}: {size} bytes, {about} of them");
            good(&folder, &format!("decode {model}.safetensors {out} --out have.npy"));
            assert!(numbers(folder.path("have.npy")) == numbers(folder.path("want.npy")), "{out}");
            // The same codes give the same bytes, whatever was there.
            let bytes = fs::read(folder.path(&out)).unwrap();
            let json = good(&folder, &format!("{encode} --sparse --threads 1 --out {out} --json"));
            assert!(bytes == fs::read(folder.path(&out)).unwrap(), "{out}");
            let want = format!(
                "{{\"entries\":{entries},\"out\":\"{out}\",\"samples\":300,\"units\":40}}\n"
            );
            assert_eq!(json, want);
        }
    }
}

#[test]
fn names_and_models_are_checked_first() {
    let folder = trained("sparse-names");
    let encode = "encode top-k.safetensors --samples x.npy";
    for out in ["codes.npy", "codes.csv", "codes", "codes.npz.gz"] {
        let problem = refused(&folder, &format!("{encode} --sparse --out {out}"));
        let want = "expected a name ending in .npz or .safetensors with --sparse";
        assert_eq!(problem, format!("error: {out}: {want}"));
    }
    let problem = refused(&folder, &format!("{encode} --out codes.npz"));
    assert!(problem.ends_with("expected a name ending in .csv, .idx or .npy"), "{problem}");
    let output = run(&folder, &format!("{encode} --sparse"));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && stderr.contains("--out <FILE>"), "{stderr}");
    let problem = refused(&folder, &format!("{encode} --sparse --out ./top-k.safetensors"));
    assert!(problem.contains("this is a file that the command reads"), "{problem}");
    let problem = refused(&folder, &format!("{encode} --sparse --out x.npy/where.npz"));
    assert!(problem.contains("cannot write"), "{problem}");
    // A failure leaves what was there.
    good(&folder, &format!("{encode} --sparse --out codes.npz"));
    let mut bad = vec![0.5f32; 300 * 8];
    bad[299 * 8] = f32::NAN;
    write_npy(folder.path("bad.npy"), &[300, 8], &bad).unwrap();
    let encode = "encode top-k.safetensors --samples bad.npy --sparse --out codes.npz";
    assert!(refused(&folder, encode).contains("sample 299, feature 0 is NaN"));
}

#[test]
fn what_is_no_file_of_codes_is_refused() {
    let folder = trained("sparse-refused");
    let train = "train --samples x.npy --layers 8,7,8 --steps 0 --preset plain --scaling as-is";
    good(&folder, &format!("{train} --quiet --out other.safetensors"));
    let decode = "decode top-k.safetensors";
    for ending in ["npz", "safetensors"] {
        let codes = format!("codes.{ending}");
        good(&folder, &format!("encode other.safetensors --samples x.npy --sparse --out {codes}"));
        let problem = refused(&folder, &format!("{decode} {codes} --out y.npy"));
        assert!(problem.contains("has 7 numbers per sample; expected 40"), "{problem}");
        good(&folder, &format!("encode top-k.safetensors --samples x.npy --sparse --out {codes}"));
        let bytes = fs::read(folder.path(&codes)).unwrap();
        let cut = format!("cut.{ending}");
        let ends = (0..bytes.len()).step_by(97).chain([bytes.len() - 1]);
        for end in ends {
            fs::write(folder.path(&cut), &bytes[..end]).unwrap();
            let problem = refused(&folder, &format!("{decode} {cut} --out y.npy"));
            assert!(problem.starts_with(&format!("error: {cut}: ")), "{problem}");
        }
    }
    for (file, sentence) in [
        ("top-k.safetensors", "no sparse codes: the metadata has no shape"),
        ("missing.npz", "cannot open missing.npz"),
    ] {
        let problem = refused(&folder, &format!("{decode} {file} --out y.npy"));
        assert!(problem.contains(sentence), "{problem}");
    }
    assert!(!Path::new(&folder.path("y.npy")).exists());
}

/// The numbers in a ZIP archive have checksums.
#[test]
fn damaged_archives_are_refused() {
    let folder = trained("sparse-damaged");
    good(&folder, "encode top-k.safetensors --samples x.npy --sparse --out codes.npz");
    let bytes = fs::read(folder.path("codes.npz")).unwrap();
    // Within the units, the first of the archive, and the activations, the last.
    for at in (200..3700).step_by(251).chain((bytes.len() - 3700..bytes.len() - 600).step_by(251)) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(folder.path("damaged.npz"), damaged).unwrap();
        let problem = refused(&folder, "decode top-k.safetensors damaged.npz --out y.npy");
        assert!(problem.starts_with("error: damaged.npz: "), "{at}: {problem}");
    }
}

/// Tensors of the safetensors file with other content.
#[test]
fn codes_that_are_wrong_are_named() {
    let folder = trained("sparse-wrong");
    good(&folder, "encode top-k.safetensors --samples x.npy --sparse --out codes.safetensors");
    let bytes = fs::read(folder.path("codes.safetensors")).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let indices = start + 4 * 301;
    for (at, value, sentence) in [
        (start, 1, "indptr begins with 1; expected 0"),
        (start + 4, -1, "tensor 'indptr': -1 is out of range; expected whole numbers from 0"),
        (start + 4, 1000, "indptr falls from 1000 to"),
        (indices, 39, "expected rising indices"),
        (indices, -5, "tensor 'indices': -5 is out of range"),
        (indices + 8, 40, "sample 0: index 40 of a code of 40 units"),
        (bytes.len() - 4, 0x7f80_0000, "is inf; finite numbers were expected"),
    ] {
        let mut wrong = bytes.clone();
        wrong[at..at + 4].copy_from_slice(&i32::to_le_bytes(value));
        fs::write(folder.path("wrong.safetensors"), wrong).unwrap();
        let problem = refused(&folder, "decode top-k.safetensors wrong.safetensors --out y.npy");
        assert!(problem.contains(sentence), "{problem}");
    }
    let text = String::from_utf8_lossy(&bytes[8..start]).into_owned();
    for (from, to, sentence) in [
        ("[300, 40]", "[301, 40]", "indptr has 301 numbers; expected one more than 301 samples"),
        ("[300, 40]", "[300,  4]", "has 4 numbers per sample; expected 40"),
        ("[300, 40]", "[300.  4]", "no sparse codes: the metadata has no shape"),
        ("indices", "indexes", "tensor 'indices' is missing"),
        ("\"F32\"", "\"I32\"", ""),
    ] {
        let text = text.replace(from, to);
        let wrong = [&bytes[..8], text.as_bytes(), &bytes[start..]].concat();
        fs::write(folder.path("wrong.safetensors"), wrong).unwrap();
        let decode = "decode top-k.safetensors wrong.safetensors --out y.npy";
        if sentence.is_empty() {
            // Whole numbers are activations, too.
            good(&folder, decode);
            continue;
        }
        let problem = refused(&folder, decode);
        assert!(problem.contains(sentence), "{problem}");
    }
}

/// Codes of more samples than are encoded at a time are one matrix, and no temporary file is left.
#[test]
fn codes_are_written_in_blocks() {
    let folder = trained("sparse-blocks");
    let train = "--samples x.npy --layers 8,16400,8 --steps 2 --preset plain --activation relu";
    let train = format!("train {train} --scaling as-is --quiet --code top-k:3 --out w.safetensors");
    good(&folder, &train);
    let data = "--samples x.npy";
    good(&folder, &format!("encode w.safetensors {data} --out dense.npy"));
    good(&folder, "decode w.safetensors dense.npy --out dense.out.npy");
    let names = folder.names().len();
    for name in ["codes.npz", "codes.safetensors"] {
        // 256 samples at a time.
        let line = good(&folder, &format!("encode w.safetensors {data} --sparse --out {name}"));
        assert!(line.starts_with("300 codes of 16400 units, "), "{line}");
        good(&folder, &format!("decode w.safetensors {name} --out {name}.npy"));
        let bytes = |name: &str| fs::read(folder.path(name)).unwrap();
        assert!(bytes(&format!("{name}.npy")) == bytes("dense.out.npy"), "{name}");
    }
    assert_eq!(folder.names().len(), names + 4);
}
