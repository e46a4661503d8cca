//! What fuzzing does with the texts that name things: what is parsed is written as it was, and parsed again as the same.

use std::fmt::Display;

use doorward_engine::change::Part;
use doorward_engine::contact::{Country, Domain, Email};
use doorward_engine::id::{
    ActionKey, IdError, MemberId, Name, ResourceId, SectionKey, Slug, TenantId, UserId,
};
use http::{HeaderMap, HeaderValue};

use crate::wire::convert::{parse_domain, parse_email};
use crate::wire::guard::deadline;

/// A text that may name anything.
pub fn text(bytes: &[u8]) {
    timeout(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(part) = Part::parse(text) {
        assert_eq!(part.to_string(), text);
    }
    as_it_was(text, TenantId::parse(text));
    as_it_was(text, MemberId::parse(text));
    as_it_was(text, ResourceId::parse(text));
    as_it_was(text, SectionKey::parse(text));
    as_it_was(text, ActionKey::parse(text));
    as_it_was(text, Slug::parse(text));
    as_it_was(text, UserId::parse(text));
    if let Ok(name) = Name::parse(text) {
        assert!(name.as_str() == text && !text.chars().any(char::is_control) && text.trim() == text);
    }
    settled(text, Country::parse);
    settled(text, parse_domain);
    settled(text, parse_email);
    if let Ok(email) = parse_email(text) {
        assert_eq!(Email::parse(email.as_str()).as_ref(), Ok(&email));
        assert_eq!(Domain::parse(email.domain().as_str()), Ok(email.domain()));
        assert!(email.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{email}");
    }
}

/// An id is the text itself, and holds nothing that does harm in a log or a path.
fn as_it_was<T: Display>(text: &str, parsed: Result<T, IdError>) {
    if let Ok(id) = parsed {
        assert_eq!(id.to_string(), text);
        assert!(text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!text.contains(['"', '\'', '`', '\\']));
    }
}

/// What a text is normalised to stays as it is.
fn settled<T: Display + PartialEq>(text: &str, parse: impl Fn(&str) -> Result<T, IdError>) {
    if let Ok(first) = parse(text) {
        assert!(parse(&first.to_string()).is_ok_and(|again| again == first), "{text:?} became {first}");
    }
}

/// A caller's timeout is what it says, or is refused.
fn timeout(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let headers = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), value)]);
    match deadline::asked(&headers) {
        Ok(asked) => assert!(asked.is_some() && (2..=9).contains(&bytes.len())),
        Err(violation) => assert!(violation.problem.len() <= 256),
    }
}
