//! The page's charts, from a model's history and evaluation.

use sae::{Code, Evaluation};

use super::Subject;
use crate::chart::{Chart, Mark, Scale, Series};
use crate::output::short;

/// A chart with what stands above it and below.
pub struct Figure {
    pub title: String,
    pub chart: Chart,
    pub note: String,
}

/// The objective and its terms over the training.
pub fn objective(subject: &Subject) -> Option<Figure> {
    let history = subject.history.as_ref()?;
    let line = |name: &str, colour, values: &[f64]| {
        let points = history.steps.iter().copied().zip(values.iter().copied()).collect();
        Series::new(name, Mark::Line, colour, points)
    };
    let mut series = vec![line("objective", 0, &history.objective)];
    // A term that is the objective is not drawn over it.
    if [&history.penalty, &history.decay].iter().any(|term| term.iter().any(|&v| v > 0.0)) {
        series.push(line("loss", 1, &history.loss));
    }
    for (name, colour, values) in
        [("sparsity penalties", 2, &history.penalty), ("weight decay", 3, &history.decay)]
    {
        if values.iter().any(|&v| v > 0.0) {
            series.push(line(name, colour, values));
        }
    }
    Some(Figure {
        title: format!("{}: objective over the training", subject.model.name),
        chart: Chart {
            x_name: "step".into(),
            y_name: "training batches, with their weights".into(),
            x_scale: Scale::Linear,
            y_scale: Scale::Logarithmic,
            series,
        },
        note: String::new(),
    })
}

/// Mean activation of each hidden layer over the training.
pub fn activity(subject: &Subject) -> Option<Figure> {
    let history = subject.history.as_ref()?;
    let encoder = subject.model.net.settings().encoder_layers();
    let layers = history.activations.iter().take(encoder).enumerate();
    let series = layers
        .map(|(l, values)| {
            let points = history.steps.iter().copied().zip(values.iter().copied()).collect();
            Series::new(format!("layer {}", l + 1), Mark::Line, l, points)
        })
        .collect();
    Some(Figure {
        title: format!("{}: mean activation over the training", subject.model.name),
        chart: Chart {
            x_name: "step".into(),
            y_name: "mean activation".into(),
            x_scale: Scale::Linear,
            y_scale: Scale::Linear,
            series,
        },
        note: String::new(),
    })
}

/// How the controller steered the penalties, if it did.
pub fn steering(subject: &Subject) -> Option<Figure> {
    let history = subject.history.as_ref()?;
    subject.model.net.settings().target?;
    let points = history.steps.iter().copied().zip(history.factor.iter().copied()).collect();
    Some(Figure {
        title: format!("{}: the penalties' weight as it was steered", subject.model.name),
        chart: Chart {
            x_name: "step".into(),
            y_name: "times the settings' weight".into(),
            x_scale: Scale::Linear,
            y_scale: Scale::Logarithmic,
            series: vec![Series::new("factor", Mark::Line, 0, points)],
        },
        note: String::new(),
    })
}

/// How often which activation is met, of each layer of the encoder.
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
            let mut points: Vec<_> = bars.collect();
            points.push((high, 0.0));
            let zeros = match 100.0 * share(histogram.zeros) {
                0.0 => String::new(),
                percent => {
                    format!("; {} % of the activations are exactly 0 and not drawn", short(percent))
                }
            };
            let dead = activity.dead_units().count();
            Figure {
                title: format!("{}: activations of layer {}", subject.model.name, l + 1),
                chart: Chart {
                    x_name: "activation".into(),
                    y_name: "share of all activations".into(),
                    x_scale: Scale::Linear,
                    y_scale: Scale::Logarithmic,
                    series: vec![Series::new("share", Mark::Bars, l, points)],
                },
                note: format!("{} units, {dead} of them dead{zeros}.", units.len()),
            }
        })
        .collect()
}

/// KL(rho || x), as the objective has it.
fn kl(rho: f64, x: f64) -> f64 {
    rho * (rho / x).ln() + (1.0 - rho) * ((1.0 - rho) / (1.0 - x)).ln()
}

/// The KL penalty's curve, with each unit's mean activation on it.
pub fn kl_curve(subject: &Subject) -> Option<Figure> {
    let (settings, evaluation) = (subject.model.net.settings(), &subject.model.evaluation);
    let mut series = Vec::new();
    let mut rhos = Vec::new();
    let penalised = || {
        (0..settings.encoder_layers())
            .filter_map(|l| settings.penalty_of(l).filter(|of| of.beta > 0.0).map(|of| (l, of.rho)))
    };
    let (mut least, mut most) = (1.0f64, 0.0f64);
    for (l, rho) in penalised() {
        let clamped = |rho_hat: f32| f64::from(rho_hat).clamp(1e-6, 1.0 - 1e-6);
        let places: Vec<f64> = evaluation.units[l].iter().map(|&unit| clamped(unit)).collect();
        least = places.iter().copied().fold(least.min(rho), f64::min);
        most = places.iter().copied().fold(most.max(rho), f64::max);
        let points = places.iter().map(|&x| (x, kl(rho, x))).collect();
        let titles =
            places.iter().enumerate().map(|(unit, x)| format!("unit {unit}: {x:.4}")).collect();
        let name = format!("units of layer {}", l + 1);
        series.push(Series { titles, ..Series::new(name, Mark::Dots, l, points) });
        if !rhos.contains(&rho) {
            rhos.push(rho);
        }
    }
    for &rho in &rhos {
        let at = |i: i32| least * (most / least).powf(f64::from(i) / 200.0);
        let points = (0..=200).map(|i| (at(i), kl(rho, at(i)))).collect();
        let name = format!("KL divergence, rho {rho}");
        series.insert(0, Series::new(name, Mark::Line, 4, points));
    }
    (!rhos.is_empty()).then(|| Figure {
        title: format!("{}: what sparsity costs each unit", subject.model.name),
        chart: Chart {
            x_name: "mean activation of a unit over the test samples".into(),
            y_name: "KL divergence from the target".into(),
            x_scale: Scale::Logarithmic,
            y_scale: Scale::Linear,
            series,
        },
        note:
            "The penalty is the sum over the dots; it is 0 where the curve touches the ground, at \
               the target activation rho."
                .into(),
    })
}

/// Where there is no KL penalty: units ordered by their mean activation.
pub fn mean_activations(subject: &Subject) -> Figure {
    let settings = subject.model.net.settings();
    let layers = subject.model.evaluation.units.iter().take(settings.encoder_layers()).enumerate();
    let series = layers
        .map(|(l, units)| {
            let mut sorted: Vec<f64> = units.iter().map(|&unit| unit.into()).collect();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let count = sorted.len() as f64;
            let points = sorted.iter().enumerate();
            let points = points.map(|(at, &a)| (100.0 * (at as f64 + 0.5) / count, a)).collect();
            Series::new(format!("layer {}", l + 1), Mark::Line, l, points)
        })
        .collect();
    let gate = match settings.code {
        Code::Dense => "This model has no KL penalty, so there is no curve of its cost.",
        _ => "The code is made sparse by choosing activations, so no curve of costs belongs to it.",
    };
    Figure {
        title: format!("{}: mean activation of the units", subject.model.name),
        chart: Chart {
            x_name: "units, the most active first, %".into(),
            y_name: "mean activation over the test samples".into(),
            x_scale: Scale::Linear,
            y_scale: Scale::Linear,
            series,
        },
        note: gate.into(),
    }
}
