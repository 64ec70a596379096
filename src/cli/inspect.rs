//! `sae inspect`

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sae::{Autoencoder, Idx};

use crate::failure::Result;
use crate::output::short;
use crate::picture::range;

/// Say what an IDX file or a model file holds: types, shapes, ranges
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  sae inspect sae.safetensors")]
pub struct Args {
    /// The file
    file: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    if looks_like_a_model(&args.file) {
        return model(&Autoencoder::load(&args.file)?);
    }
    idx(&Idx::open(&args.file)?)
}

/// A safetensors file: eight bytes of length, then JSON. No IDX file has its ninth byte so with a
/// true length, but for dimensions beyond two thousand million.
pub fn looks_like_a_model(path: &Path) -> bool {
    let named = path.extension().is_some_and(|ending| ending == "safetensors");
    let mut start = [0; 9];
    // Only of a regular file: what is read from a pipe is gone.
    let read = |start: &mut [u8; 9]| File::open(path)?.read_exact(start);
    named || path.is_file() && read(&mut start).is_ok() && start[8] == b'{'
}

fn idx(idx: &Idx) -> Result<()> {
    let mut out = io::stdout().lock();
    let dims: Vec<_> = idx.dims().iter().map(usize::to_string).collect();
    writeln!(out, "IDX file of {}: {}", idx.element_type(), dims.join(" x "))?;
    writeln!(out, "{} samples of {} features", idx.samples(), idx.features())?;
    let mut row = vec![0.0; idx.features()];
    let (mut low, mut high, mut sum) = (f32::INFINITY, f32::NEG_INFINITY, 0.0);
    let (mut zeros, mut odd) = (0u64, 0u64);
    for sample in 0..idx.samples() {
        idx.read_row(sample, &mut row);
        for &value in &row {
            if value.is_finite() {
                (low, high) = (low.min(value), high.max(value));
                sum += f64::from(value);
            } else {
                odd += 1;
            }
            zeros += u64::from(value == 0.0);
        }
    }
    let count = idx.samples() as u64 * idx.features() as u64;
    if odd > 0 {
        writeln!(out, "{odd} numbers are not finite")?;
    }
    if odd < count {
        let mean = short(sum / (count - odd) as f64);
        let share = 100.0 * zeros as f64 / count as f64;
        writeln!(out, "from {low} to {high}, mean {mean}, {share:.1} % zeros")?;
    }
    Ok(())
}

fn model(net: &Autoencoder) -> Result<()> {
    let mut out = io::stdout().lock();
    let settings = net.settings();
    let sizes: Vec<_> = settings.layers.iter().map(usize::to_string).collect();
    writeln!(out, "model {}, {} parameters", sizes.join("-"), net.parameters().len())?;
    writeln!(
        out,
        "activation {}, of the output {}; scaling {:?}",
        settings.activation.name(),
        settings.output_activation.name(),
        net.scaling()
    )?;
    let sae::Settings { rho, beta, lambda, learning_rate, batch, seed, .. } = settings;
    writeln!(out, "rho {rho}, beta {beta:e}, lambda {lambda:e}")?;
    writeln!(out, "learning rate {learning_rate}, batch {batch}, seed {seed}")?;
    for (l, layer) in net.layers().into_iter().enumerate() {
        let (low, high) = range(net.weights(l));
        let (least, most) = range(net.biases(l));
        writeln!(
            out,
            "layer {}: {} x {} weights from {low} to {high}, biases from {least} to {most}",
            l + 1,
            layer.inputs,
            layer.outputs
        )?;
    }
    Ok(())
}
