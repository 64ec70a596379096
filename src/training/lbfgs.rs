//! L-BFGS (Liu and Nocedal 1989), with a line search for the strong Wolfe conditions (Nocedal and Wright
//! 2006, algorithms 3.5, 3.6 and 7.4). It drives a [`Problem`] from outside.

use crate::error::{Error, Result};
use crate::training::gradient::dot;
use crate::training::objective::StepReport;

/// Wolfe's first condition: the objective falls by this share of what its slope promises.
const SUFFICIENT_DECREASE: f64 = 1e-4;
/// Wolfe's second condition: the slope falls to this share of what it was.
const CURVATURE: f64 = 0.9;
/// Evaluations in one line search.
const MAX_EVALUATIONS: usize = 25;

/// What is minimized. Gradients and directions are in coordinates that depend on the parameters
/// linearly.
pub(crate) trait Problem {
    /// The point.
    fn parameters(&mut self) -> &mut [f32];
    /// The objective at the point, with its terms; and the gradient, for [`Problem::gradient`].
    fn evaluate(&mut self) -> Result<(f64, StepReport)>;
    /// The gradient by the coordinates, where it was evaluated last.
    fn gradient(&self) -> &[f32];
    /// Makes a change of the coordinates one of the parameters.
    fn change_of_parameters(&mut self, change: &mut [f32]);
    /// The size of the data, with whose square the objective and its gradient grow.
    fn size(&self) -> f64;
}

/// What L-BFGS keeps between iterations, all of it allocated once.
#[derive(Debug)]
pub(crate) struct Lbfgs {
    /// The newest first.
    pairs: Vec<Pair>,
    used: usize,
    /// Where the line search begins, and the gradient there.
    origin: Vec<f32>,
    gradient: Vec<f32>,
    direction: Vec<f32>,
    /// The direction as a change of the parameters.
    change: Vec<f32>,
    alphas: Vec<f64>,
    /// The objective at the point and its terms, after the first iteration.
    value: Option<(f64, StepReport)>,
}

/// What coordinates and gradient changed by in an iteration, and 1 over the product of both.
#[derive(Debug)]
struct Pair {
    coordinates: Vec<f32>,
    gradient: Vec<f32>,
    inverse: f64,
}

/// A point of the line search.
#[derive(Clone, Copy)]
struct Point {
    at: f64,
    value: f64,
    slope: f64,
    report: StepReport,
}

impl Lbfgs {
    /// For `parameters` parameters, keeping the pairs of the last `memory` iterations.
    pub fn new(memory: usize, parameters: usize) -> Self {
        let zeros = || vec![0.0; parameters];
        let pair = || Pair { coordinates: zeros(), gradient: zeros(), inverse: 0.0 };
        Lbfgs {
            pairs: (0..memory).map(|_| pair()).collect(),
            used: 0,
            origin: zeros(),
            gradient: zeros(),
            direction: zeros(),
            change: zeros(),
            alphas: vec![0.0; memory],
            value: None,
        }
    }

    /// Begins anew, the parameters having been changed from outside.
    pub fn forget(&mut self) {
        self.value = None;
        self.used = 0;
    }

    /// One iteration. Returns the terms before it. Where the objective cannot be made smaller, the
    /// parameters stay as they are.
    ///
    /// # Errors
    /// Those of [`Problem::evaluate`]; the parameters are as before then.
    pub fn iterate(&mut self, problem: &mut impl Problem) -> Result<StepReport> {
        let (value, report) = match self.value {
            Some(value) => value,
            None => {
                let value = problem.evaluate()?;
                self.gradient.copy_from_slice(problem.gradient());
                value
            }
        };
        self.origin.copy_from_slice(problem.parameters());
        let slope = self.choose_direction();
        self.change.copy_from_slice(&self.direction);
        problem.change_of_parameters(&mut self.change);
        let length = dot(&self.gradient, &self.gradient).sqrt();
        let longest = problem.size().powi(-2);
        let first = if self.used == 0 { (1.0 / length).min(longest) } else { 1.0 };
        let start = Point { at: 0.0, value, slope, report };
        let found = line_search(start, first, |at| self.evaluate(problem, at, report));
        let found = found.inspect_err(|_| problem.parameters().copy_from_slice(&self.origin))?;
        match found {
            Some(point) => {
                self.remember(problem, point.at);
                self.value = Some((point.value, point.report));
            }
            None => {
                problem.parameters().copy_from_slice(&self.origin);
                self.used = 0;
                self.value = Some((value, report));
            }
        }
        Ok(report)
    }

    /// The objective and its slope at a point of the line search.
    fn evaluate(&self, problem: &mut impl Problem, at: f64, report: StepReport) -> Result<Point> {
        let line = self.origin.iter().zip(&self.change);
        for (w, (&from, &along)) in problem.parameters().iter_mut().zip(line) {
            *w = from + at as f32 * along;
        }
        match problem.evaluate() {
            Ok((value, report)) => {
                Ok(Point { at, value, slope: dot(&self.direction, problem.gradient()), report })
            }
            // Too far is no failure: there the objective is not finite.
            Err(Error::Diverged { .. }) => {
                Ok(Point { at, value: f64::INFINITY, slope: f64::INFINITY, report })
            }
            Err(error) => Err(error),
        }
    }

    /// Chooses the search direction, and returns the objective's slope along it.
    fn choose_direction(&mut self) -> f64 {
        self.apply_inverse_hessian();
        let slope = dot(&self.direction, &self.gradient);
        if slope < 0.0 {
            return slope;
        }
        // The approximation is wrong: begin it anew.
        self.used = 0;
        self.apply_inverse_hessian();
        dot(&self.direction, &self.gradient)
    }

    /// The direction: minus the gradient times the inverse-Hessian approximation (algorithm 7.4).
    fn apply_inverse_hessian(&mut self) {
        let direction = &mut self.direction;
        for (d, &g) in direction.iter_mut().zip(&self.gradient) {
            *d = -g;
        }
        let pairs = &self.pairs[..self.used];
        for (pair, alpha) in pairs.iter().zip(&mut self.alphas) {
            *alpha = pair.inverse * dot(&pair.coordinates, direction);
            add(direction, -*alpha, &pair.gradient);
        }
        if let Some(newest) = pairs.first() {
            let scale = 1.0 / (newest.inverse * dot(&newest.gradient, &newest.gradient));
            direction.iter_mut().for_each(|d| *d *= scale as f32);
        }
        for (pair, alpha) in pairs.iter().zip(&self.alphas).rev() {
            let beta = pair.inverse * dot(&pair.gradient, direction);
            add(direction, alpha - beta, &pair.coordinates);
        }
    }

    /// Keeps what the iteration changed; the new gradient becomes the old one.
    fn remember(&mut self, problem: &mut impl Problem, at: f64) {
        self.pairs.rotate_right(1);
        let newest = &mut self.pairs[0];
        let along = newest.coordinates.iter_mut().zip(&self.direction);
        along.for_each(|(to, direction)| *to = at as f32 * direction);
        let gradient = problem.gradient();
        difference(&mut newest.gradient, gradient, &self.gradient);
        self.gradient.copy_from_slice(gradient);
        let product = dot(&newest.coordinates, &newest.gradient);
        let smallest = 1e-12 * problem.size().powi(-2);
        if product > smallest * dot(&newest.gradient, &newest.gradient) {
            newest.inverse = 1.0 / product;
            self.used = (self.used + 1).min(self.pairs.len());
        } else {
            // No curvature to learn from.
            self.pairs.rotate_left(1);
            self.used = self.used.min(self.pairs.len() - 1);
        }
    }
}

/// Looks further and further away until a point is good or a good one lies between two; then between
/// them. Returns a point that was evaluated last; `None` if no smaller value was found.
fn line_search(
    start: Point,
    first: f64,
    mut evaluate: impl FnMut(f64) -> Result<Point>,
) -> Result<Option<Point>> {
    let decreases =
        |point: &Point| point.value <= start.value + SUFFICIENT_DECREASE * point.at * start.slope;
    let is_flat = |point: &Point| point.slope.abs() <= -CURVATURE * start.slope;
    let (mut low, mut high) = (start, None);
    let mut at = first;
    for _ in 0..MAX_EVALUATIONS {
        let point = evaluate(at)?;
        if !decreases(&point) || (low.at > 0.0 && point.value >= low.value) {
            high = Some(point);
        } else if is_flat(&point) {
            return Ok(Some(point));
        } else if point.slope >= 0.0 {
            (low, high) = (point, Some(low));
        } else {
            // With no far end yet, look further; else nearer to it.
            low = point;
        }
        at = match high {
            None => 2.0 * at,
            Some(high) => between(&low, &high),
        };
        if high.is_some_and(|high| (high.at - low.at).abs() <= 1e-9 * low.at.max(high.at)) {
            break;
        }
    }
    // Rounding hides the rest of the slope: a smaller value is good enough, evaluated again to be
    // the last.
    if low.at > 0.0 && low.value < start.value { evaluate(low.at).map(Some) } else { Ok(None) }
}

/// The lowest point of the cubic through both points, kept off their ends.
fn between(low: &Point, high: &Point) -> f64 {
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
