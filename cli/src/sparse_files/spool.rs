//! Sparse codes on their way to a file, whose formats have all units before all activations.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use sae::network::SparseCodes;

use super::numbers::{Kind, write_indices, write_values};

/// Codes whose units and activations wait in temporary files; in memory are 8 bytes for each sample.
pub struct Spool {
    /// Of each sample where its entries end, after a 0.
    pub indptr: Vec<u64>,
    pub units: usize,
    indices: Temporary,
    values: Temporary,
}

impl Spool {
    /// Begins it with temporary files beside the file that is written.
    pub fn new(beside: &Path, units: usize) -> io::Result<Self> {
        let file = |ending: &str| {
            let mut name = beside.as_os_str().to_owned();
            name.push(ending);
            Temporary::new(name.into())
        };
        let (indices, values) = (file(".indices")?, file(".values")?);
        Ok(Spool { indptr: vec![0], units, indices, values })
    }

    /// Adds the codes of more samples.
    pub fn add(&mut self, codes: &SparseCodes) -> io::Result<()> {
        let before = self.entries();
        self.indptr.extend(codes.indptr.iter().skip(1).map(|end| before + end));
        let indices = codes.indices.iter().map(|&unit| u64::from(unit));
        write_indices(&mut self.indices.file, indices, Kind::U32)?;
        write_values(&mut self.values.file, &codes.values)
    }

    pub fn samples(&self) -> usize {
        self.indptr.len() - 1
    }

    /// Activations that are not 0.
    pub fn entries(&self) -> u64 {
        self.indptr.last().copied().unwrap_or(0)
    }

    /// The type of the places and units: SciPy and PyTorch expect the same for both.
    pub fn kind_of_indices(&self) -> Kind {
        let largest = self.entries().max(self.samples() as u64).max(self.units as u64);
        if i32::try_from(largest).is_ok() { Kind::I32 } else { Kind::I64 }
    }

    /// Copies the units, as numbers of [`Self::kind_of_indices`].
    pub fn write_indices(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let wide = matches!(self.kind_of_indices(), Kind::I64);
        let from = self.indices.rewound()?;
        if !wide {
            return io::copy(from, out).map(drop);
        }
        let mut block = [0; 1 << 16];
        loop {
            let read = read_block(from, &mut block)?;
            if read == 0 {
                return Ok(());
            }
            let units = block[..read].as_chunks().0.iter().map(|&unit| u32::from_le_bytes(unit));
            write_indices(out, units.map(u64::from), Kind::I64)?;
        }
    }

    /// Copies the activations.
    pub fn write_values(&mut self, out: &mut dyn Write) -> io::Result<()> {
        io::copy(self.values.rewound()?, out).map(drop)
    }
}

/// Reads until a block is full or the file ends.
fn read_block(from: &mut File, block: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while have < block.len() {
        match from.read(&mut block[have..]) {
            Ok(0) => break,
            Ok(read) => have += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

/// A file that goes when it is no longer needed.
struct Temporary {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Temporary {
    fn new(path: PathBuf) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        // Where a file that is open can be removed, it goes with the process, however that ends.
        #[cfg(unix)]
        let _ = fs::remove_file(&path);
        Ok(Temporary { path, file: BufWriter::new(file) })
    }

    /// The file from its beginning.
    fn rewound(&mut self) -> io::Result<&mut File> {
        self.file.flush()?;
        let file = self.file.get_mut();
        file.rewind()?;
        Ok(file)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if cfg!(not(unix)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_one_matrix() {
        let path = std::env::temp_dir().join(format!("sae-spool-{}", std::process::id()));
        let mut spool = Spool::new(&path, 9).unwrap();
        let block = |indptr: &[u64], indices: &[u32]| SparseCodes {
            indptr: indptr.to_vec(),
            indices: indices.to_vec(),
            values: indices.iter().map(|&unit| unit as f32).collect(),
            units: 9,
        };
        spool.add(&block(&[0, 2, 2], &[1, 8])).unwrap();
        spool.add(&block(&[0, 1], &[3])).unwrap();
        assert_eq!(spool.indptr, [0, 2, 2, 3]);
        let (mut units, mut values) = (Vec::new(), Vec::new());
        spool.write_indices(&mut units).unwrap();
        spool.write_values(&mut values).unwrap();
        assert_eq!(units, [1, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(values, [1f32, 8.0, 3.0].map(f32::to_le_bytes).concat());
        // With this many units a place may be beyond 32 bits.
        #[cfg(target_pointer_width = "64")]
        {
            spool.units = 1 << 40;
            units.clear();
            spool.write_indices(&mut units).unwrap();
            assert_eq!(units, [1u64, 8, 3].map(u64::to_le_bytes).concat());
        }
        drop(spool);
        assert!(fs::read_dir(std::env::temp_dir()).unwrap().all(|it| {
            let name = it.unwrap().file_name();
            !name.to_string_lossy().starts_with(path.file_name().unwrap().to_str().unwrap())
        }));
    }
}
