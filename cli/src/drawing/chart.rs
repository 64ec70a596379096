//! Charts as SVG. Colors are attributes, so that a file looks right anywhere, and classes, so that a
//! page can change them in dark mode.

use std::fmt::Write;

use sae_report::escape;

use crate::drawing::labels::{Area, FONT, Label, place_labels};

/// Colors of the series, distinguishable with color blindness.
pub const COLORS: [&str; 6] = ["#0b62a4", "#b85400", "#1b7f4d", "#7a4fb5", "#666666", "#b3262e"];

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 48.0;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Line,
    Dots,
}

pub struct Series {
    pub name: String,
    pub mark: Mark,
    /// Index in [`COLORS`].
    pub color: usize,
    pub points: Vec<(f64, f64)>,
    /// Tooltips of the points; empty for none.
    pub titles: Vec<String>,
    /// Labels of dots, of which the first that has a free place is drawn; empty for none.
    pub labels: Vec<Vec<String>>,
}

impl Series {
    /// Without tooltips.
    pub fn new(
        name: impl Into<String>,
        mark: Mark,
        color: usize,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        let (name, points) = (name.into(), points.into_iter().collect());
        Series { name, mark, color: color % COLORS.len(), points, titles: vec![], labels: vec![] }
    }
}

/// A chart; each axis has a name.
pub struct Chart {
    pub x: &'static str,
    pub y: &'static str,
    pub series: Vec<Series>,
}

/// Maps numbers to pixels; the ends of the axis are round numbers.
struct Axis {
    ticks: Vec<f64>,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        values.for_each(|v| (low, high) = (low.min(v), high.max(v)));
        Axis { ticks: linear_ticks(low, high), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        let (first, last) = (self.ticks[0], self.ticks[self.ticks.len() - 1]);
        self.from + (value - first) / (last - first) * (self.to - self.from)
    }
}

/// At least two round numbers that enclose the range.
fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    // A range of rounding errors alone is one number.
    let (low, high) = if high - low > 1e-9 * high.abs() { (low, high) } else { around(low) };
    let rough = (high - low) / 5.0;
    let magnitude = 10f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let step = factors.into_iter().map(|f| f * magnitude).find(|&s| s >= rough).unwrap_or(rough);
    let first = (low / step).floor() as i64;
    let last = (high / step).ceil() as i64;
    (first..=last).map(|at| at as f64 * step).collect()
}

fn around(value: f64) -> (f64, f64) {
    if value == 0.0 { (0.0, 1.0) } else { (value - value.abs() / 2.0, value + value.abs() / 2.0) }
}

/// A tick's label, without digits that come from rounding errors.
fn tick(value: f64) -> String {
    let value: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    match value.abs() {
        size if size > 0.0 && !(1e-3..1e5).contains(&size) => format!("{value:e}"),
        _ => format!("{value}"),
    }
}

impl Chart {
    /// Whether a point has a place in the chart.
    fn is_visible(&self, &(x, y): &(f64, f64)) -> bool {
        x.is_finite() && y.is_finite()
    }

    /// The content of an SVG file, with a white backbase.
    pub fn file(&self) -> String {
        let attributes =
            r#"xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="13""#;
        let backbase = format!(r##"<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>"##);
        self.svg(attributes, &backbase) + "\n"
    }

    /// The results of `write!` are ignored here and below: writing to a string does not fail.
    fn svg(&self, attributes: &str, backbase: &str) -> String {
        let mut svg = format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" {attributes}>{backbase}"#);
        let points = || {
            let points = self.series.iter().flat_map(|series| &series.points);
            points.filter(|point| self.is_visible(point)).copied()
        };
        if points().next().is_none() {
            let (x, y) = (WIDTH / 2.0, HEIGHT / 2.0);
            let _ = write!(svg, r#"<text x="{x}" y="{y}" text-anchor="middle">no data</text>"#);
            return svg + "</svg>";
        }
        let x = Axis::new(points().map(|p| p.0), LEFT, WIDTH - RIGHT);
        let y = Axis::new(points().map(|p| p.1), HEIGHT - BOTTOM, TOP);
        self.grid(&mut svg, &x, &y);
        for series in &self.series {
            self.draw(&mut svg, series, &x, &y);
        }
        self.label(&mut svg, &x, &y);
        svg + "</svg>"
    }

    /// Labels of the dots, behind which lines are not seen.
    fn label(&self, svg: &mut String, x: &Axis, y: &Axis) {
        // What is drawn on top has the first choice.
        let dots = self.series.iter().rev().filter(|series| series.mark == Mark::Dots);
        let dots = dots.flat_map(|series| {
            let visible =
                series.points.iter().enumerate().filter(|(_, point)| self.is_visible(point));
            let labels = |at| series.labels.get(at).map_or(&[][..], Vec::as_slice);
            visible.map(move |(at, point)| ((x.at(point.0), y.at(point.1)), labels(at)))
        });
        let (places, labels): (Vec<_>, Vec<_>) = dots.unzip();
        let area = Area { left: LEFT, top: TOP - 8.0, right: WIDTH, bottom: HEIGHT - BOTTOM };
        let lines = self.series.iter().filter(|series| series.mark == Mark::Line);
        let points = lines.flat_map(|series| &series.points).filter(|point| self.is_visible(point));
        let line: Vec<_> = points.map(|point| (x.at(point.0), y.at(point.1))).collect();
        for Label { x, y, anchor, text } in place_labels(&places, &labels, &line, area) {
            let text = escape(text);
            let _ = write!(
                svg,
                r##"<text class="label" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{FONT}" fill="#222222" stroke="#ffffff" stroke-width="3" paint-order="stroke">{text}</text>"##
            );
        }
    }

    fn grid(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let low = HEIGHT - BOTTOM;
        for &value in &x.ticks {
            let (at, below, text) = (x.at(value), low + 18.0, tick(value));
            let _ = write!(
                svg,
                r##"<path class="grid" d="M{at:.1} {TOP}V{low}" stroke="#e4e4e4"/><text class="tick" x="{at:.1}" y="{below}" text-anchor="middle" fill="#444444">{text}</text>"##
            );
        }
        for &value in &y.ticks {
            let (at, right, text) = (y.at(value), WIDTH - RIGHT, tick(value));
            let (before, lower) = (LEFT - 8.0, at + 4.0);
            let _ = write!(
                svg,
                r##"<path class="grid" d="M{LEFT} {at:.1}H{right}" stroke="#e4e4e4"/><text class="tick" x="{before}" y="{lower:.1}" text-anchor="end" fill="#444444">{text}</text>"##
            );
        }
        let (middle, under) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 10.0);
        let (x_name, y_name) = (escape(self.x), escape(self.y));
        let _ = write!(
            svg,
            r##"<text class="name" x="{middle}" y="{under}" text-anchor="middle" fill="#222222">{x_name}</text><text class="name" x="8" y="18" fill="#222222">{y_name}</text>"##
        );
    }

    fn draw(&self, svg: &mut String, series: &Series, x: &Axis, y: &Axis) {
        let (class, color) = (format!("c{}", series.color), COLORS[series.color]);
        match series.mark {
            Mark::Line => {
                let mut path = String::new();
                // A point that is missing leaves a gap.
                let mut pen = 'M';
                for point in &series.points {
                    if self.is_visible(point) {
                        let _ = write!(path, "{pen}{:.1} {:.1}", x.at(point.0), y.at(point.1));
                    }
                    pen = if self.is_visible(point) { 'L' } else { 'M' };
                }
                let name = escape(&series.name);
                let _ = write!(
                    svg,
                    r##"<path class="line {class}" d="{path}" fill="none" stroke="{color}" stroke-width="1.8"><title>{name}</title></path>"##
                );
            }
            Mark::Dots => {
                for (at, point) in series.points.iter().enumerate() {
                    if !self.is_visible(point) {
                        continue;
                    }
                    let title = series.titles.get(at).map_or("", |title| title);
                    let (cx, cy, title) = (x.at(point.0), y.at(point.1), escape(title));
                    let _ = write!(
                        svg,
                        r#"<circle class="dot {class}" cx="{cx:.1}" cy="{cy:.1}" r="4.5" fill="{color}" fill-opacity="0.75"><title>{title}</title></circle>"#
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_the_range() {
        for (low, high) in [(0.0, 1.0), (0.0123, 0.0177), (-3.0, 41.0), (7.0, 7.0), (0.0, 0.0)] {
            let ticks = linear_ticks(low, high);
            assert!(ticks[0] <= low && ticks[ticks.len() - 1] >= high, "{low} {high}: {ticks:?}");
            assert!((2..=9).contains(&ticks.len()), "{low} {high}: {ticks:?}");
        }
        let texts = [0.30000000000000004, 0.0, 2e-5, 100.0, 0.05, 2e6].map(tick);
        assert_eq!(texts, ["0.3", "0", "2e-5", "100", "0.05", "2e6"]);
    }

    #[test]
    fn invisible_points_are_left_out() {
        let points = vec![(0.0, 1.0), (1.0, f64::NAN), (f64::INFINITY, 0.0), (3.0, 0.5)];
        let chart = |points| Chart {
            x: "a < b",
            y: "y",
            series: vec![
                Series::new("s", Mark::Line, 0, points),
                Series::new("t", Mark::Dots, 7, vec![(1.0, 1.0)]),
            ],
        };
        let svg = chart(points).file();
        assert!(svg.contains("a &lt; b") && svg.contains(r#"class="dot c1""#), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        // Two line segments of one point each.
        assert_eq!(svg.split(r#"class="line c0" d=""#).nth(1).unwrap().matches('M').count(), 2);
        let mut empty = chart(vec![]);
        assert!(!empty.file().contains("no data"));
        empty.series.clear();
        assert!(empty.file().contains("no data"));
    }
}
