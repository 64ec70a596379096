//! `sae encode`

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use sae::{
    Autoencoder,
    data::{write_idx, write_npy},
    files,
};
use serde_json::json;

use crate::data::DataArgs;
use crate::failure::{Failure, Result};
use crate::output::{answer, engine, write_error};

/// Write the codes of samples, one a line, as CSV, or as an IDX file of f32
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae encode sae.safetensors | head -3
  sae encode sae.safetensors --out codes.npy")]
pub struct Args {
    /// Model file
    model: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// File to write, its name ending in .csv, .idx or .npy (default: CSV to stdout)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Threads (default: all cores)
    #[arg(long)]
    threads: Option<usize>,
    /// Print one JSON object, with the codes in it if no file is named
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let mut engine = engine(args.threads)?;
    let net = Autoencoder::load(&args.model)?;
    let ending = args.out.as_ref().and_then(|out| out.extension()?.to_str());
    if let Some(out) = &args.out {
        if !matches!(ending, Some("csv" | "idx" | "npy")) {
            let problem =
                format!("{}: a name ending in .csv, .idx or .npy was expected", out.display());
            return Err(Failure::input(problem));
        }
        files::check_writable(out)?;
    }
    let (samples, _) = args.data.trial(net.scaling())?;
    let codes = net.encode(&mut engine, &samples)?;
    let units = net.settings().code_units();
    let count = samples.len();
    let Some(out) = &args.out else {
        if args.json {
            let codes: Vec<&[f32]> = codes.chunks(units).collect();
            let value = json!({"samples": count, "units": units, "codes": codes});
            return answer(true, value, "");
        }
        csv(BufWriter::new(io::stdout().lock()), &codes, units)?;
        return Ok(());
    };
    files::replace(out, |path| {
        let dims = [samples.len(), units];
        match ending {
            Some("idx") => return write_idx(path, &dims, &codes),
            Some("npy") => return write_npy(path, &dims, &codes),
            _ => {}
        }
        let file = File::create(path).map_err(|e| write_error(path, e))?;
        csv(BufWriter::new(file), &codes, units).map_err(|e| write_error(path, e))
    })?;
    let value = json!({"out": out, "samples": count, "units": units});
    answer(args.json, value, &format!("{count} codes of {units} units: {}", out.display()))
}

fn csv(mut out: impl Write, codes: &[f32], units: usize) -> io::Result<()> {
    for code in codes.chunks(units) {
        for (at, value) in code.iter().enumerate() {
            write!(out, "{}{value}", if at == 0 { "" } else { "," })?;
        }
        writeln!(out)?;
    }
    out.flush()
}
