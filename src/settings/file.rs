//! Settings of a TOML file: every value with the line that it stands on.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Error, Given, Problems, Source, Value};

/// More than this is no file of settings.
const BYTES_MAX: u64 = 1024 * 1024;

/// The file's text.
pub(super) fn read(path: &Path) -> Result<String, Error> {
    let refused = |what: String| Error::one(format!("{}: {what}", path.display()));
    let bytes = std::fs::metadata(path).map_err(|error| refused(format!("cannot be read: {error}")))?;
    if bytes.len() > BYTES_MAX {
        return Err(refused(format!("has {} bytes; allowed are {BYTES_MAX}", bytes.len())));
    }
    std::fs::read_to_string(path).map_err(|error| refused(format!("cannot be read: {error}")))
}

/// Each value of the file.
pub(super) fn parse(path: &Path, text: &str, problems: &mut Problems) -> Vec<Given> {
    let place = Place { path, text };
    match DeTable::parse(text) {
        Ok(table) => {
            table.get_ref().iter().flat_map(|(section, value)| place.values(section, value)).collect()
        }
        Err(error) => {
            // The error's own form repeats the line, which may hold a secret.
            let at = error.span().map_or(0, |span| span.start);
            problems.other(&place.source(at), &format!("not TOML: {}", error.message()));
            Vec::new()
        }
    }
}

struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn source(&self, at: usize) -> Source {
        let before = self.text.as_bytes().iter().take(at);
        let line = 1 + before.filter(|&&byte| byte == b'\n').count();
        Source::File { path: self.path.to_owned(), line }
    }

    /// What stands at the top: a section with its values, or a value without a section.
    fn values<K: AsRef<str>>(&self, name: &Spanned<K>, value: &Spanned<DeValue<'_>>) -> Vec<Given> {
        let section = name.get_ref().as_ref();
        let DeValue::Table(table) = value.get_ref() else {
            return vec![self.given(section.to_owned(), name.span().start, value.get_ref())];
        };
        if table.is_empty() && !super::key::has_section(section) {
            return vec![self.given(section.to_owned(), name.span().start, value.get_ref())];
        }
        let fields = table.iter().map(|(field, value)| {
            self.given(format!("{section}.{}", field.get_ref()), field.span().start, value.get_ref())
        });
        fields.collect()
    }

    fn given(&self, name: String, at: usize, value: &DeValue<'_>) -> Given {
        Given { name, value: text_of(value), source: self.source(at) }
    }
}

fn text_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Text(number.to_string()),
            Err(_) => Value::Text(number.as_str().to_owned()),
        },
        DeValue::Float(number) => Value::Text(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Text(value.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => Value::Other(value.type_str()),
    }
}
