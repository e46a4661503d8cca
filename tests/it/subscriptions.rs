//! Promises of the subscription RPCs: the legal moves, the instants, who moves, and what the checks make of it.

use doorward::proto;
use doorward::proto::SubscriptionState as State;
use doorward_engine::instant::Instant;
use tonic::Code;

use crate::harness::{NOW, Server, invalid, on_both, refused, request_id, timestamp};

const DAY: i64 = 24 * 60 * 60;

fn at(days: i64) -> Option<prost_types::Timestamp> {
    Some(timestamp(NOW.plus_seconds(days * DAY)))
}

fn to(state: State) -> proto::SetSubscriptionRequest {
    proto::SetSubscriptionRequest { tenant_id: "acme".to_owned(), state: state.into(), ..Default::default() }
}

fn renewal(days: i64) -> proto::RenewSubscriptionRequest {
    proto::RenewSubscriptionRequest {
        tenant_id: "acme".to_owned(),
        period_end: at(days),
        ..Default::default()
    }
}

fn cancel() -> proto::CancelSubscriptionRequest {
    proto::CancelSubscriptionRequest { tenant_id: "acme".to_owned(), ..Default::default() }
}

fn complimentary(complimentary: bool) -> proto::SetComplimentaryRequest {
    proto::SetComplimentaryRequest { tenant_id: "acme".to_owned(), complimentary, ..Default::default() }
}

fn plan(plan: &str) -> proto::SetPlanRequest {
    proto::SetPlanRequest { tenant_id: "acme".to_owned(), plan: plan.to_owned(), ..Default::default() }
}

async fn found(server: &Server) -> (proto::Subscription, u64) {
    let request = proto::GetTenantRequest { tenant_id: "acme".to_owned() };
    let answer = server.operator().get_tenant(request).await.unwrap().into_inner();
    (answer.tenant.unwrap().subscription.unwrap(), answer.tenant_revision)
}

async fn set(server: &Server, request: proto::SetSubscriptionRequest) -> proto::Subscription {
    let answer = server.operator().set_subscription(request).await.unwrap().into_inner();
    answer.tenant.unwrap().subscription.unwrap()
}

/// What an ADMIN gets for `traces` at an instant.
async fn traces(server: &Server, now: Instant) -> String {
    server.clock.set(now);
    server.section("acme", "acme-owner", "traces").await
}

on_both!(a_trial_ends_by_itself_to_the_millisecond, |server| {
    server.tenant("acme").await;
    let end = NOW.plus_seconds(14 * DAY);
    let before = Instant::from_micros(end.micros() - 1_000);
    assert_eq!(traces(server, before).await, "ROLE_ADMIN");
    assert_eq!(found(server).await.0.effective_state(), State::Trialing);
    assert_eq!(traces(server, end).await, "SUBSCRIPTION_EXPIRED");
    let (subscription, revision) = found(server).await;
    assert_eq!((subscription.state(), subscription.effective_state()), (State::Trialing, State::Expired));
    assert_eq!(revision, 1, "no job has flipped anything");
});

on_both!(a_payment_opens_until_the_period_and_its_grace_are_over, |server| {
    server.tenant("acme").await;
    let answer = server.operator().renew_subscription(renewal(30)).await.unwrap().into_inner();
    let subscription = answer.tenant.unwrap().subscription.unwrap();
    assert_eq!(subscription.state(), State::Active);
    assert_eq!((subscription.period_end, subscription.grace_end), (at(30), at(37)));
    for (days, state, reason) in [
        (29, State::Active, "ROLE_ADMIN"),
        (30, State::PendingRenewal, "ROLE_ADMIN"),
        (36, State::PendingRenewal, "ROLE_ADMIN"),
        (37, State::Expired, "SUBSCRIPTION_EXPIRED"),
    ] {
        assert_eq!(traces(server, NOW.plus_seconds(days * DAY)).await, reason, "day {days}");
        assert_eq!(found(server).await.0.effective_state(), state, "day {days}");
    }
    let again = proto::RenewSubscriptionRequest { grace_end: at(70), ..renewal(60) };
    let answer = server.operator().renew_subscription(again).await.unwrap().into_inner();
    assert_eq!(answer.tenant.unwrap().subscription.unwrap().grace_end, at(70));
    assert_eq!(traces(server, NOW.plus_seconds(69 * DAY)).await, "ROLE_ADMIN");
});

on_both!(a_subscription_moves_as_the_table_says_and_in_no_other_way, |server| {
    server.tenant("acme").await;
    let instants = |state: State| proto::SetSubscriptionRequest {
        trial_end: at(14),
        period_end: at(30),
        grace_end: at(40),
        access_until: at(50),
        ..to(state)
    };
    let walk = [
        (State::Trialing, vec![State::PendingRenewal, State::Cancelled]),
        (State::Active, vec![State::Trialing, State::Expired]),
        (State::PendingRenewal, vec![State::Trialing, State::Cancelled]),
        (State::Expired, vec![State::Trialing, State::PendingRenewal, State::Cancelled]),
        (State::Active, vec![State::Trialing, State::Expired]),
        (State::Cancelled, vec![State::Trialing, State::PendingRenewal, State::Expired]),
        (State::Active, vec![]),
    ];
    for (state, illegal) in walk {
        let subscription = set(server, instants(state)).await;
        assert_eq!(subscription.state(), state);
        set(server, instants(state)).await;
        for illegal in illegal {
            let answer = server.operator().set_subscription(instants(illegal)).await;
            let text = refused(answer, Code::FailedPrecondition, "ILLEGAL_MOVE");
            let name = |state: State| state.as_str_name().trim_start_matches("SUBSCRIPTION_STATE_");
            let (from, to) = (name(state), name(illegal));
            let said = format!("the subscription is {from} now and does not move to {to}; from {from}");
            assert!(text.starts_with(&said), "{text}");
        }
    }
});

on_both!(what_is_in_force_counts_and_not_what_is_stored, |server| {
    server.tenant("acme").await;
    server.clock.set(NOW.plus_seconds(15 * DAY));
    let longer = proto::SetSubscriptionRequest { trial_end: at(30), ..to(State::Trialing) };
    let answer = server.operator().set_subscription(longer).await;
    let text = refused(answer, Code::FailedPrecondition, "ILLEGAL_MOVE");
    assert!(text.contains("is EXPIRED now"), "{text}");
    let past = proto::SetSubscriptionRequest { period_end: at(10), ..to(State::Active) };
    let subscription = set(server, past).await;
    assert_eq!((subscription.grace_end, subscription.effective_state()), (at(17), State::PendingRenewal));
    let answer = server.operator().set_subscription(to(State::Cancelled)).await;
    refused(answer, Code::FailedPrecondition, "ILLEGAL_MOVE");
    assert_eq!(set(server, to(State::Expired)).await.state(), State::Expired);
    let forever = set(server, to(State::Active)).await;
    assert_eq!((forever.period_end, forever.grace_end, forever.access_until), (None, None, None));
    assert_eq!(traces(server, NOW.plus_seconds(9_999 * DAY)).await, "ROLE_ADMIN");
});

on_both!(an_admin_cancels_what_is_paid_and_keeps_it_to_the_end_of_the_period, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    let mut admin = server.acting("acme-owner");
    let answer = admin.cancel_subscription(cancel()).await;
    refused(answer, Code::FailedPrecondition, "ILLEGAL_MOVE");
    server.operator().renew_subscription(renewal(30)).await.unwrap();
    let answer = server.acting("ben").cancel_subscription(cancel()).await;
    refused(answer, Code::PermissionDenied, "PERMISSION_DENIED");
    let first = admin.cancel_subscription(cancel()).await.unwrap().into_inner();
    let subscription = first.tenant.unwrap().subscription.unwrap();
    assert_eq!((subscription.state(), subscription.access_until), (State::Cancelled, at(30)));
    let again = admin.cancel_subscription(cancel()).await.unwrap().into_inner();
    assert_eq!(again.revision, first.revision, "nothing changed");
    assert_eq!(traces(server, NOW.plus_seconds(29 * DAY)).await, "ROLE_ADMIN");
    assert_eq!(traces(server, NOW.plus_seconds(30 * DAY)).await, "SUBSCRIPTION_CANCELLED");
    admin.cancel_subscription(cancel()).await.unwrap();
    server.operator().renew_subscription(renewal(60)).await.unwrap();
    assert_eq!(traces(server, NOW.plus_seconds(59 * DAY)).await, "ROLE_ADMIN");
});

on_both!(what_has_no_end_of_its_period_ends_when_it_is_cancelled, |server| {
    server.tenant("acme").await;
    set(server, to(State::Active)).await;
    let answer = server.operator().cancel_subscription(cancel()).await.unwrap().into_inner();
    assert_eq!(answer.tenant.unwrap().subscription.unwrap().access_until, at(0));
    assert_eq!(traces(server, NOW).await, "SUBSCRIPTION_CANCELLED");
});

on_both!(all_but_cancelling_is_the_operators, |server| {
    server.tenant("acme").await;
    server.tenant("zeta").await;
    let (code, reason) = (Code::PermissionDenied, "PERMISSION_DENIED");
    let mut admin = server.acting("acme-owner");
    refused(admin.set_subscription(to(State::Active)).await, code, reason);
    refused(admin.renew_subscription(renewal(30)).await, code, reason);
    refused(admin.set_complimentary(complimentary(true)).await, code, reason);
    refused(admin.set_plan(plan("enterprise")).await, code, reason);
    server.operator().renew_subscription(renewal(30)).await.unwrap();
    refused(server.acting("zeta-owner").cancel_subscription(cancel()).await, code, reason);
    assert_eq!(found(server).await.0.state(), State::Active);
});

on_both!(a_complimentary_tenant_passes_in_any_state, |server| {
    server.tenant("acme").await;
    set(server, to(State::Expired)).await;
    assert_eq!(traces(server, NOW).await, "SUBSCRIPTION_EXPIRED");
    let mut operator = server.operator();
    let on = operator.set_complimentary(complimentary(true)).await.unwrap().into_inner();
    assert!(on.tenant.unwrap().subscription.unwrap().complimentary);
    assert_eq!(traces(server, NOW).await, "ROLE_ADMIN");
    let again = operator.set_complimentary(complimentary(true)).await.unwrap().into_inner();
    assert_eq!(again.revision, on.revision, "nothing changed");
    set(server, proto::SetSubscriptionRequest { period_end: at(1), ..to(State::Active) }).await;
    assert!(found(server).await.0.complimentary, "a move keeps the flag");
    operator.set_complimentary(complimentary(false)).await.unwrap();
    assert_eq!(traces(server, NOW.plus_seconds(10 * DAY)).await, "SUBSCRIPTION_EXPIRED");
});

on_both!(a_plan_is_one_of_the_catalogues, |server| {
    server.tenant("acme").await;
    let mut operator = server.operator();
    let same = operator.set_plan(plan("standard")).await.unwrap().into_inner();
    assert_eq!(same.revision, 1, "nothing changed");
    let moved = operator.set_plan(plan("enterprise")).await.unwrap().into_inner();
    assert_eq!((moved.tenant.unwrap().plan.as_str(), moved.revision), ("enterprise", 2));
    invalid(operator.set_plan(plan("gold")).await, &["plan"]);
    invalid(operator.set_plan(plan("")).await, &["plan"]);
    let both = proto::SetSubscriptionRequest { plan: "standard".to_owned(), ..to(State::Active) };
    let answer = operator.set_subscription(both).await.unwrap().into_inner();
    assert_eq!((answer.tenant.unwrap().plan.as_str(), answer.revision), ("standard", 3));
    let unknown = proto::SetSubscriptionRequest { plan: "gold".to_owned(), ..to(State::Active) };
    invalid(operator.set_subscription(unknown).await, &["plan"]);
});

on_both!(every_wrong_field_of_a_subscription_is_named, |server| {
    server.tenant("acme").await;
    let mut operator = server.operator();
    let never = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
    let wrong = proto::SetSubscriptionRequest {
        tenant_id: String::new(),
        state: 99,
        trial_end: never,
        period_end: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
        grace_end: Some(prost_types::Timestamp { seconds: 0, nanos: 1_000_000_000 }),
        access_until: never,
        plan: "No Plan".to_owned(),
        ..Default::default()
    };
    let fields = ["tenant_id", "state", "trial_end", "period_end", "grace_end", "access_until", "plan"];
    invalid(operator.set_subscription(wrong).await, &fields);
    invalid(operator.set_subscription(to(State::Unspecified)).await, &["state"]);
    let endless = proto::RenewSubscriptionRequest { period_end: None, ..renewal(1) };
    invalid(operator.renew_subscription(endless).await, &["period_end"]);
    set(server, to(State::Active)).await;
    invalid(operator.set_subscription(to(State::PendingRenewal)).await, &["grace_end"]);
    invalid(operator.set_subscription(to(State::Cancelled)).await, &["access_until"]);
});

on_both!(a_lapsed_tenant_grows_no_more_and_may_still_reduce_and_pay, |server| {
    server.tenant("acme").await;
    server.agent("acme", "a1").await;
    set(server, to(State::Expired)).await;
    let mut admin = server.acting("acme-owner");
    let register = proto::RegisterResourceRequest {
        tenant_id: "acme".to_owned(),
        r#type: "agent".to_owned(),
        name: "New".to_owned(),
        ..Default::default()
    };
    let answer = admin.register_resource(register.clone()).await;
    refused(answer, Code::FailedPrecondition, "SUBSCRIPTION_LAPSED");
    let delete = proto::DeleteResourceRequest {
        tenant_id: "acme".to_owned(),
        r#type: "agent".to_owned(),
        resource_id: "a1".to_owned(),
        ..Default::default()
    };
    admin.delete_resource(delete).await.unwrap();
    server.operator().renew_subscription(renewal(30)).await.unwrap();
    admin.register_resource(register).await.unwrap();
});

on_both!(a_payment_is_recorded_once_dry_runs_not_at_all_and_stale_ones_neither, |server| {
    server.tenant("acme").await;
    let mut operator = server.operator();
    let dry = proto::RenewSubscriptionRequest { validate_only: true, ..renewal(30) };
    let answer = operator.renew_subscription(dry).await.unwrap().into_inner();
    assert_eq!(answer.tenant.unwrap().subscription.unwrap().state(), State::Active);
    assert_eq!(found(server).await.0.state(), State::Trialing);
    let request = proto::RenewSubscriptionRequest { request_id: request_id(), ..renewal(30) };
    let first = operator.renew_subscription(request.clone()).await.unwrap().into_inner();
    operator.renew_subscription(renewal(60)).await.unwrap();
    let second = operator.renew_subscription(request.clone()).await.unwrap().into_inner();
    assert_eq!((second.replayed, &second.tenant), (true, &first.tenant));
    assert_eq!(found(server).await.0.period_end, at(60));
    let other = proto::RenewSubscriptionRequest { period_end: at(90), ..request };
    let answer = operator.renew_subscription(other).await;
    refused(answer, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let stale = proto::RenewSubscriptionRequest { expected_revision: 2, ..renewal(90) };
    refused(operator.renew_subscription(stale).await, Code::Aborted, "REVISION_MISMATCH");
});
