//! The loss of a sparse code whose first units reconstruct by themselves (Matryoshka, Bussmann et al.
//! 2025).
//!
//! Prefix g reconstructs y_g = b + the sum of a_u w_u over its units u; the loss is the mean over the G
//! prefixes of |y_g - x|^2 / (n d). With the units that prefix g adds to the one before, its group,
//! y_g - x = (their sum) - (x - y_{g-1}): each group reconstructs what the prefix before leaves over, and
//! costs its own entries alone. A unit of group g is in all prefixes from g on, so its delta is
//! D_g = the sum over s >= g of c (y_s - x), c = 2 / (n d G); the output's biases are in all prefixes, and
//! their gradient is the sum of D_0.

use std::ops::Range;

use sae_kernels::sparse::CodeGradient;
use sae_kernels::{Lists, Matrix, Operand};

use crate::compute::{Engine, row_parts};
use crate::network::codes::Codes;
use crate::network::forward::LayerView;
use crate::training::output::{Output, for_entries};

/// The prefixes of a code, and the memory for their losses.
#[derive(Debug)]
pub(crate) struct Prefixes {
    /// Units of each, rising to the whole code.
    sizes: Vec<usize>,
    /// Where the entries of each group begin in each sample's list, and where those of the last one end,
    /// `[groups + 1, n]`.
    cuts: Vec<u32>,
    /// Biases of all groups but the first.
    zeros: Vec<f32>,
    /// Of one prefix, of every feature.
    biases: Vec<f32>,
    /// The sum of the losses of all prefixes over this rank's samples.
    pub loss: f64,
    /// The largest sum of a feature's losses of one prefix.
    pub largest_loss: f32,
}

impl Prefixes {
    /// For prefixes of these sizes, some samples and features; `None` without prefixes.
    pub fn new(sizes: Vec<usize>, samples: usize, features: usize) -> Option<Self> {
        let groups = sizes.len();
        (groups > 0).then(|| Prefixes {
            sizes,
            cuts: vec![0; (groups + 1) * samples],
            zeros: vec![0.0; features],
            biases: vec![0.0; features],
            loss: 0.0,
            largest_loss: 0.0,
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sizes.len()
    }

    /// The group that a unit belongs to.
    pub fn group_of(&self, unit: usize) -> usize {
        self.sizes.partition_point(|&size| size <= unit)
    }

    /// Computes `deltas`, D_g of each group, `[groups, n, features]`; the sums of the losses of the whole
    /// code and of the bias gradient; and the gradient of each entry of the code. `output` is that of the
    /// whole code.
    pub fn run(
        &mut self,
        engine: &mut Engine,
        output: Output<'_>,
        codes: &Codes,
        [deltas, gradient]: [&mut [f32]; 2],
        [losses, bias_gradient]: [&mut [f32]; 2],
        partial_sums: &mut [f32],
    ) {
        self.cut(codes.lists());
        let (n, features) = output.target.shape();
        let numbers = n * features;
        let scale = output.scale / self.count() as f32;
        (self.loss, self.largest_loss) = (0.0, 0.0);
        bias_gradient.fill(0.0);
        for group in 0..self.count() {
            let (before, delta) = deltas.split_at_mut(group * numbers);
            let (layer, target) = match group.checked_sub(1) {
                None => (output.layer, output.target),
                Some(last) => (
                    LayerView { biases: &self.zeros, ..output.layer },
                    Matrix::new(&before[last * numbers..], n, features),
                ),
            };
            let input = Operand::Sparse(group_lists(&self.cuts, codes, group, 0..n));
            // Its delta is then what the next group has to reconstruct.
            let stage = Output { input, layer, target, scale: -1.0, ..output };
            let sums = [&mut *losses, &mut self.biases];
            stage.run(engine, &mut delta[..numbers], sums, partial_sums, None);
            self.loss += losses.iter().map(|&loss| f64::from(loss)).sum::<f64>();
            self.largest_loss = losses.iter().copied().fold(self.largest_loss, f32::max);
            bias_gradient.iter_mut().zip(&self.biases).for_each(|(to, sum)| *to -= scale * sum);
        }
        add_up(engine, deltas, numbers, scale);
        let deltas = Matrix::new(deltas, self.count() * n, features);
        self.code_gradient(engine, codes, deltas, output.layer.weights, gradient);
    }

    /// Finds where the groups of each sample's list begin.
    fn cut(&mut self, lists: Lists<'_>) {
        let n = lists.rows();
        for sample in 0..n {
            let (entries, (units, _)) = (lists.entries(sample), lists.row(sample));
            self.cuts[sample] = entries.start as u32;
            for (group, &size) in self.sizes.iter().enumerate() {
                let within = units.partition_point(|&unit| (unit as usize) < size);
                self.cuts[(group + 1) * n + sample] = (entries.start + within) as u32;
            }
        }
    }

    /// The gradient of each entry from the delta of its group; samples divided among the threads.
    fn code_gradient(
        &self,
        engine: &mut Engine,
        codes: &Codes,
        deltas: Matrix<'_>,
        weights: Matrix<'_>,
        gradient: &mut [f32],
    ) {
        let n = deltas.shape().0 / self.count();
        // Some 50 active units.
        let work = 50 * deltas.shape().1;
        for_entries(engine, codes, gradient, work, |isa, samples, gradients| {
            for group in 0..self.count() {
                let codes_of_group = group_lists(&self.cuts, codes, group, samples.clone());
                let rows = group * n + samples.start..group * n + samples.end;
                let first = self.cuts[group * n + samples.start] as usize;
                let own = &mut gradients[first - codes.place(samples.start)..];
                CodeGradient { codes: codes_of_group, delta: deltas.rows(rows), weights }
                    .run(isa, own);
            }
        });
    }
}

/// The entries of a group in the lists of some samples.
fn group_lists<'a>(
    cuts: &'a [u32],
    codes: &'a Codes,
    group: usize,
    samples: Range<usize>,
) -> Lists<'a> {
    let n = codes.starts.len();
    let cut = |group: usize| &cuts[group * n + samples.start..group * n + samples.end];
    Lists::new(cut(group), cut(group + 1), &codes.units, &codes.activations)
}

/// Makes D_g of what the prefixes leave over, x - y_g: from the last group on, D_g = D_{g+1} - scale
/// (x - y_g).
fn add_up(engine: &mut Engine, deltas: &mut [f32], numbers: usize, scale: f32) {
    let groups = deltas.len() / numbers;
    for group in (0..groups).rev() {
        let (to, after) = deltas[group * numbers..].split_at_mut(numbers);
        let after = &after[..after.len().min(numbers)];
        let division = engine.divide(numbers, 2);
        let parts = row_parts(to, division);
        engine.pool.run(division.parts(), |part, _| {
            let own = parts.take(part).into_row();
            match after.get(division.range(part)) {
                None => own.iter_mut().for_each(|left| *left *= -scale),
                Some(after) => {
                    let pairs = own.iter_mut().zip(after);
                    pairs.for_each(|(left, after)| *left = after - scale * *left);
                }
            }
        });
    }
}
