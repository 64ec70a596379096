//! What belongs to the samples of one side of data of which some are held out.

use sae::{
    Samples, Scaling,
    data::{Array, HeldOut},
};

use crate::data::place::Side;
use crate::failure::Result;

/// The numbers of the samples of one side in the data.
pub fn numbers_of_side(held_out: HeldOut, count: usize, side: Side) -> Result<Vec<usize>> {
    /// A sample holds a number as two features, for `f32` has not all of them.
    const BASE: usize = 1 << 16;
    let pairs = (0..count).flat_map(|number| [number / BASE, number % BASE]);
    let values: Vec<u32> = pairs.map(|part| part as u32).collect();
    let all = Samples::new(Array::from_values(values, 2)?, Scaling::AsIs);
    let (left, held) = all.hold_out(held_out)?;
    let chosen = if side == Side::Training { left } else { held };
    let mut pair = [0.0; 2];
    let number = |sample| {
        chosen.gather(sample, &mut pair)?;
        Ok(pair[0] as usize * BASE + pair[1] as usize)
    };
    (0..chosen.len()).map(number).collect()
}

/// Labels of one side of the data.
pub fn labels_of_side(labels: Vec<u8>, held_out: HeldOut, side: Side) -> Result<Vec<u8>> {
    let all = Samples::new(Array::from_values(labels, 1)?, Scaling::AsIs);
    let (left, held) = all.hold_out(held_out)?;
    numbers_of_labels(if side == Side::Training { &left } else { &held })
}

/// Labels from samples of one feature.
fn numbers_of_labels(labels: &Samples) -> Result<Vec<u8>> {
    let mut number = [0.0];
    let label = |at| {
        labels.gather(at, &mut number)?;
        Ok(number[0] as u8)
    };
    (0..labels.len()).map(label).collect()
}
