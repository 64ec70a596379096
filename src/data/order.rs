//! The order in which samples are seen.

use std::ops::Range;

use crate::compute::available_memory;
use crate::compute::random::{Stream, below, below_u64, generator};
use crate::settings::SampleOrder;

/// Batches from epochs, each of which has every sample once. The samples left at the end of an epoch begin
/// the next batch, which the new epoch fills; a batch longer than the data spans several epochs.
///
/// The whole state is `(seed, epoch, position)`: an epoch's order is drawn from the seed and the
/// number of the epoch.
#[derive(Clone, Debug)]
pub struct Order {
    samples: usize,
    seed: u64,
    epoch: u64,
    position: usize,
    of_epoch: OfEpoch,
}

/// The order of an epoch.
#[derive(Clone, Debug)]
enum OfEpoch {
    Sequential,
    /// All samples, where 32 bits hold their numbers.
    Short(Vec<u32>),
    Long(Vec<u64>),
    Window(Window),
}

/// An epoch in windows: blocks of neighboring samples in an order drawn by the seed, and the samples of
/// each window, which is some blocks, shuffled.
///
/// The samples left after the last whole block belong to the last window.
#[derive(Clone, Debug)]
struct Window {
    /// Samples of a block.
    block: usize,
    /// Blocks of a window.
    blocks: usize,
    /// The order of all whole blocks.
    order: Vec<u32>,
    /// The window that `rows` are of.
    number: usize,
    rows: Vec<usize>,
}

/// Blocks of a window: its samples come from as many places.
const BLOCKS: usize = 16;

impl Order {
    /// Begins the first epoch of `samples` samples, all of them shuffled: by Fisher and Yates, from the
    /// order 0, 1, 2, ....
    pub fn new(samples: usize, seed: u64) -> Self {
        Self::of(SampleOrder::Shuffle, samples, seed)
    }

    /// Fails if the order of this number of samples takes more memory than there is.
    pub(crate) fn check(kind: SampleOrder, samples: usize) -> std::result::Result<(), String> {
        let of_sample = if u32::try_from(samples).is_ok() { 4 } else { 8 };
        let bytes = (samples as u64).saturating_mul(of_sample);
        match available_memory() {
            Some(available) if kind == SampleOrder::Shuffle && bytes > available => Err(format!(
                "a shuffle of {samples} samples takes {bytes} bytes of memory, and {available} are \
                 available; window:100000 shuffles within windows"
            )),
            _ => Ok(()),
        }
    }

    /// Begins the first epoch of `samples` samples in an order of this kind.
    pub fn of(kind: SampleOrder, samples: usize, seed: u64) -> Self {
        let of_epoch = match kind {
            SampleOrder::Sequential => OfEpoch::Sequential,
            SampleOrder::Window { samples: length } => {
                OfEpoch::Window(Window::new(length, samples))
            }
            SampleOrder::Shuffle => match u32::try_from(samples) {
                Ok(_) => OfEpoch::Short(vec![0; samples]),
                Err(_) => OfEpoch::Long(vec![0; samples]),
            },
        };
        let mut order = Order { samples, seed, epoch: 0, position: 0, of_epoch };
        order.begin_epoch();
        order
    }

    /// Draws the epoch's order.
    fn begin_epoch(&mut self) {
        let (seed, epoch) = (self.seed, self.epoch);
        match &mut self.of_epoch {
            OfEpoch::Sequential => {}
            OfEpoch::Short(order) => shuffle_short(order, seed, epoch),
            OfEpoch::Long(order) => {
                let mut generator = generator(seed, Stream::Order, epoch);
                order.iter_mut().zip(0..).for_each(|(sample, at)| *sample = at);
                for at in (1..order.len()).rev() {
                    order.swap(at, below_u64(&mut generator, at as u64 + 1) as usize);
                }
            }
            OfEpoch::Window(window) => {
                shuffle_short(&mut window.order, seed, epoch);
                window.fill(self.samples, (seed, epoch), window.of_position(self.position));
            }
        }
    }

    /// Fills `batch` with the numbers of the next batch's samples.
    ///
    /// # Panics
    /// There are no samples.
    pub fn next(&mut self, batch: &mut [usize]) {
        assert!(self.samples > 0 || batch.is_empty(), "batches of no samples");
        let mut filled = 0;
        while filled < batch.len() {
            if self.position == self.samples {
                self.epoch += 1;
                self.position = 0;
                self.begin_epoch();
            }
            filled += self.take(&mut batch[filled..]);
        }
    }

    /// Takes samples of this epoch, as many as are at hand; at least one.
    fn take(&mut self, batch: &mut [usize]) -> usize {
        let start = self.position;
        let count = batch.len().min(self.samples - start);
        let count = match &mut self.of_epoch {
            OfEpoch::Sequential => {
                batch[..count].iter_mut().zip(start..).for_each(|(to, sample)| *to = sample);
                count
            }
            OfEpoch::Short(order) => {
                let from = &order[start..start + count];
                batch.iter_mut().zip(from).for_each(|(to, &sample)| *to = sample as usize);
                count
            }
            OfEpoch::Long(order) => {
                let from = &order[start..start + count];
                batch.iter_mut().zip(from).for_each(|(to, &sample)| *to = sample as usize);
                count
            }
            OfEpoch::Window(window) => {
                let number = window.of_position(start);
                if number != window.number {
                    window.fill(self.samples, (self.seed, self.epoch), number);
                }
                let from = &window.rows[start - window.start(number)..];
                let count = count.min(from.len());
                batch[..count].copy_from_slice(&from[..count]);
                count
            }
        };
        self.position += count;
        count
    }

    /// Calls `ask` for ranges of samples that cover these, which `next` has just given, or what comes
    /// long after them: for reading ahead.
    pub(crate) fn ahead_of(&self, batch: &[usize], ask: impl FnMut(Range<usize>)) {
        if let OfEpoch::Window(window) = &self.of_epoch {
            return window.ahead_of(self.position, batch.len(), ask);
        }
        runs(batch, ask);
    }

    /// The number of the epoch, from 0, and the samples of it that were given out.
    #[doc(hidden)]
    pub fn position(&self) -> (u64, usize) {
        (self.epoch, self.position)
    }

    /// Continues at a place that [`Order::position`] returned.
    ///
    /// # Panics
    /// If an epoch has no such position.
    #[doc(hidden)]
    pub fn seek(&mut self, epoch: u64, position: usize) {
        assert!(position <= self.samples, "an epoch has no such position");
        let is_same = epoch == self.epoch;
        (self.epoch, self.position) = (epoch, position);
        if !is_same {
            self.begin_epoch();
        }
    }
}

/// Calls `ask` for the runs of successive numbers in a list.
pub(crate) fn runs(rows: &[usize], mut ask: impl FnMut(Range<usize>)) {
    let mut rest = rows;
    while let [first, after @ ..] = rest {
        let neighbors = after.iter().zip(*first + 1..).take_while(|(have, next)| *have == next);
        let count = 1 + neighbors.count();
        ask(*first..*first + count);
        rest = &rest[count..];
    }
}

fn shuffle_short(order: &mut [u32], seed: u64, epoch: u64) {
    let mut generator = generator(seed, Stream::Order, epoch);
    order.iter_mut().zip(0..).for_each(|(sample, at)| *sample = at);
    for at in (1..order.len()).rev() {
        order.swap(at, below(&mut generator, at as u32 + 1) as usize);
    }
}

impl Window {
    /// Of `length` of `samples` samples.
    fn new(length: usize, samples: usize) -> Self {
        // More blocks than 32 bits number are of more samples than any disk has.
        let block = (length / BLOCKS).max(1).max(samples >> 31);
        let blocks = (length / block).max(1);
        let rows = Vec::with_capacity((blocks * block).saturating_add(block).min(samples));
        let order = vec![0; samples / block];
        Window { block, blocks, order, number: 0, rows }
    }

    /// The position in an epoch at which a window begins.
    fn start(&self, number: usize) -> usize {
        number * self.blocks * self.block
    }

    /// The window of a position in an epoch.
    fn of_position(&self, position: usize) -> usize {
        let last = self.order.len().div_ceil(self.blocks).max(1) - 1;
        (position / (self.blocks * self.block)).min(last)
    }

    /// Draws a window's samples.
    fn fill(&mut self, samples: usize, (seed, epoch): (u64, u64), number: usize) {
        self.number = number;
        self.rows.clear();
        let first = number * self.blocks;
        let end = self.order.len().min(first + self.blocks);
        for &block in &self.order[first.min(end)..end] {
            let start = block as usize * self.block;
            self.rows.extend(start..start + self.block);
        }
        if end == self.order.len() {
            self.rows.extend(self.order.len() * self.block..samples);
        }
        let number = epoch.wrapping_shl(32).wrapping_add(number as u64);
        let mut generator = generator(seed, Stream::Window, number);
        for at in (1..self.rows.len()).rev() {
            self.rows.swap(at, below_u64(&mut generator, at as u64 + 1) as usize);
        }
    }

    /// Asks for the blocks of a whole window ahead of a position, as far as they were not asked for
    /// `before` samples earlier; at an epoch's start for all up to there.
    fn ahead_of(&self, position: usize, before: usize, mut ask: impl FnMut(Range<usize>)) {
        let until = |position: usize| position.div_ceil(self.block) + self.blocks;
        let first = if position <= before { 0 } else { until(position - before) };
        let blocks = self.order.get(first..until(position).min(self.order.len()));
        for &block in blocks.unwrap_or_default() {
            let start = block as usize * self.block;
            ask(start..start + self.block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [SampleOrder; 6] = [
        SampleOrder::Shuffle,
        SampleOrder::Sequential,
        SampleOrder::Window { samples: 1 },
        SampleOrder::Window { samples: 10 },
        SampleOrder::Window { samples: 100 },
        SampleOrder::Window { samples: 1_000_000 },
    ];

    fn epoch(order: &mut Order, samples: usize) -> Vec<usize> {
        let mut batch = vec![0; samples];
        order.next(&mut batch);
        batch
    }

    #[test]
    fn every_epoch_has_every_sample_once() {
        for kind in KINDS {
            for samples in [1, 2, 7, 16, 99, 100, 101, 1000] {
                let mut order = Order::of(kind, samples, 3);
                for _ in 0..3 {
                    let mut all = epoch(&mut order, samples);
                    all.sort_unstable();
                    assert_eq!(all, (0..samples).collect::<Vec<_>>(), "{kind}");
                }
            }
        }
    }

    #[test]
    fn a_shuffle_beyond_the_memory_is_refused() {
        assert_eq!(Order::check(SampleOrder::Shuffle, 1_000_000), Ok(()));
        assert_eq!(Order::check(SampleOrder::Sequential, usize::MAX), Ok(()));
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        {
            let problem = Order::check(SampleOrder::Shuffle, 1 << 50).unwrap_err();
            assert!(problem.starts_with("a shuffle of 1125899906842624 samples"), "{problem}");
        }
    }

    #[test]
    fn any_place_can_be_found_again() {
        for kind in KINDS {
            let (mut order, samples) = (Order::of(kind, 997, 5), 997);
            let mut all = Vec::new();
            for _ in 0..3 {
                all.extend(epoch(&mut order, samples));
            }
            for at in (0..3 * samples).step_by(61) {
                let mut found = Order::of(kind, samples, 5);
                found.seek((at / samples) as u64, at % samples);
                let mut batch = vec![0; (3 * samples - at).min(100)];
                found.next(&mut batch);
                assert_eq!(batch, all[at..at + batch.len()], "{kind}, {at}");
            }
        }
    }

    #[test]
    fn a_window_mixes_its_samples_and_no_others() {
        let mut order = Order::of(SampleOrder::Window { samples: 160 }, 1600, 1);
        let mut seen = Vec::new();
        for _ in 0..10 {
            let mut window = vec![0; 160];
            order.next(&mut window);
            assert!(!window.is_sorted());
            let mut blocks: Vec<usize> = window.iter().map(|sample| sample / 10).collect();
            blocks.sort_unstable();
            blocks.dedup();
            assert_eq!(blocks.len(), 16);
            seen.extend(blocks);
        }
        assert!(!seen.is_sorted());
        // Another epoch, and another seed, have another order.
        let first = epoch(&mut Order::of(SampleOrder::Window { samples: 160 }, 1600, 1), 160);
        assert_ne!(first, epoch(&mut order, 160));
        assert_ne!(
            first,
            epoch(&mut Order::of(SampleOrder::Window { samples: 160 }, 1600, 2), 160)
        );
    }

    #[test]
    fn all_samples_are_asked_for_before_they_come() {
        for kind in [SampleOrder::Window { samples: 100 }, SampleOrder::Sequential] {
            let (samples, length) = (1003, 37);
            let mut order = Order::of(kind, samples, 7);
            let (mut asked, mut epoch) = (vec![false; samples], 0);
            // Later epochs begin within a batch.
            for _ in 0..samples / length {
                let mut batch = vec![0; length];
                order.next(&mut batch);
                assert_eq!(order.position().0, epoch);
                order.ahead_of(&batch, |range| asked[range].fill(true));
                for &sample in &batch {
                    let is_tail = sample >= samples / 6 * 6;
                    assert!(asked[sample] || is_tail, "{kind}: {sample}");
                }
                epoch = order.position().0;
            }
        }
    }
}
