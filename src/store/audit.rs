//! The log's words: parts, canonical changes, and the hash that chains a tenant's rows. It knows no database.

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

/// Changes as a JSON array of `{kind, id, before, after}` with sorted keys. A person is told by version only,
/// a token and a secret not at all.
///
/// # Errors
/// Where a record cannot be written as JSON.
pub fn changes(changes: &[Change]) -> Result<Value, serde_json::Error> {
    changes.iter().map(entry).collect::<Result<Vec<_>, _>>().map(Value::Array).map(canonical)
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
            ("grant", grant_id(member, resource), grant(*before), grant(*after))
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

fn grant(grant: Option<Grant>) -> Value {
    grant.map(|grant| json!({ "expires_at": grant.expires_at.map(|end| end.micros()) })).unwrap_or_default()
}

fn resource_id(resource: &ResourceRef) -> String {
    format!("{}/{}", resource.kind, resource.id)
}

fn grant_id(member: &MemberId, resource: &ResourceRef) -> String {
    format!("{member}/{}", resource_id(resource))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use doorward_engine::contact::Email;
    use doorward_engine::id::{Name, Revision, UserId};
    use doorward_engine::instant::Instant;
    use doorward_engine::role::Role;
    use doorward_engine::status::MemberStatus;

    use super::*;

    fn ada() -> Member {
        Member {
            id: MemberId::parse("m1").unwrap(),
            user_id: Some(UserId::parse("auth0|secretive").unwrap()),
            email: Some(Email::parse("ada@example.com").unwrap()),
            display_name: Some(Name::parse("Ada Lovelace").unwrap()),
            role: Role::Admin,
            status: MemberStatus::Active,
            sections: BTreeMap::new(),
            created_at: Instant::from_micros(1),
            invitation_expires_at: None,
            person_version: 7,
            revision: Revision(1),
        }
    }

    const LINK: Link<'_> = Link {
        tenant: "acme",
        revision: 3,
        at_micros: 5,
        operation: "GrantIt",
        caller: "operator",
        actor: Some("m1"),
        request_id: Some("r"),
        peer: Some("p"),
        trace_id: Some("t"),
        parts: "[]",
        changes: "[{}]",
    };

    #[test]
    fn the_log_tells_a_person_by_version_only() {
        let text = changes(&[Change::Member { before: Some(ada()), after: ada() }]).unwrap().to_string();
        assert!(text.contains(r#""person":7"#), "{text}");
        for personal in ["ada@", "example.com", "Lovelace", "secretive", "email", "display_name", "user_id"] {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
    }

    #[test]
    fn the_same_changes_give_the_same_text_with_sorted_keys() {
        let change = [Change::Member { before: None, after: ada() }];
        let text = changes(&change).unwrap().to_string();
        assert_eq!(text, changes(&change).unwrap().to_string());
        assert!(text.starts_with(r#"[{"after":{"created_at":1,"id":"m1","#), "{text}");
        assert!(text.contains(r#""before":null"#) && text.contains(r#""kind":"member""#), "{text}");
    }

    #[test]
    fn parts_are_named_once_each() {
        let change = Change::Member { before: None, after: ada() };
        assert_eq!(parts(&[change.clone(), change]), ["member:m1", "user:auth0|secretive"]);
    }

    #[test]
    fn an_erasure_names_no_user_and_says_that_everything_is_outdated() {
        let erased = Member { email: None, display_name: None, user_id: None, ..ada() };
        let member = MemberId::parse("m1").unwrap();
        let changes = [Change::Member { before: Some(ada()), after: erased }, Change::Erasure { member }];
        assert_eq!(parts(&changes), ["*", "member:m1"]);
        assert_eq!(doorward_engine::change::Part::parse(ALL_PARTS), None);
    }

    #[test]
    fn every_field_changes_the_hash() {
        let others = [
            Link { tenant: "other", ..LINK },
            Link { revision: 4, ..LINK },
            Link { at_micros: 6, ..LINK },
            Link { operation: "Other", ..LINK },
            Link { caller: "other", ..LINK },
            Link { actor: None, ..LINK },
            Link { request_id: None, ..LINK },
            Link { peer: None, ..LINK },
            Link { trace_id: None, ..LINK },
            Link { trace_id: Some(""), ..LINK },
            Link { parts: "[1]", ..LINK },
            Link { changes: "[]", ..LINK },
            Link { operation: "GrantItoperator", caller: "", ..LINK },
            Link { peer: Some("pt"), trace_id: Some(""), ..LINK },
            Link { peer: None, request_id: Some("p"), ..LINK },
        ];
        let mut hashes: BTreeSet<_> = others.iter().map(|link| hash(&NO_HASH, link)).collect();
        hashes.extend([hash(&NO_HASH, &LINK), hash(&[1; 32], &LINK)]);
        assert_eq!(hashes.len(), others.len() + 2);
        assert_eq!(hash(&NO_HASH, &LINK), hash(&NO_HASH, &LINK));
    }

    fn row(hashed: &[&str], parts: &[&str]) -> LogRow {
        let owned = |parts: &[&str]| parts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let changes = changes(&[Change::Member { before: None, after: ada() }]).unwrap();
        let link = Link { parts: &parts_text(&owned(hashed)), changes: &changes.to_string(), ..LINK };
        LogRow {
            revision: Revision(3),
            at: Instant::from_micros(5),
            operation: "GrantIt".to_owned(),
            caller: "operator".to_owned(),
            actor: Some("m1".to_owned()),
            request_id: Some("r".to_owned()),
            peer: Some("p".to_owned()),
            trace_id: Some("t".to_owned()),
            parts: owned(parts),
            hash: hash(&NO_HASH, &link),
            changes,
            prev_hash: NO_HASH,
        }
    }

    #[test]
    fn a_row_that_was_altered_is_found() {
        let row = row(&["tenant"], &["tenant"]);
        assert!(verify(&row, "acme"));
        assert!(!verify(&row, "other"));
        assert!(!verify(&LogRow { actor: None, ..row.clone() }, "acme"));
        assert!(!verify(&LogRow { changes: Value::Null, ..row }, "acme"));
    }

    #[test]
    fn the_hash_covers_no_user_and_an_older_one_may() {
        let with_user = ["member:m1", "user:u1"];
        for named in [&with_user[..], &["member:m1"], &["member:m1", "user:u2"]] {
            let row = row(&["member:m1"], named);
            assert!(verify(&row, "acme"), "{named:?}");
            assert_eq!(hashed_parts(&row, "acme"), ["member:m1"]);
        }
        let older = row(&with_user, &with_user);
        assert!(verify(&older, "acme"));
        assert_eq!(hashed_parts(&older, "acme"), with_user);
        for altered in [&["member:m1"][..], &["member:m1", "user:u2"], &["member:m2", "user:u1"], &[]] {
            let row = row(&with_user, altered);
            assert!(!verify(&row, "acme"), "{altered:?}");
            assert_eq!(hashed_parts(&row, "acme"), impersonal(&row.parts));
        }
        assert!(!verify(&row(&["member:m1"], &["member:m2"]), "acme"));
    }
}
