//! A checkpoint's file in memory, made once and filled in again and again.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crc32fast::Hasher;

use super::{NUMBERS, RUNNING_MEANS};
use crate::files::atomic::BLOCK;
use crate::files::tensors::{self, Dtype, Header};
use crate::training::trainer::Trainer;

/// Of all the bytes but those of the checksum itself.
pub(super) fn checksum_of(bytes: &[u8], itself: Range<usize>) -> u32 {
    let mut sum = Hasher::new();
    add_to_checksum(&mut sum, bytes, 0..bytes.len(), &itself);
    sum.finalize()
}

/// Adds a range of the bytes, without those of the checksum itself.
fn add_to_checksum(sum: &mut Hasher, bytes: &[u8], range: Range<usize>, itself: &Range<usize>) {
    sum.update(&bytes[range.start..itself.start.clamp(range.start, range.end)]);
    sum.update(&bytes[itself.end.clamp(range.start, range.end)..range.end]);
}

/// A checkpoint's bytes, made once and then filled again and again.
pub(super) struct Image {
    /// The file, after as many bytes as bring it to a multiple of [`BLOCK`].
    memory: Vec<u8>,
    file: Range<usize>,
    numbers: [Range<usize>; 3],
    running_means: Range<usize>,
    state: Range<usize>,
    checksum: Range<usize>,
    /// Checksums of the pieces that were filled in, in the file's order.
    sums: Vec<(Range<usize>, Hasher)>,
}

impl Image {
    /// With room for so many numbers of each kind, for running means, and bytes of state.
    pub fn new(count: usize, means: usize, state: usize) -> std::result::Result<Self, String> {
        let (zeros, spaces) = (vec![0; 4 * count], vec![b' '; state]);
        let mut entries: Vec<(&str, Dtype, &[usize], &[u8])> = Vec::new();
        let (counts, means, room) = ([count], [means], [state]);
        let zero_means = vec![0; 4 * means[0]];
        for name in NUMBERS {
            entries.push((name, Dtype::F32, &counts, &zeros));
        }
        entries.push((RUNNING_MEANS, Dtype::F32, &means, &zero_means));
        entries.push(("state", Dtype::U8, &room, &spaces));
        entries.push(("checksum", Dtype::U32, &[1], &[0; 4]));
        let bytes = tensors::file(&entries, &[]);
        let header = Header::read(&bytes)?;
        let mut memory = vec![0; bytes.len() + BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK).min(BLOCK);
        let file = start..start + bytes.len();
        memory[file.clone()].copy_from_slice(&bytes);
        let range = |name: &str| header.tensors[name].bytes.clone();
        let numbers = NUMBERS.map(range);
        let running_means = range(RUNNING_MEANS);
        let (state, checksum) = (range("state"), range("checksum"));
        Ok(Image { memory, file, numbers, running_means, state, checksum, sums: Vec::new() })
    }

    /// Of a training as it stands. All its threads copy and sum, for none of them trains meanwhile.
    pub fn fill(&mut self, json: &[u8], trainer: &mut Trainer) {
        let file = &mut self.memory[self.file.clone()];
        let state = &mut file[self.state.clone()];
        state[..json.len()].copy_from_slice(json);
        state[json.len()..].fill(b' ');
        let (pool, numbers, means) = trainer.numbers();
        let bytes = file[self.running_means.clone()].as_chunks_mut().0;
        for (bytes, mean) in bytes.iter_mut().zip(means.iter().flatten()) {
            *bytes = mean.to_le_bytes();
        }
        let threads = pool.threads();
        let mut parts: Vec<_> = (0..threads).map(|_| Mutex::new(Vec::new())).collect();
        let ranges = file.get_disjoint_mut(self.numbers.clone()).expect("tensors do not overlap");
        for ((range, bytes), numbers) in self.numbers.iter().zip(ranges).zip(numbers) {
            let length = numbers.len().div_ceil(threads).max(1);
            let pieces = bytes.as_chunks_mut().0.chunks_mut(length).zip(numbers.chunks(length));
            for (at, (part, (bytes, numbers))) in parts.iter_mut().zip(pieces).enumerate() {
                let start = range.start + 4 * at * length;
                let piece = Piece { start, bytes, numbers, checksum: Hasher::new() };
                part.get_mut().unwrap_or_else(PoisonError::into_inner).push(piece);
            }
        }
        pool.run(threads, |part, _| {
            let mut pieces = parts[part].lock().unwrap_or_else(PoisonError::into_inner);
            pieces.iter_mut().for_each(Piece::copy);
        });
        self.sums.clear();
        for part in parts {
            for piece in part.into_inner().unwrap_or_else(PoisonError::into_inner) {
                let end = piece.start + 4 * piece.numbers.len();
                self.sums.push((piece.start..end, piece.checksum));
            }
        }
        self.sums.sort_by_key(|(range, _)| range.start);
    }

    /// The whole file.
    pub fn sealed(&mut self) -> &[u8] {
        let file = &mut self.memory[self.file.clone()];
        let mut sum = Hasher::new();
        let mut done = 0;
        for (range, checksum) in &self.sums {
            add_to_checksum(&mut sum, file, done..range.start, &self.checksum);
            sum.combine(checksum);
            done = range.end;
        }
        add_to_checksum(&mut sum, file, done..file.len(), &self.checksum);
        file[self.checksum.clone()].copy_from_slice(&sum.finalize().to_le_bytes());
        file
    }
}

/// Numbers to be copied to their place in an image.
struct Piece<'a> {
    /// Where in the file.
    start: usize,
    bytes: &'a mut [[u8; 4]],
    numbers: &'a [f32],
    checksum: Hasher,
}

impl Piece<'_> {
    fn copy(&mut self) {
        // Checksums are taken while the bytes are in the first cache.
        const NUMBERS: usize = 2048;
        for (bytes, numbers) in self.bytes.chunks_mut(NUMBERS).zip(self.numbers.chunks(NUMBERS)) {
            for (bytes, number) in bytes.iter_mut().zip(numbers) {
                *bytes = number.to_le_bytes();
            }
            self.checksum.update(bytes.as_flattened());
        }
    }
}
