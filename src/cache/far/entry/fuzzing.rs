//! What fuzzing does with values out of Redis: what is accepted we wrote, under this very key; what bears our tag and is
//! no fact does no harm. It knows no Redis.

use std::sync::OnceLock;

use doorward_engine::catalogue::Catalogue;
use doorward_engine::decide::decide;
use doorward_engine::id::{ResourceId, TenantId};
use doorward_engine::instant::Instant;
use doorward_engine::question::{PartAsked, Question, Target};
use doorward_engine::snapshot::{Facts, Subject};

use super::{
    Entries, Fact, HEADER_BYTES, Keys, LAYOUT, Part, REVISION_DIGITS, Rejected, Revision, Scope,
    VALUE_BYTES_MAX, Value, key, length,
};
use crate::store::Epoch;

/// A part, a line, and then what was found under its key: it is taken as a value, and as a fact that bears our tag.
pub fn entry(bytes: &[u8]) {
    let at = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (part, rest) = bytes.split_at(at);
    let found = rest.get(1..).unwrap_or_default();
    let Some(part) = std::str::from_utf8(part).ok().and_then(Part::parse) else { return };
    let Some(own) = scope().map(|scope| key(&scope, &part)) else { return };
    let entries = Entries::over(&Keys::new([1; 32], None));
    if let Ok(fact) = entries.open(&own, &part, found) {
        assert_eq!(entries.seal(&own, &part, &fact).as_deref(), Some(found), "not as we write it");
    }
    let Some(tagged) = tagged(&entries, &own, found) else { return };
    if let Ok(fact) = entries.open(&own, &part, &tagged) {
        kept(&entries, &own, &part, &fact);
        refused(&entries, &own, &part, &tagged);
        use_up(&fact.value);
    }
}

fn scope() -> Option<Scope> {
    let tenant = TenantId::parse("acme").ok()?;
    Some(Scope { epoch: Epoch([0xab; 16]), tenant, catalogue: 12 })
}

/// The bytes as a fact of revision 7, under our tag.
fn tagged(entries: &Entries, own: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut value = format!("{:0REVISION_DIGITS$}", 7).into_bytes();
    value.push(LAYOUT);
    debug_assert_eq!(value.len(), HEADER_BYTES);
    let tag = entries.tags.make(&[&length(own), own.as_bytes(), &value, body]);
    value.extend(tag);
    value.extend(body);
    (value.len() <= VALUE_BYTES_MAX).then_some(value)
}

/// What was understood is written down, and read as the same.
fn kept(entries: &Entries, own: &str, part: &Part, fact: &Fact) {
    assert_eq!(fact.revision, Revision(7));
    let Some(sealed) = entries.seal(own, part, fact) else { return };
    assert_eq!(entries.open(own, part, &sealed).as_ref(), Ok(fact));
}

/// Under another key, with a byte changed, with the end cut off.
fn refused(entries: &Entries, own: &str, part: &Part, tagged: &[u8]) {
    assert_eq!(entries.open(&format!("{own}x"), part, tagged), Err(Rejected::Tag));
    let at = tagged.iter().fold(7, |at, &byte| at * 31 % 65_521 + usize::from(byte));
    let mut changed = tagged.to_vec();
    if let Some(byte) = changed.get_mut(at % tagged.len()) {
        *byte ^= 1 << (at % 8);
    }
    assert!(entries.open(own, part, &changed).is_err(), "byte {} was changed", at % tagged.len());
    changed.truncate(at % tagged.len());
    assert!(entries.open(own, part, &changed).is_err(), "cut off");
}

fn catalogue() -> Option<&'static Catalogue> {
    static CATALOGUE: OnceLock<Option<Catalogue>> = OnceLock::new();
    CATALOGUE.get_or_init(|| crate::catalogue::parse(crate::catalogue::SHIPPED).ok()).as_ref()
}

/// Decides with it.
fn use_up(value: &Value) {
    let Some(catalogue) = catalogue() else { return };
    let (Ok(id), Some(kind)) = (ResourceId::parse("a1"), catalogue.resource_type("agent")) else { return };
    let Some(action) = catalogue.action(kind, "view") else { return };
    let tenant = match value {
        Value::Tenant(facts) => facts.as_deref(),
        _ => None,
    };
    let resource = match value {
        Value::Resource(facts) => facts.as_ref(),
        _ => None,
    };
    let subject = match value {
        Value::Key(facts) => Subject::Key(facts.as_deref()),
        Value::Member(facts) => Subject::Member(facts.as_ref()),
        _ => Subject::Member(None),
    };
    let section = Target::Section { section: catalogue.section("logs"), part: PartAsked::None };
    for target in [Target::Resource { kind, action, id: &id }, section] {
        let facts = Facts { catalogue, tenant, subject, resource };
        let question = Question { target, country: None, email_domain: None };
        let _ = decide(&facts, &question, Instant::from_micros(3));
    }
}
