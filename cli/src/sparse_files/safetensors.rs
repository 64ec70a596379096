//! Sparse codes as a safetensors file: tensors `indptr`, `indices` and `values`, and the shape in the
//! metadata, `shape`, as "[samples, units]".

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::numbers::{Kind, Matrix, Number, index, read_numbers, value, write_indices};
use super::spool::Spool;

/// The longest header that is read.
const MAX_HEADER: u64 = 1 << 16;

/// Writes codes.
pub fn write(mut out: impl Write, codes: &mut Spool) -> io::Result<()> {
    let kind = codes.kind_of_indices();
    let dtype = if let Kind::I32 = kind { Dtype::I32 } else { Dtype::I64 };
    let entries = usize::try_from(codes.entries()).map_err(io::Error::other)?;
    let mut end = 0;
    let tensors = [
        ("indptr", dtype, codes.indptr.len()),
        ("indices", dtype, entries),
        ("values", Dtype::F32, entries),
    ];
    let tensors = tensors.map(|(name, dtype, count)| {
        let start = end;
        end += count * dtype.bitsize() / 8;
        (name.to_owned(), TensorInfo { dtype, shape: vec![count], data_offsets: (start, end) })
    });
    let shape = format!("[{}, {}]", codes.samples(), codes.units);
    let texts = [("shape".to_owned(), shape)].into_iter().collect();
    let metadata = Metadata::new(Some(texts), tensors.into()).map_err(io::Error::other)?;
    let mut text = serde_json::to_string(&metadata)?;
    // Tensors begin at multiples of eight bytes.
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(text.as_bytes())?;
    write_indices(&mut out, codes.indptr.iter().copied(), kind)?;
    codes.write_indices(&mut out)?;
    codes.write_values(&mut out)?;
    out.flush()
}

/// Reads a matrix.
pub fn read(mut file: File) -> Result<Matrix, String> {
    let (metadata, start) = header(&mut file)?;
    let shape = metadata.metadata().as_ref().and_then(|texts| texts.get("shape"));
    let shape = shape.and_then(|shape| serde_json::from_str(shape).ok());
    let shape = shape.ok_or(
        "no sparse codes: the metadata has no shape; expected a file of `sae encode --sparse`",
    )?;
    let mut tensors = Tensors { file, metadata, start };
    Ok(Matrix {
        indptr: tensors.read("indptr", index)?,
        indices: tensors.read("indices", index)?,
        values: tensors.read("values", value)?,
        shape,
    })
}

/// The header of a file, whose tensors are all the rest of it, and where they begin.
fn header(file: &mut File) -> Result<(Metadata, u64), String> {
    let wrong =
        |problem: &dyn std::fmt::Display| format!("not a whole safetensors file: {problem}");
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|e| wrong(&e))?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        let problem = format!("a header of {length} bytes; at most {MAX_HEADER} are read");
        return Err(wrong(&problem));
    }
    let mut text = vec![0; length as usize];
    file.read_exact(&mut text).map_err(|e| wrong(&e))?;
    let metadata: Metadata = serde_json::from_slice(&text).map_err(|e| wrong(&e))?;
    let (start, bytes) = (8 + length, metadata.data_len());
    let all = file.metadata().map_err(|e| wrong(&e))?.len();
    if start.checked_add(bytes as u64) != Some(all) {
        let problem = format!("its tensors take {bytes} bytes, and it has {}", all - start);
        return Err(wrong(&problem));
    }
    Ok((metadata, start))
}

/// A file's tensors.
struct Tensors {
    file: File,
    metadata: Metadata,
    start: u64,
}

impl Tensors {
    fn read<T>(
        &mut self,
        name: &str,
        convert: impl Fn(Number) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let Some(info) = self.metadata.info(name) else {
            return Err(format!("tensor '{name}' is missing"));
        };
        let in_tensor = |problem: String| format!("tensor '{name}': {problem}");
        let [count] = info.shape[..] else {
            return Err(in_tensor(format!("{:?}; expected one dimension", info.shape)));
        };
        let kind = match info.dtype {
            Dtype::I32 => Kind::I32,
            Dtype::I64 => Kind::I64,
            Dtype::U32 => Kind::U32,
            Dtype::U64 => Kind::U64,
            Dtype::F32 => Kind::F32,
            Dtype::F64 => Kind::F64,
            dtype => {
                let expected = "integers and floats of 32 or 64 bits were expected";
                return Err(in_tensor(format!("{dtype}; {expected}")));
            }
        };
        let place = SeekFrom::Start(self.start + info.data_offsets.0 as u64);
        self.file.seek(place).map_err(|e| in_tensor(e.to_string()))?;
        read_numbers(&self.file, count, kind, convert).map_err(in_tensor)
    }
}
