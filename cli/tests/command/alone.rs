//! A model file alone, without the record beside it: it says how it was trained, and repeats it.

use std::fs;

use sae::data::write_npy;

use crate::folder::Folder;
use crate::runs::{folder, good, refused};

/// x.npy `[210, 8]`, x16.npy, y.npy `[210, 3]`, which are targets of x.npy, and test.npy `[40, 8]`.
fn data(name: &str) -> Folder {
    let folder = folder(name);
    let number = |at: usize| (at * 79 % 211) as f32 / 211.0 - 0.25;
    let numbers: Vec<f32> = (0..210 * 8).map(number).collect();
    let targets: Vec<f32> =
        numbers.chunks(8).flat_map(|x| [x[0] - x[1], x[2], 2.0 * x[3]]).collect();
    write_npy(folder.path("x.npy"), &[210, 8], &numbers).unwrap();
    write_npy(folder.path("y.npy"), &[210, 3], &targets).unwrap();
    write_npy(folder.path("test.npy"), &[40, 8], &numbers[700..1020]).unwrap();
    let bytes: Vec<u8> = (0..90 * 36).map(|at: usize| (at * 83 % 256) as u8).collect();
    write_npy(folder.path("images.npy"), &[90, 6, 6], &bytes).unwrap();
    folder
}

/// The command that `inspect` shows, with the files' names instead of its words.
fn shown(folder: &Folder, files: &str) -> String {
    let [text, _] = good(folder, "inspect alone.safetensors");
    let line = text.lines().find_map(|line| line.strip_prefix("trained as by: sae "));
    let words = line.unwrap_or_else(|| panic!("{text}")).split(' ');
    let mut names = files.split(' ').filter(|word| !word.starts_with("--"));
    let words = words.map(|word| if word == "FILE" { names.next().unwrap() } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Of each training the options, and those of its data that a colleague has to give.
#[test]
fn it_repeats_its_training() {
    let folder = data("alone");
    good(&folder, "train --quiet --samples x.npy --steps 5 --batch 20 --out base.safetensors");
    for (options, files) in [
        ("--preset article --layers 36,9,4,9,36 --pretrain 3", "--samples images.npy"),
        (
            "--preset article --layers 36,9,36 --target mean-activation:0.1 --optimizer adamw",
            "--samples images.npy",
        ),
        ("--preset images --layers 36,40,36 --seed 4 --holdout 11", "--samples images.npy"),
        ("--preset matlab --steps 4 --scaling min-max", "--samples x.npy"),
        ("--preset article --layers 8,5,8 --optimizer l-bfgs:5 --loss fvu", "--samples x.npy"),
        ("--preset top-k --learning-rate 3e-3 --code top-k:5", "--samples x.npy --test test.npy"),
        ("--preset top-k --layers 8,70,8 --schedule cosine --holdout-last 30", "--samples x.npy"),
        ("--preset batch-top-k --scaling mean-deviation --scaling-samples 50", "--samples x.npy"),
        ("--preset jump-relu --revive 3 --patience 2 --evaluate-every 2", "--samples x.npy"),
        (
            "--preset top-k --patience 1 --evaluate-every 1 --learning-rate 0.05 --steps 40",
            "--samples x.npy --test test.npy",
        ),
        ("--preset jump-relu --layers 8,200,8 --loss fvu --order window:40", "--samples x.npy"),
        ("--preset matryoshka --lambda 1e-5 --clip 0.5 --epsilon 1e-6", "--samples x.npy"),
        (
            "--preset top-k --skip --target-scaling center --init he",
            "--samples x.npy --targets y.npy",
        ),
        ("--learning-rate 1e-4 --seed 1", "--samples x.npy --from base.safetensors"),
        ("--preset top-k --holdout 0 --scaling center", "--samples x.npy"),
    ] {
        let steps = if options.contains("--steps") { "" } else { " --steps 9" };
        let has_batch = options.contains("l-bfgs") || options.contains("matlab");
        let batch = if has_batch { "" } else { " --batch 20" };
        let train = format!("train --quiet {files} {options}{steps}{batch}");
        good(&folder, &format!("{train} --out m.safetensors --overwrite"));
        fs::copy(folder.path("m.safetensors"), folder.path("alone.safetensors")).unwrap();
        let typed = shown(&folder, files);
        for again in [format!("train --like alone.safetensors {files}"), typed] {
            let [_, said] =
                good(&folder, &format!("{again} --quiet --out again.safetensors --overwrite"));
            assert!(!said.contains("others than"), "{again}: {said}");
            let model = |name: &str| fs::read(folder.path(name)).unwrap();
            assert!(model("again.safetensors") == model("m.safetensors"), "{options}: {again}");
        }
    }
}

/// What it cannot know is asked for, or said.
#[test]
fn it_asks_for_files() {
    let folder = data("alone-asks");
    let train = "train --quiet --preset top-k --steps 3 --batch 20 --samples x.npy";
    good(&folder, &format!("{train} --out base.safetensors"));
    let alone = |options: &str| {
        good(&folder, &format!("{train}{options} --out m.safetensors --overwrite"));
        fs::rename(folder.path("m.safetensors"), folder.path("alone.safetensors")).unwrap();
    };
    alone("");
    let problem = refused(&folder, "train --like alone.safetensors");
    assert!(problem.contains("where the data of its training are"), "{problem}");
    assert!(problem.contains("--samples FILE"), "{problem}");
    let [_, said] =
        good(&folder, "train --like alone.safetensors --samples test.npy --out o.safetensors");
    assert!(said.contains("are others than those of alone.safetensors"), "{said}");
    alone(" --test test.npy --patience 2 --evaluate-every 1");
    let problem = refused(&folder, "train --like alone.safetensors --samples x.npy");
    assert!(problem.contains("ended by test samples") && problem.contains("--test"), "{problem}");
    let again = "train --like alone.safetensors --samples x.npy --out t.safetensors";
    let [_, said] = good(&folder, &format!("{again} --test x.npy"));
    assert!(said.contains("the test samples that end it early are others"), "{said}");
    alone(" --targets y.npy --initialization he");
    let problem = refused(&folder, "train --like alone.safetensors --samples x.npy");
    assert!(problem.contains("--targets"), "{problem}");
    good(
        &folder,
        "train --quiet --from base.safetensors --steps 3 --out m.safetensors --overwrite",
    );
    fs::rename(folder.path("m.safetensors"), folder.path("alone.safetensors")).unwrap();
    let problem = refused(&folder, "train --like alone.safetensors --samples x.npy");
    assert!(problem.contains("--from"), "{problem}");
    good(&folder, &format!("{train} --seed 5 --out other.safetensors"));
    let again = "train --like alone.safetensors --samples x.npy --from other.safetensors";
    let [_, said] = good(&folder, &format!("{again} --out p.safetensors"));
    assert!(said.contains("begins with is another"), "{said}");
}

/// Files are the same wherever the data are, and have no paths.
#[test]
fn it_has_no_paths() {
    let folder = data("alone-paths");
    fs::create_dir(folder.path("far")).unwrap();
    fs::copy(folder.path("x.npy"), folder.path("far/copy.npy")).unwrap();
    for (samples, out) in [("x.npy", "a.safetensors"), ("far/copy.npy", "far/b.safetensors")] {
        good(&folder, &format!("train --quiet --samples {samples} --steps 3 --out {out}"));
    }
    let [a, b] =
        ["a.safetensors", "far/b.safetensors"].map(|name| fs::read(folder.path(name)).unwrap());
    assert!(a == b);
    assert!(!String::from_utf8_lossy(&a).contains("npy"));
}
