//! Promises of the stream of changes: each once, in order, to who may know of it at that moment.

use std::time::Duration;

use doorward::clock::{Clock, Stopwatch};
use doorward::proto;
use doorward::proto::Role;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

use super::{acme, events, list, rename, text, toggle};
use crate::callers::credential;
use crate::harness::{self, Client, NOW, Server, on_both, refused};
use crate::store::tables::Tables;

type Changes = Streaming<proto::WatchChangesResponse>;

const PATIENCE: Duration = Duration::from_secs(20);

fn after(after_revision: u64) -> proto::WatchChangesRequest {
    proto::WatchChangesRequest { tenant_id: text("acme"), after_revision }
}

async fn watch(mut client: Client, from: u64) -> Changes {
    client.watch_changes(after(from)).await.unwrap().into_inner()
}

async fn next(changes: &mut Changes) -> Result<Option<proto::WatchChangesResponse>, Status> {
    timeout(PATIENCE, changes.message()).await.expect("nothing came")
}

/// The revisions of so many messages.
async fn revisions(changes: &mut Changes, count: usize) -> Vec<u64> {
    let mut found = Vec::new();
    while found.len() < count {
        found.push(next(changes).await.unwrap().expect("the stream ended").revision);
    }
    found
}

on_both!(what_was_changed_is_told_and_then_what_changes, |server| {
    acme(server).await;
    let mut changes = watch(server.acting("acme-owner"), 2).await;
    let told = events(server, list()).await;
    for event in &told[2..] {
        let change = next(&mut changes).await.unwrap().unwrap();
        assert_eq!(
            (change.revision, change.time, &change.operation),
            (event.revision, event.time, &event.operation)
        );
        assert_eq!(change.parts, event.parts);
        assert!(change.parts.iter().all(|part| !part.starts_with("user:")), "{change:?}");
        assert!(!change.revision_token.is_empty());
    }
    // Nothing comes until something changes.
    assert!(timeout(Duration::from_millis(600), changes.message()).await.is_err());
    let done = server.operator().set_section_access(toggle("ben", true)).await.unwrap().into_inner();
    let change = next(&mut changes).await.unwrap().unwrap();
    assert_eq!((change.revision, change.parts), (done.revision, vec![text("member:ben")]));
    // The token is one of those that a mutation answers.
    let at_least = proto::consistency::Requirement::AtLeastAsFresh(change.revision_token);
    let check = proto::CheckAccessRequest {
        tenant_id: text("acme"),
        subject: Some(harness::user_subject("ben")),
        action: text("view"),
        resource: Some(harness::resource("section", "logs")),
        consistency: Some(proto::Consistency { requirement: Some(at_least) }),
        ..Default::default()
    };
    assert!(server.operator().check_access(check).await.unwrap().into_inner().allowed);
});

on_both!(who_resumes_loses_nothing_and_hears_nothing_twice, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    let writer = async |user: usize| {
        let mut client = server.another_connection().await;
        for turn in 0..60 {
            let request = rename("ben", &format!("Ben {user} {turn}"));
            client
                .update_member(proto::UpdateMemberRequest { wait: proto::Wait::Committed.into(), ..request })
                .await
                .unwrap();
        }
    };
    let watcher = async {
        let mut seen: Vec<u64> = Vec::new();
        while seen.len() < 243 {
            let from = seen.last().copied().unwrap_or_default();
            let mut changes = watch(server.another_connection().await, from).await;
            let count = (seen.len() % 50 + 7).min(243 - seen.len());
            seen.extend(revisions(&mut changes, count).await);
        }
        seen
    };
    let (seen, ..) = tokio::join!(watcher, writer(0), writer(1), writer(2), writer(3));
    assert_eq!(seen, (1..=243).collect::<Vec<_>>());
});

on_both!(from_what_is_not_kept_or_not_there_yet_nothing_is_told, |server| {
    acme(server).await;
    Tables::at(&server.url)
        .await
        .execute("DELETE FROM change_log WHERE tenant_id = 'acme' AND rev < 4")
        .await;
    let metadata = |status: &Status, name: &str| {
        status.get_details_error_info().unwrap().metadata.get(name).cloned().unwrap_or_default()
    };
    for from in [0, 1, 2] {
        let status = server.operator().watch_changes(after(from)).await.map(drop).unwrap_err();
        assert_eq!(metadata(&status, "oldest_revision"), "3");
        let told = refused(Err::<(), _>(status), Code::OutOfRange, "REVISION_PRUNED");
        assert!(told.ends_with("resume from is 3"), "{told}");
    }
    assert_eq!(revisions(&mut watch(server.operator(), 3).await, 3).await, [4, 5, 6]);
    let status = server.operator().watch_changes(after(7)).await.map(drop).unwrap_err();
    assert_eq!(metadata(&status, "head_revision"), "6");
    refused(Err::<(), _>(status), Code::OutOfRange, "REVISION_AHEAD");
    // Nothing is left at all: the head is where one can go on.
    Tables::at(&server.url).await.execute("DELETE FROM change_log WHERE tenant_id = 'acme'").await;
    let status = server.operator().watch_changes(after(4)).await.map(drop).unwrap_err();
    assert_eq!(metadata(&status, "oldest_revision"), "6");
    let mut changes = watch(server.operator(), 6).await;
    server.operator().set_section_access(toggle("ben", true)).await.unwrap();
    assert_eq!(revisions(&mut changes, 1).await, [7]);
});

on_both!(the_changes_of_a_tenant_are_its_admins, |server| {
    acme(server).await;
    server.tenant("zeta").await;
    for stranger in ["ben", "zeta-owner", "nobody"] {
        let refusal = server.acting(stranger).watch_changes(after(0)).await.map(drop);
        refused(refusal, Code::PermissionDenied, "PERMISSION_DENIED");
    }
    let nowhere = proto::WatchChangesRequest { tenant_id: text("nowhere"), ..after(0) };
    refused(
        server.operator().watch_changes(nowhere.clone()).await.map(drop),
        Code::NotFound,
        "TENANT_NOT_FOUND",
    );
    let refusal = server.acting("zeta-owner").watch_changes(nowhere).await.map(drop);
    refused(refusal, Code::PermissionDenied, "PERMISSION_DENIED");
    harness::invalid(
        server.operator().watch_changes(proto::WatchChangesRequest::default()).await.map(drop),
        &["tenant_id"],
    );
    // The changes of another tenant are not among these.
    let mut changes = watch(server.acting("acme-owner"), 6).await;
    server.user("zeta", "zoe").await;
    server.operator().set_section_access(toggle("ben", true)).await.unwrap();
    assert_eq!(next(&mut changes).await.unwrap().unwrap().revision, 7);
});

on_both!(an_admin_who_is_none_any_more_hears_nothing_more, |server| {
    server.tenant("acme").await;
    server.member("acme", "amy", Role::Admin).await;
    let mut changes = watch(server.acting("amy"), 0).await;
    assert_eq!(revisions(&mut changes, 3).await, [1, 2, 3]);
    let demote = proto::ChangeMemberRoleRequest {
        tenant_id: text("acme"),
        member_id: text("amy"),
        role: Role::User.into(),
        ..Default::default()
    };
    server.operator().change_member_role(demote).await.unwrap();
    refused(next(&mut changes).await, Code::PermissionDenied, "PERMISSION_DENIED");
    assert!(next(&mut changes).await.unwrap().is_none());
    // Past the store, so that no change is told of: the next look at who it is ends it.
    server.member("acme", "ann", Role::Admin).await;
    let mut changes = watch(server.acting("ann"), 6).await;
    let tables = Tables::at(&server.url).await;
    tables.execute("UPDATE member SET status = 'DISABLED' WHERE member_id = 'ann'").await;
    refused(next(&mut changes).await, Code::PermissionDenied, "PERMISSION_DENIED");
});

on_both!(a_service_that_is_revoked_hears_nothing_more, |server| {
    acme(server).await;
    let secret = credential(server, "reader", &[proto::ServiceScope::Read], &[]).await;
    let head = events(server, list()).await.last().unwrap().revision;
    let mut changes = watch(server.client(&secret, None), head).await;
    server.operator().set_section_access(toggle("ben", true)).await.unwrap();
    assert!(next(&mut changes).await.unwrap().is_some());
    let revoke =
        proto::RevokeServiceCredentialRequest { credential_id: text("reader"), ..Default::default() };
    server.operator().revoke_service_credential(revoke).await.unwrap();
    server.operator().set_section_access(toggle("ben", false)).await.unwrap();
    refused(next(&mut changes).await, Code::Unauthenticated, "UNAUTHENTICATED");
    // Also where nothing happens in the tenant.
    let secret = credential(server, "idle", &[proto::ServiceScope::Read], &[]).await;
    let head = events(server, list()).await.last().unwrap().revision;
    let mut idle = watch(server.client(&secret, None), head).await;
    let revoke = proto::RevokeServiceCredentialRequest { credential_id: text("idle"), ..Default::default() };
    server.operator().revoke_service_credential(revoke).await.unwrap();
    refused(next(&mut idle).await, Code::Unauthenticated, "UNAUTHENTICATED");
});

on_both!(a_slow_reader_holds_up_itself_alone, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    let mut slow = watch(server.another_connection().await, 0).await;
    for turn in 0..400 {
        let request = rename("ben", &format!("Ben {turn} {}", "x".repeat(150)));
        server
            .operator()
            .update_member(proto::UpdateMemberRequest { wait: proto::Wait::Committed.into(), ..request })
            .await
            .unwrap();
    }
    let mut quick = watch(server.operator(), 0).await;
    assert_eq!(revisions(&mut quick, 403).await, (1..=403).collect::<Vec<_>>());
    assert_eq!(server.section("acme", "ben", "traces").await, "SECTION_GRANTED");
    assert_eq!(revisions(&mut slow, 403).await, (1..=403).collect::<Vec<_>>());
});

#[test]
fn a_server_keeps_256_streams_and_says_so() {
    harness::run(harness::Database::Sqlite, async |server| {
        server.tenant("acme").await;
        let mut open = Vec::new();
        for _ in 0..4 {
            let client = server.another_connection().await;
            for _ in 0..64 {
                open.push(watch(client.clone(), 1).await);
            }
        }
        let watching = || server.counted(|series| series == "doorward_watchers");
        assert_eq!(watching(), 256);
        let mut client = server.another_connection().await;
        let status = client.watch_changes(after(1)).await.map(drop).unwrap_err();
        assert!(status.get_details_retry_info().is_some());
        refused(Err::<(), _>(status), Code::Unavailable, "OVERLOADED");
        open.truncate(200);
        for _ in 0..400 {
            if watching() == 200 {
                return drop(watch(client, 1).await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("who went is still counted: {}", watching());
    });
}

#[test]
fn a_stream_ends_when_the_server_stops() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("doorward.db").display());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(doorward::store::sql::migrate(&url)).unwrap();
    let clock = Clock::manual(NOW);
    let running = harness::start(&url, &clock);
    runtime.block_on(async {
        let server = Server::over(running, &url, &clock).await;
        server.tenant("acme").await;
        let mut changes = watch(server.operator(), 0).await;
        assert_eq!(revisions(&mut changes, 1).await, [1]);
        let stopped = tokio::task::spawn_blocking(move || {
            let since = Stopwatch::start();
            server.running.stop();
            since.elapsed()
        });
        assert!(next(&mut changes).await.unwrap().is_none());
        let took = stopped.await.unwrap();
        assert!(took < Duration::from_secs(5), "{took:?}");
    });
}
