//! No samples, of as many features as there would be: for a trainer that is given its batches.

use std::sync::Arc;

use crate::data::row::Row;
use crate::data::samples::Samples;
use crate::data::scaling::Scaling;
use crate::data::source::Source;
use crate::error::Result;

impl Samples {
    /// No samples, unscaled, and no targets if there are features of those.
    pub(crate) fn none(features: usize, of_targets: Option<usize>) -> Self {
        let samples = Samples::new(NoRows { features }, Scaling::AsIs);
        let targets = of_targets.map(|features| Arc::new(Samples::none(features, None)));
        Samples { targets, ..samples }
    }
}

#[derive(Debug)]
struct NoRows {
    features: usize,
}

impl Source for NoRows {
    fn samples(&self) -> usize {
        0
    }

    fn features(&self) -> usize {
        self.features
    }

    fn row<'a>(&'a self, row: usize, _: &'a mut Vec<f32>) -> Result<Row<'a>> {
        panic!("row {row} of no rows")
    }

    fn resident_bytes(&self) -> Option<u64> {
        Some(0)
    }
}
