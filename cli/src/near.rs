//! The name that was likely meant.

/// The nearest of some names; None where more than half of it would be another.
///
/// A beginning of a name is that name.
pub fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let from = |of: &str| if of.starts_with(given) { 0 } else { distance(given, of) };
    let nearest = names.map(|of| (from(of), of)).min();
    let is_near = |(distance, _): &(usize, &str)| 2 * distance <= given.chars().count();
    nearest.filter(|of| !given.is_empty() && is_near(of)).map(|(_, of)| of)
}

/// Characters to insert, remove or replace until one text is the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let names = ["adam", "momentum", "l-bfgs"];
        for (given, near) in [
            ("adm", Some("adam")),
            ("mom", Some("momentum")),
            ("lbfgs", Some("l-bfgs")),
            ("sgd", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, names.into_iter()), near, "{given}");
        }
    }
}
