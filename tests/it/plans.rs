//! How Postgres finds what questions, lists and changes ask for: by indexes, however much there is. Every statement that a
//! call makes is taken from Postgres's own log and explained with the values that it had.

use doorward::proto;

use crate::harness::{self, Server, resource, user_subject};
use crate::postgres::{self, LoggedCluster};
use crate::store::tables::TABLES;

const MEMBERS: usize = 1_000;
const RESOURCES: usize = 100;

/// Tables that a tenant's rows are copied of, in an order that references allow.
const COPIED: [&str; 6] =
    ["member", "tenant_user", "member_person", "member_section", "resource", "resource_grant"];

/// Rows of other tenants, so that no table fits on a few pages: many tenants, some of them as large as the one asked about.
fn others() -> String {
    let copy = |table: &str, tenants: usize| {
        format!(
            "INSERT INTO {table} SELECT copy.* FROM {table} AS row, generate_series(1, {tenants}) AS n, \
             jsonb_populate_record(row, jsonb_build_object('tenant_id', 'other-' || n)) AS copy \
             WHERE row.tenant_id = 'acme';"
        )
    };
    let rows: String = COPIED.iter().map(|table| copy(table, 12)).collect();
    format!(
        "INSERT INTO tenant_rev SELECT 'other-' || n, 1, '\\x00' FROM generate_series(1, 3000) AS n; {} {rows} \
         INSERT INTO change_log (tenant_id, rev, at_us, operation, caller, parts, changes, prev_hash, hash) \
         SELECT 'other-' || n % 100 + 1, n, 0, 'Fill', 'operator', '[\"tenant\"]', '[]', '\\x00', '\\x00' \
         FROM generate_series(1, 30000) AS n; ANALYZE",
        copy("tenant", 3_000)
    )
}

async fn fill(server: &Server, tenant: &str) {
    server.tenant(tenant).await;
    let mut operator = server.operator();
    let new = |at| proto::NewResource {
        resource_id: format!("a{at}"),
        name: "An agent".to_owned(),
        ..Default::default()
    };
    let register = proto::BatchRegisterResourcesRequest {
        tenant_id: tenant.to_owned(),
        r#type: "agent".to_owned(),
        resources: (0..RESOURCES).map(new).collect(),
        ..Default::default()
    };
    operator.batch_register_resources(register).await.unwrap();
    let invitee = |at: usize| proto::Invitee {
        email: format!("m{at}@{tenant}.example"),
        role: proto::Role::User.into(),
        member_id: format!("m{at}"),
        user_id: format!("u{at}"),
        grants: (0..10).map(|grant| granted((at + grant) % RESOURCES)).collect(),
        ..Default::default()
    };
    let invite = proto::BatchInviteMembersRequest {
        tenant_id: tenant.to_owned(),
        invitees: (0..MEMBERS).map(invitee).collect(),
        ..Default::default()
    };
    operator.batch_invite_members(invite).await.unwrap();
}

fn granted(at: usize) -> proto::GrantInput {
    proto::GrantInput { resource: Some(resource("agent", &format!("a{at}"))), expires_at: None }
}

fn acme() -> String {
    "acme".to_owned()
}

/// Calls, and answers the name of what was called; none: that was all.
async fn call(server: &Server, which: usize) -> Option<&'static str> {
    match which {
        0..=2 => Some(question(server, which).await),
        3..=7 => Some(list_of_members(server, which).await),
        8..=11 => Some(other(server, which).await),
        _ => None,
    }
}

/// About somebody of whom nothing is in memory.
async fn question(server: &Server, which: usize) -> &'static str {
    let mut operator = server.operator();
    let subject = Some(user_subject(&format!("u70{which}")));
    let view = || "view".to_owned();
    if which == 0 {
        assert_eq!(server.check("acme", "u700", "view", "agent", "a7").await.1, "RESOURCE_GRANTED");
        return "CheckAccess";
    }
    if which == 1 {
        let check =
            |at| proto::Check { action: view(), resource: Some(resource("agent", &format!("a{at}"))) };
        let checks = (0..50).map(check).collect();
        let request =
            proto::BatchCheckAccessRequest { tenant_id: acme(), subject, checks, ..Default::default() };
        operator.batch_check_access(request).await.unwrap();
        return "BatchCheckAccess";
    }
    let request = proto::ListAccessibleRequest {
        tenant_id: acme(),
        subject,
        r#type: "agent".to_owned(),
        action: view(),
        ..Default::default()
    };
    assert_eq!(operator.list_accessible(request).await.unwrap().into_inner().items.len(), 10);
    "ListAccessible"
}

async fn list_of_members(server: &Server, which: usize) -> &'static str {
    let mut operator = server.operator();
    if which == 3 {
        let request = proto::ListMembersWithAccessRequest {
            tenant_id: acme(),
            resource: Some(resource("agent", "a7")),
            action: "view".to_owned(),
            ..Default::default()
        };
        assert!(!operator.list_members_with_access(request).await.unwrap().into_inner().members.is_empty());
        return "ListMembersWithAccess";
    }
    if which < 6 {
        let text = if which == 4 { "" } else { "m99" }.to_owned();
        let request = proto::ListMembersRequest { tenant_id: acme(), text, ..Default::default() };
        assert!(!operator.list_members(request).await.unwrap().into_inner().members.is_empty());
        return "ListMembers";
    }
    let ids: &[&str] = if which == 6 { &[] } else { &["a7", "a8"] };
    let request = proto::GetAccessMatrixRequest {
        tenant_id: acme(),
        r#type: "agent".to_owned(),
        resource_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..Default::default()
    };
    assert_eq!(operator.get_access_matrix(request).await.unwrap().into_inner().rows.len(), 50);
    "GetAccessMatrix"
}

async fn other(server: &Server, which: usize) -> &'static str {
    let mut operator = server.operator();
    if which < 10 {
        let (newest_first, member) = (which == 9, if which == 9 { "m7" } else { "" });
        let request = proto::ListAuditEventsRequest {
            tenant_id: acme(),
            newest_first,
            member_id: member.to_owned(),
            ..Default::default()
        };
        assert!(!operator.list_audit_events(request).await.unwrap().into_inner().events.is_empty());
        return "ListAuditEvents";
    }
    if which == 10 {
        let request = proto::ListResourcesRequest { tenant_id: acme(), ..Default::default() };
        assert_eq!(operator.list_resources(request).await.unwrap().into_inner().resources.len(), 50);
        return "ListResources";
    }
    let change = |at: usize| proto::GrantChange {
        member_id: format!("m{at}"),
        resource: Some(resource("agent", "a50")),
        granted: true,
        expires_at: None,
    };
    let changes = (0..20).map(change).collect();
    let request = proto::SetGrantsRequest { tenant_id: acme(), changes, ..Default::default() };
    operator.set_grants(request).await.unwrap();
    "SetGrants"
}

/// The table that a call reads for certain.
fn reads(rpc: &str) -> &'static str {
    match rpc {
        "ListMembers" | "ListMembersWithAccess" => "on member m",
        "ListAuditEvents" => "on change_log",
        "ListResources" => "on resource r",
        _ => "on resource_grant",
    }
}

/// How a statement is executed with its values, as Postgres chooses with them and without.
fn plans(cluster: &LoggedCluster, url: &str, (statement, values): &(String, Vec<String>)) -> String {
    // The type of a parameter that a statement does not use cannot be inferred.
    let is_used = |at: usize| {
        let name = format!("${at}");
        statement.split(&name).skip(1).any(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
    };
    let types: Vec<_> = (1..=values.len()).map(|at| if is_used(at) { "unknown" } else { "text" }).collect();
    let listed =
        |all: &[String]| if all.is_empty() { String::new() } else { format!("({})", all.join(", ")) };
    let types = listed(&types.into_iter().map(str::to_owned).collect::<Vec<_>>());
    let mut plans = String::new();
    for mode in ["force_custom_plan", "force_generic_plan"] {
        let script = format!(
            "SET plan_cache_mode = {mode}; PREPARE asked {types} AS {statement}; \
             EXPLAIN (COSTS OFF) EXECUTE asked {}",
            listed(values)
        );
        plans.push_str(&format!("{mode}\n{}\n", cluster.ask(url, &script)));
    }
    plans
}

fn reads_rows(statement: &str) -> bool {
    ["SELECT", "WITH", "UPDATE", "DELETE"].iter().any(|verb| statement.starts_with(verb))
}

/// Which table of the tenants' a plan reads from end to end.
fn read_whole(plans: &str) -> Option<&'static str> {
    let lines: Vec<_> = plans.lines().filter_map(|line| line.split_once("Seq Scan on ")).collect();
    let is_read = |table: &str| lines.iter().any(|(_, rest)| rest.split(' ').next() == Some(table));
    TABLES.into_iter().find(|table| is_read(table))
}

#[test]
fn no_question_and_no_list_reads_a_table_from_end_to_end() {
    let cluster = postgres::cluster_with_log();
    let url = cluster.fresh_database();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    drop(runtime.block_on(doorward::store::sql::migrate(&url)).unwrap());
    harness::run_on(&url, async |server| {
        fill(server, "acme").await;
        cluster.ask(&url, &others());
        for which in 0.. {
            let before = cluster.executed(&url).len();
            let Some(rpc) = call(server, which).await else { break };
            let executed = cluster.executed(&url);
            let mut all = String::new();
            for statement in executed[before..].iter().filter(|(text, _)| reads_rows(text)) {
                let plans = plans(&cluster, &url, statement);
                let whole = read_whole(&plans);
                assert_eq!(whole, None, "{rpc} reads it from end to end: {statement:?}\n{plans}");
                all.push_str(&plans);
            }
            assert!(all.contains(reads(rpc)), "{rpc} was not seen: {all}");
        }
    });
    // And it would be seen.
    let is_question = |text: &str| text.starts_with("SELECT") && text.contains("FROM resource_grant g");
    let question = cluster.executed(&url).into_iter().find(|(text, _)| is_question(text)).unwrap();
    cluster.ask(&url, "ALTER TABLE resource_grant DROP CONSTRAINT resource_grant_pkey");
    cluster.ask(&url, "DROP INDEX resource_grant_by_resource");
    assert_eq!(read_whole(&plans(&cluster, &url, &question)), Some("resource_grant"));
}
