//! The selection of batch-top-k: the largest activations of a whole batch, among the threads and
//! ranks that have its samples.

use std::sync::Mutex;

use sae_kernels::sparse::{Encode, Pool, from_order_key};

use crate::compute::{Engine, lock};
use crate::network::codes::{Codes, Counts};

/// Candidates for the largest activations of a batch, and what a selection works in.
#[derive(Debug, Default)]
pub(crate) struct BatchSelection {
    /// How many of the batch are kept, those of all ranks.
    pub kept: usize,
    /// Of each part of the samples.
    pools: Vec<Mutex<Candidates>>,
    /// Of each sample: entries above the smallest that is kept, and those equal to it.
    counts: Vec<[u32; 2]>,
    /// A number that the next batch's kept activations most likely reach. It saves time and
    /// changes nothing.
    guess: f32,
}

/// The memory of a [`Pool`].
#[derive(Debug)]
struct Candidates {
    keys: Vec<u128>,
    spare: Vec<u128>,
    count: usize,
}

impl Candidates {
    /// The order's key, the sample and the unit of each.
    fn iter(&self) -> impl Iterator<Item = (u32, usize, u32)> {
        let split = |&key: &u128| ((key >> 64) as u32, (key >> 32) as u32 as usize, key as u32);
        self.keys[..self.count].iter().map(split)
    }
}

/// What is kept of a batch.
struct Kept {
    /// The order's key of the smallest.
    last: u32,
    /// How many that are equal to it are kept on this rank.
    equals: usize,
}

impl BatchSelection {
    /// For the `kept` largest of a batch, of which this rank has `samples` samples.
    pub fn new(kept: usize, samples: usize, units: usize, threads: usize) -> Self {
        let length = Pool::len_for(kept, samples * units);
        let memory = || Candidates { keys: vec![0; length], spare: vec![0; length], count: 0 };
        BatchSelection {
            kept,
            pools: (0..threads).map(|_| Mutex::new(memory())).collect(),
            counts: vec![[0; 2]; samples],
            guess: f32::NEG_INFINITY,
        }
    }

    /// Lists what is kept of a batch; samples divided among the threads. Returns the smallest
    /// activation that is kept anywhere.
    pub fn encode(
        &mut self,
        engine: &mut Engine,
        encode: Encode<'_>,
        codes: &mut Codes,
        ranks: &mut dyn Counts,
    ) -> Option<f32> {
        let kept = self.choose(ranks, |all, floor| all.find_candidates(engine, encode, floor));
        self.list(codes, encode.input.shape().0, kept.as_ref());
        kept.map(|kept| from_order_key(kept.last))
    }

    /// Takes part in the selections of a step for which this rank has no activations.
    pub fn select_nothing(&mut self, ranks: &mut dyn Counts) {
        self.choose(ranks, |all, _| all.forget_candidates());
    }

    /// Chooses what is kept, of candidates that `find` finds above a floor: all ranks in the same
    /// way, for they have the same guess.
    fn choose(
        &mut self,
        ranks: &mut dyn Counts,
        mut find: impl FnMut(&mut Self, f32),
    ) -> Option<Kept> {
        /// Of the last smallest activation: the next one is hardly ever below it.
        const SHARE: f32 = 0.8;
        find(self, self.guess);
        let mut kept = self.select(self.guess, ranks);
        if kept.is_none() && self.guess > f32::NEG_INFINITY {
            find(self, f32::NEG_INFINITY);
            kept = self.select(f32::NEG_INFINITY, ranks);
        }
        let smallest = kept.as_ref().map(|kept| from_order_key(kept.last));
        self.guess = smallest.filter(|&a| a > 0.0).map_or(f32::NEG_INFINITY, |a| SHARE * a);
        kept
    }

    fn forget_candidates(&mut self) {
        self.pools.iter().for_each(|pool| lock(pool).count = 0);
    }

    /// Samples divided among the threads.
    fn find_candidates(&mut self, engine: &mut Engine, encode: Encode<'_>, floor: f32) {
        self.forget_candidates();
        let (n, inputs) = encode.input.shape();
        let (kept, pools) = (self.kept, &self.pools);
        let division = engine.divide(n, encode.weights.shape().0 * inputs);
        let Engine { isa, pool, scratch, .. } = engine;
        pool.run(division.parts(), |part, thread| {
            let samples = division.range(part);
            let encode = Encode { input: encode.input.rows(samples.clone()), ..encode };
            let Candidates { keys, spare, count } = &mut *lock(&pools[part]);
            let mut pool = Pool::new(keys, spare, kept, floor);
            scratch
                .with(thread, |scratch| encode.candidates(*isa, samples.start, &mut pool, scratch));
            *count = pool.count();
        });
    }

    /// Finds the smallest activation that is kept: a radix selection of eight bits of the order's
    /// key at a time, from the highest, whose counts ranks add up. `None` if there are fewer
    /// candidates than are kept, and a floor that may have left some out; or none at all.
    fn select(&self, floor: f32, ranks: &mut dyn Counts) -> Option<Kept> {
        let (mut last, mut left) = (0, self.kept as f64);
        let mut own = [0.0; 256];
        for shift in [24, 16, 8, 0] {
            own.fill(0.0);
            for pool in &self.pools {
                for (key, ..) in lock(pool).iter() {
                    let above = |key: u32| u64::from(key) >> (shift + 8);
                    if above(key) == above(last) {
                        own[(key >> shift & 0xff) as usize] += 1.0;
                    }
                }
            }
            let mut counts = own;
            ranks.sum(&mut counts);
            if shift == 24 {
                let all: f64 = counts.iter().sum();
                if all == 0.0 || all < left && floor > f32::NEG_INFINITY {
                    return None;
                }
                left = left.min(all);
            }
            for (bits, &count) in (0..).zip(&counts) {
                if left <= count {
                    last |= bits << shift;
                    break;
                }
                left -= count;
            }
        }
        // Of those equal to the last the first are kept, and other ranks may have them.
        let own = own[(last & 0xff) as usize];
        let before = ranks.sum_before(own);
        Some(Kept { last, equals: (left - before).clamp(0.0, own) as usize })
    }

    /// Lists what is kept by samples: a counting sort. Candidates of a sample stand in the order of
    /// their units.
    fn list(&mut self, codes: &mut Codes, samples: usize, kept: Option<&Kept>) {
        let counts = &mut self.counts[..samples];
        counts.fill([0; 2]);
        let Codes { starts, ends, units, activations } = codes;
        starts.clear();
        ends.clear();
        let Some(&Kept { last, equals }) = kept else {
            starts.resize(samples, 0);
            ends.resize(samples, 0);
            return;
        };
        for pool in &self.pools {
            for (key, sample, _) in lock(pool).iter().filter(|&(key, ..)| key <= last) {
                counts[sample][usize::from(key == last)] += 1;
            }
        }
        let (mut place, mut left) = (0, equals as u32);
        for [above, equal] in counts.iter_mut() {
            *equal = left.min(*equal);
            left -= *equal;
            starts.push(place);
            ends.push(place);
            place += *above + *equal;
        }
        for pool in &self.pools {
            for (key, sample, unit) in lock(pool).iter().filter(|&(key, ..)| key <= last) {
                if key == last {
                    let equal = &mut counts[sample][1];
                    if *equal == 0 {
                        continue;
                    }
                    *equal -= 1;
                }
                let end = &mut ends[sample];
                units[*end as usize] = unit;
                activations[*end as usize] = from_order_key(key);
                *end += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sae_kernels::sparse::order_key;

    use super::*;

    #[test]
    fn keys_come_back() {
        let key = u128::from(order_key(1.5)) << 64 | 7 << 32 | 3;
        let candidates = Candidates { keys: vec![key], spare: vec![0], count: 1 };
        assert_eq!(candidates.iter().collect::<Vec<_>>(), [(order_key(1.5), 7, 3)]);
    }
}
