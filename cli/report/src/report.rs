//! What a page is made of.

use crate::error::{Error, Result};
use crate::figures::counted;
use crate::model::Model;
use crate::shape::Shape;

/// Samples that are shown before and after a top sample, at most.
pub const MAX_CONTEXT: usize = 100;

/// Top samples of a unit.
pub(crate) const TOP: usize = 10;

/// What a page shows: models, and what is known of the samples besides their numbers.
#[derive(Clone, Copy)]
pub struct Report<'a> {
    /// The models, at least one, on the same samples.
    pub models: &'a [Model],
    /// What the samples are, such as the name of their file.
    pub data: &'a str,
    /// A label of each sample.
    pub labels: Option<&'a [u8]>,
    /// Names of the labels, that of label 0 first; `None` shows their numbers.
    pub label_names: Option<&'a [String]>,
    /// A name of each sample, such as a token or the name of a file.
    pub names: Option<&'a [String]>,
    /// A name of each feature, such as that of a table's column; not shown of images.
    pub features: Option<&'a [String]>,
    /// Samples before and after a top sample that are shown with it, at most [`MAX_CONTEXT`].
    ///
    /// They are shown by their names and activations, for samples with names that are a stream of tokens.
    pub context: usize,
    /// The number of each sample in its data, if that is not its place.
    pub numbers: Option<&'a [usize]>,
    /// Units of each layer that are shown in full, the most frequent ones.
    ///
    /// `None` shows as many as fit in a page of 5 MB.
    pub units: Option<usize>,
    /// How the numbers of a sample are pixels; `None` finds it.
    ///
    /// It is then the shape of the samples' file, of those that the model was trained on, or a square, of at least 8 x 8,
    /// of bytes or numbers from 0 to 1. Features with names are no square; only of bytes, names that differ in their
    /// numbers alone, such as `pixel0` and `pixel1`, may be those of pixels.
    pub shape: Option<Shape>,
}

impl<'a> Report<'a> {
    /// A report without labels, names, features' names and context.
    pub fn new(models: &'a [Model], data: &'a str) -> Self {
        Report {
            models,
            data,
            labels: None,
            label_names: None,
            names: None,
            features: None,
            context: 0,
            numbers: None,
            units: None,
            shape: None,
        }
    }

    /// Refuses what does not fit the samples.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(first) = self.models.first() else {
            return Err(Error::input("models", "expected at least one model, got none"));
        };
        let count = first.samples.len();
        if let Some(other) = self.models.iter().find(|model| model.samples.len() != count) {
            let (name, got) = (&other.name, other.samples.len());
            let problem = format!("{name} has {got} samples, and {} {count}", first.name);
            return Err(Error::input("models", problem + "; expected the same samples"));
        }
        for (field, given) in [
            ("labels", self.labels.map(<[u8]>::len)),
            ("names", self.names.map(<[String]>::len)),
            ("numbers", self.numbers.map(<[usize]>::len)),
        ] {
            if let Some(given) = given.filter(|&given| given != count) {
                let problem = format!("expected one for each of the {count} samples, got {given}");
                return Err(Error::input(field, problem));
            }
        }
        let max_label = self.labels.and_then(|labels| labels.iter().max().copied());
        if let (Some(names), Some(label)) = (self.label_names, max_label)
            && names.len() <= label.into()
        {
            let problem =
                format!("expected names up to that of label {label}, got {}", names.len());
            return Err(Error::input("label_names", problem));
        }
        if self.context > MAX_CONTEXT {
            let problem = format!("expected at most {MAX_CONTEXT} samples, got {}", self.context);
            return Err(Error::input("context", problem));
        }
        if self.units == Some(0) {
            return Err(Error::input("units", "expected at least 1, got 0"));
        }
        self.check_shape(first)
    }

    fn check_shape(&self, first: &Model) -> Result<()> {
        let features = first.samples.features();
        if let Some(given) = self.features.map(<[String]>::len).filter(|&given| given != features) {
            let problem =
                format!("expected a name for each of the {features} features, got {given}");
            return Err(Error::input("features", problem));
        }
        if let Some(shape) = self.shape.filter(|shape| shape.numbers() != features) {
            let Shape { rows, columns, channels, .. } = shape;
            let (channels, numbers) = (counted(channels, "channel"), shape.numbers());
            let problem = format!(
                "{rows} x {columns} pixels of {channels} are {numbers} numbers, and a sample has {features}"
            );
            return Err(Error::input("shape", problem));
        }
        Ok(())
    }
}
