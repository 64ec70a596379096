//! `sae eval`

use std::path::PathBuf;

use sae::{
    Autoencoder, Engine,
    analysis::{Labeled, Probe},
};
use serde_json::json;

use crate::data::{DataArgs, TargetArgs};
use crate::failure::Result;
use crate::models::ModelArgs;
use crate::output::{counted, evaluation_json, evaluation_text, plain, print, readable, short};

/// Evaluate a model: the objective with its terms, and the activity of the hidden layers
///
/// Without options for data these are the test samples of the model's training, which has noted where they
/// are in a file beside the model. Of a folder with MNIST's files it takes the test samples.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae train --steps 500 && sae eval
  sae eval runs/1/model.safetensors --probe
  sae eval --json")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    targets: TargetArgs,
    /// Also measure how well labels can be predicted from codes, by a linear classifier and by the
    /// nearest training sample; needs the labels of a folder with MNIST's files, --labels or
    /// --label-column
    #[arg(long)]
    probe: bool,
    /// Also measure how redundant the dictionary is: of each unit the largest cosine of its decoder row
    /// with another's, for a decoder of one layer; takes a time proportional to the square of the units
    #[arg(long)]
    redundancy: bool,
    /// Labels for --probe of --samples, or else of all samples of the training: an IDX or NumPy file of any
    /// type of whole number. Its test samples are those that the training has held out, or of --samples a
    /// seventh, drawn at random
    #[arg(long, value_name = "FILE", requires = "probe")]
    labels: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<()> {
    let (mut engine, net) = args.model.load()?;
    let (samples, path) = args.data.evaluation_pairs(&args.targets, &args.model.path, &net)?;
    let evaluation = net.evaluate(&mut engine, &samples)?;
    let mut value = evaluation_json(&net, &evaluation);
    value["explained_variance_per_feature"] = json!(evaluation.explained_variance_per_feature);
    value["samples"] = json!(samples.len());
    value["images"] = json!(readable(&path));
    let mut text = format!("{} of {}\n", counted(samples.len(), "sample"), path.display());
    text += &evaluation_text("objective", &net, &evaluation, true);
    if args.redundancy {
        let nearest = net.redundancy(&mut engine)?;
        let (mean, largest) = (nearest.mean(), nearest.largest());
        let units = largest.map(|(unit, _)| [unit, nearest.units[unit]]);
        let max = largest.map(|(_, cosine)| plain(cosine));
        value["redundancy"] = json!({"mean": mean, "max": max, "units": units});
        text += &match (max, units) {
            (Some(max), Some([unit, other])) => format!(
                "redundancy: the largest cosine of a unit with another has the mean {} and at most {} \
                 (units {unit} and {other})\n",
                short(mean),
                short(max)
            ),
            _ => "redundancy: none, the code has one unit\n".into(),
        };
    }
    if args.probe {
        let Probe { linear, nearest, .. } = probe(&args, &net, &mut engine)?;
        value["probe"] = json!({"linear": linear, "nearest": nearest});
        let [linear, nearest] = [linear, nearest].map(|share| 100.0 * share);
        text += &format!(
            "labels predicted from codes: {linear:.2} % by a linear classifier, {nearest:.2} % by \
             the nearest training sample"
        );
    }
    print(args.model.run.json, &value, &text)
}

fn probe(args: &Args, net: &Autoencoder, engine: &mut Engine) -> Result<Probe> {
    let [train, test] = args.data.labeled(args.labels.as_deref(), &args.model.path, net)?;
    let codes = [net.encode(engine, &train.0)?, net.encode(engine, &test.0)?];
    let [training, test] = [(&codes[0], &train.1), (&codes[1], &test.1)]
        .map(|(codes, labels)| Labeled { codes, labels });
    Ok(sae::analysis::probe(engine, net.settings().code_units(), training, test)?)
}
