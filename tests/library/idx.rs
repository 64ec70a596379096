//! IDX and NumPy files, good and bad, written, opened, read and taken from memory.

use std::fs::{self, File};
use std::path::Path;

use crate::counting::LARGEST;
use crate::folder::Folder;
use proptest::prelude::*;
use sae::{
    Error, Samples, Scaling,
    data::{Array, Element, ElementType, RowWriter, Rows, write_idx, write_npy},
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
    let mut errors = vec![("open", Array::open(path)), ("read", Array::read(path))];
    let length = match fs::read(path) {
        Ok(bytes) => {
            let length = bytes.len();
            errors.push(("from_bytes", Array::from_bytes(path, bytes)));
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
        ("text", b"label,p0,p1\n".to_vec(), &["byte 0", "a CSV file", "np.loadtxt"]),
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
        ("cut-data", packed[..n / 2].to_vec(), &["cut off", "uncompressed bytes"]),
        ("cut-crc", packed[..n - 8].to_vec(), &["cut off", "after 2012 uncompressed"]),
        ("cut-one", packed[..n - 1].to_vec(), &["cut off"]),
        ("crc", crc, &["bad gzip data", "checksum"]),
        ("flipped", flipped, &[]),
        ("no-gzip", b"\x1f\x8bnothing of the kind".to_vec(), &["bad gzip data"]),
        ("tail", [&packed[..], b"xyz"].concat(), &["bad gzip data", "follow its end"]),
        ("tail-1f", [&packed[..], &[0x1f, 0x8b]].concat(), &["cut off"]),
        ("zeros-x", [&packed[..], &[0; 64], b"x"].concat(), &["bad gzip data", "follow its end"]),
        (
            "long",
            gz(&[&good[..], &[0]].concat()),
            &["40 x 50 u8 = 2012", "uncompressed", "2013 or"],
        ),
        ("two", [&packed[..], &gz(&[1, 2])].concat(), &["= 2012 bytes", "2013 or more"]),
        ("short", gz(&good[..2011]), &["= 2012 bytes", "the uncompressed content has 2011"]),
        ("empty", gz(&[]), &["empty", "uncompressed"]),
        ("type", gz(&[0, 0, 0x0A, 1, 0, 0, 0, 1, 0]), &["byte 2", "0x0A", "uncompressed"]),
        ("twice", gz(&packed), &["compressed with gzip twice"]),
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
    let error = Array::from_bytes("claims", gz(&whole)).unwrap_err().to_string();
    assert!(LARGEST.get() <= 2 * whole.len() + (1 << 20), "{} bytes", LARGEST.get());
    assert!(error.contains("1073741824 u8") && error.contains("has 4194312"), "{error}");
}

#[cfg(not(feature = "gz"))]
#[test]
fn gzip_asks_for_the_feature() {
    let folder = Folder::new("idx");
    refused(&folder.file("a.idx", b"\x1f\x8b\x08\0"), &["decompress it first", "feature `gz`"]);
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

/// What is written must be read back by every function that reads.
fn comes_back<T: Element>(dims: &[usize], values: &[T], number: impl Fn(T) -> f32) {
    let folder = Folder::new("idx");
    let path = folder.0.join("a.idx");
    write_idx(&path, dims, values).unwrap();
    let bytes = fs::read(&path).unwrap();
    let start = 4 + 4 * dims.len();
    assert_eq!(bytes.len(), start + size_of_val(values));

    let mut files = vec![Array::open(&path).unwrap(), Array::read(&path).unwrap()];
    files.push(Array::from_bytes(&path, bytes.clone()).unwrap());
    let numpy = folder.0.join("a.npy");
    write_npy(&numpy, dims, values).unwrap();
    files.extend([Array::open(&numpy).unwrap(), Array::read(&numpy).unwrap()]);
    files.push(Array::from_values(values.to_vec(), values.len() / dims[0]).unwrap());
    #[cfg(feature = "gz")]
    {
        // In one member and in two.
        let middle = bytes.len() / 2;
        let two = [gz(&bytes[..middle]), gz(&bytes[middle..])].concat();
        for packed in [gz(&bytes), two] {
            let named = folder.file("packed-without-the-ending", &packed);
            files.push(Array::open(&named).unwrap());
            files.push(Array::read(&named).unwrap());
            files.push(Array::from_bytes("memory", packed).unwrap());
        }
    }
    for file in files {
        // Floats of more than two dimensions are rows of the last one otherwise.
        let file = &file.with_rows(Rows::First);
        assert_eq!(file.element_type(), T::TYPE);
        if !file.path().as_os_str().is_empty() {
            assert_eq!(file.dims(), dims);
        }
        assert_eq!(file.samples(), dims[0]);
        assert_eq!(file.features(), values.len() / dims[0]);
        assert_eq!(file.as_u8(), (T::TYPE == ElementType::U8).then(|| &bytes[start..]));
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
        if let Ok(file) = Array::from_bytes("any", bytes) {
            let mut row = vec![0.0; file.features()];
            (0..file.samples()).for_each(|i| file.read_row(i, &mut row));
        }
    }
}

#[test]
fn known_bytes() {
    let folder = Folder::new("idx");
    let path = folder.0.join("a.idx");
    write_idx(&path, &[2, 1], &[1.0f32, -2.0]).unwrap();
    let expected =
        [[0, 0, 0x0D, 2], [0, 0, 0, 2], [0, 0, 0, 1], [0x3f, 0x80, 0, 0], [0xc0, 0, 0, 0]];
    assert_eq!(fs::read(&path).unwrap(), expected.as_flattened());
    write_idx(&path, &[2], &[-2i16, 258]).unwrap();
    let expected = [0, 0, 0x0B, 1, 0, 0, 0, 2, 0xff, 0xfe, 1, 2];
    assert_eq!(fs::read(&path).unwrap(), expected);

    // Rounded to the nearest, not cut.
    write_idx(&path, &[2], &[16_777_219i32, i32::MIN]).unwrap();
    let mut row = [0.0];
    let file = Array::open(&path).unwrap();
    file.read_row(0, &mut row);
    assert_eq!(row, [16_777_220.0]);
    file.read_row(1, &mut row);
    assert_eq!(row, [-2_147_483_648.0]);
    drop(file);

    // The highest rank.
    write_idx(&path, &[1; 255], &[5u8]).unwrap();
    let file = Array::open(&path).unwrap();
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
        let error = write_idx(&path, dims, &[1u8, 2, 3]).unwrap_err();
        assert!(matches!(error, Error::Shape(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(words) && text.contains("never.idx"), "{text}");
        assert!(!path.exists());
    }
    let error = write_idx(&folder.0, &[1], &[1u8]).unwrap_err().to_string();
    assert!(error.contains("cannot create"), "{error}");
}

#[test]
fn a_changed_file_is_noticed() {
    let folder = Folder::new("idx");
    let bytes = file(8, &[2, 3], &[9; 6]);
    let path = folder.file("a.idx", &bytes);
    let samples = |array| Samples::new(array, Scaling::Byte);
    let mapped = samples(Array::open(&path).unwrap());
    let loaded = samples(Array::read(&path).unwrap());
    mapped.unchanged().unwrap();

    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let handle = File::options().write(true).open(&path).unwrap();
    handle.set_modified(later).unwrap();
    let text = mapped.unchanged().unwrap_err().to_string();
    assert!(text.contains("a.idx: changed") && text.contains("written to"), "{text}");

    let mapped = samples(Array::open(&path).unwrap());
    handle.set_len(19).unwrap();
    let text = mapped.unchanged().unwrap_err().to_string();
    assert!(text.contains("18 bytes became 19") && text.contains("Array::read"), "{text}");

    // What was loaded stays, even when nothing is left of the file.
    handle.set_len(0).unwrap();
    loaded.unchanged().unwrap();
    let mut row = [0.0; 3];
    loaded.gather(1, &mut row).unwrap();
    assert_eq!(row, [9.0 / 255.0; 3]);
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
    let ways: [fn(&Path) -> sae::Result<Array>; 2] = [|p| Array::open(p), |p| Array::read(p)];
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
    let file = Array::from_bytes("two", file(8, &[2], &[1, 2])).unwrap();
    file.read_row(2, &mut [0.0]);
}

fn numpy_file(text: &str, data: &[u8]) -> Vec<u8> {
    let length = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), data].concat()
}

#[test]
fn numpy_files_of_both_byte_orders() {
    for (order, bytes) in [("<", 1.5f32.to_le_bytes()), (">", 1.5f32.to_be_bytes())] {
        let text = format!("{{\"shape\":(1,1),'fortran_order':False,'descr':'{order}f4'}}");
        let array = Array::from_bytes("a.npy", numpy_file(&text, &bytes)).unwrap();
        let mut row = [0.0];
        array.read_row(0, &mut row);
        assert_eq!((array.dims(), row), (&[1, 1][..], [1.5]));
    }
}

#[test]
fn bad_numpy_files_are_refused() {
    let refused =
        |bytes: &[u8]| Array::from_bytes("a.npy", bytes.to_vec()).unwrap_err().to_string();
    let entry = |descr: &str, order: &str, shape: &str| {
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}")
    };
    let good = numpy_file(&entry("|u1", "False", "(2, 2)"), &[1, 2, 3, 4]);
    Array::from_bytes("a.npy", good.clone()).unwrap();
    for end in 0..good.len() {
        refused(&good[..end]);
    }
    for (text, sentence) in [
        (entry("<c16", "False", "(1, 1)"), "complex numbers; save real and imaginary parts"),
        (entry("<M8[ns]", "False", "(1, 1)"), "'<M8[ns]', dates or times"),
        (entry("<m8[s]", "False", "(1, 1)"), "dates or times; save them as numbers"),
        (entry("<U5", "False", "(1, 1)"), "elements are '<U5', text; make numbers of it"),
        (entry("|S3", "False", "(1, 1)"), "elements are '|S3', text"),
        (entry("|V8", "False", "(1, 1)"), "raw bytes or records"),
        (entry("<f16", "False", "(1, 1)"), "floats of unusual size; save .astype(np.float64)"),
        (entry("<i3", "False", "(1, 1)"), "i8, f2, f4 or f8 with a byte order were expected"),
        (
            "{'descr': [('a', '<f4'), ('b', '<i4')], 'fortran_order': False, 'shape': (1,)}".into(),
            "elements are structured, of several fields; save each field",
        ),
        (entry("<c8", "False", "(1, 1)"), "elements are '<c8'"),
        (entry("|f4", "False", "(1, 1)"), "elements are '|f4'"),
        (entry("|O", "False", "(1, 1)"), "elements are '|O'"),
        (entry("<f4", "False", "(1, 2)"), "header says 1 x 2 f32"),
        (entry("<f4", "False", "(1, -1)"), "no list of sizes"),
        (entry("<f4", "False", "()"), "samples by features"),
        (entry("<f4", "False", "(0, 4)"), "it has no samples, 1 or more were expected"),
        (entry("<f4", "False", "(18446744073709551615, 2)"), "samples by features"),
        (entry("<f4", "maybe", "(1, 1)"), "neither True nor False"),
        ("{'descr': '<f4'}".to_owned(), "without fortran_order"),
        ("{'descr': '<f4' 'shape': (1,)}".to_owned(), "without ','"),
        ("{'color': 'red'}".to_owned(), "unknown entry 'color'"),
        ("[1]".to_owned(), "no dictionary"),
        ("{é".to_owned(), "without quotes"),
    ] {
        let problem = refused(&numpy_file(&text, &[0; 4]));
        assert!(problem.contains(sentence), "{text}: {problem}");
    }
    let mut newer = good.clone();
    newer[6] = 9;
    assert!(refused(&newer).contains("version 9"));
}

#[test]
fn rows_make_the_files_that_whole_arrays_make() {
    let folder = Folder::new("rows");
    let [one, all, from] = ["one", "all", "from"].map(|name| folder.0.join(name));
    let values = [1.5f32, -2.0, 3e8, 4.0, f32::MIN_POSITIVE, -0.0];
    let begin = [RowWriter::idx, RowWriter::npy];
    let whole = [write_idx, write_npy];
    for (begin, whole) in begin.into_iter().zip(whole) {
        whole(&all, &[3, 2, 1], &values).unwrap();
        let expected = fs::read(&all).unwrap();
        let mut writer = begin(&one, ElementType::F32, &[3, 2, 1]).unwrap();
        values.chunks(2).for_each(|row| writer.write(row).unwrap());
        let problem = writer.write(&[0f32]).unwrap_err().to_string();
        assert!(problem.contains("where 0 of f32 are left"), "{problem}");
        writer.finish().unwrap();
        assert_eq!(fs::read(&one).unwrap(), expected);
        // From files of either byte order.
        for source in [write_idx, write_npy] {
            source(&from, &[3, 2, 1], &values).unwrap();
            let array = Array::open(&from).unwrap();
            let mut writer = begin(&one, ElementType::F32, array.dims()).unwrap();
            (0..array.samples()).for_each(|row| writer.copy(&array, row).unwrap());
            writer.finish().unwrap();
            assert_eq!(fs::read(&one).unwrap(), expected);
        }
    }

    let mut short = RowWriter::npy(&one, ElementType::I16, &[2]).unwrap();
    let problem = short.write(&[0u8; 3]).unwrap_err().to_string();
    assert!(problem.contains("3 elements of u8 were given"), "{problem}");
    short.write(&[0i16]).unwrap();
    assert!(short.finish().unwrap_err().to_string().contains("1 elements are missing"));
    for dims in [&[][..], &[0], &[1 << 33], &[1 << 31, 1 << 31, 1 << 31]] {
        assert!(matches!(RowWriter::npy(&one, ElementType::U8, dims), Err(Error::Shape(_))));
        assert!(matches!(RowWriter::idx(&one, ElementType::U8, dims), Err(Error::Shape(_))));
    }
}

#[cfg(feature = "digits")]
mod digits {
    use sae::data::digits::{SIDE, draw};

    #[test]
    fn threads_do_not_matter() {
        let one = draw(101, 3, 1);
        for threads in [0, 2, 3, 64, 1000] {
            assert_eq!(one, draw(101, 3, threads));
        }
        let none = draw(0, 3, 3);
        assert!(none.images.is_empty() && none.labels.is_empty());
    }

    #[test]
    fn fewer_are_a_prefix() {
        let (few, many) = (draw(100, 5, 2), draw(200, 5, 2));
        assert_eq!(few.images, many.images[..100 * (SIDE * SIDE)]);
        assert_eq!(few.labels, many.labels[..100]);
        assert_ne!(few, draw(100, 6, 2));
    }

    #[test]
    fn bytes_are_the_recorded_ones() {
        let digits = draw(1000, 1, 2);
        // FNV-1a.
        let hash =
            digits.images.iter().chain(&digits.labels).fold(0xcbf2_9ce4_8422_2325, |h, b| {
                (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        assert_eq!(hash, 0x6b3d_2001_1d0d_b8df, "{hash:#018x}");
    }

    #[test]
    fn ink_is_about_as_sparse_as_in_mnist() {
        let digits = draw(2000, 2, 2);
        let pixels = digits.images.len() as f64;
        let inked = digits.images.iter().filter(|v| **v > 0).count() as f64 / pixels;
        assert!((0.17..0.22).contains(&inked), "{inked}");
        let mean = digits.images.iter().map(|v| f64::from(*v)).sum::<f64>() / pixels / 255.0;
        assert!((0.11..0.15).contains(&mean), "{mean}");
        for image in digits.images.chunks(SIDE * SIDE) {
            let inked = image.iter().filter(|v| **v > 0).count();
            assert!((20..400).contains(&inked), "{inked}");
        }
    }

    #[test]
    fn border_is_almost_empty() {
        let digits = draw(2000, 4, 2);
        let edge = |i: usize| i == 0 || i == SIDE - 1;
        let on_border =
            |(i, v): &(usize, &u8)| **v > 0 && (edge(i % SIDE) || edge(i % (SIDE * SIDE) / SIDE));
        let inked = digits.images.iter().enumerate().filter(on_border).count();
        assert!(inked < 1000, "{inked} of {}", 2000 * 4 * (SIDE - 1));
    }

    #[test]
    fn every_label_is_about_as_frequent() {
        let labels = draw(5000, 7, 2).labels;
        for digit in 0..10 {
            let count = labels.iter().filter(|l| **l == digit).count();
            assert!((400..600).contains(&count), "{count} of {digit}");
        }
        assert!(labels.iter().all(|l| *l < 10));
    }
}
