//! Opening samples: of one kind of files, or of PNGs.

use std::path::{Path, PathBuf};

use sae::{
    Samples, Scaling,
    data::{Array, ElementType, ReadOptions, Rows, Shards, Source},
};

use crate::csv::{self, Table};
use crate::data::classes::Labels;
use crate::data::place::{Files, Place, Side, TargetFiles, named};
use crate::data::pngs::{Pngs, is_of_pngs};
use crate::data::warn;
use crate::endings::ending_of;
use crate::failure::{Failure, Result};
use crate::output::{self, note};

/// Samples, unscaled, as they were opened.
pub struct Opened {
    pub samples: Samples,
    /// Those of the column of a CSV file, or of the sub-folders of PNGs.
    pub labels: Option<Labels>,
    /// Names of the features, of the header of a CSV file.
    pub features: Option<Vec<String>>,
    /// Names of the samples: the files of PNGs.
    pub names: Option<Vec<PathBuf>>,
    /// Whether PNGs are in color.
    pub color: Option<bool>,
    /// Files of a folder of PNGs that are none.
    pub left_out: usize,
    /// The file; of several the first, and how many more.
    pub name: PathBuf,
    /// The first file of floats whose samples are along the last dimension without a choice, and its dimensions.
    pub deep: Option<(PathBuf, Vec<usize>)>,
}

impl Opened {
    /// Those of arrays, of which nothing else is known.
    fn of(shards: Shards, name: PathBuf) -> Self {
        Opened {
            samples: Samples::new(shards, Scaling::AsIs),
            labels: None,
            features: None,
            names: None,
            color: None,
            left_out: 0,
            name,
            deep: None,
        }
    }
}

impl Place {
    /// The training samples.
    pub fn train(&self, copy: bool, quiet: bool) -> Result<Opened> {
        match &self.files {
            Files::Paths(train, _) | Files::Found(train, _) => self.open(train, copy),
            _ => self.open(&[self.mnist(quiet)?.0], copy),
        }
    }

    /// The test samples, if there are files of them.
    pub fn test(&self, copy: bool) -> Result<Option<Opened>> {
        match &self.files {
            Files::Paths(_, test) | Files::Found(_, test) => match test.is_empty() {
                true => Ok(None),
                false => self.open(test, copy).map(Some),
            },
            _ => self.mnist(true)?.1.map(|test| self.open(&[test], copy)).transpose(),
        }
    }

    /// Opened samples of one side with their targets, if they have some.
    pub fn with_targets(&self, opened: Opened, side: Side, copy: bool) -> Result<Opened> {
        let Some(TargetFiles { train, test, tensor }) = &self.targets else { return Ok(opened) };
        let paths = if side == Side::Training { train } else { test };
        let options = ReadOptions { tensor: tensor.clone(), rows: self.rows, copy };
        let found = self.files.find(paths)?;
        let mut arrays = Vec::new();
        for path in &found {
            let array = match csv::is_csv(path) {
                true => csv::read(path, None)?.array,
                false => Array::open_with(path, &options)?,
            };
            note_others(&array);
            arrays.push(array);
        }
        let targets = Samples::new(Shards::from_arrays(arrays)?, Scaling::AsIs);
        let (count, samples) = (targets.len(), opened.samples.len());
        if count != samples {
            let problem = format!(
                "{} for the {} of {}; expected one for each, in the same order",
                output::counted(count, "target"),
                output::counted(samples, "sample"),
                opened.name.display()
            );
            return Err(Failure::at(&named(&found), problem));
        }
        Ok(Opened { samples: opened.samples.with_targets(targets)?, ..opened })
    }

    fn open(&self, paths: &[PathBuf], copy: bool) -> Result<Opened> {
        let found = self.files.find(paths)?;
        self.check_options(&found)?;
        if found.iter().any(|path| is_of_pngs(path)) {
            return self.open_pngs(&found);
        }
        let options = ReadOptions { tensor: self.tensor.clone(), rows: self.rows, copy };
        if found.iter().any(|path| csv::is_csv(path)) {
            return self.open_tables(&found, &options);
        }
        let shards = Shards::open_files(&found, &options)?;
        warn::of_files_left_out(shards.left_out());
        for array in shards.arrays() {
            check(array)?;
        }
        // Of integers all of an index of the first dimension is a sample, which the array itself tells.
        let is_deep = |array: &&Array| array.dims().len() > 2 && array.row_dims().is_empty();
        let deep = shards.arrays().find(is_deep).filter(|_| self.rows.is_none());
        let deep = deep.map(|array| (array.path().to_owned(), array.dims().to_vec()));
        Ok(Opened { deep, ..Opened::of(shards, named(&found)) })
    }

    /// The same with PNGs in color, or in gray, if samples of theirs then have `features` features.
    pub(super) fn recolored(&self, opened: &Opened, features: usize) -> Option<Place> {
        let have = opened.samples.features();
        let color = match opened.color? {
            true if have == 3 * features => false,
            false if 3 * have == features => true,
            _ => return None,
        };
        Some(Place { color: Some(color), ..self.clone() })
    }

    /// Fails if an option is for files of another kind than these.
    fn check_options(&self, found: &[PathBuf]) -> Result<()> {
        let name = named(found);
        let name = name.display();
        let are_pngs = found.iter().all(|path| is_of_pngs(path));
        let has_no_names = |path: &PathBuf| {
            matches!(ending_of(path).as_str(), "npy" | "idx" | "ubyte" | "csv" | "tsv")
        };
        if let Some(tensor) = &self.tensor
            && (are_pngs || found.iter().all(has_no_names))
        {
            let problem = format!("tensor: {tensor} is for safetensors files, not {name}");
            return Err(Failure::input(problem));
        }
        if let Some(column) = &self.label_column
            && !found.iter().any(|path| csv::is_csv(path))
        {
            let problem = format!("label-column: {column} is for CSV files, not {name}");
            return Err(Failure::input(problem));
        }
        if are_pngs && self.rows == Some(Rows::Last) {
            let problem = format!("rows: a PNG of {name} is one sample, not one for each pixel");
            return Err(Failure::input(problem).hint("leave out --rows"));
        }
        Ok(())
    }

    /// Opens folders of PNGs and single ones, as one array in memory.
    fn open_pngs(&self, found: &[PathBuf]) -> Result<Opened> {
        if let Some(other) = found.iter().find(|path| !is_of_pngs(path)) {
            let problem = "PNGs and files of another kind are no data set together";
            return Err(Failure::at(other, problem)
                .hint("sae convert FOLDER_OF_PNGS images.npy makes one file of PNGs"));
        }
        let name = named(found);
        let pngs = Pngs::read(found, &name, self.color)?;
        Ok(Opened {
            labels: pngs.labels.map(|values| Labels { values, names: pngs.classes }),
            names: Some(pngs.names),
            color: Some(pngs.are_in_color),
            left_out: pngs.left_out,
            ..Opened::of(Shards::from_arrays(vec![pngs.array])?, name)
        })
    }

    /// Opens CSV files, among which may be others.
    fn open_tables(&self, found: &[PathBuf], options: &ReadOptions) -> Result<Opened> {
        let (mut arrays, mut all_labels, mut first) = (Vec::new(), None, None);
        for path in found {
            if !csv::is_csv(path) {
                arrays.push(Array::open_with(path, options)?);
                continue;
            }
            if !csv::has_ending(path) {
                note(&format!("{}: read as CSV", path.display()));
            }
            let Table { array, labels, classes, names } =
                csv::read(path, self.label_column.as_deref())?;
            arrays.push(array);
            if let Some(values) = labels {
                add_labels(&mut all_labels, Labels { values, names: classes }, path)?;
            }
            if *first.get_or_insert_with(|| names.clone()) != names {
                let problem = "the names of its columns are others than in the first file";
                return Err(Failure::at(path, problem).hint("give all files the same columns"));
            }
        }
        let shards = Shards::from_arrays(arrays)?;
        shards.arrays().try_for_each(check)?;
        let features = first.flatten();
        Ok(Opened { labels: all_labels, features, ..Opened::of(shards, named(found)) })
    }
}

/// Adds the labels of a file to those before it.
fn add_labels(all: &mut Option<Labels>, mut labels: Labels, path: &Path) -> Result<()> {
    let Some(before) = all else {
        *all = Some(labels);
        return Ok(());
    };
    before.unify(&mut labels).map_err(|failure| failure.within(path))?;
    before.values.extend(labels.values);
    Ok(())
}

/// Fails if an array has labels instead of samples; notes if there is more in its file.
fn check(array: &Array) -> Result<()> {
    note_others(array);
    if let [count] = *array.dims() {
        let (what, hint) = one_dimension(array.element_type());
        let problem = format!(
            "expected an array [samples, features], got one dimension of {} ({what})",
            output::counted(count, "number")
        );
        return Err(Failure::at(array.path(), problem).hint(hint));
    }
    Ok(())
}

/// What an array of one dimension may be by its type, and what to do where samples were expected.
pub fn one_dimension(element_type: ElementType) -> (String, &'static str) {
    use ElementType::{BF16, F16, F32, F64};
    match element_type {
        F16 | BF16 | F32 | F64 => (
            element_type.to_string(),
            "save it with two dimensions: np.save(FILE, array.reshape(-1, FEATURES))",
        ),
        _ => (
            format!("{element_type}, such as labels"),
            "if these are labels, give the file of the samples; MNIST's images are in the files with \
             'images' in the name",
        ),
    }
}

/// Notes if there are more arrays in an array's file.
pub fn note_others(array: &Array) {
    if array.is_followed() {
        let path = array.path().display();
        note(&format!("note: {path}: the file has several arrays; the first one is taken"));
    }
}
