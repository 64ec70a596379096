//! `sae convert`

mod exchange;
mod formats;
mod png_folder;

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use sae::{
    Autoencoder,
    data::ElementType,
    files::{self, Part, exchange::Metadata},
};
use serde_json::{Value, json};

use crate::data::open_any;
use crate::drawing::png_files::{self, Folder};
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::models;
use crate::output::{self, counted, join, note, print, readable};
use crate::outputs::{OverwriteArgs, check_distinct, check_unread, check_writable, make_folders};
use formats::{Kind, NUMBERS_EXPECTED, Source};

/// Convert data between IDX, NumPy and PNG files, and models to and from other libraries
///
/// The content of FROM decides what it is: an IDX file (also gzip-compressed), a NumPy file, CSV text, a folder
/// of PNGs, a model, or a dictionary of another library. The name of TO decides what is written: .idx or
/// ubyte, .npy, .onnx, .safetensors (a model), or a folder of PNGs: one that is there, or a name that
/// ends in / or has no ending. Numbers keep their
/// type.
///
/// Dictionaries of other libraries are folders of SAELens (cfg.json, sae_weights.safetensors) and sparsify
/// (cfg.json, sae.safetensors) and Gemma Scope's params.npz; --to saelens, --to sparsify and --to
/// gemma-scope write them. Activations and reconstructions are the same there; what a format cannot
/// express is refused. (Those of dictionary_learning are for the Python package.)
///
/// A folder's PNGs must have one size. They are sorted by name, with numbers by value: 2 before 10.
/// Colors become gray, (299 red + 587 green + 114 blue) / 1000, rounded, or with --color stay, as
/// [samples, rows, columns, 3]; of 16 bits the upper 8 are kept. If the folder has sub-folders instead, their PNGs are taken sub-folder by sub-folder, and
/// --labels writes the number of each PNG's sub-folder, from 0.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae make-digits digits
  sae convert digits/t10k-images-idx3-ubyte test.npy
  sae convert digits/t10k-images-idx3-ubyte pictures
  sae convert pictures test.idx
  sae convert pictures color.npy --color
  sae train --data digits --steps 500 --out m.safetensors && sae convert m.safetensors sae.onnx
  sae train --data digits --steps 50 --preset top-k --layers 784,99,784 --out dictionary.safetensors
  sae convert dictionary.safetensors dictionary --to saelens --hook-name blocks.8.hook_resid_pre
  sae convert dictionary imported.safetensors")]
pub struct Args {
    /// File or folder to read
    from: PathBuf,
    /// File or folder to write; a folder must be new or empty
    to: PathBuf,
    /// What to write, whatever the name of TO
    #[arg(long = "to", value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    /// Part of a model to write [default: autoencoder]. An encoder maps `features`, scaled as in
    /// training, to `code`, a decoder `code` to `reconstruction`, an autoencoder `features` to both.
    /// With a scaling for each feature, `unscaled_features` (f64) take the place of `features`
    #[arg(long, value_name = "PART", value_parser = part_parser())]
    part: Option<Part>,
    /// Fold the model's scaling into its weights: features and reconstruction are then the numbers of the
    /// data as they are (for linear outputs; not layer-norm). Other libraries' formats always have it folded
    #[arg(long)]
    fold_scaling: bool,
    /// For SAELens: name of the model whose activations the samples are
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,
    /// For SAELens: their place in it, such as blocks.8.hook_resid_pre
    #[arg(long, value_name = "NAME")]
    hook_name: Option<String>,
    /// For SAELens: the place of a transcoder's targets, such as blocks.8.hook_mlp_out
    #[arg(long, value_name = "NAME")]
    hook_name_out: Option<String>,
    /// Keep the colors of a folder's PNGs: three bytes for each pixel
    #[arg(long)]
    color: bool,
    /// File for the labels of a folder of sub-folders, its name ending in .idx, ubyte or .npy
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Takes the names of the parts.
fn part_parser() -> impl TypedValueParser<Value = Part> {
    let part = |name: String| Part::ALL.into_iter().find(|part| part.name() == name);
    PossibleValuesParser::new(Part::ALL.map(Part::name))
        .map(move |name| part(name).unwrap_or(Part::Autoencoder))
}

/// The result, as text, and as JSON without the names.
struct Done {
    text: String,
    value: Value,
}

pub fn run(args: Args) -> Result<()> {
    let source = Source::of(&args.from, &args.to)?;
    let kind = args.kind.map_or_else(|| Kind::of(&args.to), Ok)?;
    let to = &args.to;
    // Fails for pipes.
    let canonical = |path: &Path| fs::canonicalize(path).ok();
    if canonical(&args.from).is_some_and(|from| canonical(to) == Some(from)) {
        return Err(Failure::at(to, "FROM and TO are the same"));
    }
    check_options(&args, source, kind)?;
    check_outputs(&args)?;
    let Done { text, mut value } = match (source, kind) {
        (Source::Model, Kind::Onnx) => model(&args),
        (Source::Model, kind) if kind.is_of_model() => dictionary(&args, kind),
        (Source::Model, _) => {
            let problem = "a model can only be converted to .onnx, .safetensors or another library";
            Err(Failure::at(to, problem)
                .hint("--to saelens and --to sparsify write folders, --to gemma-scope an .npz file"))
        }
        (_, kind) if kind.is_of_model() => Err(Failure::at(&args.from, "this is not a model")
            .hint("FROM comes first; models are .safetensors files, or dictionaries of other libraries")),
        (Source::Folder, Kind::Png) => Err(Failure::at(to, NUMBERS_EXPECTED)),
        (Source::Folder, kind) => pngs_to_file(&args, kind),
        (Source::Data, Kind::Png) => file_to_pngs(&args),
        (Source::Data, kind) => file_to_file(&args, kind),
    }?;
    value["from"] = json!(readable(&args.from));
    value["to"] = json!(readable(&args.to));
    print(args.json, &value, &text)
}

/// Fails if an option is given that is not for this conversion.
fn check_options(args: &Args, source: Source, kind: Kind) -> Result<()> {
    let from = args.from.display();
    if args.part.is_some() && source != Source::Model {
        let problem = format!("part: {from} is not a model");
        return Err(Failure::input(problem).hint("--part is for converting a model to ONNX"));
    }
    if args.part.is_some() && kind != Kind::Onnx {
        let problem = format!("part: {} gets the whole model", args.to.display());
        return Err(Failure::input(problem).hint("--part is for converting a model to ONNX"));
    }
    if args.fold_scaling && source != Source::Model {
        let problem = format!("fold-scaling: {from} is not a model");
        return Err(
            Failure::input(problem).hint("--fold-scaling is for converting a model to ONNX")
        );
    }
    if args.labels.is_some() && source != Source::Folder {
        let problem = format!("labels: {from} is not a folder");
        return Err(Failure::input(problem).hint("--labels is for folders of sub-folders"));
    }
    if args.color && source != Source::Folder {
        let problem = format!("color: {from} is not a folder of PNGs");
        return Err(Failure::input(problem).hint("--color is for converting PNGs to numbers"));
    }
    let names = [
        ("model-name", &args.model_name),
        ("hook-name", &args.hook_name),
        ("hook-name-out", &args.hook_name_out),
    ];
    if let Some((name, _)) = names.iter().find(|(_, name)| name.is_some())
        && kind != Kind::SaeLens
    {
        let problem = format!("{name}: {} has no place for it", args.to.display());
        return Err(Failure::input(problem).hint("it is for folders of SAELens: --to saelens"));
    }
    Ok(())
}

/// Fails if a file to write is there, is read, or is named twice.
fn check_outputs(args: &Args) -> Result<()> {
    let labels = args.labels.as_deref().map(|path| ("labels", path));
    let named: Vec<_> = [("file", &*args.to)].into_iter().chain(labels).collect();
    check_distinct(&named)?;
    let outputs: Vec<&Path> = named.into_iter().map(|(_, path)| path).collect();
    check_unread(&outputs, std::slice::from_ref(&args.from))?;
    args.overwrite.check(&outputs)
}

/// The result of writing a file of numbers.
fn written(path: &Path, kind: ElementType, dims: &[usize]) -> Done {
    Done {
        text: format!("{} of {kind}: {}", join(dims, " x "), path.display()),
        value: json!({"type": kind.to_string(), "dims": dims}),
    }
}

/// The network of FROM, its scaling folded if asked for.
fn load(args: &Args) -> Result<Autoencoder> {
    let net = models::load(&args.from)?;
    if args.fold_scaling { Ok(net.fold_scaling()?) } else { Ok(net) }
}

fn dictionary(args: &Args, kind: Kind) -> Result<Done> {
    let metadata = Metadata {
        model_name: args.model_name.clone(),
        hook_name: args.hook_name.clone(),
        hook_name_out: args.hook_name_out.clone(),
    };
    let (text, value) = exchange::write(&load(args)?, kind, &args.to, &metadata)?;
    Ok(Done { text, value })
}

fn model(args: &Args) -> Result<Done> {
    let net = load(args)?;
    let part = args.part.unwrap_or(Part::Autoencoder);
    make_folders(&[&args.to])?;
    net.save_onnx(&args.to, part)?;
    let code = ("code", net.settings().code_units());
    let layers = &net.settings().layers;
    let (features, reconstruction) =
        (|name| (name, layers[0]), |name| (name, layers[layers.len() - 1]));
    let input = match net.scaling().kind().is_by_feature() {
        true => "unscaled_features",
        false => "features",
    };
    let (input, outputs) = match part {
        Part::Encoder => (features(input), vec![code]),
        Part::Decoder => (code, vec![reconstruction("reconstruction")]),
        Part::Autoencoder => (features(input), vec![reconstruction("reconstruction"), code]),
    };
    let shape = |(name, width): &(&str, usize)| format!("{name} [samples, {width}]");
    let shapes: Vec<_> = outputs.iter().map(shape).collect();
    let (name, to) = (part.name(), args.to.display());
    let widths = |values: &[(&str, usize)]| -> Value {
        values.iter().map(|&(name, width)| (name.to_owned(), json!(width))).collect()
    };
    Ok(Done {
        text: format!("{name}, {} to {}: {to}", shape(&input), shapes.join(" and ")),
        value: json!({"part": name, "inputs": widths(&[input]), "outputs": widths(&outputs)}),
    })
}

fn file_to_file(args: &Args, kind: Kind) -> Result<Done> {
    check_writable(&[&args.to])?;
    let array = open_any(&args.from, false)?;
    let element_type = array.element_type();
    if kind == Kind::Idx && !element_type.is_idx() {
        let problem = format!("IDX has no elements of type {element_type}");
        return Err(
            Failure::at(&args.to, problem).hint("write a NumPy file, its name ending in .npy")
        );
    }
    let write = |path: &Path| -> Result<()> {
        let mut out = kind.begin(path, array.element_type(), array.dims())?;
        for row in 0..array.samples() {
            interrupt::check()?;
            out.copy(&array, row)?;
        }
        Ok(out.finish()?)
    };
    make_folders(&[&args.to])?;
    interrupt::interruptible(|| files::replace(&args.to, write))?;
    Ok(written(&args.to, array.element_type(), array.dims()))
}

fn file_to_pngs(args: &Args) -> Result<Done> {
    let array = open_any(&args.from, false)?;
    make_folders(&[&args.to])?;
    let shape = png_folder::write(&args.to, &array)?;
    let (count, to) = (array.samples(), args.to.display());
    let mut dims = vec![count, shape.rows, shape.columns];
    let mut size = join(&dims[1..], " x ");
    if shape.depth() > 1 {
        dims.push(shape.depth());
        size += " in color";
    }
    Ok(Done {
        text: format!("{} of {size}: {to}", output::counted(count, "PNG")),
        value: json!({"type": "png", "dims": dims}),
    })
}

fn pngs_to_file(args: &Args, kind: Kind) -> Result<Done> {
    check_writable(&[&args.to])?;
    let folder = Folder::list(&args.from)?;
    let labels = match &args.labels {
        Some(path) => Some((path, folder.labels_kind(path)?)),
        None => None,
    };
    if folder.left_out > 0 {
        let files = counted(folder.left_out, "file");
        note(&format!("left out: {files} without a name that ends in .png"));
    }
    if labels.is_none() && !folder.classes.is_empty() {
        note("the labels of the sub-folders are not written; --labels FILE writes them");
    }
    let size = png_files::size(&folder.files[0])?;
    let mut dims = vec![folder.files.len(), size.0, size.1];
    dims.extend(args.color.then_some(3));
    let lose_colors = Cell::new(0);
    let write = |path: &Path| -> Result<()> {
        let mut out = kind.begin(path, ElementType::U8, &dims)?;
        for file in &folder.files {
            interrupt::check()?;
            let (pixels, loses) = png_files::read(file, size, &folder.files[0], args.color)?;
            lose_colors.set(lose_colors.get() + usize::from(loses));
            out.write(&pixels)?;
        }
        out.finish()?;
        // Within the replacement, so that either both files are written or none.
        labels.map_or(Ok(()), |(path, kind)| {
            make_folders(&[path])?;
            folder.write_labels(path, kind)
        })
    };
    make_folders(&[&args.to])?;
    interrupt::interruptible(|| files::replace(&args.to, write))?;
    if lose_colors.get() > 0 {
        let colored = counted(lose_colors.get(), "PNG");
        note(&format!("{colored} in color became gray; --color keeps the colors"));
    }
    let mut done = written(&args.to, ElementType::U8, &dims);
    done.value["left_out"] = json!(folder.left_out);
    if let Some((path, _)) = labels {
        let names: Vec<_> = folder.classes.iter().map(|(name, _)| name.to_string_lossy()).collect();
        let numbered = names.iter().enumerate().map(|(label, name)| format!("{label} {name}"));
        let numbered = numbered.collect::<Vec<_>>().join(", ");
        done.text += &format!("\nlabels {numbered}: {}", path.display());
        done.value["labels"] = json!(readable(path));
        done.value["classes"] = json!(names);
    }
    Ok(done)
}
