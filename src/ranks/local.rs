//! One process alone.

use std::collections::VecDeque;

use super::{Ranks, Sums};

/// The only rank: every sum over the ranks is its own part.
#[derive(Debug)]
pub(crate) struct Local;

impl Ranks for Local {
    fn rank(&self) -> usize {
        0
    }

    fn count(&self) -> usize {
        1
    }

    fn beside<'a>(&'a mut self, work: &mut dyn FnMut(&mut dyn Sums<'a>)) {
        work(&mut Parts(VecDeque::new()));
    }

    fn sum(&mut self, part: &[f64], sum: &mut [f64]) {
        sum.copy_from_slice(part);
    }

    fn broadcast(&mut self, _: &mut [u8]) {}
}

/// Parts that were begun, in their order.
struct Parts<'a>(VecDeque<&'a [f32]>);

impl<'a> Sums<'a> for Parts<'a> {
    fn begin(&mut self, part: &'a [f32], _: &'a mut [f32]) {
        self.0.push_back(part);
    }

    fn next(&mut self) -> &'a [f32] {
        self.0.pop_front().expect("a sum that was begun")
    }
}
