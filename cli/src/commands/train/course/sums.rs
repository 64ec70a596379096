//! Sums over the steps since the last row, which a checkpoint keeps.
//!
//! So the rows of a resumed training are those of an uninterrupted one.

use sae::{StepReport, Trainer};

/// Means over the steps since the last row.
pub struct Means {
    pub loss: f64,
    pub without_decay: f64,
    pub penalty: f64,
    pub auxiliary: f64,
    pub l0: f64,
    /// Of each hidden layer.
    pub activations: Vec<f64>,
}

/// Sums over the steps since the last row.
pub struct Sums {
    /// Units that were revived, in all steps.
    pub revived: u64,
    steps: u64,
    /// Of the numbers of [`Means`].
    sums: Vec<f64>,
}

/// Numbers before those of hidden layers.
const TERMS: usize = 5;

impl Sums {
    /// Those that the trainer has from its checkpoint, or else zeros.
    pub fn of(trainer: &Trainer) -> Self {
        let count = TERMS + trainer.autoencoder().settings().layers.len() - 2;
        let zeros = || Sums { revived: 0, steps: 0, sums: vec![0.0; count] };
        Self::parse(trainer.note(), count).unwrap_or_else(zeros)
    }

    fn parse(note: &str, count: usize) -> Option<Self> {
        let numbers = note.split(' ').map(|number| u64::from_str_radix(number, 16).ok());
        let numbers: Vec<u64> = numbers.collect::<Option<_>>()?;
        let (&[revived, steps], sums) = numbers.split_first_chunk()?;
        let sums: Vec<f64> = sums.iter().map(|&bits| f64::from_bits(bits)).collect();
        (sums.len() == count).then_some(Sums { revived, steps, sums })
    }

    /// What a checkpoint keeps of them: text of a length that does not depend on the numbers.
    pub fn note(&self) -> String {
        let sums = self.sums.iter().map(|sum| sum.to_bits());
        let numbers = [self.revived, self.steps].into_iter().chain(sums);
        numbers.map(|number| format!("{number:016x}")).collect::<Vec<_>>().join(" ")
    }

    /// Adds a step.
    pub fn add(&mut self, trainer: &Trainer, report: StepReport) {
        self.steps += 1;
        let StepReport { loss, penalty, auxiliary, l0, .. } = report;
        let terms = [loss, report.without_decay(), penalty, auxiliary, l0];
        let terms = terms.into_iter().chain(trainer.mean_activations());
        self.sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
    }

    /// The means, from the first step after the last ones on.
    pub fn take_means(&mut self) -> Means {
        let steps = std::mem::take(&mut self.steps) as f64;
        let mut means = self.sums.iter_mut().map(|sum| std::mem::take(sum) / steps);
        let mut next = || means.next().unwrap_or(f64::NAN);
        let [loss, without_decay, penalty, auxiliary, l0] = [(); TERMS].map(|()| next());
        Means { loss, without_decay, penalty, auxiliary, l0, activations: means.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_keeps_every_bit() {
        let sums = vec![0.1 + 0.2, f64::MIN_POSITIVE, -1e300, 3.0, 1.0 / 3.0, 0.7];
        let before = Sums { revived: 7, steps: 13, sums };
        let after = Sums::parse(&before.note(), 6).unwrap();
        assert_eq!((after.revived, after.steps), (7, 13));
        assert_eq!(after.sums, before.sums);
        let zeros = Sums { revived: 0, steps: 0, sums: vec![0.0; 6] };
        assert_eq!(zeros.note().len(), before.note().len());
        for wrong in ["", "1", "x y", &before.note()[17..]] {
            assert!(Sums::parse(wrong, 6).is_none(), "{wrong}");
        }
    }
}
