//! The options that name data, and the samples in these files.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sae::{
    Samples, Scaling,
    data::{Array, ElementType},
};

use crate::digits;
use crate::failure::{Failure, Result, io_error};
use crate::output::note;

/// The options that name data; without them it is the drawn digits.
#[derive(clap::Args, Clone)]
pub struct DataArgs {
    /// Folder with MNIST's files, train-images-idx3-ubyte and t10k-images-idx3-ubyte, plain or .gz
    /// (default: digits that the program draws once into the cache folder)
    #[arg(long, value_name = "DIR", conflicts_with = "samples")]
    data: Option<PathBuf>,
    /// IDX file (plain or .gz) or NumPy file of samples
    #[arg(long, value_name = "FILE", visible_alias = "images")]
    samples: Option<PathBuf>,
    /// Read the data into memory instead of mapping the file, in case it changes meanwhile
    #[arg(long)]
    pub copy: bool,
}

/// The options of training data.
#[derive(clap::Args, Clone)]
pub struct TrainingDataArgs {
    #[command(flatten)]
    data: DataArgs,
    /// File of test samples
    #[arg(long, value_name = "FILE", requires = "samples")]
    test: Option<PathBuf>,
    /// Without a test file: keep the last N samples as test samples (default: a seventh)
    #[arg(long, value_name = "N", conflicts_with = "test")]
    holdout: Option<usize>,
    /// How the numbers of a file become features (default: byte for bytes; required for other types)
    #[arg(long, value_enum, value_name = "NAME")]
    scaling: Option<ScalingName>,
}

impl TrainingDataArgs {
    /// The same options for one rank of a sharded training; None for a training that is not.
    pub fn of_rank(&self, rank: Option<usize>) -> Result<Self> {
        let mut own = self.clone();
        let Some(rank) = rank else { return Ok(own) };
        if let Some(ScalingName::MinMax | ScalingName::MeanDeviation) = self.scaling {
            let problem =
                "scaling: min-max and mean-deviation need all data, but a rank has one shard";
            return Err(Failure::input(problem)
                .hint("scale the files beforehand, and give --scaling as-is"));
        }
        let names = [&mut own.data.data, &mut own.data.samples];
        if names.iter().all(|name| name.is_none()) {
            let problem = "--sharded: the shard of each rank must be given";
            return Err(Failure::input(problem).hint("--samples 'part-{rank}.idx', or --data"));
        }
        for path in names.into_iter().flatten() {
            if let Some(name) = path.to_str() {
                *path = name.replace("{rank}", &rank.to_string()).into();
            }
        }
        Ok(own)
    }

    /// The training samples, and the test samples if there are any.
    pub fn samples(&self, quiet: bool) -> Result<(Samples, Option<Samples>)> {
        let (train, test) = self.data.files(self.test.as_deref(), quiet)?;
        let array = open(&train, self.data.copy)?;
        let scaling = fit(&array, self.scaling)?;
        let train = scaled(array, scaling)?;
        let Some(test) = &test else {
            let held_out = self.holdout.unwrap_or(train.len() / 7);
            if held_out == 0 {
                return Ok((train, None));
            }
            let (train, test) = train.split(train.len().saturating_sub(held_out))?;
            if !quiet && self.holdout.is_none() {
                note(&format!(
                    "no test file: the last {} samples are the test samples",
                    test.len()
                ));
            }
            return Ok((train, Some(test)));
        };
        if self.holdout.is_some() {
            let problem = "--holdout is for data without test samples, but there is";
            return Err(Failure::input(format!("holdout: {problem} {}", test.display())));
        }
        let test_samples = scaled(open(test, self.data.copy)?, scaling)?;
        let (have, expected) = (test_samples.features(), train.features());
        if have != expected {
            let problem = format!(
                "the test samples have {have} features; expected {expected}, as in the training \
                 samples"
            );
            return Err(Failure::at(test, problem));
        }
        Ok((train, Some(test_samples)))
    }
}

/// How the numbers of a file become features.
#[derive(Clone, Copy, ValueEnum)]
pub enum ScalingName {
    /// Bytes divided by 255
    Byte,
    /// Unchanged
    AsIs,
    /// Minimum to 0, maximum to 1
    MinMax,
    /// Mean 0, standard deviation 1
    MeanDeviation,
}

impl DataArgs {
    /// The files of the training samples and of the test samples.
    pub fn files(&self, test: Option<&Path>, quiet: bool) -> Result<(PathBuf, Option<PathBuf>)> {
        if let Some(samples) = &self.samples {
            return Ok((samples.clone(), test.map(Path::to_owned)));
        }
        let folder = match &self.data {
            Some(folder) => folder,
            None => &digits::cached(quiet)?,
        };
        let metadata = fs::metadata(folder).map_err(io_error("open", folder))?;
        if !metadata.is_dir() {
            return Err(Failure::at(folder, "expected a folder").hint("--samples takes a file"));
        }
        let train = find(folder, "train-images").ok_or_else(|| {
            let problem = "no train-images-idx3-ubyte or train-images-idx3-ubyte.gz in this folder";
            Failure::at(folder, problem)
        })?;
        Ok((train, find(folder, "t10k-images")))
    }

    /// The training samples with their labels, then the test samples with theirs, from a folder.
    pub fn labeled(&self, scaling: Scaling) -> Result<[(Samples, Vec<u8>); 2]> {
        let (train, test) = self.files(None, false)?;
        let folder = train.parent().unwrap_or(Path::new(""));
        let missing = |name: &str| {
            Failure::at(folder, format!("no {name} in this folder"))
                .hint("labels are read from a folder with MNIST's files: --data DIR")
        };
        if self.samples.is_some() {
            return Err(missing("train-labels-idx1-ubyte that belongs to --samples"));
        }
        let test = test.ok_or_else(|| missing("t10k-images-idx3-ubyte"))?;
        let pair = |images: &Path, name: &str| {
            let samples = scaled(open(images, self.copy)?, scaling)?;
            let path = find(folder, name).ok_or_else(|| missing(&format!("{name}-idx1-ubyte")))?;
            let array = Array::open(&path)?;
            match array.as_u8() {
                Some(labels) if labels.len() == samples.len() => Ok((samples, labels.to_vec())),
                _ => {
                    let count = samples.len();
                    Err(Failure::at(&path, format!("expected {count} labels of type u8")))
                }
            }
        };
        Ok([pair(&train, "train-labels")?, pair(&test, "t10k-labels")?])
    }

    /// The samples that a model is evaluated on, the test samples where there are any, scaled as in
    /// its training; and their file.
    pub fn evaluation_samples(&self, scaling: Scaling) -> Result<(Samples, PathBuf)> {
        let (train, test) = self.files(None, false)?;
        let path = test.unwrap_or(train);
        Ok((scaled(open(&path, self.copy)?, scaling)?, path))
    }
}

/// The file of this name with one of the endings in use for MNIST's files.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let endings = ["-idx3-ubyte", ".idx3-ubyte", "-idx1-ubyte", ".idx1-ubyte"];
    let names = endings.iter().flat_map(|end| ["", ".gz"].map(|gz| format!("{name}{end}{gz}")));
    names.map(|name| folder.join(name)).find(|path| path.exists())
}

/// Opens a file of samples.
pub fn open(path: &Path, copy: bool) -> Result<Array> {
    let array = if copy { Array::read(path)? } else { Array::open(path)? };
    if let [count] = *array.dims() {
        let kind = array.element_type();
        let problem = format!("expected samples of several features, got {count} single {kind}");
        let hint =
            "these look like labels; MNIST's images are in the files with 'images' in the name";
        return Err(Failure::at(path, problem).hint(hint));
    }
    Ok(array)
}

/// The scaling of this name, with what it takes from the data.
fn fit(array: &Array, name: Option<ScalingName>) -> Result<Scaling> {
    match name {
        Some(ScalingName::Byte) => Ok(Scaling::Byte),
        Some(ScalingName::AsIs) => Ok(Scaling::AsIs),
        Some(ScalingName::MinMax) => Ok(Scaling::fit_min_max(array)),
        Some(ScalingName::MeanDeviation) => Ok(Scaling::fit_mean_deviation(array)),
        None if array.element_type() == ElementType::U8 => Ok(Scaling::Byte),
        None => {
            let kind = array.element_type();
            let problem = format!("elements of type {kind} have no default scaling");
            let hint = "choose one: --scaling as-is, min-max or mean-deviation";
            Err(Failure::at(array.path(), problem).hint(hint))
        }
    }
}

/// The samples of a file, scaled.
///
/// # Errors
/// Bytes over 255 of elements that are no bytes.
pub fn scaled(array: Array, scaling: Scaling) -> Result<Samples> {
    if scaling == Scaling::Byte && array.element_type() != ElementType::U8 {
        let kind = array.element_type();
        let problem = format!("elements are {kind}; the scaling (bytes divided by 255) needs u8");
        return Err(Failure::at(array.path(), problem));
    }
    Ok(Samples::new(array, scaling))
}
