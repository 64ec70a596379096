//! What a step is taken on.

#[cfg(doc)]
use crate::settings::Settings;

/// What a step is taken on: the next of the trainer's own samples, or numbers of the caller's.
///
/// Slices, vectors and arrays convert into it, and pairs of them where the network predicts targets of its
/// own: `trainer.step_on(&batch)`, `trainer.step_on((&inputs, &targets))`.
///
/// Numbers are scaled as the network is to see them. A batch may be shorter than [`Settings::batch`](Settings)
/// says, where there are no other ranks: means are then over its samples. Of several ranks each gives its
/// part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Batch<'a> {
    /// The next batch of the trainer's own samples.
    Next,
    /// The samples of a network that reconstructs them, row-major, `[n, features]`.
    Samples(&'a [f32]),
    /// Inputs, `[n, features]`, and what the network is to predict from them, `[n, outputs]`.
    Pairs(&'a [f32], &'a [f32]),
}

impl<'a, T: AsRef<[f32]> + ?Sized> From<&'a T> for Batch<'a> {
    fn from(samples: &'a T) -> Self {
        Batch::Samples(samples.as_ref())
    }
}

impl<'a, T, U> From<(&'a T, &'a U)> for Batch<'a>
where
    T: AsRef<[f32]> + ?Sized,
    U: AsRef<[f32]> + ?Sized,
{
    fn from((inputs, targets): (&'a T, &'a U)) -> Self {
        Batch::Pairs(inputs.as_ref(), targets.as_ref())
    }
}
