//! Safetensors files that hold models and checkpoints: reading one, whatever it is.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::data::recognize;
pub(crate) use crate::data::tensors::Header;
use crate::data::tensors::MAX_HEADER;
use crate::error::{Error, Result};

/// A number that is not finite, if there is one, and where.
pub(crate) fn not_finite(numbers: &[f32]) -> Option<(usize, f32)> {
    let at = numbers.iter().position(|number| !number.is_finite())?;
    Some((at, numbers[at]))
}

/// What a safetensors file is that is not a model.
pub(crate) fn of_other_file(header: &Header) -> String {
    let names = header.names();
    let has = |name: &&str| names.iter().any(|other| other == name);
    if ["parameters", "state", "checksum"].iter().all(has) {
        return "this is a checkpoint of a training, and no model; resuming the training makes a model of \
                it (sae train --resume --checkpoint FILE)"
            .to_owned();
    }
    let have = match &names[..] {
        [] => "no tensors".to_owned(),
        [name] => format!("the tensor {name}"),
        [first, ..] => format!("{} tensors, such as {first}", names.len()),
    };
    format!(
        "no metadata 'sae', so that this is no model file of sae: a safetensors file with {have}"
    )
}

/// Reads a file if its first bytes can be those of a safetensors file, so that a large file of
/// another kind is refused at once. Errors call what it should be `expected`.
pub(crate) fn read_file(path: &Path, expected: &str) -> Result<Vec<u8>> {
    let wrong = |problem: String| Err(Error::format(path, None, problem));
    if path.is_dir() {
        return wrong(format!("this is a folder, {expected} was expected"));
    }
    let mut file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let metadata = file.metadata().map_err(|e| Error::io("look at", path, e))?;
    if !metadata.is_file() {
        return wrong(format!("not a regular file, {expected} was expected"));
    }
    let mut bytes = Vec::new();
    let start = (&mut file).take(9).read_to_end(&mut bytes);
    start.map_err(|e| Error::io("read", path, e))?;
    match (bytes.first_chunk(), bytes.get(8)) {
        (Some(&length), Some(b'{')) => {
            let length = u64::from_le_bytes(length);
            if length > MAX_HEADER {
                return wrong(format!("not {expected}: its header has an invalid length"));
            }
            if length + 8 > metadata.len() {
                return wrong(format!(
                    "the header takes {length} bytes, which the file does not have"
                ));
            }
        }
        _ if bytes.is_empty() => {
            return wrong(format!("the file is empty, {expected} was expected"));
        }
        _ if bytes.starts_with(&[0, 0]) => {
            return wrong(format!("not {expected} (safetensors); this looks like an IDX file"));
        }
        _ => {
            let more = (&mut file).take(recognize::LENGTH as u64 - 9).read_to_end(&mut bytes);
            more.map_err(|e| Error::io("read", path, e))?;
            let what = recognize::kind(&bytes)
                .map_or(String::new(), |(what, _)| format!("; this looks like {what}"));
            return wrong(format!("not {expected} (safetensors){what}"));
        }
    }
    file.read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
    Ok(bytes)
}
