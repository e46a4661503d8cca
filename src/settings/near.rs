//! What somebody may have meant: the nearest of the names there are.

/// How many edits away a name may be.
const EDITS_MAX: usize = 3;
/// What a name costs of which only the last part was given.
const PART_ONLY: usize = 2;
/// Longer texts are no misspelt names.
const LENGTH_MAX: usize = 64;

/// The nearest name, if one is near.
pub(super) fn of<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() > LENGTH_MAX {
        return None;
    }
    let text = text.to_lowercase();
    let ranked = names.map(|name| (edits(&text, name).min(edits_of_last(&text, name)), name));
    ranked.min_by_key(|(edits, _)| *edits).filter(|(edits, _)| *edits <= EDITS_MAX).map(|(_, name)| name)
}

fn edits_of_last(text: &str, name: &str) -> usize {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    PART_ONLY + edits(&last(text), &last(name))
}

/// Levenshtein's distance, a row at a time.
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (1..=other.chars().count()).collect();
    for (at, mine) in one.chars().enumerate() {
        let (mut diagonal, mut left) = (at, at + 1);
        for (cell, yours) in row.iter_mut().zip(other.chars()) {
            let here = (diagonal + usize::from(mine != yours)).min(*cell + 1).min(left + 1);
            diagonal = std::mem::replace(cell, here);
            left = here;
        }
    }
    row.last().copied().unwrap_or_else(|| one.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (one, other, expected) in [
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("kitten", "sitting", 3),
            ("listne", "listen", 2),
        ] {
            assert_eq!(edits(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let names = ["server.listen", "server.workers", "admin.listen"];
        for (text, expected) in [
            ("server.listne", Some("server.listen")),
            ("admn.listen", Some("admin.listen")),
            ("server_listen", Some("server.listen")),
            ("SERVER.WORKERS", Some("server.workers")),
            ("workers", Some("server.workers")),
            ("colour", None),
        ] {
            assert_eq!(of(text, names.into_iter()), expected, "{text}");
        }
        assert_eq!(of(&"listen".repeat(20), names.into_iter()), None);
    }
}
