//! What a person is told who does not know the options yet.

use std::fs;

use crate::folder::Folder;
use crate::runs::{folder, good, refused};

#[track_caller]
fn says(folder: &Folder, arguments: &str, sentences: &[&str]) {
    let problem = refused(folder, arguments);
    for sentence in sentences {
        assert!(problem.contains(sentence), "{sentence}: {problem}");
    }
}

fn numbers(separator: &str) -> String {
    let line = |at: usize| {
        let number = |column: usize| ((at * 7 + column) as f32).sin().to_string();
        (0..4).map(number).collect::<Vec<_>>().join(separator) + "\n"
    };
    (0..40).map(line).collect()
}

/// CSV text is CSV whatever the file is called; a list of files stays one.
#[test]
fn numbers_of_any_ending_are_csv() {
    let folder = Folder::new("new-endings");
    fs::write(folder.path("x.csv"), numbers(",")).unwrap();
    let train = "train --layers 4,6,4 --steps 4 --batch 5 --quiet";
    good(&folder, &format!("{train} --samples x.csv --out m.safetensors"));
    let model = fs::read(folder.path("m.safetensors")).unwrap();
    for (name, separator) in [("x.data", ","), ("x.txt", ";"), ("x", "\t")] {
        fs::write(folder.path(name), numbers(separator)).unwrap();
        let [_, notes] = good(
            &folder,
            &format!(
                "train --layers 4,6,4 --steps 4 --batch 5 --samples {name} --out {name}.safetensors"
            ),
        );
        assert!(notes.contains(&format!("{name}: read as CSV")), "{notes}");
        assert!(fs::read(folder.path(&format!("{name}.safetensors"))).unwrap() == model, "{name}");
        good(&folder, &format!("eval {name}.safetensors"));
    }
    good(&folder, "convert x.data x.npy");
    good(&folder, "convert x.npy y.npy");
    assert!(fs::read(folder.path("x.npy")).unwrap() == fs::read(folder.path("y.npy")).unwrap());
    fs::write(folder.path("list.txt"), "x.csv\n").unwrap();
    good(&folder, &format!("{train} --samples list.txt --out l.safetensors"));
    fs::write(folder.path("spaces.txt"), numbers(" ")).unwrap();
    says(&folder, &format!("{train} --samples spaces.txt"), &["separate the numbers by commas"]);
    fs::write(folder.path("text.data"), "one,two,three\nfour,five,6\n").unwrap();
    says(&folder, &format!("{train} --samples text.data"), &["names end in .csv"]);
}

#[test]
fn data_without_an_option_are_named() {
    let folder = folder("new-positional");
    fs::write(folder.path("x.csv"), numbers(",")).unwrap();
    good(&folder, "train --samples x.csv --layers 4,6,4 --steps 1 --quiet --out m.safetensors");
    for (arguments, hint) in [
        ("train x.csv", "hint: data are given by --samples x.csv"),
        ("train digits", "hint: these data are given by --data digits"),
        ("train nothing", "hint: data are given by options: --samples FILE"),
        ("train m.safetensors", "--from m.safetensors begins with this model"),
        ("eval m.safetensors x.csv", "hint: data are given by --samples x.csv"),
        ("train --tied false", "--tied=false is the other value"),
    ] {
        says(&folder, arguments, &["unexpected argument", hint]);
    }
}

/// What is mistyped is refused before any note, with the option and what was likely meant.
#[test]
fn mistyped_values_are_refused_first() {
    let folder = folder("new-mistyped");
    for (options, sentence, hint) in [
        ("--preset imges", "--preset: expected article, ", "did you mean images?"),
        ("--code tok-k:4", "--code: expected dense, top-k:K", "did you mean top-k:4?"),
        ("--schedule cosin", "--schedule: expected constant", "did you mean cosine?"),
        ("--activation rleu", "--activation: expected sigmoid", "did you mean relu?"),
        ("--tied=ture", "--tied: expected true or false, got 'ture'", "did you mean true?"),
        ("--lr x", "--learning-rate: expected a number", ""),
        ("--code", "--code: expected dense, top-k:K", "got no value"),
        ("--data digits --layers 784,9,78", "--layers: expected a last size equal", ""),
    ] {
        for command in ["train", "sweep --vary seed=1/2"] {
            let problem = refused(&folder, &format!("{command} {options}"));
            assert!(problem.starts_with(&format!("error: {sentence}")), "{problem}");
            assert!(problem.contains(hint), "{problem}");
        }
    }
    says(&folder, "train --data digits --revive 2 --sharded", &["error: --revive: no rank"]);
}

#[test]
fn a_lowered_k_is_said() {
    let folder = folder("new-lowered");
    let train = "train --data digits --steps 1 --batch 5 --overwrite --out m.safetensors";
    let note = "8 instead of 32 active units per sample, a quarter of the code's 32 units";
    for (options, is_said) in [
        ("--preset top-k --layers 784,32,784", true),
        ("--layers 784,32,784", true),
        ("--preset top-k --layers 784,128,784", false),
        ("--preset top-k --layers 784,32,784 --code top-k:8", false),
        ("--preset article", false),
    ] {
        let [_, notes] = good(&folder, &format!("{train} {options}"));
        assert_eq!(notes.contains(note), is_said, "{options}: {notes}");
    }
}

/// Of several settings each value has its name, on the page and in tables, too.
#[test]
fn several_settings_of_a_sweep_have_names() {
    let folder = folder("new-sweep");
    let sweep = "sweep --data digits --layers 784,32,784 --steps 2 --batch 5 --out s.csv";
    let [_, notes] =
        good(&folder, &format!("{sweep} --vary lr=0.01/0.1 --vary code=top-k:2/top-k:4"));
    assert!(notes.contains("learning-rate=0.01 code=top-k:2"), "{notes}");
    let [table, _] = good(&folder, "compare s.csv --data digits");
    assert!(table.contains("trial-0: lr=0.01 code=top-k:2"), "{table}");
    let picture = fs::read_to_string(folder.path("s.svg")).unwrap();
    assert!(picture.contains(">lr=0.01 code=top-k:2<") || picture.contains(">#0<"), "{picture}");
}

/// What the file of a model has of its training is shown.
#[test]
fn inspect_shows_the_course() {
    let folder = folder("new-course");
    let options = "--steps 20 --patience 3 --evaluate-every 5 --revive 7 --clip 0.5 --schedule cosine --warm-up 2";
    let train =
        "train --data digits --layers 784,128,784 --lr 1e-3 --batch 5 --quiet --out m.safetensors";
    good(&folder, &format!("{train} {options}"));
    let [text, _] = good(&folder, "inspect m.safetensors");
    for part in [
        "training of 20 steps; dead units revived every 7 steps; early stopping after 3 evaluations without \
         improvement, every 5 steps\n",
        "learning rate 0.001, batch 5, seed 1\n",
        "schedule cosine:20",
        "warm-up 2",
        "clip 0.5",
        "loss fvu",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let [value, _] = good(&folder, "inspect m.safetensors --json");
    assert!(value.contains(r#""evaluate_every":5"#), "{value}");
}

/// Names that are no UTF-8 lose nothing: files have them whole, and nothing ends early.
#[cfg(target_os = "linux")]
#[test]
fn names_may_be_any_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = folder("new-bytes");
    let name = |end: &[u8]| OsStr::from_bytes(&[b"a\xff", end].concat()).to_owned();
    let at = |end: &[u8]| folder.0.join(name(end));
    let run = |line: &str, paths: &[(&str, &[u8])]| {
        let mut command = crate::runs::command(&folder, line);
        paths.iter().for_each(|(option, end)| {
            command.args([OsStr::new(option), &name(end)]);
        });
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let train = "train --layers 784,9,784 --steps 2 --batch 5 --quiet";
    run(&format!("{train} --data digits"), &[("--out", b".safetensors")]);
    assert!(at(b".safetensors").is_file() && at(b".history.csv").is_file());
    let text = run(&format!("{train} --data digits --json"), &[("--out", b"2.safetensors")]);
    assert!(text.contains("a\u{fffd}2.safetensors"), "{text}");
    let copied = folder.path("m.safetensors");
    fs::copy(at(b".safetensors"), copied).unwrap();
    for command in ["units", "score", "report", "encode"] {
        let end = if command == "report" { &b".html"[..] } else { b".csv" };
        let line = format!("{command} m.safetensors --data digits --overwrite --json");
        run(&line, &[("--out", end)]);
        assert!(at(end).is_file(), "{command}");
    }
    // PNGs keep their names.
    good(&folder, "convert digits/t10k-images-idx3-ubyte pngs");
    let file = fs::read_dir(folder.path("pngs")).unwrap().next().unwrap().unwrap().path();
    fs::rename(file, folder.0.join("pngs").join(name(b".png"))).unwrap();
    run("reconstruct m.safetensors --samples pngs --out written/ --json", &[]);
    assert!(folder.0.join("written").join(name(b".png")).is_file());
    run(
        "train --samples pngs --layers 784,9,784 --steps 2 --quiet",
        &[("--out", b"3.safetensors")],
    );
    run(
        "sweep --data digits --layers 784,9,784 --steps 2 --vary lr=1e-3/1e-2 --json",
        &[("--out", b"s.csv")],
    );
    let output = crate::runs::command(&folder, "compare --data digits").arg(at(b"s.csv")).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut models = fs::read_dir(at(b"s.trials")).unwrap().map(|file| file.unwrap().path());
    assert!(models.any(|file| file.extension() == Some(OsStr::new("safetensors"))));
}
