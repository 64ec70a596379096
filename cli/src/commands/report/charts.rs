//! The page's charts, from a model's history and evaluation.

use sae::{Code, Evaluation};

use super::subject::Subject;
use crate::drawing::chart::{Chart, Mark, Scale, Series};
use crate::history::History;
use crate::output::short;

/// A chart with a title above it and a note below.
pub struct Figure {
    pub title: String,
    pub chart: Chart,
    pub note: String,
}

impl Figure {
    fn new(subject: &Subject, title: &str, chart: Chart) -> Self {
        Figure { title: format!("{}: {title}", subject.model.name), chart, note: String::new() }
    }

    fn with_note(self, note: impl Into<String>) -> Self {
        Figure { note: note.into(), ..self }
    }
}

/// A line over the steps of a training.
fn curve(history: &History, name: impl Into<String>, color: usize, values: &[f64]) -> Series {
    let steps = history.column("step").iter().copied();
    Series::new(name, Mark::Line, color, steps.zip(values.iter().copied()))
}

/// The objective and its terms over the training.
pub fn objective(subject: &Subject) -> Option<Figure> {
    let history = subject.history.as_ref()?;
    let line = |(name, color, column)| curve(history, name, color, history.column(column));
    let penalties =
        [("sparsity penalties", 2, "sparsity_penalty"), ("weight decay", 3, "weight_decay")];
    let is_positive = |column: &str| history.column(column).iter().any(|&v| v > 0.0);
    let terms: Vec<_> = penalties.into_iter().filter(|term| is_positive(term.2)).collect();
    let mut series = vec![line(("objective", 0, "objective"))];
    // Without other terms the loss is the objective.
    if !terms.is_empty() {
        series.push(line(("loss", 1, "loss")));
    }
    series.extend(terms.into_iter().map(line));
    let x = ("step", Scale::Linear);
    let y = ("training batches, with their weights", Scale::Logarithmic);
    Some(Figure::new(subject, "objective over the training", Chart { x, y, series }))
}

/// Mean activation of each hidden layer over the training.
pub fn activity(subject: &Subject) -> Option<Figure> {
    let history = subject.history.as_ref()?;
    let encoder = subject.model.net.settings().encoder_layers();
    let layers = history.mean_activations().iter().take(encoder).enumerate();
    let series = layers.map(|(l, values)| curve(history, format!("layer {}", l + 1), l, values));
    let (x, y) = (("step", Scale::Linear), ("mean activation", Scale::Linear));
    let chart = Chart { x, y, series: series.collect() };
    Some(Figure::new(subject, "mean activation over the training", chart))
}

/// The factor of the penalties over the training, if a controller steered it.
pub fn steering(subject: &Subject) -> Option<Figure> {
    let history = subject.history.as_ref()?;
    subject.model.net.settings().target?;
    let series = vec![curve(history, "factor", 0, history.column("penalty_factor"))];
    let (x, y) = (("step", Scale::Linear), ("times the settings' weight", Scale::Logarithmic));
    Some(Figure::new(subject, "the steered weight of the penalties", Chart { x, y, series }))
}

/// A histogram of the activations of each layer of the encoder.
pub fn histograms(subject: &Subject) -> Vec<Figure> {
    let Evaluation { layers, units, .. } = &subject.model.evaluation;
    let encoder = subject.model.net.settings().encoder_layers();
    let layers = layers.iter().zip(units).take(encoder).enumerate();
    layers
        .map(|(l, (activity, units))| {
            let histogram = &activity.histogram;
            let all = histogram.counts.iter().sum::<u64>() + histogram.zeros;
            let bins = histogram.counts.len();
            let (low, high) = (f64::from(histogram.low), f64::from(histogram.high));
            let edge = |at: usize| low + (high - low) * at as f64 / bins as f64;
            let share = |count: u64| count as f64 / all as f64;
            let bars = histogram.counts.iter().enumerate().map(|(at, &n)| (edge(at), share(n)));
            let bars = Series::new("share", Mark::Bars, l, bars.chain([(high, 0.0)]));
            let zeros = match 100.0 * share(histogram.zeros) {
                0.0 => String::new(),
                percent => {
                    format!("; {} % of the activations are exactly 0 and not drawn", short(percent))
                }
            };
            let chart = Chart {
                x: ("activation", Scale::Linear),
                y: ("share of all activations", Scale::Logarithmic),
                series: vec![bars],
            };
            let dead = activity.dead_units().count();
            Figure::new(subject, &format!("activations of layer {}", l + 1), chart)
                .with_note(format!("{} units, {dead} of them dead{zeros}.", units.len()))
        })
        .collect()
}

/// KL(rho || x), as in the objective.
fn kl(rho: f64, x: f64) -> f64 {
    rho * (rho / x).ln() + (1.0 - rho) * ((1.0 - rho) / (1.0 - x)).ln()
}

/// The KL penalty as a curve, with the units at their mean activations.
pub fn kl_curve(subject: &Subject) -> Option<Figure> {
    let (settings, evaluation) = (subject.model.net.settings(), &subject.model.evaluation);
    let mut series = Vec::new();
    let mut rhos = Vec::new();
    let (mut min, mut max) = (1.0f64, 0.0f64);
    for l in 0..settings.encoder_layers() {
        let Some(penalty) = settings.penalty_of(l).filter(|of| of.beta > 0.0) else { continue };
        let rho = penalty.rho;
        let clamped = |rho_hat: f32| f64::from(rho_hat).clamp(1e-6, 1.0 - 1e-6);
        let means: Vec<f64> = evaluation.units[l].iter().map(|&unit| clamped(unit)).collect();
        min = means.iter().copied().fold(min.min(rho), f64::min);
        max = means.iter().copied().fold(max.max(rho), f64::max);
        let points = means.iter().map(|&x| (x, kl(rho, x)));
        let titles = means.iter().enumerate().map(|(unit, x)| format!("unit {unit}: {x:.4}"));
        let units = Series::new(format!("units of layer {}", l + 1), Mark::Dots, l, points);
        series.push(Series { titles: titles.collect(), ..units });
        if !rhos.contains(&rho) {
            rhos.push(rho);
        }
    }
    for &rho in &rhos {
        let at = |i: i32| min * (max / min).powf(f64::from(i) / 200.0);
        let points = (0..=200).map(|i| (at(i), kl(rho, at(i))));
        let name = format!("KL divergence, rho {rho}");
        series.insert(0, Series::new(name, Mark::Line, 4, points));
    }
    let x = ("mean activation of a unit over the test samples", Scale::Logarithmic);
    let y = ("KL divergence from the target", Scale::Linear);
    let note = "The penalty is the sum over the dots; the curve is 0 at the target activation rho.";
    (!rhos.is_empty()).then(|| {
        let title = "the sparsity penalty of each unit";
        Figure::new(subject, title, Chart { x, y, series }).with_note(note)
    })
}

/// The mean activations of the units, sorted; for a model without KL penalty.
pub fn mean_activations(subject: &Subject) -> Figure {
    let settings = subject.model.net.settings();
    let layers = subject.model.evaluation.units.iter().take(settings.encoder_layers()).enumerate();
    let series = layers.map(|(l, units)| {
        let mut sorted: Vec<f64> = units.iter().map(|&unit| unit.into()).collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let percent = |at: usize| 100.0 * (at as f64 + 0.5) / sorted.len() as f64;
        let points = sorted.iter().enumerate().map(|(at, &mean)| (percent(at), mean));
        Series::new(format!("layer {}", l + 1), Mark::Line, l, points)
    });
    let chart = Chart {
        x: ("units, the most active first, %", Scale::Linear),
        y: ("mean activation over the test samples", Scale::Linear),
        series: series.collect(),
    };
    let note = match settings.code {
        Code::Dense => "This model has no KL penalty.",
        _ => "The code is sparse by selection of its active units, not by a KL penalty.",
    };
    Figure::new(subject, "mean activation of the units", chart).with_note(note)
}
