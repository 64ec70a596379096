//! `sae convert`

mod labels;
mod pictures;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sae::{
    Autoencoder, Error,
    data::{Array, ElementType, RowWriter},
    files::{self, Part},
};
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::inspect::looks_like_a_model;
use crate::interrupt;
use crate::output::{answer, note};
use labels::Labels;

/// Convert data between IDX, NumPy and PNGs, and a model to ONNX
///
/// What FROM is, its content says: an IDX file (packed with gzip, too), a NumPy file, a folder of
/// PNGs or a model. What TO becomes, the end of its name says: .idx or ubyte, .npy, .onnx, or none
/// for a folder of PNGs. Numbers keep their type; a file TO that is there is replaced.
///
/// A folder's PNGs must be of one size. They are sorted by name, numbers in names by their value: 2
/// before 10. Colours become grey by (299 red + 587 green + 114 blue) / 1000, rounded; of 16 bits
/// the upper 8 are taken. If the folder has sub-folders instead, their PNGs follow each other in the
/// same order of names, and --labels writes the number of each PNG's sub-folder, from 0.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae make-digits digits
  sae convert digits/t10k-images-idx3-ubyte test.npy
  sae convert digits/t10k-images-idx3-ubyte pictures
  sae convert pictures test.idx
  sae train --data digits --steps 500 && sae convert sae.safetensors sae.onnx")]
pub struct Args {
    /// File or folder to read
    from: PathBuf,
    /// File or folder to write; a folder must be new or empty
    to: PathBuf,
    /// What to write, whatever the name of TO
    #[arg(long = "to", value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    /// What of a model is written (default: autoencoder). Its input is `features`, scaled as in
    /// training, or a decoder's `code`; its outputs are `code` and `reconstruction`
    #[arg(long, value_enum, value_name = "PART")]
    part: Option<PartName>,
    /// File for the labels of a folder of sub-folders, its name ending in .idx, ubyte or .npy
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// An IDX file, as MNIST's are
    Idx,
    /// A NumPy file
    Npy,
    /// A folder of PNGs, one a sample
    Png,
    /// An ONNX file of a model
    Onnx,
}

#[derive(Clone, Copy, ValueEnum)]
enum PartName {
    /// From features to the code
    Encoder,
    /// From the code to the reconstruction
    Decoder,
    /// From features to the reconstruction and the code
    Autoencoder,
}

/// What was done: for a person, and as JSON beside the names.
struct Done {
    text: String,
    value: Value,
}

pub fn run(args: Args) -> Result<()> {
    let source = Source::of(&args)?;
    let kind = match args.kind {
        Some(kind) => kind,
        None => Kind::of(&args.to)?,
    };
    // Pipes have no such place.
    let place = |path: &Path| fs::canonicalize(path).ok();
    if place(&args.from).is_some_and(|from| place(&args.to) == Some(from)) {
        let problem = format!("{}: FROM and TO are the same", args.to.display());
        return Err(Failure::input(problem));
    }
    if args.part.is_some() && source != Source::Model {
        let problem = format!("part: {} is no model", args.from.display());
        return Err(Failure::input(problem).hint("--part is for models that become .onnx files"));
    }
    if args.labels.is_some() && source != Source::Folder {
        let problem = format!("labels: {} is no folder", args.from.display());
        return Err(Failure::input(problem).hint("--labels is for folders of sub-folders"));
    }
    let Done { text, mut value } = match (source, kind) {
        (Source::Model, Kind::Onnx) => model(&args),
        (Source::Model, _) => Err(wrong(&args.to, "a model becomes an .onnx file, nothing else")),
        (_, Kind::Onnx) => {
            let failure = wrong(&args.from, "this is no model");
            Err(failure.hint("an .onnx file is made of a .safetensors file"))
        }
        (Source::Folder, Kind::Png) => {
            Err(wrong(&args.to, "a name ending in .idx, ubyte or .npy was expected"))
        }
        (Source::Folder, kind) => pictures_to_file(&args, kind),
        (Source::Data, Kind::Png) => file_to_pictures(&args),
        (Source::Data, kind) => file_to_file(&args, kind),
    }?;
    value["from"] = json!(args.from);
    value["to"] = json!(args.to);
    answer(args.json, value, &text)
}

/// A sentence about a path.
fn wrong(path: &Path, problem: &str) -> Failure {
    Failure::input(format!("{}: {problem}", path.display()))
}

/// Work that takes back what is half written when [`go_on`] tells it that an end is asked for.
fn whole<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    interrupt::begin();
    let done = work();
    match interrupt::end() {
        Some(signal) if done.is_err() => Err(Failure::interrupted(signal)),
        _ => done,
    }
}

/// Fails if an end is asked for.
fn go_on() -> Result<()> {
    if interrupt::asked() { Err(Failure::interrupted(2)) } else { Ok(()) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Folder,
    Model,
    /// An IDX or NumPy file, or what its reader refuses.
    Data,
}

impl Source {
    fn of(args: &Args) -> Result<Self> {
        let path = &args.from;
        let metadata = fs::metadata(path).map_err(|source| {
            let failure = Failure::from(Error::Io { action: "open", path: path.clone(), source });
            match args.to.exists() {
                true => failure.hint(format!("{} is there; FROM comes first", args.to.display())),
                false => failure,
            }
        })?;
        if metadata.is_dir() {
            return Ok(Source::Folder);
        }
        if looks_like_a_model(path) {
            return Ok(Source::Model);
        }
        let mut start = Vec::new();
        // Only of a regular file: what is read from a pipe is gone.
        if metadata.is_file() {
            let file = File::open(path).and_then(|file| file.take(8).read_to_end(&mut start));
            file.map_err(|source| Error::Io { action: "read", path: path.clone(), source })?;
        }
        if start.starts_with(b"\x89PNG") {
            let failure = wrong(path, "this is one PNG; a folder of PNGs was expected");
            return Err(failure.hint("put it into a folder and name that"));
        }
        if path.extension().is_some_and(|ending| ending == "onnx") {
            return Err(wrong(path, "ONNX files are written, not read").hint("FROM comes first"));
        }
        Ok(Source::Data)
    }
}

impl Kind {
    fn of(to: &Path) -> Result<Self> {
        let name = to.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        match ending {
            _ if to.is_dir() => Ok(Kind::Png),
            _ if name.ends_with("ubyte") => Ok(Kind::Idx),
            "idx" => Ok(Kind::Idx),
            "npy" => Ok(Kind::Npy),
            "onnx" => Ok(Kind::Onnx),
            "" => Ok(Kind::Png),
            "gz" => Err(wrong(to, "packed files are read, not written")),
            "png" => Err(wrong(to, "PNGs go into a folder; its name was expected")),
            "safetensors" => {
                let failure = wrong(to, "models of sae are read, not written");
                Err(failure.hint("FROM comes first; a model becomes an .onnx file"))
            }
            _ => {
                let expected = "a name ending in .idx, ubyte, .npy or .onnx, or a folder's without \
                                an ending, was expected";
                Err(wrong(to, expected).hint("--to KIND decides whatever the name"))
            }
        }
    }

    /// Begins a file of numbers.
    fn begin(self, path: &Path, kind: ElementType, dims: &[usize]) -> sae::Result<RowWriter> {
        match self {
            Kind::Npy => RowWriter::npy(path, kind, dims),
            _ => RowWriter::idx(path, kind, dims),
        }
    }
}

/// What a file of numbers holds.
fn written(path: &Path, kind: ElementType, dims: &[usize]) -> Done {
    let shown: Vec<_> = dims.iter().map(usize::to_string).collect();
    Done {
        text: format!("{} of {kind}: {}", shown.join(" x "), path.display()),
        value: json!({"type": kind.to_string(), "dims": dims}),
    }
}

fn model(args: &Args) -> Result<Done> {
    let net = Autoencoder::load(&args.from)?;
    let part = match args.part {
        Some(PartName::Encoder) => Part::Encoder,
        Some(PartName::Decoder) => Part::Decoder,
        Some(PartName::Autoencoder) | None => Part::Autoencoder,
    };
    net.save_onnx(&args.to, part)?;
    let (features, units) = (net.settings().layers[0], net.settings().code_units());
    let features = |name| (name, features);
    let (input, outputs) = match part {
        Part::Encoder => (features("features"), vec![("code", units)]),
        Part::Decoder => (("code", units), vec![features("reconstruction")]),
        Part::Autoencoder => {
            (features("features"), vec![features("reconstruction"), ("code", units)])
        }
    };
    let shown = |(name, width): &(&str, usize)| format!("{name} [samples, {width}]");
    let given: Vec<_> = outputs.iter().map(shown).collect();
    let (name, to) = (part.name(), args.to.display());
    let widths = |values: &[(&str, usize)]| -> Value {
        values.iter().map(|&(name, width)| (name.to_owned(), json!(width))).collect()
    };
    Ok(Done {
        text: format!("{name}, {} to {}: {to}", shown(&input), given.join(" and ")),
        value: json!({"part": name, "inputs": widths(&[input]), "outputs": widths(&outputs)}),
    })
}

fn file_to_file(args: &Args, kind: Kind) -> Result<Done> {
    files::check_writable(&args.to)?;
    let array = Array::open(&args.from)?;
    let write = |path: &Path| -> Result<()> {
        let mut out = kind.begin(path, array.element_type(), array.dims())?;
        for row in 0..array.samples() {
            go_on()?;
            out.copy(&array, row)?;
        }
        Ok(out.finish()?)
    };
    whole(|| files::replace(&args.to, write))?;
    Ok(written(&args.to, array.element_type(), array.dims()))
}

fn file_to_pictures(args: &Args) -> Result<Done> {
    let array = Array::open(&args.from)?;
    let (rows, cols) = pictures::write(&args.to, &array)?;
    let (count, to) = (array.samples(), args.to.display());
    Ok(Done {
        text: format!("{count} PNGs of {rows} x {cols}: {to}"),
        value: json!({"type": "png", "dims": [count, rows, cols]}),
    })
}

fn pictures_to_file(args: &Args, kind: Kind) -> Result<Done> {
    files::check_writable(&args.to)?;
    let folder = pictures::Folder::list(&args.from)?;
    let labels = Labels::of(args.labels.as_deref(), &args.to, &folder)?;
    if folder.left_out > 0 {
        let others = folder.left_out;
        note(&format!("left out: {others} files whose names do not end in .png"));
    }
    if labels.is_none() && !folder.classes.is_empty() {
        note("the sub-folders' labels are not written; --labels FILE does");
    }
    let size = pictures::size(&folder.files[0])?;
    let dims = [folder.files.len(), size.0, size.1];
    let write = |path: &Path| -> Result<()> {
        let mut out = kind.begin(path, ElementType::U8, &dims)?;
        for file in &folder.files {
            go_on()?;
            out.write(&pictures::read(file, size, &folder.files[0])?)?;
        }
        out.finish()?;
        // Both are there, or neither.
        labels.as_ref().map_or(Ok(()), |labels| labels.write(&folder))
    };
    whole(|| files::replace(&args.to, write))?;
    let mut done = written(&args.to, ElementType::U8, &dims);
    done.value["left_out"] = json!(folder.left_out);
    if let Some(labels) = labels {
        labels.tell(&folder, &mut done);
    }
    Ok(done)
}
