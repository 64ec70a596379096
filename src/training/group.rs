//! The ranks of a training in its steps: what they sum and share, and the memory for it.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;
use crate::network::codes::keep_largest;
use crate::ranks::{SharedRanks, lock};
use crate::settings::{Code, Settings};
use crate::training::controller::Control;
use crate::training::gradient::{Gradient, timed};
use crate::training::workspace::{BatchSums, State, Workspace};

/// The ranks of a training, and the memory in which they make sums.
#[derive(Debug)]
pub(crate) struct Group {
    pub ranks: SharedRanks,
    /// The samples are this rank's own, and not those of all.
    pub sharded: bool,
    /// This rank wants no further step.
    pub stop: bool,
    /// Some rank wanted none, as of the last step.
    pub stopped: bool,
    /// This rank's part of the gradient, laid out as the parameters.
    part: Vec<f32>,
    /// The gradient.
    sum: Vec<f32>,
    /// Of the pieces of a gradient that are on their way.
    starts: VecDeque<usize>,
    /// Within sums, since the training began.
    pub waited: Duration,
    messages: [Vec<f64>; 2],
}

impl Group {
    /// For a network of so many parameters.
    pub fn new(ranks: SharedRanks, sharded: bool, parameters: usize) -> Self {
        Group {
            ranks,
            sharded,
            stop: false,
            stopped: false,
            part: vec![0.0; parameters],
            sum: vec![0.0; parameters],
            starts: VecDeque::new(),
            waited: Duration::ZERO,
            messages: Default::default(),
        }
    }

    pub fn rank(&self) -> usize {
        lock(&self.ranks).rank()
    }

    /// Gives every rank the parameters, the state and the place in the samples' order of rank 0.
    pub fn follow(
        &mut self,
        net: &mut Autoencoder,
        state: &mut State,
        place: (u64, usize),
    ) -> (u64, usize) {
        let ranks = &mut **lock(&self.ranks);
        let State { first, second, step, running_means, control } = state;
        let mut counts = [*step, place.0, place.1 as u64];
        ranks.broadcast(bytemuck::cast_slice_mut(&mut counts));
        *step = counts[0];
        let mut share = |numbers: &mut [f32]| {
            // In pieces, for a message's length may be an i32.
            for piece in numbers.chunks_mut(1 << 20) {
                ranks.broadcast(bytemuck::cast_slice_mut(piece));
            }
        };
        share(&mut net.parameters);
        let remembered = [first, second].into_iter().chain(running_means);
        if *step > 0 {
            remembered.for_each(|numbers| share(numbers));
        } else {
            remembered.for_each(|numbers| numbers.fill(0.0));
        }
        let Control { smoothed, log_factor, speed, sum } = *control;
        let mut numbers = [smoothed, log_factor, speed, sum, net.penalty_factor];
        ranks.broadcast(bytemuck::cast_slice_mut(&mut numbers));
        let [smoothed, log_factor, speed, sum, penalty_factor] = numbers;
        *control = Control { smoothed, log_factor, speed, sum };
        net.penalty_factor = penalty_factor;
        (counts[1], counts[2] as usize)
    }

    /// Makes sums over this rank's part of a batch those over all of it. They go in one message, and
    /// with them whether a rank wants to stop, or has failed.
    ///
    /// # Errors
    /// [`Error::OtherRank`]
    pub fn share(&mut self, rho_hat: &mut [Vec<f32>], sums: &mut BatchSums) -> Result<()> {
        self.exchange(rho_hat, sums, false)
    }

    /// This rank has failed before its part of the step that the others are in: theirs fails, too.
    pub fn fail(&mut self, settings: &Settings, work: &mut Workspace) {
        if let Code::BatchTopK(k) = settings.code {
            // The others choose before they hear of it, and this rank has nothing to choose from.
            keep_largest(&mut **lock(&self.ranks), settings.batch * k, &mut []);
        }
        // That a rank has failed is no news.
        let _ = self.exchange(&mut work.rho_hat, &mut work.sums, true);
    }

    fn exchange(
        &mut self,
        rho_hat: &mut [Vec<f32>],
        sums: &mut BatchSums,
        failed: bool,
    ) -> Result<()> {
        let [part, sum] = &mut self.messages;
        part.clear();
        part.extend([failed, self.stop].map(|flag| f64::from(u8::from(flag))));
        part.extend(sums.numbers().map(|number| *number));
        part.extend(rho_hat.iter().flatten().map(|&sum| f64::from(sum)));
        sum.clone_from(part);
        timed(&mut self.waited, || lock(&self.ranks).sum(part, sum));
        let (failures, stops) = (sum[0], sum[1]);
        if failures > 0.0 {
            return Err(Error::OtherRank);
        }
        self.stopped = stops > 0.0;
        let mut sum = sum[2..].iter();
        sums.numbers().zip(&mut sum).for_each(|(number, &sum)| *number = sum);
        rho_hat.iter_mut().flatten().zip(sum).for_each(|(mean, &sum)| *mean = sum as f32);
        Ok(())
    }

    /// Calls `compute` with the gradient's buffer, whose pieces are summed over the ranks beside it.
    pub fn overlapped(
        &mut self,
        layers_end: usize,
        mut compute: impl FnMut(&mut Gradient<'_, '_>),
    ) {
        let Group { ranks, part, sum, starts, waited, .. } = self;
        starts.clear();
        let mut buffers = Some((&mut part[..], &mut sum[..]));
        lock(ranks).beside(&mut |sums| {
            if let Some((part, sum)) = buffers.take() {
                let gradient = Gradient::new(part, layers_end);
                compute(&mut gradient.summed(sums, sum, starts, waited));
            }
        });
    }

    /// Takes the gradient that [`Group::overlapped`] has made.
    pub fn swap_gradient(&mut self, gradient: &mut Vec<f32>) {
        mem::swap(&mut self.sum, gradient);
    }
}
