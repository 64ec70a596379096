//! The options that name data, and the samples in these files.

use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use sae::{
    Samples, Scaling,
    data::{Array, ElementType, ScalingKind},
};

use crate::digits;
use crate::failure::{Failure, Result, io_error};
use crate::output::{note, short};

/// The options that name data; without them it is the drawn digits.
#[derive(clap::Args, Clone)]
pub struct DataArgs {
    /// Folder with MNIST's files, train-images-idx3-ubyte and t10k-images-idx3-ubyte, plain or .gz
    /// (default: digits that the program draws once into the cache folder)
    #[arg(long, value_name = "DIR", conflicts_with = "samples")]
    data: Option<PathBuf>,
    /// IDX or NumPy file of samples, plain or .gz
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
    #[arg(long, value_name = "NAME", value_parser = scaling_parser())]
    scaling: Option<ScalingKind>,
}

impl TrainingDataArgs {
    /// The same options for one rank of a sharded training; None for a training that is not.
    pub fn of_rank(&self, rank: Option<usize>) -> Result<Self> {
        let mut own = self.clone();
        let Some(rank) = rank else { return Ok(own) };
        if self.scaling.is_some_and(ScalingKind::is_fitted) {
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

    /// The training samples, and the test samples if there are any. `warns` of a scaling that does not
    /// suit the data.
    pub fn samples(&self, quiet: bool, warns: bool) -> Result<(Samples, Option<Samples>)> {
        let (train, test) = self.data.files(self.test.as_deref(), quiet)?;
        let array = open(&train, self.data.copy)?;
        let scaling = fit(&array, self.scaling)?;
        if warns {
            warn_of_spread(&array, &scaling)?;
            warn_of_rounding(&array, &scaling)?;
        }
        let train = Samples::new(array, scaling.clone());
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
        let test_samples = Samples::new(open(test, self.data.copy)?, scaling);
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

/// Takes the names of scalings.
fn scaling_parser() -> impl TypedValueParser<Value = ScalingKind> {
    let value = |kind: ScalingKind| {
        let value = PossibleValue::new(kind.name());
        match kind {
            ScalingKind::Byte => {
                value.help("Bytes, or whole numbers from 0 to 255, divided by 255")
            }
            ScalingKind::AsIs => value.help("Unchanged"),
            ScalingKind::MinMax => {
                value.alias("min-max:all").help("Minimum of all numbers to 0, maximum to 1")
            }
            ScalingKind::MinMaxByFeature => {
                value.help("Minimum of each feature to 0, maximum to 1; constant features to 0")
            }
            ScalingKind::MeanDeviation => value
                .alias("mean-deviation:all")
                .help("Mean 0 and standard deviation 1 of all numbers together"),
            _ => value
                .help("Mean 0 and standard deviation 1 of each feature; constant features to 0"),
        }
    };
    PossibleValuesParser::new(ScalingKind::ALL.map(value))
        .try_map(|name| name.parse::<ScalingKind>())
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
            Failure::at(folder, problem).hint("--samples FILE takes a file of another name")
        })?;
        Ok((train, find(folder, "t10k-images")))
    }

    /// The training samples with their labels, then the test samples with theirs: those of a folder,
    /// or with a file of labels those of `--samples`, of which the last seventh are test samples.
    pub fn labeled(
        &self,
        labels: Option<&Path>,
        scaling: &Scaling,
    ) -> Result<[(Samples, Vec<u8>); 2]> {
        if let Some(samples) = &self.samples {
            let Some(labels) = labels else {
                return Err(Failure::at(samples, "no labels are given for these samples")
                    .hint("--labels FILE, or a folder with MNIST's files: --data DIR"));
            };
            let samples = Samples::new(open(samples, self.copy)?, scaling.clone());
            let mut labels = read_labels(labels, samples.len())?;
            let training = samples.len() - samples.len().div_ceil(7);
            let (train, test) = samples.split(training)?;
            let test_labels = labels.split_off(training);
            note(&format!("the last {} samples are the test samples of the labels", test.len()));
            return Ok([(train, labels), (test, test_labels)]);
        }
        let (train, test) = self.files(None, false)?;
        let folder = match &self.data {
            Some(folder) => folder.as_path(),
            None => train.parent().unwrap_or(Path::new("")),
        };
        let missing = |name: &str| {
            Failure::at(folder, format!("no {name} in this folder"))
                .hint("labels are read from a folder with MNIST's files, or from --labels FILE")
        };
        let test = test.ok_or_else(|| missing("t10k-images-idx3-ubyte"))?;
        let pair = |images: &Path, name: &str| {
            let samples = Samples::new(open(images, self.copy)?, scaling.clone());
            let path = find(folder, name).ok_or_else(|| missing(&format!("{name}-idx1-ubyte")))?;
            let labels = read_labels(&path, samples.len())?;
            Ok::<_, Failure>((samples, labels))
        };
        Ok([pair(&train, "train-labels")?, pair(&test, "t10k-labels")?])
    }

    /// The samples that a model is evaluated on, the test samples where there are any, scaled as in
    /// its training; and their file.
    pub fn evaluation_samples(&self, scaling: Scaling) -> Result<(Samples, PathBuf)> {
        let (train, test) = self.files(None, false)?;
        let path = test.unwrap_or(train);
        Ok((Samples::new(open(&path, self.copy)?, scaling), path))
    }
}

/// The file of this name with one of the endings in use for MNIST's files, in the folder or, as some
/// archives unpack it, in a folder of the file's name.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let endings = ["-idx3-ubyte", ".idx3-ubyte", "-idx1-ubyte", ".idx1-ubyte"];
    let names = endings.iter().flat_map(|end| ["", ".gz"].map(|gz| format!("{name}{end}{gz}")));
    let names: Vec<String> = names.collect();
    // A pipe, too, but no folder.
    let is_file = |path: &PathBuf| path.exists() && !path.is_dir();
    names.iter().map(|name| folder.join(name)).find(is_file).or_else(|| {
        let within = names.iter().flat_map(|outer| names.iter().map(move |name| (outer, name)));
        within.map(|(outer, name)| folder.join(outer).join(name)).find(is_file)
    })
}

/// Opens a file, with a note if there is more in it.
pub fn open_any(path: &Path, copy: bool) -> Result<Array> {
    let array = if copy { Array::read(path)? } else { Array::open(path)? };
    if array.is_followed() {
        let path = path.display();
        note(&format!("note: {path}: the file has several arrays; the first one is taken"));
    }
    Ok(array)
}

/// Opens a file of samples.
pub fn open(path: &Path, copy: bool) -> Result<Array> {
    let array = open_any(path, copy)?;
    if let [count] = *array.dims() {
        let kind = array.element_type();
        let problem = format!("expected samples of several features, got {count} single {kind}");
        let hint =
            "these look like labels; MNIST's images are in the files with 'images' in the name";
        return Err(Failure::at(path, problem).hint(hint));
    }
    Ok(array)
}

/// Labels of any type of whole number, one for each of `count` samples.
fn read_labels(path: &Path, count: usize) -> Result<Vec<u8>> {
    let array = open_any(path, false)?;
    let kind = array.element_type();
    if !kind.is_integer() {
        let problem = format!("expected labels of a type of whole numbers, got {kind}");
        return Err(Failure::at(path, problem).hint("convert them, with .astype(np.uint8)"));
    }
    let (have, width) = (array.samples(), array.features());
    if width != 1 || have != count {
        let got = if width == 1 { have.to_string() } else { format!("{have} x {width}") };
        let problem = format!("expected {count} labels, one for each sample, got {got}");
        return Err(Failure::at(path, problem));
    }
    let mut number = [0.0];
    (0..count)
        .map(|sample| {
            array.read_row_f64(sample, &mut number);
            let [label] = number;
            if (0.0..=255.0).contains(&label) {
                return Ok(label as u8);
            }
            let problem = format!("label {sample} is {label}; expected labels from 0 to 255");
            Err(Failure::at(path, problem).hint("number the classes from 0"))
        })
        .collect()
}

/// The scaling of this kind, with what it takes from the data.
fn fit(array: &Array, kind: Option<ScalingKind>) -> Result<Scaling> {
    match kind {
        Some(kind) => Ok(kind.fit(array)?),
        None if array.element_type() == ElementType::U8 => Ok(Scaling::Byte),
        None => {
            let kind = array.element_type();
            let problem = format!("elements of type {kind} have no default scaling");
            let hint = "choose one: --scaling as-is, min-max or mean-deviation, or min-max:feature or \
                        mean-deviation:feature for each feature by itself";
            Err(Failure::at(array.path(), problem).hint(hint))
        }
    }
}

/// Ranges or deviations of features that differ by more are worth a warning.
const WIDE_SPREAD: f64 = 1000.0;

/// Warns where one scaling for all numbers leaves nothing of some features.
fn warn_of_spread(array: &Array, scaling: &Scaling) -> Result<()> {
    let (by_feature, what) = match scaling {
        _ if array.element_type() == ElementType::U8 => return Ok(()),
        Scaling::MinMax { .. } => (ScalingKind::MinMaxByFeature, "ranges"),
        Scaling::MeanDeviation { .. } => {
            (ScalingKind::MeanDeviationByFeature, "standard deviations")
        }
        _ => return Ok(()),
    };
    let widths: Vec<f64> = match by_feature.fit(array)? {
        // Halved, because a range may be beyond `f64`.
        Scaling::MinMaxByFeature { min, max } => {
            min.iter().zip(&*max).map(|(min, max)| 0.5 * max - 0.5 * min).collect()
        }
        Scaling::MeanDeviationByFeature { deviation, .. } => deviation.to_vec(),
        _ => return Ok(()),
    };
    // Constant features have none.
    let varying = || widths.iter().enumerate().filter(|(_, width)| **width > 0.0);
    let order = |a: &(usize, &f64), b: &(usize, &f64)| a.1.total_cmp(b.1);
    if let (Some((narrow, least)), Some((wide, most))) =
        (varying().min_by(order), varying().max_by(order))
        && most / least > WIDE_SPREAD
    {
        let (ratio, kind) = (short(most / least), scaling.kind());
        note(&format!(
            "warning: the {what} of the features differ by a factor of up to {ratio} (features \
             {wide} and {narrow}), and {kind} scales all numbers together, which leaves little of \
             the narrow ones; --scaling {by_feature} scales each feature by itself"
        ));
    }
    Ok(())
}

/// Numbers of `f32` that a feature's range should at least hold.
const FEW_NUMBERS: f64 = 256.0;

/// Warns where numbers of more than 24 bits, kept as they are, become the same features.
fn warn_of_rounding(array: &Array, scaling: &Scaling) -> Result<()> {
    use ElementType::{F64, I32, I64, U32, U64};
    let is_wide = matches!(array.element_type(), F64 | I32 | I64 | U32 | U64);
    if !is_wide || *scaling != Scaling::AsIs {
        return Ok(());
    }
    let Scaling::MinMaxByFeature { min, max } = ScalingKind::MinMaxByFeature.fit(array)? else {
        return Ok(());
    };
    let spacing = |low: f64, high: f64| low.abs().max(high.abs()) * f64::from(f32::EPSILON);
    let rounded = |(_, (low, high)): &(usize, (&f64, &f64))| {
        high > low && *high - *low < FEW_NUMBERS * spacing(**low, **high)
    };
    if let Some((feature, (low, high))) = min.iter().zip(&*max).enumerate().find(rounded) {
        note(&format!(
            "warning: feature {feature} is from {low} to {high}, where the numbers of f32 are some {} \
             apart, and as-is keeps it; --scaling min-max:feature subtracts the minimum first",
            short(spacing(*low, *high))
        ));
    }
    Ok(())
}
