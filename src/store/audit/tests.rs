//! What the log's words promise: one text for the same changes, and a hash that covers every field.

use std::collections::BTreeMap;

use doorward_engine::contact::Email;
use doorward_engine::id::{Name, ResourceId, Revision, TypeKey, UserId};
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
    let text = changes(&[Change::Member { before: Some(ada()), after: ada() }]).unwrap();
    assert!(text.contains(r#""person":7"#), "{text}");
    for personal in ["ada@", "example.com", "Lovelace", "secretive", "email", "display_name", "user_id"] {
        assert!(!text.contains(personal), "{personal} in {text}");
    }
}

#[test]
fn the_same_changes_give_the_same_text_with_sorted_keys() {
    let change = [Change::Member { before: None, after: ada() }];
    let text = changes(&change).unwrap();
    assert_eq!(text, changes(&change).unwrap());
    assert!(text.starts_with(r#"[{"after":{"created_at":1,"id":"m1","#), "{text}");
    assert!(text.contains(r#""before":null"#) && text.contains(r#""kind":"member""#), "{text}");
}

#[test]
fn a_grant_is_told_as_everything_else_is() {
    let resource =
        ResourceRef { kind: TypeKey::parse("agent").unwrap(), id: ResourceId::parse("a1").unwrap() };
    let ends = |at| Some(Grant { expires_at: at });
    let grant = |before, after| Change::Grant {
        member: MemberId::parse("m1").unwrap(),
        resource: resource.clone(),
        before,
        after,
    };
    let all = [
        grant(None, ends(None)),
        grant(ends(None), ends(Some(Instant::from_micros(5)))),
        Change::Member { before: None, after: ada() },
        grant(ends(Some(Instant::from_micros(-5))), None),
    ];
    let text = changes(&all).unwrap();
    let slow = all.iter().map(entry).collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(text, changes_text(&Value::Array(slow)));
    assert_eq!(text, changes_text(&serde_json::from_str(&text).unwrap()));
    let first = r#"[{"after":{"expires_at":null},"before":null,"id":"m1/agent/a1","kind":"grant"},"#;
    assert!(text.starts_with(first), "{text}");
    assert_eq!(changes(&[]).unwrap(), "[]");
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
    let link = Link { parts: &parts_text(&owned(hashed)), changes: &changes, ..LINK };
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
        changes: serde_json::from_str(&changes).unwrap(),
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
