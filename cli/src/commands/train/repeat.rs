//! The options that repeat a model's training, by what its file says of that.

use std::mem::discriminant;
use std::path::Path;

use sae::{
    Activation, Autoencoder, Preset, Samples, Settings,
    data::{HeldOut, TrainingData},
    files::Course,
};

use super::args::Args;
use crate::digits;
use crate::failure::{Failure, Result};
use crate::recipe;

/// That of a training with these options, of `ranks` processes, that begins with the parameters `from`, and whose test
/// samples are these.
pub fn course(
    args: &Args,
    ranks: usize,
    from: Option<&Autoencoder>,
    test: Option<&Samples>,
) -> Result<Course> {
    let mut course = Course::new(args.steps());
    course.ranks = (ranks > 1).then_some(ranks as u64);
    course.pretrain = args.pretrain;
    course.revive = args.revive;
    course.patience = args.patience.map(u64::from);
    course.evaluate_every = args.patience.map(|_| args.evaluate_every);
    course.scaling_samples = args.data.scaling_samples();
    if let Some(from) = from {
        course = course.begun_with(from);
    }
    if let (Some(_), Some(test)) = (args.patience, test) {
        course = course.ended_by(test)?;
    }
    Ok(course)
}

/// `interrupted after step 130 of 300`, if it was.
pub fn interruption(course: &Course) -> Option<String> {
    let step = course.interrupted?;
    Some(format!("interrupted after step {step} of {}", course.steps))
}

/// The options of `sae train` that repeat the training, but for those that name files.
///
/// Fails if the samples that were held out were drawn by another seed than the settings', which no option has.
pub fn options(course: &Course, net: &Autoencoder, model: &Path) -> Result<Vec<String>> {
    let mut options = vec![option("steps", course.steps)];
    options.extend(options_of_settings(net, course.steps));
    options.extend(numbers(course));
    if !course.has_beginning() {
        options.push(option("scaling", net.scaling().kind().name()));
        let of_targets = net.target_scaling();
        options.extend(of_targets.map(|scaling| option("target-scaling", scaling.kind().name())));
    }
    match net.training_data().and_then(TrainingData::held_out) {
        Some(HeldOut::Last(count)) => options.push(option("holdout-last", count)),
        Some(HeldOut::Random { count, seed }) if seed == net.settings().seed => {
            options.push(option("holdout", count));
        }
        Some(_) => {
            let problem = "its test samples were drawn by another seed than its own, as those of a sweep \
                           over seeds are";
            return Err(Failure::at(model, problem)
                .hint("sae sweep repeats the sweep; sae train with these settings is close"));
        }
        None if course.has_test() => {}
        None => options.push(option("holdout", 0)),
    }
    Ok(options)
}

/// The command to type, with words for the files.
pub fn command(course: &Course, net: &Autoencoder, model: &Path) -> Result<String> {
    let is_drawn = net.training_data().is_some_and(digits::may_be);
    let (has_targets, has_test) = (net.target_scaling().is_some(), course.has_test() && !is_drawn);
    let files = [
        ("samples", !is_drawn),
        ("targets", has_targets),
        ("test", has_test),
        ("test-targets", has_test && has_targets),
        ("from", course.has_beginning()),
    ];
    let files = files.into_iter().filter(|(_, needs)| *needs);
    let files = files.flat_map(|(name, _)| [format!("--{name}"), "FILE".to_owned()]);
    let arguments: Vec<String> = files.chain(options(course, net, model)?).collect();
    let ranks = course.ranks.map(|ranks| format!("mpirun -n {ranks} "));
    Ok(ranks.unwrap_or_default() + &recipe::command(&arguments))
}

/// Fails if the options lack a file that the training needs, of a model without a record beside it.
pub fn check_given(course: &Course, net: &Autoencoder, model: &Path, args: &Args) -> Result<()> {
    let needs = |what: &str, hint: &str| {
        let problem = format!("{what}, and there is no record beside it that says where");
        Err(Failure::at(model, problem).hint(hint))
    };
    if course.has_beginning() && args.from.is_none() {
        return needs("its training began with another model", "give it: --from MODEL");
    }
    if net.target_scaling().is_some() && !args.data.has_targets() {
        return needs("it was trained on samples with targets", "give them: --targets FILE");
    }
    if course.has_test() && args.data.is_given() && !args.data.has_test() {
        return needs(
            "its training ended by test samples that were no part of its data",
            "give them: --test FILE",
        );
    }
    Ok(())
}

/// The options of a course that have numbers.
fn numbers(course: &Course) -> impl Iterator<Item = String> {
    let numbers = [
        ("pretrain", course.pretrain),
        ("revive", course.revive),
        ("patience", course.patience),
        ("evaluate-every", course.evaluate_every),
        ("scaling-samples", course.scaling_samples),
    ];
    numbers.into_iter().filter_map(|(name, number)| Some(option(name, number?)))
}

fn option(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{}={value}", name.replace('_', "-"))
}

/// The options that give a model's settings: a preset, and what differs from it.
fn options_of_settings(net: &Autoencoder, steps: u64) -> Vec<String> {
    let settings = net.settings();
    let of_preset = |preset: Preset| {
        let base = preset.settings(preset.layers(settings.layers[0]), steps);
        // What the command sets by the data.
        let is_sigmoid = net.target_scaling().unwrap_or(net.scaling()).is_unit()
            && base.output_bias != sae::OutputBias::Mean;
        let output_activation = if is_sigmoid { Activation::Sigmoid } else { Activation::Linear };
        let base = Settings { output_activation, ..base };
        let differ = Settings::fields().iter().filter(|it| it.text(&base) != it.text(settings));
        let differ = differ.map(|field| option(field.name, field.text(settings)));
        [option("preset", preset)].into_iter().chain(differ).collect::<Vec<_>>()
    };
    // Of another kind of code a preset's settings would be taken back.
    let is_same_code = |preset: &Preset| {
        let code = preset.settings(settings.layers.clone(), steps).code;
        discriminant(&code) == discriminant(&settings.code)
    };
    let all = Preset::ALL.into_iter().filter(is_same_code).map(of_preset);
    all.min_by_key(Vec::len).unwrap_or_default()
}
