//! Every shell block of the book and of README.md works, run with fewer steps.
//!
//! Blocks in other languages are run elsewhere: Rust as doc tests of the library, Python by the tests of the
//! package, C by `scripts/capi.sh`. `console` is for what no test can run, such as installations.

use std::fs;
use std::path::{Path, PathBuf};

use crate::brief::Brief;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// README.md and the pages that SUMMARY.md lists.
fn pages() -> Vec<PathBuf> {
    let docs = root().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let links = summary.split("](").skip(1).map(|rest| docs.join(rest.split(')').next().unwrap()));
    [root().join("README.md")].into_iter().chain(links).collect()
}

/// The fenced blocks of a page: language and text, without the indentation of a list.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut open = None;
    for line in page.lines() {
        let trimmed = line.trim_start();
        match (trimmed.strip_prefix("```"), open) {
            (Some(language), None) => {
                open = Some(line.len() - trimmed.len());
                found.push((language.to_owned(), String::new()));
            }
            (Some(_), Some(_)) => open = None,
            (None, Some(indent)) => {
                let text = &mut found.last_mut().unwrap().1;
                *text += line.get(indent..).unwrap_or_default();
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end: {page}");
    found
}

/// The files that the pages speak of, small.
const FILES: &str = r#"
cp -r "$XDG_CACHE_HOME/sae/digits-v1" FOLDER
sae convert FOLDER/t10k-images-idx3-ubyte photos
cp -r photos FOLDER_OF_PNGS
sae train --preset top-k --layers 784,384,784 --code top-k:8 --data FOLDER --out made/model.safetensors --quiet
mkdir activations
sae encode made/model.safetensors --split test --out activations/test.npy
sae encode made/model.safetensors --split test --out activations/part-1.npy
sae encode made/model.safetensors --split train --out activations/part-2.npy
for i in $(seq 200); do echo "token$i"; done >activations/test-tokens.txt
cp activations/test-tokens.txt .
cp activations/test.npy activations.npy
cp activations/test.npy in.npy
cp activations/test.npy out.npy
cp activations/test.npy other-in.npy
cp activations/test.npy other-out.npy
sae cut-patches X.idx --data FOLDER --side 4 --count 300
sae convert X.idx X.npy
cp "$DOCS/tutorials/wine.csv" .
"#;

#[test]
fn blocks_work() {
    let brief = Brief::new("book");
    let files = brief.folder.0.join("files");
    fs::create_dir(&files).unwrap();
    let docs = root().join("docs");
    brief.run(&format!("DOCS='{}'\n{FILES}", docs.display()), &files);
    let mut ran = 0;
    for (number, page) in pages().iter().enumerate() {
        let text = fs::read_to_string(page).unwrap();
        let script: Vec<String> = blocks(&text)
            .into_iter()
            .filter(|(name, _)| name == "sh")
            .map(|(_, text)| text)
            .collect();
        if script.is_empty() {
            continue;
        }
        // Of its own; the blocks of a page follow each other.
        let own = brief.folder.0.join(format!("page-{number}"));
        brief.run(&format!("cp -r files '{}'", own.display()), &brief.folder.0);
        for block in script {
            println!("{}: {block}", page.display());
            brief.run(&block.replace("cargo run --release -- ", "sae "), &own);
            ran += 1;
        }
    }
    assert!(ran > 30, "{ran} blocks");
}

#[test]
fn blocks_that_are_not_run_are_known() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (language, text) in blocks(&text) {
            let page = page.display();
            // After a comma rustdoc has its words.
            let language = language.split(',').next().unwrap();
            let known = ["sh", "console", "rust", "python", "c", "json", "text"];
            assert!(known.contains(&language), "{page}: a block in '{language}'");
            // What can be run is a block `sh`.
            let calls = text.lines().any(|line| line.starts_with("sae "));
            assert!(language != "console" || !calls, "{page}: {text}");
        }
    }
}

#[test]
fn links_lead_to_files() {
    for page in
        pages().into_iter().chain([root().join("docs/SUMMARY.md"), root().join("CONTRIBUTING.md")])
    {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let path = link.split('#').next().unwrap();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let target = page.parent().unwrap().join(path);
            assert!(target.exists(), "{}: {link}", page.display());
        }
    }
}
