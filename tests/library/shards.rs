//! Several files as one data set: which files are found, in which order, and their rows.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::folder::Folder;
#[cfg(feature = "gz")]
use crate::formats::gz;
use crate::formats::{npy, safetensors};
use sae::data::{Array, ElementType, ReadOptions, Rows, Shards, Source, write_idx, write_npy};
use sae::{SampleOrder, Samples, Scaling, Settings, Trainer};

fn opened(paths: &[impl AsRef<Path>]) -> sae::Result<Shards> {
    Shards::open(paths, &ReadOptions::default())
}

fn refused(paths: &[impl AsRef<Path>]) -> String {
    let problem = opened(paths).unwrap_err().to_string();
    assert!(!problem.contains('\n') && problem.len() < 600, "{problem}");
    problem
}

/// The first number of each row.
fn firsts(source: impl Source + 'static) -> Vec<f32> {
    let samples = Samples::new(source, Scaling::AsIs);
    let mut row = vec![0.0; samples.features()];
    let first = |sample| {
        samples.gather(sample, &mut row).unwrap();
        row[0]
    };
    (0..samples.len()).map(first).collect()
}

fn names(shards: &Shards) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    shards.paths().map(name).collect()
}

/// A file of rows of two numbers, the first of which are these.
fn file(folder: &Folder, name: &str, firsts: &[f32]) -> PathBuf {
    let path = folder.0.join(name);
    let rows: Vec<f32> = firsts.iter().flat_map(|&first| [first, 0.5]).collect();
    write_npy(&path, &[firsts.len(), 2], &rows).unwrap();
    path
}

#[test]
fn files_are_sorted_as_people_count() {
    let folder = Folder::new("shards");
    for (at, name) in
        ["shard-10.npy", "shard-2.npy", "shard-1.npy", "shard-02.npy"].iter().enumerate()
    {
        file(&folder, name, &[at as f32]);
    }
    file(&folder, "other-3.npy", &[9.0]);
    // What is no data, is hidden or in another folder.
    folder.file("notes.md", b"x");
    folder.file(".shard-3.npy", b"x");
    fs::create_dir(folder.0.join("shard-4.npy")).unwrap();
    let sorted = ["other-3.npy", "shard-1.npy", "shard-2.npy", "shard-02.npy", "shard-10.npy"];
    let shards = opened(&[&folder.0]).unwrap();
    assert_eq!(names(&shards), sorted);
    assert_eq!(firsts(shards), [9.0, 2.0, 1.0, 3.0, 0.0]);
    let pattern = folder.0.join("shard-[0-9]*.npy");
    fs::remove_dir(folder.0.join("shard-4.npy")).unwrap();
    assert_eq!(names(&opened(&[&pattern]).unwrap()), sorted[1..]);
    let pattern = folder.0.join("*-?.npy");
    assert_eq!(names(&opened(&[&pattern]).unwrap()), ["other-3.npy", "shard-1.npy", "shard-2.npy"]);
    // Paths, folders and patterns together.
    let some = ["shard-10.npy", "shard-[12].npy", "other-3.npy"].map(|name| folder.0.join(name));
    let shards = opened(&some).unwrap();
    assert_eq!(names(&shards), ["other-3.npy", "shard-1.npy", "shard-2.npy", "shard-10.npy"]);
    // A file whose name looks like a pattern.
    let odd = file(&folder, "a[1]*.npy", &[4.0, 5.0]);
    assert_eq!(firsts(opened(&[&odd]).unwrap()), [4.0, 5.0]);

    let empty = Folder::new("shards");
    assert!(
        refused(&[&empty.0]).contains("no file of samples in this folder; names ending in .npy")
    );
    assert!(refused(&[empty.0.join("*.npy")]).contains("no file matches this pattern"));
    assert!(refused(&[empty.0.join("[.npy")]).contains("a pattern that is wrong"));
    assert!(refused(&[empty.0.join("missing.npy")]).contains("missing.npy"));
    assert!(refused(&Vec::<PathBuf>::new()).contains("no file of samples is given"));
}

#[test]
fn a_list_has_its_own_order() {
    let folder = Folder::new("shards");
    fs::create_dir(folder.0.join("in")).unwrap();
    for (name, first) in [("a.npy", 1.0), ("in/b.npy", 2.0), ("c d.npy", 3.0)] {
        file(&folder, name, &[first]);
    }
    let absolute = folder.path("a.npy");
    let text = format!("# a comment\n\n  in/b.npy\r\n{absolute}\nc d.npy  \na.npy");
    let list = folder.file("list.txt", text.as_bytes());
    assert_eq!(firsts(opened(&[&list]).unwrap()), [2.0, 1.0, 3.0, 1.0]);
    for (content, words) in [
        (&b"a.npy\nmissing.npy\n"[..], "this one has 'missing.npy', which does not exist"),
        (b"0.5 0.25 1\n", "a list of files, one a line, was expected in a .txt file"),
        (b"\xff\xfe\0", "this one is no text"),
        (b"# nothing\n\n", "this list has no file"),
        (b"in\n", "this is a folder"),
        (b"a\x00b\x1b[31m\n", "'a?b?[31m'"),
        (&[b'7'; 1 << 20], "777...', which does not exist"),
    ] {
        let list = folder.file("bad.txt", content);
        let problem = refused(&[list]);
        assert!(problem.contains(words), "{problem}");
        let path = if words.contains("folder") { "in" } else { "bad.txt" };
        assert!(problem.contains(path), "{problem}");
    }
}

/// Three files of five, one and four rows, each of another type, and the rows that they have together.
fn mixed(folder: &Folder) -> (PathBuf, Vec<f32>) {
    let rows: Vec<f32> = (0..30).map(|at| at as f32).collect();
    let halves: Vec<u8> = (0..15).flat_map(|at: u16| HALVES[at as usize].to_le_bytes()).collect();
    folder.file("part-1.safetensors", &safetensors(&[("x", "F16", "[5,3]", &halves)], 3));
    write_idx(folder.0.join("part-2.idx"), &[1, 3], &[15u8, 16, 17]).unwrap();
    let last: Vec<f64> = (18..30).map(f64::from).collect();
    write_npy(folder.0.join("part-10.npy"), &[4, 3], &last).unwrap();
    (folder.0.clone(), rows)
}

/// The whole numbers from 0 to 14, of 16 bits.
const HALVES: [u16; 15] = [
    0, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600, 0x4700, 0x4800, 0x4880, 0x4900, 0x4980,
    0x4a00, 0x4a80, 0x4b00,
];

#[test]
fn rows_are_those_of_one_array() {
    let folder = Folder::new("shards");
    let (path, rows) = mixed(&folder);
    let shards = opened(&[&path]).unwrap();
    assert_eq!((shards.samples(), shards.features(), shards.element_type()), (10, 3, None));
    assert_eq!(shards.place(5), (path.join("part-2.idx"), 0));
    assert_eq!(shards.place(9), (path.join("part-10.npy"), 3));
    assert!(format!("{shards:?}").starts_with("Shards(3 files from"), "{shards:?}");
    shards.unchanged().unwrap();
    shards.read_ahead(0..10);
    let samples = Samples::new(shards, Scaling::AsIs);
    let mut row = [0.0; 3];
    for (sample, numbers) in rows.chunks(3).enumerate() {
        samples.gather(sample, &mut row).unwrap();
        assert_eq!(row, numbers);
    }
    // Of one type it is known, and bytes are scaled.
    write_idx(path.join("part-1.idx"), &[1, 3], &[0u8, 255, 51]).unwrap();
    let samples = Samples::open_all([path.join("part-*.idx")]).unwrap();
    assert_eq!(samples.scaling(), Scaling::Byte);
    samples.gather(0, &mut row).unwrap();
    assert_eq!(row, [0.0, 1.0, 51.0 / 255.0]);
    assert_eq!(samples.len(), 2);
    // Files that were written to are noticed, whichever it is.
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let handle = fs::File::options().write(true).open(path.join("part-2.idx")).unwrap();
    handle.set_modified(later).unwrap();
    assert!(samples.unchanged().unwrap_err().to_string().contains("part-2.idx: changed"));
}

#[test]
fn a_bad_file_is_named() {
    let folder = Folder::new("shards");
    let (path, _) = mixed(&folder);
    let good = fs::read(path.join("part-10.npy")).unwrap();
    for (content, words) in [
        (good[..good.len() - 1].to_vec(), "header says 4 x 3 f64"),
        ([&good[..], &[0]].concat(), "header says 4 x 3 f64"),
        (vec![], "is empty"),
        (npy("<f4", "False", "(1, 4)", &[0; 16]), "has 4 features; expected 3, as in"),
        (npy("<f4", "False", "(3,)", &[0; 12]), "has 1 feature; expected 3"),
        (npy("<c8", "False", "(1, 3)", &[0; 24]), "complex numbers"),
        (
            safetensors(&[("a", "U8", "[1,3]", &[0; 3]), ("b", "U8", "[1,3]", &[0; 3])], 0),
            "--tensor",
        ),
    ] {
        folder.file("part-11.npy", &content);
        let problem = refused(&[&path]);
        assert!(problem.contains("part-11.npy") && problem.contains(words), "{problem}");
    }
    fs::remove_file(path.join("part-11.npy")).unwrap();
    let paths = ["part-1.safetensors", "part-7.npy", "part-10.npy"].map(|name| path.join(name));
    let problem = refused(&paths);
    assert!(problem.contains("cannot open") && problem.contains("part-7.npy"), "{problem}");
    // A number in one of them, by its row there.
    let names = ["part-10.npy", "part-2.idx"].map(|name| path.join(name));
    let samples = Samples::new(opened(&names).unwrap(), Scaling::MinMax { min: 0.0, max: 1e-300 });
    let problem = samples.gather(3, &mut [0.0; 3]).unwrap_err().to_string();
    assert!(problem.contains("part-10.npy: sample 2, feature 0 is 24"), "{problem}");
}

/// Files that are read as a whole, and arrays of more dimensions.
#[test]
fn files_of_every_kind_are_shards() {
    let folder = Folder::new("shards");
    let little =
        |numbers: &[u16]| -> Vec<u8> { numbers.iter().flat_map(|n| n.to_le_bytes()).collect() };
    let mut files = vec![
        folder.file("1.npy", &npy("<u2", "False", "(2, 3)", &little(&[0, 1, 2, 3, 4, 5]))),
        // In Fortran order.
        folder.file("2.npy", &npy("<u2", "True", "(2, 3)", &little(&[6, 9, 7, 10, 8, 11]))),
    ];
    #[cfg(feature = "gz")]
    files
        .push(folder.file("3.npy.gz", &gz(&npy("<u2", "False", "(1, 3)", &little(&[12, 13, 14])))));
    #[cfg(not(feature = "gz"))]
    files.push(folder.file("3.npy", &npy("<u2", "False", "(1, 3)", &little(&[12, 13, 14]))));
    assert_eq!(firsts(opened(&[&folder.0]).unwrap()), [0.0, 3.0, 6.0, 9.0, 12.0]);
    let shards = opened(&files).unwrap();
    assert_eq!((shards.element_type(), shards.arrays().count()), (Some(ElementType::U16), 3));
    assert!(shards.resident_bytes().is_some());

    let deep = Folder::new("shards");
    let singles: Vec<f32> = (0..24).map(|at| at as f32).collect();
    write_npy(deep.0.join("1.npy"), &[2, 3, 4], &singles).unwrap();
    write_npy(deep.0.join("2.npy"), &[1, 1, 4], &[24f32, 0.0, 0.0, 0.0]).unwrap();
    let shards = opened(&[&deep.0]).unwrap();
    assert_eq!((shards.samples(), shards.features(), shards.row_dims().len()), (7, 4, 0));
    assert_eq!(firsts(shards), [0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0]);
    let by = |rows| ReadOptions { rows: Some(rows), ..ReadOptions::default() };
    let problem = Shards::open([&deep.0], &by(Rows::First)).unwrap_err().to_string();
    assert!(problem.contains("2.npy: this file has 4 features; expected 12, as in"), "{problem}");
    let one = Shards::open([deep.0.join("1.npy")], &by(Rows::First)).unwrap();
    assert_eq!(one.row_dims(), [3, 4]);
    assert_eq!(firsts(one), [0.0, 12.0]);
    // Images, as a whole and by their lines.
    write_idx(deep.0.join("3.idx"), &[2, 2, 2], &[1u8, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    let images = opened(&[deep.0.join("3.idx")]).unwrap();
    assert_eq!((images.row_dims(), images.samples()), (&[2, 2][..], 2));
    let lines = Shards::open([deep.0.join("3.idx")], &by(Rows::Last)).unwrap();
    assert_eq!(firsts(lines), [1.0, 3.0, 5.0, 7.0]);
    // Floats of an IDX file are images, too.
    write_idx(deep.0.join("4.idx"), &[1, 2, 2], &[1f32, 2.0, 3.0, 4.0]).unwrap();
    assert_eq!(opened(&[deep.0.join("4.idx")]).unwrap().features(), 4);
}

/// A tensor by its name in each file.
#[test]
fn a_tensor_of_each_file_is_taken() {
    let folder = Folder::new("shards");
    for at in 0..3u8 {
        let tensors: &[(&str, &str, &str, &[u8])] =
            &[("x", "U8", "[1,2]", &[at, 0]), ("y", "I8", "[2,2]", &[10 * at, 0, 10 * at + 1, 0])];
        folder.file(&format!("{at}.safetensors"), &safetensors(tensors, at.into()));
    }
    let options = ReadOptions { tensor: Some("y".to_owned()), ..ReadOptions::default() };
    let shards = Shards::open([&folder.0], &options).unwrap();
    assert_eq!(firsts(shards), [0.0, 1.0, 10.0, 11.0, 20.0, 21.0]);
    let options = ReadOptions { tensor: Some("z".to_owned()), ..ReadOptions::default() };
    let problem = Shards::open([&folder.0], &options).unwrap_err().to_string();
    assert!(
        problem.contains("0.safetensors: no tensor 'z'; the file has 'x' (1 x 2)"),
        "{problem}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_files_are_opened() {
    let folder = Folder::new("shards");
    let bytes = npy("<f4", "False", "(1, 2)", &[0; 8]);
    for at in 0..10_000 {
        let mut bytes = bytes.clone();
        let length = bytes.len();
        bytes[length - 8..length - 4].copy_from_slice(&(at as f32).to_le_bytes());
        folder.file(&format!("shard-{at}.npy"), &bytes);
    }
    let start = Instant::now();
    let shards = opened(&[&folder.0]).unwrap();
    println!("10 000 files are opened in {:?}", start.elapsed());
    let open = fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(open < 300, "{open} files are open");
    shards.unchanged().unwrap();
    assert_eq!(shards.arrays().count(), 10_000);
    let want: Vec<f32> = (0..10_000).map(|at| at as f32).collect();
    assert_eq!(firsts(shards), want);
}

/// More than there is address space for, in a process with a limit: see below.
#[cfg(target_os = "linux")]
#[test]
fn more_than_the_address_space_is_read() {
    let folder = Folder::new("shards");
    // Holes on the disk, but for the last row.
    for at in 0..20u8 {
        let header = npy("|u1", "False", "(1048576, 64)", &[]);
        let path = folder.file(&format!("{at}.npy"), &header);
        let length = header.len() as u64 + (1 << 26);
        let handle = fs::File::options().write(true).open(&path).unwrap();
        handle.set_len(length).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&handle, &[at + 1; 64], length - 64).unwrap();
    }
    let program = std::env::current_exe().unwrap();
    let child = std::process::Command::new("sh")
        .arg("-c")
        .arg("ulimit -v 1048576 && exec \"$0\" --exact shards::with_a_limit --ignored --nocapture")
        .arg(program)
        .env("SAE_TEST_FOLDER", &folder.0)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let problem = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("1 passed"), "{said}\n{problem}");
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "for a process with a limit of address space"]
fn with_a_limit() {
    let Ok(folder) = std::env::var("SAE_TEST_FOLDER") else { return };
    let shards = opened(&[&folder]).unwrap();
    let mapped = shards.arrays().count();
    println!("{mapped} of 20 files are mapped");
    assert!((1..16).contains(&mapped), "{mapped}");
    assert_eq!(shards.resident_bytes(), None);
    let samples = Samples::new(shards, Scaling::Byte);
    let mut row = [0.0; 64];
    for file in 0..20 {
        samples.gather(file << 20 | 0xf_ffff, &mut row).unwrap();
        assert_eq!(row, [(file + 1) as f32 / 255.0; 64]);
    }
    // With a thread that reads ahead, whose own memory finds room.
    let window = SampleOrder::Window { samples: 4096 };
    for order in [SampleOrder::Shuffle, SampleOrder::Sequential, window] {
        let settings =
            Settings { layers: vec![64, 8, 64], order, beta: 0.0, ..Settings::default() };
        let mut trainer = Trainer::builder(settings).threads(2).build(&samples).unwrap();
        for _ in 0..20 {
            trainer.step().unwrap();
        }
    }
    // One file alone is mapped or refused.
    Array::open(Path::new(&folder).join("3.npy")).unwrap();
}
