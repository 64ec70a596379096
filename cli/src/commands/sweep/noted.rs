//! What the folder of a sweep says of its options and files, for `--resume`.

use std::fs;
use std::path::{Path, PathBuf, absolute};

use serde_json::{Value, json};

use crate::failure::{Failure, Result, io_error};
use crate::output::write_file;
use crate::recipe;
use crate::sweeps;

/// What the folder of a sweep says of its options and files.
#[derive(Default)]
pub struct Noted {
    arguments: Option<Vec<String>>,
    /// The whole path of the picture, where that is not beside the table.
    pub picture: Option<PathBuf>,
    /// Whether the sweep has written its table.
    pub has_table: bool,
    /// Whether the sweep has written its picture.
    pub has_picture: bool,
}

impl Noted {
    /// Of the sweep with this table; nothing if its folder says nothing.
    pub fn of(table: &Path) -> Result<Self> {
        let path = path_of(table);
        if !path.is_file() {
            return Ok(Noted::default());
        }
        let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
        let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let texts = |texts: &Vec<Value>| {
            texts.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        let arguments = match &value["arguments"] {
            Value::Null if value.is_object() => Some(None),
            Value::Array(list) => texts(list).map(Some),
            _ => None,
        };
        let damaged = || {
            Failure::at(&path, "damaged: it does not have the options of the sweep")
                .hint("remove it, and give the options again")
        };
        Ok(Noted {
            arguments: arguments.ok_or_else(damaged)?,
            picture: value["picture"].as_str().map(PathBuf::from),
            has_table: value["has_table"] == json!(true),
            has_picture: value["has_picture"] == json!(true),
        })
    }

    /// The options of the sweep, with that of its picture; None if they are not known.
    pub fn arguments(self) -> Option<Vec<String>> {
        let picture = self.picture.and_then(|path| Some(format!("--picture={}", path.to_str()?)));
        self.arguments.map(|arguments| arguments.into_iter().chain(picture).collect())
    }

    /// Whether this is the picture of the sweep with this table.
    pub fn is_picture(&self, table: &Path, picture: &Path) -> bool {
        let own = self.picture.clone().unwrap_or_else(|| sweeps::picture_of(table));
        absolute(own).ok() == absolute(picture).ok()
    }

    /// Notes the options of this process, and which files the sweep has written.
    pub fn save(table: &Path, picture: &Path, [has_table, has_picture]: [bool; 2]) -> Result<()> {
        let mut value = recipe::json().unwrap_or_else(|| json!({}));
        let beside = absolute(sweeps::picture_of(table)).ok();
        let other = absolute(picture).ok().filter(|path| Some(path) != beside.as_ref());
        if let Some(picture) = other.as_ref().and_then(|path| path.to_str()) {
            value["picture"] = json!(picture);
        }
        value["has_table"] = json!(has_table);
        value["has_picture"] = json!(has_picture);
        write_file(&path_of(table), format!("{value:#}\n"))
    }
}

fn path_of(table: &Path) -> PathBuf {
    sweeps::folder_of(table).join("options.json")
}
