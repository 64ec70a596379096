//! `sae encode`

mod rows;

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use sae::{Autoencoder, Engine, files, network::SparseCodes};
use serde_json::{Value, json};

use crate::data::{ChoiceArgs, Chosen, Labels};
use crate::endings::{check_ending, ending_of};
use crate::failure::{Failure, Result, io_error};
use crate::interrupt;
use crate::models::{ModelArgs, hidden_layer};
use crate::output::{counted, plain, print, readable};
use crate::outputs::{OverwriteArgs, make_folders};
use crate::sparse_files::{self, Format};
use rows::{Column, Csv, Numbers, Rows};

/// Write the codes of samples: CSV with one sample per line, an IDX or NumPy file of f32, or a sparse
/// matrix
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae encode sae.safetensors | head -3
  sae encode sae.safetensors --out codes.npy
  sae encode sae.safetensors --header --columns index,label --out codes.csv
  sae encode sae.safetensors --layer 1 --split train --out first.npy
  sae train --code top-k:20 --preset plain --layers 784,1024,784 --out sparse.safetensors
  sae encode sparse.safetensors --sparse --out codes.npz   # scipy.sparse.load_npz(\"codes.npz\")")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: ChoiceArgs,
    /// Hidden layer whose activations are written, from 1 [default: the code]
    #[arg(long, value_name = "LAYER")]
    layer: Option<usize>,
    /// CSV: begin with a line of names, the columns' and unit_0, unit_1, ...
    #[arg(long)]
    header: bool,
    /// CSV: columns before the units, such as index,label: the sample's number from 0 in the order of the
    /// files, and its label
    #[arg(long, value_name = "COLUMNS", value_enum, value_delimiter = ',')]
    columns: Vec<Column>,
    /// Labels for the column, whole numbers from 0 to 255: an IDX or NumPy file [default: those of a folder
    /// with MNIST's files, of sub-folders of PNGs, or of --label-column]
    #[arg(long, value_name = "FILE", requires = "columns")]
    labels: Option<PathBuf>,
    /// File to write, its name ending in .csv, .idx or .npy [default: CSV to stdout; with --json the
    /// codes are in the object]; with --sparse in .npz or .safetensors
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// Write only what is not 0, as a matrix in CSR format: SciPy's .npz, or safetensors with the tensors
    /// indptr, indices and values, and the shape in the metadata
    #[arg(long, requires = "out")]
    sparse: bool,
}

/// Activations of sparse codes that are in memory at a time, if none is 0.
const BLOCK: usize = 1 << 22;

pub fn run(args: Args) -> Result<()> {
    let (mut engine, net) = args.model.load()?;
    let layer = hidden_layer(args.layer, net.settings())?;
    check(&args, layer, &net)?;
    let chosen = args.data.choose(&args.model.path, &net)?;
    args.out.as_ref().map_or(Ok(()), |out| make_folders(&[out]))?;
    if let (true, Some(out)) = (args.sparse, &args.out) {
        chosen.note_held_out();
        return write_sparse(&args, out, (&mut engine, &net), &chosen);
    }
    let labels = labels(&args, &chosen)?;
    chosen.note_held_out();
    let (samples, units) = (chosen.samples.len(), net.settings().layers[layer + 1]);
    let mut rows = Rows { net: &net, engine: &mut engine, samples: &chosen.samples, layer };
    let check = if args.out.is_some() { interrupt::check } else { || Ok(()) };
    let (columns, labels) = (&args.columns[..], labels.as_ref());
    let csv = Csv { chosen: &chosen, columns, labels, units, check };
    let Some(out) = &args.out else {
        if args.model.run.json {
            let mut codes = Vec::with_capacity(samples);
            rows.each(|code| {
                codes.push(code.iter().map(|&number| json!(plain(number))).collect::<Value>());
                Ok(())
            })?;
            let value = json!({"samples": samples, "units": units, "codes": codes});
            return print(true, &value, "");
        }
        let stdout = BufWriter::new(io::stdout().lock());
        return csv.write(stdout, args.header, &mut rows, &|error| error.into());
    };
    let wrong = |error| Failure::from(io_error("write", out)(error));
    interrupt::interruptible(|| {
        files::replace(out, |path| match ending_of(out).as_str() {
            "csv" => {
                let file = BufWriter::new(File::create(path).map_err(wrong)?);
                csv.write(file, args.header, &mut rows, &wrong)
            }
            ending => {
                Numbers { is_npy: ending == "npy", dims: [samples, units] }.write(path, &mut rows)
            }
        })
    })?;
    let value = json!({"out": readable(out), "samples": samples, "units": units});
    let is_code = layer + 1 == net.settings().encoder_layers();
    let what = if is_code { "code" } else { "activation vector" };
    let (rows, units) = (counted(samples, what), counted(units, "unit"));
    let line = format!("{rows} of {units}: {}", out.display());
    print(args.model.run.json, &value, &line)
}

/// Fails if options do not fit each other, or the file cannot be written.
fn check(args: &Args, layer: usize, net: &Autoencoder) -> Result<()> {
    let is_csv = match &args.out {
        Some(out) => ending_of(out) == "csv",
        None => !args.model.run.json,
    };
    let for_csv = [("header", args.header), ("columns", !args.columns.is_empty())];
    if let Some((name, _)) = for_csv.iter().find(|(_, given)| *given && !is_csv) {
        return Err(Failure::input(format!("{name}: only CSV has it"))
            .hint("write to a name ending in .csv, or without --out and --json"));
    }
    if args.labels.is_some() && !args.columns.contains(&Column::Label) {
        let problem = "labels: they are for the column of labels, which is not asked for";
        return Err(Failure::input(problem).hint("--columns label"));
    }
    if args.sparse && layer + 1 != net.settings().encoder_layers() {
        let problem = "sparse: it is for the code, and --layer names another layer";
        return Err(Failure::input(problem).hint("leave --sparse out"));
    }
    let Some(out) = &args.out else { return Ok(()) };
    let mut inputs = args.data.data.inputs(&[&args.model.path])?;
    inputs.extend(args.labels.clone());
    args.overwrite.check_all(&[out], &inputs)?;
    match (args.sparse, Format::of(out)) {
        (true, Some(_)) => {}
        (true, None) => {
            let problem = "expected a name ending in .npz or .safetensors with --sparse";
            return Err(Failure::at(out, problem));
        }
        (false, format) => {
            check_ending(out, &["csv", "idx", "npy"]).map_err(|failure| match format {
                Some(_) => failure.hint("--sparse writes .npz and .safetensors"),
                None => failure,
            })?
        }
    }
    Ok(())
}

/// The labels for the column, if it is asked for.
fn labels(args: &Args, chosen: &Chosen) -> Result<Option<Labels>> {
    if !args.columns.contains(&Column::Label) {
        return Ok(None);
    }
    let labels = chosen.labels(args.labels.as_deref())?;
    labels.map(Some).ok_or_else(|| {
        Failure::at(&chosen.name, "no labels are given for these samples")
            .hint("--labels FILE, --label-column of CSV files, or a folder with MNIST's files")
    })
}

fn write_sparse(
    args: &Args,
    out: &Path,
    (engine, net): (&mut Engine, &Autoencoder),
    chosen: &Chosen,
) -> Result<()> {
    let Some(format) = Format::of(out) else { return Ok(()) };
    let units = net.settings().code_units();
    let block = (BLOCK / units).clamp(256, BLOCK);
    let mut codes = SparseCodes::default();
    let mut fill = |add: &mut dyn FnMut(&SparseCodes) -> Result<()>| {
        let samples = &chosen.samples;
        for start in (0..samples.len()).step_by(block) {
            interrupt::check()?;
            // Always of all samples: a part of a part of a part would be slow.
            let end = (start + block).min(samples.len());
            let head = if end < samples.len() { samples.split(end)?.0 } else { samples.clone() };
            let next = if start > 0 { head.split(start)?.1 } else { head };
            net.encode_sparse(engine, &next, &mut codes)?;
            add(&codes)?;
        }
        Ok(())
    };
    let mut written = (0, 0);
    interrupt::interruptible(|| {
        files::replace(out, |path| {
            written = sparse_files::write(path, format, units, &mut fill)?;
            Ok::<(), Failure>(())
        })
    })?;
    let (samples, entries) = written;
    let value =
        json!({"out": readable(out), "samples": samples, "units": units, "entries": entries});
    let (codes, units) = (counted(samples, "code"), counted(units, "unit"));
    let line = format!("{codes} of {units}, {entries} not 0: {}", out.display());
    print(args.model.run.json, &value, &line)
}
