//! `sae encode`

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use sae::{
    data::{write_idx, write_npy},
    files,
};
use serde_json::json;

use crate::data::DataArgs;
use crate::failure::{Failure, Result, io_error};
use crate::models::ModelArgs;
use crate::output::print;

/// Write the codes of samples: CSV with one sample per line, or an IDX or NumPy file of f32
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae encode sae.safetensors | head -3
  sae encode sae.safetensors --out codes.npy")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: DataArgs,
    /// File to write, its name ending in .csv, .idx or .npy (default: CSV to stdout; with --json the
    /// codes are in the object)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<()> {
    let (mut engine, net) = args.model.load()?;
    let ending = args.out.as_ref().and_then(|out| out.extension()?.to_str());
    if let Some(out) = &args.out {
        if !matches!(ending, Some("csv" | "idx" | "npy")) {
            return Err(Failure::at(out, "expected a name ending in .csv, .idx or .npy"));
        }
        files::check_writable(out)?;
    }
    let (samples, _) = args.data.evaluation_samples(net.scaling())?;
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

fn write_csv(mut out: impl Write, codes: &[f32], units: usize) -> io::Result<()> {
    for code in codes.chunks(units) {
        for (at, value) in code.iter().enumerate() {
            write!(out, "{}{value}", if at == 0 { "" } else { "," })?;
        }
        writeln!(out)?;
    }
    out.flush()
}
