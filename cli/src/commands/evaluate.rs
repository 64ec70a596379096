//! `sae eval`

use std::io::{self, Write};
use std::path::PathBuf;

use sae::{
    Autoencoder, Engine,
    analysis::{Labeled, Probe},
};
use serde_json::json;

use crate::data::DataArgs;
use crate::failure::Result;
use crate::output::{engine, evaluation_json, print_evaluation};

/// Evaluate a model: its objective with the terms, and the mean activations
///
/// A folder's test samples are taken where it has some.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae eval sae.safetensors
  sae eval sae.safetensors --probe
  sae eval sae.safetensors --json")]
pub struct Args {
    /// Model file
    model: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// How well labels can be read from codes, by a linear map and by the nearest training sample;
    /// the folder has MNIST's labels
    #[arg(long)]
    probe: bool,
    /// Threads (default: all cores)
    #[arg(long)]
    threads: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let mut engine = engine(args.threads)?;
    let net = Autoencoder::load(&args.model)?;
    let (samples, path) = args.data.trial(net.scaling())?;
    let evaluation = net.evaluate(&mut engine, &samples)?;
    let probe = match args.probe {
        true => Some(read_labels(&args, &net, &mut engine)?),
        false => None,
    };
    let mut out = io::stdout().lock();
    if args.json {
        let mut value = evaluation_json(&net, &evaluation);
        if let Some(Probe { linear, nearest, .. }) = probe {
            value["probe"] = json!({"linear": linear, "nearest": nearest});
        }
        value["samples"] = json!(samples.len());
        value["images"] = json!(path);
        writeln!(out, "{value}")?;
        return Ok(());
    }
    writeln!(out, "{} samples of {}", samples.len(), path.display())?;
    print_evaluation(&mut out, "objective", &net, &evaluation, true)?;
    if let Some(Probe { linear, nearest, .. }) = probe {
        let [linear, nearest] = [linear, nearest].map(|share| 100.0 * share);
        writeln!(
            out,
            "labels read from codes: {linear:.2} % linearly, {nearest:.2} % by the nearest"
        )?;
    }
    Ok(())
}

fn read_labels(args: &Args, net: &Autoencoder, engine: &mut Engine) -> Result<Probe> {
    let [train, test] = args.data.labelled(net.scaling())?;
    let codes = [net.encode(engine, &train.0)?, net.encode(engine, &test.0)?];
    let [training, test] = [(&codes[0], &train.1), (&codes[1], &test.1)]
        .map(|(codes, labels)| Labeled { codes, labels });
    Ok(sae::analysis::probe(engine, net.settings().code_units(), training, test)?)
}
