//! Promises of erasing a person: no row of any table tells who they were, and the history stays whole.

use doorward::proto;
use tonic::Code;

use super::verify::{verified, whole};
use super::{events, list, rename, text};
use crate::caches::replicas;
use crate::harness::{Server, on_both, refused, request_id};
use crate::store::tables::Tables;

const USER: &str = "idp|u-canary-77";
const EMAIL: &str = "Cora.Canary@people.example";
const NAMES: [&str; 2] = ["Cora Cuckoo", "Cora Bird"];

fn invite(member: &str) -> proto::InviteMemberRequest {
    proto::InviteMemberRequest {
        tenant_id: text("acme"),
        email: text(EMAIL),
        role: proto::Role::User.into(),
        member_id: text(member),
        display_name: text(NAMES[0]),
        request_id: request_id(),
        ..Default::default()
    }
}

fn activate(member: &str) -> proto::ActivateMemberRequest {
    proto::ActivateMemberRequest {
        tenant_id: text("acme"),
        member_id: text(member),
        user_id: text(USER),
        request_id: request_id(),
        ..Default::default()
    }
}

fn delete(member: &str, erase: bool) -> proto::DeleteMemberRequest {
    proto::DeleteMemberRequest {
        tenant_id: text("acme"),
        member_id: text(member),
        erase,
        ..Default::default()
    }
}

/// A member `m7` with a history in every table, and others beside them.
async fn cora(server: &Server) -> proto::InviteMemberRequest {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    let mut operator = server.operator();
    let invitation = invite("m7");
    operator.invite_member(invitation.clone()).await.unwrap();
    let email = text("pia@people.example");
    let pia = proto::InviteMemberRequest { email, display_name: text("Pia"), ..invite("pia") };
    operator.invite_member(pia).await.unwrap();
    operator.activate_member(activate("m7")).await.unwrap();
    let oneself = proto::UpdateMemberRequest { request_id: request_id(), ..rename("m7", NAMES[1]) };
    server.acting(USER).update_member(oneself).await.unwrap();
    let denied = server.acting(USER).update_member(rename("ben", "x")).await;
    refused(denied, Code::PermissionDenied, "PERMISSION_DENIED");
    invitation
}

/// The tables with a row in which something of the person stands.
async fn told_in(tables: &Tables) -> Vec<String> {
    let mut needles: Vec<String> = [USER, "u-canary-77", EMAIL, "Cora"].map(str::to_lowercase).into();
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    needles.extend([hex(USER), hex(EMAIL), hex("Cora")]);
    let mut found = Vec::new();
    for table in tables.names().await {
        let rows = tables.rows(&table, "true").await;
        let told = |row: &String| needles.iter().any(|needle| row.to_lowercase().contains(needle));
        if rows.iter().any(told) {
            found.push(table);
        }
    }
    found.sort();
    found
}

async fn wait_for_denial(tables: &Tables) {
    for _ in 0..400 {
        if !tables.rows("denied_call", "true").await.is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the denied call was not written");
}

on_both!(an_erased_person_is_in_no_row_of_any_table, |server| {
    let invitation = cora(server).await;
    let tables = Tables::at(&server.url).await;
    wait_for_denial(&tables).await;
    assert_eq!(
        told_in(&tables).await,
        ["change_log", "denied_call", "member", "member_person", "request", "tenant_user"]
    );
    assert_eq!(tables.rows("outbox", "member_id = 'm7'").await.len(), 1);
    assert_eq!(server.section("acme", USER, "traces").await, "SECTION_GRANTED");
    let before = whole(server, "acme");
    let request = proto::DeleteMemberRequest { request_id: request_id(), ..delete("m7", true) };
    let erased = server.acting("acme-owner").delete_member(request.clone()).await.unwrap().into_inner();
    assert_eq!(server.section("acme", USER, "traces").await, "NOT_A_MEMBER");
    assert!(erased.enforced);
    let member = erased.member.clone().unwrap();
    assert_eq!((member.member_id.as_str(), member.status()), ("m7", proto::MemberStatus::Deleted));
    assert_eq!((member.email, member.display_name, member.user_id), Default::default());
    assert_eq!(told_in(&tables).await, [""; 0]);
    assert_eq!(tables.rows("outbox", "true").await.len(), 2);
    assert_eq!(tables.rows("outbox", "member_id = 'm7'").await.len(), 0);
    assert_eq!(tables.rows("denied_call", "true").await.len(), 0);
    assert_eq!(tables.rows("member_person", "member_id = 'm7'").await.len(), 4);
    // The others are as they were, and so is the chain.
    assert_eq!(server.section("acme", "ben", "traces").await, "SECTION_GRANTED");
    assert!(tables.rows("member", "member_id = 'pia'").await.concat().contains("pia@people.example"));
    assert!(tables.rows("change_log", "true").await.concat().contains("user:ben"));
    assert_eq!(whole(server, "acme"), before + 1);
    let event = events(server, list()).await.pop().unwrap();
    assert_eq!((event.operation.as_str(), event.actor.as_str()), ("DeleteMember", "acme-owner"));
    let kinds: Vec<_> =
        event.changes.iter().map(|change| (change.kind.as_str(), change.id.as_str())).collect();
    assert_eq!(kinds, [("member", "m7"), ("erasure", "m7")]);
    assert_eq!(event.parts, ["*", "member:m7"]);
    // Answers that were kept are given again, without the person.
    let again = server.operator().invite_member(invitation).await.unwrap().into_inner();
    let member = again.member.unwrap();
    assert!(again.replayed);
    assert_eq!((member.member_id.as_str(), member.email.as_str()), ("m7", ""));
    let again = server.acting("acme-owner").delete_member(request).await.unwrap().into_inner();
    assert_eq!((again.replayed, again.member), (true, erased.member));
});

on_both!(one_who_was_deleted_before_is_erased_by_deleting_them_again, |server| {
    cora(server).await;
    let tables = Tables::at(&server.url).await;
    wait_for_denial(&tables).await;
    let deleted = server.operator().delete_member(delete("m7", false)).await.unwrap().into_inner();
    assert_eq!(deleted.member.unwrap().email, "Cora.Canary@people.example");
    let seen = told_in(&tables).await;
    assert!(seen.contains(&text("tenant_user")) && seen.contains(&text("change_log")), "{seen:?}");
    let trial = proto::DeleteMemberRequest { validate_only: true, ..delete("m7", true) };
    server.operator().delete_member(trial).await.unwrap();
    assert_eq!(told_in(&tables).await, seen);
    let stale = proto::DeleteMemberRequest { expected_revision: 1, ..delete("m7", true) };
    refused(server.operator().delete_member(stale).await, Code::Aborted, "REVISION_MISMATCH");
    for stranger in ["ben", "nobody"] {
        let refusal = server.acting(stranger).delete_member(delete("m7", true)).await;
        refused(refusal, Code::PermissionDenied, "PERMISSION_DENIED");
    }
    let erased = server.operator().delete_member(delete("m7", true)).await.unwrap().into_inner();
    assert_eq!(told_in(&tables).await, [""; 0]);
    // Once more is nothing new, with `erase` or without.
    for erase in [true, false] {
        let again = server.operator().delete_member(delete("m7", erase)).await.unwrap().into_inner();
        assert_eq!((again.revision, again.member), (erased.revision, erased.member.clone()));
    }
    let get = proto::GetMemberRequest { tenant_id: text("acme"), member_id: text("m7") };
    refused(server.operator().get_member(get).await, Code::NotFound, "MEMBER_NOT_FOUND");
    assert!(verified(server, &["--tenant", "acme"]).1["whole"].as_bool().unwrap());
});

on_both!(who_was_erased_can_be_invited_again_as_another_member, |server| {
    cora(server).await;
    server.operator().delete_member(delete("m7", true)).await.unwrap();
    let same_id = server.operator().invite_member(invite("m7")).await;
    refused(same_id, Code::AlreadyExists, "ID_TAKEN");
    server.operator().invite_member(invite("m8")).await.unwrap();
    server.operator().activate_member(activate("m8")).await.unwrap();
    assert_eq!(server.section("acme", USER, "traces").await, "SECTION_GRANTED");
    // What is the new member's is not the old one's: erasing those again leaves it.
    server.operator().delete_member(delete("m7", true)).await.unwrap();
    assert_eq!(server.section("acme", USER, "traces").await, "SECTION_GRANTED");
    whole(server, "acme");
});

on_both!(erasing_an_earlier_membership_leaves_the_later_one, |server| {
    cora(server).await;
    server.operator().delete_member(delete("m7", false)).await.unwrap();
    server.operator().invite_member(invite("m8")).await.unwrap();
    server.operator().activate_member(activate("m8")).await.unwrap();
    server.operator().delete_member(delete("m7", true)).await.unwrap();
    assert_eq!(server.section("acme", USER, "traces").await, "SECTION_GRANTED");
    let get = proto::GetMemberRequest { tenant_id: text("acme"), member_id: text("m8") };
    let member = server.acting(USER).get_member(get).await.unwrap().into_inner().member.unwrap();
    assert_eq!((member.email.as_str(), member.user_id.as_str()), ("Cora.Canary@people.example", USER));
    let tables = Tables::at(&server.url).await;
    for table in ["member", "member_person"] {
        assert!(!tables.rows(table, "member_id = 'm7'").await.concat().contains("Canary"), "{table}");
    }
    whole(server, "acme");
});

#[test]
fn the_others_of_two_replicas_know_at_once_that_an_erased_person_is_no_member() {
    replicas::replicas(
        |_, _| {},
        2,
        async |servers| {
            let [one, other] = servers else { panic!("two replicas") };
            cora(one).await;
            for server in servers {
                for _ in 0..20 {
                    assert_eq!(server.section("acme", USER, "traces").await, "SECTION_GRANTED");
                }
            }
            assert!(other.decided("near") > 0, "nothing was cached");
            assert!(one.operator().delete_member(delete("m7", true)).await.unwrap().into_inner().enforced);
            assert_eq!(other.section("acme", USER, "traces").await, "NOT_A_MEMBER");
            one.operator().invite_member(invite("m8")).await.unwrap();
            one.operator().activate_member(activate("m8")).await.unwrap();
            assert_eq!(other.section("acme", USER, "traces").await, "SECTION_GRANTED");
        },
    );
}
