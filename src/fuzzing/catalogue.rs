//! What fuzzing does with catalogue documents: one that is refused is refused in few words.

use crate::catalogue::{digest, parse};

/// The most lines of an answer, and the most bytes of each.
const LINES_MAX: usize = 101;
const LINE_BYTES_MAX: usize = 1024;

/// A document.
pub fn catalogue(bytes: &[u8]) {
    let Ok(document) = std::str::from_utf8(bytes) else { return };
    match parse(document) {
        Ok(catalogue) => {
            assert_eq!(digest(document).len(), 64);
            for (index, section) in catalogue.sections() {
                assert_eq!(catalogue.section(section.key.as_str()), Some(index));
            }
            for (index, kind) in catalogue.types() {
                assert_eq!(catalogue.resource_type(kind.key.as_str()), Some(index));
            }
        }
        Err(lines) => {
            assert!((1..=LINES_MAX).contains(&lines.len()), "{} lines", lines.len());
            let longest = lines.iter().map(String::len).max().unwrap_or_default();
            assert!(longest <= LINE_BYTES_MAX, "a line of {longest} bytes");
        }
    }
}
