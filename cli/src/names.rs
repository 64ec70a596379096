//! Names of samples, one per line of a text file: tokens, or names of files.

use std::cmp::Ordering;
use std::fs;
use std::path::Path;

use crate::failure::{Result, io_error};

/// The lines of a file.
pub struct Names {
    text: String,
    /// Where each line begins and ends.
    lines: Vec<(usize, usize)>,
}

impl Names {
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(io_error("read", path))?;
        let text = String::from_utf8(bytes);
        let text = text.unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        Ok(Self::of(text))
    }

    /// These names.
    pub fn of_all(names: &[String]) -> Self {
        let in_a_line = |name: &String| name.replace(['\n', '\r'], "\u{fffd}");
        Self::of(names.iter().map(|name| in_a_line(name) + "\n").collect())
    }

    fn of(text: String) -> Self {
        let place = |line: &str| {
            let start = line.as_ptr() as usize - text.as_ptr() as usize;
            (start, start + line.len())
        };
        let lines = text.lines().map(place).collect();
        Names { text, lines }
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// The name of a line.
    pub fn get(&self, line: usize) -> &str {
        self.lines.get(line).map_or("", |&(start, end)| &self.text[start..end])
    }

    /// A name in brackets between the `count` before and the `count` behind it: `the cat [sat] on the`.
    pub fn context(&self, line: usize, count: usize) -> String {
        self.around(line, count).concat()
    }

    /// What is before a name, the name in brackets, and what is behind it.
    ///
    /// Pieces of words that begin with ##, as those of BERT, are joined with what is before them.
    pub fn around(&self, line: usize, count: usize) -> [String; 3] {
        let mut parts = [const { String::new() }; 3];
        let first = line.saturating_sub(count);
        let end = self.len().min(line.saturating_add(count).saturating_add(1));
        for at in first..end {
            let name = self.get(at);
            let piece = name.strip_prefix("##").filter(|piece| !piece.is_empty());
            let shown = piece.unwrap_or(name);
            let space = if piece.is_none() && at > first { " " } else { "" };
            match at.cmp(&line) {
                Ordering::Less => parts[0] += &format!("{space}{shown}"),
                Ordering::Equal => {
                    parts[0] += space;
                    parts[1] = format!("[{shown}]");
                }
                Ordering::Greater => parts[2] += &format!("{space}{shown}"),
            }
        }
        parts
    }
}

/// Names are data, and must not control the terminal.
pub fn visible(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_neighbors() {
        let names = Names::of("the\r\ncat\nsat\n\non\n##to\n##p\n##".to_owned());
        assert_eq!((names.len(), names.get(0), names.get(3), names.get(9)), (8, "the", "", ""));
        assert_eq!(names.context(2, 1), "cat [sat] ");
        assert_eq!(names.context(0, 1), "[the] cat");
        assert_eq!(names.context(5, 2), " on[to]p ##");
        assert_eq!(names.context(1, usize::MAX), "the [cat] sat  ontop ##");
    }
}
