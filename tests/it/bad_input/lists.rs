//! Lists and pages of every size but an allowed one, and requests with so many mistakes that not all can be told.

use doorward::proto;
use prost_reflect::{DynamicMessage, MapKey, MethodDescriptor, Value};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::walk::{Place, places};
use super::{Bench, Case, good, untaught};
use crate::harness::{Database, refused, resource, run, user_subject};

/// One more than any list may have.
const TOO_MANY: usize = 1_001;

fn too_many(place: &Place, entry: Value) -> Value {
    if place.field().is_list() {
        return Value::List(vec![entry; TOO_MANY]);
    }
    let value = |n: usize| {
        if place.field().name() == "tags" { Value::String(n.to_string()) } else { Value::Bool(true) }
    };
    Value::Map((0..TOO_MANY).map(|n| (MapKey::String(format!("k{n}")), value(n))).collect())
}

#[test]
fn a_list_of_a_thousand_and_one_is_named_in_every_rpc() {
    run(Database::Sqlite, async |server| {
        let mut bench = Bench::over(server).await;
        for (method, request) in good() {
            let is_many = |place: &Place| place.field().is_list() || place.field().is_map();
            let mut cases = Vec::new();
            for place in places(&method.input()).into_iter().filter(is_many) {
                let entry = if place.field().is_list() { place.entry(&request) } else { Value::Bool(true) };
                let spoiled = place.with_whole(&request, Some(too_many(&place, entry)));
                let case =
                    Case::invalid(&method, format!("1001 {}", place.path()), &spoiled, &place.whole_path());
                cases.push(case.among_others(!place.has_room_in(&request)));
            }
            bench.all(cases).await;
        }
        bench.end(15).await;
    });
}

fn pages(method: &MethodDescriptor, request: &DynamicMessage, place: &Place) -> Vec<Case> {
    let sized = |size: i32| place.with(request, Value::I32(size));
    let bad = [-1, i32::MIN]
        .map(|size| Case::invalid(method, format!("a page of {size}"), &sized(size), "page_size"));
    let good = [0, 1_000, 1_000_000_000, i32::MAX]
        .map(|size| Case::good(method, format!("a page of {size}"), &sized(size)));
    bad.into_iter().chain(good).collect()
}

#[test]
fn a_page_of_less_than_nothing_is_named_and_one_of_a_billion_is_the_longest_there_is() {
    run(Database::Sqlite, async |server| {
        let mut bench = Bench::over(server).await;
        for (method, request) in good() {
            let sizes: Vec<_> = places(&method.input())
                .into_iter()
                .filter(|place| place.field().name() == "page_size")
                .collect();
            for place in sizes {
                bench.all(pages(&method, &request, &place)).await;
            }
        }
        bench.end(50).await;
    });
}

/// The first of very many mistakes are told, and that there are more; the answer fits into what clients take.
#[track_caller]
fn cut_off<T: std::fmt::Debug>(answer: Result<T, Status>, first: &str) {
    let status = answer.expect_err("should have been refused");
    assert_eq!(untaught(&status), None, "{status:?}");
    let named = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(named[0].field, first);
    assert!((5..100).contains(&named.len()), "{}", named.len());
    let (last, count) = (&named[named.len() - 1], " more mistakes: correct these first");
    assert!(last.field == "request" && last.description.ends_with(count), "{last:?}");
    let text = refused(Err::<(), _>(status), Code::InvalidArgument, "INVALID_FIELD");
    assert!(text.ends_with("; and more"), "{text}");
}

#[test]
fn thousands_of_mistakes_are_an_answer_that_every_client_can_take() {
    run(Database::Sqlite, async |server| {
        let bench = Bench::over(server).await;
        let mut operator = server.operator();
        let bad = "日".repeat(64);
        let check = proto::Check { action: String::new(), resource: Some(resource("", &bad)) };
        let batch = proto::BatchCheckAccessRequest {
            tenant_id: "acme".to_owned(),
            subject: Some(user_subject("ben")),
            checks: vec![check; 1_000],
            ..Default::default()
        };
        cut_off(operator.batch_check_access(batch).await, "checks[0].action");
        let invitee = proto::Invitee { email: bad.clone(), role: 999, ..Default::default() };
        let batch = proto::BatchInviteMembersRequest {
            tenant_id: "acme".to_owned(),
            invitees: vec![invitee; 1_000],
            ..Default::default()
        };
        cut_off(operator.batch_invite_members(batch).await, "invitees[0].email");
        let change = proto::GrantChange { member_id: bad.clone(), resource: None, ..Default::default() };
        let changes = vec![change; 1_000];
        let request = proto::SetGrantsRequest { tenant_id: "acme".to_owned(), changes, ..Default::default() };
        cut_off(operator.set_grants(request).await, "changes[0].member_id");
        bench.end(0).await;
    });
}
