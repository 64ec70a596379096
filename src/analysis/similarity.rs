//! Cosines between the decoder's rows: how redundant a dictionary is, and how like another one.

use sae_kernels::{Matrix, MatrixMut, gemm};

use crate::compute::{Engine, divided, lock};
use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;

/// Of each unit of the code the one whose decoder row has the largest cosine with its own.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NearestUnits {
    /// The largest cosine of each unit, from -1 to 1.
    pub cosines: Vec<f32>,
    /// The unit that it is with, the first of equal ones.
    pub units: Vec<usize>,
}

impl NearestUnits {
    /// Mean over units of the largest cosine; NaN where there are none.
    pub fn mean(&self) -> f64 {
        self.cosines.iter().map(|&cosine| f64::from(cosine)).sum::<f64>()
            / self.cosines.len() as f64
    }

    /// The unit of the largest cosine of all, and that number; `None` where there are no units.
    pub fn largest(&self) -> Option<(usize, f32)> {
        let units = self.cosines.iter().copied().enumerate();
        units.reduce(|best, unit| if unit.1 > best.1 { unit } else { best })
    }
}

impl Autoencoder {
    /// Redundancy of the dictionary: of each unit the nearest other, max over j != i of
    /// cos(d_i, d_j) for the rows d of the decoder. The bits are the same for any number of threads.
    ///
    /// [`NearestUnits::mean`] and [`NearestUnits::largest`] are the usual figures: near 1, units are
    /// there twice. Rows are in the data's units, not the scaled ones. A row that is 0 has the cosine 0
    /// with all. A code of one unit has no other: no numbers.
    ///
    /// # Errors
    /// [`Error::Setting`] if the decoder has more than one layer.
    pub fn redundancy(&self, engine: &mut Engine) -> Result<NearestUnits> {
        self.check_dictionary("redundancy")?;
        Ok(self.nearest_units(engine, self.settings().encoder_layers() - 1))
    }

    /// Of each unit of a hidden layer the nearest other, by the weights to the next layer; empty where there
    /// is no other.
    pub(super) fn nearest_units(&self, engine: &mut Engine, layer: usize) -> NearestUnits {
        let next = self.layers()[layer + 1];
        if next.inputs < 2 {
            return NearestUnits { cosines: Vec::new(), units: Vec::new() };
        }
        let rows = self.directions(layer + 1);
        nearest(engine, &rows, &rows, next.outputs, true)
    }

    /// Matched cosines with another dictionary: of each unit the nearest one of the other, max over j of
    /// cos(d_i, d'_j). The bits are the same for any number of threads.
    ///
    /// [`NearestUnits::mean`] is the mean max cosine similarity, MMCS (Sharkey et al. 2022, *Taking
    /// features out of superposition with sparse autoencoders*): near 1 for trainings that find the same
    /// dictionary. It is not symmetric: several units may have the same nearest one. The best assignment
    /// one to one takes a time proportional to the cube of the units, and is not computed. Rows are as in
    /// [`Autoencoder::redundancy`].
    ///
    /// # Errors
    /// [`Error::Setting`] if a decoder has more than one layer, [`Error::Shape`] if the other has another
    /// number of features.
    pub fn matched_cosines(
        &self,
        engine: &mut Engine,
        other: &Autoencoder,
    ) -> Result<NearestUnits> {
        let nets = [self, other];
        nets.into_iter().try_for_each(|net| net.check_dictionary("stability"))?;
        let rows = nets.map(|net| net.directions(net.settings().encoder_layers()));
        let features = [self, other].map(|net| net.layers().last().map_or(0, |last| last.outputs));
        if features[0] != features[1] {
            return Err(Error::Shape(format!(
                "dictionaries of the same features can be compared, and these have {} and {}",
                features[0], features[1]
            )));
        }
        Ok(nearest(engine, &rows[0], &rows[1], features[0], false))
    }

    /// Fails unless the decoder has one layer.
    fn check_dictionary(&self, what: &str) -> Result<()> {
        let layers = self.layers();
        let code = self.settings().encoder_layers();
        if layers.len() != code + 1 {
            return Err(Error::setting(
                "layers",
                format!(
                    "the {what} is that of a decoder of one layer, and this one has {}",
                    layers.len() - code
                ),
            ));
        }
        Ok(())
    }

    /// A layer's rows of weights, one of each unit of the layer before, each of length 1 or 0; those of the
    /// output layer in the data's units.
    fn directions(&self, layer: usize) -> Vec<f32> {
        let layers = self.layers();
        let is_output = layer + 1 == layers.len();
        let mut rows = self.weights(layer).into_owned();
        let features = layers[layer].outputs;
        // A scaling that depends on each sample, layer-norm, keeps the directions.
        let scaling = self.target_scaling.as_ref().unwrap_or(&self.scaling);
        let scaled = |feature: usize| scaling.terms(feature).map_or(1.0, |(_, by)| by);
        let multiply = |feature: usize| if is_output { scaled(feature) } else { 1.0 };
        let multiply: Vec<f64> = (0..features).map(multiply).collect();
        for row in rows.chunks_mut(features) {
            // A feature that was constant is multiplied by nothing.
            let weighted = row
                .iter()
                .zip(&multiply)
                .map(|(&w, &by)| if by.is_finite() { f64::from(w) * by } else { 0.0 });
            let weighted: Vec<f64> = weighted.collect();
            let largest = weighted.iter().fold(0.0, |max: f64, w| max.max(w.abs()));
            // Relative to the largest, whose square may not be a number.
            let squares = weighted.iter().map(|w| (w / largest) * (w / largest));
            let length = squares.sum::<f64>().sqrt();
            for (w, value) in row.iter_mut().zip(weighted) {
                *w = if largest > 0.0 { (value / largest / length) as f32 } else { 0.0 };
            }
        }
        rows
    }
}

/// Of each row of `a` the row of `b` with the largest product; with `skip_self` not that of the same
/// number. Rows of `a` are divided among the threads.
fn nearest(
    engine: &mut Engine,
    a: &[f32],
    b: &[f32],
    features: usize,
    skip_self: bool,
) -> NearestUnits {
    /// Rows of a tile of cosines: enough for a product to be fast, and few enough for the L2 cache.
    const ROWS: usize = 128;
    const COLUMNS: usize = 512;
    let [count, others] = [a, b].map(|rows| rows.len() / features);
    let mut best = vec![(f32::NEG_INFINITY, 0); count];
    let division = engine.divide(count, others * features);
    let parts = divided(&mut best, 1, division);
    let [a, b] = [Matrix::new(a, count, features), Matrix::new(b, others, features)];
    let Engine { isa, pool, scratch, .. } = engine;
    pool.run(division.parts(), |part, thread| {
        let mut best = lock(&parts[part]);
        let range = division.range(part);
        let mut tile = vec![0.0; ROWS * COLUMNS];
        for (at, best) in best.chunks_mut(ROWS).enumerate() {
            let first = range.start + at * ROWS;
            let rows = a.rows(first..first + best.len());
            for start in (0..others).step_by(COLUMNS) {
                let columns = COLUMNS.min(others - start);
                let tile = &mut tile[..best.len() * columns];
                let product = MatrixMut::new(tile, best.len(), columns);
                let of_columns = b.rows(start..start + columns).transposed();
                scratch.with(thread, |scratch| gemm(*isa, rows, of_columns, product, scratch));
                for (row, (best, cosines)) in
                    best.iter_mut().zip(tile.chunks_mut(columns)).enumerate()
                {
                    let own = (first + row).wrapping_sub(start);
                    if skip_self && own < columns {
                        cosines[own] = f32::NEG_INFINITY;
                    }
                    keep_larger(best, cosines, start);
                }
            }
        }
    });
    drop(parts);
    let (cosines, units) =
        best.into_iter().map(|(cosine, unit)| (cosine.clamp(-1.0, 1.0), unit)).unzip();
    NearestUnits { cosines, units }
}

/// Replaces the best by the largest of these cosines, of units from `start` on, if that is larger.
fn keep_larger(best: &mut (f32, usize), cosines: &[f32], start: usize) {
    let largest = cosines.iter().fold(f32::NEG_INFINITY, |max, &cosine| max.max(cosine));
    if largest > best.0 {
        let at = cosines.iter().position(|&cosine| cosine == largest);
        *best = (largest, start + at.unwrap_or(0));
    }
}
