//! The label of each sample, and what the labels are called.

use std::collections::BTreeSet;

use crate::failure::{Failure, Result};

/// The label of each sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    pub values: Vec<u8>,
    /// What the labels 0, 1, ... are called in the data; empty where they are numbers there, too.
    pub names: Vec<String>,
}

impl Labels {
    /// Labels that are numbers.
    pub fn numbers(values: Vec<u8>) -> Self {
        Labels { values, names: Vec::new() }
    }

    /// What a label is called: its name or, if it has none, its number.
    pub fn name_of(&self, label: u8) -> String {
        self.names.get(usize::from(label)).cloned().unwrap_or_else(|| label.to_string())
    }

    /// Makes a name have the same number here and there: that among the sorted names of both.
    ///
    /// Fails if those of one are numbers and those of the other are names, or if there are too many names.
    pub fn unify(&mut self, other: &mut Self) -> Result<()> {
        if self.names == other.names {
            return Ok(());
        }
        if self.names.is_empty() || other.names.is_empty() {
            let problem = "some labels are numbers and some are names";
            return Err(Failure::input(problem).hint("number the classes in all files"));
        }
        let all: BTreeSet<&String> = self.names.iter().chain(&other.names).collect();
        let all: Vec<String> = all.into_iter().cloned().collect();
        if all.len() > 256 {
            let problem = format!("labels: expected at most 256 names, got {}", all.len());
            return Err(Failure::input(problem).hint("merge the rare ones"));
        }
        for labels in [self, other] {
            // Sorted, and with every name that is looked for.
            let number = |name| all.binary_search(name).unwrap_or(0) as u8;
            let numbers: Vec<u8> = labels.names.iter().map(number).collect();
            labels.values.iter_mut().for_each(|value| *value = numbers[usize::from(*value)]);
            labels.names.clone_from(&all);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(values: &[u8], names: &[&str]) -> Labels {
        Labels { values: values.to_vec(), names: names.iter().map(|&n| n.to_owned()).collect() }
    }

    #[test]
    fn a_name_has_one_number() {
        let (mut one, mut two) = (named(&[1, 0], &["b", "d"]), named(&[0, 1, 0], &["a", "b"]));
        one.unify(&mut two).map_err(|failure| failure.problem).unwrap();
        assert_eq!(one, named(&[2, 1], &["a", "b", "d"]));
        assert_eq!(two, named(&[0, 1, 0], &["a", "b", "d"]));
        assert_eq!((one.name_of(2), Labels::numbers(vec![7]).name_of(7)), ("d".into(), "7".into()));
        assert!(one.unify(&mut Labels::numbers(vec![0])).is_err());
        let many: Vec<String> = (0..256).map(|n| n.to_string()).collect();
        let mut many = Labels { values: vec![0], names: many };
        assert!(one.unify(&mut many).err().unwrap().problem.contains("256 names, got 259"));
    }
}
