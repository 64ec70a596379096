//! The samples that the page has: the first ones, and the top samples of units.

use sae::network::SparseCodes;
use sae::{Engine, Samples};

use crate::arrays::Arrays;
use crate::decoder::Decoder;
use crate::error::Result;
use crate::model::Model;
use crate::report::TOP;
use crate::units::Layer;

/// Samples to pick from, at the beginning.
pub const FIRST: usize = 100;
/// Samples in the page, at least, if there are as many.
const MIN: usize = 8;
/// Entries of a code in the page, at most: those of the largest activations.
pub const MAX_ENTRIES: usize = 512;
/// Samples that are encoded at a time.
const CHUNK: usize = 4096;

/// Numbers of the first samples, then of top samples of units, the first of every unit before the second of
/// any, this many of `samples`.
pub fn chosen(samples: usize, layers: &[&Layer], count: usize) -> Vec<usize> {
    let max = count.max(MIN).min(samples);
    let mut chosen: Vec<usize> = (0..FIRST.min(max)).collect();
    let mut is_chosen = vec![false; samples];
    chosen.iter().for_each(|&sample| is_chosen[sample] = true);
    let rank = |rank: usize| {
        let units = layers.iter().flat_map(|layer| layer.kept());
        units.filter_map(move |unit| unit.top.get(rank).map(|top| top.sample))
    };
    for sample in (0..TOP).flat_map(rank) {
        if chosen.len() < max && !std::mem::replace(&mut is_chosen[sample], true) {
            chosen.push(sample);
        }
    }
    chosen
}

/// Some samples in memory, as a network sees them.
fn gathered(samples: &Samples, numbers: &[usize]) -> Result<Vec<f32>> {
    let features = samples.features();
    let mut values = vec![0.0; numbers.len() * features];
    for (row, &sample) in values.chunks_mut(features).zip(numbers) {
        samples.gather(sample, row)?;
    }
    Ok(values)
}

/// Calls `take` with the number of each sample and its code.
fn for_codes(
    engine: &mut Engine,
    model: &Model,
    numbers: &[usize],
    mut take: impl FnMut(usize, &[u32], &[f32]),
) -> Result<()> {
    let mut codes = SparseCodes::default();
    for numbers in numbers.chunks(CHUNK) {
        let values = gathered(&model.samples, numbers)?;
        let samples = Samples::from_values(values, model.samples.features())?;
        model.net.encode_sparse(engine, &samples, &mut codes)?;
        for (at, &sample) in numbers.iter().enumerate() {
            let (units, activations) = codes.row(at);
            take(sample, units, activations);
        }
    }
    Ok(())
}

/// Adds the codes of some samples: those of the largest activations, and the sum of all other units in the
/// decoder's first layer.
pub fn add_codes(
    engine: &mut Engine,
    (model, code, decoder): (&Model, &Layer, Option<&Decoder>),
    chosen: &[usize],
    (name, arrays): (&str, &mut Arrays),
) -> Result<()> {
    let mut is_kept = vec![false; code.summaries.len()];
    code.kept.iter().for_each(|&unit| is_kept[unit] = true);
    let (mut starts, mut all_units, mut all_activations) = (vec![0u32], Vec::new(), Vec::new());
    let (mut rest, mut has_rest) = (Vec::new(), false);
    for_codes(engine, model, chosen, |_, units, activations| {
        let mut entries: Vec<(u32, f32)> =
            units.iter().copied().zip(activations.iter().copied()).collect();
        let order = |(unit, a): &(u32, f32)| (!is_kept[*unit as usize], -a.abs());
        entries.sort_by(|a, b| order(a).partial_cmp(&order(b)).unwrap_or(a.0.cmp(&b.0)));
        let kept = entries.iter().take(MAX_ENTRIES).filter(|(unit, _)| is_kept[*unit as usize]);
        let kept = kept.count();
        if let Some(decoder) = decoder {
            let start = rest.len();
            rest.resize(start + decoder.width(), 0.0);
            has_rest |= entries.len() > kept;
            let others = entries[kept..].iter().map(|&(unit, a)| (unit as usize, a));
            decoder.add_units(others, &mut rest[start..]);
        }
        for &(unit, activation) in &entries[..kept] {
            all_units.push(unit);
            all_activations.push(activation);
        }
        starts.push(all_units.len() as u32);
    })?;
    arrays.u32(format!("{name}.code.start"), &starts);
    arrays.u32(format!("{name}.code.unit"), &all_units);
    arrays.f32(format!("{name}.code.value"), &all_activations);
    if let Some(decoder) = decoder.filter(|_| has_rest) {
        arrays.ranged_rows(&format!("{name}.rest"), &rest, decoder.width(), None);
    }
    Ok(())
}

/// Adds the numbers of some samples, and of their targets if they have any.
pub fn add_values(
    samples: &Samples,
    chosen: &[usize],
    (name, arrays): (&str, &mut Arrays),
) -> Result<()> {
    for (what, samples) in [("x", Some(samples)), ("y", samples.targets())] {
        let Some(samples) = samples else { continue };
        let values = gathered(samples, chosen)?;
        let range = samples.scaling().is_unit().then_some((0.0, 1.0));
        arrays.ranged_rows(&format!("{name}.{what}"), &values, samples.features(), range);
    }
    Ok(())
}

/// Adds, for each top sample of each unit in full, the unit's activations in the samples around it as shares
/// of its maximum, of 255; 0 where there is no sample.
pub fn add_contexts(
    engine: &mut Engine,
    (model, code, context): (&Model, &Layer, usize),
    (name, arrays): (&str, &mut Arrays),
) -> Result<()> {
    let (count, width) = (model.samples.len(), 2 * context + 1);
    // The places that each sample's activations go to: sample, unit, place.
    let mut wanted = Vec::new();
    for (row, unit) in code.kept().enumerate() {
        for (rank, top) in unit.top.iter().enumerate() {
            for at in 0..width {
                let sample = (top.sample + at).checked_sub(context).filter(|&at| at < count);
                let place = (row * TOP + rank) * width + at;
                wanted.extend(sample.map(|sample| (sample, unit.unit as u32, place)));
            }
        }
    }
    wanted.sort_unstable();
    let mut samples: Vec<usize> = wanted.iter().map(|of| of.0).collect();
    samples.dedup();
    let mut shares = vec![0u8; code.kept.len() * TOP * width];
    let mut rest = &wanted[..];
    for_codes(engine, model, &samples, |sample, units, activations| {
        let (own, others) = rest.split_at(rest.partition_point(|of| of.0 <= sample));
        rest = others;
        for &(_, unit, place) in own {
            let max = code.summaries[unit as usize].max;
            let activation = units.binary_search(&unit).map_or(0.0, |at| activations[at]);
            // The cast makes what is negative or NaN 0.
            shares[place] = (255.0 * activation / max).round() as u8;
        }
    })?;
    arrays.u8(format!("{name}.context"), &shares);
    Ok(())
}
