//! A mapped file of more than 4 GiB, a hole on the disk, takes little memory of the process's own.

use std::fs::{self, File};
use std::io::Write;

use sae::{Samples, Settings, Trainer};

const SAMPLES: u32 = 5_600_000;

#[test]
#[ignore = "needs a file system with holes, and pages for some thousand samples"]
fn more_than_4_gib() {
    let path = std::env::temp_dir().join(format!("sae-large-{}", std::process::id()));
    let mut file = File::create(&path).unwrap();
    let dims = [SAMPLES, 28, 28].map(u32::to_be_bytes).concat();
    file.write_all(&[&[0, 0, 8, 3], &dims[..]].concat()).unwrap();
    file.set_len(16 + u64::from(SAMPLES) * 784).unwrap();
    let samples = Samples::open(&path).unwrap();
    // The map keeps it.
    fs::remove_file(&path).unwrap();
    assert_eq!((samples.len(), samples.features()), (SAMPLES as usize, 784));
    let mut trainer =
        Trainer::new(Settings { layers: vec![784, 20, 784], ..Settings::default() }, &samples)
            .unwrap();
    for _ in 0..100 {
        trainer.step().unwrap();
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let anonymous: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    // The order of the samples alone takes 22 MB.
    assert!((20_000..200 << 10).contains(&anonymous), "{anonymous} KiB");
}
