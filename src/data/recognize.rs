//! What a file is that is neither an IDX nor a NumPy file, by its first bytes.

/// Bytes from the beginning of a file that are looked at.
pub(crate) const LENGTH: usize = 512;

/// What other files begin with, what they are, and what to do with them.
const BINARY: [(&[u8], &str, &str); 34] = [
    (b"\x1f\x8b", "compressed with gzip twice", "decompress it once"),
    (b"\xfd7zXZ\0", "compressed with xz", "decompress it with unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "decompress it with unzstd"),
    (b"BZh", "compressed with bzip2", "decompress it with bunzip2"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "decompress it with unlz4"),
    (b"\x1f\x9d", "compressed with compress", "decompress it with gunzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and give the file in it"),
    (b"Rar!", "a RAR archive", "unpack it and give the file in it"),
    (b"PK", "a zip archive", "unpack it and give the file in it"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "save the array with np.save from h5py"),
    (b"CDF\x01", "a NetCDF file", "save the array with np.save"),
    (b"CDF\x02", "a NetCDF file", "save the array with np.save"),
    (
        b"MATLAB ",
        "a MAT-file of MATLAB",
        "save the array with np.save from scipy.io.loadmat or h5py",
    ),
    (b"PAR1", "a Parquet file", "save its columns with np.save from pandas or pyarrow"),
    (b"ARROW1", "an Arrow file", "save its columns with np.save from pyarrow"),
    (b"FEA1", "a Feather file", "save its columns with np.save from pandas"),
    (b"Obj\x01", "an Avro file", "save its columns with np.save"),
    (b"SQLite format 3\0", "an SQLite database", "save its numbers with np.save"),
    (b"\x89PNG", "a PNG image", "sae convert makes one file of a folder of PNGs"),
    (
        b"\xff\xd8\xff",
        "a JPEG image",
        "save it as PNG; sae convert makes one file of a folder of PNGs",
    ),
    (b"GIF8", "a GIF image", "save it as PNG; sae convert makes one file of a folder of PNGs"),
    (b"RIFF", "a RIFF file (WebP, WAV or AVI)", "save its numbers with np.save"),
    (b"II*\0", "a TIFF image", "save its numbers with np.save"),
    (b"MM\0*", "a TIFF image", "save its numbers with np.save"),
    (b"SIMPLE  =", "a FITS file", "save the array with np.save from astropy"),
    (b"%PDF", "a PDF document", "give the file of the data itself"),
    (b"GGUF", "a GGUF model", "give a file of samples"),
    // The protocols 0 and 2 to 5.
    (b"cnumpy", "a Python pickle", "save the array in it with np.save"),
    (b"\x80\x02", "a Python pickle", "save the array in it with np.save"),
    (b"\x80\x03", "a Python pickle", "save the array in it with np.save"),
    (b"\x80\x04", "a Python pickle", "save the array in it with np.save"),
    (b"\x80\x05", "a Python pickle", "save the array in it with np.save"),
    (b"\x7fELF", "a program", "give the file of the data itself"),
    (b"\x5d\0\0", "compressed with lzma", "decompress it with unlzma"),
];

/// A sentence without its beginning about what a file is, if its first bytes tell.
pub(crate) fn problem(start: &[u8]) -> Option<String> {
    let (what, advice) = kind(start)?;
    Some(format!(
        "this looks like {what}, an IDX, NumPy or safetensors file was expected; {advice}"
    ))
}

/// What a file is by its first bytes, and what to do where data was expected.
pub(crate) fn kind(start: &[u8]) -> Option<(&'static str, &'static str)> {
    binary(start).or_else(|| text(start))
}

fn binary(start: &[u8]) -> Option<(&'static str, &'static str)> {
    if start.starts_with(b"PK") && start.windows(4).any(|window| window == b".npy") {
        let advice = "unzip it, or save the array in it alone with np.save, not np.savez";
        return Some(("an .npz archive of NumPy arrays", advice));
    }
    if start.get(257..262) == Some(b"ustar") {
        return Some(("a tar archive", "unpack it with tar -xf and give the file in it"));
    }
    if let (Some(&length), Some(b'{')) = (start.first_chunk(), start.get(8))
        && u64::from_le_bytes(length) >> 32 == 0
    {
        let advice =
            "save the tensor in it with np.save, or give a model where a model is expected";
        return Some(("a safetensors file", advice));
    }
    let found = BINARY.iter().find(|(magic, ..)| start.starts_with(magic));
    found.map(|&(_, what, advice)| (what, advice))
}

fn text(start: &[u8]) -> Option<(&'static str, &'static str)> {
    const READ: &str = "read it with np.loadtxt or pandas and save the array with np.save";
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Some(("text in UTF-16", READ));
    }
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let is_control = |&byte: &u8| byte < b' ' && !b"\t\n\r\x0c".contains(&byte) || byte == 0x7f;
    let ascii = start.iter().filter(|byte| byte.is_ascii()).count();
    if start.is_empty() || start.iter().any(is_control) || 4 * ascii < 3 * start.len() {
        return None;
    }
    let lower = start.to_ascii_lowercase();
    let has = |part: &str| lower.windows(part.len()).any(|window| window == part.as_bytes());
    let line = lower.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    Some(match lower[0] {
        _ if lower.starts_with(b"version https://git-lfs") => {
            ("a pointer of Git LFS instead of the file", "fetch the file with git lfs pull")
        }
        _ if has("/annex/objects/") => {
            ("a pointer of git-annex instead of the file", "fetch the file with git annex get")
        }
        b'<' if ["<!doctype html", "<html", "<head", "<body"].iter().any(|part| has(part)) => (
            "an HTML page, as a failed download leaves",
            "download the file itself, and look at the page for the reason",
        ),
        b'<' if has("<svg") => {
            ("an SVG image", "save it as PNG; sae convert makes one file of a folder of PNGs")
        }
        b'<' => ("an XML file", "save the numbers in it with np.save"),
        b'{' | b'[' => ("a JSON file", "save the numbers in it with np.save"),
        _ if lower.starts_with(b"(dp") || lower.starts_with(b"(lp") => {
            ("a Python pickle", "save the array in it with np.save")
        }
        _ if line.contains(&b',') || line.contains(&b';') => ("a CSV file", READ),
        _ if line.contains(&b'\t') => ("a table of text (TSV)", READ),
        _ => ("text", READ),
    })
}
