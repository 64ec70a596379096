//! `sae train --like MODEL`: the options of the training that is repeated.

use std::fs;
use std::path::Path;

use sae::{Autoencoder, Trainer, files::Course};

use super::args::Args;
use super::recorded::Run;
use super::repeat;
use crate::data::place;
use crate::digits;
use crate::failure::{Failure, Result, io_error};
use crate::models;
use crate::output::{tell, warn};
use crate::ranks;

/// The options of a model's training: those of the record beside it, or else those that its own file has.
pub fn options_of_model(model: &Path) -> Result<Vec<String>> {
    fs::File::open(model).map_err(io_error("open", model))?;
    let run = Run::of(model)?;
    let is_replaced = run.as_ref().is_some_and(|run| run.is_replaced);
    let interruption = run.as_ref().filter(|run| !run.is_replaced).and_then(Run::interruption);
    let (arguments, interruption) = match run.and_then(Run::into_arguments) {
        Some(arguments) => (arguments, interruption),
        None => {
            let net = models::load(model)?;
            let course = Course::of(&net).ok_or_else(|| unknown(model, is_replaced))?;
            (repeat::options(&course, &net, model)?, repeat::interruption(&course))
        }
    };
    if let (Some(interruption), false) = (interruption, ranks::is_other_rank()) {
        let model = model.display();
        tell(&format!("{model} was {interruption}; the whole training is repeated"));
    }
    Ok(arguments)
}

/// The failure for a model of which neither the file nor a record says how it was trained.
fn unknown(model: &Path, is_replaced: bool) -> Failure {
    if is_replaced {
        let problem = "a training that was to replace it has begun, and has not ended: the record \
                       beside it is of that one";
        return Failure::at(model, problem).hint("sae train --resume continues a training");
    }
    let beside = place::path_of(model);
    let name = beside.file_name().unwrap_or_default().display();
    let problem = format!("neither its file nor {name} beside it says how it was trained");
    Failure::at(model, problem).hint("only trainings of this command since version 0.2 note it")
}

/// Whether a training is repeated from the model's file alone, without a record beside it.
fn is_alone(model: &Path) -> Result<bool> {
    Ok(Run::of(model)?.and_then(Run::into_arguments).is_none())
}

/// Fails if the options lack a file that the repeated training needs.
pub fn check(args: &Args) -> Result<()> {
    let Some(model) = args.like.as_deref() else { return Ok(()) };
    if !is_alone(model)? {
        return Ok(());
    }
    let net = models::load(model)?;
    let Some(course) = Course::of(&net) else { return Ok(()) };
    repeat::check_given(&course, &net, model, args)?;
    let is_drawn = net.training_data().is_some_and(digits::may_be);
    if args.data.is_given() || args.from.is_some() || is_drawn {
        return Ok(());
    }
    Err(unknown_data(model))
}

fn unknown_data(model: &Path) -> Failure {
    let record = Run::of(model).ok().flatten();
    let problem = match record.is_some_and(|run| run.is_replaced) {
        true => {
            "a training that was to replace it has begun, and has not ended: the record beside it is of that \
             one, and where its own data are is not known"
        }
        false => "there is no record beside it that says where the data of its training are",
    };
    Failure::at(model, problem).hint("give them: --samples FILE or --data DIR")
}

/// Says so if the data, or the model that the training begins with, are not those of the training that is repeated.
///
/// Fails if the drawn digits, which no option names, are not its data.
pub fn compare(args: &Args, own_course: &Course, trainer: &Trainer, is_rank_0: bool) -> Result<()> {
    let Some(like) = args.like.as_deref().filter(|_| is_rank_0) else { return Ok(()) };
    let (old, own) = (models::load(like)?, trainer.autoencoder());
    if let Some(course) = Course::of(&old) {
        if course.has_test() && !own_course.has_test() && is_alone(like)? {
            let problem = "its training ended by test samples that were no part of its data, and here are none";
            return Err(Failure::at(like, problem).hint("give them: --samples FILE --test FILE"));
        }
        let like = like.display();
        if !course.begins_as(own_course) {
            warn(&format!("the model that it begins with is another than that of {like}"));
        }
        if !course.ends_as(own_course) {
            warn(&format!("the test samples that end it early are others than those of {like}"));
        }
    }
    let data = |net: &Autoencoder| format!("{:?}", net.training_data());
    if data(&old) != data(own) || old.scaling() != own.scaling() {
        if is_alone(like)? && !args.data.is_given() && args.from.is_none() {
            return Err(unknown_data(like));
        }
        warn(&format!(
            "the data, or which of them are held out, are others than those of {}",
            like.display()
        ));
    }
    Ok(())
}
