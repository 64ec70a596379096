//! The text of the progress bar, for a narrow terminal.

use std::time::Duration;

/// Columns at most.
const WIDTH: usize = 60;
/// Columns of the bar itself, at least and at most.
const BAR: [usize; 2] = [5, 14];

/// The figures of a step.
#[derive(Clone, Copy)]
pub struct Shown {
    pub objective: f64,
    /// Active units per sample of a sparse code, and its dead units.
    pub l0: Option<f64>,
    pub dead: Option<usize>,
}

/// How far a training is.
pub struct Place {
    pub step: u64,
    pub steps: u64,
    /// Steps per second.
    pub rate: f64,
    pub left: Duration,
}

impl Place {
    /// The line: steps, objective, L0, dead units and the time that is left, as many as fit.
    ///
    /// A bar is before them, and the rate after them, if there is room.
    pub fn line(&self, shown: Option<Shown>) -> String {
        let &Place { step, steps, rate, left } = self;
        let width = steps.to_string().len();
        let mut parts = vec![format!("{step:width$}/{steps}")];
        if let Some(Shown { objective, l0, dead }) = shown {
            parts.push(format!("objective {}", compact(objective)));
            parts.extend(l0.map(|l0| format!("L0 {}", short(l0))));
            parts.extend(dead.map(|dead| format!("dead {dead}")));
        }
        if left.as_secs() > 0 {
            parts.push(format!("{} left", span(left)));
        }
        let mut text = String::new();
        for part in parts {
            let space = if text.is_empty() { "" } else { "  " };
            if text.len() + space.len() + part.len() <= WIDTH {
                text = text + space + &part;
            }
        }
        let room = |text: &str| (WIDTH - text.len()).saturating_sub(2).min(BAR[1]);
        if room(&text) < BAR[0] {
            return text;
        }
        let at_rate = format!("{text}  {}/s", short(rate));
        let has_rate = rate.is_finite() && rate > 0.0 && at_rate.len() <= WIDTH;
        if has_rate && room(&at_rate) >= BAR[0] {
            text = at_rate;
        }
        let room = room(&text);
        let share = if steps > 0 { step as f64 / steps as f64 } else { 0.0 };
        let done = ((room as f64 * share) as usize).min(room);
        format!("{}{}  {text}", "█".repeat(done), "░".repeat(room - done))
    }
}

/// A number of at most nine characters.
fn compact(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".to_owned(),
        1e3..1e7 => format!("{value:.0}"),
        1e2..1e3 => format!("{value:.1}"),
        1e-3..1e2 => {
            let digits = (3 - size.log10().floor() as i32).max(0) as usize;
            format!("{value:.digits$}")
        }
        _ => format!("{value:.2e}"),
    }
}

/// A number of at most nine characters, with one decimal place if it is small.
fn short(value: f64) -> String {
    if (0.1..99.95).contains(&value) {
        format!("{value:.1}")
    } else if (99.95..1e7).contains(&value) {
        format!("{value:.0}")
    } else {
        compact(value)
    }
}

/// A time such as `3m05s`, of at most six characters.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d", (seconds / 86_400).min(99_999)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_narrow_terminals() {
        let numbers =
            [0.0, 0.0355583, 1e-12, -1e-12, 1e300, 131_072.0, 9_999_999.9, 999.96, f64::NAN];
        for number in numbers.into_iter().chain([f64::INFINITY]) {
            assert!(compact(number).len() <= 9 && short(number).len() <= 9, "{number}");
            for (step, steps) in [(0, 0), (7, 20_000), (1_000_000, 1_000_000), (u64::MAX, u64::MAX)]
            {
                for left in [0, 59, 7199, u64::MAX] {
                    let place =
                        Place { step, steps, rate: number, left: Duration::from_secs(left) };
                    for dead in [None, Some(131_072), Some(usize::MAX)] {
                        let l0 = dead.map(|_| number);
                        for shown in [None, Some(Shown { objective: number, l0, dead })] {
                            let line = place.line(shown);
                            assert!(line.chars().count() <= WIDTH, "{line}");
                            assert!(line.contains(&format!("{step}/{steps}")), "{line}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_line_says_what_matters_first() {
        let shown = Shown { objective: 0.0123456, l0: Some(31.96), dead: Some(131_072) };
        let line = |step, steps, left, shown| {
            Place { step, steps, rate: 831.4, left: Duration::from_secs(left) }.line(Some(shown))
        };
        let figures = "objective 0.01235  L0 32.0  dead 131072";
        assert_eq!(line(1_000_000, 1_000_000, 0, shown), format!("1000000/1000000  {figures}"));
        assert_eq!(line(1000, 2000, 5, shown), format!("1000/2000  {figures}  5s left"));
        let few = Shown { dead: Some(7), ..shown };
        let usual = "█████░░░░░  10/20  objective 0.01235  L0 32.0  dead 7  831/s";
        assert_eq!(line(10, 20, 0, few), usual);
        let dense = Shown { l0: None, dead: None, ..shown };
        let usual = "░░░░░░░░░    500/20000  objective 0.01235  1m05s left  831/s";
        assert_eq!(line(500, 20_000, 65, dense), usual);
    }
}
