//! The fuzz targets' seeds and findings, through the same doors, without a fuzzer.

use std::fs;
use std::path::Path;

use crate::folder::Folder;
use sae::data::{Array, ReadOptions, Shards, Source, write_npy};
use sae::{Autoencoder, Settings, files::Checkpoint};

#[path = "../../fuzz/small.rs"]
mod small;

/// Every seed of a target.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut seeds: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty());
    seeds
}

#[test]
fn idx_files() {
    let mut good = 0;
    for (name, bytes) in seeds("idx").into_iter().chain(seeds("idx_map")) {
        let memory = Array::from_bytes(&name, bytes);
        let files = [Array::open(&name), Array::read(&name)];
        good += usize::from(memory.is_ok());
        for file in files {
            assert_eq!(file.is_ok(), memory.is_ok(), "{name}");
            let (Ok(file), Ok(memory)) = (file, &memory) else { continue };
            let [mut row, mut want] = [(); 2].map(|()| vec![0.0; memory.features()]);
            for sample in 0..memory.samples() {
                file.read_row(sample, &mut row);
                memory.read_row(sample, &mut want);
                assert_eq!(row.map_bits(), want.map_bits(), "{name}");
            }
        }
    }
    // One for each element type, as IDX and as NumPy's, at least, for both targets.
    assert!(good >= 24, "{good}");
}

#[test]
fn safetensors_files_of_samples() {
    let folder = Folder::new("corpus");
    let mut good = 0;
    for (name, bytes) in seeds("safetensors_data") {
        // As it is, and as a header with its length before it.
        let end = bytes.iter().rposition(|&byte| byte == b'}').map_or(0, |at| at + 1);
        let (header, data) = bytes.split_at(end);
        let framed = [&(header.len() as u64).to_le_bytes(), header, data].concat();
        for bytes in [bytes, framed] {
            let path = folder.file("file", &bytes);
            let memory = Array::from_bytes(&name, bytes);
            let file = Array::open(&path);
            assert_eq!(file.is_ok(), memory.is_ok(), "{name}");
            let (Ok(file), Ok(memory)) = (file, memory) else { continue };
            good += 1;
            let [mut row, mut want] = [(); 2].map(|()| vec![0.0; memory.features()]);
            for sample in 0..memory.samples() {
                file.read_row(sample, &mut row);
                memory.read_row(sample, &mut want);
                assert_eq!(row.map_bits(), want.map_bits(), "{name}");
            }
        }
    }
    // One for each element type, and some more.
    assert!(good >= 17, "{good}");
}

#[test]
fn lists_of_files() {
    let folder = Folder::new("corpus");
    std::fs::create_dir(folder.0.join("in")).unwrap();
    for (name, rows) in [("a-1.npy", 1), ("a-2.npy", 2), ("a-10.npy", 3), ("in/b.npy", 1)] {
        write_npy(folder.0.join(name), &[rows, 2], &vec![rows as f32; 2 * rows]).unwrap();
    }
    write_npy(folder.0.join("in/wide.npy"), &[1, 3], &[0u8; 3]).unwrap();
    let mut rows = Vec::new();
    for (name, bytes) in seeds("shard_list") {
        let list = folder.file("list.txt", &bytes);
        let mut paths = vec![list];
        if let Ok(text) = String::from_utf8(bytes)
            && text.len() < 100
        {
            paths.push(folder.0.join(text.trim_start_matches('/')));
        }
        for path in paths {
            match Shards::open([&path], &ReadOptions::default()) {
                Ok(shards) => rows.push(shards.samples()),
                Err(error) => assert!(error.to_string().len() < 2000, "{name}: {error}"),
            }
        }
    }
    rows.sort_unstable();
    // A list of one and one of three; patterns of three and of two.
    assert_eq!(rows, [1, 3, 6, 6]);
}

trait Bits {
    fn map_bits(&self) -> Vec<u32>;
}

impl Bits for Vec<f32> {
    fn map_bits(&self) -> Vec<u32> {
        self.iter().map(|number| number.to_bits()).collect()
    }
}

#[test]
fn models_and_checkpoints() {
    let mut good = 0;
    for (name, bytes) in seeds("model") {
        if let Ok(net) = Autoencoder::from_bytes(&name, &bytes) {
            assert_eq!(Autoencoder::from_bytes(&name, &net.to_bytes().unwrap()).unwrap(), net);
            good += 1;
        }
    }
    assert!(good > 0);
    let mut good = 0;
    for (name, bytes) in seeds("checkpoint") {
        match Checkpoint::from_bytes(&name, &bytes) {
            Ok(_) => good += 1,
            // The checksum is right there, so that it is the settings that are refused.
            Err(error) if name.ends_with("bad-settings") => {
                assert!(error.to_string().contains("batch: expected"), "{error}");
            }
            Err(_) => {}
        }
    }
    assert!(good > 0);
}

#[test]
fn settings() {
    let mut good = 0;
    for (name, bytes) in seeds("settings") {
        let Ok(text) = String::from_utf8(bytes) else { continue };
        if let Ok(settings) = Settings::from_json(&text) {
            assert_eq!(Settings::from_json(&settings.to_json()).unwrap(), settings, "{name}");
            small::train(settings);
            good += 1;
        }
    }
    assert!(good > 10, "{good}");
}

#[test]
fn layers() {
    let mut good = Vec::new();
    for (name, bytes) in seeds("layers") {
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let sizes: Result<Vec<usize>, _> = text.split(',').map(str::parse).collect();
        let Ok(sizes) = sizes else { continue };
        let settings = Settings { layers: sizes, ..Settings::default() };
        if settings.validate().is_ok() {
            small::train(settings);
            good.push(Path::new(&name).file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    for name in ["preset", "small", "ones", "odd", "largest", "deep", "ends"] {
        assert!(good.iter().any(|good| good == name), "{name} is not among {good:?}");
    }
    for name in ["even", "none", "empty", "zero", "minus", "too-large", "too-deep"] {
        assert!(good.iter().all(|good| good != name), "{name} is among {good:?}");
    }
}
