//! A model's own data, which the record beside it names.

use std::path::Path;

use sae::{Autoencoder, data::HeldOut};

use super::opened::Opened;
use super::place::{self, Note, Place, Side};
use super::sides::labels_of_side;
use crate::failure::{Failure, Result};
use crate::output::counted;

/// Where a model's own data are.
pub fn own_note(model: &Path) -> Result<Note> {
    Place::of_model(model)?.ok_or_else(|| unknown_data(model))
}

/// The failure for a model without a record that says where its data are.
pub fn unknown_data(model: &Path) -> Failure {
    let beside = place::path_of(model);
    let problem = format!(
        "where the model's data are is not known, for there is no {} beside it",
        beside.file_name().unwrap_or_default().display()
    );
    Failure::at(model, problem).hint("give data, with --data DIR or --samples FILE")
}

/// A model's own training samples, all of them, after a check that they are those.
pub fn own_training_samples(
    model: &Path,
    net: &Autoencoder,
    place: &Place,
    copy: bool,
) -> Result<Opened> {
    let opened = place.train(copy, true).map_err(|failure| place::moved(failure, model))?;
    let with_targets = place.with_targets(opened, Side::Training, copy);
    let opened = with_targets.map_err(|failure| place::moved(failure, model))?;
    if let Some(data) = net.training_data()
        && !data.is_of(&opened.samples)?
    {
        let (name, count) = (opened.name.display(), counted(data.samples(), "sample"));
        let problem = format!("it was trained on {count}, and now {name} has others");
        let hint = "give data, with --data DIR or --samples FILE";
        return Err(Failure::at(model, problem).hint(hint));
    }
    Ok(opened)
}

/// A model's own samples of one side, or its training samples where it has no test samples.
///
/// They are with or without targets. Where some were held out also which, and of how many.
pub fn own_side(
    model: &Path,
    net: &Autoencoder,
    copy: bool,
    with_targets: bool,
    side: Side,
) -> Result<(Opened, Option<(HeldOut, usize)>)> {
    let Note { mut place, test: noted } = own_note(model)?;
    place.targets = place.targets.filter(|_| with_targets);
    let mut all = own_training_samples(model, net, &place, copy)?;
    if let Some(held_out) = net.training_data().and_then(|data| data.held_out()) {
        let count = all.samples.len();
        let (left, held) = all.samples.hold_out(held_out)?;
        all.samples = if side == Side::Training { left } else { held };
        if let Some(labels) = &mut all.labels {
            labels.values = labels_of_side(std::mem::take(&mut labels.values), held_out, side)?;
        }
        return Ok((all, Some((held_out, count))));
    }
    if side == Side::Training {
        return Ok((all, None));
    }
    let Some(noted) = noted else { return Ok((all, None)) };
    let test = place.test(copy).map_err(|failure| place::moved(failure, model))?;
    let test = test.map(|test| place.with_targets(test, Side::Test, copy)).transpose()?;
    match test {
        Some(test) if noted.is_of(&test.samples)? => Ok((test, None)),
        test => {
            let have = match test {
                Some(test) => format!("now {} has others", test.name.display()),
                None => "they are there no more".to_owned(),
            };
            let problem = format!(
                "it was trained with {}, and {have}",
                counted(noted.samples(), "test sample")
            );
            let hint = "give data, with --data DIR or --samples FILE";
            Err(Failure::at(model, problem).hint(hint))
        }
    }
}
