//! Penalties of the caller's on the activations of hidden layers.

use std::fmt;
use std::ops::Range;
use std::sync::Mutex;

use sae_kernels::matrix::MAX_PARTS;
use sae_kernels::{Bands, Division, Lists};

use crate::compute::Engine;

/// The activations of a hidden layer in a training step, and the gradient of a penalty on them.
///
/// [`TrainerBuilder::penalty`](crate::TrainerBuilder::penalty) describes its use.
#[derive(Debug)]
pub struct Activations<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) batch: usize,
    pub(super) shape: (usize, usize),
    pub(super) values: &'a [f32],
    /// Of a sparse code: where the entries of each sample are.
    pub(super) lists: Option<Lists<'a>>,
    pub(super) gradient: &'a mut [f32],
}

/// The activations of one sample.
#[derive(Debug)]
#[non_exhaustive]
pub struct Row<'a> {
    /// Of a sparse code the unit of each activation; `None` if there is one activation for each unit.
    pub units: Option<&'a [u32]>,
    /// The activations. (Of JumpReLU they may be 0.)
    pub values: &'a [f32],
    /// The penalty's derivative by each activation, to be added to.
    pub gradient: &'a mut [f32],
}

impl Activations<'_> {
    /// Samples and units. Of several ranks the samples are this one's.
    pub fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// Samples of the whole batch, those of all ranks: what a mean is divided by.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The activations of a sample, and their gradient.
    ///
    /// # Panics
    /// There is no such sample.
    pub fn row(&mut self, sample: usize) -> Row<'_> {
        let (samples, units) = self.shape;
        assert!(sample < samples, "sample {sample} of {samples}");
        let entries = entries(self.lists, units, sample);
        Row {
            units: self.lists.as_ref().map(|lists| lists.row(sample).0),
            values: &self.values[entries.clone()],
            gradient: &mut self.gradient[entries],
        }
    }

    /// Adds the penalty that is the sum of `f` over all activations of a sample, a mean over the batch: `f`
    /// returns its value and its derivative. Returns the penalty, for the caller to return.
    ///
    /// All threads compute it. Of a sparse code `f` is not called for units that are not active: it must be 0
    /// at 0.
    pub fn add_mean(&mut self, f: impl Fn(f32) -> (f32, f32) + Sync) -> f64 {
        /// Activations of a part, about: some 10 us.
        const PART: usize = 1 << 12;
        let (samples, units) = self.shape;
        let n = self.batch as f32;
        let end = self.gradient.len();
        // The division must not depend on the number of threads, for its sums do.
        let division = Division::new(samples, 1, (end / PART).clamp(1, MAX_PARTS));
        let lists = self.lists;
        let place = |sample: usize| match sample < samples {
            true => entries(lists, units, sample).start,
            false => end,
        };
        let gradients = Bands::ragged(self.gradient, division, place);
        let values = self.values;
        let sum = self.engine.sum_parts(division.parts(), |part| {
            let (rows, gradient) = (division.range(part), gradients.take(part));
            let first = place(rows.start);
            let mut sum = 0.0;
            for row in rows {
                let entries = entries(lists, units, row);
                let own = entries.start - first..entries.end - first;
                for (to, &a) in gradient[own].iter_mut().zip(&values[entries]) {
                    let (value, derivative) = f(a);
                    sum += f64::from(value);
                    *to += derivative / n;
                }
            }
            sum
        });
        sum / f64::from(n)
    }
}

/// Where the activations of a sample are.
fn entries(lists: Option<Lists<'_>>, units: usize, sample: usize) -> Range<usize> {
    lists.map_or(sample * units..(sample + 1) * units, |lists| lists.entries(sample))
}

/// What computes a penalty: it adds to the gradient and returns the value.
pub(crate) type Penalize = Box<dyn FnMut(&mut Activations<'_>) -> f64 + Send>;

/// A penalty on a hidden layer, and the memory for its gradient.
pub(crate) struct ActivationPenalty {
    pub layer: usize,
    /// (In a mutex, so that threads may share a trainer.)
    pub penalize: Mutex<Penalize>,
    /// By each activation, `[n, units]`; of a sparse code by each entry.
    pub gradient: Vec<f32>,
    /// Of each unit, its part of the bias gradient.
    pub sums: Vec<f32>,
    /// The largest magnitude of the gradient.
    pub largest: f32,
}

impl fmt::Debug for ActivationPenalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActivationPenalty").field("layer", &self.layer).finish_non_exhaustive()
    }
}

impl ActivationPenalty {
    /// A penalty on this layer; `activations` is the maximum of a batch.
    pub fn new(layer: usize, penalize: Penalize, units: usize, activations: usize) -> Self {
        let (gradient, sums) = (vec![0.0; activations], vec![0.0; units]);
        ActivationPenalty { layer, penalize: Mutex::new(penalize), gradient, sums, largest: 0.0 }
    }
}
