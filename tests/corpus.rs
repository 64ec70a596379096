//! The fuzz targets' seeds and findings, through the same doors, without a fuzzer.
#![cfg(all(feature = "model", feature = "gz"))]

use std::fs;
use std::path::Path;

use sae::{Autoencoder, Checkpoint, Idx, Settings};

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
    for (name, bytes) in seeds("idx") {
        let memory = Idx::from_bytes(&name, bytes);
        let files = [Idx::open(&name), Idx::read(&name)];
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
    // One for each element type, as IDX and as NumPy's, at least.
    assert!(good >= 12, "{good}");
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
    for (name, bytes) in seeds("model") {
        if let Ok(net) = Autoencoder::from_bytes(&name, &bytes) {
            assert_eq!(Autoencoder::from_bytes(&name, &net.to_bytes()).unwrap(), net);
        }
    }
    let good = seeds("checkpoint").iter().any(|(n, b)| Checkpoint::from_bytes(n, b).is_ok());
    assert!(good);
}

#[test]
fn settings() {
    let texts: Vec<_> =
        seeds("settings").into_iter().map(|(_, b)| String::from_utf8(b).unwrap()).collect();
    let good: Vec<_> = texts.iter().filter_map(|text| Settings::from_json(text).ok()).collect();
    assert!(!good.is_empty());
    for settings in good {
        assert_eq!(Settings::from_json(&settings.to_json()).unwrap(), settings);
    }
}
