//! Any bytes as a list of files, and as a pattern, beside files of samples: an error of one sentence, or
//! rows that can be read.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sae::data::{ReadOptions, Shards, Source, write_npy};

/// A folder with files of samples; its own folder has no others.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("sae-fuzz-list-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("in")).expect("a folder for temporary files");
        for (name, rows) in [("a-1.npy", 1), ("a-2.npy", 2), ("a-10.npy", 3), ("in/b.npy", 1)] {
            write_npy(folder.join(name), &[rows, 2], &vec![rows as f32; 2 * rows]).expect("space");
        }
        write_npy(folder.join("in/wide.npy"), &[1, 3], &[0u8; 3]).expect("space");
        folder
    })
}

fuzz_target!(|bytes: &[u8]| {
    let folder = folder();
    let list = folder.join("list.txt");
    fs::write(&list, bytes).expect("space");
    check(&list);
    if let Ok(text) = std::str::from_utf8(bytes) {
        // A pattern within the folder; `..` and `**` would go through others.
        if text.len() < 100 && !text.contains("..") && !text.contains("**") {
            check(&folder.join(text.trim_start_matches('/')));
        }
    }
});

fn check(path: &Path) {
    match Shards::open([path], &ReadOptions::default()) {
        Ok(shards) => {
            let mut memory = Vec::new();
            for row in 0..shards.samples() {
                shards.row(row, &mut memory).expect("nobody changes it");
            }
            shards.unchanged().expect("nobody changes it");
        }
        Err(error) => {
            // A path of many characters is in it twice at most.
            let text = error.to_string();
            assert!(text.len() < 2000 + 2 * path.as_os_str().len(), "{text}");
        }
    }
}
