//! Several files as one data set.

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::compute::{available_address_space, lock};
use crate::data::array::{Array, FileState};
use crate::data::element::ElementType;
#[cfg(feature = "model")]
use crate::data::find::find;
use crate::data::header::{Header, Layout, is_of_no_samples};
use crate::data::open::{Opened, ReadOptions};
use crate::data::row::Row;
use crate::data::source::Source;
use crate::error::{Error, Result, counted};

/// Files that are mapped at most; Linux allows a process 65 530 maps. The rows of others are read.
const MAX_MAPS: usize = 1 << 15;

/// Files at most that stay open, and locked, while they are mapped. (A process may often open no more than
/// 1024.)
const MAX_OPEN: usize = 256;

/// Files at most that are kept open for reading.
const MAX_READ: usize = 64;

/// Files of samples, one after another: their rows are those of one large array. All have the same
/// features; their types may differ.
///
/// They are mapped: 32 768 at most and, where the process has a limit of address space (`ulimit -v`), as
/// many as take half of what is left of it. The rows of others are read one by one; a training then
/// gathers its batches ahead. While they are mapped, up to 256 files bear the lock that [`Array::open`]
/// describes.
pub struct Shards {
    files: Vec<Shard>,
    /// The first row of each file, and of what would follow the last.
    starts: Vec<usize>,
    features: usize,
    /// Files that have no samples.
    left_out: Vec<PathBuf>,
    /// Of the files that are not mapped, those that are open, by their numbers.
    open: Mutex<Vec<(usize, Arc<File>)>>,
}

/// How much is mapped.
struct Limits {
    files: usize,
    bytes: u64,
}

impl Limits {
    /// Leaves half of the address space to other memory.
    fn of_process() -> Self {
        let bytes = available_address_space().map_or(u64::MAX, |left| left / 2);
        Limits { files: MAX_MAPS, bytes }
    }

    /// Counts a file, if it can still be mapped.
    fn take(&mut self, length: usize) -> bool {
        let (files, bytes) = (self.files.checked_sub(1), self.bytes.checked_sub(length as u64));
        let (Some(files), Some(bytes)) = (files, bytes) else { return false };
        (self.files, self.bytes) = (files, bytes);
        true
    }
}

enum Shard {
    Array(Array),
    Unmapped(Unmapped),
}

/// A file whose rows are read when they are needed.
struct Unmapped {
    path: PathBuf,
    header: Header,
    layout: Layout,
    state: FileState,
}

impl Shards {
    /// Opens these files as one data set.
    ///
    /// With the feature `model`, a path may also be a folder, whose data files are taken, a pattern with
    /// `*`, `?` or `[...]`, or a list: a text file, its name ending in `.txt`, of one path per line,
    /// relative to its folder. The files are sorted by their paths, with numbers by value: `part-2` before
    /// `part-10`. Those of a list keep its order, if it is the only path.
    ///
    /// A file without samples is left out ([`Shards::left_out`]), unless no other is given.
    ///
    /// # Errors
    /// Those of [`Array::open_with`], which name the file; there is no file; or a file has other features
    /// than the first.
    pub fn open(
        paths: impl IntoIterator<Item: AsRef<Path>>,
        options: &ReadOptions,
    ) -> Result<Self> {
        let paths = paths.into_iter().map(|path| path.as_ref().to_owned()).collect::<Vec<_>>();
        #[cfg(feature = "model")]
        let paths = find(&paths)?;
        Self::open_files(&paths, options)
    }

    /// Opens these files, in this order, as one data set; no path is a folder, a pattern or a list.
    ///
    /// # Errors
    /// As for [`Shards::open`].
    pub fn open_files(paths: &[PathBuf], options: &ReadOptions) -> Result<Self> {
        Self::open_within(paths, options, Limits::of_process())
    }

    fn open_within(paths: &[PathBuf], options: &ReadOptions, mut limits: Limits) -> Result<Self> {
        let keeps = paths.len() <= MAX_OPEN;
        let mut shards = Shards::none();
        let mut of_no_samples = Ok(());
        for path in paths {
            let (file, has_room) = match Shard::open(path, options, &mut limits, keeps) {
                Err(error) if is_of_no_samples(&error) => {
                    shards.left_out.push(path.clone());
                    of_no_samples = Err(error);
                    continue;
                }
                opened => opened?,
            };
            if !has_room {
                // Other memory needs room, too.
                limits.files = 0;
                let kept = shards.files.len() / 2;
                shards.files[kept..].iter_mut().for_each(Shard::unmap);
            }
            shards.push(file)?;
        }
        if shards.files.is_empty() {
            of_no_samples?;
        }
        shards.some()
    }

    /// The files that were left out, because they have no samples.
    pub fn left_out(&self) -> &[PathBuf] {
        &self.left_out
    }

    /// Takes arrays as the files.
    ///
    /// # Errors
    /// There is no array, or one has other features than the first.
    pub fn from_arrays(arrays: Vec<Array>) -> Result<Self> {
        let mut shards = Shards::none();
        for array in arrays {
            shards.push(Shard::Array(array))?;
        }
        shards.some()
    }

    fn none() -> Self {
        Shards {
            files: Vec::new(),
            starts: vec![0],
            features: 0,
            left_out: Vec::new(),
            open: Mutex::default(),
        }
    }

    fn some(self) -> Result<Self> {
        if self.files.is_empty() {
            return Err(Error::setting("samples", "no file of samples is given"));
        }
        Ok(self)
    }

    fn push(&mut self, file: Shard) -> Result<()> {
        let (layout, expected) = (file.layout(), self.features);
        if let Some(first) = self.files.first()
            && layout.features != expected
        {
            let (have, first) = (layout.features, first.path().display());
            let problem = format!(
                "this file has {}; expected {expected}, as in {first}",
                counted(have, "feature")
            );
            return Err(Error::format(file.path(), None, problem));
        }
        self.features = layout.features;
        let end = self.samples().checked_add(layout.samples);
        self.starts.push(end.ok_or_else(|| Error::Shape("too many samples".to_owned()))?);
        self.files.push(file);
        Ok(())
    }

    /// The paths of the files, in the order of their samples.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(Shard::path)
    }

    /// The arrays of the files that are mapped or in memory.
    #[doc(hidden)]
    pub fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.files.iter().filter_map(|file| match file {
            Shard::Array(array) => Some(array),
            Shard::Unmapped(_) => None,
        })
    }

    /// The file that has a row, and the row's number in it.
    fn find(&self, row: usize) -> (usize, usize) {
        let file = self.starts.partition_point(|&start| start <= row) - 1;
        assert!(file < self.files.len(), "row {row} of {}", self.samples());
        (file, row - self.starts[file])
    }

    /// An open handle of a file that is not mapped.
    fn handle(&self, at: usize, path: &Path) -> Result<Arc<File>> {
        let mut open = lock(&self.open);
        if let Some(found) = open.iter().position(|(file, _)| *file == at) {
            // The one that was used last is the first.
            open[..=found].rotate_right(1);
        } else {
            let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
            open.truncate(MAX_READ - 1);
            open.insert(0, (at, Arc::new(file)));
        }
        Ok(open[0].1.clone())
    }
}

impl Shard {
    /// Opens a file, and maps it within the limits. Also returns whether there was address space for it.
    fn open(
        path: &Path,
        options: &ReadOptions,
        limits: &mut Limits,
        keeps: bool,
    ) -> Result<(Self, bool)> {
        let file = match Opened::new(path, options)? {
            Opened::Loaded(array) => return Ok((Shard::Array(array), true)),
            Opened::Mappable(file) => file,
        };
        // Fortran order is read as a whole.
        let is_read = file.header.fortran_order;
        let layout = file.header.layout(options.rows);
        let (path, header, state) = (file.path.clone(), file.header.clone(), file.state);
        let unmapped = Unmapped { path, header, layout, state };
        if !is_read && !limits.take(unmapped.header.end()) {
            return Ok((Shard::Unmapped(unmapped), true));
        }
        match file.map(options, keeps) {
            Err(Error::Io { source, .. })
                if source.kind() == io::ErrorKind::OutOfMemory && !is_read =>
            {
                Ok((Shard::Unmapped(unmapped), false))
            }
            mapped => Ok((Shard::Array(mapped?), true)),
        }
    }

    /// Gives a map up.
    fn unmap(&mut self) {
        let Shard::Array(array) = self else { return };
        let Some((header, state)) = array.of_mapped() else { return };
        let (path, header) = (array.path().to_owned(), header.clone());
        let layout = array.layout();
        *self = Shard::Unmapped(Unmapped { path, header, layout, state });
    }

    fn path(&self) -> &Path {
        match self {
            Shard::Array(array) => array.path(),
            Shard::Unmapped(file) => &file.path,
        }
    }

    fn layout(&self) -> Layout {
        match self {
            Shard::Array(array) => array.layout(),
            Shard::Unmapped(file) => file.layout,
        }
    }

    fn element_type(&self) -> ElementType {
        match self {
            Shard::Array(array) => array.element_type(),
            Shard::Unmapped(file) => file.header.element_type,
        }
    }
}

impl Unmapped {
    fn row<'a>(&self, file: &File, row: usize, memory: &'a mut Vec<f32>) -> Result<Row<'a>> {
        let size = self.layout.features * self.header.element_type.size();
        memory.resize(size.div_ceil(size_of::<f32>()), 0.0);
        let bytes = &mut bytemuck::cast_slice_mut(memory)[..size];
        let read = read_at(file, (self.header.start + row * size) as u64, bytes);
        read.map_err(|e| {
            let changed =
                file.metadata().ok().and_then(|now| self.state.check(&self.path, &now).err());
            changed.unwrap_or_else(|| Error::io("read", &self.path, e))
        })?;
        Ok(Row::from_bytes(bytes, self.header.element_type, self.header.big_endian))
    }
}

#[cfg(unix)]
fn read_at(file: &File, at: u64, bytes: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(not(unix))]
fn read_at(file: &File, at: u64, bytes: &mut [u8]) -> io::Result<()> {
    use io::{Read, Seek};
    // Threads share the handle's position.
    static POSITION: Mutex<()> = Mutex::new(());
    let _held = lock(&POSITION);
    let mut file = file;
    file.seek(io::SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

impl Source for Shards {
    fn samples(&self) -> usize {
        self.starts[self.files.len()]
    }

    fn features(&self) -> usize {
        self.features
    }

    fn row<'a>(&'a self, row: usize, memory: &'a mut Vec<f32>) -> Result<Row<'a>> {
        let (at, row) = self.find(row);
        match &self.files[at] {
            Shard::Array(array) => Ok(array.stored(row)),
            Shard::Unmapped(file) => {
                let handle = self.handle(at, &file.path)?;
                file.row(&handle, row, memory)
            }
        }
    }

    fn prefetch(&self, row: usize) {
        let (at, row) = self.find(row);
        if let Shard::Array(array) = &self.files[at] {
            array.prefetch(row);
        }
    }

    fn read_ahead(&self, rows: Range<usize>) {
        let mut start = rows.start;
        while start < rows.end {
            let (at, first) = self.find(start);
            let end = self.starts[at + 1].min(rows.end);
            if let Shard::Array(array) = &self.files[at] {
                array.read_ahead(first..end - self.starts[at]);
            }
            start = end;
        }
    }

    fn expect_random(&self) {
        self.arrays().for_each(Source::expect_random);
    }

    fn resident_bytes(&self) -> Option<u64> {
        self.files.iter().try_fold(0, |sum, file| match file {
            Shard::Array(array) => Some(sum + array.resident_bytes()?),
            Shard::Unmapped(_) => None,
        })
    }

    fn element_type(&self) -> Option<ElementType> {
        let first = self.files[0].element_type();
        self.files.iter().all(|file| file.element_type() == first).then_some(first)
    }

    fn row_dims(&self) -> &[usize] {
        match &self.files[0] {
            Shard::Array(array) => array.row_dims(),
            Shard::Unmapped(file) => file.layout.row_dims(&file.header),
        }
    }

    fn place(&self, row: usize) -> (PathBuf, usize) {
        let (at, row) = self.find(row);
        (self.files[at].path().to_owned(), row)
    }

    fn unchanged(&self) -> Result<()> {
        self.files.iter().try_for_each(|file| match file {
            Shard::Array(array) => array.unchanged(),
            Shard::Unmapped(Unmapped { path, state, .. }) => {
                let now = path.metadata().map_err(|e| Error::io("look at", path, e))?;
                state.check(path, &now)
            }
        })
    }
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (files, first) = (self.files.len(), self.files[0].path().display());
        write!(f, "Shards({files} files from {first}: {} x {})", self.samples(), self.features)
    }
}
