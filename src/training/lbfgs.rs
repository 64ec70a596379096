//! L-BFGS over all samples at once (Liu and Nocedal 1989), with a line search for the strong Wolfe
//! conditions (Nocedal and Wright 2006, algorithms 3.5, 3.6 and 7.4).

use crate::compute::Engine;
use crate::error::{Error, Result};
use crate::network::autoencoder::Autoencoder;
use crate::settings::{Optimizer, Settings};
use crate::training::group::Group;
use crate::training::step::{StepReport, gradient};
use crate::training::update::dot;
use crate::training::workspace::{State, Workspace};

/// The objective must fall by this share of what its slope promises,
const FALL: f64 = 1e-4;
/// and the slope to this share of what it was.
const FLATTEN: f64 = 0.9;
/// Looks along one line.
const LOOKS: usize = 25;

/// What it remembers between steps, all of it allocated once.
#[derive(Debug)]
pub(crate) struct Lbfgs {
    /// Pairs of what parameters and gradient changed by, the newest first, and 1 over their product.
    pairs: Vec<Pair>,
    used: usize,
    /// Where the line begins, and the gradient there.
    origin: Vec<f32>,
    gradient: Vec<f32>,
    direction: Vec<f32>,
    alphas: Vec<f64>,
    /// The objective where it is, and its terms, if it is not the first step.
    value: Option<(f64, StepReport)>,
}

#[derive(Debug)]
struct Pair {
    parameters: Vec<f32>,
    gradient: Vec<f32>,
    inverse: f64,
}

/// What was seen at a place of the line.
#[derive(Clone, Copy)]
struct Look {
    at: f64,
    value: f64,
    slope: f64,
    report: StepReport,
}

impl Lbfgs {
    /// For so many parameters, if the settings ask for it.
    pub fn new(settings: &Settings, parameters: usize) -> Option<Self> {
        let Optimizer::Lbfgs { memory } = settings.optimizer else { return None };
        let zeros = || vec![0.0; parameters];
        let pair = || Pair { parameters: zeros(), gradient: zeros(), inverse: 0.0 };
        Some(Lbfgs {
            pairs: (0..memory).map(|_| pair()).collect(),
            used: 0,
            origin: zeros(),
            gradient: zeros(),
            direction: zeros(),
            alphas: vec![0.0; memory],
            value: None,
        })
    }

    /// One iteration on the batch in `work.batch`. Where the objective cannot be made smaller, the
    /// parameters stay as they are.
    pub fn step(
        &mut self,
        engine: &mut Engine,
        net: &mut Autoencoder,
        state: &mut State,
        work: &mut Workspace,
        mut group: Option<&mut Group>,
        skip_zeros: bool,
    ) -> Result<StepReport> {
        let mut look = |net: &mut Autoencoder, state: &mut State, work: &mut Workspace| {
            let report = gradient(engine, net, state, work, group.as_deref_mut(), skip_zeros)?;
            let decay = match net.settings.lambda {
                0.0 => 0.0,
                lambda => lambda * net.weight_decay(),
            };
            Ok::<_, Error>((report.loss + report.penalty + decay, report))
        };
        let (value, before) = match self.value {
            Some(value) => value,
            None => {
                let value = look(net, state, work)?;
                self.gradient.copy_from_slice(&work.gradient);
                value
            }
        };
        self.origin.copy_from_slice(&net.parameters);
        self.aim();
        let mut slope = dot(&self.direction, &self.gradient);
        if slope >= 0.0 {
            // The picture of the curvature is wrong: begin it anew.
            self.used = 0;
            self.aim();
            slope = dot(&self.direction, &self.gradient);
        }
        let steepest = dot(&self.gradient, &self.gradient).sqrt();
        let first = if self.used == 0 { (1.0 / steepest).min(1.0) } else { 1.0 };
        let start = Look { at: 0.0, value, slope, report: before };
        let (origin, direction) = (&self.origin, &self.direction);
        let found = search(start, first, |at| {
            for ((w, &from), &along) in net.parameters.iter_mut().zip(origin).zip(direction) {
                *w = from + at as f32 * along;
            }
            // Too far is no failure: there the objective is not finite.
            let seen = look(net, state, work);
            Ok(match seen {
                Ok((value, report)) => {
                    Look { at, value, slope: dot(direction, &work.gradient), report }
                }
                Err(Error::Diverged { .. }) => {
                    Look { at, value: f64::INFINITY, slope: f64::INFINITY, report: before }
                }
                Err(error) => return Err(error),
            })
        });
        let found = found.inspect_err(|_| net.parameters.copy_from_slice(&self.origin))?;
        state.step += 1;
        match found {
            Some(look) => {
                self.remember(&net.parameters, &work.gradient);
                self.value = Some((look.value, look.report));
            }
            None => {
                net.parameters.copy_from_slice(&self.origin);
                self.used = 0;
                self.value = Some((value, before));
            }
        }
        Ok(before)
    }

    /// The direction: minus the gradient times the picture of the inverse curvature.
    fn aim(&mut self) {
        let direction = &mut self.direction;
        for (d, &g) in direction.iter_mut().zip(&self.gradient) {
            *d = -g;
        }
        let pairs = &self.pairs[..self.used];
        for (pair, alpha) in pairs.iter().zip(&mut self.alphas) {
            *alpha = pair.inverse * dot(&pair.parameters, direction);
            add(direction, -*alpha, &pair.gradient);
        }
        if let Some(newest) = pairs.first() {
            let scale = 1.0 / (newest.inverse * dot(&newest.gradient, &newest.gradient));
            direction.iter_mut().for_each(|d| *d *= scale as f32);
        }
        for (pair, alpha) in pairs.iter().zip(&self.alphas).rev() {
            let beta = pair.inverse * dot(&pair.gradient, direction);
            add(direction, alpha - beta, &pair.parameters);
        }
    }

    /// What the step changed; the new gradient becomes the old one.
    fn remember(&mut self, parameters: &[f32], gradient: &[f32]) {
        self.pairs.rotate_right(1);
        let newest = &mut self.pairs[0];
        difference(&mut newest.parameters, parameters, &self.origin);
        difference(&mut newest.gradient, gradient, &self.gradient);
        self.gradient.copy_from_slice(gradient);
        let product = dot(&newest.parameters, &newest.gradient);
        if product > 1e-12 * dot(&newest.gradient, &newest.gradient) {
            newest.inverse = 1.0 / product;
            self.used = (self.used + 1).min(self.pairs.len());
        } else {
            // No curvature to learn from.
            self.pairs.rotate_left(1);
            self.used = self.used.min(self.pairs.len() - 1);
        }
    }
}

/// Places further and further away until one is good or a good one lies between two; then that.
/// `None` if nothing smaller was found.
fn search(
    start: Look,
    first: f64,
    mut look: impl FnMut(f64) -> Result<Look>,
) -> Result<Option<Look>> {
    let falls = |place: &Look| place.value <= start.value + FALL * place.at * start.slope;
    let flat = |place: &Look| place.slope.abs() <= -FLATTEN * start.slope;
    let (mut low, mut high) = (start, None);
    let mut at = first;
    for _ in 0..LOOKS {
        let place = look(at)?;
        if !falls(&place) || (low.at > 0.0 && place.value >= low.value) {
            high = Some(place);
        } else if flat(&place) {
            return Ok(Some(place));
        } else if place.slope >= 0.0 {
            (low, high) = (place, Some(low));
        } else {
            // With no far end yet, go on; else nearer to it.
            low = place;
        }
        at = match high {
            None => 2.0 * at,
            Some(high) => between(&low, &high),
        };
        if high.is_some_and(|high| (high.at - low.at).abs() <= 1e-9 * low.at.max(high.at)) {
            break;
        }
    }
    // Rounding hides the rest of the slope: what falls is good enough, and it was the last but one
    // to be looked at.
    if low.at > 0.0 && low.value < start.value { look(low.at).map(Some) } else { Ok(None) }
}

/// The lowest point of the cubic through both places, kept off their ends.
fn between(low: &Look, high: &Look) -> f64 {
    let width = high.at - low.at;
    let middle = low.at + 0.5 * width;
    if !(high.value.is_finite() && high.slope.is_finite()) {
        return low.at + 0.1 * width;
    }
    let d1 = low.slope + high.slope - 3.0 * (low.value - high.value) / (low.at - high.at);
    let square = d1 * d1 - low.slope * high.slope;
    if square < 0.0 {
        return middle;
    }
    let d2 = width.signum() * square.sqrt();
    let at = high.at - width * (high.slope + d2 - d1) / (high.slope - low.slope + 2.0 * d2);
    let share = (at - low.at) / width;
    if share.is_finite() { low.at + share.clamp(0.1, 0.9) * width } else { middle }
}

fn add(to: &mut [f32], factor: f64, what: &[f32]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += factor as f32 * what);
}

fn difference(to: &mut [f32], a: &[f32], b: &[f32]) {
    to.iter_mut().zip(a.iter().zip(b)).for_each(|(to, (a, b))| *to = a - b);
}
