//! Requests by their caller's id: applied once, answered alike, forgotten after a day.

use doorward::store::directory::{Directory, TenantFilter};
use doorward::store::{Act, CommitError, Needs, Planned, Receipt, RequestKey, State};
use doorward_engine::change::Change;
use doorward_engine::id::Revision;

use super::records::{member, new_member, new_resource, tenant, tenant_id};
use super::tables::Tables;
use super::{CALLERS, NOW, No, Store, all, at_once, new, on, on_both, planned, successes};

const A_DAY: i64 = 24 * 60 * 60;

fn keyed(act: Act, id: &str, body: u8) -> Act {
    Act { request: Some(RequestKey { id: id.to_owned(), digest: [body; 32] }), ..act }
}

/// Registers a resource and answers with its id.
fn register(id: &str) -> impl Fn(&State) -> Result<Planned<String>, No> + Clone + Send + use<> {
    let id = id.to_owned();
    move |_: &State| Ok(Planned { changes: vec![new_resource(&id)], letters: Vec::new(), answer: id.clone() })
}

on_both!(a_repeated_request_is_answered_as_the_first_time, |store| {
    store.tenant("acme").await;
    let first = store.commit(keyed(on("acme"), "r1", 1), Needs::default(), register("a1")).await.unwrap();
    assert_eq!((first.answer.as_str(), first.revision, first.replayed()), ("a1", Revision(2), false));
    store.write("acme", vec![new_resource("a2")]).await;
    store.clock.set(NOW.plus_seconds(A_DAY - 1));
    let again = store.commit(keyed(on("acme"), "r1", 1), Needs::default(), register("a3")).await.unwrap();
    assert_eq!((again.answer.as_str(), again.revision, again.replayed()), ("a1", Revision(2), true));
    assert_eq!(store.log("acme").await.len(), 3);
});

on_both!(a_request_id_with_another_body_is_refused, |store| {
    store.tenant("acme").await;
    store.commit(keyed(on("acme"), "r1", 1), Needs::default(), register("a1")).await.unwrap();
    let other = store.commit(keyed(on("acme"), "r1", 2), Needs::default(), register("a2")).await;
    assert!(matches!(other, Err(CommitError::RequestReused)), "{other:?}");
    assert_eq!(store.log("acme").await.len(), 2);
});

on_both!(a_request_id_is_the_callers_and_the_tenants_own, |store| {
    store.tenant("acme").await;
    store.tenant("beta").await;
    let mut other = keyed(on("acme"), "r1", 2);
    other.caller = "service:billing".to_owned();
    for (act, id) in [(keyed(on("acme"), "r1", 1), "a1"), (other, "a2"), (keyed(on("beta"), "r1", 3), "a1")] {
        let answer = store.commit(act, Needs::default(), register(id)).await.unwrap();
        assert_eq!((answer.answer.as_str(), answer.replayed()), (id, false));
    }
});

on_both!(after_a_day_a_request_is_a_new_one, |store| {
    store.tenant("acme").await;
    store.commit(keyed(on("acme"), "r1", 1), Needs::default(), register("a1")).await.unwrap();
    store.commit(keyed(on("acme"), "r2", 1), Needs::default(), register("a2")).await.unwrap();
    store.clock.set(NOW.plus_seconds(A_DAY));
    let again = store.commit(keyed(on("acme"), "r1", 2), Needs::default(), register("a3")).await.unwrap();
    assert_eq!((again.answer.as_str(), again.replayed()), ("a3", false));
    // The other one is forgotten, the one that was taken over is kept.
    let kept = Tables::of(&store).await.rows("request", "true").await;
    assert!(kept.len() == 1 && kept[0].contains("r1"), "{kept:?}");
});

on_both!(what_was_refused_or_only_checked_is_not_remembered, |store| {
    store.tenant("acme").await;
    let refuse = |_: &State| Err::<Planned<String>, _>("no");
    let refused = store.commit(keyed(on("acme"), "r1", 1), Needs::default(), refuse).await;
    assert!(matches!(refused, Err(CommitError::Refused("no"))));
    let check = Act { validate_only: true, ..keyed(on("acme"), "r1", 2) };
    assert!(!store.commit(check, Needs::default(), register("a1")).await.unwrap().replayed());
    let made = store.commit(keyed(on("acme"), "r1", 3), Needs::default(), register("a1")).await.unwrap();
    assert!(!made.replayed());
});

on_both!(a_request_that_changed_nothing_is_remembered_too, |store| {
    store.tenant("acme").await;
    let nothing = |answer: &'static str| {
        move |_: &State| Ok(Planned { changes: Vec::new(), letters: Vec::new(), answer: answer.to_owned() })
    };
    let first = store.commit(keyed(on("acme"), "r1", 1), Needs::default(), nothing("one")).await.unwrap();
    assert_eq!((first.revision, first.replayed()), (Revision(1), false));
    store.write("acme", vec![new_resource("a1")]).await;
    let again = store.commit(keyed(on("acme"), "r1", 1), Needs::default(), nothing("two")).await.unwrap();
    assert_eq!((again.answer.as_str(), again.revision, again.replayed()), ("one", Revision(1), true));
});

on_both!(of_a_hundred_same_requests_one_is_applied, |store| {
    store.tenant("acme").await;
    let answers = at_once(CALLERS, |caller| {
        let store = store.clone();
        let plan = register(&format!("a{caller}"));
        async move { store.commit(keyed(on("acme"), "r1", 1), Needs::default(), plan).await }
    })
    .await;
    one_answer(&answers);
    assert_eq!(store.log("acme").await.len(), 2);
});

/// All succeed with one and the same answer, and one of them is the first.
#[track_caller]
fn one_answer(answers: &[Result<Receipt<String>, CommitError<No>>]) {
    assert_eq!(successes(answers, |_| false), CALLERS);
    let receipts: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap()).collect();
    assert_eq!(receipts.iter().filter(|receipt| !receipt.replayed()).count(), 1);
    for receipt in &receipts {
        assert_eq!((&receipt.answer, receipt.revision), (&receipts[0].answer, receipts[0].revision));
    }
}

/// Creates a tenant with an owner, and answers with its id.
async fn create(store: Store, id: String, request: &str) -> Result<Receipt<String>, CommitError<No>> {
    let act = keyed(new(&id), request, 1);
    let plan = move |_: &State| {
        let changes = vec![Change::Tenant { before: None, after: tenant(&id) }, new_member(member("ada"))];
        Ok(Planned { changes, letters: Vec::new(), answer: id.clone() })
    };
    store.commit(act, Needs::default(), plan).await
}

on_both!(of_a_hundred_same_creations_with_generated_ids_one_tenant_comes, |store| {
    let answers = at_once(CALLERS, |caller| create(store.clone(), format!("t{caller}"), "r1")).await;
    one_answer(&answers);
    let tenants = store.sql.tenants(TenantFilter::default(), all()).await.unwrap().tenants;
    assert_eq!(tenants.len(), 1);
    assert_eq!(tenants[0].id.as_str(), answers[0].as_ref().unwrap().answer);
    assert_eq!(Tables::of(&store).await.rows("tenant_rev", "true").await.len(), 2);
});

on_both!(of_a_hundred_same_creations_with_one_id_one_tenant_comes, |store| {
    let answers = at_once(CALLERS, |_| create(store.clone(), "acme".to_owned(), "r1")).await;
    one_answer(&answers);
    // Without the request id, or with another one, the id is simply taken.
    let other = create(store.clone(), "acme".to_owned(), "r2").await;
    assert!(matches!(other, Err(CommitError::TenantIdTaken)), "{other:?}");
});

on_both!(creations_that_take_over_forgotten_requests_do_not_block_each_other, |store| {
    for id in 0..20 {
        create(store.clone(), format!("old{id}"), &format!("r{id}")).await.unwrap();
    }
    store.clock.set(NOW.plus_seconds(A_DAY));
    let answers = at_once(20, |id| {
        let store = store.clone();
        async move { create(store, format!("new{id}"), &format!("r{id}")).await }
    })
    .await;
    assert_eq!(successes(&answers, |_| false), 20);
    assert!(answers.iter().all(|answer| !answer.as_ref().unwrap().replayed()));
});

on_both!(a_tenant_that_never_was_keeps_no_requests, |store| {
    let answer = store.commit(keyed(on("nowhere"), "r1", 1), Needs::default(), |state: &State| {
        assert!(state.tenant.is_none());
        Ok(planned(Vec::new()))
    });
    let receipt = answer.await.unwrap();
    assert_eq!((receipt.revision, receipt.replayed()), (Revision(0), false));
    assert!(Tables::of(&store).await.rows("request", "true").await.is_empty());
    assert!(store.sql.tenant(tenant_id("nowhere")).await.unwrap().is_none());
});

on_both!(a_repeated_creation_says_whose_revision_the_first_had_made, |store| {
    let create = |id: &str| {
        let change = Change::Tenant { before: None, after: tenant(id) };
        store.try_write(keyed(new(id), "r1", 1), vec![change])
    };
    let first = create("acme").await.unwrap();
    assert_eq!((first.scope.as_str(), first.revision), ("acme", Revision(1)));
    // The service makes up an id each time it is called.
    let again = create("beta").await.unwrap();
    assert!(again.replayed());
    assert_eq!((again.scope.as_str(), again.revision), ("acme", Revision(1)));
    // An answer that was kept before scopes were.
    Tables::of(&store).await.execute("UPDATE request SET scope = ''").await;
    assert_eq!(create("gamma").await.unwrap().scope, "gamma");
});
