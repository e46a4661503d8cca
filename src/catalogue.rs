//! The catalogue's file format: TOML in, an engine catalogue or teaching errors out.

use doorward_engine::catalogue::{Catalogue, Document};

/// The catalogue that a new deployment starts with.
pub const SHIPPED: &str = doorward_engine::catalogue::SHIPPED;

/// The most bytes a document may have.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// The most lines that say what is wrong with a document; one more says how many were left out.
const LINES_MAX: usize = 20;
/// The most bytes of such a line, and of a piece of the document in it.
const LINE_BYTES_MAX: usize = 512;
const PIECE_BYTES_MAX: usize = 64;

/// Understands a document.
///
/// # Errors
/// One line for each thing that is wrong, up to twenty: where, what, and what is allowed.
pub fn parse(document: &str) -> Result<Catalogue, Vec<String>> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(vec![format!(
            "the document has {} bytes; allowed are {DOCUMENT_BYTES_MAX}",
            document.len()
        )]);
    }
    let parsed: Document =
        toml::from_str(document).map_err(|error| vec![shortened(&problem(document, &error))])?;
    Catalogue::build(parsed).map_err(|problems| {
        let lines = problems.iter().take(LINES_MAX).map(|problem| shortened(&problem.to_string()));
        let more = problems.len().saturating_sub(LINES_MAX);
        lines.chain((more > 0).then(|| format!("and {more} more"))).collect()
    })
}

/// The line without what is too long in it: pieces of the document, which stand between quotes, and its end.
fn shortened(line: &str) -> String {
    let mut shorter = String::with_capacity(line.len().min(2 * LINE_BYTES_MAX));
    for piece in line.split_inclusive(['`', '"', '\'']) {
        match cut(piece, PIECE_BYTES_MAX) {
            Some(beginning) => {
                shorter.extend([beginning, "…", piece.get(piece.len() - 1..).unwrap_or_default()])
            }
            None => shorter.push_str(piece),
        }
    }
    match cut(&shorter, LINE_BYTES_MAX) {
        Some(beginning) => format!("{beginning}…"),
        None => shorter,
    }
}

/// The first bytes of a text that has more.
fn cut(text: &str, bytes_max: usize) -> Option<&str> {
    (text.len() > bytes_max).then(|| text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default())
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
