//! The catalogue's file format: TOML in, an engine catalogue or teaching errors out.

use doorward_engine::catalogue::{Catalogue, Document};

/// The catalogue that a new deployment starts with.
pub const SHIPPED: &str = doorward_engine::catalogue::SHIPPED;

/// The most bytes a document may have.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// Understands a document.
///
/// # Errors
/// One line for each thing that is wrong: where, what, and what is allowed.
pub fn parse(document: &str) -> Result<Catalogue, Vec<String>> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(vec![format!(
            "the document has {} bytes; allowed are {DOCUMENT_BYTES_MAX}",
            document.len()
        )]);
    }
    let parsed: Document = toml::from_str(document).map_err(|error| vec![problem(document, &error)])?;
    Catalogue::build(parsed).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// Where, and what. The line itself is not repeated: it may be as long as the document.
fn problem(document: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| document.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |text| text.chars().count()) + 1;
    format!("line {line}, column {column}: {}", error.message().replace('\n', "; "))
}

/// The digest by which documents are told apart: BLAKE3 of the text, in hex.
#[must_use]
pub fn digest(document: &str) -> String {
    blake3::hash(document.as_bytes()).to_hex().to_string()
}
