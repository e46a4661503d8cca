//! Every field of every RPC, spoiled one at a time: texts that are no ids, keys, names or addresses; numbers of no enum;
//! nothing where something must be.

use prost_reflect::{DynamicMessage, MethodDescriptor, Value};

use super::walk::{Place, places};
use super::{Bench, Case, good};
use crate::harness::{Database, run};

/// What stands in the middle of a hostile text.
const MARKS: [&str; 8] = ["\0", "\n", "\u{202e}", " ", "'", "\"", "`", "\\"];

/// What a text should have been.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Id,
    UserId,
    Key,
    Slug,
    Name,
    Email,
    Domain,
    Country,
    Uuid,
    Rpc,
    Search,
    Invitation,
    ApiKey,
    Token,
    Document,
    Confirmation,
}

fn sort(message: &str, field: &str) -> Sort {
    match (message, field) {
        ("Resource", "id") => Sort::Id,
        (_, "user_id") => Sort::UserId,
        (_, "tenant_id" | "member_id" | "resource_id" | "key_id" | "credential_id" | "api_key_id") => {
            Sort::Id
        }
        (_, "from_member_id" | "to_member_id" | "created_by" | "actor") => Sort::Id,
        (_, "tenant_ids" | "member_ids" | "resource_ids") => Sort::Id,
        (_, "type" | "action" | "plan" | "switch" | "section" | "sections") => Sort::Key,
        (_, "slug") => Sort::Slug,
        (_, "name" | "display_name") => Sort::Name,
        (_, "email") => Sort::Email,
        (_, "domains" | "email_domain") => Sort::Domain,
        (_, "countries" | "country") => Sort::Country,
        (_, "request_id") => Sort::Uuid,
        (_, "operation" | "caller") => Sort::Rpc,
        (_, "text") => Sort::Search,
        (_, "token") => Sort::Invitation,
        (_, "api_key") => Sort::ApiKey,
        (_, "page_token" | "at_least_as_fresh") => Sort::Token,
        (_, "document") => Sort::Document,
        (_, "confirm_slug") => Sort::Confirmation,
        _ => panic!("{message}.{field} is new: say in this table what it should hold"),
    }
}

fn hostile(sort: Sort) -> Vec<String> {
    let marked = |start: &str, marks: &[&str]| marks.iter().map(|mark| format!("{start}{mark}b")).collect();
    let all: Vec<String> = marked("a", &MARKS);
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let long = |length: usize| vec!["x".repeat(length), "x".repeat(100_000)];
    match sort {
        Sort::Id => [all, texts(&["-a", "é", "../a"]), long(129)].concat(),
        Sort::UserId => [all, texts(&["é"]), long(256)].concat(),
        Sort::Key => [all, texts(&["A", "1a", "a-b", "é"]), long(65)].concat(),
        Sort::Slug => [all, texts(&["A", "-a", "a-"]), long(64)].concat(),
        Sort::Name => [marked("a", &MARKS[..3]), texts(&[" a", "a "]), long(201)].concat(),
        Sort::Email => [marked("a@b.example", &MARKS), texts(&MALFORMED_EMAILS), long_emails()].concat(),
        Sort::Domain => {
            [marked("a.b", &MARKS), texts(&["a", "-a.b", "a..b", ".", "a_b.c"]), long(254)].concat()
        }
        Sort::Country => [all, texts(&["D", "DEU", "1A", "D\n", "é"]), long(3)].concat(),
        Sort::Uuid => [all, texts(&["x", "0000"]), long(37)].concat(),
        Sort::Rpc => [all, texts(&["Nothing"]), long(65)].concat(),
        Sort::Search => [marked("a", &MARKS[..2]), long(201)].concat(),
        Sort::Invitation => long(513),
        Sort::ApiKey => [all, texts(&["x", "dwk_", "dwk_a b_c", "dws_a_b"]), long(1_000)].concat(),
        Sort::Token => [all, texts(&["x", "AAAA", "!", "é"]), long(1_000)].concat(),
        Sort::Document => [
            texts(&["x", "\0", "= =", "[[section]]\nkey = 1"]),
            vec![DOCUMENT.repeat(3_000), format!("{} = =", "x".repeat(200_000))],
        ]
        .concat(),
        Sort::Confirmation => [all, long(64)].concat(),
    }
}

/// A document of which every piece is wrong.
const DOCUMENT: &str = "[[section]]\nkey = \"A B\"\nname = \"\"\ntype = \"nothing\"\n";

const MALFORMED_EMAILS: [&str; 12] = [
    "a",
    "@b.example",
    "a@",
    "a@b",
    "a b@c.example",
    "a@b@c.example",
    "a@-b.example",
    ".a@b.example",
    "a@b.example\r\nBcc: c@d.example",
    "a\r\n@b.example",
    "\"a\"@b.example",
    "a@b..example",
];

fn long_emails() -> Vec<String> {
    let local = |length| format!("{}@b.example", "x".repeat(length));
    vec![
        local(65),
        local(100_000),
        format!("a@{}", "é".repeat(100_000)),
        format!("a@{}b.example", "x.".repeat(130)),
    ]
}

fn reason(sort: Sort) -> &'static str {
    match sort {
        Sort::Document => "CATALOGUE_INVALID",
        Sort::Confirmation => "CONFIRMATION_MISMATCH",
        _ => "INVALID_FIELD",
    }
}

/// Whether it may be left empty where a good request does not.
fn is_optional(method: &str, field: &str) -> bool {
    matches!(
        (method, field),
        (_, "display_name" | "confirm_slug") | ("CreateTenant" | "SetSubscription", "plan")
    ) || (method, field) == ("ListAuditEvents", "tenant_id")
        || (method, field) == ("UpdateResource", "name")
}

fn texts(method: &MethodDescriptor, request: &DynamicMessage, place: &Place) -> Vec<Case> {
    let field = place.field();
    let sort = sort(field.parent_message().name(), field.name());
    let has_room = place.has_room_in(request);
    let empty = place.is_in(request) && !is_optional(method.name(), field.name());
    let texts = hostile(sort).into_iter().chain(empty.then(String::new));
    let case = |text: String| {
        let what = format!("{} = {:?}", place.path(), text.get(..40).unwrap_or(&text));
        let spoiled = place.with(request, Value::String(text));
        Case::invalid(method, what, &spoiled, &place.path()).because(reason(sort)).among_others(!has_room)
    };
    texts.map(case).collect()
}

#[test]
fn a_text_that_is_not_what_its_field_holds_is_named_in_every_field_of_every_rpc() {
    run(Database::Sqlite, async |server| {
        let mut bench = Bench::over(server).await;
        for (method, request) in good() {
            let places = places(&method.input());
            let cases: Vec<_> = places
                .iter()
                .filter(|place| place.is_text())
                .flat_map(|place| texts(&method, &request, place))
                .collect();
            bench.all(cases).await;
        }
        bench.end(2_000).await;
    });
}

#[test]
fn keys_of_maps_and_paths_of_masks_are_held_to_their_rules_too() {
    run(Database::Sqlite, async |server| {
        let mut bench = Bench::over(server).await;
        for (method, request) in good() {
            let mut cases = Vec::new();
            for place in places(&method.input()) {
                let path = place.whole_path();
                let entries: Vec<Value> = match place.field().name() {
                    "tags" => hostile_tags(),
                    _ if place.field().is_map() => hostile(Sort::Key).iter().map(|key| toggle(key)).collect(),
                    _ if place.is_mask() => {
                        ["nothing", "*", "", "name\0", "NAME"].map(|path| mask(&place, path)).into()
                    }
                    _ => continue,
                };
                let is_alone = place.has_room_in(&request);
                cases.extend(entries.into_iter().map(|value| {
                    let what = format!("{path} = {value:.80?}");
                    let spoiled = place.with_whole(&request, Some(value));
                    Case::invalid(&method, what, &spoiled, &path).among_others(!is_alone)
                }));
            }
            bench.all(cases).await;
        }
        bench.end(50).await;
    });
}

fn toggle(key: &str) -> Value {
    Value::Map([(prost_reflect::MapKey::String(key.to_owned()), Value::Bool(true))].into())
}

fn hostile_tags() -> Vec<Value> {
    let tag = |key: &str, value: &str| {
        Value::Map([(prost_reflect::MapKey::String(key.to_owned()), Value::String(value.to_owned()))].into())
    };
    let long = "x".repeat(257);
    vec![
        tag("", "a"),
        tag("a\0", "a"),
        tag(&long[..65], "a"),
        tag("a", "\n"),
        tag("a", "\0"),
        tag("a", &long),
    ]
}

fn mask(place: &Place, path: &str) -> Value {
    let prost_reflect::Kind::Message(message) = place.field().kind() else { panic!("a mask is a message") };
    let mut mask = DynamicMessage::new(message);
    mask.set_field_by_name("paths", Value::List(vec![Value::String(path.to_owned())]));
    Value::Message(mask)
}

/// Enums that say nothing where they are not set, and so may be.
fn may_be_unspecified(method: &str, field: &str) -> bool {
    matches!(field, "wait" | "status" | "on_missing") || (method, field) == ("ListMembers", "role")
}

#[test]
fn a_number_that_is_none_of_an_enums_is_named() {
    run(Database::Sqlite, async |server| {
        let mut bench = Bench::over(server).await;
        for (method, request) in good() {
            let mut cases = Vec::new();
            for place in places(&method.input()).iter().filter(|place| place.is_choice()) {
                let is_required = !may_be_unspecified(method.name(), place.field().name());
                for number in [999, -1, i32::MAX].into_iter().chain(is_required.then_some(0)) {
                    let what = format!("{} = {number}", place.path());
                    let spoiled = place.with(&request, Value::EnumNumber(number));
                    let case = Case::invalid(&method, what, &spoiled, &place.path());
                    cases.push(case.among_others(!place.has_room_in(&request)));
                }
            }
            bench.all(cases).await;
        }
        bench.end(150).await;
    });
}

/// Where a message that is missing is named: a oneof by its own name, or by what it is all of.
fn missing_path(place: &Place) -> String {
    match place.field().containing_oneof() {
        Some(oneof) if place.parent_path().is_empty() => oneof.name().to_owned(),
        Some(_) => place.parent_path(),
        None => place.whole_path(),
    }
}

#[test]
fn what_must_be_there_and_is_not_is_named() {
    run(Database::Sqlite, async |server| {
        let mut bench = Bench::over(server).await;
        for (method, request) in good() {
            let there = |place: &Place| place.is_in(&request);
            let places: Vec<_> = places(&method.input()).into_iter().filter(there).collect();
            let mut cases = Vec::new();
            for place in places.iter().filter(|place| place.is_container()) {
                let without = place.with_whole(&request, None);
                let what = format!("without {}", place.path());
                cases.push(Case::invalid(&method, what, &without, &missing_path(place)));
            }
            let empty = DynamicMessage::new(method.input());
            let named =
                places.iter().map(Place::path).find(|path| path.ends_with("_id") && !path.contains('.'));
            match named.filter(|_| method.name() != "ListAuditEvents") {
                Some(named) => cases.push(
                    Case::invalid(&method, "an empty message".to_owned(), &empty, &named).among_others(true),
                ),
                None if method.name().starts_with("Get") || method.name().starts_with("List") => {
                    cases.push(Case::good(&method, "an empty message".to_owned(), &empty));
                }
                None => {}
            }
            bench.all(cases).await;
        }
        bench.end(60).await;
    });
}
