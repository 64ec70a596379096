//! Rows in memory of the caller's.

use crate::data::element::ElementType;
use crate::data::row::Row;
use crate::data::source::{Source, whole_samples};
use crate::error::Result;

/// Rows of `f32`, one after the other.
#[derive(Debug)]
pub(crate) struct Slice<'a> {
    values: &'a [f32],
    features: usize,
}

impl<'a> Slice<'a> {
    /// No rows, of as many features as there would be.
    pub fn none(features: usize) -> Self {
        Slice { values: &[], features }
    }

    /// # Errors
    /// They are not one or more whole rows.
    pub fn new(values: &'a [f32], features: usize) -> Result<Self> {
        whole_samples(values.len(), features)?;
        Ok(Slice { values, features })
    }
}

impl Source for Slice<'_> {
    fn samples(&self) -> usize {
        self.values.len() / self.features
    }

    fn features(&self) -> usize {
        self.features
    }

    fn row<'a>(&'a self, row: usize, _: &'a mut Vec<f32>) -> Result<Row<'a>> {
        Ok(Row::new(&self.values[row * self.features..][..self.features]))
    }

    fn resident_bytes(&self) -> Option<u64> {
        Some(0)
    }

    fn element_type(&self) -> Option<ElementType> {
        Some(ElementType::F32)
    }
}
