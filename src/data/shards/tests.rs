//! Tests of several files as one data set.

use std::env::temp_dir;
use std::{fs, process, thread};

use super::*;
use crate::data::writer::write_npy;

/// Files of one row each, the row's number in it.
struct Files(PathBuf, Vec<PathBuf>);

impl Files {
    fn new(name: &str, count: usize) -> Self {
        let folder = temp_dir().join(format!("sae-shards-{name}-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = |at: usize| {
            let path = folder.join(format!("{at}.npy"));
            let number = at as f64;
            match at % 3 {
                0 => write_npy(&path, &[1, 2], &[number, -number]),
                1 => write_npy(&path, &[1, 2], &[number as f32, -number as f32]),
                _ => write_npy(&path, &[1, 2], &[number as i16, -number as i16]),
            }
            .unwrap();
            path
        };
        let files = (0..count).map(file).collect();
        Files(folder, files)
    }

    fn open(&self, files: usize, bytes: u64) -> Shards {
        let (options, limits) = (ReadOptions::default(), Limits { files, bytes });
        Shards::open_within(&self.1, &options, limits).unwrap()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn check(shards: &Shards) {
    let mut memory = Vec::new();
    for row in 0..shards.samples() {
        let stored = shards.row(row, &mut memory).unwrap();
        assert_eq!([stored.number(0), stored.number(1)], [row as f64, -(row as f64)]);
    }
}

#[test]
fn no_more_is_mapped_than_may_be() {
    let files = Files::new("limits", 200);
    // A header of 128 bytes, and two numbers of 8, 4 and 2 bytes.
    let three = 3 * 128 + 16 + 8 + 4;
    for (limit, bytes, mapped) in [
        (usize::MAX, u64::MAX, 200),
        (7, u64::MAX, 7),
        (0, u64::MAX, 0),
        (usize::MAX, 10 * three, 30),
        (usize::MAX, 0, 0),
    ] {
        let shards = files.open(limit, bytes);
        assert_eq!(shards.arrays().count(), mapped);
        assert_eq!(shards.resident_bytes().is_some(), mapped == 200);
        assert_eq!(shards.paths().count(), 200);
        check(&shards);
        shards.unchanged().unwrap();
        assert!(lock(&shards.open).len() <= MAX_READ);
    }
}

#[test]
fn rows_are_read_by_several_threads() {
    let files = Files::new("threads", 150);
    let shards = files.open(0, 0);
    thread::scope(|scope| {
        for thread in 0..4 {
            let shards = &shards;
            scope.spawn(move || {
                let mut memory = Vec::new();
                for at in 0..3000 {
                    let row = (at * (2 * thread + 1) * 7) % 150;
                    let stored = shards.row(row, &mut memory).unwrap();
                    assert_eq!(stored.number(1), -(row as f64));
                }
            });
        }
    });
    assert_eq!(lock(&shards.open).len(), MAX_READ);
}

#[test]
fn a_map_is_given_up() {
    let files = Files::new("unmap", 9);
    let mut shards = files.open(9, u64::MAX);
    shards.files[3..].iter_mut().for_each(Shard::unmap);
    assert_eq!(shards.arrays().count(), 3);
    check(&shards);
}

/// A file that is not mapped and becomes shorter is an error, and no signal.
#[test]
fn a_file_that_shrinks_is_an_error() {
    let files = Files::new("shrinks", 3);
    let shards = files.open(0, 0);
    fs::OpenOptions::new().write(true).open(&files.1[1]).unwrap().set_len(130).unwrap();
    let problem = shards.row(1, &mut Vec::new()).unwrap_err().to_string();
    assert!(
        problem.contains("1.npy: changed while") && problem.contains("became 130"),
        "{problem}"
    );
    let problem = shards.unchanged().unwrap_err().to_string();
    assert!(problem.contains("1.npy: changed while"), "{problem}");
    fs::remove_file(&files.1[2]).unwrap();
    let problem = shards.row(2, &mut Vec::new()).unwrap_err().to_string();
    assert!(problem.contains("cannot open") && problem.contains("2.npy"), "{problem}");
}

#[test]
fn files_without_samples_are_left_out() {
    let files = Files::new("empty", 3);
    let folder = &files.0;
    let write = |name: &str, shape: &str| {
        let path = folder.join(name);
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        let header = format!("{text:<117}\n");
        fs::write(&path, [b"\x93NUMPY\x01\0v\0", header.as_bytes()].concat()).unwrap();
        path
    };
    let empty = [write("e.npy", "(0, 2)"), write("f.npy", "(5, 0, 2)")];
    fs::write(folder.join("g.idx"), [0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 2]).unwrap();
    let all = [&files.1[..2], &empty, &[folder.join("g.idx")], &files.1[2..]].concat();
    let shards = Shards::open_files(&all, &ReadOptions::default()).unwrap();
    assert_eq!(shards.left_out(), &all[2..5]);
    assert_eq!(shards.paths().collect::<Vec<_>>(), files.1);
    check(&shards);
    for (paths, problem) in [
        (
            &empty[..],
            "f.npy: NumPy file: an array of shape [5, 0, 2]; it has no samples, 1 or more",
        ),
        (
            &[folder.join("g.idx")],
            "g.idx, byte 4: dimension 1 of 2 is 0; it has no samples, 1 or more",
        ),
        // What has no features is another fault.
        (&[all[0].clone(), write("h.npy", "(3, 0)")], "samples by features were expected"),
    ] {
        let error = Shards::open_files(paths, &ReadOptions::default()).err().unwrap().to_string();
        assert!(error.contains(problem), "{error}");
    }
}
