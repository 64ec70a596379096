//! The options that name data, and the samples in these files.

mod begun;
mod chosen;
mod classes;
mod labels;
pub(crate) mod opened;
mod own;
mod pairs;
pub(crate) mod place;
pub(crate) mod pngs;
mod sides;
mod targets;
mod warn;

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use sae::{
    Autoencoder, Engine, Samples, Scaling, compute,
    data::{Array, HeldOut, Rows, ScalingKind, Summary},
};

use crate::csv;
use crate::failure::{Failure, Result};
use crate::isa;
use crate::output::{are, counted, join, note};
pub use chosen::{ChoiceArgs, Chosen};
pub use classes::Labels;
use opened::Opened;
use own::own_side;
pub use place::Place;
pub use place::find_mnist;
use place::{Files, Side};
pub use targets::TargetArgs;
use targets::{TrainingTargetArgs, scaled, scaling_parser};

/// The options that name data.
#[derive(clap::Args, Clone)]
pub struct DataArgs {
    /// Folder with MNIST's files, train-images-idx3-ubyte and t10k-images-idx3-ubyte, plain or .gz
    #[arg(long, value_name = "DIR", conflicts_with = "samples")]
    data: Option<PathBuf>,
    /// Samples: IDX, NumPy, safetensors or CSV files, or PNGs of one size; a folder of them, patterns such as
    /// 'part-*.npy', or a .txt list of files. Several are one data set, sorted by name with numbers by value
    #[arg(long, value_name = "FILE", visible_alias = "images", num_args = 1..)]
    samples: Vec<PathBuf>,
    /// Tensor of safetensors files [default: the only one of two dimensions]
    #[arg(long, value_name = "NAME", requires = "samples")]
    tensor: Option<String>,
    /// Samples of arrays of more than two dimensions [default: last for floats, first for integers and
    /// IDX files]
    #[arg(long, value_name = "KIND", requires = "samples")]
    rows: Option<RowsArg>,
    /// Column of CSV files with labels, by its name or its number from 1; it is no feature
    #[arg(long, value_name = "COLUMN", requires = "samples")]
    label_column: Option<String>,
    /// Read the data into memory instead of mapping the file, in case it changes meanwhile
    #[arg(long)]
    pub copy: bool,
}

/// The text of [`Rows`].
#[derive(Clone, Copy, ValueEnum)]
enum RowsArg {
    /// Each index of the first dimension is a sample, as of images
    First,
    /// The numbers along the last dimension are a sample, as of activations
    Last,
}

/// The options of training data.
#[derive(clap::Args, Clone)]
pub struct TrainingDataArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Files of test samples
    #[arg(long, value_name = "FILE", requires = "samples", num_args = 1..)]
    test: Vec<PathBuf>,
    /// Without test files: keep N samples, drawn by the seed, as test samples [default: a seventh, at most
    /// 100 000]
    #[arg(long, value_name = "N", conflicts_with = "test")]
    holdout: Option<usize>,
    /// Without test files: keep the last N samples as test samples
    #[arg(long, value_name = "N", conflicts_with_all = ["test", "holdout"])]
    holdout_last: Option<usize>,
    /// How the numbers of a file become features [default: byte for bytes, as-is for floats; required for
    /// other types]
    #[arg(long, value_name = "NAME", value_parser = scaling_parser())]
    scaling: Option<ScalingKind>,
    /// Fit the scaling to N samples at equal distances instead of all
    #[arg(long, value_name = "N", requires = "scaling",
        value_parser = clap::value_parser!(u64).range(1..))]
    scaling_samples: Option<u64>,
    #[command(flatten)]
    targets: TrainingTargetArgs,
    /// Whether the data are those of the model that the training begins with.
    #[arg(skip)]
    of_network: bool,
    /// Whether they are taken to be those of the model, by their number and shape alone.
    #[arg(skip)]
    is_guessed: bool,
}

/// The samples of a training.
pub struct TrainingData {
    pub train: Samples,
    pub test: Option<Samples>,
    /// Where they are, for later commands.
    pub place: Place,
}

/// What is held out without a choice: at most as many samples.
const MAX_HOLDOUT: usize = 100_000;

impl TrainingDataArgs {
    /// The same options for one rank of a sharded training; None for a training that is not.
    pub fn of_rank(&self, rank: Option<usize>) -> Result<Self> {
        let mut own = self.clone();
        let Some(rank) = rank else { return Ok(own) };
        let kinds = [self.scaling, self.targets.target_scaling];
        if let Some(kind) = kinds.into_iter().flatten().find(|kind| kind.is_fitted()) {
            let problem = format!("scaling: {kind} needs all data, but a rank has one shard");
            return Err(Failure::input(problem)
                .hint("scale the files beforehand, and give --scaling as-is"));
        }
        if own.data.data.is_none() && own.data.samples.is_empty() {
            let problem = "--sharded: the shard of each rank must be given";
            return Err(Failure::input(problem).hint("--samples 'part-{rank}.idx', or --data"));
        }
        let data = own.data.data.iter_mut().chain(&mut own.data.samples);
        for path in data.chain(own.targets.paths_mut()) {
            if let Some(name) = path.to_str() {
                *path = name.replace("{rank}", &rank.to_string()).into();
            }
        }
        Ok(own)
    }

    /// Whether an option names data.
    pub fn is_given(&self) -> bool {
        self.data.is_given()
    }

    /// Whether an option names targets.
    pub fn has_targets(&self) -> bool {
        self.targets.files().is_some()
    }

    /// Whether an option names test samples, or a folder, which may have some.
    pub fn has_test(&self) -> bool {
        !self.test.is_empty() || self.data.data.is_some()
    }

    /// The samples that the scaling is fitted to, if not all.
    pub fn scaling_samples(&self) -> Option<u64> {
        self.scaling_samples
    }

    /// What the options name, with the files that are there now.
    pub fn place(&self) -> Result<Place> {
        self.check_test_targets()?;
        Place { targets: self.targets.files(), ..self.data.place(&self.test) }.found()
    }

    /// The training samples, and the test samples if there are any, drawn by a seed.
    ///
    /// Their scalings are those of a network, or else those that the options choose. `warns` of a scaling that does not
    /// suit the data.
    pub fn samples(
        &self,
        mut place: Place,
        (seed, from): (u64, Option<(&Path, &Autoencoder)>),
        threads: Option<usize>,
        quiet: bool,
        warns: bool,
    ) -> Result<TrainingData> {
        let copy = self.data.copy;
        let mut opened = place.train(copy, quiet)?;
        if let Some((model, network)) = from {
            if let Some(other) = place.recolored(&opened, network.settings().layers[0]) {
                opened = other.train(copy, quiet)?;
            }
            check_features_of_model(&opened, model, network)?;
        }
        // Test samples are read as these.
        place.color = opened.color;
        if opened.left_out > 0 && !quiet {
            let files = counted(opened.left_out, "file");
            note(&format!("left out: {files} without a name that ends in .png"));
        }
        let network = from.map(|(_, network)| network);
        // The layers of a network tell what a sample is.
        if let (Some((path, dims)), None, false) = (&opened.deep, network, quiet) {
            note_deep(path, dims);
        }
        let Opened { samples, .. } = place.with_targets(opened, Side::Training, copy)?;
        let test = place.test(copy)?;
        let test = test.map(|test| place.with_targets(test, Side::Test, copy)).transpose()?;
        if let Some(test) = &test {
            self.check_no_holdout(&test.name)?;
        }
        let held_out = match &test {
            Some(_) => None,
            None => self.held_out_with(network, samples.len(), seed),
        };
        let (train, held_out) = match held_out {
            Some(held_out) => {
                let (train, test) = samples.hold_out(held_out)?;
                (train, Some(test))
            }
            None => (samples, None),
        };
        let quiet_and_warns = (quiet, warns);
        let scaling = match network {
            Some(network) => network.scaling(),
            None => self.fit(("scaling", self.scaling), &train, threads, quiet_and_warns)?,
        };
        let of_network = network.and_then(Autoencoder::target_scaling);
        let of_targets = train.targets().map(|targets| match of_network {
            Some(scaling) => Ok(scaling),
            None => {
                let kind = ("target-scaling", self.targets.target_scaling);
                self.fit(kind, targets, threads, quiet_and_warns)
            }
        });
        let of_targets = of_targets.transpose()?;
        if let (Some(test), None, false) = (&held_out, self.holdout.or(self.holdout_last), quiet) {
            let (samples, are) = (counted(test.len(), "sample"), are(test.len()));
            note(&format!("no test file: {samples} drawn by the seed {are} held out"));
        }
        let test = match test {
            Some(Opened { samples, name, .. }) => {
                check_features(&samples, &name, &train)?;
                Some(samples)
            }
            None => held_out,
        };
        let scaled = |samples| scaled(samples, &scaling, of_targets.as_ref());
        Ok(TrainingData { train: scaled(train)?, test: test.map(scaled).transpose()?, place })
    }

    /// Fails if samples are to be held out though there are test samples, of this file.
    fn check_no_holdout(&self, test: &Path) -> Result<()> {
        let given = [("holdout", self.holdout), ("holdout-last", self.holdout_last)];
        let holds_out = |&(_, count): &(_, Option<usize>)| count.is_some_and(|count| count > 0);
        let Some((name, _)) = given.into_iter().find(holds_out) else {
            return Ok(());
        };
        let problem = format!("{name}: this is for data without test samples");
        let test = test.display();
        Err(Failure::input(format!("{problem}, but there are those of {test}")))
    }

    /// Which of a number of samples are held out: of a model's own data the same as in its training.
    fn held_out_with(
        &self,
        network: Option<&Autoencoder>,
        samples: usize,
        seed: u64,
    ) -> Option<HeldOut> {
        let is_given = self.holdout.is_some() || self.holdout_last.is_some();
        let network = network.filter(|_| self.of_network && !is_given);
        match network.and_then(Autoencoder::training_data) {
            Some(data) if data.samples() == samples => data.held_out(),
            _ => self.held_out(samples, seed),
        }
    }

    /// Which of a number of samples are held out.
    fn held_out(&self, samples: usize, seed: u64) -> Option<HeldOut> {
        if let Some(count) = self.holdout_last {
            return (count > 0).then_some(HeldOut::Last(count));
        }
        let count = self.holdout.unwrap_or((samples / 7).min(MAX_HOLDOUT));
        (count > 0).then_some(HeldOut::Random { count, seed })
    }

    /// The scaling of the training samples or their targets, by the option for it.
    fn fit(
        &self,
        (option, kind): (&str, Option<ScalingKind>),
        train: &Samples,
        threads: Option<usize>,
        (quiet, warns): (bool, bool),
    ) -> Result<Scaling> {
        let source = train.source();
        let element_type = source.element_type();
        let kind = match kind {
            Some(kind) => kind,
            None => {
                let kind = ScalingKind::default_of(source).map_err(|error| {
                    Failure::from(error)
                        .hint(format!("--{option} NAME chooses one, such as --{option} min-max"))
                })?;
                if kind == ScalingKind::AsIs && !quiet {
                    note(&format!(
                        "{option}: as-is, numbers stay as they are; --{option} NAME chooses another"
                    ));
                }
                kind
            }
        };
        let keeps = matches!(kind, ScalingKind::AsIs | ScalingKind::LayerNorm);
        let rounds = warns && keeps && warn::may_round(element_type);
        if !kind.is_fitted() && !rounds {
            return Ok(kind.fit(source)?);
        }
        let isa = isa::from_environment()?;
        let threads = threads.map_or_else(compute::threads_from_environment, Ok)?.max(1);
        let mut engine = Engine::new(isa, compute::ThreadPool::new(threads));
        let rows = self.scaling_samples.map(|rows| usize::try_from(rows).unwrap_or(usize::MAX));
        let summary = Summary::of(&mut engine, source, rows)?;
        let scaling = kind.of(&summary, source)?;
        if warns {
            warn::of_spread(option, element_type, &summary, &scaling);
        }
        if rounds {
            warn::of_rounding(option, &summary, source, kind);
        }
        Ok(scaling)
    }
}

impl DataArgs {
    /// What the options name, with these files of test samples; without any option the drawn digits.
    pub fn place(&self, test: &[PathBuf]) -> Place {
        let files = match &self.data {
            Some(folder) => Files::Folder(folder.clone()),
            None if self.samples.is_empty() => Files::Drawn,
            None => Files::Paths(self.samples.clone(), test.to_vec()),
        };
        let rows = self.rows.map(|rows| match rows {
            RowsArg::First => Rows::First,
            RowsArg::Last => Rows::Last,
        });
        let (tensor, label_column) = (self.tensor.clone(), self.label_column.clone());
        Place { files, tensor, rows, label_column, color: None, targets: None }
    }

    /// The files that a command reads: models, and the data of the options or else those of the models.
    pub fn inputs(&self, models: &[&Path]) -> Result<Vec<PathBuf>> {
        let of_model = |&model: &&Path| [model.to_owned(), place::path_of(model)];
        let mut files: Vec<PathBuf> = models.iter().flat_map(of_model).collect();
        if self.is_given() || models.is_empty() {
            files.extend(self.place(&[]).files()?);
            return Ok(files);
        }
        for model in models {
            if let Some(note) = Place::of_model(model)? {
                files.extend(note.place.files()?);
            }
        }
        Ok(files)
    }

    /// Whether an option names data.
    pub fn is_given(&self) -> bool {
        self.data.is_some() || !self.samples.is_empty()
    }

    /// The samples that a model is evaluated on, scaled as in its training, and their file.
    ///
    /// They are those that the options name, of a folder the test samples; without an option the test samples of its
    /// training, or the training samples where there were none.
    pub fn evaluation_samples(
        &self,
        model: &Path,
        net: &Autoencoder,
    ) -> Result<(Samples, PathBuf)> {
        let opened = match self.is_given() {
            true => self.given_samples(net)?.0,
            false => own_side(model, net, self.copy, false, Side::Test)?.0,
        };
        let Opened { samples, name, .. } = opened;
        Ok((self.checked(samples, &name, model, net)?.scaled(net.scaling()), name))
    }

    /// The samples that the options name, and where they are.
    fn given_samples(&self, net: &Autoencoder) -> Result<(Opened, Place)> {
        let features = net.settings().layers[0];
        let place = self.place(&[]);
        let open = |place: Place| {
            let opened = match place.test(self.copy)? {
                Some(test) => test,
                None => place.train(self.copy, false)?,
            };
            Ok::<_, Failure>((opened, place))
        };
        // The model tells what the rows of a deep array are, and whether PNGs are in color.
        let other = |rows| open(Place { rows: Some(rows), ..self.place(&[]) });
        let mut opened = open(place)?;
        if let Some(place) = opened.1.recolored(&opened.0, features) {
            return open(place);
        }
        let is_deep = opened.0.color.is_none() && self.rows.is_none();
        if opened.0.samples.features() != features && is_deep {
            let others = [Rows::First, Rows::Last].into_iter().filter_map(|r| other(r).ok());
            let mut others = others.filter(|(other, _)| other.samples.features() == features);
            opened = others.next().unwrap_or(opened);
        }
        Ok(opened)
    }

    /// Samples, if they have the features that a model takes.
    fn checked(
        &self,
        samples: Samples,
        name: &Path,
        model: &Path,
        net: &Autoencoder,
    ) -> Result<Samples> {
        let features = net.settings().layers[0];
        if samples.features() != features {
            let have = samples.features();
            let problem = format!(
                "the model takes samples of {}, those of {} have {have}",
                counted(features, "feature"),
                name.display()
            );
            let column = Place::of_model(model)?.and_then(|note| note.place.label_column);
            let hint = match column.filter(|_| self.label_column.is_none() && have == features + 1)
            {
                Some(column) => format!("--label-column {column}, as in its training"),
                None => "give the data it was trained on: --data DIR or --samples FILE".to_owned(),
            };
            return Err(Failure::at(model, problem).hint(hint));
        }
        Ok(samples)
    }
}

/// Fails if test samples, or their targets, have other features than those of the training.
fn check_features(test: &Samples, name: &Path, train: &Samples) -> Result<()> {
    let targets = test.targets().zip(train.targets()).map(|pair| ("targets", pair));
    for (what, (test, train)) in [("samples", (test, train))].into_iter().chain(targets) {
        let (have, expected) = (test.features(), train.features());
        if have != expected {
            return Err(Failure::at(
                name,
                format!(
                    "the test {what} have {}; expected {expected}, as in the training {what}",
                    counted(have, "feature")
                ),
            ));
        }
    }
    Ok(())
}

/// Fails if the samples have other features than the model that the training begins with takes.
fn check_features_of_model(opened: &Opened, model: &Path, network: &Autoencoder) -> Result<()> {
    let (have, expected) = (opened.samples.features(), network.settings().layers[0]);
    if have == expected {
        return Ok(());
    }
    let (have, model) = (counted(have, "feature"), model.display());
    let problem = format!("{have} a sample, and the model {model} takes {expected}");
    Err(Failure::input(format!("{} has {problem}", opened.name.display()))
        .hint("give samples of as many features, or begin without --from"))
}

/// Says what a sample of an array of more than two dimensions is, which may be images.
fn note_deep(path: &Path, dims: &[usize]) {
    let (path, count, last) = (path.display(), dims.len(), dims[dims.len() - 1]);
    let all = join(&dims[1..], " x ");
    note(&format!(
        "note: {path}: the numbers along the last of its {count} dimensions, {last}, are a sample; \
         --rows first makes a sample of {all}"
    ));
}

/// Opens a file, with a note if there is more in it.
pub fn open_any(path: &Path, copy: bool) -> Result<Array> {
    let array = match (csv::is_csv(path), copy) {
        (true, _) => csv::read(path, None)?.array,
        (false, true) => Array::read(path)?,
        (false, false) => Array::open(path)?,
    };
    opened::note_others(&array);
    Ok(array)
}
