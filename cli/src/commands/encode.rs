//! `sae encode`

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sae::{
    Autoencoder, Engine, Samples,
    data::{write_idx, write_npy},
    files,
    network::SparseCodes,
};
use serde_json::json;

use crate::data::DataArgs;
use crate::failure::{Failure, Result, io_error};
use crate::models::ModelArgs;
use crate::output::print;
use crate::sparse_files::{self, Format};

/// Write the codes of samples: CSV with one sample per line, an IDX or NumPy file of f32, or a sparse
/// matrix
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae encode sae.safetensors | head -3
  sae encode sae.safetensors --out codes.npy
  sae train --code top-k:20 --preset plain --layers 784,1024,784 --out sparse.safetensors
  sae encode sparse.safetensors --sparse --out codes.npz   # scipy.sparse.load_npz(\"codes.npz\")")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: DataArgs,
    /// File to write, its name ending in .csv, .idx or .npy (default: CSV to stdout; with --json the
    /// codes are in the object); with --sparse in .npz or .safetensors
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write only what is not 0, as a matrix in CSR format: SciPy's .npz, or safetensors with the tensors
    /// indptr, indices and values, and the shape in the metadata
    #[arg(long, requires = "out")]
    sparse: bool,
}

pub fn run(args: Args) -> Result<()> {
    let (mut engine, net) = args.model.load()?;
    if let Some(out) = &args.out {
        args.data.check_output(out, Some(&args.model.path))?;
    }
    if let (true, Some(out)) = (args.sparse, &args.out) {
        let format = check_sparse(out, &args.model.path)?;
        let (samples, _) = args.data.evaluation_samples(&args.model.path, &net)?;
        return write_sparse(&args, out, format, (&mut engine, &net), &samples);
    }
    let ending = args.out.as_ref().and_then(|out| out.extension()?.to_str());
    if let Some(out) = &args.out {
        if !matches!(ending, Some("csv" | "idx" | "npy")) {
            let failure = Failure::at(out, "expected a name ending in .csv, .idx or .npy");
            return Err(match Format::of(out) {
                Some(_) => failure.hint("--sparse writes .npz and .safetensors"),
                None => failure,
            });
        }
        files::check_writable(out)?;
    }
    let (samples, _) = args.data.evaluation_samples(&args.model.path, &net)?;
    let codes = net.encode(&mut engine, &samples)?;
    let (count, units) = (samples.len(), net.settings().code_units());
    let Some(out) = &args.out else {
        if args.model.run.json {
            let codes: Vec<&[f32]> = codes.chunks(units).collect();
            let value = json!({"samples": count, "units": units, "codes": codes});
            return print(true, &value, "");
        }
        write_csv(BufWriter::new(io::stdout().lock()), &codes, units)?;
        return Ok(());
    };
    let dims = [count, units];
    files::replace(out, |path| match ending {
        Some("idx") => write_idx(path, &dims, &codes),
        Some("npy") => write_npy(path, &dims, &codes),
        _ => File::create(path)
            .and_then(|file| write_csv(BufWriter::new(file), &codes, units))
            .map_err(io_error("write", path)),
    })?;
    let value = json!({"out": out, "samples": count, "units": units});
    let line = format!("{count} codes of {units} units: {}", out.display());
    print(args.model.run.json, &value, &line)
}

/// The format of a file of sparse codes, which can be written and is not the model's.
fn check_sparse(out: &Path, model: &Path) -> Result<Format> {
    let format = Format::of(out).ok_or_else(|| {
        Failure::at(out, "expected a name ending in .npz or .safetensors with --sparse")
    })?;
    if out.canonicalize().is_ok_and(|out| model.canonicalize().is_ok_and(|model| model == out)) {
        return Err(Failure::at(out, "this is the model; another name was expected"));
    }
    files::check_writable(out)?;
    Ok(format)
}

fn write_sparse(
    args: &Args,
    out: &Path,
    format: Format,
    (engine, net): (&mut Engine, &Autoencoder),
    samples: &Samples,
) -> Result<()> {
    let mut codes = SparseCodes::default();
    net.encode_sparse(engine, samples, &mut codes)?;
    files::replace(out, |path| sparse_files::write(path, format, &codes))?;
    let (count, units, entries) = (codes.samples(), codes.units, codes.indices.len());
    let value = json!({"out": out, "samples": count, "units": units, "entries": entries});
    let line = format!("{count} codes of {units} units, {entries} not 0: {}", out.display());
    print(args.model.run.json, &value, &line)
}

fn write_csv(mut out: impl Write, codes: &[f32], units: usize) -> io::Result<()> {
    for code in codes.chunks(units) {
        for (at, value) in code.iter().enumerate() {
            write!(out, "{}{value}", if at == 0 { "" } else { "," })?;
        }
        writeln!(out)?;
    }
    out.flush()
}
