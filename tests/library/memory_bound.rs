//! What a header claims gets no memory: beyond a file's own bytes the readers take at most 1 MiB
//! until its length has proven it. One thread's live bytes are counted.

use std::io::Write;
use std::path::PathBuf;

use crate::counting::peak;
use sae::{Autoencoder, Scaling, Settings, data::Array, files::Checkpoint};

const MIB: usize = 1 << 20;

/// A file that is gone at the end.
struct File(PathBuf);

impl File {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("sae-bound-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        File(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn idx(kind: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// Every way into a file of this content refuses it and holds at most so many bytes.
fn refused(name: &str, bytes: &[u8], most: usize) {
    let file = File::new(name, bytes);
    let owned = bytes.to_vec();
    // The bytes that are given away count as the file's own.
    let given = bytes.len();
    let ways = [
        ("open", peak(|| Array::open(&file.0).map(drop))),
        ("read", peak(|| Array::read(&file.0).map(drop))),
        ("from_bytes", {
            let (done, held) = peak(|| Array::from_bytes(name, owned).map(drop));
            (done, held + given)
        }),
    ];
    for (way, (done, held)) in ways {
        done.expect_err(name);
        assert!(held <= most, "{name}, {way}: {held} bytes held, {most} allowed");
    }
}

const MAX: u32 = u32::MAX;

#[test]
fn an_idx_header_gets_no_memory_for_what_it_claims() {
    for (name, bytes) in [
        ("dim", idx(0x08, &[MAX], &[1, 2, 3])),
        ("dims", idx(0x08, &[MAX, 1 << 20], &[])),
        ("f64", idx(0x0E, &[60_000, 28, 28], &[0; 64])),
        ("rank", idx(0x08, &[1; 255], &[])),
        ("rank-cut", vec![0, 0, 8, 255]),
        ("product", idx(0x0E, &[MAX; 255], &[])),
        ("long", idx(0x08, &[5], &vec![0; 3 * MIB])),
        ("short", idx(0x0C, &[MIB as u32], &vec![0; 3 * MIB])),
        ("npy", npy("|u1", "(18446744073709551615, )", &[0; 9])),
        ("npy-length", b"\x93NUMPY\x02\x00\xff\xff\xff\xffhello".to_vec()),
        ("npy-rank", npy("<f8", &format!("({})", "1,".repeat(30_000)), &[])),
        ("npy-large", npy("<f8", "(9000000, 8)", &vec![0; 3 * MIB])),
    ] {
        refused(name, &bytes, bytes.len() + MIB);
    }
}

fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    let length = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), data].concat()
}

/// What has been unpacked proves a packed header: a vector that grows holds twice as much, and what
/// it held before while it moves.
#[test]
fn a_packed_header_gets_memory_as_it_is_proven() {
    for (name, content) in [
        ("dim.gz", idx(0x08, &[MAX], &[7; 100])),
        ("dims.gz", idx(0x0E, &[MAX, MAX], &[7; 100])),
        ("rank.gz", idx(0x08, &[1; 255], &[])),
        ("some.gz", idx(0x0D, &[1 << 29], &vec![0; 4 * MIB])),
    ] {
        let packed = gz(&content);
        refused(name, &packed, packed.len() + 3 * content.len() + MIB);
    }
    // More behind a header than it says is not even unpacked.
    let packed = gz(&idx(0x08, &[100], &vec![0; 64 * MIB]));
    refused("bomb.gz", &packed, packed.len() + MIB);
}

/// The largest network there may be, as far as its header goes, still comes back.
#[test]
fn a_model_of_the_most_layers_is_read_again() {
    let settings = Settings { layers: vec![1; 255], ..Settings::default() };
    let net = Autoencoder::new(settings, Scaling::AsIs).unwrap();
    assert_eq!(Autoencoder::from_bytes("deep", &net.to_bytes().unwrap()).unwrap(), net);
}

/// A file of the safetensors format with this header.
fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// As data, too: a header claims tensors, or takes much memory itself.
#[test]
fn a_header_of_tensors_gets_no_memory_for_what_it_claims() {
    let one = |dtype: &str, shape: &str, end: u64| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    let line = |at| format!(r#""{at:x}":{{"dtype":"U8","shape":[0,1],"data_offsets":[0,0]}}"#);
    let many = |count: usize| format!("{{{}}}", (0..count).map(line).collect::<Vec<_>>().join(","));
    let mut files = vec![
        ("length-max".to_owned(), [&u64::MAX.to_le_bytes()[..], b"{}"].concat()),
        ("length-gib".to_owned(), [&(1u64 << 30).to_le_bytes()[..], b"{\"a\":{"].concat()),
        ("length".to_owned(), [&(1u64 << 18).to_le_bytes()[..], b"{\"a\":{"].concat()),
        ("numbers".to_owned(), safetensors(&one("F64", "[1073741824,8]", 1 << 36), &[0; 64])),
        ("large".to_owned(), safetensors(&one("U8", "[9000000,1]", 9_000_000), &vec![0; 3 * MIB])),
        ("long".to_owned(), safetensors(&one("U8", "[5,1]", 5), &vec![0; 3 * MIB])),
        (
            "shape".to_owned(),
            safetensors(&one("U8", &format!("[{}1]", "1,".repeat(30_000)), 1), &[1]),
        ),
    ];
    for count in [10, 500, 2000, 4000] {
        files.push((format!("tensors-{count}"), safetensors(&many(count), &[])));
    }
    for length in [20_000, 200_000, 260_000, MIB] {
        let lists = repeated(r#"{"a":["#, "[]", "]}", length);
        let objects = repeated(r#"{"a":["#, r#"{"":0}"#, "]}", length);
        files.push((format!("lists-{length}"), safetensors(&lists, &[])));
        files.push((format!("objects-{length}"), safetensors(&objects, &[])));
    }
    for (name, bytes) in files {
        refused(&format!("data-{name}"), &bytes, bytes.len() + MIB);
    }
    // The first of gzip-compressed tensors is proven as it arrives.
    let content = safetensors(&one("U8", "[1073741824,1]", 1 << 30), &vec![0; 4 * MIB]);
    let packed = gz(&content);
    refused("data.gz", &packed, packed.len() + 3 * content.len() + MIB);
}

/// As long as a header may be, of the same piece again and again.
fn repeated(start: &str, piece: &str, end: &str, length: usize) -> String {
    let count = (length - start.len() - end.len()) / (piece.len() + 1);
    let pieces = vec![piece; count].join(",");
    format!("{start}{pieces}{end}")
}

#[test]
fn a_models_header_gets_no_memory_for_what_it_claims() {
    let net = {
        let settings = Settings { layers: vec![6, 3, 6], ..Settings::default() };
        Autoencoder::new(settings, Scaling::AsIs).unwrap()
    };
    let good = net.to_bytes().unwrap();
    let edited = |from: &str, to: &str| {
        let length = u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
        let header = std::str::from_utf8(&good[8..8 + length]).unwrap();
        assert!(header.contains(from), "{header}");
        safetensors(&header.replace(from, to), &good[8 + length..])
    };
    let claim = |length: u64| [&length.to_le_bytes()[..], b"{\"__metadata__\":{"].concat();
    let mut files = vec![
        ("length-max".to_owned(), claim(u64::MAX)),
        ("length-gib".to_owned(), claim(1 << 30)),
        ("length".to_owned(), claim(1 << 18)),
        ("layers".to_owned(), edited("[6,3,6]", "[16777216,16777216,16777216]")),
        ("shape".to_owned(), edited("[3,6]", "[4294967296,1073741824]")),
        ("batch".to_owned(), edited("\\\"batch\\\":60", "\\\"batch\\\":16777216")),
    ];
    // JSON that takes many times its length as values: one-entry objects the most.
    for length in [20_000, 200_000, 260_000, MIB] {
        for (name, header) in [
            ("lists", repeated(r#"{"a":["#, "[]", "]}", length)),
            ("numbers", repeated(r#"{"a":["#, "0", "]}", length)),
            ("objects", repeated(r#"{"a":["#, r#"{"":0}"#, "]}", length)),
            ("escapes", format!(r#"{{"a":"{}"}}"#, "\\n".repeat(length / 2 - 5))),
            ("tensors", {
                let line =
                    |i| format!(r#""{i:x}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#);
                let lines: Vec<_> = (0..length / 60).map(line).collect();
                format!("{{{}}}", lines.join(","))
            }),
            ("name", format!(r#"{{"{}":0}}"#, "\\n".repeat(length / 2 - 5))),
            ("metadata", repeated(r#"{"__metadata__":{"sae":"["#, "[]", "]\"}}", length)),
        ] {
            files.push((format!("{name}-{length}"), safetensors(&header, &[])));
        }
    }
    for (name, bytes) in files {
        let most = bytes.len() + MIB;
        let file = File::new(&name, &bytes);
        let (model, held) = peak(|| Autoencoder::load(&file.0).map(drop));
        if name != "batch" {
            model.expect_err(&name);
        }
        assert!(held <= most, "{name}, a model: {held} bytes held, {most} allowed");
        let (checkpoint, held) = peak(|| Checkpoint::load(&file.0).map(drop));
        checkpoint.expect_err(&name);
        assert!(held <= most, "{name}, a checkpoint: {held} bytes held, {most} allowed");
    }
}
