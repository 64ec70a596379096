//! `sae inspect` of files of every kind.

use std::fs;

use sae::data::write_npy;

use crate::runs::{TRAIN, folder, good, refused};

/// Every file that a person may have is described.
#[test]
fn every_kind_of_file_is_described() {
    let folder = folder("inspect");
    good(&folder, &format!("{TRAIN} --checkpoint --out m.safetensors"));
    let sparse = "--preset images --code top-k:3 --out s.safetensors";
    good(&folder, &format!("{TRAIN} {sparse}").replace("--preset article ", ""));
    good(&folder, "encode s.safetensors --sparse --out codes.npz");
    good(&folder, "encode s.safetensors --sparse --out codes.safetensors");
    good(&folder, "encode s.safetensors --header --columns index,label --out codes.csv");
    good(
        &folder,
        "sweep --data digits --preset images --layers 784,9,784 --steps 2 --batch 9 \
                   --vary code=top-k:2/dense --quiet --out sweep.csv",
    );
    fs::write(folder.path("t.csv"), "width,height,kind\n1,2.5,cat\n3,4,dog\n").unwrap();
    fs::write(folder.path("one.csv"), "width\n7\n").unwrap();
    write_npy(folder.path("n.npy"), &[3, 4], &[0.5f32, 1.0, 2.0, 3.0].repeat(3)).unwrap();
    for (arguments, sentences) in [
        ("m.safetensors", &["model 784-12-784, ", "rho 0.02, beta 7.5e-5, lambda 5e-6\n"][..]),
        ("s.safetensors", &["code top-k:3, auxiliary loss aux-k", "learning rate 0.002, batch 10"]),
        (
            "m.ckpt",
            &[
                "checkpoint after 4 steps, of a training on 60 samples of 784 features",
                "0 epochs whole, and 40 samples of the next",
                "rho 0.02, beta 7.5e-5",
                "sae train --resume --out m.safetensors continues it",
            ],
        ),
        ("codes.npz", &["sparse codes: 20 samples of 12 units", " activations not 0, "]),
        ("codes.safetensors", &["sparse codes: 20 samples of 12 units"]),
        ("codes.csv", &["20 samples of 14 features", "columns index, label, unit_0"]),
        ("codes.csv --label-column label", &["20 samples of 13 features", "labels 1, 2, 3"]),
        (
            "t.csv --label-column kind",
            &["2 samples of 2 features", "labels cat, dog", "from 1 to 4"],
        ),
        ("one.csv", &["1 sample of 1 feature\n"]),
        ("n.npy", &["NumPy file of f32: 3 x 4", "3 samples of 4 features", "from 0.5 to 3"]),
        ("digits/t10k-images-idx3-ubyte", &["IDX file of u8: 20 x 28 x 28"]),
        ("sweep.csv", &["sweep with 2 models", "trial-1: dense: sweep.trials/trial-1.safetensors"]),
    ] {
        let [text, _] = good(&folder, &format!("inspect {arguments}"));
        for sentence in sentences {
            assert!(text.contains(sentence), "{arguments}: {sentence}: {text}");
        }
        let [json, _] = good(&folder, &format!("inspect {arguments} --json"));
        assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["kind"].is_string());
        // Rows of four numbers are no pictures.
        assert!(arguments != "n.npy" || !text.contains('\u{2588}'), "{text}");
    }
    let [text, _] = good(&folder, "inspect s.safetensors");
    assert!(!text.contains("beta") && !text.contains("0e0"), "{text}");
    let problem = refused(&folder, "inspect n.npy --tensor x");
    assert!(problem.contains("tensor: n.npy is a file of one array, which has none"), "{problem}");
}

/// Tensors of other programs.
#[test]
fn tensors_are_listed() {
    let folder = folder("inspect-tensors");
    let tensors = |names: &[(&str, [usize; 2])]| {
        let mut end = 0;
        let entries: Vec<String> = names
            .iter()
            .map(|(name, [rows, columns])| {
                let start = end;
                end += 4 * rows * columns;
                format!(r#""{name}":{{"dtype":"F32","shape":[{rows},{columns}],"data_offsets":[{start},{end}]}}"#)
            })
            .collect();
        let header = format!("{{{}}}", entries.join(","));
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.extend((0..end / 4).flat_map(|at| (at as f32).to_le_bytes()));
        bytes
    };
    fs::write(folder.path("one.safetensors"), tensors(&[("x", [3, 2])])).unwrap();
    fs::write(folder.path("two.safetensors"), tensors(&[("x", [3, 2]), ("y", [2, 2])])).unwrap();
    let [text, _] = good(&folder, "inspect one.safetensors");
    assert!(
        text.contains("safetensors file of f32: 3 x 2\n3 samples of 2 features\nfrom 0 to 5"),
        "{text}"
    );
    let [text, _] = good(&folder, "inspect two.safetensors");
    assert!(text.contains("safetensors file of 2 tensors\n"), "{text}");
    assert!(text.contains("tensor x: 3 x 2 of f32\ntensor y: 2 x 2 of f32\n"), "{text}");
    let [text, _] = good(&folder, "inspect two.safetensors --tensor y");
    assert!(text.contains("from 6 to 9"), "{text}");
    let problem = refused(&folder, "inspect two.safetensors --tensor z");
    assert!(problem.contains("z"), "{problem}");
}

/// A model whose data were moved says what to give.
#[test]
fn moved_data_have_a_hint() {
    let folder = folder("moved");
    write_npy(folder.path("x.npy"), &[30, 6], &[0.5f32, 1.0, 0.25].repeat(60)).unwrap();
    let train = "--preset article --layers 6,4,6 --steps 4 --batch 5 --quiet";
    good(&folder, &format!("train --samples x.npy {train} --checkpoint --out m.safetensors"));
    fs::rename(folder.path("x.npy"), folder.path("y.npy")).unwrap();
    for arguments in [
        "eval m.safetensors",
        "compare m.safetensors",
        "report m.safetensors",
        "units m.safetensors",
        "score m.safetensors",
        "encode m.safetensors --out c.npy",
        "reconstruct m.safetensors --out r.npy",
        "train --like m.safetensors --out l.safetensors",
        "train --resume --steps 9 --out m.safetensors",
    ] {
        let problem = refused(&folder, arguments);
        assert!(problem.contains("x.npy"), "{arguments}: {problem}");
        assert!(problem.contains("--samples FILE"), "{arguments}: {problem}");
    }
    good(&folder, "eval m.safetensors --samples y.npy");
    let output =
        crate::runs::command(&folder, "train --from m.safetensors --steps 3").output().unwrap();
    let problem = String::from_utf8(output.stderr).unwrap();
    assert!(problem.contains("if they were moved, give them"), "{problem}");
}
