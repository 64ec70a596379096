//! Completions, in real shells where they are installed.

use std::fs;
use std::path::Path;
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
    fs::create_dir(folder.0.join("digits")).unwrap();
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

/// The folder of this program, as the first of a shell's.
fn with_path() -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_sae")).parent().unwrap();
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default())
}

/// Whether there is this shell; says so if not.
fn has_shell(shell: &str) -> bool {
    let found = Command::new(shell).arg("--version").output().is_ok();
    if !found {
        eprintln!("completions of {shell}: skipped, it is not installed");
    }
    found
}

/// A script for a shell in a file, and a command of the shell.
fn with_script(folder: &Folder, shell: &str, file: &str, program: &str) -> std::process::Output {
    let output =
        Command::new(env!("CARGO_BIN_EXE_sae")).args(["completions", shell]).output().unwrap();
    fs::write(folder.0.join(file), output.stdout).unwrap();
    let mut command = Command::new(shell);
    command.args(if shell == "zsh" { ["-f", "-c"] } else { ["--no-config", "-c"] }).arg(program);
    command.current_dir(&folder.0).env("PATH", with_path()).env("HOME", &folder.0);
    command.env("TERM", "dumb").stdin(std::process::Stdio::null()).output().unwrap()
}

#[test]
fn fish_completes_values() {
    if !has_shell("fish") {
        return;
    }
    let folder = Folder::new("completions-fish");
    fs::write(folder.0.join("files.npy"), "").unwrap();
    for (line, expected) in [
        ("sae tra", "train"),
        ("sae train --resu", "--resume"),
        ("sae train --preset im", "images"),
        ("sae train --preset=im", "--preset=images"),
        ("sae train --code top", "top-k:"),
        ("sae train --rows ", "first last"),
        ("sae sweep --vary cod", "code="),
        ("sae completions f", "fish"),
        ("sae presets matr", "matryoshka"),
        ("sae inspect f", "files.npy"),
    ] {
        let program = format!("source sae.fish; complete -C '{line}'");
        let output = with_script(&folder, "fish", "sae.fish", &program);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
        let text = String::from_utf8(output.stdout).unwrap();
        let values: Vec<_> = text.lines().filter_map(|it| it.split('\t').next()).collect();
        assert_eq!(values.join(" "), expected, "{line}");
    }
}

#[test]
fn zsh_completes_values() {
    /// Types a line and a tab in a shell of its own, until what is expected is there.
    const PROGRAM: &str = r#"
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PROMPT='' RPROMPT=''; fpath=($PWD \$fpath); autoload -Uz compinit; compinit -u -d $PWD/dump; bindkey '^I' complete-word; print BE''GIN"
wait_for() {
    local text="" chunk end=$(( SECONDS + 30 ))
    while (( SECONDS < end )) && [[ "$text" != *"$1"* ]]; do
        if zpty -rt shell chunk 2>/dev/null; then text+="$chunk"; else sleep 0.02; fi
    done
    [[ "$text" == *"$1"* ]] || { print -r -- "no $1 in: $text"; exit 1 }
    [[ "$text" != *"not found"* && "$text" != *error* ]] || { print -r -- "$text"; exit 1 }
}
wait_for BEGIN
"#;
    if !has_shell("zsh") {
        return;
    }
    let folder = Folder::new("completions-zsh");
    let mut program = PROGRAM.to_owned();
    for (line, expected) in [
        ("sae tra", "train"),
        ("sae train --preset im", "images"),
        ("sae train --code top", "top-k:"),
        ("sae train --code=top", "--code=top-k:"),
        ("sae train --rows l", "last"),
        ("sae sweep --vary cod", "code="),
        ("sae completions f", "fish"),
        ("sae presets matr", "matryoshka"),
    ] {
        program += &format!("zpty -n -w shell '{line}'$'\\t'; wait_for '{expected}'\n");
        program += "zpty -n -w shell $'\\C-u'\n";
    }
    // What is begun is typed on without a space.
    for (line, more, expected) in [
        ("sae train --code batch", "32", "batch-top-k:32"),
        ("sae train --code=batch", "32", "--code=batch-top-k:32"),
        ("sae sweep --vary seed", "1/2", "seed=1/2"),
    ] {
        program += &format!("zpty -n -w shell '{line}'$'\\t'{more}; wait_for '{expected}'\n");
        program += "zpty -n -w shell $'\\C-u'\n";
    }
    let output =
        with_script(&folder, "zsh", "_sae", &(program + "zpty -d shell; print COMPLETED\n"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.ends_with("COMPLETED\n"), "{text} {}", String::from_utf8_lossy(&output.stderr));
}
