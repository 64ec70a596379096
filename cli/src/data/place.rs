//! Where data are: what the options name, and the file beside a model that remembers it.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::Once;

use sae::{
    Samples,
    data::{Rows, TrainingData},
};
use serde_json::{Value, json};

use crate::data::pngs::{self, find};
use crate::digits;
use crate::failure::{Failure, Result, io_error};
use crate::output::{warn, write_file};
use crate::runs;

/// The data of a training: where they are, and how the files are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub files: Files,
    pub tensor: Option<String>,
    pub rows: Option<Rows>,
    /// The column of a CSV file with labels.
    pub label_column: Option<String>,
    /// Whether PNGs are in color; without it if one is.
    pub color: Option<bool>,
    /// The targets of samples in files, if they have some.
    pub targets: Option<TargetFiles>,
}

/// The files of the targets of training and of test samples.
///
/// [`Files::Paths`] or [`Files::Found`] have those of the samples in the same way.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetFiles {
    pub train: Vec<PathBuf>,
    pub test: Vec<PathBuf>,
    pub tensor: Option<String>,
}

/// One of the two sides of the data.
#[derive(Clone, Copy, PartialEq)]
pub enum Side {
    Training,
    Test,
}

/// The files of training and test samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Files {
    /// The digits that the program draws.
    Drawn,
    /// A folder with MNIST's files.
    Folder(PathBuf),
    /// Files, folders, patterns or lists; those of test samples, if any.
    Paths(Vec<PathBuf>, Vec<PathBuf>),
    /// Files in this order, as a note has them.
    Found(Vec<PathBuf>, Vec<PathBuf>),
}

impl Files {
    /// The files of paths, in the order of their samples.
    pub fn find(&self, paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
        match self {
            Files::Found(..) => Ok(paths.to_vec()),
            _ => find(paths),
        }
    }
}

/// What a model's note says.
pub struct Note {
    pub place: Place,
    /// What the test samples were, where they had files.
    pub test: Option<TrainingData>,
}

impl Place {
    /// MNIST's files of training and of test images.
    pub fn mnist(&self, quiet: bool) -> Result<(PathBuf, Option<PathBuf>)> {
        let folder = self.folder(quiet)?;
        let metadata = fs::metadata(&folder).map_err(io_error("open", &folder))?;
        if !metadata.is_dir() {
            return Err(Failure::at(&folder, "expected a folder").hint("--samples takes a file"));
        }
        let train = find_mnist(&folder, "train-images").ok_or_else(|| {
            let problem = "no train-images-idx3-ubyte or train-images-idx3-ubyte.gz in this folder";
            let hint = "--samples takes files of other names, or a folder of such files";
            Failure::at(&folder, problem).hint(hint)
        })?;
        Ok((train, find_mnist(&folder, "t10k-images")))
    }

    /// The folder with MNIST's files, or the one with the drawn digits.
    pub fn folder(&self, quiet: bool) -> Result<PathBuf> {
        match &self.files {
            Files::Folder(folder) => Ok(folder.clone()),
            _ => digits::cached(quiet),
        }
    }

    /// The same with the files that its paths name now, before a command writes others.
    pub fn found(self) -> Result<Self> {
        let find_some = |paths: Vec<PathBuf>| -> Result<Vec<PathBuf>> {
            if paths.is_empty() { Ok(paths) } else { find(&paths) }
        };
        let Files::Paths(train, test) = self.files else { return Ok(self) };
        let of_targets = |TargetFiles { train, test, tensor }| -> Result<TargetFiles> {
            Ok(TargetFiles { train: find_some(train)?, test: find_some(test)?, tensor })
        };
        let targets = self.targets.map(of_targets).transpose()?;
        Ok(Place { files: Files::Found(find(&train)?, find_some(test)?), targets, ..self })
    }

    /// The files that are read, of which a command may replace none.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        pngs::files(&self.paths()?)
    }

    /// The same with folders of PNGs as they are named.
    pub fn paths(&self) -> Result<Vec<PathBuf>> {
        let of_folder = |folder: &Path| {
            let names = ["train-images", "t10k-images", "train-labels", "t10k-labels"];
            names.iter().filter_map(|name| find_mnist(folder, name)).collect()
        };
        let mut all: Vec<PathBuf> = match &self.files {
            Files::Drawn => digits::folder().map_or_else(Vec::new, |folder| of_folder(&folder)),
            Files::Folder(folder) => of_folder(folder),
            Files::Paths(train, test) | Files::Found(train, test) => {
                [self.files.find(train)?, self.find_some(test)?].concat()
            }
        };
        if let Some(TargetFiles { train, test, .. }) = &self.targets {
            all.extend([self.find_some(train)?, self.find_some(test)?].concat());
        }
        Ok(all)
    }

    fn find_some(&self, paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
        if paths.is_empty() { Ok(Vec::new()) } else { self.files.find(paths) }
    }

    /// Writes beside the model where the data are, for later commands.
    ///
    /// Also what the test samples of files were, and how to repeat the training. What cannot be found again, such as a pipe, is not noted.
    pub fn save(
        &self,
        model: &Path,
        test_samples: Option<&Samples>,
        run: Option<Value>,
    ) -> Result<()> {
        if runs::is_device(model) {
            return Ok(());
        }
        let path = path_of(model);
        let absolute = |path: &PathBuf| {
            let path = plain(std::path::absolute(path).ok()?);
            let is_there = path.metadata().is_ok_and(|it| it.is_file() || it.is_dir());
            path.to_str().filter(|_| is_there).map(str::to_owned)
        };
        let list = |paths: &[PathBuf]| -> Result<Option<Vec<String>>> {
            Ok(self.files.find(paths)?.iter().map(absolute).collect())
        };
        let value = match &self.files {
            Files::Drawn => Some(json!({"drawn_digits": true})),
            Files::Folder(folder) => absolute(folder).map(|folder| json!({"data": folder})),
            Files::Paths(train, test) | Files::Found(train, test) => {
                let test = if test.is_empty() { Some(Vec::new()) } else { list(test)? };
                list(train)?.zip(test).map(|(train, test)| json!({"samples": train, "test": test}))
            }
        };
        let Some(mut value) = value else {
            static NOTED: Once = Once::new();
            let problem = "the data are a pipe, or have a name that is not UTF-8: later commands need --samples";
            NOTED.call_once(|| warn(problem));
            // An older training's note would be of other data.
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    Err(io_error("remove", &path)(error).into())
                }
                _ => Ok(()),
            };
        };
        value["tensor"] = json!(self.tensor);
        value["rows"] = json!(self.rows.map(rows_name));
        value["label_column"] = json!(self.label_column);
        value["color"] = json!(self.color);
        if let Some(TargetFiles { train, test, tensor }) = &self.targets {
            value["targets"] = json!(list(train)?);
            value["test_targets"] = json!(list(test)?);
            value["target_tensor"] = json!(tensor);
        }
        value["run"] = json!(run);
        value["test_data"] = json!(test_samples.map(TrainingData::of).transpose()?);
        value.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        write_file(&path, format!("{value:#}\n"))
    }

    /// Where the data of a model are, if the file beside it says so.
    pub fn of_model(model: &Path) -> Result<Option<Note>> {
        if runs::is_device(model) {
            return Ok(None);
        }
        let path = path_of(model);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read", &path)(error).into()),
        };
        let damaged = || {
            Failure::at(&path, "this file does not say where the model's data are")
                .hint("give the data, with --data DIR or --samples FILE")
        };
        let value: Value = serde_json::from_str(&text).map_err(|_| damaged())?;
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let list = |name: &str| -> Option<Vec<PathBuf>> {
            value[name].as_array()?.iter().map(|path| Some(path.as_str()?.into())).collect()
        };
        let files = if value["drawn_digits"] == json!(true) {
            Files::Drawn
        } else if let Some(folder) = text("data") {
            Files::Folder(folder.into())
        } else {
            let train = list("samples").filter(|list| !list.is_empty()).ok_or_else(damaged)?;
            Files::Found(train, list("test").ok_or_else(damaged)?)
        };
        let rows = match text("rows").as_deref() {
            Some("first") => Some(Rows::First),
            Some("last") => Some(Rows::Last),
            _ => None,
        };
        let test = match &value["test_data"] {
            Value::Null => None,
            data => Some(serde_json::from_value(data.clone()).map_err(|_| damaged())?),
        };
        let (tensor, label_column) = (text("tensor"), text("label_column"));
        let targets = list("targets").map(|train| TargetFiles {
            train,
            test: list("test_targets").unwrap_or_default(),
            tensor: text("target_tensor"),
        });
        let color = value["color"].as_bool();
        let place = Place { files, tensor, rows, label_column, color, targets };
        Ok(Some(Note { place, test }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.files {
            Files::Drawn => f.write_str("the drawn digits"),
            Files::Folder(folder) => folder.display().fmt(f),
            Files::Paths(train, _) | Files::Found(train, _) => named(train).display().fmt(f),
        }
    }
}

/// An absolute path without `..` behind folders, as far as that names the same file: behind a symbolic link it
/// stays.
fn plain(path: PathBuf) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        let is_folder = plain.file_name().is_some()
            && plain.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        if part == Component::ParentDir && is_folder {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

/// The file beside a model that says where its data are.
pub fn path_of(model: &Path) -> PathBuf {
    runs::beside(model, "model.data.json", "data.json")
}

/// A failure to read the data that a model's record names, with what to do.
pub fn moved(failure: Failure, model: &Path) -> Failure {
    moved_from(failure, path_of(model).display())
}

/// A failure to read the data that a record names, with what to do.
pub fn moved_from(failure: Failure, record: impl fmt::Display) -> Failure {
    failure.or_hint(format!(
        "these are the data that {record} names; if they were moved, give them: --data DIR or \
         --samples FILE"
    ))
}

/// The first of some files, and how many more there are.
pub fn named(found: &[PathBuf]) -> PathBuf {
    let mut name = found[0].clone();
    if found.len() > 1 {
        name.as_mut_os_string().push(format!(" and {} more", found.len() - 1));
    }
    name
}

fn rows_name(rows: Rows) -> &'static str {
    if rows == Rows::Last { "last" } else { "first" }
}

/// The file of this name with one of the endings in use for MNIST's files.
///
/// It is in the folder or, as some archives unpack it, in a folder of the file's name.
pub fn find_mnist(folder: &Path, name: &str) -> Option<PathBuf> {
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
