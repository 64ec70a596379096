//! What one setting is, and the macro that turns the table of settings into code.

use std::fmt;

use super::value::{Kind, Number, Range, refused};
use crate::error::{Error, Result};

/// One field of a struct of settings `S`: its name, its documentation and the values it takes.
pub struct FieldOf<S> {
    /// The name of the field, as in the struct and in JSON.
    pub name: &'static str,
    /// Other names that texts and JSON accept.
    pub aliases: &'static [&'static str],
    /// What kind of value it has.
    pub kind: Kind,
    pub(super) doc: &'static [&'static str],
    pub(super) range: Option<Range>,
    pub(super) values: fn() -> String,
    pub(super) text: fn(&S) -> String,
    pub(super) number: fn(&S) -> f64,
    pub(super) read: fn(&mut S, &str, Option<u64>) -> Option<()>,
}

impl<S> FieldOf<S> {
    /// What the setting is, in one line.
    #[doc(hidden)]
    pub fn doc(&self) -> String {
        let lines = self.doc.iter().map(|line| line.trim());
        let first: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        first.join(" ").trim_end_matches('.').to_owned()
    }

    /// The values it takes, as they stand behind "expected".
    #[doc(hidden)]
    pub fn expected(&self) -> String {
        let values = (self.values)();
        self.range.map_or_else(|| values.clone(), |range| format!("{values} {range}"))
    }

    /// The default, as a text.
    #[doc(hidden)]
    pub fn default(&self) -> String
    where
        S: Default,
    {
        self.text(&S::default())
    }

    /// The value in these settings, as a text.
    #[doc(hidden)]
    pub fn text(&self, settings: &S) -> String {
        (self.text)(settings)
    }

    /// Sets the field; `steps` are those of the training, for what is left out of a text.
    pub(super) fn set(&self, settings: &mut S, text: &str, steps: Option<u64>) -> Result<()> {
        (self.read)(settings, text, steps).ok_or_else(|| self.refused(&format!("'{text}'")))
    }

    /// Fails if a number is out of its range.
    pub(super) fn check(&self, settings: &S) -> Result<()> {
        let number = (self.number)(settings);
        match self.range {
            Some(range) if !range.contains(number) => {
                Err(self.refused(&Number(number).to_string()))
            }
            _ => Ok(()),
        }
    }

    /// The error for a value that the field does not take.
    pub(super) fn refused(&self, value: &str) -> Error {
        refused(self.name, &self.expected(), value)
    }
}

impl<S> fmt::Debug for FieldOf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Makes [`Settings`], their default and [`Settings::fields`] of entries
/// `name [aliases]: type = default, range;`, where aliases and range may be missing. The first
/// paragraph of an entry's documentation is the help of the command's option.
macro_rules! settings {
    (
        $(#[$about:meta])*
        struct Settings;
        $(
            $(#[doc = $doc:literal])+
            $name:ident $([$($alias:literal),+])?: $type:ty = $default:expr $(, $range:expr)?;
        )+
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Default for Settings {
            /// The settings of [`Preset::Article`](crate::Preset::Article).
            fn default() -> Self {
                Settings { $($name: $default,)+ }
            }
        }

        /// One setting; [`Settings::fields`] has all of them.
        pub type Field = FieldOf<Settings>;

        static FIELDS: &[Field] = &[$(FieldOf {
            name: stringify!($name),
            aliases: &[$($($alias),+)?],
            kind: <$type as Value>::KIND,
            doc: &[$($doc),+],
            range: [$(Some($range),)? None][0],
            values: <$type as Value>::expected,
            text: |settings| settings.$name.text(),
            number: |settings| settings.$name.number(),
            read: |settings, text, steps| {
                settings.$name = Value::read(text, steps)?;
                Some(())
            },
        },)+];

        impl Settings {
            /// All settings, in the order of their declaration.
            #[doc(hidden)]
            pub fn fields() -> &'static [Field] {
                FIELDS
            }

            /// The field of this name or alias, with `-` or `_` between its words.
            pub(super) fn field(name: &str) -> Option<&'static Field> {
                let name = name.replace('-', "_");
                let is_it = |field: &&Field| field.name == name || field.aliases.contains(&&*name);
                FIELDS.iter().find(is_it)
            }
        }
    };
}

pub(super) use settings;
