//! A scatter chart as SVG.

use std::fmt::Write;

use crate::output::short;

/// What a point is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not trained to the end.
    Dropped,
    Ended,
    /// Ended, and beaten by none.
    Front,
}

pub struct Point {
    pub x: f64,
    pub y: f64,
    pub kind: Kind,
    /// Shown when it is pointed at.
    pub title: String,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 60.0;

/// Round numbers from about the least to about the greatest.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low).max(f64::MIN_POSITIVE) / 5.0;
    let magnitude = 10f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let step = factors.into_iter().map(|f| f * magnitude).find(|&s| s >= rough).unwrap_or(rough);
    let first = (low / step).floor() as i64;
    let last = (high / step).ceil() as i64;
    (first..=last).map(|at| at as f64 * step).collect()
}

/// A scale from numbers to pixels, over round numbers.
fn scale(values: &[f64], from: f64, to: f64) -> (Vec<f64>, impl Fn(f64) -> f64 + use<>) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = if low < high { (low, high) } else { (low - 0.5, low + 0.5) };
    let ticks = ticks(low, high);
    let (first, last) = (ticks[0], ticks[ticks.len() - 1]);
    (ticks, move |v| from + (v - first) / (last - first) * (to - from))
}

/// Draws all points that are finite.
pub fn scatter(points: &[Point], x_name: &str, y_name: &str) -> String {
    let seen: Vec<&Point> = points.iter().filter(|p| p.x.is_finite() && p.y.is_finite()).collect();
    let mut svg = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>"##
    );
    if seen.is_empty() {
        let (x, y) = (WIDTH / 2.0, HEIGHT / 2.0);
        let _ =
            write!(svg, r#"<text x="{x}" y="{y}" text-anchor="middle">no outcome</text></svg>"#);
        return svg;
    }
    let (x_ticks, x) = scale(&seen.iter().map(|p| p.x).collect::<Vec<_>>(), LEFT, WIDTH - RIGHT);
    let (y_ticks, y) = scale(&seen.iter().map(|p| p.y).collect::<Vec<_>>(), HEIGHT - BOTTOM, TOP);
    for tick in x_ticks {
        let (at, low, text) = (x(tick), HEIGHT - BOTTOM, short(tick));
        let below = low + 18.0;
        let _ = writeln!(
            svg,
            r##"<line x1="{at:.1}" y1="{TOP}" x2="{at:.1}" y2="{low}" stroke="#e4e4e4"/><text x="{at:.1}" y="{below}" text-anchor="middle" fill="#444">{text}</text>"##
        );
    }
    for tick in y_ticks {
        let (at, right, text) = (y(tick), WIDTH - RIGHT, short(tick));
        let (before, lower) = (LEFT - 8.0, at + 4.0);
        let _ = writeln!(
            svg,
            r##"<line x1="{LEFT}" y1="{at:.1}" x2="{right}" y2="{at:.1}" stroke="#e4e4e4"/><text x="{before}" y="{lower:.1}" text-anchor="end" fill="#444">{text}</text>"##
        );
    }
    let (middle, low) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 14.0);
    let _ = writeln!(
        svg,
        r##"<text x="{middle}" y="{low}" text-anchor="middle" fill="#222">{x_name}</text>"##
    );
    let _ = writeln!(
        svg,
        r##"<text x="{LEFT}" y="22" fill="#222">{y_name}; the line joins what no other beats</text>"##
    );
    let mut front: Vec<&&Point> = seen.iter().filter(|p| p.kind == Kind::Front).collect();
    front.sort_by(|a, b| a.x.total_cmp(&b.x));
    let line: Vec<String> = front.iter().map(|p| format!("{:.1},{:.1}", x(p.x), y(p.y))).collect();
    let line = line.join(" ");
    let _ = writeln!(
        svg,
        r##"<polyline points="{line}" fill="none" stroke="#0b62a4" stroke-width="1.5"/>"##
    );
    for point in &seen {
        let (cx, cy) = (x(point.x), y(point.y));
        let fill = match point.kind {
            Kind::Dropped => "#c8c8c8",
            Kind::Ended => "#7fb2d9",
            Kind::Front => "#0b62a4",
        };
        let title = point.title.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            svg,
            r#"<circle cx="{cx:.1}" cy="{cy:.1}" r="5" fill="{fill}"><title>{title}</title></circle>"#
        );
    }
    svg + "</svg>\n"
}
