//! Every example of the command's help works as it stands, but for fewer steps.

use std::path::Path;
use std::process::Command;

use crate::folder::Folder;

fn sae(folder: &Path, words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sae")).args(words).current_dir(folder).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// The command lines of a help text: those that begin with two spaces and a call of `sae`, with
/// what continues them; what stands behind three spaces explains.
fn examples(help: &str) -> Vec<String> {
    let mut lines = help.split("Example").nth(1).unwrap_or_default().lines();
    let mut examples = Vec::new();
    while let Some(line) = lines.next() {
        if !line.starts_with("  ") || !line.contains("sae ") {
            continue;
        }
        let mut example = line.trim().split("   ").next().unwrap().to_owned();
        while let Some(begun) = example.strip_suffix('\\') {
            example = format!("{begun}{}", lines.next().unwrap().trim());
        }
        examples.push(example);
    }
    examples
}

/// The same with little work.
fn brief(example: &str) -> String {
    let mut brief = String::new();
    for part in example.split(" && ") {
        let mut words: Vec<&str> = part.split(' ').filter(|&word| word != "--open").collect();
        let set = |words: &mut Vec<&str>, option: &'static str, value: &'static str| match words
            .iter()
            .position(|&word| word == option)
        {
            Some(at) => words[at + 1] = value,
            None => words.extend([option, value]),
        };
        if words[0] == "sae" && words[1] == "train" {
            set(&mut words, "--steps", "20");
        } else if words[0] == "sae" && words[1] == "sweep" {
            set(&mut words, "--steps", "12");
            set(&mut words, "--trials", "3");
        }
        if !brief.is_empty() {
            brief += " && ";
        }
        brief += &words.join(" ");
    }
    brief
}

#[test]
fn examples_work_as_they_stand() {
    let folder = Folder::new("help");
    let help = sae(&folder.0, &["--help"]);
    let list = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Vec<&str> =
        list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 12 && commands[0] == "train", "{commands:?}");
    // Of drawn digits there are few here, where the command looks for its own.
    let digits = folder.0.join("sae/digits-v1");
    sae(&folder.0, &["make-digits", digits.to_str().unwrap(), "--train", "1200", "--test", "200"]);
    let path = Path::new(env!("CARGO_BIN_EXE_sae")).parent().unwrap().display().to_string();
    let path = format!("{path}:{}", std::env::var("PATH").unwrap());
    let mut tried = 0;
    for command in commands.into_iter().filter(|&command| command != "help") {
        let help = sae(&folder.0, &[command, "--help"]);
        let examples = examples(&help);
        assert!(examples.iter().any(|example| example.contains(command)), "{command}: {help}");
        for example in examples {
            let line = brief(&example);
            let output = Command::new("bash")
                .args(["-o", "pipefail", "-c", &line])
                .current_dir(&folder.0)
                .env("PATH", &path)
                .env("XDG_CACHE_HOME", &folder.0)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            // That the rest of a pipe is not read is no failure.
            let good =
                output.status.success() || line.contains("| head") && !said.contains("error");
            assert!(good, "{line}: {said}");
            tried += 1;
        }
    }
    println!("{tried} examples");
    assert!(tried > 25, "{tried}");
}
