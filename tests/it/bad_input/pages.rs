//! Tokens of pages and of revisions that are forged, of another tenant, of another RPC or of another kind.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward::keys::{Keys, Purpose, TAG_BYTES};
use doorward::proto::{self, ServiceScope};
use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};

use super::walk::{Place, places};
use super::{Bench, Case, good};
use crate::callers::{admin_key, credential};
use crate::harness::{Database, Server, run};
use crate::matrix::requests::{self, Ids};
use crate::matrix::{FOREIGN, OWN};
use crate::raw::operator;

/// The ways to make another token of one: its letters changed, fewer or more of them, or signed with another root.
fn forged(purpose: Purpose, token: &str) -> Vec<String> {
    let changed = |at: usize| {
        let mut bytes = token.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let mut payload = URL_SAFE_NO_PAD.decode(token).unwrap();
    payload.truncate(payload.len() - TAG_BYTES);
    vec![
        changed(0),
        changed(token.len() / 2),
        changed(token.len() - 2),
        token[..token.len() - 1].to_owned(),
        format!("{token}A"),
        format!("{token}="),
        format!(" {token}"),
        token.repeat(2),
        URL_SAFE_NO_PAD.encode(&payload),
        Keys::new([7; 32], None).sign(purpose, &payload),
    ]
}

fn place(method: &MethodDescriptor, name: &str) -> Option<Place> {
    places(&method.input()).into_iter().find(|place| place.field().name() == name)
}

/// A request for a page of one, of which there are several.
fn paged(method: &MethodDescriptor, ids: Ids) -> Option<DynamicMessage> {
    place(method, "page_token")?;
    let mut request = requests::request(&method.input(), ids, true);
    request.set_field_by_name("page_size", Value::I32(1));
    if method.name() == "ListAccessible" {
        request.set_field_by_name("type", Value::String("section".to_owned()));
    }
    Some(request)
}

async fn token(bench: &Bench<'_>, method: &MethodDescriptor, request: &DynamicMessage) -> String {
    let answer = bench.caller.call(method, request.encode_to_vec(), &[operator()]).await;
    let answer = DynamicMessage::decode(method.output(), &*answer.body).unwrap();
    let token = answer.get_field_by_name("next_page_token").unwrap().as_str().unwrap().to_owned();
    assert!(!token.is_empty(), "{} has one page", method.name());
    token
}

async fn furnish_more(server: &Server, tenant: &str) {
    server.agent(tenant, &format!("{tenant}-more")).await;
    admin_key(server, tenant, &format!("{tenant}-another")).await;
}

#[test]
fn a_page_token_is_for_the_list_that_gave_it_and_no_other() {
    run(Database::Sqlite, async |server| {
        super::furnish(server, "acme").await;
        super::furnish(server, "beta").await;
        for tenant in ["acme", "beta"] {
            furnish_more(server, tenant).await;
            credential(server, tenant, &[ServiceScope::Check], &[]).await;
        }
        let mut bench = Bench::furnished(server).await;
        let mut lists = Vec::new();
        for (method, _) in good() {
            let Some(request) = paged(&method, OWN) else { continue };
            let own = token(&bench, &method, &request).await;
            lists.push((method, request, own));
        }
        assert!(lists.len() >= 9, "{}", lists.len());
        let revision = revision(server, "acme").await;
        let mut cases = Vec::new();
        for (method, request, own) in &lists {
            let with = |token: &str| {
                place(method, "page_token").unwrap().with(request, Value::String(token.to_owned()))
            };
            cases.push(Case::good(method, "its own token".to_owned(), &with(own)));
            let foreign = token(&bench, method, &paged(method, FOREIGN).unwrap()).await;
            let foreign = Some(foreign).filter(|_| place(method, "tenant_id").is_some());
            let others =
                lists.iter().filter(|(other, ..)| other != method).map(|(_, _, token)| token.clone());
            let bad =
                forged(Purpose::Page, own).into_iter().chain(others).chain(foreign).chain([revision.clone()]);
            cases.extend(bad.map(|token| {
                Case::invalid(method, format!("page token {token:.60}"), &with(&token), "page_token")
            }));
        }
        bench.all(cases).await;
        bench.end(150).await;
    });
}

async fn revision(server: &Server, tenant: &str) -> String {
    let request = proto::GetTenantRequest { tenant_id: tenant.to_owned() };
    server.operator().get_tenant(request).await.unwrap().into_inner().revision_token
}

#[test]
fn a_revision_token_is_for_its_tenant_and_for_nothing_else() {
    run(Database::Sqlite, async |server| {
        let mut bench = Bench::over(server).await;
        let (own, foreign) = (revision(server, "acme").await, revision(server, "beta").await);
        let members = good().into_iter().find(|(method, _)| method.name() == "ListMembers").unwrap().0;
        let page = token(&bench, &members, &paged(&members, OWN).unwrap()).await;
        let mut cases = Vec::new();
        for (method, request) in good() {
            let Some(place) = place(&method, "at_least_as_fresh") else { continue };
            let with = |token: &str| place.with(&request, Value::String(token.to_owned()));
            cases.push(Case::good(&method, "its own token".to_owned(), &with(&own)));
            let bad = forged(Purpose::Revision, &own).into_iter().chain([
                foreign.clone(),
                page.clone(),
                String::new(),
            ]);
            cases.extend(bad.map(|token| {
                let field = "consistency.at_least_as_fresh";
                Case::invalid(&method, format!("revision token {token:.60}"), &with(&token), field)
            }));
        }
        bench.all(cases).await;
        bench.end(40).await;
    });
}
