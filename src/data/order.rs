//! The order in which samples are seen.

use crate::compute::random::{Stream, below, generator};

/// Batches from shuffled epochs, without replacement. The samples left at the end of an epoch begin
/// the next batch, which the new epoch fills; a batch longer than the data spans several epochs.
///
/// The whole state is `(seed, epoch, position)`: an epoch's order is drawn from the seed and the
/// number of the epoch.
#[derive(Clone, Debug)]
pub struct Order {
    order: Vec<u32>,
    seed: u64,
    epoch: u64,
    position: usize,
}

impl Order {
    /// Begins the first epoch of `samples` samples.
    ///
    /// # Panics
    /// Unless there are 1 to 2^32 - 1 samples.
    pub fn new(samples: usize, seed: u64) -> Self {
        let count = u32::try_from(samples).expect("at most 2^32 - 1 samples");
        assert!(count > 0, "batches of no samples");
        let mut order = Order { order: (0..count).collect(), seed, epoch: 0, position: 0 };
        order.shuffle();
        order
    }

    /// Draws the epoch's order by Fisher and Yates, from the order 0, 1, 2, ....
    fn shuffle(&mut self) {
        let mut generator = generator(self.seed, Stream::Order, self.epoch);
        for (at, sample) in self.order.iter_mut().enumerate() {
            *sample = at as u32;
        }
        for at in (1..self.order.len()).rev() {
            let other = below(&mut generator, at as u32 + 1);
            self.order.swap(at, other as usize);
        }
    }

    /// Fills `batch` with the indices of the next batch's samples.
    pub fn next(&mut self, batch: &mut [u32]) {
        let mut filled = 0;
        while filled < batch.len() {
            if self.position == self.order.len() {
                self.epoch += 1;
                self.position = 0;
                self.shuffle();
            }
            let count = (batch.len() - filled).min(self.order.len() - self.position);
            batch[filled..filled + count]
                .copy_from_slice(&self.order[self.position..self.position + count]);
            filled += count;
            self.position += count;
        }
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
        assert!(position <= self.order.len(), "an epoch has no such position");
        self.epoch = epoch;
        self.position = position;
        self.shuffle();
    }
}
