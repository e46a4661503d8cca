//! The log and the revision: one row a mutation, chained, without holes; nothing written means nothing at all.

use doorward::clock::Clock;
use doorward::store::audit;
use doorward::store::directory::{Directory, LogFilter, LogRow, Slice};
use doorward::store::{Act, CommitError, Letter, Needs, Planned, State, StoreError};
use doorward_engine::change::Change;
use doorward_engine::id::Revision;
use doorward_engine::member::{Grant, Member};
use doorward_engine::role::Role;
use serde_json::json;

use super::records::{
    agent, member, member_id, new_grant, new_member, new_resource, pending, resource, tenant, tenant_id,
    user, user_id,
};
use super::tables::Tables;
use super::{Database, NOW, Store, all, at_once, new, on, on_both, planned, run_on, successes};

/// Every row has the revision after the one before it, its hash and its own.
#[track_caller]
pub(super) fn chain_is_whole(log: &[LogRow], tenant: &str) {
    let mut before = (0, audit::NO_HASH);
    for row in log {
        assert_eq!(row.revision, Revision(before.0 + 1));
        assert_eq!(row.prev_hash, before.1);
        assert!(audit::verify(row, tenant), "{row:?}");
        before = (row.revision.0, row.hash);
    }
}

on_both!(every_mutation_makes_the_next_revision_and_a_link, |store| {
    store.tenant("acme").await;
    for id in 0..5 {
        assert_eq!(
            store.write("acme", vec![new_resource(&format!("a{id}"))]).await.revision,
            Revision(id + 2)
        );
    }
    let log = store.log("acme").await;
    assert_eq!(log.len(), 6);
    chain_is_whole(&log, "acme");
    assert!(Tables::of(&store).await.rows("tenant_rev", "tenant_id = 'acme' AND rev = 6").await.len() == 1);
});

on_both!(a_row_that_was_altered_in_the_database_is_found, |store| {
    store.tenant("acme").await;
    store.write("acme", vec![new_resource("a1")]).await;
    Tables::of(&store).await.execute("UPDATE change_log SET caller = 'nobody' WHERE rev = 1").await;
    let log = store.log("acme").await;
    assert_eq!(log.iter().map(|row| audit::verify(row, "acme")).collect::<Vec<_>>(), [false, true]);
});

on_both!(the_row_says_who_did_what_when_and_to_what, |store| {
    store.tenant("acme").await;
    store.clock.set(NOW.plus_seconds(5));
    let act = Act {
        operation: "SetGrants",
        caller: "service:backend".to_owned(),
        actor: Some(user_id("ada")),
        trace_id: Some("t1".to_owned()),
        ..on("acme")
    };
    let changes = vec![new_member(user("ben")), new_resource("a1"), new_grant("ben", "a1", None)];
    store.try_write(act, changes).await.unwrap();
    let row = store.log("acme").await.pop().unwrap();
    assert_eq!((row.revision, row.at), (Revision(2), NOW.plus_seconds(5)));
    assert_eq!((row.operation.as_str(), row.caller.as_str()), ("SetGrants", "service:backend"));
    assert_eq!((row.actor.as_deref(), row.peer.as_deref()), (Some("ada"), Some("127.0.0.1:9")));
    assert_eq!((row.trace_id.as_deref(), row.request_id), (Some("t1"), None));
    assert_eq!(row.parts, ["member:ben", "user:ben", "resource:agent/a1"]);
    let grant =
        json!({ "kind": "grant", "id": "ben/agent/a1", "before": null, "after": { "expires_at": null } });
    assert_eq!(row.changes[2], grant);
    assert!(!row.changes.to_string().contains("ben@example.com"));
});

on_both!(a_mutation_that_changes_nothing_makes_no_revision, |store| {
    store.tenant("acme").await;
    let before = Tables::of(&store).await.everything().await;
    let receipt = store.write("acme", Vec::new()).await;
    assert_eq!((receipt.revision, receipt.replayed()), (Revision(1), false));
    assert_eq!(Tables::of(&store).await.everything().await, before);
});

on_both!(what_is_only_validated_writes_nothing, |store| {
    store.tenant("acme").await;
    let tables = Tables::of(&store).await;
    let before = tables.everything().await;
    let check = Act { validate_only: true, ..on("acme") };
    let plan = |_: &State| {
        let letters = vec![Letter { kind: "invitation", member: member_id("ben"), payload: vec![1] }];
        Ok(Planned { changes: vec![new_member(pending("ben"))], letters, answer: 7 })
    };
    let receipt = store.commit(check, Needs::default(), plan).await.unwrap();
    assert_eq!((receipt.answer, receipt.revision), (7, Revision(1)));
    let check = Act { validate_only: true, ..new("beta") };
    let creation = vec![Change::Tenant { before: None, after: tenant("beta") }];
    assert_eq!(store.try_write(check, creation).await.unwrap().revision, Revision(0));
    assert_eq!(tables.everything().await, before);
    // The checks that are the database's own are made too.
    let check = Act { validate_only: true, ..new("ACME") };
    let taken = store.try_write(check, vec![Change::Tenant { before: None, after: tenant("ACME") }]).await;
    assert!(matches!(taken, Err(CommitError::SlugTaken)), "{taken:?}");
});

on_both!(a_plan_that_refuses_writes_nothing, |store| {
    store.tenant("acme").await;
    let before = Tables::of(&store).await.everything().await;
    let refused = store.commit(on("acme"), Needs::default(), |_: &State| Err::<Planned<()>, _>("no")).await;
    assert!(matches!(refused, Err(CommitError::Refused("no"))));
    let refused = store.commit(new("beta"), Needs::default(), |_: &State| Err::<Planned<()>, _>("no")).await;
    assert!(matches!(refused, Err(CommitError::Refused("no"))));
    assert_eq!(Tables::of(&store).await.everything().await, before);
});

on_both!(a_write_that_fails_in_the_middle_leaves_nothing, |store| {
    store.tenant("acme").await;
    store.write("acme", vec![new_member(user("ben")), new_resource("a1")]).await;
    let before = Tables::of(&store).await.everything().await;
    let ghost = Change::Resource { before: Some(resource("ghost")), after: resource("ghost") };
    let absent = Change::Grant {
        member: member_id("ben"),
        resource: agent("a1"),
        before: Some(Grant { expires_at: None }),
        after: None,
    };
    let stale = Change::Member {
        before: Some(user("ben")),
        after: Member { role: Role::Admin, person_version: 2, ..user("ben") },
    };
    let twice = new_member(Member { email: member("ben").email, ..member("cy") });
    let same_user = new_member(Member { user_id: Some(user_id("ada")), ..member("cy") });
    let foreign = new_grant("ben", "nowhere", None);
    for wrong in [
        ghost,
        absent,
        stale,
        twice,
        same_user,
        foreign,
        Change::Tenant { before: None, after: tenant("beta") },
    ] {
        let changes =
            vec![new_member(member("dee")), new_resource("a9"), new_grant("dee", "a9", None), wrong.clone()];
        let failed = store.try_write(on("acme"), changes).await;
        assert!(matches!(failed, Err(CommitError::Store(StoreError::Corrupt(_)))), "{wrong:?}: {failed:?}");
        assert_eq!(Tables::of(&store).await.everything().await, before, "{wrong:?}");
    }
    // The lock has gone with the failure.
    store.write("acme", vec![new_resource("a2")]).await;
});

on_both!(letters_go_out_with_the_change_they_tell_of, |store| {
    store.tenant("acme").await;
    let plan = |_: &State| {
        let letter =
            |byte| Letter { kind: "invitation", member: member_id("ben"), payload: vec![byte, 0, 255] };
        Ok(Planned {
            changes: vec![new_member(pending("ben"))],
            letters: vec![letter(1), letter(2)],
            answer: (),
        })
    };
    store.commit(on("acme"), Needs::default(), plan).await.unwrap();
    let letters = Tables::of(&store).await.rows("outbox", "tenant_id = 'acme' AND kind = 'invitation'").await;
    assert_eq!(letters.len(), 2);
    assert!(
        letters.iter().all(|letter| letter.contains(&format!("created_us={}", NOW.micros()))),
        "{letters:?}"
    );
});

/// The revisions of the rows that a filter lets through.
async fn filtered(store: &Store, filter: LogFilter) -> Vec<u64> {
    let rows = store.sql.log("acme".to_owned(), filter, all()).await.unwrap();
    rows.iter().map(|row| row.revision.0).collect()
}

on_both!(the_log_is_filtered_by_actor_operation_member_and_time, |store| {
    store.tenant("acme").await;
    store.tenant("beta").await;
    store
        .write("acme", vec![new_member(user("ben")), new_member(user("ben_x")), new_member(user("benQx"))])
        .await;
    let act = Act { actor: Some(user_id("ada")), operation: "Other", ..on("acme") };
    store.clock.set(NOW.plus_seconds(10));
    store.try_write(act, vec![new_resource("a1"), new_grant("ben_x", "a1", None)]).await.unwrap();
    store.clock.set(NOW.plus_seconds(20));
    store.write("acme", vec![new_grant("benQx", "a1", None)]).await;
    let none = LogFilter::default;
    assert_eq!(filtered(&store, none()).await, [1, 2, 3, 4]);
    assert_eq!(filtered(&store, LogFilter { actor: Some(member_id("ada")), ..none() }).await, [3]);
    assert_eq!(filtered(&store, LogFilter { operation: Some("Other".to_owned()), ..none() }).await, [3]);
    assert_eq!(filtered(&store, LogFilter { operation: Some("other".to_owned()), ..none() }).await, [0; 0]);
    // An id within another one, and one that LIKE would take for a pattern.
    assert_eq!(filtered(&store, LogFilter { member: Some(member_id("ben")), ..none() }).await, [2]);
    assert_eq!(filtered(&store, LogFilter { member: Some(member_id("ben_x")), ..none() }).await, [2, 3]);
    assert_eq!(filtered(&store, LogFilter { member: Some(member_id("benqx")), ..none() }).await, [0; 0]);
    let (from, to) = (Some(NOW.plus_seconds(10)), Some(NOW.plus_seconds(20)));
    assert_eq!(filtered(&store, LogFilter { from, ..none() }).await, [3, 4]);
    assert_eq!(filtered(&store, LogFilter { to, ..none() }).await, [1, 2, 3]);
    assert_eq!(filtered(&store, LogFilter { from, to, ..none() }).await, [3]);
    let slice = Slice { after: Some(Revision(1)), limit: 2 };
    let page = store.sql.log("acme".to_owned(), none(), slice).await.unwrap();
    assert_eq!(page.iter().map(|row| row.revision.0).collect::<Vec<_>>(), [2, 3]);
});

on_both!(a_tenant_that_is_not_there_has_no_state, |store| {
    let state = store.state("nowhere", Needs::default()).await;
    assert!(state.tenant.is_none() && state.actor.is_none());
    assert_eq!((state.revision, state.now), (Revision(0), NOW));
    let failed = store.try_write(on("nowhere"), planned(vec![new_member(member("ada"))]).changes).await;
    assert!(matches!(failed, Err(CommitError::Store(StoreError::Corrupt(_)))), "{failed:?}");
    assert!(store.sql.tenant(tenant_id("nowhere")).await.unwrap().is_none());
});

/// Twenty writers on the real clock: the log's instants never run back, and lie within the test.
async fn time_does_not_run_back(store: Store) {
    let began = store.clock.now();
    store.tenant("acme").await;
    let answers = at_once(20, |caller| {
        let store = store.clone();
        async move { store.try_write(on("acme"), vec![new_resource(&format!("a{caller}"))]).await }
    })
    .await;
    assert_eq!(successes(&answers, |_| false), 20);
    let instants: Vec<_> = store.log("acme").await.iter().map(|row| row.at).collect();
    assert!(instants.is_sorted(), "{instants:?}");
    assert!(instants[0] >= began && instants[20] <= store.clock.now());
    let view = store.sql.tenant(tenant_id("acme")).await.unwrap().unwrap();
    assert!(view.now >= instants[20]);
}

#[test]
fn time_does_not_run_back_on_sqlite() {
    run_on(Clock::real(), Database::Sqlite, time_does_not_run_back);
}

#[test]
fn time_does_not_run_back_on_postgres() {
    run_on(Clock::real(), Database::Postgres, time_does_not_run_back);
}
