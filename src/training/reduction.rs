//! What the ranks of a training sum over all of them in a step, and the memory for it.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::compute::lock;
use crate::error::{Error, Result};
use crate::network::codes::Counts;
use crate::ranks::{Local, SharedRanks, count};
use crate::training::gradient::{Gradient, pieces, timed};
use crate::training::objective::BatchSums;
use crate::training::workspace::{Context, Control, Workspace};

/// Flags and scalars at the beginning of a message.
const FLAGS: usize = 2;
const SCALARS: usize = 8;

/// The ranks of a training, and the memory in which they make sums.
#[derive(Debug)]
pub(crate) struct Reduction {
    pub ranks: SharedRanks,
    rank: usize,
    count: usize,
    /// The samples are this rank's own, and not those of all.
    pub sharded: bool,
    /// This rank asks all to stop after the next step.
    stop: bool,
    /// Some rank asked to stop, as of the last step.
    stopped: bool,
    /// This rank's part of the gradient, laid out as the parameters; empty where it trains alone.
    part: Vec<f32>,
    /// The gradient, likewise.
    sum: Vec<f32>,
    /// Of the pieces of a gradient that are on their way.
    starts: VecDeque<usize>,
    /// Time within sums, since the training began.
    pub waited: Duration,
    message: [Vec<f64>; 2],
    /// One number of each rank.
    gathered: [Vec<f64>; 2],
}

impl Reduction {
    /// One process alone: nothing is summed, and no memory taken.
    pub fn local(work: &Workspace) -> Self {
        Self::new(Arc::new(Mutex::new(Box::new(Local))), false, work, 0)
    }

    /// For the sums and the layers of this workspace and as many parameters, this rank's own samples if
    /// `sharded`.
    pub fn new(ranks: SharedRanks, sharded: bool, work: &Workspace, parameters: usize) -> Self {
        let sums = &work.sums;
        let rank = lock(&ranks).rank();
        let count = count(&ranks);
        let units: usize = sums.activations.iter().map(Vec::len).sum();
        let numbers = FLAGS + SCALARS + sums.magnitudes.len() + units;
        Reduction {
            ranks,
            rank,
            count,
            sharded,
            stop: false,
            stopped: false,
            part: vec![0.0; parameters],
            sum: vec![0.0; parameters],
            starts: VecDeque::with_capacity(pieces(work.layers.iter().chain(&work.skip))),
            waited: Duration::ZERO,
            message: [(); 2].map(|()| Vec::with_capacity(numbers)),
            gathered: [vec![0.0; count], vec![0.0; count]],
        }
    }

    pub fn is_alone(&self) -> bool {
        self.count == 1
    }

    /// This process's number; rank 0 prints and writes.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Begins a run, in which nobody has asked to stop yet.
    pub fn begin_run(&mut self) {
        (self.stop, self.stopped) = (false, false);
    }

    /// Whether to stop, this rank asking for it or not: alone at once, of several ranks all after the
    /// step that follows the one at which one asks.
    pub fn agree_to_stop(&mut self, asks: bool) -> bool {
        self.stop |= asks;
        if self.is_alone() { self.stop } else { self.stopped }
    }

    /// Gives every rank the parameters, the state and the place in the samples' order of rank 0.
    pub fn broadcast(&mut self, cx: &mut Context, place: (u64, usize)) -> (u64, usize) {
        let ranks = &mut **lock(&self.ranks);
        let state = &mut cx.state;
        let after = &mut cx.work.dead_units.after;
        let mut counts = [state.step, place.0, place.1 as u64, *after];
        ranks.broadcast(bytemuck::cast_slice_mut(&mut counts));
        (state.step, *after) = (counts[0], counts[3]);
        let mut share = |numbers: &mut [f32]| {
            // In pieces, for a message's length may be an i32.
            for piece in numbers.chunks_mut(1 << 20) {
                ranks.broadcast(bytemuck::cast_slice_mut(piece));
            }
        };
        share(&mut cx.net.parameters);
        cx.work.centering.means_mut().into_iter().for_each(&mut share);
        // (As bytes it makes no difference.)
        share(bytemuck::cast_slice_mut(&mut state.inactive));
        let moments = [&mut state.first, &mut state.second];
        let remembered = moments.into_iter().chain(&mut state.running_means);
        if counts[0] > 0 {
            remembered.for_each(|numbers| share(numbers));
        } else {
            remembered.for_each(|numbers| numbers.fill(0.0));
        }
        let Control { smoothed, log_factor, speed, sum } = state.control;
        let ([scale, of_targets], divisor) = (cx.work.centering.scales, cx.net.loss_divisor());
        let factor = cx.net.penalty_factor;
        let mut numbers = [smoothed, log_factor, speed, sum, factor, scale, of_targets, divisor];
        ranks.broadcast(bytemuck::cast_slice_mut(&mut numbers));
        let [smoothed, log_factor, speed, sum, penalty_factor, scale, of_targets, divisor] =
            numbers;
        cx.work.centering.scales = [scale, of_targets];
        cx.net.variance = cx.net.variance.map(|_| divisor);
        state.control = Control { smoothed, log_factor, speed, sum };
        cx.net.penalty_factor = penalty_factor;
        (counts[1], counts[2] as usize)
    }

    /// Replaces sums over this rank's samples by those over the whole batch. They go in one message,
    /// and with them whether a rank asks to stop, or has failed.
    ///
    /// # Errors
    /// [`Error::OtherRank`]
    pub fn reduce(&mut self, sums: &mut BatchSums) -> Result<()> {
        self.exchange(sums, false)
    }

    /// This rank has failed before its part of the step that the others are in: theirs fails, too.
    pub fn fail(&mut self, work: &mut Workspace) {
        if self.is_alone() {
            return;
        }
        // The others choose a batch-top-k code before they hear of it.
        work.gate.select_nothing(self);
        // That a rank has failed is no news.
        let _ = self.exchange(&mut work.sums, true);
    }

    fn exchange(&mut self, sums: &mut BatchSums, failed: bool) -> Result<()> {
        if self.is_alone() {
            return Ok(());
        }
        let BatchSums { loss, prefixes, auxiliary, magnitudes, activations, .. } = sums;
        let BatchSums { code_active, code_tanh, steered_active, may_overflow, .. } = sums;
        let own = &mut sums.activation_penalties;
        let of_code = [code_active, code_tanh, steered_active, may_overflow];
        let [active, tanh, steered, overflow] = of_code;
        let scalars: [_; SCALARS] =
            [loss, prefixes, auxiliary, active, tanh, steered, overflow, own];
        let [part, sum] = &mut self.message;
        part.clear();
        let flags: [_; FLAGS] = [failed, self.stop];
        part.extend(flags.map(|flag| f64::from(u8::from(flag))));
        part.extend(scalars.iter().map(|scalar| **scalar));
        part.extend(&*magnitudes);
        part.extend(activations.iter().flatten().map(|&sum| f64::from(sum)));
        sum.clone_from(part);
        timed(&mut self.waited, || lock(&self.ranks).sum(part, sum));
        let (failures, stops) = (sum[0], sum[1]);
        if failures > 0.0 {
            return Err(Error::OtherRank);
        }
        self.stopped = stops > 0.0;
        let mut sum = sum[FLAGS..].iter();
        scalars.into_iter().chain(magnitudes).zip(&mut sum).for_each(|(to, &sum)| *to = sum);
        activations.iter_mut().flatten().zip(sum).for_each(|(to, &sum)| *to = sum as f32);
        Ok(())
    }

    /// Calls `compute` with the gradient's buffer, whose pieces are summed over the ranks while the
    /// next are computed. `whole` gets the gradient; without it, `compute` takes it piece by piece
    /// (not alone).
    pub fn sum_gradient(
        &mut self,
        layers_end: usize,
        whole: Option<&mut Vec<f32>>,
        mut compute: impl FnMut(&mut Gradient<'_, '_>),
    ) {
        if self.is_alone() {
            let all = whole.expect("a buffer for the gradient");
            return compute(&mut Gradient::new(all, layers_end));
        }
        let Reduction { ranks, part, sum, starts, waited, .. } = self;
        starts.clear();
        let mut buffers = Some((&mut part[..], &mut sum[..]));
        lock(ranks).beside(&mut |sums| {
            if let Some((part, sum)) = buffers.take() {
                let gradient = Gradient::new(part, layers_end);
                compute(&mut gradient.summed(sums, sum, starts, waited));
            }
        });
        if let Some(whole) = whole {
            mem::swap(&mut self.sum, whole);
        }
    }
}

impl Counts for Reduction {
    fn sum(&mut self, counts: &mut [f64; 256]) {
        if !self.is_alone() {
            let part = *counts;
            lock(&self.ranks).sum(&part, counts);
        }
    }

    fn sum_before(&mut self, own: f64) -> f64 {
        if self.is_alone() {
            return 0.0;
        }
        let [part, sum] = &mut self.gathered;
        part.fill(0.0);
        part[self.rank] = own;
        lock(&self.ranks).sum(part, sum);
        sum[..self.rank].iter().sum()
    }
}
