//! Warnings of data that do not suit their scaling.

use std::path::PathBuf;

use sae::{
    Scaling,
    data::{ElementType, ScalingKind, Source, Summary},
};

use crate::failure::Failure;
use crate::output::{counted, exact, note, short};
use crate::ranks;

/// Ranges or deviations of features that differ by more are worth a warning.
const WIDE_SPREAD: f64 = 1000.0;

/// Warns where one scaling, of this option, for all numbers leaves nothing of some features.
pub fn of_spread(
    option: &str,
    element_type: Option<ElementType>,
    summary: &Summary,
    scaling: &Scaling,
) {
    let Summary { min, max, deviation, .. } = summary;
    let (by_feature, what, widths): (_, _, Vec<f64>) = match scaling {
        _ if element_type == Some(ElementType::U8) => return,
        Scaling::MinMax { .. } => {
            // Halved, because a range may be beyond `f64`.
            let widths = min.iter().zip(max).map(|(min, max)| 0.5 * max - 0.5 * min);
            (ScalingKind::MinMaxByFeature, "ranges", widths.collect())
        }
        Scaling::MeanDeviation { .. } => {
            (ScalingKind::MeanDeviationByFeature, "standard deviations", deviation.clone())
        }
        _ => return,
    };
    // Constant features have none.
    let varying = || widths.iter().enumerate().filter(|(_, width)| **width > 0.0);
    let order = |a: &(usize, &f64), b: &(usize, &f64)| a.1.total_cmp(b.1);
    if let (Some((narrow, least)), Some((wide, most))) =
        (varying().min_by(order), varying().max_by(order))
        && most / least > WIDE_SPREAD
    {
        let (ratio, kind) = (short(most / least), scaling.kind());
        note(&format!(
            "warning: the {what} of the features differ by a factor of up to {ratio} (features \
             {wide} and {narrow}), and {kind} scales all numbers together, which leaves little of \
             the narrow ones; --{option} {by_feature} scales each feature by itself"
        ));
    }
}

/// Numbers of `f32` that a feature's range should at least hold.
const FEW_NUMBERS: f64 = 256.0;

/// Whether [`of_rounding`] looks at numbers of this type.
pub fn may_round(element_type: Option<ElementType>) -> bool {
    use ElementType::{F64, I32, I64, U32, U64};
    element_type.is_none_or(|kind| matches!(kind, F64 | I32 | I64 | U32 | U64))
}

/// Warns where numbers of more than 24 bits, kept as they are, become the same features.
pub fn of_rounding(option: &str, summary: &Summary, source: &dyn Source, kind: ScalingKind) {
    if summary.all.not_finite == 0
        && let Err(error) = ScalingKind::MinMaxByFeature.of(summary, source)
    {
        let error = Failure::from(error).problem;
        return note(&format!("warning: {error} (--{option} {kind} does not)"));
    }
    if kind != ScalingKind::AsIs {
        return;
    }
    let Summary { min, max, .. } = summary;
    let spacing = |low: f64, high: f64| low.abs().max(high.abs()) * f64::from(f32::EPSILON);
    let rounded = |(_, (low, high)): &(usize, (&f64, &f64))| {
        high > low && *high - *low < FEW_NUMBERS * spacing(**low, **high)
    };
    if let Some((feature, (low, high))) = min.iter().zip(max).enumerate().find(rounded) {
        note(&format!(
            "warning: feature {feature} is from {} to {}, where the numbers of f32 are some {} apart, \
             and as-is keeps it; --{option} min-max:feature subtracts the minimum first",
            exact(*low),
            exact(*high),
            short(spacing(*low, *high))
        ));
    }
}

/// Warns of files that are left out, because they have no samples.
pub fn of_files_left_out(files: &[PathBuf]) {
    let [first, others @ ..] = files else { return };
    if ranks::is_other_rank() {
        return;
    }
    let first = first.display();
    note(&match others.len() {
        0 => format!("warning: {first} has no samples, and is left out"),
        count => format!(
            "warning: {first} and {} have no samples, and are left out",
            counted(count, "other file")
        ),
    });
}
