//! The example of a file: it has every setting, and says the defaults.

use super::key::KEYS;
use super::tests::{is_default, of_file};

const EXAMPLE: &str = include_str!("../../doorward.example.toml");

#[test]
fn the_example_is_the_defaults_and_names_every_setting() {
    assert!(is_default(&of_file(EXAMPLE).unwrap()));
    // What has no default stands there as a comment, which is good as it is once the sign is taken away.
    let all = EXAMPLE.replace("\n# ", "\n#").lines().map(uncommented).collect::<Vec<_>>().join("\n");
    let table: toml::Table = toml::from_str(&all).unwrap();
    let named: Vec<_> = table
        .iter()
        .flat_map(|(section, fields)| {
            fields.as_table().unwrap().keys().map(move |field| format!("{section}.{field}"))
        })
        .collect();
    let mut expected: Vec<_> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    expected.sort();
    let mut named = named;
    named.sort();
    assert_eq!(named, expected);
    of_file(&all).unwrap();
}

/// `#key = "value"` without its sign; prose stays a comment.
fn uncommented(line: &str) -> &str {
    let rest = line.strip_prefix('#').unwrap_or(line);
    let is_value = rest
        .split_once(" = ")
        .is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    if is_value { rest } else { line }
}
