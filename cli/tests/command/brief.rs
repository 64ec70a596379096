//! Command lines of help and book, run by bash as a person would type them, but with few steps and digits.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::folder::Folder;

/// Stands in for the command: fewer steps, fewer digits, and no browser.
const WRAPPER: &str = r#"#!/usr/bin/env bash
command=${1:-}
given=()
while (($#)); do
    case $1 in
        --open) ;;
        --steps | --pretrain) given+=("$1" 20); shift ;;
        *) given+=("$1") ;;
    esac
    shift
done
case "$command ${given[*]}" in
    *" --help"* | *" --like "* | *" --resume"* | *" --steps "*) ;;
    train* | sweep*) given+=(--steps 20) ;;
    "make-digits "*" --t"*) ;;
    make-digits*) given+=(--train 1200 --test 200) ;;
esac
exec "$SAE_OF_TESTS" "${given[@]}"
"#;

/// A folder with a command `sae` that trains for few steps, and a few drawn digits in the cache folder.
pub struct Brief {
    pub folder: Folder,
}

impl Brief {
    pub fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let bin = folder.0.join("bin");
        fs::create_dir(&bin).unwrap();
        let wrapper = bin.join("sae");
        fs::write(&wrapper, WRAPPER).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        let brief = Brief { folder };
        // Where the command expects its own.
        brief.run("sae make-digits sae/digits-v1 --train 1200 --test 200", &brief.folder.0);
        brief
    }

    /// Runs a script in this folder; its output. Panics if a line of it fails.
    pub fn run(&self, script: &str, folder: &Path) -> String {
        let paths = std::env::var("PATH").unwrap();
        let output = Command::new("bash")
            .args(["-e", "-u", "-o", "pipefail", "-c", script])
            .current_dir(folder)
            .env("PATH", format!("{}:{paths}", self.folder.0.join("bin").display()))
            .env("SAE_OF_TESTS", env!("CARGO_BIN_EXE_sae"))
            .env("XDG_CACHE_HOME", &self.folder.0)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        // `head` closes the pipe early.
        let is_good =
            output.status.success() || script.contains("| head") && !stderr.contains("error");
        assert!(is_good, "{script}\n{stderr}");
        String::from_utf8(output.stdout).unwrap()
    }
}
