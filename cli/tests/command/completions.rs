//! Completions, in a real bash where there is one.

use std::process::Command;

use crate::folder::Folder;

/// What bash proposes for a command line, as it is typed up to its end.
fn proposed(folder: &Folder, line: &str) -> Vec<String> {
    // Words as bash divides them, at `=` and `:`, too.
    let script = r#"
        source <(sae completions bash)
        compopt() { echo "OPTION $*"; }
        words=()
        for word in $LINE; do
            while [[ "$word" == *[=:]* ]]; do
                before="${word%%[=:]*}"
                rest="${word#"$before"}"
                [[ -n "$before" ]] && words+=("$before")
                words+=("${rest:0:1}")
                word="${rest:1}"
            done
            [[ -n "$word" ]] && words+=("$word")
        done
        [[ "$LINE" == *" " ]] && words+=("")
        COMP_WORDS=("${words[@]}")
        COMP_CWORD=$((${#words[@]} - 1))
        $(complete -p sae | sed -E 's/.*-F ([^ ]+).*/\1/') sae "${COMP_WORDS[COMP_CWORD]}" \
            "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_sae")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["--norc", "-c", script])
        .current_dir(&folder.0)
        .env("PATH", path)
        .env("LINE", line)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_values() {
    if Command::new("bash").arg("--version").output().is_err() {
        println!("no bash");
        return;
    }
    let folder = Folder::new("completions");
    folder.file("samples.npy", b"");
    std::fs::create_dir(folder.0.join("digits")).unwrap();
    for (line, expected) in [
        ("sae tra", "train"),
        ("sae train --resu", "--resume"),
        ("sae train --preset im", "images"),
        ("sae train --preset=im", "images"),
        ("sae presets matr", "matryoshka"),
        ("sae train --code d", "dense"),
        ("sae train --code top", "OPTION -o nospace|top-k:"),
        ("sae train --code=", "OPTION -o nospace?|dense|top-k:|batch-top-k:|jump-relu:"),
        ("sae train --code top-k:", ""),
        ("sae train --code top-k:3", ""),
        ("sae train --activation s", "sigmoid|saturating-linear"),
        ("sae train --optimizer adam", "adam|adam-lazy|adamw"),
        ("sae train --output-bias ", "auto|zero|mean"),
        ("sae train --tied=", "true|false"),
        ("sae train --scaling min", "min-max|min-max:feature"),
        ("sae train --rows ", "first|last"),
        ("sae train --samples s", "OPTION -o filenames|samples.npy"),
        ("sae train --data d", "OPTION -o plusdirs"),
        ("sae sweep --vary cod", "OPTION -o nospace|code="),
        ("sae sweep --vary code=", "OPTION -o nospace?|dense|top-k:|batch-top-k:|jump-relu:"),
        ("sae sweep --vary code=to", "OPTION -o nospace|top-k:"),
        ("sae sweep --vary code=top-k:8/", ""),
        ("sae sweep --vary output_bias=z", "zero"),
        ("sae eval ", ""),
        ("sae eval s", ""),
        ("sae decode ", ""),
        ("sae eval --redu", "--redundancy"),
        ("sae sweep --sparsity m", "mean-activation"),
        ("sae score --split t", "test|train"),
        ("sae convert x y --to sp", "sparsify"),
        ("sae completions f", "fish"),
    ] {
        let all = proposed(&folder, line);
        let (options, values): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|it| it.starts_with("OPTION"));
        let (for_options, expected): (Vec<_>, Vec<_>) = expected
            .split('|')
            .filter(|it| !it.is_empty())
            .partition(|it| it.starts_with("OPTION"));
        assert_eq!(values, expected, "{line}");
        match for_options.first() {
            Some(option) if option.ends_with('?') => {}
            Some(option) => assert_eq!(options, [*option], "{line}"),
            None => assert!(options.is_empty(), "{line}: {options:?}"),
        }
    }
    // What is a number or a text has no files.
    let none = proposed(&folder, "sae train --steps s");
    assert!(!none.iter().any(|value| value == "samples.npy"), "{none:?}");
}

#[test]
fn all_shells_have_the_values() {
    for shell in ["bash", "zsh", "fish"] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_sae")).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        for value in ["top-k", "batch-top-k", "matryoshka", "leaky-relu", "adam-lazy", "code="] {
            assert!(script.contains(value), "{shell}: {value}");
        }
    }
}
