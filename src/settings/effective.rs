//! The values in effect, each with where it comes from, as a file that can be read again; secrets are hidden. And what
//! every setting may be, for people.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use secrecy::{ExposeSecret, SecretString};

use super::Settings;
use super::key::{KEYS, Key};
use super::problem::{Given, Source, Value, variable};

/// It says every default, which a test compares with the defaults themselves.
const EXAMPLE: &str = include_str!("../../doorward.example.toml");
/// What a value without a source is.
const DEFAULT: &str = "default";

/// The values that were given: as they were written, and by whom. Any of them may be a secret.
#[derive(Clone, Default)]
pub struct Origins(BTreeMap<&'static str, (SecretString, Source)>);

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origins")
    }
}

impl Origins {
    /// A value was taken.
    pub(super) fn note(&mut self, key: &'static Key, given: &Given) {
        if let Value::Text(text) = &given.value {
            self.0.insert(key.name, (text.as_str().into(), given.source.clone()));
        }
    }

    /// Where the value of a setting comes from.
    pub(super) fn of(&self, name: &str) -> String {
        self.0.get(name).map_or_else(|| DEFAULT.to_owned(), |(_, source)| source.to_string())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(text, _)| text.expose_secret())
    }
}

/// Whether a running service takes a new value of a setting.
fn is_live(name: &str) -> bool {
    name == "log.level" || name.starts_with("limits.")
}

/// The settings that differ from others: those that a running service takes, and those that need a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Taken while it runs.
    pub live: Vec<&'static str>,
    /// Not before a restart.
    pub restart: Vec<&'static str>,
}

impl Settings {
    /// All values in effect, as TOML; a secret is a comment that says whether it is set.
    #[must_use]
    pub fn effective(&self) -> String {
        let defaults = defaults();
        let mut text = String::new();
        each_section(&mut text, |text, section, field, key| {
            let source = printable(&self.origins.of(key.name));
            let value = match (self.origins.text(key.name), default(&defaults, section, field)) {
                (Some(given), default) => Some(written(given, default)),
                (None, default) => default.cloned(),
            };
            match value {
                Some(value) if key.secret && value.as_str() != Some("") => {
                    writeln!(text, "# {field} = (hidden)  # {source}")
                }
                Some(value) => writeln!(text, "{field} = {value}  # {source}"),
                None => writeln!(text, "# {field} is not set"),
            }
        });
        text
    }

    /// What differs in `new`.
    #[must_use]
    pub fn changed(&self, new: &Self) -> Changed {
        let defaults = defaults();
        let value = |settings: &Self, key: &Key| {
            let (section, field) = key.parts();
            let default = default(&defaults, section, field);
            settings.origins.text(key.name).map(|text| written(text, default)).or_else(|| default.cloned())
        };
        let changed = KEYS.iter().filter(|key| value(self, key) != value(new, key)).map(|key| key.name);
        let (live, restart) = changed.partition(|name| is_live(name));
        Changed { live, restart }
    }
}

/// Every setting: its variable, what it may be, its default, and whether a running service takes a new value.
#[must_use]
pub fn reference() -> String {
    let defaults = defaults();
    let mut text = String::new();
    each_section(&mut text, |text, section, field, key| {
        let default = default(&defaults, section, field);
        let default = default.map_or_else(|| "not set".to_owned(), ToString::to_string);
        let live = if is_live(key.name) { "; SIGHUP takes a new value" } else { "" };
        let variable = variable(key.name);
        writeln!(text, "{field}: {}\n    {variable}; default: {default}{live}", key.allowed)
    });
    text
}

/// Each section once, with its keys.
fn each_section(
    text: &mut String,
    mut write: impl FnMut(&mut String, &'static str, &'static str, &'static Key) -> fmt::Result,
) {
    for keys in KEYS.chunk_by(|one, next| one.parts().0 == next.parts().0) {
        let section = keys.first().map_or("", |key| key.parts().0);
        let blank = if text.is_empty() { "" } else { "\n" };
        // Text in memory takes everything.
        let _ = writeln!(text, "{blank}[{section}]");
        for key in keys {
            let _ = write(text, section, key.parts().1, key);
        }
    }
}

fn defaults() -> toml::Table {
    toml::from_str(EXAMPLE).unwrap_or_default()
}

fn default<'a>(defaults: &'a toml::Table, section: &str, field: &str) -> Option<&'a toml::Value> {
    defaults.get(section)?.get(field)
}

/// A number where the default is one.
fn written(text: &str, default: Option<&toml::Value>) -> toml::Value {
    let number = match default {
        Some(toml::Value::Integer(_)) => text.parse().ok().map(toml::Value::Integer),
        Some(toml::Value::Float(_)) => text.parse().ok().map(toml::Value::Float),
        _ => None,
    };
    number.unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

/// In a comment of TOML there is no control character.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests;
