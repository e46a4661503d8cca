//! The catalogue: one for all, changed by the platform's acts, never under a mutation that relies on it.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Duration;

use doorward::catalogue::{SHIPPED, digest};
use doorward::store::act::PLATFORM;
use doorward::store::{CommitError, Commits, Needs, Receipt, State, StoreError, Target};
use doorward_engine::api_key::SectionPath;
use doorward_engine::change::Change;
use doorward_engine::id::{PlanKey, Revision, SwitchKey};
use doorward_engine::member::Member;
use doorward_engine::status::TenantStatus;
use doorward_engine::tenant::Tenant;
use serde_json::json;
use tokio::task::JoinHandle;

use super::log::chain_is_whole;
use super::records::{api_key, new_key, new_member, new_resource, section, sections, tenant, user};
use super::{Database, NOW, No, Store, act, new, on, on_both, planned};

fn document(comment: &str) -> String {
    format!("# {comment}\n{SHIPPED}")
}

fn replace(state: &State, document: &str) -> Vec<Change> {
    vec![Change::Catalogue {
        before: Some(state.in_force.digest.clone()),
        after: digest(document),
        document: document.to_owned(),
    }]
}

on_both!(a_new_catalogue_is_in_force_for_the_next_act, |store| {
    store.tenant("acme").await;
    let next = document("next");
    let plan = {
        let next = next.clone();
        move |state: &State| Ok(planned(replace(state, &next)))
    };
    let receipt = store.commit(act(Target::Platform), Needs::default(), plan).await.unwrap();
    assert_eq!(receipt.revision, Revision(1));
    let state = store.state("acme", Needs::default()).await;
    assert_eq!((state.in_force.version, &state.in_force.digest), (2, &digest(&next)));
    assert_eq!(state.in_force.document, next);
    let log = store.log(PLATFORM).await;
    chain_is_whole(&log, PLATFORM);
    assert_eq!(log[0].parts, ["catalogue"]);
    let expected = json!([{ "kind": "catalogue", "id": "catalogue", "before": digest(SHIPPED), "after": digest(&next) }]);
    assert_eq!(log[0].changes, expected);
});

on_both!(a_tenants_act_cannot_change_the_catalogue, |store| {
    store.tenant("acme").await;
    let plan = |state: &State| Ok(planned(replace(state, &document("mine"))));
    let failed = store.commit(on("acme"), Needs::default(), plan).await;
    assert!(matches!(failed, Err(CommitError::Store(StoreError::Corrupt(_)))), "{failed:?}");
    assert_eq!(store.state("acme", Needs::default()).await.in_force.version, 1);
});

on_both!(what_is_in_use_is_known_over_all_tenants, |store| {
    let used = Tenant {
        plan: PlanKey::parse("gold").unwrap(),
        switches: [SwitchKey::parse("agentguard").unwrap()].into(),
        defaults: [(section("eval"), false)].into(),
        ..tenant("beta")
    };
    let gone =
        Tenant { plan: PlanKey::parse("never").unwrap(), status: TenantStatus::Deleted, ..tenant("gone") };
    store.tenant("acme").await;
    for tenant in [used, gone] {
        let id = tenant.id.to_string();
        store.try_write(new(&id), vec![Change::Tenant { before: None, after: tenant }]).await.unwrap();
    }
    let mut revoked = api_key("k2", None);
    revoked.revoked_at = Some(NOW);
    revoked.scopes.resources.clear();
    revoked.scopes.sections = [SectionPath::parse("nowhere").unwrap()].into();
    let member = Member { sections: sections(&[("logs", true)]), ..user("ben") };
    let changes =
        vec![new_member(member), new_resource("a1"), new_key(api_key("k1", None)), new_key(revoked)];
    store.write("acme", changes).await;
    let usage = store.state_for(act(Target::Platform), Needs { usage: true, ..Needs::default() }).await.usage;
    let texts = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(texts(&usage.sections), "eval logs settings settings.api_keys");
    assert_eq!(texts(&usage.types), "agent");
    assert_eq!(texts(&usage.actions), "agent.chat");
    assert_eq!(texts(&usage.plans), "gold standard");
    assert_eq!(texts(&usage.switches), "agentguard");
    assert!(store.state("acme", Needs::default()).await.usage.plans.is_empty());
});

/// An act that stands still within its plan until it is told to go on.
struct Standing {
    go_on: mpsc::SyncSender<()>,
    done: JoinHandle<Result<Receipt<()>, CommitError<No>>>,
}

/// Starts an act, and returns when its plan is being asked.
async fn stand(
    store: &Store,
    target: Target,
    changes: impl FnOnce(&State) -> Vec<Change> + Send + 'static,
) -> Standing {
    let (go_on, wait) = mpsc::sync_channel(1);
    let (asked, is_asked) = tokio::sync::oneshot::channel();
    let sql = store.sql.clone();
    let done = tokio::runtime::Handle::current().spawn(async move {
        let plan = move |state: &State| {
            asked.send(()).unwrap();
            wait.recv_timeout(Duration::from_secs(60)).unwrap();
            Ok(planned(changes(state)))
        };
        sql.commit(act(target), Needs::default(), plan).await
    });
    is_asked.await.unwrap();
    Standing { go_on, done }
}

/// Whether an act is still waiting after a while in which it could have been done many times.
async fn waits<T>(done: &mut JoinHandle<T>) -> bool {
    tokio::time::timeout(Duration::from_millis(400), done).await.is_err()
}

on_both!(the_catalogue_is_not_changed_under_a_mutation, |store| {
    store.tenant("acme").await;
    let standing = stand(&store, Target::Tenant(tenant("acme").id), |_| vec![new_resource("a1")]).await;
    let platform = store.clone();
    let mut apply = tokio::runtime::Handle::current().spawn(async move {
        let plan = |state: &State| match state.usage.types.contains("agent") {
            true => Err("in use"),
            false => Ok(planned(replace(state, &document("without agents")))),
        };
        platform.commit(act(Target::Platform), Needs { usage: true, ..Needs::default() }, plan).await
    });
    assert!(waits(&mut apply).await);
    standing.go_on.send(()).unwrap();
    standing.done.await.unwrap().unwrap();
    assert!(matches!(apply.await.unwrap(), Err(CommitError::Refused("in use"))));
});

on_both!(a_mutation_does_not_start_under_a_change_of_the_catalogue, |store| {
    store.tenant("acme").await;
    let standing = stand(&store, Target::Platform, |state| replace(state, &document("next"))).await;
    let seen = {
        let store = store.clone();
        async move { store.state("acme", Needs::default()).await.in_force.version }
    };
    let mut seen = tokio::runtime::Handle::current().spawn(seen);
    let creation = {
        let store = store.clone();
        let plan = |state: &State| match state.in_force.version {
            2 => Ok(planned(vec![Change::Tenant { before: None, after: tenant("beta") }])),
            _ => Err("the old one"),
        };
        async move { store.commit(new("beta"), Needs::default(), plan).await }
    };
    let mut creation = tokio::runtime::Handle::current().spawn(creation);
    assert!(waits(&mut seen).await && waits(&mut creation).await);
    standing.go_on.send(()).unwrap();
    standing.done.await.unwrap().unwrap();
    assert_eq!(seen.await.unwrap(), 2);
    creation.await.unwrap().unwrap();
});

on_both!(mutations_of_different_tenants_do_not_wait_for_each_other, |store| {
    for id in ["acme", "beta"] {
        store.tenant(id).await;
    }
    // SQLite has one writer: there they do.
    if store.database == Database::Postgres {
        let standing = stand(&store, Target::Tenant(tenant("acme").id), |_| vec![new_resource("a1")]).await;
        store.write("beta", vec![new_resource("a1")]).await;
        store.bare_tenant("gamma").await;
        standing.go_on.send(()).unwrap();
        standing.done.await.unwrap().unwrap();
    }
});
