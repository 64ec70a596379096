//! Places for the labels of a chart's dots.

/// Size of the labels' font.
pub const FONT: f64 = 11.0;
/// Width of a character, about.
const CHARACTER: f64 = 0.58 * FONT;
/// Half the side of a square around a dot.
const DOT: f64 = 5.0;

/// A rectangle in pixels.
#[derive(Clone, Copy)]
pub struct Area {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Area {
    fn overlaps(&self, other: &Area) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn contains(&self, other: &Area) -> bool {
        self.left <= other.left
            && other.right <= self.right
            && self.top <= other.top
            && other.bottom <= self.bottom
    }
}

/// A label at the place of its text, as SVG has it.
pub struct Label<'a> {
    pub x: f64,
    pub y: f64,
    pub anchor: &'static str,
    pub text: &'a str,
}

/// Places labels beside their dots: of each dot the first of its texts that has a place where it covers neither a dot
/// nor another label, and if there is one no line between these points; none where none has.
pub fn place_labels<'a>(
    dots: &[(f64, f64)],
    labels: &[&'a [String]],
    line: &[(f64, f64)],
    within: Area,
) -> Vec<Label<'a>> {
    let lines: Vec<Area> = line.windows(2).flat_map(|ends| along(ends[0], ends[1])).collect();
    let mut taken: Vec<Area> = dots
        .iter()
        .map(|(x, y)| Area { left: x - DOT, top: y - DOT, right: x + DOT, bottom: y + DOT })
        .collect();
    let mut placed = Vec::new();
    for (&dot, texts) in dots.iter().zip(labels) {
        let is_free =
            |area: &Area| within.contains(area) && !taken.iter().any(|it| it.overlaps(area));
        let covers_line = |area: &Area| lines.iter().any(|it| it.overlaps(area));
        let places = || texts.iter().flat_map(|text| around(dot, text));
        let best = places().find(|(_, area)| is_free(area) && !covers_line(area));
        let found = best.or_else(|| places().find(|(_, area)| is_free(area)));
        if let Some((label, area)) = found {
            taken.push(area);
            placed.push(label);
        }
    }
    placed
}

/// Small squares along a line.
fn along(from: (f64, f64), to: (f64, f64)) -> impl Iterator<Item = Area> {
    const STEP: f64 = 3.0;
    let length = (to.0 - from.0).hypot(to.1 - from.1);
    let count = (length / STEP).ceil().max(1.0);
    (0..=count as usize).map(move |at| {
        let share = at as f64 / count;
        let (x, y) = (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1));
        Area { left: x - 1.0, top: y - 1.0, right: x + 1.0, bottom: y + 1.0 }
    })
}

/// The places of a text around a dot, the usual ones first, with the areas that they take.
fn around<'a>((x, y): (f64, f64), text: &'a str) -> [(Label<'a>, Area); 8] {
    let width = text.chars().count() as f64 * CHARACTER;
    let (beside, above, below) = (DOT + 3.0, -DOT - 3.0, DOT + FONT);
    let places = [
        ("start", beside, 0.36 * FONT),
        ("end", -beside, 0.36 * FONT),
        ("middle", 0.0, above),
        ("middle", 0.0, below),
        ("start", DOT, above),
        ("start", DOT, below),
        ("end", -DOT, above),
        ("end", -DOT, below),
    ];
    places.map(|(anchor, right, down)| {
        let (x, y) = (x + right, y + down);
        let left = match anchor {
            "start" => x,
            "end" => x - width,
            _ => x - width / 2.0,
        };
        let area = Area { left, top: y - 0.8 * FONT, right: left + width, bottom: y + 0.2 * FONT };
        (Label { x, y, anchor, text }, area)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Area = Area { left: 0.0, top: 0.0, right: 400.0, bottom: 300.0 };

    fn texts(dots: &[(f64, f64)]) -> Vec<String> {
        let labels: Vec<Vec<String>> =
            (0..dots.len()).map(|at| vec![format!("top-k:{at}"), at.to_string()]).collect();
        let labels: Vec<&[String]> = labels.iter().map(Vec::as_slice).collect();
        place_labels(dots, &labels, &[], WITHIN).iter().map(|label| label.text.to_owned()).collect()
    }

    #[test]
    fn labels_have_places_of_their_own() {
        let spread: Vec<_> =
            (0..9).map(|at| (40.0 * at as f64 + 20.0, 290.0 - 30.0 * at as f64)).collect();
        assert_eq!(texts(&spread).len(), 9);
        assert!(texts(&spread).iter().all(|text| text.starts_with("top-k")));
        // Of dots in one place the first are labeled, in shorter texts where they fit.
        let crowd = vec![(200.0, 150.0); 40];
        assert!((1..40).contains(&texts(&crowd).len()));
        // At the edge there is the other side.
        let labels = ["long label".to_owned()];
        let placed = place_labels(&[(395.0, 5.0)], &[&labels[..]], &[], WITHIN);
        assert_eq!(placed[0].anchor, "end");
    }

    #[test]
    fn labels_are_beside_a_line() {
        let line = [(100.0, 100.0), (300.0, 110.0)];
        let labels = ["label".to_owned()];
        let anchor = |line| place_labels(&[(100.0, 100.0)], &[&labels[..]], line, WITHIN)[0].anchor;
        assert_eq!((anchor(&[]), anchor(&line)), ("start", "end"));
    }

    #[test]
    fn no_label_covers_another() {
        let dots: Vec<_> =
            (0..30).map(|at| (f64::from(at * 37 % 400), f64::from(at * 53 % 300))).collect();
        let labels: Vec<[String; 1]> = (0..30).map(|at| [format!("l1 {at}")]).collect();
        let labels: Vec<&[String]> = labels.iter().map(|texts| &texts[..]).collect();
        let placed = place_labels(&dots, &labels, &[], WITHIN);
        assert!(placed.len() > 20);
        let area = |label: &Label| {
            let width = label.text.len() as f64 * CHARACTER;
            let left = match label.anchor {
                "start" => label.x,
                "end" => label.x - width,
                _ => label.x - width / 2.0,
            };
            Area {
                left,
                top: label.y - 0.8 * FONT,
                right: left + width,
                bottom: label.y + 0.2 * FONT,
            }
        };
        for (at, one) in placed.iter().enumerate() {
            assert!(
                !placed[..at].iter().any(|other| area(other).overlaps(&area(one))),
                "{}",
                one.text
            );
        }
    }
}
