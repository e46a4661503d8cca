//! The log's words: parts, canonical changes, and the hash that chains a tenant's rows. It knows no database.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use doorward_engine::change::Change;
use doorward_engine::id::{MemberId, ResourceRef};
use doorward_engine::member::{Grant, Invitation, Member};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::directory::LogRow;

/// The hash before a tenant's first row.
pub const NO_HASH: [u8; 32] = [0; 32];

/// What a row says, the texts as they are stored.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The tenant, or the platform.
    pub tenant: &'a str,
    /// The revision that it made.
    pub revision: u64,
    /// When, in microseconds since the epoch.
    pub at_micros: i64,
    /// The RPC.
    pub operation: &'a str,
    /// The caller.
    pub caller: &'a str,
    /// The member on whose behalf it was done.
    pub actor: Option<&'a str>,
    /// The caller's id of the request.
    pub request_id: Option<&'a str>,
    /// The address of the caller's connection.
    pub peer: Option<&'a str>,
    /// The trace that it belonged to.
    pub trace_id: Option<&'a str>,
    /// The parts, in JSON.
    pub parts: &'a str,
    /// The changes, in canonical JSON.
    pub changes: &'a str,
}

/// The part that stands for all of them: no replica understands it as one, and so drops whatever it knows of the tenant.
pub const ALL_PARTS: &str = "*";

/// Every part that changes make outdated, in order, each once. An erasure names no user: [`ALL_PARTS`] instead.
#[must_use]
pub fn parts(changes: &[Change]) -> Vec<String> {
    let mut parts = BTreeSet::new();
    for change in changes {
        change.touch(&mut parts);
    }
    let texts: Vec<_> = parts.iter().map(ToString::to_string).collect();
    if changes.iter().any(|change| matches!(change, Change::Erasure { .. })) {
        let mut without = impersonal(&texts);
        without.insert(0, ALL_PARTS.to_owned());
        return without;
    }
    texts
}

/// The parts that tell nothing of a person: the others are not hashed, so that they can be erased.
#[must_use]
pub fn impersonal(parts: &[String]) -> Vec<String> {
    parts.iter().filter(|part| !part.starts_with("user:")).cloned().collect()
}

/// The parts as a row's hash covers them. Rows that are older than erasing hash all of them.
#[must_use]
pub fn hashed_parts(row: &LogRow, tenant: &str) -> Vec<String> {
    let impersonal = impersonal(&row.parts);
    let fits_in_full = || impersonal != row.parts && fits(row, tenant, &row.parts);
    if !fits(row, tenant, &impersonal) && fits_in_full() { row.parts.clone() } else { impersonal }
}

/// Changes as a JSON array of `{kind, id, before, after}` with sorted keys, the text that is stored and hashed. A person is
/// told by version only, a token and a secret not at all.
///
/// # Errors
/// Where a record cannot be written as JSON.
pub fn changes(changes: &[Change]) -> Result<String, serde_json::Error> {
    let mut text = vec![b'['];
    for (at, change) in changes.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        match change {
            // An import has thousands of them.
            Change::Grant { member, resource, before, after } => {
                let (before, after) = (before.map(TellGrant::from), after.map(TellGrant::from));
                let entry = GrantEntry { after, before, id: GrantId { member, resource }, kind: "grant" };
                serde_json::to_writer(&mut text, &entry)?;
            }
            other => serde_json::to_writer(&mut text, &canonical(entry(other)?))?,
        }
    }
    text.push(b']');
    String::from_utf8(text).map_err(serde::ser::Error::custom)
}

/// A grant's entry, its fields in order.
#[derive(Serialize)]
struct GrantEntry<'a> {
    after: Option<TellGrant>,
    before: Option<TellGrant>,
    id: GrantId<'a>,
    kind: &'static str,
}

#[derive(Serialize)]
struct TellGrant {
    expires_at: Option<i64>,
}

impl From<Grant> for TellGrant {
    fn from(grant: Grant) -> Self {
        Self { expires_at: grant.expires_at.map(|end| end.micros()) }
    }
}

struct GrantId<'a> {
    member: &'a MemberId,
    resource: &'a ResourceRef,
}

impl Serialize for GrantId<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ResourceRef { kind, id } = self.resource;
        serializer.collect_str(&format_args!("{}/{kind}/{id}", self.member))
    }
}

/// Parts as the text that is stored and hashed.
#[must_use]
pub fn parts_text(parts: &[String]) -> String {
    Value::from(parts).to_string()
}

fn entry(change: &Change) -> Result<Value, serde_json::Error> {
    let (kind, id, before, after) = match change {
        Change::Tenant { before, after } => ("tenant", after.id.to_string(), record(before)?, record(after)?),
        Change::Member { before, after } => {
            let before = before.as_ref().map(member).transpose()?.unwrap_or_default();
            ("member", after.id.to_string(), before, member(after)?)
        }
        Change::Erasure { member } => ("erasure", member.to_string(), Value::Null, Value::Null),
        Change::Invitation { before, after } => {
            let before = before.as_ref().map(invitation).unwrap_or_default();
            ("invitation", after.member.to_string(), before, invitation(after))
        }
        Change::Resource { before, after } => {
            ("resource", resource_id(&after.reference), record(before)?, record(after)?)
        }
        Change::Grant { member, resource, before, after } => {
            let told = |grant: Option<Grant>| record(&grant.map(TellGrant::from));
            ("grant", format!("{member}/{}", resource_id(resource)), told(*before)?, told(*after)?)
        }
        Change::ApiKey { before, after, secret: _ } => {
            ("api_key", after.id.to_string(), record(before)?, record(after)?)
        }
        Change::ServiceCredential { before, after } => {
            ("service_credential", after.id.to_string(), record(before)?, record(after)?)
        }
        Change::Catalogue { before, after, document: _ } => {
            ("catalogue", "catalogue".to_owned(), record(before)?, record(after)?)
        }
    };
    Ok(json!({ "kind": kind, "id": id, "before": before, "after": after }))
}

fn record(record: &impl Serialize) -> Result<Value, serde_json::Error> {
    serde_json::to_value(record)
}

fn member(member: &Member) -> Result<Value, serde_json::Error> {
    let mut value = record(member)?;
    if let Value::Object(fields) = &mut value {
        for personal in ["email", "display_name", "user_id", "person_version"] {
            fields.remove(personal);
        }
        fields.insert("person".to_owned(), member.person_version.into());
    }
    Ok(value)
}

fn invitation(invitation: &Invitation) -> Value {
    json!({ "expires_at": invitation.expires_at.micros(), "status": invitation.status.name() })
}

fn resource_id(resource: &ResourceRef) -> String {
    format!("{}/{}", resource.kind, resource.id)
}

/// The changes as the text that is stored and hashed.
#[must_use]
pub fn changes_text(changes: &Value) -> String {
    canonical(changes.clone()).to_string()
}

/// The same value with every object's keys in order, however the map of this build keeps them.
fn canonical(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(
                fields.into_iter().map(|(key, value)| (key, canonical(value))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(values) => Value::Array(values.into_iter().map(canonical).collect()),
        other => other,
    }
}

/// The hash of a row: BLAKE3 of the hash before it and of every field, each with its length.
#[must_use]
pub fn hash(before: &[u8; 32], link: &Link<'_>) -> [u8; 32] {
    let Link {
        tenant,
        revision,
        at_micros,
        operation,
        caller,
        actor,
        request_id,
        peer,
        trace_id,
        parts,
        changes,
    } = *link;
    let mut hasher = blake3::Hasher::new();
    field(&mut hasher, Some(before));
    field(&mut hasher, Some(tenant.as_bytes()));
    field(&mut hasher, Some(&revision.to_le_bytes()));
    field(&mut hasher, Some(&at_micros.to_le_bytes()));
    for text in [Some(operation), Some(caller), actor, request_id, peer, trace_id, Some(parts), Some(changes)]
    {
        field(&mut hasher, text.map(str::as_bytes));
    }
    *hasher.finalize().as_bytes()
}

/// An absent field is not an empty one.
fn field(hasher: &mut blake3::Hasher, bytes: Option<&[u8]>) {
    match bytes {
        None => hasher.update(&[0]),
        Some(bytes) => hasher.update(&[1]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes),
    };
}

/// Whether a row of a tenant's log has the hash that its fields and the hash before it give. Rows that are older than
/// erasing hash the parts that name users too.
#[must_use]
pub fn verify(row: &LogRow, tenant: &str) -> bool {
    fits(row, tenant, &impersonal(&row.parts)) || fits(row, tenant, &row.parts)
}

fn fits(row: &LogRow, tenant: &str, parts: &[String]) -> bool {
    let link = Link {
        tenant,
        revision: row.revision.0,
        at_micros: row.at.micros(),
        operation: &row.operation,
        caller: &row.caller,
        actor: row.actor.as_deref(),
        request_id: row.request_id.as_deref(),
        peer: row.peer.as_deref(),
        trace_id: row.trace_id.as_deref(),
        parts: &parts_text(parts),
        changes: &changes_text(&row.changes),
    };
    hash(&row.prev_hash, &link) == row.hash
}
