//! Every example of the command's help works, run with fewer steps.

use std::fs;

use crate::brief::Brief;

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

#[test]
fn examples_work() {
    let brief = Brief::new("help");
    let folder = &brief.folder.0;
    let help = brief.run("sae --help", folder);
    let list = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Vec<&str> =
        list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 12 && commands[0] == "train", "{commands:?}");
    brief.run("sae train --preset article --data sae/digits-v1 --out sae.safetensors", folder);
    let mut tried = 0;
    for command in commands.into_iter().filter(|&command| command != "help") {
        let help = brief.run(&format!("sae {command} --help"), folder);
        // Of its own, because no file is replaced; with a model.
        let own = folder.join(command);
        fs::create_dir(&own).unwrap();
        fs::copy(folder.join("sae.safetensors"), own.join("sae.safetensors")).unwrap();
        fs::copy(folder.join("sae.data.json"), own.join("sae.data.json")).unwrap();
        let examples = examples(&help);
        assert!(examples.iter().any(|example| example.contains(command)), "{command}: {help}");
        for example in examples {
            brief.run(&example, &own);
            tried += 1;
        }
        if command == "convert" {
            // There and back.
            let [back, first] = ["test.idx", "digits/t10k-images-idx3-ubyte"];
            assert!(fs::read(own.join(back)).unwrap() == fs::read(own.join(first)).unwrap());
        }
    }
    println!("{tried} examples");
    assert!(tried > 25, "{tried}");
}
