//! The file of a checkpoint in memory, allocated once and filled again and again.

use std::ops::Range;
use std::sync::Mutex;

use crc32fast::Hasher;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::compute::ThreadPool;
use crate::compute::lock;
use crate::data::scaling::Scaling;
use crate::files::atomic::BLOCK;
use crate::files::model::constants;

/// The checksum of a file: of all its bytes but those of the checksum itself.
pub(super) fn checksum_of(bytes: &[u8], itself: Range<usize>) -> u32 {
    let mut sum = Hasher::new();
    sum.update(&bytes[..itself.start]);
    sum.update(&bytes[itself.end..]);
    sum.finalize()
}

/// The bytes of a checkpoint: header, constants of the scaling, checksum, numbers, state.
pub(super) struct Image {
    /// The file, after as many bytes as bring it to a multiple of [`BLOCK`].
    memory: Vec<u8>,
    file: Range<usize>,
    /// Where in the file the numbers of all tensors are.
    numbers: Range<usize>,
}

impl Image {
    /// Makes room for tensors of these names, types of 4 bytes and lengths, and for `state` bytes of JSON, and fills in
    /// the constants of the scalings of inputs and targets for each feature.
    pub fn new(
        scalings: [Option<&Scaling>; 2],
        tensors: &[(&str, Dtype, usize)],
        state: usize,
    ) -> std::result::Result<Self, String> {
        let constants = constants(scalings);
        let fixed =
            constants.iter().map(|(name, numbers)| (name.clone(), Dtype::F64, numbers.len()));
        let numbers = tensors.iter().map(|&(name, dtype, count)| (name.to_owned(), dtype, count));
        let state = ("state".to_owned(), Dtype::U8, state);
        let mut infos = Vec::new();
        let mut end = 0;
        for (name, dtype, count) in
            fixed.chain([("checksum".to_owned(), Dtype::U32, 1)]).chain(numbers).chain([state])
        {
            let start = end;
            end += count * dtype.bitsize() / 8;
            let info = TensorInfo { dtype, shape: vec![count], data_offsets: (start, end) };
            infos.push((name, info));
        }
        let metadata = Metadata::new(None, infos).map_err(|e| e.to_string())?;
        let mut header = serde_json::to_vec(&metadata).map_err(|e| e.to_string())?;
        header.resize(header.len().next_multiple_of(8), b' ');
        let data = 8 + header.len();
        let mut memory = vec![0; data + end + BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK).min(BLOCK);
        let file = start..start + data + end;
        memory[start..start + 8].copy_from_slice(&(header.len() as u64).to_le_bytes());
        memory[start + 8..start + data].copy_from_slice(&header);
        let count: usize = tensors.iter().map(|&(_, _, count)| count).sum();
        let mut start = data;
        for number in constants.iter().flat_map(|(_, numbers)| *numbers) {
            memory[file.start + start..][..8].copy_from_slice(&number.to_le_bytes());
            start += 8;
        }
        let numbers = start + 4..start + 4 + 4 * count;
        Ok(Image { memory, file, numbers })
    }

    /// Fills in the state and the numbers of all tensors, one after the other, and returns a
    /// number among them that is not finite, if there is one. What is left becomes 0.
    ///
    /// All threads copy and add to the checksum, for none of them trains meanwhile.
    pub fn fill(&mut self, state: &[u8], numbers: &[&[f32]], pool: &mut ThreadPool) -> Option<f32> {
        let file = &mut self.memory[self.file.clone()];
        let (start, rest) = file.split_at_mut(self.numbers.start);
        let (rest, end) = rest.split_at_mut(self.numbers.len());
        let (room, padding) = end.split_at_mut(state.len());
        room.copy_from_slice(state);
        padding.fill(b' ');
        let mut rest = rest.as_chunks_mut().0;
        let mut pieces = Vec::new();
        for &numbers in numbers {
            for numbers in numbers.chunks(numbers.len().div_ceil(pool.threads()).max(1)) {
                let bytes = rest.split_off_mut(..numbers.len()).expect("room for all numbers");
                let piece = Piece { bytes, numbers, checksum: Hasher::new(), not_finite: None };
                pieces.push(Mutex::new(piece));
            }
        }
        // The best network is no longer there after early stopping has ended.
        rest.fill([0; 4]);
        pool.run(pieces.len(), |piece, _| lock(&pieces[piece]).copy());
        let (header, checksum) = start.split_at_mut(start.len() - 4);
        let mut sum = Hasher::new();
        sum.update(header);
        let mut not_finite = None;
        for piece in &pieces {
            let piece = lock(piece);
            sum.combine(&piece.checksum);
            not_finite = not_finite.or(piece.not_finite);
        }
        sum.update(rest.as_flattened());
        sum.update(end);
        checksum.copy_from_slice(&sum.finalize().to_le_bytes());
        not_finite
    }

    /// Bytes that there are for the state.
    pub fn room(&self) -> usize {
        self.file.len() - self.numbers.end
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.file.clone()]
    }
}

/// Numbers to copy to their place in an image.
struct Piece<'a> {
    bytes: &'a mut [[u8; 4]],
    numbers: &'a [f32],
    checksum: Hasher,
    not_finite: Option<f32>,
}

impl Piece<'_> {
    fn copy(&mut self) {
        // What is in the L1 cache is checked and summed there.
        const NUMBERS: usize = 2048;
        for (bytes, numbers) in self.bytes.chunks_mut(NUMBERS).zip(self.numbers.chunks(NUMBERS)) {
            for (bytes, number) in bytes.iter_mut().zip(numbers) {
                *bytes = number.to_le_bytes();
            }
            self.checksum.update(bytes.as_flattened());
            // Without a branch for each number, this is vectorized.
            if !numbers.iter().fold(true, |all, number| all & number.is_finite()) {
                self.not_finite = numbers.iter().copied().find(|number| !number.is_finite());
            }
        }
    }
}
