//! Finds the data: files that are named, a folder with MNIST's names, or drawn digits.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sae::{
    Error, Samples, Scaling,
    data::{Array, ElementType},
};

use crate::failure::{Failure, Result};
use crate::make_digits;
use crate::output::note;

/// Which data; digits drawn by the program if nothing is named.
#[derive(clap::Args, Clone)]
pub struct DataArgs {
    /// Folder with MNIST's files, train-images-idx3-ubyte and t10k-images-idx3-ubyte, plain or .gz
    /// (default: digits that the program draws, once, into the cache folder)
    #[arg(long, value_name = "DIR", conflicts_with = "images")]
    pub data: Option<PathBuf>,
    /// IDX file of samples, plain or .gz
    #[arg(long, value_name = "FILE")]
    pub images: Option<PathBuf>,
    /// Read the data into memory instead of mapping it, for files that may change meanwhile
    #[arg(long)]
    pub copy: bool,
}

/// The data of a training: what is trained on and what is kept for the test.
#[derive(clap::Args, Clone)]
pub struct TrainingDataArgs {
    #[command(flatten)]
    data: DataArgs,
    /// IDX file of test samples
    #[arg(long, value_name = "FILE", requires = "images")]
    test: Option<PathBuf>,
    /// Where there is no test file, keep the last N samples for the test (default: a seventh)
    #[arg(long, value_name = "N", conflicts_with = "test")]
    holdout: Option<usize>,
    /// How a file's numbers become features (default for bytes: byte)
    #[arg(long, value_enum, value_name = "NAME")]
    scaling: Option<ScalingName>,
}

impl TrainingDataArgs {
    /// The share of a rank, where each has one.
    pub fn of_rank(&self, rank: Option<usize>) -> Result<Self> {
        let mut own = self.clone();
        let Some(rank) = rank else { return Ok(own) };
        if let Some(ScalingName::MinMax | ScalingName::MeanDeviation) = self.scaling {
            let problem =
                "scaling: it is fitted to all data, and with --sharded a rank has a share";
            return Err(Failure::input(problem).hint("scale the files before, and use as-is"));
        }
        let names = [&mut own.data.data, &mut own.data.images];
        if names.iter().all(|name| name.is_none()) {
            let problem = "--sharded: each process's share is to be named";
            return Err(Failure::input(problem).hint("--images 'part-{rank}.idx', or --data"));
        }
        for path in names.into_iter().flatten() {
            if let Some(name) = path.to_str() {
                *path = name.replace("{rank}", &rank.to_string()).into();
            }
        }
        Ok(own)
    }

    /// The training samples, and the test samples if there are some.
    pub fn samples(&self, quiet: bool) -> Result<(Samples, Option<Samples>)> {
        let files = self.data.files(self.test.as_deref(), quiet)?;
        let array = open(&files.train, self.data.copy)?;
        let scaling = fit(&array, self.scaling)?;
        let train = scaled(array, scaling)?;
        if let Some(test) = &files.test {
            if self.holdout.is_some() {
                return Err(Failure::input(format!(
                    "holdout: there is a test file, {}; --holdout is for data without one",
                    test.display()
                )));
            }
            let test = scaled(open(test, self.data.copy)?, scaling)?;
            if test.features() != train.features() {
                return Err(Failure::input(format!(
                    "the training samples have {} features and the test samples {}",
                    train.features(),
                    test.features()
                )));
            }
            return Ok((train, Some(test)));
        }
        let kept = self.holdout.unwrap_or(train.len() / 7);
        if kept == 0 {
            return Ok((train, None));
        }
        let (train, test) = train.split(train.len().saturating_sub(kept))?;
        if !quiet && self.holdout.is_none() {
            note(&format!("no test file: the last {} samples are kept for the test", test.len()));
        }
        Ok((train, Some(test)))
    }
}

/// How a file's numbers become features.
#[derive(Clone, Copy, ValueEnum)]
pub enum ScalingName {
    /// A byte over 255
    Byte,
    /// As they stand
    AsIs,
    /// Least to 0, greatest to 1
    MinMax,
    /// Mean 0, standard deviation 1
    MeanDeviation,
}

/// The training samples' file and the test samples', if there is one.
pub struct Files {
    pub train: PathBuf,
    pub test: Option<PathBuf>,
}

impl DataArgs {
    pub fn files(&self, test: Option<&Path>, quiet: bool) -> Result<Files> {
        if let Some(images) = &self.images {
            return Ok(Files { train: images.clone(), test: test.map(Path::to_owned) });
        }
        let drawn;
        let folder = match &self.data {
            Some(folder) => folder,
            None => {
                drawn = drawn_digits(quiet)?;
                &drawn
            }
        };
        let metadata = fs::metadata(folder).map_err(|source| Error::Io {
            action: "open",
            path: folder.clone(),
            source,
        })?;
        if !metadata.is_dir() {
            let problem = format!("{}: a folder was expected", folder.display());
            return Err(Failure::input(problem).hint("--images takes a file"));
        }
        let train = find(folder, "train-images").ok_or_else(|| {
            Failure::input(format!(
                "{}: no train-images-idx3-ubyte or train-images-idx3-ubyte.gz in this folder",
                folder.display()
            ))
        })?;
        Ok(Files { train, test: find(folder, "t10k-images") })
    }

    /// The training samples with their labels, then the test samples with theirs, from a folder.
    pub fn labelled(&self, scaling: Scaling) -> Result<[(Samples, Vec<u8>); 2]> {
        let files = self.files(None, false)?;
        let folder = files.train.parent().unwrap_or(Path::new(""));
        let missing = |name: &str| {
            let problem = format!("{}: no {name} in this folder", folder.display());
            Failure::input(problem).hint("labels are looked for beside MNIST's images: --data DIR")
        };
        if self.images.is_some() {
            return Err(missing("train-labels-idx1-ubyte that belongs to --images"));
        }
        let test = files.test.ok_or_else(|| missing("t10k-images-idx3-ubyte"))?;
        let pair = |images: &Path, name: &str| {
            let samples = scaled(open(images, self.copy)?, scaling)?;
            let path = find(folder, name).ok_or_else(|| missing(&format!("{name}-idx1-ubyte")))?;
            let array = Array::open(&path)?;
            match array.as_u8() {
                Some(labels) if labels.len() == samples.len() => Ok((samples, labels.to_vec())),
                _ => Err(Failure::input(format!(
                    "{}: {} labels, one byte each, were expected",
                    path.display(),
                    samples.len()
                ))),
            }
        };
        Ok([pair(&files.train, "train-labels")?, pair(&test, "t10k-labels")?])
    }

    /// The samples to try a model on, scaled as it was trained: the test samples where there are
    /// some. And their file.
    pub fn trial(&self, scaling: Scaling) -> Result<(Samples, PathBuf)> {
        let files = self.files(None, false)?;
        let path = files.test.unwrap_or(files.train);
        Ok((scaled(open(&path, self.copy)?, scaling)?, path))
    }
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let endings = [
        "-idx3-ubyte",
        "-idx3-ubyte.gz",
        ".idx3-ubyte",
        ".idx3-ubyte.gz",
        "-idx1-ubyte",
        "-idx1-ubyte.gz",
        ".idx1-ubyte",
        ".idx1-ubyte.gz",
    ];
    endings.map(|ending| folder.join(format!("{name}{ending}"))).into_iter().find(|p| p.exists())
}

/// Opens a file of samples.
pub fn open(path: &Path, copy: bool) -> Result<Array> {
    let array = if copy { Array::read(path)? } else { Array::open(path)? };
    if let [count] = *array.dims() {
        let kind = array.element_type();
        return Err(Failure::input(format!(
            "{}: {count} single {kind} numbers; samples of several features were expected",
            path.display()
        ))
        .hint(
            "these look like labels; MNIST's images are in the files with 'images' in the name",
        ));
    }
    Ok(array)
}

/// The scaling of this name, fitted to a file where it has something to fit.
pub fn fit(array: &Array, name: Option<ScalingName>) -> Result<Scaling> {
    let name = match name {
        Some(name) => name,
        None if array.element_type() == ElementType::U8 => ScalingName::Byte,
        None => {
            let problem = format!(
                "{}: elements are {}, and only u8 has a usual scaling",
                array.path().display(),
                array.element_type()
            );
            let hint = "choose one: --scaling as-is, min-max or mean-deviation";
            return Err(Failure::input(problem).hint(hint));
        }
    };
    Ok(match name {
        ScalingName::Byte => Scaling::Byte,
        ScalingName::AsIs => Scaling::AsIs,
        ScalingName::MinMax => Scaling::fit_min_max(array),
        ScalingName::MeanDeviation => Scaling::fit_mean_deviation(array),
    })
}

/// The samples of a file under a scaling that it can have.
pub fn scaled(array: Array, scaling: Scaling) -> Result<Samples> {
    if scaling == Scaling::Byte && array.element_type() != ElementType::U8 {
        return Err(Failure::input(format!(
            "{}: elements are {}; the scaling, a byte over 255, takes u8",
            array.path().display(),
            array.element_type()
        )));
    }
    Ok(Samples::new(array, scaling))
}

/// The folder of the drawn digits, which are made once.
fn drawn_digits(quiet: bool) -> Result<PathBuf> {
    let cache = dirs::cache_dir().ok_or_else(|| {
        Failure::input("no data is named, and there is no cache folder for drawn digits")
            .hint("name data with --data DIR or --images FILE")
    })?;
    let folder = cache.join("sae").join("digits-v1");
    if folder.is_dir() {
        if !quiet {
            note(&format!("no data named: drawn digits of {}", folder.display()));
        }
        return Ok(folder);
    }
    note(&format!("no data named: drawing 60000 + 10000 digits, once, into {}", folder.display()));
    let wrong = |source| Error::Io { action: "create", path: folder.clone(), source };
    let making = folder.with_file_name(format!("digits-v1.{}.tmp", std::process::id()));
    make_digits::make(&making, 60_000, 10_000, 1)?;
    if let Err(error) = fs::rename(&making, &folder) {
        let _ = fs::remove_dir_all(&making);
        // Another process may have been faster.
        if !folder.is_dir() {
            return Err(wrong(error).into());
        }
    }
    Ok(folder)
}
