//! The samples that a model is run on, with their labels, names and numbers.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sae::{Autoencoder, Samples};

use crate::data::classes::Labels;
use crate::data::labels::read_labels;
use crate::data::opened::Opened;
use crate::data::own::{own_note, own_side};
use crate::data::place::{Files, Place, Side, find_mnist};
use crate::data::sides::numbers_of_side;
use crate::data::{DataArgs, TargetArgs};
use crate::drawing::png_folder::numbered;
use crate::failure::{Failure, Result};
use crate::names::Names;
use crate::output::{counted, note, readable};

/// The options that choose samples.
#[derive(clap::Args, Clone)]
pub struct ChoiceArgs {
    #[command(flatten)]
    pub data: DataArgs,
    /// Samples of the model's training, or of --data: the test samples or the training samples [default:
    /// test, or train where there are no test samples]
    #[arg(long, value_name = "SIDE", conflicts_with = "samples")]
    split: Option<Split>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Split {
    Test,
    Train,
}

impl From<DataArgs> for ChoiceArgs {
    fn from(data: DataArgs) -> Self {
        ChoiceArgs { data, split: None }
    }
}

/// The samples that were chosen.
pub struct Chosen {
    /// Scaled as in the model's training.
    pub samples: Samples,
    /// The file; of several the first, and how many more.
    pub name: PathBuf,
    /// Labels that the data have themselves.
    labels: Option<Labels>,
    /// Names of the features, of a CSV file.
    pub features: Option<Vec<String>>,
    /// Names that all samples of the data have themselves: those of PNGs.
    names: Option<Vec<PathBuf>>,
    /// Of each sample its number in the data, where it is another than that among the chosen ones.
    numbers: Option<Vec<usize>>,
    /// How many samples the data have.
    count: usize,
    /// Whether they are held-out ones that no option asks for.
    is_held_out: bool,
}

impl ChoiceArgs {
    /// The samples that the options name, of a folder the test samples; without an option those of the
    /// model's training.
    pub fn choose(&self, model: &Path, net: &Autoencoder) -> Result<Chosen> {
        let is_train = self.split == Some(Split::Train);
        let side = if is_train { Side::Training } else { Side::Test };
        let (opened, place, held_out) = match self.data.is_given() {
            true => {
                let (opened, place) = self.given(net)?;
                (opened, place, None)
            }
            false => {
                let (opened, held_out) = own_side(model, net, self.data.copy, false, side)?;
                (opened, own_note(model)?.place, held_out)
            }
        };
        let labels = match opened.labels {
            Some(labels) => Some(labels),
            None => {
                labels_of_folder(&place, &opened.name, opened.samples.len())?.map(Labels::numbers)
            }
        };
        let numbers =
            held_out.map(|(held_out, count)| numbers_of_side(held_out, count, side)).transpose()?;
        let count = held_out.map_or(opened.samples.len(), |(_, count)| count);
        let samples = self.data.checked(opened.samples.clone(), &opened.name, model, net)?;
        let samples = samples.scaled(net.scaling());
        let is_held_out = numbers.is_some() && self.split.is_none();
        let Opened { features, names, name, .. } = opened;
        Ok(Chosen { samples, name, labels, features, names, numbers, count, is_held_out })
    }

    /// The same with the targets that a model predicts, if it does.
    pub fn choose_pairs(
        &self,
        targets: &TargetArgs,
        model: &Path,
        net: &Autoencoder,
    ) -> Result<Chosen> {
        let chosen = self.choose(model, net)?;
        let is_train = self.split == Some(Split::Train);
        let side = if is_train { Side::Training } else { Side::Test };
        let samples = match net.target_scaling() {
            None if targets.files(&[]).is_none() => return Ok(chosen),
            _ => self.data.pairs_of_side(targets, model, net, side)?.0,
        };
        Ok(Chosen { samples, ..chosen })
    }

    fn given(&self, net: &Autoencoder) -> Result<(Opened, Place)> {
        if self.split == Some(Split::Train) {
            let place = self.data.place(&[]);
            return Ok((place.train(self.data.copy, false)?, place));
        }
        self.data.given_samples(net)
    }
}

impl Chosen {
    /// The number of a sample in the data.
    pub fn number(&self, sample: usize) -> usize {
        self.numbers.as_ref().map_or(sample, |numbers| numbers[sample])
    }

    /// Names of PNGs of the first samples: those that they have, if all are different, or else their numbers.
    pub fn png_names(&self, count: usize) -> Vec<PathBuf> {
        let numbers = (0..count).map(|sample| self.number(sample));
        if let Some(names) = &self.names
            && names.iter().collect::<HashSet<_>>().len() == names.len()
        {
            return numbers.map(|number| names[number].clone()).collect();
        }
        numbers.map(|number| numbered(number, self.count).into()).collect()
    }

    /// Says on stderr that these are not all samples of the data, where no option chooses them.
    pub fn note_held_out(&self) {
        if self.is_held_out {
            let samples = counted(self.samples.len(), "held-out sample");
            let name = self.name.display();
            note(&format!("{samples} of {name}; --samples FILE takes all of a file"));
        }
    }

    /// The label of each sample: those of a file, or those that the data have. The file has one for each
    /// of the samples, or for each of the data before some were held out.
    pub fn labels(&self, file: Option<&Path>) -> Result<Option<Labels>> {
        let Some(file) = file else { return Ok(self.labels.clone()) };
        let Some(numbers) = &self.numbers else {
            return read_labels(file, self.samples.len()).map(Labels::numbers).map(Some);
        };
        if let Ok(labels) = read_labels(file, self.samples.len()) {
            return Ok(Some(Labels::numbers(labels)));
        }
        let labels = read_labels(file, self.count)?;
        let values = numbers.iter().map(|&number| labels[number]).collect();
        Ok(Some(Labels::numbers(values)))
    }

    /// The names of the samples, by their number in the data: those of a file, or those that the data have.
    pub fn names(&self, file: Option<&Path>) -> Result<Option<Names>> {
        match file {
            Some(file) => self.names_of(file).map(Some),
            None => {
                let names = self.names.iter().flatten().map(readable).collect::<Vec<_>>();
                Ok(self.names.is_some().then(|| Names::of_all(&names)))
            }
        }
    }

    fn names_of(&self, file: &Path) -> Result<Names> {
        let names = Names::read(file)?;
        if names.len() != self.count {
            let (have, count) = (names.len(), self.count);
            let problem = format!("expected {count} lines, a name for each sample, got {have}");
            let hint = format!("the samples are those of {}", self.name.display());
            return Err(Failure::at(file, problem).hint(hint));
        }
        Ok(names)
    }
}

/// The labels beside MNIST's file of images, if they are there.
fn labels_of_folder(place: &Place, images: &Path, count: usize) -> Result<Option<Vec<u8>>> {
    if !matches!(place.files, Files::Drawn | Files::Folder(_)) {
        return Ok(None);
    }
    let is_test = images.to_string_lossy().contains("t10k-images");
    let name = if is_test { "t10k-labels" } else { "train-labels" };
    let path = find_mnist(&place.folder(true)?, name);
    path.map(|path| read_labels(&path, count)).transpose()
}
