//! Ranks that are threads of one process.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use sae::ranks::{Ranks, Sums};

/// Where ranks meet: what each has brought, and what all had brought the last time.
#[derive(Default)]
struct Meeting {
    brought: Vec<Option<Vec<f64>>>,
    last: Arc<Vec<Vec<f64>>>,
    number: u64,
}

#[derive(Clone)]
pub struct Threads {
    rank: usize,
    count: usize,
    meeting: Arc<(Mutex<Meeting>, Condvar)>,
    /// Lengths of this rank's pieces of gradients.
    pub pieces: Arc<Mutex<Vec<usize>>>,
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Threads({} of {})", self.rank, self.count)
    }
}

impl Threads {
    /// Calls `f` in as many threads, each with its ranks, and returns what they return.
    pub fn run<T: Send>(count: usize, f: impl Fn(Threads) -> T + Sync) -> Vec<T> {
        let brought = vec![None; count];
        let meeting =
            Arc::new((Mutex::new(Meeting { brought, ..Meeting::default() }), Condvar::new()));
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..count)
                .map(|rank| {
                    let (meeting, pieces) = (Arc::clone(&meeting), Arc::default());
                    let ranks = Threads { rank, count, meeting, pieces };
                    scope.spawn(|| f(ranks))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// This rank's number.
    pub fn number(&self) -> usize {
        self.rank
    }

    /// Everybody's numbers, by rank.
    fn exchange(&self, own: Vec<f64>) -> Arc<Vec<Vec<f64>>> {
        let (meeting, changed) = &*self.meeting;
        let mut meeting = meeting.lock().unwrap();
        let number = meeting.number;
        assert!(meeting.brought[self.rank].replace(own).is_none());
        if meeting.brought.iter().all(Option::is_some) {
            meeting.last = Arc::new(meeting.brought.iter_mut().flat_map(Option::take).collect());
            meeting.number += 1;
            changed.notify_all();
        }
        while meeting.number == number {
            // A rank that failed must not keep the others here.
            let (guard, waited) = changed.wait_timeout(meeting, Duration::from_secs(100)).unwrap();
            assert!(!waited.timed_out(), "rank {} waits for the others in vain", self.rank);
            meeting = guard;
        }
        Arc::clone(&meeting.last)
    }

    fn add(&self, own: impl Iterator<Item = f64>) -> Vec<f64> {
        let all = self.exchange(own.collect());
        assert!(all.iter().all(|numbers| numbers.len() == all[0].len()), "of other lengths");
        (0..all[0].len()).map(|at| all.iter().map(|numbers| numbers[at]).sum()).collect()
    }
}

impl Ranks for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn beside<'a>(&'a mut self, work: &mut dyn FnMut(&mut dyn Sums<'a>)) {
        work(&mut Made { ranks: self, made: VecDeque::new() });
    }

    fn sum(&mut self, part: &[f64], sum: &mut [f64]) {
        sum.copy_from_slice(&self.add(part.iter().copied()));
    }

    fn broadcast(&mut self, bytes: &mut [u8]) {
        let all = self.exchange(bytes.iter().map(|&byte| byte.into()).collect());
        bytes.iter_mut().zip(&all[0]).for_each(|(byte, &first)| *byte = first as u8);
    }
}

/// Sums that are made when they are begun.
struct Made<'a> {
    ranks: &'a Threads,
    made: VecDeque<&'a [f32]>,
}

impl<'a> Sums<'a> for Made<'a> {
    fn begin(&mut self, part: &'a [f32], sum: &'a mut [f32]) {
        self.ranks.pieces.lock().unwrap().push(part.len());
        let all = self.ranks.add(part.iter().map(|&number| number.into()));
        sum.iter_mut().zip(all).for_each(|(sum, number)| *sum = number as f32);
        self.made.push_back(sum);
    }

    fn next(&mut self) -> &'a [f32] {
        self.made.pop_front().expect("a sum that was begun")
    }
}
