//! Every example of the command's help works, run with fewer steps.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::folder::Folder;

fn sae(folder: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_sae")).args(arguments).current_dir(folder).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// The command lines of a help text: lines with two spaces and a call of `sae`, and their
/// continuations. Three spaces begin an explanation.
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

/// The same command with fewer steps.
fn brief(example: &str) -> String {
    let mut brief = String::new();
    for part in example.split(" && ") {
        let mut arguments: Vec<&str> = part.split(' ').filter(|&word| word != "--open").collect();
        let set =
            |arguments: &mut Vec<&str>, option: &'static str, value: &'static str| match arguments
                .iter()
                .position(|&word| word == option)
            {
                Some(at) => arguments[at + 1] = value,
                None => arguments.extend([option, value]),
            };
        if arguments[0] == "sae" && arguments[1] == "train" {
            set(&mut arguments, "--steps", "20");
        } else if arguments[0] == "sae" && arguments[1] == "sweep" {
            set(&mut arguments, "--steps", "12");
            set(&mut arguments, "--trials", "3");
        }
        if !brief.is_empty() {
            brief += " && ";
        }
        brief += &arguments.join(" ");
    }
    brief
}

#[test]
fn examples_work() {
    let folder = Folder::new("help");
    let help = sae(&folder.0, &["--help"]);
    let list = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Vec<&str> =
        list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 12 && commands[0] == "train", "{commands:?}");
    // A small set of drawn digits in the cache folder, where the command expects its own.
    let digits = folder.0.join("sae/digits-v1");
    sae(&folder.0, &["make-digits", digits.to_str().unwrap(), "--train", "1200", "--test", "200"]);
    let model = "train --preset article --steps 20 --data sae/digits-v1 --out sae.safetensors";
    sae(&folder.0, &model.split(' ').collect::<Vec<_>>());
    let path = Path::new(env!("CARGO_BIN_EXE_sae")).parent().unwrap().display().to_string();
    let path = format!("{path}:{}", std::env::var("PATH").unwrap());
    let mut tried = 0;
    for command in commands.into_iter().filter(|&command| command != "help") {
        let help = sae(&folder.0, &[command, "--help"]);
        // Of its own, because no file is replaced; with a model.
        let own = folder.0.join(command);
        fs::create_dir(&own).unwrap();
        fs::copy(folder.0.join("sae.safetensors"), own.join("sae.safetensors")).unwrap();
        fs::copy(folder.0.join("sae.data.json"), own.join("sae.data.json")).unwrap();
        let examples = examples(&help);
        assert!(examples.iter().any(|example| example.contains(command)), "{command}: {help}");
        for example in examples {
            let line = brief(&example);
            let output = Command::new("bash")
                .args(["-o", "pipefail", "-c", &line])
                .current_dir(&own)
                .env("PATH", &path)
                .env("XDG_CACHE_HOME", &folder.0)
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            // `head` closes the pipe early.
            let good =
                output.status.success() || line.contains("| head") && !stderr.contains("error");
            assert!(good, "{line}: {stderr}");
            tried += 1;
        }
    }
    println!("{tried} examples");
    assert!(tried > 25, "{tried}");
}
