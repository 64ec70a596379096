//! Samples with labels, for probes.

use std::path::Path;

use sae::{Autoencoder, Samples, data::HeldOut};

use crate::data::classes::Labels;
use crate::data::opened::Opened;
use crate::data::own::{own_note, own_training_samples};
use crate::data::place::{Files, Place, Side, find_mnist};
use crate::data::sides::labels_of_side;
use crate::data::{DataArgs, open_any};
use crate::failure::{Failure, Result};
use crate::output::{are, counted, note};

/// Samples of a model, scaled, and the label of each.
pub type Labeled = (Samples, Vec<u8>);

impl DataArgs {
    /// The training samples with their labels, then the test samples with theirs.
    ///
    /// They are those that the options name, or else the model's own. Labels are those of a folder with MNIST's files, of a file, or of a
    /// CSV file's column. Where there is no file of test samples, they are those that the training has
    /// held out, or a seventh, drawn at random.
    pub fn labeled(
        &self,
        labels: Option<&Path>,
        model: &Path,
        net: &Autoencoder,
    ) -> Result<[Labeled; 2]> {
        let is_own = !self.is_given();
        let place = if is_own { own_note(model)?.place } else { self.place(&[]) };
        let [train, test] = match &place.files {
            Files::Drawn | Files::Folder(_) if labels.is_some() => {
                let problem = "labels: a folder with MNIST's files has its own labels";
                return Err(Failure::input(problem).hint("--labels is for --samples"));
            }
            Files::Drawn | Files::Folder(_) => self.of_folder(&place)?,
            Files::Paths(..) | Files::Found(..) => {
                let all = match is_own {
                    true => own_training_samples(model, net, &place, self.copy)?,
                    false => place.train(self.copy, false)?,
                };
                let held_out = net.training_data().and_then(|data| data.held_out());
                self.of_files(&place, all, labels, held_out.filter(|_| is_own))?
            }
        };
        let scaled = |(samples, labels): Labeled| (samples.scaled(net.scaling()), labels);
        Ok([scaled(train), scaled(test)])
    }

    fn of_folder(&self, place: &Place) -> Result<[Labeled; 2]> {
        let folder = place.folder(false)?;
        let missing = |name: &str| {
            Failure::at(&folder, format!("no {name} in this folder"))
                .hint("labels are read from a folder with MNIST's files, or from --labels FILE")
        };
        let train = place.train(self.copy, false)?;
        let test = place.test(self.copy)?.ok_or_else(|| missing("t10k-images-idx3-ubyte"))?;
        let with_labels = |opened: Opened, name: &str| {
            let path = find_mnist(&folder, name);
            let path = path.ok_or_else(|| missing(&format!("{name}-idx1-ubyte")))?;
            let labels = read_labels(&path, opened.samples.len())?;
            Ok::<_, Failure>((opened.samples, labels))
        };
        Ok([with_labels(train, "train-labels")?, with_labels(test, "t10k-labels")?])
    }

    fn of_files(
        &self,
        place: &Place,
        all: Opened,
        file: Option<&Path>,
        held_out: Option<HeldOut>,
    ) -> Result<[Labeled; 2]> {
        let Opened { samples, labels, name, .. } = all;
        let count = samples.len();
        let mut labels = match (file, labels) {
            (Some(file), _) => Labels::numbers(read_labels(file, count)?),
            (None, Some(labels)) => labels,
            (None, None) => {
                return Err(Failure::at(&name, "no labels are given for these samples").hint(
                    "--labels FILE, --label-column of CSV files, or a folder with MNIST's files: \
                     --data DIR",
                ));
            }
        };
        if file.is_none()
            && let Some(test) = place.test(self.copy)?
            && let Some(mut test_labels) = test.labels
        {
            labels.unify(&mut test_labels).map_err(|failure| failure.within(&test.name))?;
            return Ok([(samples, labels.values), (test.samples, test_labels.values)]);
        }
        let held_out = held_out.unwrap_or(HeldOut::Random { count: count.div_ceil(7), seed: 1 });
        let (train, test) = samples.hold_out(held_out)?;
        let of_side = |side| labels_of_side(labels.values.clone(), held_out, side);
        let (train_labels, test_labels) = (of_side(Side::Training)?, of_side(Side::Test)?);
        let (samples, are) = (counted(test.len(), "sample"), are(test.len()));
        note(&format!("{samples} held out {are} the test samples of the labels"));
        Ok([(train, train_labels), (test, test_labels)])
    }
}

/// Labels of any type of whole number, one for each of `count` samples.
pub fn read_labels(path: &Path, count: usize) -> Result<Vec<u8>> {
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
