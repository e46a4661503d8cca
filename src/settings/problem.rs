//! What is wrong with a setting, where it came from and what is allowed, in a line; secrets are not repeated.

use std::fmt;
use std::path::PathBuf;

use super::key::{KEYS, Key};
use super::near;

/// The most characters of a value that are repeated.
const REPEATED_MAX: usize = 64;

/// A value that a layer gives.
#[derive(Debug)]
pub(super) struct Given {
    /// Section and name.
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) source: Source,
}

/// A value as it was written.
#[derive(Debug)]
pub(super) enum Value {
    /// A single value, in its textual form.
    Text(String),
    /// Something else: a list, say.
    Other(&'static str),
}

/// Where a value came from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    File { path: PathBuf, line: usize },
    Environment(String),
    Flag(&'static str),
}

impl Given {
    pub(super) fn text(name: &str, value: &str, source: Source) -> Self {
        Self { name: name.to_owned(), value: Value::Text(value.to_owned()), source }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => write!(f, "environment variable {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// Everything that is wrong with the settings.
#[derive(Debug)]
pub struct Error(Vec<String>);

impl Error {
    pub(super) fn one(problem: String) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Error {}

/// Problems as they are found.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<String>);

impl Problems {
    /// The value, unless there are problems.
    pub(super) fn or<T>(self, value: T) -> Result<T, Error> {
        if self.0.is_empty() { Ok(value) } else { Err(Error(self.0)) }
    }

    pub(super) fn other(&mut self, source: &Source, what: &str) {
        self.0.push(format!("{source}: {what}"));
    }

    /// There is no such setting.
    pub(super) fn unknown(&mut self, given: &Given) {
        let names = KEYS.iter().map(|key| key.name);
        let near = near::of(&given.name, names.clone());
        let meant = near.map(|near| format!("; did you mean {}?", spelt(&given.source, near)));
        let section = given.name.split('.').next().unwrap_or_default();
        let siblings: Vec<_> = names.clone().filter(|name| name.split('.').next() == Some(section)).collect();
        let known = if siblings.is_empty() { names.collect() } else { siblings };
        let known: Vec<_> = known.into_iter().map(|name| spelt(&given.source, name)).collect();
        let what = match &given.source {
            Source::Environment(_) => "there is no such setting".to_owned(),
            _ => format!("there is no setting `{}`", shortened(&given.name)),
        };
        let what = format!("{what}{}; there are: {}", meant.unwrap_or_default(), known.join(", "));
        self.other(&given.source, &what);
    }

    /// The setting cannot be that.
    pub(super) fn not_allowed(&mut self, given: &Given, key: &Key) {
        let what = match &given.value {
            Value::Other(kind) => format!("a value of type {kind} is"),
            Value::Text(_) if key.secret => "the value (not shown) is".to_owned(),
            Value::Text(text) => format!("`{}` is", shortened(text)),
        };
        let name = match &given.source {
            Source::Environment(_) => String::new(),
            _ => format!("`{}`: ", key.name),
        };
        self.other(&given.source, &format!("{name}{what} not allowed; allowed: {}", key.allowed));
    }

    /// Settings that cannot both be what they are.
    pub(super) fn conflict(&mut self, what: String) {
        self.0.push(what);
    }

    /// A setting that must be there is not.
    pub(super) fn missing(&mut self, name: &str, why: &str) {
        let allowed = super::key::find(name).map_or("", |key| key.allowed);
        let (section, field) = name.split_once('.').unwrap_or((name, name));
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        self.0.push(format!(
            "{name} is not set{why}. Set {}, or `{field}` in the section [{section}] of the file given with \
             --config; allowed: {allowed}",
            variable(name)
        ));
    }
}

/// The name of a setting, as its source would have it.
fn spelt(source: &Source, name: &str) -> String {
    match source {
        Source::Environment(_) => variable(name),
        _ => name.to_owned(),
    }
}

/// The environment variable of a setting.
pub(super) fn variable(name: &str) -> String {
    format!("{}{}", super::environment::PREFIX, name.replace('.', "__").to_uppercase())
}

/// The beginning of what somebody else wrote, without what moves a terminal's cursor.
fn shortened(text: &str) -> String {
    let seen = text.chars().take(REPEATED_MAX);
    seen.map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
