//! IDX files, good and bad, through every way in.

use std::fs::{self, File};
use std::path::Path;

use crate::counting::LARGEST;
use crate::folder::Folder;
use proptest::prelude::*;
use sae::data::idx::{self, Element};
use sae::{
    Error,
    data::{ElementType, Idx},
};

#[cfg(feature = "gz")]
fn gz(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn file(kind: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// The error of each way in, which must name the file and hold each of `words`.
fn refused(path: &Path, words: &[&str]) {
    LARGEST.set(0);
    let mut errors = vec![("open", Idx::open(path)), ("read", Idx::read(path))];
    let length = match fs::read(path) {
        Ok(bytes) => {
            let length = bytes.len();
            errors.push(("from_bytes", Idx::from_bytes(path, bytes)));
            length
        }
        Err(_) => 0,
    };
    let largest = LARGEST.get();
    assert!(largest <= length + (1 << 20), "{largest} bytes allocated for a file of {length}");
    for (how, result) in errors {
        let error = result.expect_err(how);
        let text = error.to_string();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(text.contains(name), "{how}: {text:?} does not name {name}");
        for word in words {
            assert!(text.contains(word), "{how}: {text:?} lacks {word:?}");
        }
        assert!(!text.contains('\n') && text.len() < 400, "{how}: {text:?} is not a sentence");
        assert!(matches!(error, Error::Io { .. } | Error::Format { .. }), "{how}: {error:?}");
    }
}

#[test]
fn bad_files_are_refused() {
    let folder = Folder::new("idx");
    let big = u32::MAX;
    let good = file(8, &[2, 3], &[0; 6]);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let short = ["header says 2 x 3 u8 = 18 bytes with the header", "the file has 17"];
    let table: &[(&str, Vec<u8>, &[&str])] = &[
        ("empty", vec![], &["byte 0", "is empty"]),
        ("one", vec![0], &["ends after 1 bytes", "magic"]),
        ("three", vec![0, 0, 8], &["byte 3", "ends after 3 bytes", "magic"]),
        ("magic", with(1, 7), &["byte 0", "begins with 00 00", "with 00 07"]),
        ("text", b"label,p0,p1\n".to_vec(), &["byte 0", "begins with 00 00"]),
        ("png", b"\x89PNG\r\n\x1a\n".to_vec(), &["byte 0", "PNG"]),
        ("zip", b"PK\x03\x04....".to_vec(), &["byte 0", "zip"]),
        ("type", with(2, 0x0A), &["byte 2", "element type 0x0A", "0x08 u8", "0x0E f64"]),
        ("rank0", vec![0, 0, 8, 0], &["byte 3", "rank 0", "at least 1"]),
        ("rank0-more", vec![0, 0, 8, 0, 1, 2], &["byte 3", "rank 0"]),
        ("rank255", with(3, 255), &["byte 18", "header ends after 18", "rank 255 takes 1024"]),
        ("rank255-huge", file(8, &[big; 255], &[]), &["byte 4", "x ...", "more than memory"]),
        ("header", good[..11].to_vec(), &["byte 11", "header ends after 11", "takes 12"]),
        ("dim0", file(8, &[0, 28, 28], &[]), &["byte 4", "dimension 1 of 3 is 0"]),
        ("dim1", file(8, &[2, 0], &[]), &["byte 8", "dimension 2 of 2 is 0"]),
        ("huge", file(8, &[big, big, big], &[1]), &["byte 4", "more than memory"]),
        ("huge-f64", file(0x0E, &[1 << 31, 1 << 30], &[1]), &["byte 4", "more than memory"]),
        ("bomb", file(8, &[big, 1 << 20], &[1]), &["4294967295 x 1048576 u8", "has 13"]),
        ("short", good[..17].to_vec(), &short),
        ("none", good[..12].to_vec(), &["= 18 bytes", "has 12"]),
        ("long", [&good[..], &[0]].concat(), &["= 18 bytes", "the file has 19"]),
        ("short-f64", file(0x0E, &[2], &[0; 15]), &["2 f64 = 24 bytes", "has 23"]),
    ];
    for (name, bytes, words) in table {
        refused(&folder.file(name, bytes), words);
    }
}

#[cfg(feature = "gz")]
#[test]
fn bad_gzip_is_refused() {
    let folder = Folder::new("idx");
    let good = file(8, &[40, 50], &(0..2000).map(|i| (i * i / 7) as u8).collect::<Vec<_>>());
    let packed = gz(&good);
    let n = packed.len();
    let mut crc = packed.clone();
    crc[n - 6] ^= 1;
    let mut flipped = packed.clone();
    flipped[n / 2] ^= 0x55;
    let table: &[(&str, Vec<u8>, &[&str])] = &[
        ("magic-only", packed[..2].to_vec(), &["cut off"]),
        ("cut-header", packed[..7].to_vec(), &["cut off"]),
        ("cut-data", packed[..n / 2].to_vec(), &["cut off", "unpacked bytes"]),
        ("cut-crc", packed[..n - 8].to_vec(), &["cut off", "after 2012 unpacked"]),
        ("cut-one", packed[..n - 1].to_vec(), &["cut off"]),
        ("crc", crc, &["bad gzip data", "checksum"]),
        ("flipped", flipped, &[]),
        ("no-gzip", b"\x1f\x8bnothing of the kind".to_vec(), &["bad gzip data"]),
        ("tail", [&packed[..], b"xyz"].concat(), &["bad gzip data", "follow its end"]),
        ("tail-1f", [&packed[..], &[0x1f, 0x8b]].concat(), &["cut off"]),
        ("zeros", [&packed[..], &[0; 64]].concat(), &["bad gzip data", "follow its end"]),
        ("long", gz(&[&good[..], &[0]].concat()), &["40 x 50 u8 = 2012", "unpacked", "2013 or"]),
        ("two", [&packed[..], &gz(&[1, 2])].concat(), &["= 2012 bytes", "2013 or more"]),
        ("short", gz(&good[..2011]), &["= 2012 bytes", "the unpacked content has 2011"]),
        ("empty", gz(&[]), &["empty", "unpacked"]),
        ("type", gz(&[0, 0, 0x0A, 1, 0, 0, 0, 1, 0]), &["byte 2", "0x0A", "unpacked"]),
        ("twice", gz(&packed), &["packed with gzip twice"]),
        // A header that asks for 3.9 GiB, with little behind it; and 64 MiB behind a small header.
        ("claim", gz(&file(8, &[0xF9A0_0000], &[7; 100])), &["4188012544 u8", "has 108"]),
        ("bomb", gz(&file(8, &[100], &vec![0; 64 << 20])), &["100 u8 = 108", "109 or more"]),
    ];
    for (name, bytes, words) in table {
        refused(&folder.file(name, bytes), words);
    }
}

/// What arrives decides what is allocated: at most twice as much, and never past the header's word.
#[cfg(feature = "gz")]
#[test]
fn memory_grows_with_the_data() {
    let whole = file(8, &[1 << 30], &vec![0; 4 << 20]);
    LARGEST.set(0);
    let error = Idx::from_bytes("claims", gz(&whole)).unwrap_err().to_string();
    assert!(LARGEST.get() <= 2 * whole.len() + (1 << 20), "{} bytes", LARGEST.get());
    assert!(error.contains("1073741824 u8") && error.contains("has 4194312"), "{error}");
}

#[cfg(not(feature = "gz"))]
#[test]
fn gzip_asks_for_the_feature() {
    let folder = Folder::new("idx");
    refused(&folder.file("a.idx", b"\x1f\x8b\x08\0"), &["unpack it first", "feature `gz`"]);
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = Folder::new("idx");
    let name = folder.0.file_name().unwrap().to_str().unwrap();
    refused(&folder.0, &["this is a folder", "file was expected", name]);
    refused(&folder.0.join("missing.idx"), &["cannot open", "missing.idx"]);
    let kept = folder.file("kept.idx", &file(8, &[1], &[1]));
    refused(&kept.join("below.idx"), &["cannot open", "below.idx"]);
}

/// As a file that may not be read, but for root, too: a link to itself.
#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_refused() {
    let folder = Folder::new("idx");
    let path = folder.0.join("circle.idx");
    std::os::unix::fs::symlink(&path, &path).unwrap();
    refused(&path, &["cannot open", "circle.idx"]);
}

#[cfg(unix)]
#[test]
#[ignore = "needs a user other than root, who may read everything"]
fn a_file_without_permission_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("idx");
    let path = folder.file("closed.idx", &file(8, &[1], &[1]));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    refused(&path, &["cannot open", "closed.idx"]);
}

/// What `write` makes must come back through every way in.
fn comes_back<T: Element>(dims: &[usize], values: &[T], number: impl Fn(T) -> f32) {
    let folder = Folder::new("idx");
    let path = folder.0.join("a.idx");
    idx::write(&path, dims, values).unwrap();
    let bytes = fs::read(&path).unwrap();
    let start = 4 + 4 * dims.len();
    assert_eq!(bytes.len(), start + values.len() * T::TYPE.size());

    let mut files = vec![Idx::open(&path).unwrap(), Idx::read(&path).unwrap()];
    files.push(Idx::from_bytes(&path, bytes.clone()).unwrap());
    #[cfg(feature = "gz")]
    {
        // In one member and in two.
        let middle = bytes.len() / 2;
        let two = [gz(&bytes[..middle]), gz(&bytes[middle..])].concat();
        for packed in [gz(&bytes), two] {
            let named = folder.file("packed-without-the-ending", &packed);
            files.push(Idx::open(&named).unwrap());
            files.push(Idx::read(&named).unwrap());
            files.push(Idx::from_bytes("memory", packed).unwrap());
        }
    }
    for file in &files {
        assert_eq!(file.element_type(), T::TYPE);
        assert_eq!(file.dims(), dims);
        assert_eq!(file.samples(), dims[0]);
        assert_eq!(file.features(), values.len() / dims[0]);
        assert_eq!(file.as_u8(), (T::TYPE == ElementType::U8).then(|| &bytes[start..]));
        file.unchanged().unwrap();
        let mut row = vec![0.0; file.features()];
        for (i, sample) in values.chunks(row.len()).enumerate() {
            file.read_row(i, &mut row);
            for (&value, &got) in sample.iter().zip(&row) {
                assert_eq!(number(value).to_bits(), got.to_bits());
            }
        }
    }
}

/// Dimensions and as many elements.
fn content<T: Arbitrary + Clone>() -> impl Strategy<Value = (Vec<usize>, Vec<T>)> {
    prop::collection::vec(1usize..7, 1..4).prop_flat_map(|dims| {
        let n = dims.iter().product::<usize>();
        (Just(dims), prop::collection::vec(any::<T>(), n))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn u8_comes_back((dims, values) in content::<u8>()) {
        comes_back(&dims, &values, f32::from);
    }

    #[test]
    fn i8_comes_back((dims, values) in content::<i8>()) {
        comes_back(&dims, &values, f32::from);
    }

    #[test]
    fn i16_comes_back((dims, values) in content::<i16>()) {
        comes_back(&dims, &values, f32::from);
    }

    #[test]
    fn i32_comes_back((dims, values) in content::<i32>()) {
        comes_back(&dims, &values, |value| value as f32);
    }

    #[test]
    fn f32_comes_back((dims, values) in content::<f32>()) {
        comes_back(&dims, &values, |value| value);
    }

    #[test]
    fn f64_comes_back((dims, values) in content::<f64>()) {
        comes_back(&dims, &values, |value| value as f32);
    }

    /// Any bytes are refused or taken, never a panic; whatever is taken has its rows.
    #[test]
    fn any_bytes_do_no_harm(
        good in any::<bool>(),
        kind in prop::sample::select(vec![8u8, 9, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E]),
        tail in prop::collection::vec(
            prop_oneof![3 => Just(0u8), 2 => 0u8..4, 1 => any::<u8>()],
            0..40,
        ),
    ) {
        let bytes = if good { [&[0, 0, kind, 1][..], &tail].concat() } else { tail };
        if let Ok(file) = Idx::from_bytes("any", bytes) {
            let mut row = vec![0.0; file.features()];
            (0..file.samples()).for_each(|i| file.read_row(i, &mut row));
        }
    }
}

#[test]
fn known_bytes() {
    let folder = Folder::new("idx");
    let path = folder.0.join("a.idx");
    idx::write(&path, &[2, 1], &[1.0f32, -2.0]).unwrap();
    let expected =
        [[0, 0, 0x0D, 2], [0, 0, 0, 2], [0, 0, 0, 1], [0x3f, 0x80, 0, 0], [0xc0, 0, 0, 0]];
    assert_eq!(fs::read(&path).unwrap(), expected.as_flattened());
    idx::write(&path, &[2], &[-2i16, 258]).unwrap();
    let expected = [0, 0, 0x0B, 1, 0, 0, 0, 2, 0xff, 0xfe, 1, 2];
    assert_eq!(fs::read(&path).unwrap(), expected);

    // Rounded to the nearest, not cut.
    idx::write(&path, &[2], &[16_777_219i32, i32::MIN]).unwrap();
    let mut row = [0.0];
    let file = Idx::open(&path).unwrap();
    file.read_row(0, &mut row);
    assert_eq!(row, [16_777_220.0]);
    file.read_row(1, &mut row);
    assert_eq!(row, [-2_147_483_648.0]);
    drop(file);

    // The highest rank.
    idx::write(&path, &[1; 255], &[5u8]).unwrap();
    let file = Idx::open(&path).unwrap();
    assert_eq!((file.dims().len(), file.as_u8()), (255, Some(&[5u8][..])));
    assert!(format!("{file:?}").contains("1 x 1 x 1 x 1 x 1 x 1 x 1 x 1 x ... u8"));
}

#[test]
fn writing_checks_the_shape() {
    let folder = Folder::new("idx");
    let path = folder.0.join("never.idx");
    let table: &[(&[usize], &str)] = &[
        (&[], "0 dimensions"),
        (&[1; 256], "256 dimensions"),
        (&[0, 3], "dimension 0"),
        (&[3, 0], "dimension 0"),
        (&[2, 2], "3 values were given for 2 x 2"),
        (&[2], "3 values were given for 2"),
        #[cfg(target_pointer_width = "64")]
        (&[1 << 32], "dimension 4294967296"),
        #[cfg(target_pointer_width = "64")]
        (&[1 << 31, 1 << 31, 4], "3 values were given for"), // 2^64 comes round to 0
    ];
    for (dims, words) in table {
        let error = idx::write(&path, dims, &[1u8, 2, 3]).unwrap_err();
        assert!(matches!(error, Error::Shape(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(words) && text.contains("never.idx"), "{text}");
        assert!(!path.exists());
    }
    let error = idx::write(&folder.0, &[1], &[1u8]).unwrap_err().to_string();
    assert!(error.contains("cannot create"), "{error}");
}

#[test]
fn a_changed_file_is_noticed() {
    let folder = Folder::new("idx");
    let bytes = file(8, &[2, 3], &[9; 6]);
    let path = folder.file("a.idx", &bytes);
    let (mapped, loaded) = (Idx::open(&path).unwrap(), Idx::read(&path).unwrap());
    mapped.unchanged().unwrap();

    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let handle = File::options().write(true).open(&path).unwrap();
    handle.set_modified(later).unwrap();
    let text = mapped.unchanged().unwrap_err().to_string();
    assert!(text.contains("a.idx: changed") && text.contains("written to"), "{text}");

    let mapped = Idx::open(&path).unwrap();
    handle.set_len(19).unwrap();
    let text = mapped.unchanged().unwrap_err().to_string();
    assert!(text.contains("18 bytes became 19") && text.contains("Idx::read"), "{text}");

    // What was loaded stays, even when nothing is left of the file.
    handle.set_len(0).unwrap();
    loaded.unchanged().unwrap();
    assert_eq!(loaded.as_u8(), Some(&[9u8; 6][..]));
    assert_eq!(loaded.path(), path);
}

/// A pipe has no length to check and cannot be mapped: both ways read it.
#[cfg(unix)]
#[test]
fn a_pipe_is_read() {
    let folder = Folder::new("idx");
    let pipe = folder.0.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let bytes = file(8, &[3, 50_000], &vec![4; 150_000]);
    let longer = [&bytes[..], &[0]].concat();
    let ways: [fn(&Path) -> sae::Result<Idx>; 2] = [|p| Idx::open(p), |p| Idx::read(p)];
    for way in ways {
        for content in [&bytes[..], &longer, &bytes[..100_000]] {
            let (pipe, content) = (pipe.clone(), content.to_vec());
            let writer = std::thread::spawn({
                let (pipe, content) = (pipe.clone(), content.clone());
                move || fs::write(pipe, content) // may see the reader leave early
            });
            let result = way(&pipe);
            let _ = writer.join().unwrap();
            match content.len() {
                150_012 => assert_eq!(result.unwrap().as_u8(), Some(&bytes[12..])),
                100_000 => assert!(result.unwrap_err().to_string().contains("has 100000")),
                _ => assert!(result.unwrap_err().to_string().contains("has 150013 or more")),
            }
        }
    }
}

#[test]
#[should_panic(expected = "row 2 of 2 samples")]
fn a_row_too_far_is_the_callers_mistake() {
    let file = Idx::from_bytes("two", file(8, &[2], &[1, 2])).unwrap();
    file.read_row(2, &mut [0.0]);
}
