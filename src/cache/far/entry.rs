//! An entry's key and value as bytes: knows how a fact is written down, bound to what it is of, and read back. It trusts
//! nothing that it reads, and knows no Redis.
//!
//! A key: `dw1:{TENANT}:` and then, each after its length, the epoch in hex, the catalogue's version, the version of
//! this program and the part. The tenant in braces is the hash tag: a tenant's entries are in one slot of a cluster.
//! A member who was asked for as a user is under `member-of:` and the user: who asks so again finds both in one question.
//!
//! A value: 20 decimal digits of the revision (in this form a script can compare them), a byte for the layout, a tag of
//! 16 bytes over the key and all the rest, and the fact as postcard.

use std::fmt::Write as _;
use std::sync::Arc;

use doorward_engine::change::Part;
use doorward_engine::id::{Revision, UserId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Scope;
use crate::keys::{Keys, Purpose, TAG_BYTES, Tags};
use crate::store::{Fact, Value};

/// The most bytes of a value: what is larger is neither stored nor read.
pub(super) const VALUE_BYTES_MAX: usize = 1 << 20;
/// The digits of a revision.
pub(super) const REVISION_DIGITS: usize = 20;
/// Another one for each way to write a fact down that cannot be told from the one before.
const LAYOUT: u8 = 1;
const HEADER_BYTES: usize = REVISION_DIGITS + 1;

/// Why what was found counts as a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    /// It is shorter than any value.
    Short,
    /// It is larger than any value.
    Large,
    /// It is of another layout.
    Layout,
    /// We did not write it, or not under this key.
    Tag,
    /// It is no fact.
    Shape,
    /// It is a fact of something else.
    Identity,
}

impl Rejected {
    /// The name that the log uses.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Large => "large",
            Self::Layout => "layout",
            Self::Tag => "tag",
            Self::Shape => "shape",
            Self::Identity => "identity",
        }
    }
}

/// Writes facts down, and reads them back.
#[derive(Debug)]
pub(super) struct Entries {
    tags: Tags,
}

impl Entries {
    pub(super) fn over(keys: &Keys) -> Self {
        Self { tags: keys.tags_of(Purpose::Cache) }
    }

    /// The value of a fact under a key; none where the part is not what it is a fact of, or it is too large.
    pub(super) fn seal(&self, key: &str, part: &Part, fact: &Fact) -> Option<Vec<u8>> {
        let body = body(part, &fact.value)?;
        let mut value = Vec::with_capacity(HEADER_BYTES + TAG_BYTES + body.len());
        value.extend(format!("{:0REVISION_DIGITS$}", fact.revision.0).into_bytes());
        value.push(LAYOUT);
        let tag = self.tags.make(&[&length(key), key.as_bytes(), &value, &body]);
        value.extend(tag);
        value.extend(body);
        (value.len() <= VALUE_BYTES_MAX).then_some(value)
    }

    /// The fact in a value that was found under a key.
    pub(super) fn open(&self, key: &str, part: &Part, value: &[u8]) -> Result<Fact, Rejected> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(Rejected::Large);
        }
        let (header, rest) = value.split_at_checked(HEADER_BYTES).ok_or(Rejected::Short)?;
        let (tag, body) = rest.split_at_checked(TAG_BYTES).ok_or(Rejected::Short)?;
        let (digits, layout) = header.split_at_checked(REVISION_DIGITS).ok_or(Rejected::Short)?;
        if layout != [LAYOUT] {
            return Err(Rejected::Layout);
        }
        if !self.tags.are_ours(&[&length(key), key.as_bytes(), header, body], tag) {
            return Err(Rejected::Tag);
        }
        let revision = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        let revision = Revision(revision.ok_or(Rejected::Shape)?);
        Ok(Fact { revision, value: parse(part, body)? })
    }
}

/// The key of a part of what a scope says.
pub(super) fn key(scope: &Scope, part: &Part) -> String {
    key_of(scope, &part.to_string())
}

/// The key of the facts of the member that a user is, for those who ask by the user.
pub(super) fn member_key(scope: &Scope, user: &UserId) -> String {
    key_of(scope, &format!("member-of:{user}"))
}

fn key_of(scope: &Scope, part: &str) -> String {
    let mut key = format!("dw1:{{{}}}", scope.tenant);
    let epoch = scope.epoch.0.iter().fold(String::new(), |mut hex, byte| {
        // Text in memory takes everything.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    for field in [epoch.as_str(), &scope.catalogue.to_string(), env!("CARGO_PKG_VERSION"), part] {
        let _ = write!(key, ":{}:{field}", field.len());
    }
    key
}

/// Where the key ends in what a tag is over.
fn length(key: &str) -> [u8; 8] {
    (key.len() as u64).to_be_bytes()
}

/// A fact's value as bytes; which kind it is, the key says.
fn body(part: &Part, value: &Value) -> Option<Vec<u8>> {
    if !belongs(part, value) {
        return None;
    }
    match value {
        Value::Tenant(facts) => written(&facts.as_deref()),
        Value::Member(facts) => written(facts),
        Value::User(member) => written(member),
        Value::Key(facts) => written(&facts.as_deref()),
        Value::Resource(facts) => written(facts),
    }
}

fn parse(part: &Part, body: &[u8]) -> Result<Value, Rejected> {
    let value = match part {
        Part::Tenant => Value::Tenant(read(body)?.map(Arc::new)),
        Part::Member(_) => Value::Member(read(body)?),
        Part::User(_) => Value::User(read(body)?),
        Part::Key(_) => Value::Key(read(body)?.map(Arc::new)),
        Part::Resource(_) => Value::Resource(read(body)?),
        Part::Catalogue | Part::Credentials => return Err(Rejected::Identity),
    };
    if belongs(part, &value) { Ok(value) } else { Err(Rejected::Identity) }
}

/// Whether a value is one of a part.
fn belongs(part: &Part, value: &Value) -> bool {
    match (part, value) {
        (Part::Tenant, Value::Tenant(_))
        | (Part::User(_), Value::User(_))
        | (Part::Resource(_), Value::Resource(_)) => true,
        (Part::Member(id), Value::Member(facts)) => facts.as_ref().is_none_or(|facts| facts.id == *id),
        (Part::Key(id), Value::Key(facts)) => facts.as_ref().is_none_or(|facts| facts.id == *id),
        _ => false,
    }
}

fn written<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    postcard::to_stdvec(value).ok()
}

/// To the last byte.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<Option<T>, Rejected> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(Rejected::Shape),
    }
}

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;
